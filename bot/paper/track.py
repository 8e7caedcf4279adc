"""The recent past of one strategy for a chart, in bounded memory: when it is full, every other point goes."""

from __future__ import annotations

from typing import Final

from bot.paper.snapshot import Snapshot

MOST_POINTS: Final = 1_200
Point = tuple[int, int, int | None, int, int, int, int]
"""(time in ms, price, fair value, band's low, band's high, equity, position): satoshi per contract, satoshi, lots."""


class Track:
    """Points in order of time, never two of one time, the newest always among them."""

    __slots__ = ("_gap_ms", "points")

    def __init__(self) -> None:
        self.points: list[Point] = []
        self._gap_ms = 0

    def add(self, each: Snapshot) -> None:
        """Take in a snapshot; one of the time of the last, or too close behind it, takes its place."""
        if each.price_sat == 0:
            return
        time_ms = each.time_ns // 1_000_000  # rounded down
        money = (each.price_sat, each.fair_sat, each.low_sat, each.high_sat, each.equity_sat)
        point: Point = (time_ms, *money, each.position_lots)
        points = self.points
        if points and time_ms <= points[-1][0]:
            points[-1] = point
            return
        if len(points) > 1 and time_ms - points[-2][0] < self._gap_ms:
            points[-1] = point
            return
        points.append(point)
        if len(points) > MOST_POINTS:
            last = points[-1]
            self.points = [*points[:-1:2], last]
            self._gap_ms = 2 * max(self._gap_ms, (last[0] - points[0][0]) // MOST_POINTS)  # rounded down
