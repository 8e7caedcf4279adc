"""The fair-value band that never sleeps: it is asked at every bar, and answers alike."""

from __future__ import annotations

from strategies.fair_value_band import Params
from strategies.fair_value_band import decide as _decided
from strategies.view import Target, View

__all__ = ["Params", "decide"]


def decide(view: View, params: Params) -> Target:
    """Decide as fair_value_band does, and never sleep."""
    return Target(_decided(view, params).position_lots)
