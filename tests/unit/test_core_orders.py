"""How orders are accepted, matched and ended."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bot.core.contract import Contract
from bot.core.events import BTC, CONTRACT, Bar
from bot.core.order import (
    REJECTIONS,
    CancelOffer,
    CancelOrder,
    Command,
    Deposit,
    PlaceOffer,
    PlaceOrder,
    RecallLoan,
    Transfer,
    Withdraw,
)
from bot.core.units import NS_PER_DAY, NS_PER_S, PPM, SAT_PER_BTC
from tests.ledgers import END_NS, PERCENT_DAY, RULES, START_NS, TERMS, Scene, terms

COIN = SAT_PER_BTC
TWO = 2 * COIN
HOUR_NS = 3_600 * NS_PER_S


def owner(contract: Contract = TERMS, **rules: Any) -> Scene:
    """Bob owns one contract, Ann has money in both wallets, the market is at 2 BTC with a spread of 2 %."""
    scene = Scene(contract, dataclasses.replace(RULES, **rules)).funded()
    scene.deposit("bob", 10 * COIN)
    scene.deposit("ann", 10 * COIN)
    scene.deposit("ann", 10 * COIN, "trading")
    scene.quote(TWO, TWO)
    scene.order("bob", 100, wallet="exchange")
    scene.at(second=1).quote(198_000_000, 202_000_000)
    return scene


def fills(scene: Scene, user: str) -> list[tuple[int, int, bool]]:
    """Return (lots, price, maker) of each fill of `user`."""
    return [(fill.size_lots, fill.price_sat, fill.maker) for fill in scene.state.fills if fill.user == user]


# The same order twice --------------------------------------------------------------------------------------------


def test_the_same_cid_day_and_body_are_one_order_another_body_is_an_error_the_next_day_is_free() -> None:
    scene = owner()
    order = scene.order_of("ann", 10, COIN, "exchange", cid=7)
    first = scene.done(order)
    later = order._replace(time_ns=scene.now + HOUR_NS, active_ns=scene.now + 2 * HOUR_NS)
    assert scene.done(later) == first
    assert scene.refused(later._replace(size_lots=11)) == "CID_REUSED"
    assert scene.refused(later._replace(post_only=True)) == "CID_REUSED"
    assert scene.done(later._replace(user="bob")) != first
    scene.now = later.time_ns
    scene.cancel("ann", first)
    assert scene.done(later) == first, "also when it has ended"
    tomorrow = order._replace(time_ns=START_NS + NS_PER_DAY)
    assert scene.done(tomorrow) not in (first, 0)


# Post-only, reduce-only, self-trade ------------------------------------------------------------------------------


def test_a_post_only_order_that_meets_the_next_quote_is_cancelled_and_one_that_rests_is_a_maker() -> None:
    scene = owner()
    meets = scene.order("ann", 10, 203_000_000, "exchange", post_only=True)
    rests = scene.order("ann", 10, 200_000_000, "exchange", post_only=True)
    scene.at(second=2).quote(198_000_000, 202_000_000)
    assert scene.find(meets).reason == "WOULD_TAKE"
    scene.at(second=3).quote(196_000_000, 199_000_000)
    assert scene.find(rests).status == "filled"
    assert fills(scene, "ann") == [(10, 200_000_000, True)]


def test_a_post_only_order_that_meets_another_user_is_refused() -> None:
    scene = owner()
    scene.order("bob", -100, 200_000_000, wallet="exchange")
    order = scene.order_of("ann", 10, 200_000_000, "exchange", post_only=True)
    assert scene.refused(order) == "WOULD_TAKE"
    assert scene.done(order._replace(price_sat=199_999_900))


def test_a_reduce_only_order_is_cut_to_the_position_and_dies_with_it() -> None:
    scene = owner()
    assert scene.refused(scene.order_of("ann", -10, reduce_only=True)) == "NOTHING_TO_REDUCE"
    scene.order("ann", 30)
    scene.at(second=2).quote(TWO, TWO)
    assert scene.refused(scene.order_of("ann", 10, reduce_only=True)) == "NOTHING_TO_REDUCE"
    resting = scene.order("ann", -30, 210_000_000, reduce_only=True)
    big = scene.order("ann", -50, reduce_only=True)
    assert (scene.find(big).remaining_lots, scene.find(big).cancelled_lots) == (-30, -20)
    scene.at(second=3).quote(TWO, TWO)
    assert (scene.find(big).status, scene.find(big).filled_lots) == ("filled", -30)
    assert scene.lots("ann") == 0
    scene.at(second=4).quote(TWO, TWO)
    assert scene.find(resting).reason == "NOTHING_TO_REDUCE"


def test_close_takes_the_whole_position_whatever_its_side() -> None:
    scene = owner()
    for size in (30, -40):
        scene.order("ann", size)
        scene.at(second=scene.state.event + 2).quote(TWO, TWO)
        order = scene.order("ann", 0, close=True)
        assert scene.find(order).size_lots == -size
        scene.at(second=scene.state.event + 2).quote(TWO, TWO)
        assert scene.lots("ann") == 0


def test_an_order_that_meets_ones_own_is_cancelled_and_the_resting_one_stays() -> None:
    scene = owner()
    resting = scene.order("bob", -60, 200_000_000, wallet="exchange")
    taking = scene.order("bob", 10, 200_000_000, wallet="exchange")
    assert scene.find(taking).reason == "SELF_TRADE"
    assert scene.find(resting).remaining_lots == -60
    assert scene.account("bob").reserved == [0, 60]


# Between users ---------------------------------------------------------------------------------------------------


def test_users_meet_at_the_resting_price_best_first_then_oldest() -> None:
    scene = owner()
    scene.deposit("cat", 10 * COIN)
    scene.order("cat", 50, wallet="exchange")
    scene.at(second=2).quote(198_000_000, 202_000_000)
    before = len(scene.state.fills)
    late = scene.order("bob", -10, 200_000_000, wallet="exchange")
    dear = scene.order("bob", -10, 201_000_000, wallet="exchange")
    cheap = scene.order("cat", -10, 199_000_000, wallet="exchange")
    younger = scene.order("cat", -10, 200_000_000, wallet="exchange")
    scene.order("ann", 25, 200_500_000, wallet="exchange")
    assert [(f.order_id, f.size_lots, f.price_sat) for f in scene.state.fills[before:] if f.size_lots < 0] == [
        (cheap, -10, 199_000_000),
        (late, -10, 200_000_000),
        (younger, -5, 200_000_000),
    ]
    assert scene.find(dear).filled_lots == 0
    assert all(fill.maker == (fill.size_lots < 0) for fill in scene.state.fills[before:])


def test_what_a_limit_order_could_not_trade_stands_in_the_book() -> None:
    scene = owner()
    scene.order("bob", -100, 200_000_000, wallet="exchange")
    order = scene.order("ann", 150, 200_000_000, wallet="exchange")
    assert (scene.find(order).status, scene.find(order).remaining_lots) == ("partial", 50)
    assert scene.account("ann").reserved[BTC] == COIN + 200_000
    scene.order("bob", 10, 150_000_000, wallet="exchange")
    scene.deposit("cat", 10 * COIN)
    scene.order("cat", 100, wallet="exchange")
    scene.at(second=2).quote(200_000_100, 202_000_000)
    before = len(scene.state.fills)
    scene.order("cat", -20, 199_000_000, wallet="exchange")
    assert [(f.user, f.size_lots, f.price_sat) for f in scene.state.fills[before:]] == [
        ("ann", 20, 200_000_000),
        ("cat", -20, 200_000_000),
    ]


# Against the market ----------------------------------------------------------------------------------------------


def test_a_market_order_walks_the_displayed_size_and_what_stands_behind_it() -> None:
    """What is left takes from the next quote, and pays the taker's fee however long it has waited."""
    scene = owner(depth_levels=2)
    order = scene.order("ann", 35, wallet="exchange")
    scene.at(second=2).quote(198_000_000, 202_000_000, size=10)
    assert fills(scene, "ann") == [(10, 202_000_000, False), (10, 206_000_000, False), (10, 210_000_000, False)]
    assert scene.find(order).remaining_lots == 5
    scene.at(second=3).quote(198_000_000, 200_000_000, size=10)
    assert fills(scene, "ann")[3:] == [(5, 200_000_000, False)]


