"""Strategies: one module each, `Params` and `decide(view, params)`; loaded by name, module:attribute or entry point."""

from __future__ import annotations

import importlib
import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bot.errors import FairhashError, cause
from bot.fields import declared_settings

BUNDLED = ("fair_value_band", "carry_aware_band", "early_exit_short", "hold_long", "hold_short", "own_and_lend")


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

    An attribute is an object with the names `Params` and `decide`. Modules are looked for where Python looks, and last
    in the working directory. Raises StrategyNotFoundError with the remedy.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        source = _find(use)
    except StrategyNotFoundError:
        raise
    except (Exception, SystemExit) as error:  # a module of the user's own, which may do anything
        raise StrategyNotFoundError(f"{use!r} cannot be imported: {cause(error)}") from error
    decide, params_type = getattr(source, "decide", None), getattr(source, "Params", None)
    if not callable(decide) or not isinstance(params_type, type) or not is_dataclass(params_type):
        raise StrategyNotFoundError(f"{use!r} has no decide(view, params) and dataclass Params; see strategies/view.py")
    _refuse_undeclared(use, params_type)
    return Loaded(decide, params_type, getattr(source, "band", None))


def _refuse_undeclared(use: str, params_type: type[Any]) -> None:
    """Refuse Params with a field that no configuration could set and that has no default either."""
    known = {field.name for field, _ in declared_settings(params_type)}
    for field in fields(params_type):
        if field.init and field.name not in known and field.default is MISSING and field.default_factory is MISSING:
            what = f"{use!r}: Params.{field.name} is not a setting and has no default"
            raise StrategyNotFoundError(f"{what}; declare it with bot.fields.setting, as strategies/hold_long.py does")


def _find(use: str) -> Any:
    if use in BUNDLED:
        return importlib.import_module(f"strategies.{use}")
    module_name, _, attribute = use.partition(":")
    if not attribute:
        from importlib.metadata import entry_points  # takes longer to import than the bundled strategies together

        for point in entry_points(group="fairhash.strategies"):
            if point.name == use:
                return point.load()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and lacks one of its own
        known = ", ".join(BUNDLED)
        what = f"no strategy {use!r}{_nearest(use)}: bundled are {known}"
        raise StrategyNotFoundError(f"{what}; else name module:attribute, found from {Path.cwd()}") from error
    if not attribute:
        return module
    found = getattr(module, attribute, None)
    if found is None:
        raise StrategyNotFoundError(f"{use!r}: module {module_name} has no attribute {attribute!r}")
    return found


def _nearest(use: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(use.replace("-", "_").lower(), BUNDLED, n=1, cutoff=0.5)
    return f" (did you mean {near[0]}?)" if near else ""
