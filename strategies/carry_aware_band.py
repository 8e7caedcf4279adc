"""Carry-aware band: short only where the premium pays the swap while it expects to hold, long net of financing.

A short gains the part of the premium that it expects to decay over its horizon and pays the swap rate on the price, a
spread and two fees; a long must find the price below the value that a financed owner gets (bot.model: value to a long).
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.core.events import CONTRACT
from bot.core.units import NS_PER_DAY, PPB, PPM
from bot.fields import Duration, Fraction, setting
from strategies.sizing import grown
from strategies.view import Target, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Margins are fractions of the price; sizes are fractions of equity."""

    horizon_ns: int = setting(
        Duration(), key="horizon", default="20 d", low="1 h", high="365 d", doc="How long it expects to hold a short."
    )
    reversion: float = setting(
        Fraction(), default="0.6", low="0", high="1", doc="Share of the premium expected to be gone by then."
    )
    margin: float = setting(
        Fraction(), default="0.05", low="0", high="5", doc="Profit demanded beyond carry and costs, of the price."
    )
    exit_margin: float = setting(
        Fraction(), default="-0.02", low="-5", high="5", doc="Leave when the expected profit falls below this."
    )
    size: float = setting(
        Fraction(), default="0.5", low="0", high="4", doc="Position value at entry, as a fraction of equity."
    )
    tolerance: float = setting(
        Fraction(), default="0.2", low="0", high="1", doc="Top a position up only when it is this much too small."
    )


def decide(view: View, params: Params) -> Target:
    """Return a long or a short whose expected profit net of carry and costs exceeds the margin; else hold or leave."""
    position = view.position_lots
    short_profit = expected_short_profit(view, params)
    long_profit = expected_long_profit(view)
    if short_profit > params.margin and view.borrowable(CONTRACT) > 0:
        return Target(grown(position, -view.lots_for(params.size), params.tolerance))
    if long_profit > params.margin:
        return Target(grown(position, view.lots_for(params.size), params.tolerance))
    if position < 0 and short_profit < params.exit_margin:
        return Target(0)
    if position > 0 and long_profit < params.exit_margin:
        return Target(0)
    return Target(position)


def band(view: View, params: Params) -> tuple[float, float]:
    """Return the prices, in satoshi per contract, between which nothing is opened at today's rates and spread."""
    low = view.fair_long_sat / (1.0 + params.margin + view.contract.taker_fee_ppm / PPM)
    horizon_days = min(params.horizon_ns, view.to_expiry_ns) / NS_PER_DAY
    demanded = params.margin + view.swap_rate_ppb_day(CONTRACT) / PPB * horizon_days + round_trip(view)
    room = params.reversion - demanded
    return low, params.reversion * view.fair_value_sat / room if room > 0.0 else 0.0


def expected_short_profit(view: View, params: Params) -> float:
    """Return the profit of a short over its horizon as a fraction of the bid: premium decay - swap - costs."""
    bid = view.bid_sat
    horizon_days = min(params.horizon_ns, view.to_expiry_ns) / NS_PER_DAY
    decay = params.reversion * (bid - view.fair_value_sat) / bid
    swap = view.swap_rate_ppb_day(CONTRACT) / PPB * horizon_days
    return decay - swap - round_trip(view)


def expected_long_profit(view: View) -> float:
    """Return the profit of a long held to expiry as a fraction of the ask, financing deducted, one entry's costs."""
    return view.fair_long_sat / view.ask_sat - 1.0 - view.contract.taker_fee_ppm / PPM


def round_trip(view: View) -> float:
    """Return what buying and selling back costs, as a fraction of the mark: spread and two taker fees."""
    return (view.ask_sat - view.bid_sat) / view.price_sat + 2 * view.contract.taker_fee_ppm / PPM