def test_nothing_is_filled_at_the_event_it_was_placed_at() -> None:
    scene = owner()
    order = scene.order("ann", 10, wallet="exchange")
    assert scene.find(order).filled_lots == 0
    scene.at(second=2).quote(TWO, TWO)
    assert scene.find(order).filled_lots == 10


def bar(scene: Scene, low: int, high: int, volume: int) -> Bar:
    return Bar(scene.now, scene.now + HOUR_NS, TWO, high, low, TWO, volume)


@pytest.mark.parametrize(("touch", "low", "filled"), [(False, 199, 0), (False, 198, 40), (True, 199, 40)])
def test_a_resting_order_fills_when_a_bar_trades_through_it(touch: bool, low: int, filled: int) -> None:
    """Or touches it, where the setting says so; never beyond our share of the bar's volume."""
    scene = owner(touch_fills=touch, participation_ppm=100_000)
    order = scene.order("ann", 50, 199_000_000, wallet="exchange")
    scene.at(hour=1)
    opened = bar(scene, low * 1_000_000, 203_000_000, 400)
    scene.bar_open(opened)
    assert scene.find(order).filled_lots == 0
    scene.bar_close(opened)
    assert scene.find(order).filled_lots == filled
    assert all(price == 199_000_000 and maker for _, price, maker in fills(scene, "ann"))


