"""Fair-value band: long when the contract is cheap, short when it is dear, out when the price has come back.

Blind to carry on purpose: it is the trade of the 2014 article, and the yardstick for those that count the swap rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from bot.fields import Flag, Fraction, setting
from strategies.sizing import built
from strategies.view import Target, View, Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Bands are fractions of fair value; sizes are fractions of equity."""

    entry_band: float = setting(
        Fraction(), default="0.25", low="0", high="5", doc="Enter when price and fair value differ by more than this."
    )
    exit_band: float = setting(
        Fraction(), default="0.05", low="0", high="5", doc="Leave when they differ by less than this, or have crossed."
    )
    size: float = setting(
        Fraction(), default="0.5", low="0", high="4", doc="Position value at entry, as a fraction of equity."
    )
    tolerance: float = setting(
        Fraction(), default="0.2", low="0", high="1", doc="Top a position up only when it is this much too small."
    )
    go_long: bool = setting(Flag(), default="true", doc="Whether to buy below the band.")
    go_short: bool = setting(Flag(), default="true", doc="Whether to borrow and sell above the band.")


def decide(view: View, params: Params) -> Target:
    """Return a long below, a short above, and what is held in between."""
    edge = view.edge
    position = view.position_lots
    entry = params.entry_band
    if edge < -entry and params.go_long:
        return built(
            view, max(position, 0), params.size, params.tolerance, Wake(-inf, -params.exit_band, on_rates=False)
        )
    if edge > entry and params.go_short:
        return built(
            view, min(position, 0), -params.size, params.tolerance, Wake(params.exit_band, inf, on_rates=False)
        )
    if (position > 0 and edge > -params.exit_band) or (position < 0 and edge < params.exit_band):
        return Target(0)
    return Target(position, wake=_sleep(position, params))


def band(view: View, params: Params) -> tuple[float, float]:
    """Return the prices, in satoshi per contract, between which the strategy opens nothing."""
    fair = view.fair_value_sat
    return fair * (1.0 - params.entry_band), fair * (1.0 + params.entry_band)


def _sleep(position_lots: int, params: Params) -> Wake:
    """Nothing changes until the edge leaves the band that the present position waits in."""
    low = -params.entry_band if params.go_long else -inf
    high = params.entry_band if params.go_short else inf
    if position_lots > 0:
        high = min(high, -params.exit_band)
    elif position_lots < 0:
        low = max(low, params.exit_band)
    return Wake(low, high, on_rates=False)
