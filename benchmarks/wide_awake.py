"""A strategy that never sleeps: asked at every quote, it wants something else every ten minutes."""

from __future__ import annotations

from typing import Final

from bot.core.units import NS_PER_S
from strategies.fair_value_band import Params
from strategies.fair_value_band import decide as _valued
from strategies.view import Target, View

__all__ = ["Params", "decide"]
_PATIENCE_NS: Final = 600 * NS_PER_S


def decide(view: View, params: Params) -> Target:
    """Return one contract or none, in turn, after doing all that the fair-value band does."""
    _valued(view, params)
    return Target(100 * (view.time_ns // _PATIENCE_NS % 2))
