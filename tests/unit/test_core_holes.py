"""Holes that a hostile user would try: each test fails on a core that has the hole."""

from __future__ import annotations

import dataclasses

import pytest

from bot.core.accrual import block_income_sat
from bot.core.contract import CollateralStep, MarginStep, Payout
from bot.core.events import BTC, CONTRACT, Bar, Block
from bot.core.units import NS_PER_DAY, NS_PER_S, SAT_PER_BTC
from tests.ledgers import PERCENT_DAY, RULES, START_NS, Scene, terms

COIN = SAT_PER_BTC


def _reason(scene: Scene, order: int) -> str:
    return scene.find(order).reason


def test_collateral_taken_away_under_a_waiting_order_leaves_nothing_to_open_with() -> None:
    """Otherwise a wallet without a satoshi holds a position until the next event: a free option at the venue's cost."""
    scene = Scene().at(hour=1).funded()
    scene.deposit("eve", COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN + 2_000_000)
    order = scene.order("eve", 100)
    scene.transfer("eve", "trading", "exchange", BTC, COIN)
    scene.withdraw("eve", COIN)
    scene.at(hour=2).quote(2 * COIN, 2 * COIN + 2_000_000)
    assert _reason(scene, order) == "NOT_ENOUGH_MARGIN"
    assert scene.lots("eve") == 0


