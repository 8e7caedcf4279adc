"""Own and lend: buy the contract outright, collect the dividends and lend it to short sellers.

In 2014 the lenders took the short sellers' profit. It buys when what a lender gets is worth more than the price.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.fields import Fraction, setting
from strategies.view import Target, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Margins are fractions of the ask; sizes are fractions of equity."""

    margin: float = setting(
        Fraction(), default="0", low="-1", high="5", doc="Buy when the value to a lender exceeds the ask by this."
    )
    exit_margin: float = setting(
        Fraction(), default="-1", low="-1", high="5", doc="Sell when it falls below the bid by this; -1: never."
    )
    size: float = setting(Fraction(), default="0.5", low="0", high="1", doc="Position value, as a fraction of equity.")
    lend: float = setting(Fraction(), default="1", low="0", high="1", doc="Share of the owned contracts to lend out.")


def decide(view: View, params: Params) -> Target:
    """Return an owned position, lent out at the market's rate, while a lender's value justifies it."""
    held = view.position_lots
    value = view.fair_lender_sat
    if held == 0:
        if value < view.ask_sat * (1.0 + params.margin):
            return Target(0)
        return Target(view.lots_for(params.size))
    if value < view.bid_sat * (1.0 + params.exit_margin):
        return Target(0)
    return Target(held, lend_lots=int(held * params.lend))
