"""A walk as one SVG: the stitched result day by day, and what each window promised against what it kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from backtests.walk_forward import days_of
from bot.core.units import NS_PER_S, SAT_PER_BTC
from bot.drawing import ACCENT, SECOND, SOFT, Line, Panel, svg
from bot.studies.walk_forward import Walked, days


def plot(walked: Sequence[Walked], simulated: bool) -> str:
    """Return the drawing of every walk, one below the other."""
    panels = [panel for one in walked for panel in (_stitched(one), _kept(one))]
    note = "SIMULATED PRICES" if simulated else ""
    return svg("Walk-forward", panels, note)


def _stitched(one: Walked) -> Panel:
    first, last = one.steps[0].window.test_ns, one.steps[-1].window.end_ns
    times = [time_ns / NS_PER_S for time_ns in days_of(first, last)]
    marks = [(step.window.test_ns / NS_PER_S, str(number)) for number, step in enumerate(one.steps, 1)]
    return Panel(
        f"{one.space.name}: out of sample, chosen anew at each mark",
        "UTC",
        "BTC",
        [
            Line(_points(times, one.daily_sat), ACCENT, "chosen by walk-forward"),
            Line(_points(times, one.configured_sat), SECOND, "as configured", dashed=True),
        ],
        marks=marks,
        x_is_time=True,
    )


def _points(times: Sequence[float], daily_sat: Sequence[int]) -> list[tuple[float, float]]:
    levels = accumulate((value / SAT_PER_BTC for value in daily_sat), initial=0.0)
    return list(zip(times, levels, strict=True))


def _kept(one: Walked) -> Panel:
    inside, outside = [], []
    for step in one.steps:
        train_ns, test_ns, end_ns = step.window
        inside.append((test_ns / NS_PER_S, step.train.net_sat / SAT_PER_BTC / days(train_ns, test_ns)))
        outside.append((test_ns / NS_PER_S, step.test_sat / SAT_PER_BTC / days(test_ns, end_ns)))
    flat = [(one.steps[0].window.test_ns / NS_PER_S, 0.0), (one.steps[-1].window.end_ns / NS_PER_S, 0.0)]
    return Panel(
        f"{one.space.name}: profit a day, by the start of the test",
        "UTC",
        "BTC a day",
        [
            Line(flat, SOFT, width=1.0),
            Line(inside, SECOND, "in sample", dashed=True, dots=True),
            Line(outside, ACCENT, "out of sample", dots=True),
        ],
        x_is_time=True,
    )
