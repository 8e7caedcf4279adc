"""One-dimensional integrals of smooth functions: composite Gauss-Legendre, eight points to a panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_HALF_NODES: Final = (
    (0.1834346424956498, 0.3626837833783620),
    (0.5255324099163290, 0.3137066458778873),
    (0.7966664774136267, 0.2223810344533745),
    (0.9602898564975363, 0.1012285362903763),
)
"""Positive nodes and weights on [-1, 1]. Source: Abramowitz & Stegun, table 25.4, n = 8."""


def integral(function: Callable[[float], float], low: float, high: float, panels: int = 32) -> float:
    """Return int_low^high of a smooth `function` by 8-point Gauss-Legendre on equal panels.

    The error per panel of width w is about w^17 f^(16) / 3e20: for e^{a u} below 1e-15 relative while
    |a| (high - low) < 60.

    >>> round(integral(lambda u: u**3, 0.0, 2.0), 14)
    4.0
    """
    half = 0.5 * (high - low) / panels
    total = 0.0
    for panel in range(panels):
        middle = low + (2 * panel + 1) * half
        for node, weight in _HALF_NODES:
            total += weight * (function(middle - half * node) + function(middle + half * node))
    return half * total
