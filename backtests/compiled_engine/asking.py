"""What asks a strategy: `answer` is a template that strategy.py binds to one strategy before it is compiled."""

from __future__ import annotations

from typing import Any

from backtests.compiled_engine.answers import ANSWER
from backtests.compiled_engine.makers import as_kind
from backtests.compiled_engine.shapes import at_address, set_value_at
from backtests.compiled_engine.structs import VIEW
from backtests.compiled_engine.tables import make_room


def decide(view: Any, params: Any) -> Any:
    """Stand for the strategy; bound by strategy.py."""
    raise NotImplementedError


PARAMS: Any = None
"""Stands for the struct of the strategy's parameters; bound by strategy.py."""


def answer(view_at: int, params_at: int, answer_at: int) -> int:
    """Let what the strategy says of the view lie at `answer_at`, as an Answer."""
    make_room(params_at)
    set_value_at(answer_at, as_kind(ANSWER, decide(at_address(VIEW, view_at), at_address(PARAMS, params_at))))
    return 0
