"""A strategy made ready for machine code: its function compiled as it stands, its parameters as two rows of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cache
from types import CodeType, FunctionType
from typing import Any, Final

from backtests.compiled_engine import cache as machine_code
from backtests.compiled_engine.shelf import Shelf
from bot.errors import UnsupportedError
from bot.session import Strategy
from strategies.table import Table
from strategies.view import Target, Wake

WHOLE: Final = "whole"
FLAG: Final = "flag"
REAL: Final = "real"
SIZE: Final = "size"
KINDS: Final = {int: WHOLE, bool: FLAG, float: REAL, Decimal: SIZE}
"""What parameters may be; others can be declared, but not used in compiled code."""


COURSE: Final = "course"
"""What the code that all strategies share is kept under."""
SHELF_AT: Final = "where the shelf is"
"""The first word of the parameters: no name that a parameter could have."""
WORTHS: Final = ("fair_long_sat", "fair_short_sat", "fair_lender_sat")
"""What a view may be asked that takes the model long to tell: computed beforehand if a strategy names it."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Machine code that asks one strategy, where it lies, and this run's parameters as words."""

    code: Callable[..., Any]
    address: int
    params: Any
    worths: tuple[str, ...]
    """Which of WORTHS its function asks for."""
    shelf: Shelf | None
    """Where its tables lie in this run, and in no other."""


def asking(strategy: Strategy, lots_of: Callable[[Decimal], int]) -> Asking:
    """Return what asks `strategy`; `lots_of` tells how many lots a number of contracts is.

    Raises UnsupportedError, naming the line, if its function does not keep to what can be compiled.
    """
    import numpy as np

    of: Any = type(strategy.params)
    layout = _layout(of, tuple(type(getattr(strategy.params, name)) for name in of.__dataclass_fields__))
    words = np.zeros(1 + len(layout), np.int64)
    reals = words.view(np.float64)
    at = 1  # the first says where the shelf is
    try:
        for name, kind in layout:
            value = getattr(strategy.params, name)
            if kind == REAL:
                reals[at] = value
            elif kind:
                words[at] = lots_of(value) if kind == SIZE else int(value)
            at += kind != ""
    except OverflowError as error:
        raise UnsupportedError("a parameter is beyond 64 bits", "take --engine reference") from error
    code, address = _compiled(strategy.decide, layout)
    tables = _tables(strategy.decide)
    shelf = Shelf(tables, strategy.params) if tables else None
    words[0] = shelf.address if shelf is not None else 0
    return Asking(code, address, words, worths_of(strategy.decide), shelf)


@cache
def _layout(of: type, kinds: tuple[type, ...]) -> tuple[tuple[str, str], ...]:
    """Return the name of each parameter and its kind; "" of what compiled code cannot use."""
    return tuple((f.name, KINDS.get(kind, "")) for f, kind in zip(fields(of), kinds, strict=True))


@cache
def worths_of(decide: Callable[..., Any]) -> tuple[str, ...]:
    """Return which of WORTHS a strategy's function, or a function that it calls, asks for."""
    if not isinstance(decide, FunctionType):
        return ()
    names = {name for function in _reached(decide, {}) for name in _names(function.__code__)}
    return tuple(name for name in WORTHS if name in names)


@cache
def _compiled(decide: Callable[..., Any], layout: tuple[tuple[str, str], ...]) -> tuple[Callable[..., Any], int]:
    """Return asking.answer bound to `decide` and compiled, or taken from what was kept; and where its code lies."""
    if not isinstance(decide, FunctionType):
        raise UnsupportedError(f"{decide!r} is no plain function: the compiled engine cannot take it")
    from backtests.compiled_engine import asking, standins
    from backtests.compiled_engine.leaping import IN_EVERY_ANSWER
    from backtests.compiled_engine.tables import stand_in

    assert standins
    functions = list(_reached(decide, {}))
    tables = _tables(decide)
    name = machine_code.digest(functions, repr((layout, [(str(table), table.keys) for table in tables])))
    done: dict[int, Any] = {id(table): stand_in(table, number) for number, table in enumerate(tables)}
    bound = {"decide": _bind(decide, done), "PARAMS": _params(layout)}
    answer = FunctionType(asking.answer.__code__, {**vars(asking), **bound}, asking.answer.__name__)
    answer.__module__, answer.__qualname__ = asking.__name__, asking.answer.__qualname__
    made = _made(answer, (0, 0, 0, 0, 0), name, functions, (*functions, *IN_EVERY_ANSWER))
    return made, made.library.get_pointer_to_function(made.fndesc.llvm_func_name)


