"""Hold to expiry, long: buy once, collect every dividend, end with a worthless contract."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import inf

from bot.fields import Flag, Size, setting
from strategies.view import Target, View, Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """The size is fixed, so that nothing is traded again once it is held."""

    size: Decimal = setting(
        Size(), default="10 contracts", low="0 contracts", high="1000000 contracts", doc="How much to buy."
    )
    financed: bool = setting(Flag(), default="false", doc="Buy on margin with borrowed bitcoin.")


def decide(view: View, params: Params) -> Target:
    """Return the wanted long, always."""
    return Target(view.lots_of(params.size), financed=params.financed, wake=Wake(-inf, inf, on_rates=False))
