"""Sobol points and the normal quantile: evenly spread draws that are the same every time, without a seed.

Direction numbers: Joe & Kuo, Constructing Sobol sequences with better two-dimensional projections, SIAM J. Sci.
Comput. 30, 2008 (file new-joe-kuo-6). Beyond the dimensions listed the points go on with a Weyl sequence of square
roots of primes: principal components that far down carry under a thousandth of the variance.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bot.model.reproducible import Floats

_BITS: Final = 30
_JOE_KUO: Final = (
    (1, 0, (1,)),
    (2, 1, (1, 3)),
    (3, 1, (1, 3, 1)),
    (3, 2, (1, 1, 1)),
    (4, 1, (1, 1, 3, 3)),
    (4, 4, (1, 3, 5, 13)),
    (5, 2, (1, 1, 5, 5, 17)),
    (5, 4, (1, 1, 5, 5, 5)),
    (5, 7, (1, 1, 7, 11, 19)),
    (5, 11, (1, 1, 5, 1, 1)),
    (5, 13, (1, 1, 1, 3, 11)),
    (5, 14, (1, 3, 5, 5, 31)),
    (6, 1, (1, 3, 3, 9, 7, 49)),
    (6, 13, (1, 1, 1, 15, 21, 21)),
    (6, 16, (1, 3, 1, 13, 27, 49)),
)
"""(degree, inner coefficients of the primitive polynomial, first m) of dimensions 2 to 16."""
_PRIMES: Final = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101)

# fmt: off
# Wichura, Algorithm AS 241, Applied Statistics 37, 1988: PPND16, relative error about 1e-16.
_A: Final = (3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
             4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3)
_B: Final = (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
             2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3)
_C: Final = (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
             1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2,
             7.74545014278341407640e-4)
_D: Final = (1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1,
             1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
             1.05075007164441684324e-9)
_E: Final = (6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 2.96560571828504891230e-1,
             2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5,
             2.01033439929228813265e-7)
_F: Final = (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
             7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
             2.04426310338993978564e-15)


# fmt: on


def _ratio(above: tuple[float, ...], below: tuple[float, ...], x: Floats) -> Floats:
    top, bottom = np.full_like(x, above[-1]), np.full_like(x, below[-1])
    for a, b in zip(above[-2::-1], below[-2::-1], strict=True):
        top, bottom = top * x + a, bottom * x + b
    return top / bottom


def normal_quantile(probability: Floats) -> Floats:
    """Return z with Phi(z) = probability elementwise, for probabilities strictly between 0 and 1."""
    q = np.asarray(probability, np.float64) - 0.5
    near = np.abs(q) <= 0.425
    centre = q * _ratio(_A, _B, 0.180625 - np.where(near, q, 0.0) ** 2)
    tail = np.sqrt(-np.log(np.where(near, 0.25, 0.5 - np.abs(q))))
    far = np.where(tail <= 5.0, _ratio(_C, _D, tail - 1.6), _ratio(_E, _F, tail - 5.0))
    return np.where(near, centre, np.copysign(far, q))


def _directions(dimension: int) -> list[int]:
    """Return the direction numbers v_1.. of a dimension (0: van der Corput), as 30-bit integers."""
    if dimension == 0:
        return [1 << (_BITS - 1 - k) for k in range(_BITS)]
    degree, inner, first = _JOE_KUO[dimension - 1]
    m = list(first)
    for k in range(degree, _BITS):
        new = m[k - degree] ^ (m[k - degree] << degree)
        for i in range(1, degree):
            if inner >> (degree - 1 - i) & 1:
                new ^= m[k - i] << i
        m.append(new)
    return [value << (_BITS - 1 - k) for k, value in enumerate(m)]


def sobol_points(log2_points: int, dimensions: int) -> Floats:
    """Return the first 2^n Sobol points (2^n, d) in (0, 1), each moved to the middle of its cell of width 2^-n."""
    count = 1 << log2_points
    index: NDArray[np.int64] = np.arange(count, dtype=np.int64)
    points = np.empty((count, dimensions))
    for dimension in range(dimensions):
        if dimension <= len(_JOE_KUO):
            bits: NDArray[np.int64] = np.zeros(count, dtype=np.int64)
            for k, direction in enumerate(_directions(dimension)[:log2_points]):
                bits ^= np.where(index >> k & 1, direction, 0)
            points[:, dimension] = (bits + (1 << (_BITS - 1 - log2_points))) / (1 << _BITS)
        else:
            step = float(_PRIMES[(dimension - len(_JOE_KUO)) % len(_PRIMES)]) ** 0.5
            points[:, dimension] = np.clip((0.5 + (index + 0.5) * step) % 1.0, 1e-12, 1.0 - 1e-12)
    return points


@lru_cache(maxsize=4)
def normal_points(log2_points: int, dimensions: int) -> Floats:
    """Return standard normal Sobol points (2^n, d), read-only: made once, used by every valuation."""
    points = normal_quantile(sobol_points(log2_points, dimensions))
    points.setflags(write=False)
    return points
