"""`int` and `round` of a float in a strategy: machine code would make some number of what has none in 64 bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from numba import types
from numba.extending import overload

BEYOND: Final = 2.0**63


def _whole(number: Any) -> int:
    """Stand for int(number) in compiled code."""
    raise NotImplementedError


def _nearest(number: Any) -> int:
    """Stand for round(number), half to even, in compiled code; decimals are refused: they round otherwise than ours."""
    raise NotImplementedError


def _checked(stand_in: Callable[..., Any], builtin: Callable[..., Any]) -> None:
    @overload(stand_in, strict=False)  # type: ignore[untyped-decorator]
    def choose(number: Any) -> Any:
        if not isinstance(number, types.Float):
            return lambda number: int(number)

        def checked(number: float) -> int:
            if not -BEYOND <= number < BEYOND:
                raise OverflowError
            return builtin(number)  # type: ignore[no-any-return]

        return checked


_checked(_whole, int)
_checked(_nearest, round)
ROUNDING: Final = {"int": _whole, "round": _nearest}
"""What a strategy's compiled code takes in place of these builtins."""
