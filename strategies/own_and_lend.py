"""Own and lend: buy the contract outright, collect the dividends and lend it to short sellers.

In 2014 the lenders took the short sellers' profit. It buys when what a lender gets is worth more than the price.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bot.fields import Fraction, Size, setting
from strategies.view import Target, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Margins are fractions of the price."""

    margin: float = setting(
        Fraction(), default="0", low="-1", high="5", doc="Buy when the value to a lender exceeds the ask by this."
    )
    exit_margin: float = setting(
        Fraction(), default="-1", low="-1", high="5", doc="Sell when it falls below the bid by this; -1: never."
    )
    size: Decimal = setting(
        Size(), default="10 contracts", low="0 contracts", high="1000000 contracts", doc="How much to own."
    )
    lend: float = setting(Fraction(), default="1", low="0", high="1", doc="Share of the owned contracts to lend out.")


def decide(view: View, params: Params) -> Target:
    """Return an owned position, lent out at the market's rate, while a lender's value justifies it."""
    held = view.position_lots
    wanted = view.lots_of(params.size)
    value = view.fair_lender_sat
    if held > 0 and value < view.bid_sat * (1.0 + params.exit_margin):
        return Target(0)
    if held < wanted and value > view.ask_sat * (1.0 + params.margin):
        held = wanted
    return Target(held, lend_lots=int(held * params.lend))
