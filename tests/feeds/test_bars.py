"""Bars of public trades: each trade once, in the bar of its own time, and no bar before it is over."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.core.events import Bar
from bot.core.units import NS_PER_S
from bot.feeds.amounts import Scale
from bot.feeds.bars import BarBuilder
from bot.feeds.ccxt_market import POLL, CcxtMarket, MarketRules
from bot.feeds.ccxt_trades import GRACE_NS, CcxtTrades
from bot.feeds.errors import AnswerError, CircuitBreakError
from bot.feeds.guard import GuardRules
from bot.feeds.patience import Patience
from bot.feeds.record import Recorder
from bot.history.load import load_market
from bot.history.series import BARS
from tests.contracts import START_NS, th1
from tests.feeds.chains import ManualClock
from tests.feeds.fake_exchange import FakeExchange

MINUTE = 60 * NS_PER_S
RULES = MarketRules(
    "bitfinex",
    "TH1/BTC",
    POLL,
    5 * NS_PER_S,
    3_600 * NS_PER_S,
    GuardRules(10, 100 * 10**8),
    interval_ns=MINUTE,
    patience=Patience(attempts=2),
)


def naive(trades: list[tuple[int, int, int]], begin_ns: int) -> list[Bar]:
    """The same by grouping: what a bar is."""
    bars = []
    for opens in sorted({t - t % MINUTE for t, _, _ in trades}):
        inside = [(price, lots) for t, price, lots in trades if opens <= t < opens + MINUTE]
        prices = [price for price, _ in inside]
        volume = sum(lots for _, lots in inside)
        if opens >= begin_ns:
            bars.append(Bar(opens, opens + MINUTE, prices[0], max(prices), min(prices), prices[-1], volume))
    return bars


@pytest.mark.parametrize("seed", range(20))
def test_bars_are_what_grouping_the_trades_gives(seed: int) -> None:
    draw = random.Random(seed)
    begin_ns = 1_000 * MINUTE + draw.randrange(MINUTE)
    builder, bars, at_ns, trades = BarBuilder(MINUTE, begin_ns), [], begin_ns, []
    for _ in range(200):
        at_ns += draw.choice([0, 1, NS_PER_S, 20 * NS_PER_S, 3 * MINUTE])
        trades.append((at_ns, draw.randrange(1, 1_000), draw.randrange(0, 50)))
    for trade in trades:
        if trade[0] >= builder.closed_ns and (bar := builder.add(*trade)):
            bars.append(bar)
        if draw.random() < 0.2 and (bar := builder.close_due(trade[0])):
            bars.append(bar)
    last = builder.close_due(at_ns + MINUTE)
    assert bars + ([last] if last else []) == naive(trades, begin_ns)


class Scene:
    def __init__(self, exchange: FakeExchange) -> None:
        self.exchange = exchange
        self.told: list[tuple[str, str]] = []
        self.clock = ManualClock(time.time_ns() // MINUTE * MINUTE + 30 * NS_PER_S)
        exchange.now_ms = lambda: self.clock.now // 10**6
        rules = replace(RULES, options=exchange.options())
        market = CcxtMarket(rules, Scale(Decimal(1), 100, "market"), self.clock, lambda *told: self.told.append(told))
        self.feed = CcxtTrades(market)
        self.bars = self.feed.events()
        self.begin = self.clock.now // MINUTE * MINUTE + MINUTE

    def trade(self, number: int, after_ns: int, price: str, amount: str) -> None:
        """A trade so long after the first whole minute."""
        self.exchange.trades.append((number, (self.begin + after_ns) // 10**6, amount, price))

    async def bar(self) -> Bar:
        return await asyncio.wait_for(anext(self.bars), 60)


def play(act: Callable[[Scene], Awaitable[None]]) -> Scene:
    async def run() -> Scene:
        exchange = FakeExchange()
        await exchange.start()
        scene = Scene(exchange)
        try:
            await scene.feed.start()
            await act(scene)
        finally:
            await scene.feed.close()
            await exchange.stop()
        return scene

    return asyncio.run(run())


def test_trades_become_bars_once_they_are_over() -> None:
    async def act(scene: Scene) -> None:
        scene.trade(1, -10 * NS_PER_S, "0.5", "9")  # before the first whole minute
        scene.trade(2, 0, "0.7", "1.5")
        scene.trade(3, 5 * NS_PER_S, "0.72", "-0.25")  # a sale: its amount counts without its sign
        scene.trade(4, MINUTE - 1_000_000, "0.69", "0.009")
        scene.trade(5, 3 * MINUTE, "0.71", "2")
        first = await scene.bar()
        assert first == Bar(scene.begin, scene.begin + MINUTE, 70_000_000, 72_000_000, 69_000_000, 69_000_000, 175)
        second = await scene.bar()
        assert second == Bar(scene.begin + 3 * MINUTE, scene.begin + 4 * MINUTE, *[71_000_000] * 4, 200)
        assert scene.clock.now >= second.close_ns + GRACE_NS  # minutes without a trade have no bar

    assert play(act).told == []


def test_trades_of_one_millisecond_that_are_told_in_two_pages_count_once_each() -> None:
    async def act(scene: Scene) -> None:
        scene.trade(1, 0, "0.7", "1")
        scene.trade(2, 0, "0.7", "1")

        def more() -> None:
            if scene.clock.now > scene.begin and len(scene.exchange.trades) == 2:
                scene.trade(3, 0, "0.71", "1")

        scene.clock.on_sleep = more
        bar = await scene.bar()
        assert (bar.volume_lots, bar.close_sat) == (300, 71_000_000)

    play(act)


@pytest.mark.parametrize(("told_s", "late"), [(6, False), (14, True)])
def test_a_trade_that_is_told_late_counts_until_its_time_is_settled(told_s: int, late: bool) -> None:
    """It bears a time 1 s before the bar's end and is told some seconds after it."""

    async def act(scene: Scene) -> None:
        scene.trade(1, 0, "0.7", "1")
        scene.trade(2, MINUTE + NS_PER_S, "0.7", "1")

        def tell() -> None:
            if scene.clock.now >= scene.begin + MINUTE + told_s * NS_PER_S and len(scene.exchange.trades) == 2:
                scene.trade(3, MINUTE - NS_PER_S, "0.71", "5")

        scene.clock.on_sleep = tell
        assert (await scene.bar()).volume_lots == (100 if late else 600)
        assert (await scene.bar()).volume_lots == 100

    assert [kind for kind, _ in play(act).told] == ["late_trade"] * late


