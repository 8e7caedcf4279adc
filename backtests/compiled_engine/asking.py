"""What asks a strategy: `answer` is a template that strategy.py binds to one strategy before it is compiled."""

from __future__ import annotations

from typing import Any

from backtests.compiled_engine.answers import ANSWER
from backtests.compiled_engine.makers import as_kind
from backtests.compiled_engine.shapes import at_address, set_value_at, value_at
from backtests.compiled_engine.structs import VIEW
from backtests.compiled_engine.tables import make_room


def decide(view: Any, params: Any) -> Any:
    """Stand for the strategy; bound by strategy.py."""
    raise NotImplementedError


PARAMS: Any = None
"""Stands for the struct of the strategy's parameters; bound by strategy.py."""


def answer(view_at: int, params_at: int, answer_at: int, at: int, end: int) -> int:
    """Ask the strategy at each event from `at` to `end`, until it says something else than what lies at `answer_at`.

    Return that event, its answer there; `end` if it went on saying the same. No blocks and rates come in between.
    """
    make_room(params_at)
    view, params, known = at_address(VIEW, view_at), at_address(PARAMS, params_at), value_at(ANSWER, answer_at)
    value, state = view._value, view._state
    for k in range(at, end):
        value.at, view.time_ns, state.mark_sat = k, value.columns.known_ns[k], value.columns.mark_sat[k]
        given = as_kind(ANSWER, decide(view, params))
        if given.has_wake or known.has_wake or given[:5] != known[:5]:
            set_value_at(answer_at, given)
            return k
    return end
