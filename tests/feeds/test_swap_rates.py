"""What borrowing costs in a live run: a funding book through unmodified ccxt classes, or stated rates."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.app.paper import last_rates
from bot.core.events import BTC, CONTRACT, Quote, SwapRate
from bot.core.units import NS_PER_S
from bot.feeds.ccxt_feed import CcxtQuotes
from bot.feeds.ccxt_market import POLL, STREAM, CcxtMarket
from bot.feeds.errors import AnswerError, WrongMarketError
from bot.feeds.join import LiveFeed
from bot.feeds.swap_rates import FundingBook, StatedRates, offers_of
from bot.paper.entries import ALL_VENUES, HEAD, encode
from bot.paper.journal import Journal
from tests.feeds.chains import ManualClock
from tests.feeds.fake_exchange import FakeExchange
from tests.feeds.test_ccxt_feed import ONE, RULES

# [rate a day, days, offers, amount]: borrowers' amounts are below 0; 0.8 % is offered for one day only.
TH1 = "[[0.008,1,1,50],[0.0100000001,2,1,7.129],[0.0100000001,30,2,1.5],[0.012,30,1,90],[0.009,30,1,-40]]"
COINS = "[[0.0006,30,3,12.345678919]]"


class Scene:
    def __init__(self, exchange: FakeExchange, mode: str = POLL) -> None:
        self.exchange, self.clock = exchange, ManualClock(time.time_ns())
        rules = replace(RULES, mode=mode, options=exchange.options())
        self.quotes = CcxtQuotes(CcxtMarket(rules, ONE, self.clock, lambda kind, text: None))
        self.book = FundingBook(self.quotes.market, 2, 60 * NS_PER_S, 600 * NS_PER_S)
        self._events = self.book.events(0)

    async def start(self) -> None:
        await self.quotes.start()
        await self.book.start()

    async def take(self) -> SwapRate:
        return await asyncio.wait_for(anext(self._events), 60)


def play(act: Callable[[Scene], Awaitable[None]], mode: str = POLL) -> None:
    async def run() -> None:
        exchange = FakeExchange()
        await exchange.start()
        exchange.funding = {"fTH1": TH1, "fBTC": COINS}
        scene = Scene(exchange, mode)
        try:
            await act(scene)
        finally:
            await scene.quotes.close()
            await exchange.stop()

    asyncio.run(run())


@pytest.mark.parametrize("mode", [POLL, STREAM])
def test_the_cheapest_offers_for_our_term_are_the_rate_rounded_against_the_borrower(mode: str) -> None:
    async def act(scene: Scene) -> None:
        await scene.start()
        assert (await scene.take())[1:] == (CONTRACT, 10_000_001, 862)  # 7.129 + 1.5 contracts, in whole lots
        assert (await scene.take())[1:] == (BTC, 600_000, 1_234_567_891)

    play(act, mode)


def test_a_book_is_told_again_when_it_has_changed_or_after_ten_minutes() -> None:
    async def act(scene: Scene) -> None:
        await scene.start()
        await scene.take(), await scene.take()

        def change() -> None:
            if len(scene.clock.slept) == 3:
                scene.exchange.funding["fTH1"] = "[[0.05,30,1,2]]"

        scene.clock.on_sleep = change
        assert (await scene.take())[1:] == (CONTRACT, 50_000_000, 200)
        assert len(scene.clock.slept) == 3
        assert (await scene.take())[1:] == (BTC, 600_000, 1_234_567_891)
        assert len(scene.clock.slept) == 10

    play(act)


def test_where_nobody_lends_for_so_long_nothing_can_be_had_at_the_last_rate() -> None:
    async def act(scene: Scene) -> None:
        await scene.start()
        await scene.take(), await scene.take()
        scene.exchange.funding["fTH1"] = "[[0.02,1,1,50],[0.02,30,1,-50]]"
        assert (await scene.take())[1:] == (CONTRACT, 10_000_001, 0)

    play(act)


def test_what_was_told_before_a_restart_does_not_count_as_new_and_is_the_last_rate_of_a_book_that_is_empty() -> None:
    async def act(scene: Scene) -> None:
        await scene.start()
        before = [await scene.take(), await scene.take()]
        again = FundingBook(scene.quotes.market, 2, 60 * NS_PER_S, 600 * NS_PER_S)
        feed = LiveFeed("test", scene.quotes, None, scene.clock, 1 << 62, swaps=again)
        feed.remember(before)
        scene.exchange.funding["fTH1"] = "[]"
        first = await asyncio.wait_for(anext(again.events(before[-1].time_ns)), 60)
        assert first[1:] == (CONTRACT, 10_000_001, 0), "at the last rate, and no bitcoin before the book has changed"

    play(act)


def test_the_last_rate_of_each_asset_is_found_in_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.journal")
    journal.append(HEAD, ALL_VENUES, 0, "{}")
    rates = [SwapRate(time_ns, time_ns % 2, 100 + time_ns, 5) for time_ns in range(1, 7)]
    for event in (*rates, *(Quote(time_ns, 1, 1, 2, 1) for time_ns in range(7, 3_000))):
        journal.append(type(event).__name__, ALL_VENUES, event.time_ns, encode(event))
    assert last_rates(journal) == [rates[-1], rates[-2]]
    journal.close()


@pytest.mark.parametrize(
    ("book", "told"),
    [
        ('"none"', "is no list"),
        ("[[0.01,2,1]]", "no offer"),
        ("[[1,2,1,5]]", "not from 0 to below 1"),
        ("[[-0.01,2,1,5]]", "not from 0 to below 1"),
        ("[[NaN,2,1,5]]", "is no list"),  # ccxt gives what is no JSON as text
        ("[[null,2,1,5]]", "is no number"),
        ("[[0.01,true,1,5]]", "no number of days"),
        ("[[0.01,2,1,1e12]]", "more than"),
    ],
)
def test_nonsense_is_refused_by_name(book: str, told: str) -> None:
    async def act(scene: Scene) -> None:
        scene.exchange.funding["fTH1"] = book
        with pytest.raises(AnswerError, match=told):
            await scene.start()

    play(act)


def test_an_exchange_without_a_public_book_is_refused_with_a_way_out() -> None:
    async def act(scene: Scene) -> None:
        await scene.quotes.start()
        rules = replace(RULES, exchange="kraken", options={})
        market = CcxtMarket(rules, ONE, scene.clock, lambda kind, text: None)
        market._make("fetchOrderBook")
        with pytest.raises(WrongMarketError, match=r"no public funding book of kraken .*source: stated"):
            await FundingBook(market, 2, NS_PER_S, NS_PER_S).start()
        await market.close()

    play(act)


def test_borrowers_are_no_offers() -> None:
    assert offers_of([[0.01, 2, 1, -5]], ONE) == []


def steps(*at_s: int) -> list[SwapRate]:
    return [SwapRate(s * NS_PER_S, asset, s, s * 10) for s in at_s for asset in (CONTRACT, BTC)]


def told(clock: ManualClock, last_s: int, count: int) -> list[tuple[int, int, int]]:
    """Return (second, asset, rate) of what a schedule with steps at 100, 200, 300 and 400 s tells."""

    async def act() -> list[tuple[int, int, int]]:
        events = StatedRates(steps(100, 200, 300, 400), clock).events(last_s * NS_PER_S)
        found = [await anext(events) for _ in range(count)]
        return [(rate.time_ns // NS_PER_S, rate.asset, rate.rate_ppb_day) for rate in found]

    return asyncio.run(act())


def test_a_schedule_begins_with_what_holds_now_and_goes_on_when_it_is_time() -> None:
    assert told(ManualClock(250 * NS_PER_S), 0, 4) == [
        (250, CONTRACT, 200),
        (250, BTC, 200),
        (300, CONTRACT, 300),
        (300, BTC, 300),
    ]


def test_after_a_restart_only_what_began_meanwhile_is_told_and_of_that_the_newest() -> None:
    assert told(ManualClock(250 * NS_PER_S), 220, 1) == [(300, CONTRACT, 300)]
    assert told(ManualClock(350 * NS_PER_S), 220, 3) == [(350, CONTRACT, 300), (350, BTC, 300), (400, CONTRACT, 400)]
    assert told(ManualClock(50 * NS_PER_S), 0, 1) == [(100, CONTRACT, 100)]
