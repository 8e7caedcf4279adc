"""Writes a strategy module to start from: it runs as it is, and says where to change what."""

from __future__ import annotations

import keyword
from pathlib import Path

from bot.errors import ConfigError, Problem

_TEMPLATE = '''"""{title}: say in a sentence when it buys, when it sells, and why that should pay."""

from __future__ import annotations

from dataclasses import dataclass

from bot.fields import Fraction, setting
from strategies.sizing import grown
from strategies.view import Target, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Settings of the strategy: each with kind, default, bounds and meaning; YAML is checked against them."""

    band: float = setting(Fraction(), default="0.3", low="0", high="5", doc="How far price and value must differ.")
    size: float = setting(Fraction(), default="0.2", low="0", high="4", doc="Position value, as a fraction of equity.")


def decide(view: View, params: Params) -> Target:
    """Return the wanted position; the same view and parameters must always give the same target."""
    if view.edge < -params.band:
        return Target(grown(view.position_lots, view.lots_for(params.size), 0.2))
    if view.edge > 0:
        return Target(0)
    return Target(view.position_lots)
'''


def write_module(directory: Path, name: str) -> Path:
    """Write `directory/name.py` and return it; raises ConfigError for a bad name or a file that is there."""
    is_name = name.isidentifier() and name.isascii() and name == name.lower()
    if not is_name or keyword.iskeyword(name) or name.startswith("__"):
        raise ConfigError([Problem("name", f"{name!r} is not a module name", "take small letters, digits and _")])
    path = directory / f"{name}.py"
    if not directory.is_dir():
        raise ConfigError([Problem(str(directory), "is not a directory", "make it, or name another with --dir")])
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_TEMPLATE.format(title=name.replace("_", " ").capitalize()))
    except FileExistsError as error:
        raise ConfigError([Problem(str(path), "exists already", "choose another name")]) from error
    except OSError as error:
        raise ConfigError(
            [Problem(str(path), f"cannot be written: {error.strerror}", "name another with --dir")]
        ) from error
    return path
