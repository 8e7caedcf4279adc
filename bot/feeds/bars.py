"""Bars made of trades: exact, and closed only when nothing more can come."""

from __future__ import annotations

from bot.core.events import Bar


class BarBuilder:
    """Gathers trades in order of time into bars of one length, aligned to 1970. A window without a trade has no bar."""

    __slots__ = ("_bar", "_closed_ns", "_interval_ns")

    def __init__(self, interval_ns: int, begin_ns: int) -> None:
        """Begin with the first whole window at or after `begin_ns`: one that was not seen from its start is no bar."""
        self._interval_ns = interval_ns
        self._closed_ns = -(-begin_ns // interval_ns) * interval_ns  # rounded up
        self._bar: Bar | None = None

    @property
    def closed_ns(self) -> int:
        """The time up to which everything is told: a trade before it comes too late."""
        return self._closed_ns

    def add(self, time_ns: int, price_sat: int, lots: int) -> Bar | None:
        """Take in a trade at or after `closed_ns`; return the bar that it ends by lying behind it."""
        opens_ns = time_ns - time_ns % self._interval_ns
        bar, ended = self._bar, None
        if bar is not None and opens_ns >= bar.close_ns:
            ended, bar = bar, None
            self._closed_ns = ended.close_ns
        if bar is None:
            flat = (price_sat, price_sat, price_sat, price_sat)
            self._bar = Bar(opens_ns, opens_ns + self._interval_ns, *flat, lots)
        else:
            high, low = max(bar.high_sat, price_sat), min(bar.low_sat, price_sat)
            volume = bar.volume_lots + lots
            self._bar = bar._replace(high_sat=high, low_sat=low, close_sat=price_sat, volume_lots=volume)
        return ended

    def close_due(self, now_ns: int) -> Bar | None:
        """Return the bar whose window is over at `now_ns`, if there is one."""
        bar = self._bar
        if bar is not None and bar.close_ns <= now_ns:
            self._bar = None
            self._closed_ns = bar.close_ns
            return bar
        return None
