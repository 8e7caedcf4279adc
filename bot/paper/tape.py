"""What the market showed: the last quote or bar, and candles of a minute and more made from what was seen."""

from __future__ import annotations

from typing import Final, NamedTuple

from bot.core.events import Bar, Quote
from bot.core.units import NS_PER_S

MINUTE_NS: Final = 60 * NS_PER_S
DAY_NS: Final = 1440 * MINUTE_NS


class Candle(NamedTuple):
    """Prices in satoshi per contract and lots traded from `time_ns` on, for as long as the candle is."""

    time_ns: int
    open_sat: int
    close_sat: int
    high_sat: int
    low_sat: int
    volume_lots: int


class Tape:
    """Candles of one minute, oldest first (a bar is one candle, at its opening time), and the last quote or bar.

    A quote counts with its mid, rounded down: there is no print in a history of quotes. `seen` counts what was seen.
    """

    def __init__(self) -> None:
        self.minutes: list[Candle] = []
        self.quote: Quote | None = None
        self.bar: Bar | None = None
        self.seen = 0

    def see(self, event: object) -> None:
        """Take in a quote or a closed bar; anything else is no price."""
        if isinstance(event, Quote):
            self.quote, self.bar = event, None
            price = (event.bid_sat + event.ask_sat) // 2  # rounded down
            self._add(Candle(event.time_ns // MINUTE_NS * MINUTE_NS, price, price, price, price, 0))
        elif isinstance(event, Bar):
            self.quote, self.bar = None, event
            start = event.time_ns // MINUTE_NS * MINUTE_NS  # rounded down
            self._add(Candle(start, event.open_sat, event.close_sat, event.high_sat, event.low_sat, event.volume_lots))

    def _add(self, candle: Candle) -> None:
        self.seen += 1
        if self.minutes and self.minutes[-1].time_ns >= candle.time_ns:
            self.minutes[-1] = joined([self.minutes[-1], candle], self.minutes[-1].time_ns)
        else:
            self.minutes.append(candle)

    def candles(self, step_ns: int, start_ns: int, end_ns: int, most: int, newest_first: bool) -> list[Candle]:
        """Return at most `most` candles of `step_ns` (whole minutes) that begin in start..end, in the order asked."""
        made: list[Candle] = []
        rows = reversed(self.minutes) if newest_first else iter(self.minutes)
        group: list[Candle] = []
        slot = -1
        for row in rows:
            at = row.time_ns // step_ns * step_ns  # rounded down
            if group and at != slot:
                made.append(joined(group if not newest_first else group[::-1], slot))
                group = []
                if len(made) == most:
                    return made
            if start_ns <= at <= end_ns:
                slot = at
                group.append(row)
        if group:
            made.append(joined(group if not newest_first else group[::-1], slot))
        return made[:most]

    def day(self) -> Candle | None:
        """Return the last 24 hours as one candle, or None if nothing was seen yet."""
        if not self.minutes:
            return None
        since = self.minutes[-1].time_ns - DAY_NS
        rows = []
        for row in reversed(self.minutes):
            if row.time_ns <= since:
                break
            rows.append(row)
        return joined(rows[::-1], rows[-1].time_ns)


def joined(rows: list[Candle], time_ns: int) -> Candle:
    """Return candles in their order as one that begins at `time_ns`."""
    return Candle(
        time_ns,
        rows[0].open_sat,
        rows[-1].close_sat,
        max(row.high_sat for row in rows),
        min(row.low_sat for row in rows),
        sum(row.volume_lots for row in rows),
    )
