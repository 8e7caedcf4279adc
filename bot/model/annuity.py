"""Integrals of a decaying payout: phi, its slope, its inverse, and the exponentials that never overflow.

    phi(a, T)  = int_0^T e^{-a u} du   = (1 - e^{-aT}) / a
    phi2(a, T) = int_0^T u e^{-a u} du = -d phi / d a

`a` is a rate per unit of time (growth of difficulty plus discount rate), T a time in the same unit; `a` may be
zero or negative, T may be zero.
"""

from __future__ import annotations

import math

from bot.model.domain import checked, refused
from bot.model.root import falling_root

_EXP_LIMIT = 709.0  # e^709 is the last power that a float holds
_SERIES = 1e-3


def exp_or_inf(exponent: float) -> float:
    """Return e^exponent, infinity where a float cannot hold it (math.exp raises OverflowError there)."""
    return math.exp(exponent) if exponent <= _EXP_LIMIT else math.inf


def phi(rate: float, term: float) -> float:
    """Return int_0^term e^{-rate u} du, in the unit of `term`; infinity beyond e^709.

    Series T (1 - y/2 + y^2/6 - y^3/24 + y^4/120) for |y| = |rate term| < 1e-3, else -expm1(-y)/rate: relative
    error below 1e-15 everywhere. Source: MODEL C2.

    >>> phi(0.0, 90.0), phi(0.01, 0.0)
    (90.0, 0.0)
    """
    y = rate * term
    if -_SERIES < y < _SERIES:
        return term * (1.0 - y * (1 / 2 - y * (1 / 6 - y * (1 / 24 - y / 120))))
    if -y > _EXP_LIMIT:
        return math.inf
    return -math.expm1(-y) / rate


def phi2(rate: float, term: float) -> float:
    """Return int_0^term u e^{-rate u} du = -d phi/d rate, in the unit of `term` squared; infinity beyond e^709.

    With y = rate term: term^2 sum_k (-y)^k / (k! (k + 2)) for |y| < 1, else (1 - (1 + y) e^{-y}) / rate^2;
    relative error below 1e-15 in the series, 4e-16 x (1 + 1/y^2) outside.

    >>> phi2(0.0, 90.0)
    4050.0
    """
    y = rate * term
    if -1.0 < y < 1.0:
        total, power = 0.0, 1.0
        for k in range(20):  # 1/20! < 1e-18
            total += power / (k + 2)
            power *= -y / (k + 1)
        return term * term * total
    if -y > _EXP_LIMIT - 10.0:
        return math.inf
    return (1.0 - (1.0 + y) * math.exp(-y)) / (rate * rate)


def phi_inverse(value: float, term: float) -> float:
    """Return the rate for which phi(rate, term) == value: positive when value < term, negative above it.

    Relative error of phi at the answer about 1e-15. Raises ModelError unless term > 0 and 0 < value < infinity.

    >>> abs(phi_inverse(90.0, 90.0)) < 1e-16
    True
    """
    if not 0.0 < term < math.inf:
        raise refused("term", f"{term!r} is not above 0", "no rate can be read from a contract that has ended")
    if not 0.0 < value < math.inf:
        raise refused("value", f"{value!r} is not above 0", "the price must be positive and finite")
    mean = value / term
    low, high = -1.0, 1.0
    while phi(low, 1.0) < mean:
        low *= 2.0
    while phi(high, 1.0) > mean:
        high *= 2.0
    return falling_root(lambda y: phi(y, 1.0), mean, low, high) / term


def lambert_w(z: float) -> float:
    """Return w >= -1 with w e^w = z, the principal branch of Lambert's W, for z >= -1/e.

    Halley's iteration (Corless et al. 1996, eq. 5.9) from a series start. Relative error below 1e-14 for
    z > -0.36; nearer to -1/e the root itself is ill-conditioned, and w e^w meets z to 1e-15.
    Raises ModelError below -1/e, where no real w exists.

    >>> lambert_w(0.0), round(lambert_w(1.0), 15)
    (0.0, 0.567143290409784)
    """
    checked("z", z, -0.36787944117144233, math.inf, "w e^w never falls below -1/e")
    if z == 0.0 or z == math.inf:
        return z
    w = _lambert_start(z)
    if w == -1.0:
        return w
    for _ in range(50):
        excess = w - z * math.exp(-w)
        step = excess / (w + 1.0 - (w + 2.0) * excess / (2.0 * w + 2.0))
        w -= step
        if abs(step) <= 1e-16 * abs(w):
            break
    return w


def _lambert_start(z: float) -> float:
    """Return a first guess, good to a few per cent: the branch-point series below 0, logarithms above."""
    if z < 0.0:
        p = math.sqrt(max(0.0, 2.0 * (math.e * z + 1.0)))
        return max(-1.0, -1.0 + p * (1.0 - p * (1 / 3 - p * 11 / 72))) if z < -0.1 else z * (1.0 - z)
    log = math.log1p(z)
    return log * (1.0 - math.log1p(log) / (2.0 + log))
