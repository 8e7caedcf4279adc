"""Quotes of an exchange through unmodified ccxt classes: exact, guarded, and every failure by name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from bot.core.events import Quote
from bot.core.units import NS_PER_S
from bot.feeds.amounts import Scale, exact, lots_down, price_sat_down, price_sat_half_up, price_sat_up
from bot.feeds.ccxt_feed import CcxtQuotes
from bot.feeds.ccxt_market import POLL, STREAM, CcxtMarket, MarketRules
from bot.feeds.errors import (
    AnswerError,
    CircuitBreakError,
    SourceError,
    StaleError,
    UnreachableError,
    WrongMarketError,
)
from bot.feeds.guard import GuardRules
from bot.feeds.patience import Patience
from tests.feeds.chains import ManualClock
from tests.feeds.fake_exchange import FakeExchange

RULES = MarketRules(
    "bitfinex", "TH1/BTC", POLL, NS_PER_S, 60 * NS_PER_S, GuardRules(10, 100 * 10**8), patience=Patience(attempts=3)
)
ONE = Scale(Decimal(1), 100, "market")


class Scene:
    def __init__(self, exchange: FakeExchange, rules: MarketRules, scale: Scale) -> None:
        self.exchange = exchange
        self.told: list[tuple[str, str]] = []
        self.clock = ManualClock(time.time_ns())  # ccxt stamps a book with the real time
        self.feed = CcxtQuotes(CcxtMarket(rules, scale, self.clock, lambda *told: self.told.append(told)))
        self._quotes = self.feed.events()

    async def quote(self) -> Quote:
        return await asyncio.wait_for(anext(self._quotes), 60)


def play(act: Callable[[Scene], Awaitable[None]], rules: MarketRules = RULES, scale: Scale = ONE) -> Scene:
    async def run() -> Scene:
        exchange = FakeExchange()
        await exchange.start()
        scene = Scene(exchange, replace(rules, options={**exchange.options(), **rules.options}), scale)
        try:
            await act(scene)
        finally:
            await scene.feed.close()
            await exchange.stop()
        return scene

    return asyncio.run(run())


@pytest.mark.parametrize("mode", [POLL, STREAM])
def test_another_server_can_be_asked_by_its_address_alone(mode: str) -> None:
    async def run() -> None:
        exchange = FakeExchange()
        rules = replace(RULES, mode=mode, url=await exchange.start())
        market = CcxtMarket(rules, ONE, ManualClock(time.time_ns()), lambda kind, text: None)
        feed = CcxtQuotes(market)
        await feed.start()
        assert (await asyncio.wait_for(anext(feed.events()), 10)).bid_sat == 70_210_000
        theirs = [str(url) for url in flat(market.exchange.urls["api"])]
        assert len(theirs) >= 3 and all(f"://127.0.0.1:{exchange.port}" in url for url in theirs)
        await feed.close()
        await exchange.stop()

    asyncio.run(run())


def flat(tree: Any) -> list[Any]:
    return [leaf for below in tree.values() for leaf in flat(below)] if isinstance(tree, dict) else [tree]


@pytest.mark.parametrize("mode", [POLL, STREAM])
def test_the_best_bid_and_ask_come_as_whole_satoshi_and_lots(mode: str) -> None:
    async def act(scene: Scene) -> None:
        await scene.feed.start()
        quote = await scene.quote()
        assert quote[1:] == (70_210_000, 1_250, 71_230_000, 800)
        assert quote.time_ns == scene.clock.now

    assert play(act, replace(RULES, mode=mode)).told == []


def test_what_is_finer_than_a_satoshi_or_a_lot_is_rounded_against_the_reader() -> None:
    async def act(scene: Scene) -> None:
        scene.exchange.bid, scene.exchange.ask = ("0.702100009", "3.14999"), ("0.712300001", "0.009")
        await scene.feed.start()
        assert (await scene.quote())[1:] == (70_210_000, 314, 71_230_001, 0)

    play(act)


def test_a_unit_that_is_not_a_contract_is_scaled_exactly() -> None:
    """One unit traded is 0.3 contracts: a contract costs 10/3 of its price, a bid rounded down, an ask up."""

    async def act(scene: Scene) -> None:
        await scene.feed.start()
        assert (await scene.quote())[1:] == (234_033_333, 375, 237_433_334, 240)

    play(act, scale=Scale(Decimal("0.3"), 100, "market"))


def test_an_unchanged_book_is_news_only_after_a_while() -> None:
    async def act(scene: Scene) -> None:
        await scene.feed.start()
        first = await scene.quote()
        again = await scene.quote()
        assert again[1:] == first[1:]
        assert again.time_ns - first.time_ns == 30 * NS_PER_S
        assert scene.exchange.asked.count("book/tTH1BTC/R0") == 31  # it was asked for every second

    play(act, replace(RULES, repeat_ns=30 * NS_PER_S))


def test_a_stream_goes_on_after_it_was_cut_off() -> None:
    async def act(scene: Scene) -> None:
        await scene.feed.start()
        await scene.quote()
        waiting = asyncio.create_task(scene.quote())
        while not scene.exchange._sockets:
            await asyncio.sleep(0.01)
        await scene.exchange.change(("0.6", "1"), ("0.61", "2"))
        assert (await waiting)[1:] == (60_000_000, 100, 61_000_000, 200)
        waiting = asyncio.create_task(scene.quote())
        await asyncio.sleep(0)
        scene.exchange.bid = ("0.59", "3")
        await scene.exchange.drop()
        assert (await waiting).bid_sat == 59_000_000

    scene = play(act, replace(RULES, mode=STREAM))
    assert [kind for kind, _ in scene.told] == ["source_failed"]


def test_a_silent_stream_is_stale() -> None:
    async def act(scene: Scene) -> None:
        await scene.feed.start()
        await scene.quote()
        with pytest.raises(StaleError, match="no whole book came"):
            await scene.quote()

    rules = replace(RULES, mode=STREAM, stale_after_ns=NS_PER_S // 5, patience=Patience(attempts=2))
    play(act, rules)


@pytest.mark.parametrize(
    ("bid", "ask", "told"),
    [
        (("0.8", "1"), ("0.7", "1"), "bid above ask"),
        (("0.7", "1"), ("0.7", "0.001"), "bid and ask are equal and a size is 0"),
        (("0", "1"), ("0.7", "1"), "not above 0"),
        (("-0.7", "1"), ("0.7", "1"), "not above 0"),
        (("1e999", "1"), ("0.7", "1"), "no quote"),
        (("NaN", "1"), ("0.7", "1"), "no quote"),
        (("Infinity", "1"), ("0.7", "1"), "no quote"),
        (("0.7", "1"), ("101", "1"), "above the contract's max_price"),
        (("0.000000001", "1"), ("0.7", "1"), "not between 1 satoshi"),
        (("0.7", "1e18"), ("0.71", "1"), "more than 1000000000 contracts"),
        (('"0,7"', "1"), ("0.71", "1"), "Error|no number|not above"),
        (("null", "1"), ("0.71", "1"), "no number|Error"),
        (("true", "1"), ("0.71", "1"), "no number|Error"),
    ],
    ids=[
        "crossed",
        "locked",
        "zero",
        "negative",
        "huge",
        "nan",
        "inf",
        "above",
        "tiny",
        "size",
        "text",
        "null",
        "true",
    ],
)
def test_nonsense_is_asked_for_again_and_never_fed(bid: Any, ask: Any, told: str) -> None:
    async def act(scene: Scene) -> None:
        await scene.feed.start()
        good = (scene.exchange.bid, scene.exchange.ask)
        scene.exchange.bid, scene.exchange.ask = bid, ask
        scene.clock.on_sleep = lambda: vars(scene.exchange).update(bid=good[0], ask=good[1])
        assert (await scene.quote())[1:] == (70_210_000, 1_250, 71_230_000, 800)  # the first that made sense
        scene.exchange.bid, scene.exchange.ask = bid, ask
        scene.clock.on_sleep = lambda: None
        with pytest.raises(AnswerError, match=told):
            await scene.quote()

    scene = play(act)
    assert [kind for kind, _ in scene.told] == ["source_failed"] * 3


async def hang() -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def huge() -> web.Response:
    return web.Response(body=b"[" + b"1," * (3 * 2**20) + b"1]")


async def busy() -> web.Response:
    return web.json_response(["error", 11010, "ratelimit: error"], status=500)


@pytest.mark.parametrize(
    ("broken", "error", "told"),
    [
        ("[]", AnswerError, "0 bids and 0 asks"),
        ("[[1,0.7,1]]", AnswerError, "1 bids and 0 asks"),
        ("{not json", SourceError, "no quote"),
        ("[[1]]", SourceError, "no quote"),
        ('{"a":1}', SourceError, "Error"),
        ("[[[[[]]]]]", SourceError, "no quote"),
        (hang, UnreachableError, "RequestTimeout"),
        (huge, SourceError, "Error"),
        (busy, UnreachableError, "RateLimitExceeded"),
    ],
    ids=["empty", "one side", "no json", "short", "object", "nested", "hangs", "huge", "busy"],
)
def test_every_bad_answer_has_a_name_and_bounded_retries(broken: Any, error: type[SourceError], told: str) -> None:
    async def act(scene: Scene) -> None:
        await scene.feed.start()
        scene.exchange.broken = [broken] * 3
        with pytest.raises(error, match=told):
            await scene.quote()
        assert not scene.exchange.broken

    scene = play(act, replace(RULES, timeout_ns=NS_PER_S // 5))
    assert [kind for kind, _ in scene.told] == ["source_failed"] * 2
    assert scene.clock.slept == [NS_PER_S, 2 * NS_PER_S]


def test_an_old_book_is_stale() -> None:
    """ccxt stamps Bitfinex's books with its own clock; ours is an hour ahead here."""

    async def act(scene: Scene) -> None:
        scene.clock.now += 3_600 * NS_PER_S
        await scene.feed.start()
        with pytest.raises(StaleError, match="the book is 36"):
            await scene.quote()

    play(act)


