"""Names as numbers: machine code works on a name's number, and words are made of it where somebody reads them.

A function of the core is compiled as it stands, but for its names: the strings in it, and those that it takes from its
module, are numbers in machine code. A number follows from the name alone, for machine code outlives the process.
"""

from __future__ import annotations

import hashlib
from functools import cache
from types import CodeType, FunctionType
from typing import Any, Final

NAMES: Final[dict[int, str]] = {}
"""Each number that machine code can hold, and its name."""
STANDS_FOR: Final[dict[int, Any]] = {}
"""What compiled code takes in place of an object (by its id): of a class what makes its struct, of a table a tuple."""

FOR_BUILTINS: Final[dict[str, Any]] = {}
"""What compiled code takes in place of a builtin, by its name."""


@cache
def number(name: str) -> int:
    """Return the number of a name: 0 of the empty one, as only that is false."""
    digest = hashlib.blake2b(name.encode(), digest_size=7).digest() if name else b""
    found = int.from_bytes(digest, "big")
    NAMES[found] = name
    return found


def learn(function: Any) -> None:
    """Know the names that occur in a function: what was compiled in another process is not looked at again."""
    _learn_constants(function.__code__)
    for value in function.__globals__.values():
        if type(value) is str and len(value) < 200:
            number(value)


def _learn_constants(code: CodeType) -> None:
    for constant in code.co_consts:
        if type(constant) is str:
            number(constant)
        elif isinstance(constant, CodeType):
            _learn_constants(constant)


def numbered(function: Any) -> Any:
    """Return `function` with numbers in place of names, and stand-ins in place of what has them."""
    code: CodeType = function.__code__
    scope = {name: _machine(value) for name, value in function.__globals__.items()}
    scope.update((name, value) for name, value in FOR_BUILTINS.items() if name in code.co_names)
    defaults = tuple(map(_machine, function.__defaults__)) if function.__defaults__ else None
    made = FunctionType(_with_numbers(code), scope, function.__name__, defaults, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    return made


def _machine(value: Any) -> Any:
    if type(value) is str:
        return number(value)
    if type(value) is tuple and value and all(type(part) is str for part in value):
        return tuple(map(number, value))
    return STANDS_FOR.get(id(value), value)


def _with_numbers(code: CodeType) -> CodeType:
    return code.replace(co_consts=tuple(map(_constant, code.co_consts)))


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _with_numbers(value)
    if type(value) is tuple and any(type(part) is not str for part in value):  # else it names keywords
        return tuple(map(_constant, value))
    return number(value) if type(value) is str else value
