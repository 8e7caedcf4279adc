"""Holes in orders and in what may be typed: each test fails on a core that has the hole."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.events import BTC, Bar
from bot.core.exchange import Exchange
from bot.core.order import Deposit, PlaceOffer, PlaceOrder, Rejection, Transfer, Withdraw
from bot.core.units import NS_PER_S
from tests.ledgers import START_NS, Scene, terms
from tests.unit.test_core_holes import COIN, _reason


def test_a_market_order_and_a_liquidation_never_pay_a_user_more_than_the_market_asks() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("bob", 3 * COIN)
    scene.deposit("eve", COIN, "trading")
    scene.deposit("ann", 300 * COIN)
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("bob", 100, wallet="exchange")
    scene.order("eve", -150)
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    trap = scene.order("bob", -100, 1000 * COIN, wallet="exchange")
    scene.order("ann", 10, wallet="exchange")
    scene.at(hour=3).quote(2 * COIN + 80_000_000, 2 * COIN + 80_000_000)
    scene.at(hour=4).quote(2 * COIN + 80_000_000, 2 * COIN + 80_000_000)
    assert scene.find(trap).filled_lots == 0
    assert scene.lots("eve") == 0
    assert max(fill.price_sat for fill in scene.state.fills) <= 3 * COIN


def test_a_market_order_still_meets_a_user_who_asks_no_more_than_the_market() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("bob", 3 * COIN)
    scene.deposit("ann", 3 * COIN)
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("bob", 100, wallet="exchange")
    scene.at(hour=2).quote(2 * COIN - 2_000_000, 2 * COIN + 2_000_000)
    scene.order("bob", -100, 2 * COIN + 1_000_000, wallet="exchange")
    scene.order("ann", 40, wallet="exchange")
    assert scene.has("ann/exchange/TH1") == 40
    assert [(fill.user, fill.maker) for fill in scene.state.fills[-2:]] == [("ann", False), ("bob", True)]


def test_a_post_only_order_that_arrives_late_still_never_takes() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("bob", 3 * COIN)
    scene.deposit("ann", 3 * COIN)
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("bob", 100, wallet="exchange")
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    late = scene.order("ann", 10, 2 * COIN, wallet="exchange", post_only=True, active_ns=scene.now + 1800 * NS_PER_S)
    scene.order("bob", -100, 2 * COIN - 1_000_000, wallet="exchange")
    scene.at(hour=3).quote(2 * COIN - 5_000_000, 2 * COIN + 2_000_000)
    assert _reason(scene, late) == "WOULD_TAKE"
    assert scene.has("ann/exchange/TH1") == 0


def test_a_close_order_sent_twice_is_one_order() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("ann", COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("ann", 50)
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    close = scene.order_of("ann", 0, close=True)
    assert scene.done(close) == scene.done(close)


def test_a_post_only_close_of_a_short_is_a_purchase() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("bob", 3 * COIN)
    scene.deposit("ann", COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("bob", 100, wallet="exchange")
    scene.order("ann", -50)
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.order("bob", -100, 2 * COIN + 1_000_000, wallet="exchange")
    close = scene.order_of("ann", 0, 2 * COIN + 2_000_000, close=True, post_only=True)
    assert scene.refused(close) == "WOULD_TAKE"


def test_what_a_limit_order_reserves_never_exceeds_the_wallet() -> None:
    """Each part of a fill is rounded; the parts can cost a satoshi or two more than the whole."""
    scene = Scene(terms(tick_sat=1)).at(hour=1).funded()
    price = 10_150
    cost = 1015 + 3  # 10 lots and the taker fee, rounded up
    scene.deposit("ann", cost)
    scene.quote(10_000, 10_300, size=1)
    scene.order("ann", 10, price, wallet="exchange")
    for minute in range(1, 15):
        scene.at(hour=1, minute=minute).quote(price - 2, price, size=1)
    assert scene.has("ann/exchange/BTC") >= 0
    assert scene.account("ann").reserved == [0, 0]


def test_time_beyond_every_date_ends() -> None:
    scene = Scene()
    scene.now = 1 << 63
    scene.reach()
    assert scene.state.expired
    scene.now = 1 << 64
    scene.reach()


@pytest.mark.parametrize("name", ["", "market", "venue", "world", "a/b"])
def test_nobody_is_named_like_the_venue(name: str) -> None:
    assert Scene().refused(Deposit(START_NS, name, BTC, 1)) == "UNKNOWN_USER"


@pytest.mark.parametrize("amount", [1.0, True, "1", None, 0, -1, 1 << 80])
def test_an_amount_is_a_whole_number_within_bounds(amount: object) -> None:
    scene = Scene()
    scene.deposit("ann", COIN)
    scene.quote(COIN, COIN)
    for command in (
        Deposit(START_NS, "ann", BTC, amount),  # type: ignore[arg-type]
        Withdraw(START_NS, "ann", BTC, amount),  # type: ignore[arg-type]
        Transfer(START_NS, "ann", "exchange", "trading", BTC, amount),  # type: ignore[arg-type]
        PlaceOffer(START_NS, "ann", BTC, amount, 0, 2),  # type: ignore[arg-type]
    ):
        assert scene.refused(command) == "BAD_AMOUNT"
    if not isinstance(amount, int) or isinstance(amount, bool) or amount in (0, 1 << 80):
        order = PlaceOrder(START_NS, "ann", 1, "exchange", amount)  # type: ignore[arg-type]
        assert scene.refused(order) == "BAD_AMOUNT"


def test_prices_rates_terms_and_times_are_whole_numbers() -> None:
    scene = Scene()
    scene.deposit("ann", COIN, "deposit")
    scene.quote(COIN, COIN)
    wrong: tuple[dict[str, Any], ...] = ({"cid": []}, {"cid": "1"}, {"active_ns": None}, {"active_ns": 0.5})
    for changes in wrong:
        assert scene.refused(PlaceOrder(START_NS, "ann", 1, "exchange", 1)._replace(**changes)) == "BAD_AMOUNT"
    order = PlaceOrder(START_NS, "ann", 1, "exchange", 1, 100.0)  # type: ignore[arg-type]
    assert scene.refused(order) == "BAD_PRICE"
    assert scene.refused(PlaceOffer(START_NS, "ann", BTC, 1, 1.5, 2)) == "BAD_RATE"  # type: ignore[arg-type]
    assert scene.refused(PlaceOffer(START_NS, "ann", BTC, 1, 1, 2.5)) == "BAD_TERM"  # type: ignore[arg-type]


def test_a_waiting_market_order_meets_a_user_who_comes_later() -> None:
    """The market itself has nothing to sell: a forced cover must be able to buy from users."""
    scene = Scene().at(hour=1).funded()
    scene.deposit("bob", 300 * COIN)
    scene.deposit("ann", 3 * COIN)
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("bob", 10_000, wallet="exchange")
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    waiting = scene.order("ann", 10, wallet="exchange")
    scene.at(hour=3).quote(2 * COIN, 2 * COIN)
    assert scene.find(waiting).filled_lots == 0
    scene.order("bob", -10, 2 * COIN, wallet="exchange")
    scene.at(hour=4).quote(2 * COIN - 200, 2 * COIN)
    assert scene.find(waiting).filled_lots == 10


def test_a_placed_order_is_a_change() -> None:
    """Engines and the trader skip what is idle while `changes` stands still."""
    scene = Scene().at(hour=1).funded()
    scene.deposit("ann", COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    before = scene.state.changes
    scene.order("ann", 10, COIN)
    assert scene.state.changes > before


def test_an_empty_bar_fills_nothing() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("ann", 3 * COIN)
    scene.quote(2 * COIN, 2 * COIN)
    order = scene.order("ann", 10, wallet="exchange")
    scene.at(hour=2)
    bar = Bar(scene.now, scene.now + 3600 * NS_PER_S, 2 * COIN, 2 * COIN, 2 * COIN, 2 * COIN, 0)
    scene.bar_open(bar)
    scene.bar_close(bar)
    assert scene.find(order).is_live


def test_deciding_is_without_effect() -> None:
    from bot.core.decide import decide
    from tests.ledgers import snapshot

    scene = Scene().at(hour=1).funded()
    scene.deposit("ann", COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    command = scene.order_of("ann", 10)
    before = snapshot(scene.state)
    assert decide(scene.state, command) is None
    assert decide(scene.state, command) is None
    assert snapshot(scene.state) == before
    assert not isinstance(scene.exchange.submit(command), Rejection)
    assert isinstance(scene.exchange, Exchange)
