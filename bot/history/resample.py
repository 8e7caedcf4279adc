"""Longer bars from shorter ones, and bars from quotes: exact integers, and only bars that are complete.

Windows begin at whole multiples of the interval since 1970-01-01T00:00:00Z, so that days begin at midnight UTC.
A window in which anything is missing yields no bar: a bar that pretended to know it would be a fill invented.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from operator import attrgetter

from bot.core.events import Bar, Quote
from bot.core.units import NS_PER_S, half_up_div
from bot.errors import HistoryError, Problem


def bars_to_longer(bars: Sequence[Bar], interval_ns: int) -> list[Bar]:
    """Return bars of `interval_ns` from shorter bars that are equally long and in time order.

    Open is the first open, close the last close, high and low the extremes, volume the sum. A window counts
    only if shorter bars fill it without a gap. Raises HistoryError if `interval_ns` is not a whole multiple
    of the bars' length or the bars differ in length.
    """
    if not bars:
        return []
    length_ns = bars[0].close_ns - bars[0].time_ns
    for bar in bars:
        if bar.close_ns - bar.time_ns != length_ns:
            _refuse(f"bars of {length_ns / NS_PER_S:g} s and {(bar.close_ns - bar.time_ns) / NS_PER_S:g} s")
    if interval_ns < length_ns or interval_ns % length_ns:
        _refuse(f"{interval_ns / NS_PER_S:g} s is not a whole multiple of the bars' {length_ns / NS_PER_S:g} s")
    longer = []
    # Floor: a bar belongs to the window that holds its opening.
    for window, group in groupby(bars, key=lambda bar: bar.time_ns // interval_ns):
        inside = list(group)
        start_ns = window * interval_ns
        whole = inside[0].time_ns == start_ns and inside[-1].close_ns == start_ns + interval_ns
        if not whole or any(before.close_ns != after.time_ns for before, after in pairwise(inside)):
            continue
        longer.append(
            Bar(
                start_ns,
                start_ns + interval_ns,
                inside[0].open_sat,
                max(map(attrgetter("high_sat"), inside)),
                min(map(attrgetter("low_sat"), inside)),
                inside[-1].close_sat,
                sum(map(attrgetter("volume_lots"), inside)),
            )
        )
    return longer


def quotes_to_bars(quotes: Sequence[Quote], interval_ns: int, until_ns: int | None = None) -> list[Bar]:
    """Return bars of the mid, (bid + ask) / 2 rounded half up, from quotes in time order.

    A bar holds the mids quoted in [start, start + interval_ns) and its volume is 0: quotes tell of no trades.
    It counts as complete if quotes were known at its start and something later ends it: a quote at or after
    its end, or `until_ns`, up to which nothing was missed. Windows without a quote yield no bar.
    """
    if interval_ns <= 0:
        _refuse(f"an interval of {interval_ns} ns is not above 0")
    if not quotes:
        return []
    end_ns = max(quotes[-1].time_ns, until_ns or 0)
    bars = []
    for window, group in groupby(quotes, key=lambda quote: quote.time_ns // interval_ns):
        start_ns = window * interval_ns
        if start_ns < quotes[0].time_ns or start_ns + interval_ns > end_ns:
            continue
        mids = [half_up_div(quote.bid_sat + quote.ask_sat, 2) for quote in group]
        bars.append(Bar(start_ns, start_ns + interval_ns, mids[0], max(mids), min(mids), mids[-1], 0))
    return bars


def _refuse(what: str) -> None:
    raise HistoryError([Problem("resample", what, "take an interval that whole bars fill")])
