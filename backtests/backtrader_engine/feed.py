"""The feed of the backtrader engine: one line per market event, from memory."""

from __future__ import annotations

from array import array
from typing import Final

import backtrader as bt

from backtests.backtrader_engine.refusals import refused
from backtests.plan import Plan
from bot.core.events import Bar, Quote
from bot.core.units import NS_PER_DAY, NS_PER_S, S_PER_DAY

UNIX_EPOCH_DAY: Final = 719_163
"""1970-01-01 as backtrader counts days: from the year 1."""


def market_events(plan: Plan) -> list[Bar] | list[Quote]:
    """Return the market events of the run, in order: those that lie wholly between its start and its end."""
    start, end = plan.settings.start_ns, plan.end_ns
    if plan.history.bars:
        return [bar for bar in plan.history.bars if start <= bar.time_ns and bar.close_ns <= end]
    return [quote for quote in plan.history.quotes if start <= quote.time_ns <= end]


class MarketFeed(bt.feed.DataBase):  # type: ignore[misc]
    """One line per market event, then one for the end of the run.

    A bar's time is its close; a quote's open, high, low and close are its mid (rounded down), its volume both
    displayed sizes. The last line repeats the last price, or is 0 when the contract has expired by then.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self._rows: list[tuple[float, ...]] = []
        self._at = 0
        self._timeframe, self._compression = _timeframe(plan)
        self.p.timeframe, self.p.compression = self._timeframe, self._compression

    def start(self) -> None:
        """Lay out the rows. Raises UnsupportedError for filters, resampling and replay: they would drop events."""
        super().start()
        if self._filters or self.resampling or self.replaying or self.p.fromdate or self.p.todate:
            raise refused("filters, resample, replay, fromdate and todate", "every event settles; cut the plan")
        self._rows = _rows(self.plan)
        self._at = 0

    def preload(self) -> None:
        """Fill the lines at once: a line is an array, and `load` would set each of its values through six calls."""
        if any(line.extension for line in self.lines):
            super().preload()
            return
        for line, values in zip(self.lines, zip(*self._rows, strict=True), strict=True):
            line.array = array("d", values)
        self.home()

    def _load(self) -> bool:
        if self._at == len(self._rows):
            return False
        for line, value in zip(self.lines, self._rows[self._at], strict=True):
            line[0] = value
        self._at += 1
        return True

    def _tick_nullify(self) -> None:
        """Keep no ticks: they serve replay and backtrader's own broker, and would cost a third of a line's time."""

    def _tick_fill(self, force: bool = False) -> None:
        """Keep no ticks."""


def _rows(plan: Plan) -> list[tuple[float, ...]]:
    """Return the lines' values in backtrader's order: close, low, high, open, volume, open interest, day."""
    rows: list[tuple[float, ...]] = []
    price_sat = 0
    for event in market_events(plan):
        if isinstance(event, Bar):
            time_ns, price_sat = event.close_ns, event.close_sat
            prices = (price_sat, event.low_sat, event.high_sat, event.open_sat)
            volume = event.volume_lots
        else:
            time_ns, price_sat = event.time_ns, (event.bid_sat + event.ask_sat) // 2
            prices = (price_sat, price_sat, price_sat, price_sat)
            volume = event.bid_size_lots + event.ask_size_lots
        rows.append((*prices, volume, 0, UNIX_EPOCH_DAY + time_ns / NS_PER_DAY))
    last_sat = 0 if plan.end_ns >= plan.settings.contract.end_ns else price_sat
    rows.append((last_sat, last_sat, last_sat, last_sat, 0, 0, UNIX_EPOCH_DAY + plan.end_ns / NS_PER_DAY))
    return rows


def _timeframe(plan: Plan) -> tuple[int, int]:
    """Return backtrader's timeframe and compression of the plan's history: what its analyzers annualise by."""
    bars = plan.history.bars
    if not bars:
        return bt.TimeFrame.Seconds, 1  # backtrader's analyzers fail on anything finer
    seconds = (bars[0].close_ns - bars[0].time_ns) // NS_PER_S
    for timeframe, length_s in ((bt.TimeFrame.Days, S_PER_DAY), (bt.TimeFrame.Minutes, 60)):
        if seconds and seconds % length_s == 0:
            return timeframe, seconds // length_s
    return bt.TimeFrame.Seconds, max(seconds, 1)
