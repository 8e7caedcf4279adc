"""Dividends, dated terms and expiry as ledgers that can be checked by hand; test_core_ledgers says how they read."""

from __future__ import annotations

import dataclasses

import pytest

from bot.core.contract import CollateralStep, MarginStep
from bot.core.events import BTC, CONTRACT, RANK_BLOCK, RANK_STRATEGY
from bot.core.units import NS_PER_DAY
from tests.ledgers import END_NS, PERCENT_DAY, START_NS, TERMS, Scene, block_paying, terms, text
from tests.unit.test_core_ledgers import COIN, TWO, lender_and_short


def test_a_dated_step_of_margin_liquidates_at_its_instant() -> None:
    step = MarginStep(START_NS + NS_PER_DAY, 500_000, 400_000)
    scene = Scene(terms(margin=(*TERMS.margin, step))).at(hour=1).funded()
    scene.deposit("ann", 60_000_000, "trading")
    scene.quote(TWO, TWO)
    scene.order("ann", 100)
    scene.at(hour=2).quote(TWO, TWO)
    scene.at(day=1).reach(RANK_BLOCK)
    assert scene.notices("ann") == ["liquidation"]
    assert (scene.lots("ann"), [order.forced for order in scene.state.live]) == (100, [True])
    assert scene.refused(scene.order_of("ann", 1)) == "LIQUIDATING"
    scene.at(day=1, hour=1).quote(TWO, TWO)
    assert scene.lots("ann") == 0


def test_a_dated_step_of_collateral_liquidates_who_relied_on_contracts() -> None:
    steps = (CollateralStep(START_NS, True), CollateralStep(START_NS + NS_PER_DAY, False))
    scene = Scene(terms(collateral=steps)).at(hour=1).funded()
    scene.deposit("ann", TWO + 5_000_000)
    scene.quote(TWO, TWO)
    scene.order("ann", 100, wallet="exchange")
    scene.quote(TWO, TWO)
    scene.transfer("ann", "exchange", "trading", CONTRACT, 100)
    scene.order("ann", 200)
    scene.at(hour=2).quote(TWO, TWO)
    assert (scene.lots("ann"), scene.notices("ann")) == (200, [])
    scene.at(day=1).reach()
    assert scene.notices("ann") == ["liquidation"]


def test_one_satoshi_for_three_holders_is_carried_and_none_is_lost() -> None:
    contract = terms(tranche_lots=3, payout=dataclasses.replace(TERMS.payout, fee_ppm=0))
    scene = Scene(contract)
    scene.quote(100, 100)
    for user in ("ann", "bob", "cat"):
        scene.deposit(user, 10)
        scene.order(user, 1, wallet="exchange")
    scene.at(second=1).quote(100, 100)
    before = [scene.has(f"{user}/exchange/BTC") for user in ("ann", "bob", "cat")]
    for hour in range(1, 4):
        scene.at(hour=hour).feed("on_block", block_paying(contract, 1, scene.now))
        scene.exchange.settle()
        got = [scene.has(f"{user}/exchange/BTC") - b for user, b in zip(("ann", "bob", "cat"), before, strict=True)]
        # 3 satoshi x 2^20 / 3 is a whole number of index units, so after three blocks everyone has his satoshi.
        assert got == ([1, 1, 1] if hour == 3 else [0, 0, 0])
        assert scene.has("venue/dividends/BTC") == (0 if hour == 3 else hour)


@pytest.mark.parametrize(("block_first", "bob_gets"), [(True, 97_000), (False, 0)])
def test_a_trade_at_the_blocks_instant_leaves_the_dividend_with_the_seller(block_first: bool, bob_gets: int) -> None:
    """A block ranks before a quote at the same time: the seller is the holder of record. The day before, he is not."""
    scene = Scene().at(hour=1)
    scene.deposit("bob", 3 * COIN)
    scene.quote(TWO, TWO)
    scene.order("bob", 100, wallet="exchange")
    scene.quote(TWO, TWO)
    scene.order("bob", -100, wallet="exchange")
    scene.at(hour=2)
    if block_first:
        scene.block(10_000_000)
        scene.quote(TWO, TWO)
    else:
        scene.quote(TWO, TWO)
        scene.at(hour=2, second=1).block(10_000_000)
    scene.new_moves()
    scene.exchange.settle()
    paid = sum(m.amount for m in scene.state.ledger.moves if m.kind == "dividend" and m.target == "bob/exchange/BTC")
    assert paid == bob_gets


def test_a_block_fed_after_a_trade_of_its_own_instant_is_refused() -> None:
    scene = Scene().at(hour=1)
    scene.quote(TWO, TWO)
    with pytest.raises(ValueError, match=r"rank 2 at \d+ ns after one of rank 5"):
        scene.block(1_000)


