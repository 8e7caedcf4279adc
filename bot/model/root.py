"""Where a falling function meets a price: bisection, which no kink, plateau or overflow can lead astray."""

from __future__ import annotations

from collections.abc import Callable

_MOST_HALVINGS = 2_000  # below the 1,075 + 1,024 powers of two that lie between the two largest floats


def falling_root(function: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Return x in [low, high] where a falling `function` crosses `level`, to the last bit that floats resolve.

    Needs function(low) >= level >= function(high). The answer is the midpoint at which the bracket no longer
    shrinks, or has become narrower than 1e-18, whichever comes first.

    >>> round(falling_root(lambda x: -x * x, -2.0, 0.0, 2.0), 15)
    1.414213562373095
    """
    for _ in range(_MOST_HALVINGS):
        middle = low + 0.5 * (high - low)
        if not low < middle < high or high - low < 1e-18:
            break
        if function(middle) >= level:
            low = middle
        else:
            high = middle
    return low + 0.5 * (high - low)