def is_course_kept() -> bool:
    """Return whether kernel.course was compiled before, in this version, and is kept."""
    return any((machine_code.home() / machine_code.digest((), COURSE)).glob("*.nbi"))


@cache
def course() -> Callable[..., Any]:
    """Return kernel.course, compiled."""
    from backtests.compiled_engine import kernel, standins
    from backtests.compiled_engine.leaping import ON_EVERY_BAR

    assert standins
    name = machine_code.digest((), COURSE)
    return _made(kernel.course, (0, 0), name, (), ON_EVERY_BAR).entry_point  # type: ignore[no-any-return]


def _made(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    name: str,
    of: Sequence[FunctionType],
    inlined: Sequence[Callable[..., Any]] = (),
) -> Any:
    """Return what came of compiling `function` for such arguments, or what was kept of it under `name`."""
    from numba import njit, typeof
    from numba.core.compiler_lock import global_compiler_lock  # both of what follows change numba, for every thread
    from numba.core.errors import NumbaError, UnsupportedBytecodeError

    from backtests.compiled_engine.linking import made_at_once
    from backtests.compiled_engine.refusals import refused

    with global_compiler_lock, machine_code.kept_in(machine_code.home() / name) as keeps:
        compiled = njit(cache=keeps)(function)
    signature = tuple(typeof(argument) for argument in arguments)
    try:
        with global_compiler_lock, made_at_once(function.__name__, inlined):
            compiled.compile(signature)
    except (NumbaError, UnsupportedBytecodeError) as error:
        if not of:
            raise
        raise refused(error, of) from error
    return compiled.overloads[signature]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _reached(function: FunctionType, seen: dict[int, bool]) -> Iterator[FunctionType]:
    """Yield `function` and all plain Python functions that it calls by a global name, and they."""
    if seen.setdefault(id(function), False):
        return
    seen[id(function)] = True
    yield function
    for name in sorted(set(_names(function.__code__))):
        value = function.__globals__.get(name)
        if isinstance(value, FunctionType):
            yield from _reached(value, seen)


@cache
def _tables(decide: Callable[..., Any]) -> tuple[Table, ...]:
    """Return the tables that a strategy's function, or a function that it calls, asks for; always in one order."""
    if not isinstance(decide, FunctionType):
        return ()
    found: dict[int, Table] = {}
    for function in _reached(decide, {}):
        for name in sorted(set(_names(function.__code__))):
            value = function.__globals__.get(name)
            if isinstance(value, Table):
                found[id(value)] = value
    return tuple(found.values())


def _bind(function: FunctionType, done: dict[int, Any]) -> Any:
    """Return `function` to be compiled, with Target, Wake and the functions that it calls replaced by compiled ones.

    `done` knows what stands for its tables.
    """
    from numba import njit

    from backtests.compiled_engine.answers import make_target, make_wake
    from backtests.compiled_engine.rounding import ROUNDING

    if id(function) in done:
        return done[id(function)]
    scope = dict(function.__globals__)
    done[id(function)] = compiled = njit(
        FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    )
    compiled.py_func.__kwdefaults__ = function.__kwdefaults__
    for name in set(_names(function.__code__)):
        value = scope.get(name)
        if name in ROUNDING and name not in scope:
            scope[name] = ROUNDING[name]
        elif value is Target or value is Wake:
            scope[name] = make_target if value is Target else make_wake
        elif isinstance(value, Table):
            scope[name] = done[id(value)]
        elif isinstance(value, FunctionType):
            scope[name] = _bind(value, done)
    return compiled


def _params(layout: tuple[tuple[str, str], ...]) -> Any:
    """Return the struct of the parameters."""
    from numba import boolean, float64, int64, types

    from backtests.compiled_engine.answers import Size
    from backtests.compiled_engine.shapes import shape
    from backtests.compiled_engine.tables import PARAMS

    size = types.BaseTuple.from_types((int64,), Size)
    kinds = {WHOLE: int64, FLAG: boolean, REAL: float64, SIZE: size}
    fields = {name: kinds[kind] for name, kind in layout if kind}
    return shape(type(PARAMS, (), {}), {SHELF_AT: int64, **fields})
