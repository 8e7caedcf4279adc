"""A strategy made ready for machine code: its function compiled as it stands, its parameters as two rows of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cache
from types import CodeType, FunctionType
from typing import Any, Final

from backtests.compiled_engine import cache as machine_code
from bot.errors import UnsupportedError
from bot.session import Strategy
from strategies.view import Target, View, Wake

WHOLE: Final = "whole"
FLAG: Final = "flag"
REAL: Final = "real"
SIZE: Final = "size"
KINDS: Final = {int: WHOLE, bool: FLAG, float: REAL, Decimal: SIZE}
"""What parameters may be; others can be declared, but not used in compiled code."""


WORTHS: Final = ("fair_long_sat", "fair_short_sat", "fair_lender_sat")
"""What a view may be asked that takes the model long to tell: computed beforehand if a strategy names it."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """`scan` of kernel.py for one strategy's function, and this run's parameters."""

    scan: Callable[..., Any]
    whole: Any
    real: Any
    worths: tuple[str, ...]
    """Which of WORTHS its function asks for."""


def scanner(strategy: Strategy, view: View) -> Scanner:
    """Return what leaps with `strategy`; `view` tells how many lots a number of contracts is.

    Raises UnsupportedError, naming the line, if its function does not keep to what can be compiled.
    """
    import numpy as np

    layout = tuple((f.name, KINDS.get(type(getattr(strategy.params, f.name)), "")) for f in fields(strategy.params))
    whole, real = [], []
    for name, kind in layout:
        value = getattr(strategy.params, name)
        if kind == REAL:
            real.append(value)
        elif kind:
            whole.append(view.lots_of(value) if kind == SIZE else int(value))
    try:
        rows = np.array(whole or [0], np.int64), np.array(real or [0.0], np.float64)
    except OverflowError as error:
        raise UnsupportedError("a parameter is beyond 64 bits", "take --engine reference") from error
    return Scanner(_compiled(strategy.decide, layout), *rows, worths_of(strategy.decide))


@cache
def worths_of(decide: Callable[..., Any]) -> tuple[str, ...]:
    """Return which of WORTHS a strategy's function, or a function that it calls, asks for."""
    if not isinstance(decide, FunctionType):
        return ()
    names = {name for function in _reached(decide, {}) for name in _names(function.__code__)}
    return tuple(name for name in WORTHS if name in names)


@cache
def _compiled(decide: Callable[..., Any], layout: tuple[tuple[str, str], ...]) -> Callable[..., Any]:
    """Return `scan` bound to `decide` and compiled, or taken from what was kept."""
    if not isinstance(decide, FunctionType):
        raise UnsupportedError(f"{decide!r} is no plain function: the compiled engine cannot take it")
    from backtests.compiled_engine import kernel
    from backtests.compiled_engine.journey import sample

    functions = list(_reached(decide, {}))
    name = machine_code.digest(functions, repr(layout))
    params, set_params = _params(layout)
    bound = {"decide": _bind(decide, {}), "PARAMS": params, "set_params": set_params}
    scan = FunctionType(kernel.scan.__code__, {**vars(kernel), **bound}, kernel.scan.__name__)
    scan.__module__, scan.__qualname__ = kernel.__name__, kernel.scan.__qualname__
    return _made(scan, sample(), name, functions)


@cache
def filler() -> Callable[..., Any]:
    """Return kernel.fill, compiled."""
    import numpy as np

    from backtests.compiled_engine import kernel
    from backtests.compiled_engine.journey import sample

    columns_at, terms, start, *_ = sample()
    return _made(kernel.fill, (columns_at, terms, start, 0, np.empty(0, np.int64)), machine_code.digest((), "fill"), ())


def _made(
    function: Callable[..., Any], arguments: Sequence[Any], name: str, of: Sequence[FunctionType]
) -> Callable[..., Any]:
    """Return `function` compiled for such arguments, or what was kept of it under `name`."""
    from numba import njit, typeof
    from numba.core.errors import NumbaError, UnsupportedBytecodeError

    from backtests.compiled_engine.refusals import refused

    with machine_code.kept_in(machine_code.home() / name) as keeps:
        compiled = njit(cache=keeps)(function)
    signature = tuple(typeof(argument) for argument in arguments)
    try:
        compiled.compile(signature)
    except (NumbaError, UnsupportedBytecodeError) as error:
        if not of:
            raise
        raise refused(error, of) from error
    return compiled.overloads[signature].entry_point  # type: ignore[no-any-return]  # no types to look at: all known


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


def _bind(function: FunctionType, done: dict[int, Any]) -> Any:
    """Return `function` to be compiled, with Target, Wake and the functions that it calls replaced by compiled ones."""
    from numba import njit

    from backtests.compiled_engine.answers import make_target, make_wake

    if id(function) in done:
        return done[id(function)]
    scope = dict(function.__globals__)
    done[id(function)] = compiled = njit(
        FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    )
    compiled.py_func.__kwdefaults__ = function.__kwdefaults__
    for name in set(_names(function.__code__)):
        value = scope.get(name)
        if value is Target or value is Wake:
            scope[name] = make_target if value is Target else make_wake
        elif isinstance(value, FunctionType):
            scope[name] = _bind(value, done)
    return compiled


def _params(layout: tuple[tuple[str, str], ...]) -> tuple[Any, Any]:
    """Return the struct of the parameters, and the compiled function that fills it from whole and real numbers."""
    from numba import boolean, float64, int64, njit, types

    from backtests.compiled_engine.answers import Size
    from backtests.compiled_engine.shapes import shape

    size = types.BaseTuple.from_types((int64,), Size)
    kinds = {WHOLE: int64, FLAG: boolean, REAL: float64, SIZE: size}
    struct = shape(type("Params", (), {}), {name: kinds[kind] for name, kind in layout if kind})
    lines, wholes, reals = ["def set_params(params, whole, real):", "    pass"], 0, 0
    for name, kind in layout:
        if kind == REAL:
            lines.append(f"    params.{name} = real[{reals}]")
            reals += 1
        elif kind:
            taken = {WHOLE: "whole[{}]", FLAG: "whole[{}] != 0", SIZE: "Size(whole[{}])"}[kind].format(wholes)
            lines.append(f"    params.{name} = {taken}")
            wholes += 1
    scope: dict[str, Any] = {"Size": Size}
    exec("\n".join(lines), scope)  # noqa: S102 - names of a dataclass's fields, one line for each, as dataclasses does
    return struct, njit(scope["set_params"])
