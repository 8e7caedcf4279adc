"""Values of known types as plain JSON values, and back again, each checked against the type that is declared for it.

Nothing is made but what the hints of the reader's own classes name, so that a file can say nothing that is run. Whole
numbers and floats come back to the last digit: JSON's are exact in Python, and its floats are written to be read again.
"""

from __future__ import annotations

import dataclasses
import json
from functools import lru_cache
from typing import Any, Final, get_args, get_origin, get_type_hints

_ATOMS: Final = frozenset({int, str, bool, float, type(None)})


written: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True, allow_nan=False).encode
"""Return the one text that plain values have, names sorted; raises ValueError for NaN and infinities."""


def plain(value: Any) -> Any:
    """Return a value as JSON has it: records and lists as lists, a mapping as a list of pairs in its order.

    Raises TypeError for a type that cannot be read again.
    """
    kind = type(value)
    if kind in _ATOMS:
        return value
    if dataclasses.is_dataclass(value):
        return [plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        return [[plain(key), plain(one)] for key, one in value.items()]
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    raise TypeError(f"{kind.__name__} cannot be kept in a checkpoint")


def made(hint: Any, value: Any) -> Any:
    """Return the value of type `hint` that `plain` was given. Raises ValueError for anything else."""
    if hint in _ATOMS:
        if type(value) is not hint:
            raise ValueError(f"{str(value)[:80]!r} is not of type {hint.__name__}")
        return value
    if type(value) is not list:
        raise ValueError(f"{str(value)[:80]!r} is not a list, as {hint} is kept")
    origin, inner = get_origin(hint), get_args(hint)
    if origin is list:
        return [made(inner[0], one) for one in value]
    if origin is dict:
        return {made(inner[0], key): made(inner[1], one) for key, one in _pairs(value)}
    if origin is tuple and inner[1:] == (Ellipsis,):
        return tuple(made(inner[0], one) for one in value)
    if origin is tuple:
        return tuple(made(one, part) for one, part in zip(inner, _of_length(len(inner), value), strict=True))
    hints = _fields(hint)
    return hint(*(made(one, part) for one, part in zip(hints, _of_length(len(hints), value), strict=True)))


@lru_cache(maxsize=256)
def _fields(record: type) -> tuple[Any, ...]:
    """Return the types of a record's fields in their order; a record is a dataclass or a named tuple."""
    hints = get_type_hints(record)
    if dataclasses.is_dataclass(record):
        return tuple(hints[field.name] for field in dataclasses.fields(record))
    return tuple(hints[name] for name in record._fields)  # type: ignore[attr-defined]


def _pairs(value: list[Any]) -> list[list[Any]]:
    if any(type(pair) is not list or len(pair) != 2 for pair in value):
        raise ValueError("a mapping is not kept as pairs")
    return value


def _of_length(length: int, value: list[Any]) -> list[Any]:
    if len(value) != length:
        raise ValueError(f"{len(value)} fields in place of {length}")
    return value