def test_a_block_at_the_instant_of_expiry_pays_and_a_later_one_does_not() -> None:
    scene = lender_and_short()
    scene.now = END_NS
    scene.block(10_000_000)
    assert not scene.state.expired
    scene.reach(RANK_STRATEGY)
    assert scene.state.expired
    paid = [m for m in scene.new_moves() if m.kind == "dividend" and m.time_ns == END_NS]
    assert [(m.source, m.target, m.amount) for m in paid] == [
        ("venue/dividends/BTC", "market/exchange/BTC", 9_700_000),
        ("venue/dividends/BTC", "bob/exchange/BTC", 97_000),
        ("ann/trading/BTC", "venue/dividends/BTC", 97_000),
    ]
    scene.now = END_NS + 1
    scene.block(10_000_000)
    assert scene.new_moves() == []


def test_at_expiry_a_long_a_short_and_their_lenders_all_end() -> None:
    """The long loses all that it paid, the short keeps all that it got, lenders have their bitcoin, lots burn."""
    end = dataclasses.replace(TERMS, end_ns=START_NS + NS_PER_DAY)
    scene = Scene(end)
    scene.deposit("bob", 3 * COIN)
    scene.deposit("dan", 5 * COIN, "deposit")
    scene.offer("dan", BTC, 3 * COIN, PERCENT_DAY // 10)
    scene.deposit("ann", COIN, "trading")
    scene.deposit("cat", 3 * COIN, "trading")
    scene.quote(TWO, TWO)
    scene.order("bob", 100, wallet="exchange")
    scene.quote(TWO, TWO)
    scene.transfer("bob", "exchange", "deposit", CONTRACT, 100)
    scene.offer("bob", CONTRACT, 100, PERCENT_DAY)
    scene.order("ann", -100)
    scene.order("cat", 100)
    scene.at(hour=12).quote(TWO, TWO)
    waiting = scene.order("cat", 1, COIN)
    scene.new_moves()
    scene.at(day=1).reach()
    assert scene.new_ledger() == text("""
        interest ann/trading/BTC     -> bob/deposit/BTC        850000
        interest ann/trading/BTC     -> venue/interest_cut/BTC 150000
        interest cat/trading/BTC     -> dan/deposit/BTC        85000
        interest cat/trading/BTC     -> venue/interest_cut/BTC 15000
        expiry   bob/lent/TH1        -> ann/owed/TH1           100
        expiry   market/exchange/TH1 -> world/issuance/TH1     9900
        expiry   ann/position/BTC    -> ann/trading/BTC        200000000
        expiry   cat/trading/BTC     -> cat/position/BTC       200000000
        repay    cat/position/BTC    -> dan/deposit/BTC        200000000
        repay    dan/lent/BTC        -> cat/owed/BTC           200000000
        expiry   cat/position/TH1    -> world/issuance/TH1     100
        """)
    assert scene.find(waiting).reason == "EXPIRED"
    assert scene.has("ann/trading/BTC") == COIN - 400_000 - 1_000_000 + TWO
    assert scene.has("cat/trading/BTC") == 3 * COIN - 400_000 - 100_000 - TWO
    scene.transfer("dan", "deposit", "exchange", BTC, 5 * COIN + 85_000)
    scene.withdraw("dan", 5 * COIN + 85_000)
    assert scene.refused(scene.order_of("bob", 1, wallet="exchange")) == "EXPIRED"


def test_a_long_that_expiry_leaves_short_of_bitcoin_ends_in_the_deficit_account() -> None:
    scene = Scene(terms(end_ns=START_NS + NS_PER_DAY)).funded()
    scene.deposit("ann", 60_000_000, "trading")
    scene.quote(TWO, TWO)
    scene.order("ann", 100)
    scene.at(hour=1).quote(TWO, TWO)
    scene.at(day=1).reach()
    assert scene.notices("ann") == ["deficit"]
    assert scene.has("ann/trading/BTC") == 0
    assert scene.has("venue/deficit/BTC") < 60_000_000 - TWO


def test_expiry_by_day_pays_what_has_accrued_since_midnight() -> None:
    scene = Scene(terms(end_ns=START_NS + NS_PER_DAY // 2))
    scene.deposit("bob", 3 * COIN)
    scene.quote(TWO, TWO)
    scene.order("bob", 100, wallet="exchange")
    scene.quote(TWO, TWO)
    scene.at(hour=6).block(10_000_000)
    scene.at(hour=12).reach()
    paid = [m.amount for m in scene.new_moves() if m.kind == "dividend" and m.target == "bob/exchange/BTC"]
    assert paid == [97_000]
    assert scene.has("venue/dividends/BTC") == 0
