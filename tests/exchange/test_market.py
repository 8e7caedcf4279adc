"""The market's time: events are shown when they are due, and nobody acts later than what is still to be shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bot.core.events import BTC, CONTRACT, Quote, SwapRate
from bot.core.state import MarketRules
from bot.paper.feed import ReplayFeed
from bot.paper.market import Market
from bot.paper.service import Service
from tests.contracts import START_NS, th1

HOUR = 3_600 * 10**9
END_NS = START_NS + 10 * HOUR


class Bed:
    """A market of a quote an hour, with two swap rates at the first one's instant, under a clock that a test turns."""

    def __init__(self, directory: Path) -> None:
        quotes = [Quote(START_NS + n * HOUR, 190_000_000 + n * 10_000, 5, 200_000_000, 5) for n in range(8)]
        rates = [SwapRate(START_NS, asset, 1_000_000, 5_000) for asset in (BTC, CONTRACT)]
        feed = ReplayFeed("test", True, quotes, rates, [], START_NS, END_NS)
        self.clock_ns = 0
        self.service = Service.open(directory / "x.journal", th1(end_ns=END_NS), MarketRules(), START_NS)
        self.tape = self.service.tape
        self.market = Market(self.service, feed, 3_600, lambda: self.clock_ns, START_NS)
        self.told = 0

    def shown(self) -> None:
        assert self.service.journal.pending == 0  # durable before it is told
        self.told += 1

    async def turn(self, seconds: float) -> None:
        """Let the clock go on, and the market with it."""
        self.clock_ns += round(seconds * 10**9)
        running = asyncio.create_task(self.market.run(self.shown))
        for _ in range(50):
            await asyncio.sleep(0)
        if running.done():
            running.result()
        running.cancel()


def test_events_are_shown_when_they_are_due_and_time_stays_short_of_the_next(tmp_path: Path) -> None:
    bed = Bed(tmp_path)
    state = bed.service.exchange.state
    asyncio.run(bed.turn(0))
    assert bed.market.settled.is_set() and state.event == 1 and state.market_rate_ppb_day == [1_000_000, 1_000_000]
    bed.clock_ns = 999_999_999
    assert START_NS < bed.market.now_ns() < START_NS + HOUR
    bed.clock_ns = 5 * 10**9  # the market was held up: nobody may act at a time whose quotes nobody has seen
    assert bed.market.now_ns() == START_NS + HOUR - 1
    bed.service.close()


def test_a_market_goes_on_behind_what_its_journal_has_seen_and_ends_with_the_contract(tmp_path: Path) -> None:
    bed = Bed(tmp_path)
    asyncio.run(bed.turn(2.5))
    assert (bed.service.exchange.state.event, len(bed.tape.minutes), bed.told) == (3, 3, 1)
    bed.service.close()
    again = Bed(tmp_path)
    assert len(again.tape.minutes) == 3  # candles are there again
    assert again.market.now_ns() == START_NS + 2 * HOUR
    asyncio.run(again.turn(5.5))
    assert again.service.exchange.state.event == 8 and not again.service.exchange.state.expired
    again.service.close()
    last = Bed(tmp_path)
    asyncio.run(last.turn(3.0))
    assert last.service.exchange.state.expired
    last.service.close()
