"""What the market showed: the last quote or bar, and candles of a minute and more made from what was seen."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, MutableSequence
from operator import attrgetter
from typing import Any, Final, NamedTuple, cast

from bot.core.events import Bar, Quote
from bot.core.units import NS_PER_S
from bot.paper.checkpoint.past import Past, Row, Tail
from bot.paper.checkpoint.plain import made, plain
from bot.paper.entries import decode, encode

MINUTE_NS: Final = 60 * NS_PER_S
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS
KEPT_MINUTES: Final = 3_000
KEPT_HOURS: Final = 2_500
"""Two days of minutes, and hours for a hundred candles of a day, stay in memory."""
_AT_ONCE: Final = 512


class Candle(NamedTuple):
    """Prices in satoshi per contract and lots traded from `time_ns` on, for as long as the candle is."""

    time_ns: int
    open_sat: int
    close_sat: int
    high_sat: int
    low_sat: int
    volume_lots: int


class Tape:
    """Candles of a minute and of an hour, oldest first (a bar is one candle, at its opening time), and the last price.

    A quote counts with its mid, rounded down: there is no print in a history of quotes. `seen` counts what was seen.
    With a `past`, memory holds the newest candles and the journal's file the others.
    """

    def __init__(self, past: Past | None = None) -> None:
        self._past = past
        self.begin()

    def begin(self) -> None:
        """Forget all that was seen."""
        self.quote: Quote | None = None
        self.bar: Bar | None = None
        self.seen = 0
        self.minutes, self.hours = (self._candles(kind, 0, kept) for kind, kept in _KINDS)

    def _candles(self, kind: str, count: int, kept: int) -> MutableSequence[Candle]:
        if self._past is None:
            return []
        return cast("MutableSequence[Candle]", Tail(self._past, kind, Candle, count, kept=kept))

    def see(self, event: object) -> None:
        """Take in a quote or a closed bar; anything else is no price."""
        if isinstance(event, Quote):
            self.quote, self.bar = event, None
            price = (event.bid_sat + event.ask_sat) // 2  # rounded down
            self._add(Candle(event.time_ns, price, price, price, price, 0))
        elif isinstance(event, Bar):
            self.quote, self.bar = None, event
            prices = (event.open_sat, event.close_sat, event.high_sat, event.low_sat)
            self._add(Candle(event.time_ns, *prices, event.volume_lots))

    def _add(self, candle: Candle) -> None:
        self.seen += 1
        for candles, step_ns in ((self.minutes, MINUTE_NS), (self.hours, HOUR_NS)):
            start = candle.time_ns // step_ns * step_ns  # rounded down
            if candles and candles[-1].time_ns >= start:
                candles[-1] = joined([candles[-1], candle], candles[-1].time_ns)
            else:
                candles.append(candle._replace(time_ns=start))

    def candles(self, step_ns: int, start_ns: int, end_ns: int, most: int, newest_first: bool) -> list[Candle]:
        """Return at most `most` candles of `step_ns` (whole minutes) that begin in start..end, in the order asked."""
        made: list[Candle] = []
        group: list[Candle] = []
        slot = -1
        for row in self._within(step_ns, start_ns, end_ns, newest_first):
            at = row.time_ns // step_ns * step_ns  # rounded down
            if group and at != slot:
                made.append(joined(group if not newest_first else group[::-1], slot))
                group = []
                if len(made) == most:
                    return made
            slot = at
            group.append(row)
        if group:
            made.append(joined(group if not newest_first else group[::-1], slot))
        return made[:most]

    def _within(self, step_ns: int, start_ns: int, end_ns: int, newest_first: bool) -> Iterator[Candle]:
        """Yield the candles that candles of `step_ns` which begin in start..end are made of."""
        rows = self.hours if step_ns % HOUR_NS == 0 else self.minutes
        low = bisect_left(rows, -(-start_ns // step_ns) * step_ns, key=_time)  # rounded up
        high = bisect_left(rows, (end_ns // step_ns + 1) * step_ns, key=_time)  # rounded down
        for done in range(0, max(high - low, 0), _AT_ONCE):
            if newest_first:
                yield from reversed(rows[max(high - done - _AT_ONCE, low) : high - done])
            else:
                yield from rows[low + done : min(low + done + _AT_ONCE, high)]

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

    # Kept with a checkpoint ---------------------------------------------------------------------------------

    def unkept(self) -> list[Row]:
        """Return the rows of the candles that are over and not in the file yet."""
        return [row for candles in self._tails() for row in candles.unkept(but=1)]

    def keep(self) -> None:
        """Take note that they are."""
        for candles in self._tails():
            candles.keep(but=1)

    def _tails(self) -> list[Tail[Candle]]:
        tails: list[Any] = [self.minutes, self.hours]
        return [candles for candles in tails if isinstance(candles, Tail)]

    def document(self) -> dict[str, Any]:
        """Return what a tape must know to go on, as plain values: what is over is only counted."""
        last = self.quote or self.bar
        return {
            "seen": self.seen,
            "last": None if last is None else [type(last).__name__, encode(last)],
            "candles": [[max(len(c) - 1, 0), plain(list(c[-1:]))] for c in (self.minutes, self.hours)],
        }

    def resume(self, document: dict[str, Any]) -> None:
        """Go on from a document. Raises ValueError, KeyError or TypeError for one that is none."""
        self.begin()
        self.seen = made(int, document["seen"])
        if document["last"] is not None:
            last = decode(*made(list[str], document["last"]))
            self.quote, self.bar = (last, None) if isinstance(last, Quote) else (None, last)
        resumed = []
        for (kind, kept), (count, last) in zip(_KINDS, document["candles"], strict=True):
            candles = self._candles(kind, made(int, count), kept)
            for candle in made(list[Candle], last):
                candles.append(candle)
            resumed.append(candles)
        self.minutes, self.hours = resumed


_KINDS: Final = (("Minute", KEPT_MINUTES), ("Hour", KEPT_HOURS))
_time = attrgetter("time_ns")


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