def test_one_leap_is_not_believed_and_told() -> None:
    async def act(scene: Scene) -> None:
        await scene.feed.start()
        await scene.quote()
        scene.exchange.bid, scene.exchange.ask = ("7.1", "1"), ("7.2", "1")

        def heal() -> None:
            if len(scene.clock.slept) == 3:
                scene.exchange.bid, scene.exchange.ask = ("0.69", "1"), ("0.7", "1")

        scene.clock.on_sleep = heal
        assert (await scene.quote()).bid_sat == 69_000_000

    assert [kind for kind, _ in play(act).told] == ["leap"] * 2


@pytest.mark.parametrize("price", ["7.13", "700", "0.0007"])
def test_a_leap_that_stays_breaks_the_circuit(price: str) -> None:
    async def act(scene: Scene) -> None:
        await scene.feed.start()
        await scene.quote()
        scene.exchange.bid = (price, "1")
        scene.exchange.ask = (str(Decimal(price) * 2), "1")
        with pytest.raises(CircuitBreakError, match="leap by 10 times or more, 5 times in a row"):
            await scene.quote()

    rules = replace(RULES, guard=GuardRules(10, 10**4 * 10**8))
    assert [kind for kind, _ in play(act, rules).told] == ["leap"] * 4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"exchange": "bitfinexx"}, "did you mean bitfinex"),
        ({"exchange": "__init__"}, "no exchange"),
        ({"exchange": "Exchange"}, "no exchange"),
        ({"symbol": "TH1/USD"}, "did you mean TH1/BTC"),
        ({"exchange": "bit2c", "mode": STREAM}, "ccxt.pro has no exchange"),
    ],
)
def test_what_is_not_there_is_named(change: dict[str, str], told: str) -> None:
    async def act(scene: Scene) -> None:
        with pytest.raises(WrongMarketError, match=told):
            await scene.feed.start()

    assert play(act, replace(RULES, **change)).told == []  # type: ignore[arg-type]


