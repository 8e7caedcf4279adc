"""Sizes that do not churn: a position is topped up only when it has fallen well behind what is wanted."""

from __future__ import annotations

from strategies.view import Target, View, Wake

ROUNDING = 1e-9
"""More than floats lose where an exposure is worked out: what wakes a strategy rather too early than too late."""


def grown(position_lots: int, wanted_lots: int, tolerance: float) -> int:
    """Return the target that builds a position towards `wanted_lots` (signed) and then leaves it alone.

    A position on the same side that is at least (1 - tolerance) of the wanted size is kept as it is, also when it is
    larger: equity and price move the wanted size at every event, and following them would pay fees for nothing.

    >>> grown(0, 100, 0.2), grown(85, 100, 0.2), grown(60, 100, 0.2), grown(-130, -100, 0.2), grown(50, -100, 0.2)
    (100, 85, 100, -130, -100)
    """
    same_side = position_lots * wanted_lots > 0
    if same_side and abs(position_lots) >= (1.0 - tolerance) * abs(wanted_lots):
        return position_lots
    return wanted_lots


def is_full(position_lots: int, most_lots: int, tolerance: float) -> bool:
    """Return whether a position is at least (1 - tolerance) of the largest that the limits allow, on either side.

    What is wanted beyond that could not be had, and the rest is within the tolerance: a strategy that asks for this
    first, before `grown`, leaves such a position alone and may sleep.

    >>> is_full(79, 100, 0.2), is_full(80, 100, 0.2), is_full(-100, 100, 0.2), is_full(0, 100, 1.0)
    (False, True, True, False)
    """
    return position_lots != 0 and abs(position_lots) >= (1.0 - tolerance) * most_lots


def kept_exposures(position_lots: int, fraction: float, tolerance: float) -> tuple[float, float]:
    """Return the least and the greatest exposure at which `grown` surely keeps a position.

    For a position on the side of the `fraction` of equity that is wanted (View.lots_for). Below the least it is topped
    up; above the greatest less than one lot is wanted, so none is.

    >>> kept_exposures(-50, 0.5, 0.2)
    (0.40000000040000006, 24.999999975)
    """
    return (1.0 - tolerance) * fraction * (1.0 + ROUNDING), abs(position_lots) * fraction * (1.0 - ROUNDING)


def built(view: View, held: int, fraction: float, tolerance: float, wake: Wake) -> Target:
    """Return the target that builds what is held on one side towards `fraction` of equity, negative for a short.

    Once it is there it sleeps until it is left, as `wake` says, or has to be topped up.
    """
    if is_full(held, view.most_lots, tolerance):
        return Target(held, wake=wake)
    wanted = view.lots_for(fraction) if fraction > 0.0 else -view.lots_for(-fraction)
    lots = grown(held, wanted, tolerance)
    if lots == 0 or lots != held:
        return Target(lots)
    least, most = kept_exposures(held, abs(fraction), tolerance)
    return Target(held, wake=Wake(wake.low_edge, wake.high_edge, wake.at_ns, least, most, wake.on_rates))
