"""Hold to expiry, short: borrow and sell once, pay swap and dividends, owe a worthless contract at the end.

What the article's reader would have done; whether it pays is decided by the swap rates on the way.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.fields import Fraction, setting
from strategies.view import Target, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Size is a fraction of equity at the first decision."""

    size: float = setting(Fraction(), default="0.5", low="0", high="4", doc="Position value, as a fraction of equity.")


def decide(view: View, params: Params) -> Target:
    """Return a short of the wanted size until one is held, then whatever is held."""
    held = view.position_lots
    return Target(held) if held < 0 else Target(-view.lots_for(params.size))
