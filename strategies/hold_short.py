"""Hold to expiry, short: borrow and sell, pay swap and dividends, owe a worthless contract at the end.

What the article's reader would have done; whether it pays is decided by the swap rates on the way. Where the pool runs
dry the venue covers the short, and it is built again as soon as somebody lends.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import inf

from bot.fields import Size, setting
from strategies.view import Target, View, Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """The size is fixed, so that nothing is traded again once it is held."""

    size: Decimal = setting(
        Size(), default="10 contracts", low="0 contracts", high="1000000 contracts", doc="How much to sell short."
    )


def decide(view: View, params: Params) -> Target:
    """Return the wanted short, always."""
    return Target(-view.lots_of(params.size), wake=Wake(-inf, inf, on_rates=False))