def test_a_market_that_is_not_priced_in_bitcoin_is_refused() -> None:
    async def act(scene: Scene) -> None:
        scene.exchange.pairs[0][0] = "TH1USD"
        with pytest.raises(WrongMarketError, match="priced in USD, not in BTC"):
            await scene.feed.start()

    play(act, replace(RULES, symbol="TH1/USD"))


def test_the_conversions_are_exact_at_their_edges() -> None:
    assert exact(1.1, ONE, "x") == Decimal("1.1")
    assert exact(0.1 + 0.2, ONE, "x") == Decimal("0.30000000000000004")
    assert (price_sat_down("0.000000019", ONE, "x"), price_sat_up("0.000000011", ONE, "x")) == (1, 2)
    assert [price_sat_half_up(f"0.{'0' * 7}{d}", ONE, "x") for d in ("14", "15", "25")] == [1, 2, 3]
    assert (lots_down("0.0199999", ONE, "x"), lots_down("0", ONE, "x")) == (1, 0)
    assert price_sat_down("21000000", ONE, "x") == 21 * 10**14
    for bad in (None, True, "", "1_0", "٣", "1e40", "-1", "0", float("nan"), object(), [1]):
        with pytest.raises(AnswerError):
            price_sat_down(bad, ONE, "x")
