"""Every setting of an instance as rows: where it is, what it is, where it came from, what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bot.fields.declare import ListOf, Raw, Section, Setting, declared_settings
from bot.fields.kinds import Kind
from bot.fields.quantities import Quantity

DEFAULT = "default"
IN_CODE = "set in code"


class Row(NamedTuple):
    """One setting. `value` and `unit` read together as a person writes them; `origin` is `file:line` or `default`."""

    path: str
    value: str
    unit: str
    origin: str
    doc: str


def explain(instance: Any, origins: Mapping[str, str] | None = None, path: str = "") -> Iterator[Row]:
    """Yield a row for every value of a declared dataclass instance, nested ones included, in declared order.

    `origins` maps paths to `file:line` as a `Reading` gathered them; without an entry a value is called
    `default` if it equals the default, and `set in code` otherwise.
    """
    known = origins or {}
    for field, of in declared_settings(type(instance)):
        below = f"{path}.{of.key}" if path else of.key
        yield from _rows(getattr(instance, field.name), of, below, known)


def _rows(value: Any, of: Setting, path: str, origins: Mapping[str, str]) -> Iterator[Row]:
    shape = of.shape
    if isinstance(shape, Raw):
        return
    if isinstance(shape, Section) and value is not None:
        yield from explain(value, origins, path)
    elif isinstance(shape, ListOf):
        for index, entry in enumerate(value):
            yield from _rows(entry, shape.entry, f"{path}[{index}]", origins)
    else:
        origin = origins.get(path) or (DEFAULT if _is_default(value, of) else IN_CODE)
        text, unit = _written(value, of)
        yield Row(path, text, unit, origin, of.doc)


def _is_default(value: Any, of: Setting) -> bool:
    if isinstance(of.shape, Kind) and of.default_text:
        return bool(value == of.shape.read_text(of.default_text))
    return value is None and bool(of.absent)


def _written(value: Any, of: Setting) -> tuple[str, str]:
    """Return value and unit as a person writes them; an absent one in words."""
    if value is None and of.absent:
        return of.absent, ""
    assert isinstance(of.shape, Kind)
    text = of.shape.show(value)
    if isinstance(of.shape, Quantity) and " " in text:
        number, _, unit = text.partition(" ")
        return number, unit
    return text, ""
