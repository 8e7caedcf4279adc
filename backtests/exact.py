"""math.fsum of an array, without a Python float for each of its values."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

_BITS: Final = 53
"""Whole numbers of so many bits are floats, and so are their sums."""
_MOST_PARTS: Final = 6
_LEAST: Final = 1e-150
"""The largest value is above this, and less than a part, so that scaling by powers of two is exact."""


def fsum(values: npt.NDArray[np.float64]) -> float:
    """Return the sum of `values`, rounded once, half to even: to the last bit that of math.fsum.

    Values are cut into parts, the leading bits of all of them first: whole numbers in one unit, so few bits long that
    floats add them exactly in any order (Rump, Ogita and Oishi, Accurate Floating-Point Summation, SIAM Journal on
    Scientific Computing 31(1), 2008). Python adds the sums of the parts, and divides them by the last unit. Values too
    far apart for a few parts, too large or too small go to math.fsum.

    >>> fsum(np.array([1e6, 1e-10, -1e6]))
    1e-10
    """
    largest = float(np.abs(values).max(initial=0.0))
    room = _BITS - 1 - len(values).bit_length()
    if largest == 0.0:
        return 0.0
    if not _LEAST < largest < 2**room:
        return math.fsum(values.tolist())
    unit = room - math.frexp(largest)[1]  # values are counted in 2^-unit
    rest, total = values * 2.0**unit, 0
    for _ in range(_MOST_PARTS):
        whole = np.rint(rest)
        total += int(whole.sum())
        rest -= whole
        if not rest.any():
            return total / (1 << unit)
        rest *= 2.0**room
        total <<= room
        unit += room
    return math.fsum(values.tolist())
