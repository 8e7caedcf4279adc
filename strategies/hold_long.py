"""Hold to expiry, long: buy once, collect every dividend, end with a worthless contract."""

from __future__ import annotations

from dataclasses import dataclass

from bot.fields import Flag, Fraction, setting
from strategies.view import Target, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Size is a fraction of equity at the first decision."""

    size: float = setting(Fraction(), default="0.5", low="0", high="4", doc="Position value, as a fraction of equity.")
    financed: bool = setting(Flag(), default="false", doc="Buy on margin with borrowed bitcoin.")


def decide(view: View, params: Params) -> Target:
    """Return a long of the wanted size until it is held, then whatever is held: it is never traded again."""
    held = view.position_lots
    if held > 0:
        return Target(held, financed=params.financed)
    return Target(view.lots_for(params.size), financed=params.financed)
