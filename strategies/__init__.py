"""Strategies: one module each, `Params` and `decide(view, params)`; loaded by name, module:attribute or entry point."""

from __future__ import annotations

import importlib
from dataclasses import is_dataclass
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from bot.errors import FairhashError

BUNDLED = ("fair_value_band", "carry_aware_band", "hold_long", "hold_short", "own_and_lend")


class StrategyNotFoundError(FairhashError):
    """No strategy of that name, or its module is not a strategy."""

    exit_code = 2


class Loaded(NamedTuple):
    """What a strategy module offers: its function, its parameter class, its no-trade band for plots (or None)."""

    decide: Any
    params_type: type[Any]
    band: Any


def load(use: str) -> Loaded:
    """Return the strategy that `use` names: a bundled name, `package.module`, `module:attribute`, or an entry point.

    An attribute is an object with the names `Params` and `decide`. Raises StrategyNotFoundError with the remedy.
    """
    source = _find(use)
    decide, params_type = getattr(source, "decide", None), getattr(source, "Params", None)
    if not callable(decide) or not isinstance(params_type, type) or not is_dataclass(params_type):
        raise StrategyNotFoundError(f"{use!r} has no decide(view, params) and dataclass Params; see strategies/view.py")
    return Loaded(decide, params_type, getattr(source, "band", None))


def _find(use: str) -> Any:
    if use in BUNDLED:
        return importlib.import_module(f"strategies.{use}")
    module_name, _, attribute = use.partition(":")
    if not attribute:
        for point in entry_points(group="fairhash.strategies"):
            if point.name == use:
                return point.load()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name.partition(".")[0]):
            raise
        known = ", ".join(BUNDLED)
        raise StrategyNotFoundError(f"no strategy {use!r}: bundled are {known}; else name module:attribute") from error
    if not attribute:
        return module
    found = getattr(module, attribute, None)
    if found is None:
        raise StrategyNotFoundError(f"{use!r}: module {module_name} has no attribute {attribute!r}")
    return found