def test_an_order_placed_before_a_margin_step_opens_only_what_the_new_margin_allows() -> None:
    step = MarginStep(START_NS + 2 * NS_PER_DAY, 500_000, 250_000)
    scene = Scene(terms(margin=(MarginStep(START_NS, 250_000, 125_000), step))).at(hour=1).funded()
    scene.deposit("eve", COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    order = scene.order("eve", 190, 2 * COIN - 1_000_000)
    scene.at(day=2, hour=1).quote(2 * COIN - 2_000_000, 2 * COIN - 1_000_000)
    filled = scene.find(order).filled_lots
    assert 90 <= filled <= 100
    assert _reason(scene, order) == "NOT_ENOUGH_MARGIN"
    assert scene.notices("eve") == ["cancelled"]


@pytest.mark.parametrize("price", [1000 * COIN, 0])
def test_two_accounts_cannot_trade_off_the_market_to_leave_a_loss_with_the_venue_by_opening(price: int) -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("bob", 3 * COIN)
    scene.deposit("eve", 300 * COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("bob", 100, wallet="exchange")
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.order("bob", -100, 1000 * COIN, wallet="exchange")
    scene.order("eve", 100, price)
    for hour in range(3, 6):
        scene.at(hour=hour).quote(2 * COIN, 2 * COIN)
    assert scene.has("venue/deficit/BTC") == 0
    assert scene.exchange.equity_sat("bob") + scene.exchange.equity_sat("eve") < 303 * COIN


def test_two_accounts_cannot_trade_off_the_market_to_leave_a_loss_with_the_venue_by_closing() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("bob", 3 * COIN)
    scene.deposit("eve", COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("eve", 150)
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    assert scene.lots("eve") == 150
    scene.order("bob", 150, 100, wallet="exchange")
    order = scene.order("eve", -150, 100, reduce_only=True)
    for hour in range(3, 6):
        scene.at(hour=hour).quote(2 * COIN, 2 * COIN)
    assert scene.has("venue/deficit/BTC") == 0
    assert _reason(scene, order) == "NOT_ENOUGH_MARGIN"


def test_a_closing_trade_with_a_friend_takes_no_more_out_of_a_position_than_a_withdrawal_may() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("bob", 3 * COIN)
    scene.deposit("eve", COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("eve", 150)
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.order("bob", 1, 100, wallet="exchange")
    order = scene.order("eve", -1, 100, reduce_only=True)
    assert scene.find(order).filled_lots == -1, "one lot for nothing is within the free margin"
    scene.order("bob", 45, 100, wallet="exchange")
    scene.order("eve", -45, 100, reduce_only=True)
    assert scene.lots("eve") > 104, "the rest would cut into the initial margin of what remains"


def test_a_liquidation_that_meets_the_users_own_order_goes_on() -> None:
    """A resting order of the exchange wallet must not shield a margin position from liquidation."""
    scene = Scene().at(hour=1).funded()
    scene.deposit("eve", 3 * COIN)
    scene.deposit("eve", COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("eve", 100, wallet="exchange")
    scene.order("eve", -150)
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    shield = scene.order("eve", -100, 2 * COIN + 90_000_000, wallet="exchange")
    scene.at(hour=3).quote(2 * COIN + 75_000_000, 2 * COIN + 95_000_000)
    assert "liquidation" in scene.notices("eve")
    scene.at(hour=4).quote(2 * COIN + 75_000_000, 2 * COIN + 95_000_000)
    assert scene.lots("eve") == 0
    assert _reason(scene, shield) == "SELF_TRADE"


def test_a_cover_that_meets_the_users_own_order_goes_on() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("eve", 10 * COIN)
    scene.deposit("eve", 10 * COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("eve", 100, wallet="exchange")
    scene.order("eve", -150)
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.order("eve", -100, 2 * COIN + 100, wallet="exchange")
    scene.at(hour=3).rate(CONTRACT, PERCENT_DAY, 0)
    scene.at(day=2, hour=3).reach()
    scene.at(day=2, hour=4).quote(2 * COIN, 2 * COIN)
    assert scene.lots("eve") == 0
    assert not scene.loans("eve")


def test_a_flip_that_takes_the_last_satoshi_of_funding_borrows_no_more_than_there_is() -> None:
    """The bitcoin to borrow is the amount of the whole less that of the closed part; each is rounded."""
    for available in range(50, 60):
        scene = Scene(terms(tick_sat=1)).at(hour=1)
        scene.rate(BTC, PERCENT_DAY // 20, available)
        scene.rate(CONTRACT, PERCENT_DAY, 10_000)
        scene.deposit("ann", COIN, "trading")
        scene.quote(1_050, 1_050)
        scene.order("ann", -5)
        scene.at(hour=2).quote(1_050, 1_050)
        scene.order("ann", 30)
        scene.at(hour=3).quote(1_050, 1_050)
        assert 0 < scene.lots("ann") <= 6


def test_an_overdue_loan_is_covered_even_if_the_position_changes_before_the_cover_trades() -> None:
    """A long doubles at a third of the price: the lots first set aside no longer repay the overdue bitcoin."""
    scene = Scene(terms(margin=(MarginStep(START_NS, 10_000, 5_000),))).at(hour=1)
    scene.rate(BTC, PERCENT_DAY // 20, 4 * COIN)
    scene.deposit("ann", 100 * COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("ann", 100)
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.at(hour=3).rate(BTC, PERCENT_DAY // 20, COIN)
    scene.at(day=2, hour=2).reach()
    assert [loan.overdue for loan in scene.loans("ann")] == [True, False]
    scene.deposit("bob", 10 * COIN)
    scene.at(day=2, hour=3).rate(BTC, PERCENT_DAY // 20, 4 * COIN)
    scene.quote(COIN // 2, COIN // 2, size=0)
    scene.order("ann", 400, COIN // 2)
    for hour in range(4, 9):
        scene.at(day=2, hour=hour).quote(COIN // 2, COIN // 2, size=10 * (hour - 3) ** 2)
    assert not any(loan.overdue for loan in scene.loans("ann"))
    assert not any(order.forced for order in scene.state.live)


def test_a_cover_does_not_close_more_than_the_overdue_loan() -> None:
    """The user bought the overdue lots back himself; the forced order must not then cover a second loan."""
    scene = Scene().at(hour=1)
    scene.rate(CONTRACT, PERCENT_DAY, 50)
    scene.deposit("ann", 10 * COIN, "trading")
    scene.deposit("bob", 10 * COIN)
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("ann", -50)
    scene.order("bob", 100, wallet="exchange")
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.transfer("bob", "exchange", "deposit", CONTRACT, 50)
    scene.offer("bob", CONTRACT, 50, PERCENT_DAY, 30)
    scene.order("ann", -50)
    scene.at(hour=3).quote(2 * COIN, 2 * COIN)
    scene.order("bob", -50, 2 * COIN + 100, wallet="exchange")
    scene.at(day=2, hour=2).reach()
    assert [loan.overdue for loan in scene.loans("ann")] == [True, False]
    scene.order("ann", 50, 2 * COIN + 100)
    assert scene.lots("ann") == -50
    scene.at(day=2, hour=3).quote(2 * COIN, 2 * COIN)
    assert scene.lots("ann") == -50
    assert not any(order.forced for order in scene.state.live)


def test_the_market_gives_back_what_it_borrowed_so_it_never_sells_it() -> None:
    rules = dataclasses.replace(RULES, demand=(0, 10_000))
    scene = Scene(rules=rules).at(hour=1)
    scene.rate(CONTRACT, PERCENT_DAY, 10_000)
    scene.deposit("bob", 300 * COIN)
    scene.deposit("ann", 300 * COIN)
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("bob", 10_000, wallet="exchange")
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.transfer("bob", "exchange", "deposit", CONTRACT, 10_000)
    scene.offer("bob", CONTRACT, 10_000, PERCENT_DAY)
    (loan,) = scene.loans("market")
    scene.order("ann", 5_000, wallet="exchange")
    scene.at(hour=3).quote(2 * COIN, 2 * COIN)
    scene.recall("bob", loan.id)
    assert scene.has("market/exchange/TH1") >= 0
    assert scene.has("bob/deposit/TH1") == 10_000


def test_contracts_in_the_trading_wallet_do_not_back_a_short() -> None:
    scene = Scene(terms(collateral=(CollateralStep(START_NS, True),))).at(hour=1).funded()
    scene.deposit("eve", 5 * COIN)
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("eve", 200, wallet="exchange")
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.transfer("eve", "exchange", "trading", CONTRACT, 200)
    assert scene.refused(scene.order_of("eve", -100)) == "NOT_ENOUGH_MARGIN"
    assert scene.order("eve", 100)


def test_collateral_in_contracts_answers_for_a_loss_before_the_venue_does() -> None:
    """Otherwise a long on contracts costs nothing: the venue takes the loss, the user takes the contracts home."""
    scene = Scene(terms(collateral=(CollateralStep(START_NS, True),))).at(hour=1).funded()
    scene.deposit("eve", 5 * COIN)
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("eve", 200, wallet="exchange")
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.transfer("eve", "exchange", "trading", CONTRACT, 200)
    scene.order("eve", 400)
    for hour, price in enumerate((200, 188, 176, 164, 152, 140, 140), start=3):
        scene.at(hour=hour).quote(price * COIN // 100, price * COIN // 100)
    assert scene.lots("eve") == 0
    assert scene.has("venue/deficit/BTC") == 0
    assert scene.has("eve/trading/BTC") >= 0
    assert 0 < scene.has("eve/trading/TH1") < 200


def test_before_the_first_step_the_first_margin_holds() -> None:
    scene = Scene(start_ns=START_NS - NS_PER_DAY)
    scene.now = START_NS - NS_PER_DAY
    scene.funded()
    scene.deposit("eve", 1, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    assert scene.refused(scene.order_of("eve", 100)) == "NOT_ENOUGH_MARGIN"


def test_contracts_that_back_nothing_may_leave_under_a_short() -> None:
    scene = Scene(terms(collateral=(CollateralStep(START_NS, True),))).at(hour=1).funded()
    scene.deposit("ann", 3 * COIN)
    scene.deposit("ann", COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("ann", 100, wallet="exchange")
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.transfer("ann", "exchange", "trading", CONTRACT, 100)
    scene.order("ann", -190)
    scene.at(hour=3).quote(2 * COIN, 2 * COIN)
    scene.transfer("ann", "trading", "exchange", CONTRACT, 100)


def test_once_everything_is_posted_equity_is_what_the_balances_say() -> None:
    """The fractions that many loans keep for their next payments are nobody's whole satoshi."""
    scene = Scene().at(hour=1).funded()
    scene.deposit("bob", 100 * COIN, "deposit")
    for number in range(30):
        scene.offer("bob", BTC, 5_000_001 + number, 333_333 + number)
    scene.deposit("ann", 10 * COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("ann", 75)
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.at(hour=9, second=7).reach()
    scene.exchange.settle()
    assert sum(loan.carry for loan in scene.loans("ann")) > 5 * 10**9 * 86_400
    for user in ("ann", "bob"):
        cash = sum(scene.has(f"{user}/{purse}/BTC") for purse in scene.account(user).purses)
        assert scene.exchange.equity_sat(user) == cash + scene.exchange.value_sat(scene.exchange.position_lots(user))


def test_contracts_do_not_back_a_short_when_it_fills_either() -> None:
    """The bitcoin that was there when the order was placed has left; the contracts that stayed count for longs only."""
    scene = Scene(terms(collateral=(CollateralStep(START_NS, True),))).at(hour=1).funded()
    scene.deposit("eve", 5 * COIN)
    scene.deposit("eve", COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("eve", 200, wallet="exchange")
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.transfer("eve", "exchange", "trading", CONTRACT, 200)
    order = scene.order("eve", -100)
    scene.transfer("eve", "trading", "exchange", BTC, COIN)
    scene.at(hour=3).quote(2 * COIN, 2 * COIN)
    assert _reason(scene, order) == "NOT_ENOUGH_MARGIN"
    assert scene.lots("eve") == 0


def test_below_initial_margin_nothing_is_given_to_a_friend() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("bob", 3 * COIN)
    scene.deposit("eve", COIN, "trading")
    scene.quote(2 * COIN, 2 * COIN)
    scene.order("eve", 150)
    scene.at(hour=2).quote(2 * COIN, 2 * COIN)
    scene.at(hour=3).quote(175_000_000, 175_000_000)
    assert scene.notices("eve") == []
    scene.order("bob", 150, 170_000_000, wallet="exchange")
    order = scene.order("eve", -150, 170_000_000, reduce_only=True)
    assert _reason(scene, order) == "NOT_ENOUGH_MARGIN"
    assert scene.find(order).filled_lots == 0
    at_market = scene.order("eve", 0, close=True)
    scene.at(hour=4).quote(175_000_000, 175_000_000)
    assert scene.find(at_market).status == "filled"


def test_a_large_pools_luck_does_not_move_its_mean() -> None:
    """A pool of this size expects more than one block in a long interval; the surplus was dropped once."""
    lucky = terms(payout=Payout("pro_rata", 0, exact_hashes=True, pool_hs=10**15, luck_seed=3))
    target = (1 << 256) // (10**15 * 1200)  # the pool expects a block in 1,200 s
    blocks = [
        Block(START_NS + (n + 1) * NS_PER_S, n, 0, 300 * (1 + n % 12), 0, target, 25 * SAT_PER_BTC, 0)
        for n in range(4_000)
    ]
    paid = sum(block_income_sat(lucky, block) for block in blocks)
    fair = dataclasses.replace(lucky, payout=Payout("pps", 0, exact_hashes=True, pool_hs=0, luck_seed=0))
    assert 0.98 < paid / sum(block_income_sat(fair, block) for block in blocks) < 1.02


def test_the_market_rolls_its_own_loan_though_its_contracts_are_out_on_it() -> None:
    """What comes back at that instant can be lent again: nothing need be covered."""
    scene = Scene().at(hour=1).funded()
    scene.deposit("ann", 20 * COIN, "trading")
    scene.deposit("bob", 200 * COIN)
    scene.quote(COIN, COIN)
    scene.order("ann", -400)
    scene.order("bob", 9_800, wallet="exchange")
    scene.at(hour=2).quote(COIN, COIN)
    assert (scene.lots("ann"), scene.has("bob/exchange/TH1"), scene.has("market/exchange/TH1")) == (-400, 9_800, 200)
    scene.at(day=3).reach()
    assert scene.notices("ann") == []
    assert sum(loan.amount for loan in scene.loans("ann")) == 400


def test_an_open_that_liquidates_does_so_whether_or_not_somebody_has_an_order() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("ann", 5 * COIN, "trading")
    scene.quote(COIN, COIN)
    scene.order("ann", -1_000)
    scene.at(hour=2).quote(COIN, COIN)
    scene.at(hour=3)
    scene.bar_open(Bar(scene.now, scene.now + 3600 * NS_PER_S, 2 * COIN, 2 * COIN, COIN, COIN, 1_000))
    assert scene.notices("ann") == ["liquidation"]
