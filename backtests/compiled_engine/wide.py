"""Integers of 128 bits for machine code: what the core marks as wide, where a product may leave 64 bits.

Sums and products are LLVM's own. A quotient is estimated in floats and put right by its remainder until that lies in
[0, divisor): exact, without the library call that LLVM would make of a division.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.core.extending import intrinsic, lower_cast, register_model
from numba.extending import overload

BITS: Final = ir.IntType(128)
REAL: Final = ir.DoubleType()
WORD: Final = ir.IntType(64)
MOST: Final = (1 << 63) - 1


class Wide(types.Type):  # type: ignore[misc]
    """The type of a signed integer of 128 bits."""

    def __init__(self) -> None:
        super().__init__(name="Wide")


WIDE: Final = Wide()


@register_model(Wide)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, BITS)


@lower_cast(types.Integer, Wide)  # type: ignore[untyped-decorator]
def _from_integer(context: Any, builder: Any, given: Any, wanted: Any, value: Any) -> Any:
    return builder.sext(value, BITS)


def _widened(builder: Any, kind: Any, value: Any) -> Any:
    return value if isinstance(kind, Wide) else builder.sext(value, BITS)


def _is_pair(left: Any, right: Any) -> bool:
    kinds = (left, right)
    return any(isinstance(k, Wide) for k in kinds) and all(isinstance(k, Wide | types.Integer) for k in kinds)


@intrinsic  # type: ignore[untyped-decorator]
def wide_of(typing_context: Any, number: Any) -> Any:
    """Return a number as a wide one (compiled code only)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _widened(builder, signature.args[0], args[0])

    return WIDE(number), codegen


@intrinsic  # type: ignore[untyped-decorator]
def low_of(typing_context: Any, number: Any) -> Any:
    """Return the lower 64 bits of a wide number, signed (compiled code only)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.trunc(args[0], WORD)

    return types.int64(WIDE), codegen


@intrinsic  # type: ignore[untyped-decorator]
def real_of(typing_context: Any, number: Any) -> Any:
    """Return a wide number as a float, to within two roundings (compiled code only)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        high = builder.trunc(builder.ashr(args[0], ir.Constant(BITS, 64)), WORD)
        low = builder.trunc(args[0], WORD)
        above = builder.fmul(builder.sitofp(high, REAL), ir.Constant(REAL, 2.0**64))
        return builder.fadd(above, builder.uitofp(low, REAL))

    return types.float64(WIDE), codegen


def _arithmetic(made: Callable[[Any, Any, Any], Any]) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def operation(typing_context: Any, left: Any, right: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return made(builder, *(_widened(builder, k, v) for k, v in zip(signature.args, args, strict=True)))

        return WIDE(left, right), codegen

    return operation


def _comparison(sign: str) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def operation(typing_context: Any, left: Any, right: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pair = (_widened(builder, k, v) for k, v in zip(signature.args, args, strict=True))
            return builder.icmp_signed(sign, *pair)

        return types.boolean(left, right), codegen

    return operation


added = _arithmetic(lambda builder, left, right: builder.add(left, right))
subtracted = _arithmetic(lambda builder, left, right: builder.sub(left, right))
multiplied = _arithmetic(lambda builder, left, right: builder.mul(left, right))
is_less = _comparison("<")
is_at_most = _comparison("<=")
is_more = _comparison(">")
is_at_least = _comparison(">=")
is_equal = _comparison("==")


def _pairs(of: Any, by: Any) -> None:
    @overload(of)  # type: ignore[untyped-decorator]
    def choose(left: Any, right: Any) -> Any:
        if not _is_pair(left, right):
            return None

        def operation(left: Any, right: Any) -> Any:
            return by(left, right)

        return operation


def quotient(number: Any, divisor: int) -> tuple[int, int]:
    """Return divmod(number, divisor) for a wide number and a divisor > 0; the quotient within +-(2^63 - 1).

    >>> quotient(-7, 2)
    (-4, 1)
    """
    found = wide_of(0)
    rest = wide_of(number)
    while is_less(rest, 0) or is_at_least(rest, divisor):
        estimate = real_of(rest) / float(divisor)
        if estimate >= 9.0e18:
            return MOST, 0
        if estimate <= -9.0e18:
            return -MOST, 0
        step = int(estimate)
        if step == 0:
            step = -1 if is_less(rest, 0) else 1
        found = added(found, step)
        rest = subtracted(rest, multiplied(wide_of(divisor), step))
    if is_more(found, MOST):
        return MOST, 0
    return low_of(found), low_of(rest)


@overload(quotient, strict=False)  # type: ignore[untyped-decorator]
def _quotient(number: Any, divisor: Any) -> Any:
    return quotient


def _floor(number: Any, divisor: int) -> int:
    return quotient(number, divisor)[0]


@overload(_floor, strict=False)  # type: ignore[untyped-decorator]
def _floored(number: Any, divisor: Any) -> Any:
    return _floor


for _of, _by in (
    *((operator.add, added), (operator.iadd, added), (operator.sub, subtracted), (operator.isub, subtracted)),
    *((operator.mul, multiplied), (operator.imul, multiplied), (operator.floordiv, _floor), (divmod, quotient)),
    *((operator.lt, is_less), (operator.le, is_at_most), (operator.gt, is_more), (operator.ge, is_at_least)),
    (operator.eq, is_equal),
):
    _pairs(_of, _by)


@overload(operator.neg)  # type: ignore[untyped-decorator]
def _negative(number: Any) -> Any:
    if not isinstance(number, Wide):
        return None

    def negative(number: Any) -> Any:
        return subtracted(0, number)

    return negative
