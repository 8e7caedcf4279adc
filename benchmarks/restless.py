"""A strategy that trades all the time: one lot or none, in turn, every eighty seconds."""

from __future__ import annotations

from typing import Final

from bot.core.units import NS_PER_S
from strategies.fair_value_band import Params
from strategies.view import Target, View

__all__ = ["Params", "decide"]
_PATIENCE_NS: Final = 80 * NS_PER_S


def decide(view: View, params: Params) -> Target:
    """Return one lot or none, in turn: little enough to last the term."""
    return Target(view.time_ns // _PATIENCE_NS % 2)