@pytest.mark.parametrize(
    ("price", "amount", "error"),
    [("0", "1", AnswerError), ("-1", "1", AnswerError), ('"x"', "1", AnswerError), ("101", "1", AnswerError)],
)
def test_a_trade_that_cannot_be_is_refused(price: str, amount: str, error: type[Exception]) -> None:
    async def act(scene: Scene) -> None:
        scene.trade(1, 0, price, amount)
        with pytest.raises(error):
            await scene.bar()

    play(act)


def test_leaps_break_the_circuit() -> None:
    async def act(scene: Scene) -> None:
        scene.trade(1, 0, "0.7", "1")
        for number in range(2, 9):
            scene.trade(number, number * NS_PER_S, "70", "1")
        with pytest.raises(CircuitBreakError, match="5 times in a row"):
            await scene.bar()

    assert [kind for kind, _ in play(act).told] == ["leap"] * 4


def test_recorded_bars_load_as_they_were(tmp_path: Path) -> None:
    contract = th1()
    comments = {"simulated": "false", "contract": contract.id, "interval": "60 s"}
    draw: Any = random.Random(5)
    bars = []
    for i in range(0, 3_000, 7):
        low, high = sorted(draw.randrange(60_000_000, 80_000_000) for _ in range(2))
        inside = (draw.randrange(low, high + 1), high, low, draw.randrange(low, high + 1))
        bars.append(Bar(START_NS + i * MINUTE, START_NS + (i + 1) * MINUTE, *inside, draw.randrange(1_000)))
    for part in (bars[:200], bars[200:]):
        recorder = Recorder(tmp_path / "out", contract, comments, kind=BARS)
        for bar in part:
            recorder.add(bar)
        recorder.close()
    history = load_market(tmp_path / "out", contract)
    assert history.bars == bars and not history.simulated
    assert len(history.sources[0].gaps) == len(bars) - 1