def test_open_and_close_of_a_bar_share_one_volume() -> None:
    scene = owner(participation_ppm=PPM // 2)
    resting = scene.order("ann", 50, 199_000_000, wallet="exchange")
    market = scene.order("ann", 30, wallet="exchange")
    scene.at(hour=1)
    opened = bar(scene, 190_000_000, 203_000_000, 100)
    scene.bar_open(opened)
    assert scene.find(market).status == "filled"
    assert fills(scene, "ann") == [(30, 201_000_000, False)], "the open and half the assumed spread"
    scene.bar_close(opened)
    assert scene.find(resting).filled_lots == 20


def test_latency_lets_an_order_act_only_after_it_has_arrived() -> None:
    scene = owner()
    order = scene.order("ann", 10, wallet="exchange", active_ns=scene.now + 90 * NS_PER_S)
    scene.at(minute=1).quote(TWO, TWO)
    assert not scene.find(order).active
    scene.at(minute=2).quote(TWO, TWO)
    assert scene.find(order).filled_lots == 10


def test_what_cannot_be_paid_when_the_price_comes_is_cancelled_by_name() -> None:
    scene = owner()
    order = scene.order("bob", 300, wallet="exchange")
    scene.at(second=2).quote(TWO * 2, TWO * 2)
    assert scene.find(order).filled_lots == 199
    assert scene.find(order).reason == "NOT_ENOUGH_BALANCE"
    assert scene.notices("bob") == ["cancelled"]
    assert scene.has("bob/exchange/BTC") >= 0


def test_what_cannot_be_borrowed_when_the_price_comes_is_cancelled_by_name() -> None:
    scene = owner()
    order = scene.order("ann", -100)
    scene.at(second=2).rate(CONTRACT, PERCENT_DAY, 30)
    scene.quote(TWO, TWO)
    assert (scene.lots("ann"), scene.find(order).reason) == (-30, "NO_FUNDING")


def test_an_offer_above_the_venues_limit_funds_nobody() -> None:
    scene = owner()
    scene.at(second=2).rate(CONTRACT, TERMS.lending.max_rate_ppb_day + 1, 100)
    assert scene.refused(scene.order_of("ann", -10)) == "NO_FUNDING"


def test_cancelling_frees_what_was_held() -> None:
    scene = owner()
    order = scene.order("ann", 10, 190_000_000, wallet="exchange")
    assert scene.account("ann").reserved == [19_038_000, 0]
    assert scene.refused(Withdraw(scene.now, "ann", BTC, 10 * COIN)) == "NOT_ENOUGH_BALANCE"
    scene.cancel("ann", order)
    assert scene.account("ann").reserved == [0, 0]
    assert scene.refused(CancelOrder(scene.now, "ann", order)) == "ALREADY_FINAL"
    scene.withdraw("ann", 10 * COIN)


# Rejections ------------------------------------------------------------------------------------------------------


def _world() -> Scene:
    """A venue on which much can be refused: Eve is being liquidated, Ann is short, cid 500 is taken."""
    scene = owner()
    scene.deposit("eve", COIN, "trading")
    scene.order("eve", -150)
    scene.order("ann", -10)
    scene.at(second=2).quote(TWO, TWO)
    scene.transfer("bob", "exchange", "deposit", CONTRACT, 100)
    scene.at(hour=1).quote(280_000_000, 280_000_000, size=0)
    assert scene.account("eve").liquidating
    scene.order("ann", 5, COIN, "exchange", cid=500)
    return scene


def test_every_rejection_is_reported_in_the_order_of_its_table() -> None:
    """Each command has several faults and is then mended from the first on: the codes come in the table's order."""
    scene = _world()
    now = scene.now

    def order(**changes: Any) -> PlaceOrder:
        return PlaceOrder(now, "ann", 501, "trading", 10, TWO)._replace(**changes)

    ladders: list[list[tuple[Command, str]]] = [
        [
            (order(time_ns=0, user="zoe", wallet="x", size_lots=0, price_sat=1, cid=500), "TIME_BEHIND"),
            (order(user="zoe", wallet="x", size_lots=0, price_sat=1, cid=500), "UNKNOWN_USER"),
            (order(wallet="x", size_lots=0, price_sat=1, cid=500), "BAD_WALLET"),
            (order(size_lots=0, price_sat=1, cid=500), "BAD_AMOUNT"),
            (order(price_sat=1, cid=500), "BAD_PRICE"),
            (order(cid=500), "CID_REUSED"),
            (order(user="eve", cid=500, size_lots=200, reduce_only=True), "LIQUIDATING"),
            (order(size_lots=-1, reduce_only=True, post_only=True), "NOTHING_TO_REDUCE"),
        ],
        [
            (Transfer(now, "ann", "x", "x", 9, 0), "BAD_WALLET"),
            (Transfer(now, "ann", "trading", "exchange", 9, 0), "BAD_ASSET"),
            (Transfer(now, "ann", "trading", "exchange", BTC, 0), "BAD_AMOUNT"),
            (Transfer(now, "eve", "trading", "exchange", BTC, 10**10), "LIQUIDATING"),
            (Transfer(now, "ann", "trading", "exchange", BTC, 10**11), "NOT_ENOUGH_BALANCE"),
        ],
        [
            (PlaceOffer(now, "zoe", 9, 0, -1, 99), "UNKNOWN_USER"),
            (PlaceOffer(now, "bob", 9, 0, -1, 99), "BAD_ASSET"),
            (PlaceOffer(now, "bob", CONTRACT, 0, -1, 99), "BAD_AMOUNT"),
            (PlaceOffer(now, "bob", CONTRACT, 101, -1, 99), "BAD_RATE"),
            (PlaceOffer(now, "bob", CONTRACT, 101, 1, 99), "BAD_TERM"),
            (PlaceOffer(now, "bob", CONTRACT, 101, 1, 2), "NOT_ENOUGH_BALANCE"),
        ],
        [
            (Deposit(now, "market", CONTRACT, 0), "UNKNOWN_USER"),
            (Deposit(now, "new", CONTRACT, 0), "BAD_ASSET"),
            (Deposit(now, "new", BTC, 0), "BAD_AMOUNT"),
        ],
        [
            (order(user="bob", wallet="exchange", size_lots=-5, price_sat=COIN, post_only=True), "WOULD_TAKE"),
            (order(user="bob", wallet="exchange", size_lots=-5, price_sat=COIN), "NOT_ENOUGH_BALANCE"),
        ],
        [(command(now, "ann", 1), "UNKNOWN_ID") for command in (CancelOffer, RecallLoan, CancelOrder)],
    ]
    places = list(REJECTIONS)
    for ladder in ladders:
        codes = [scene.refused(command) for command, _ in ladder]
        assert codes == [code for _, code in ladder]
        assert codes == sorted(codes, key=places.index)
    assert scene.refused(order(size_lots=5_000)) == "NOT_ENOUGH_MARGIN"
    forced = next(o.id for o in scene.state.live if o.forced)
    assert scene.refused(CancelOrder(now, "eve", forced)) == "LIQUIDATING"
    scene.at(hour=2).rate(BTC, PERCENT_DAY, 0)
    late = order(time_ns=scene.now, user="ann", size_lots=5_000)
    assert scene.refused(late) == "NOT_ENOUGH_MARGIN", "before NO_FUNDING"
    assert scene.refused(late._replace(size_lots=11)) == "NO_FUNDING"
    scene.now = END_NS
    assert scene.refused(late._replace(time_ns=END_NS, user="zoe", wallet="x")) == "EXPIRED"


def test_without_a_price_only_an_outright_limit_order_is_taken() -> None:
    scene = Scene().funded()
    scene.deposit("ann", COIN)
    scene.deposit("ann", COIN, "trading")
    assert scene.refused(scene.order_of("ann", 1, wallet="exchange")) == "NO_MARKET"
    assert scene.refused(scene.order_of("ann", 1, COIN)) == "NO_MARKET"
    assert scene.order("ann", 1, COIN, "exchange")


def test_a_rejection_says_what_and_how_much() -> None:
    scene = owner(terms(tick_sat=100))
    answer = scene.exchange.submit(Withdraw(scene.now, "ann", BTC, 11 * COIN))
    what = "NOT_ENOUGH_BALANCE: the wallet's free balance is too small"
    assert str(answer) == f"{what} (exchange has 1000000000 free, 1100000000 needed)"


def test_an_event_older_than_the_last_is_a_fault_of_the_feed() -> None:
    scene = owner()
    scene.now = START_NS
    with pytest.raises(ValueError, match="time may not fall"):
        scene.quote(TWO, TWO)
