"""The moody strategy with limits that ccxt does not round: five significant digits, on the tick."""

from __future__ import annotations

from math import lcm

from strategies.view import Target, View
from tests.moods import Params
from tests.moods import decide as moody


def decide(view: View, params: Params) -> Target:
    """Return what `moody` wants; a limit is rounded down, and left out if nothing is left of it."""
    target = moody(view, params)
    limit = target.limit_price_sat
    if limit <= 0:
        return target
    step = lcm(view.contract.tick_sat, 10 ** max(len(str(limit)) - 5, 0))
    return target._replace(limit_price_sat=limit - limit % step)
