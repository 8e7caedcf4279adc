"""The rules of docs/accounting.md as ledgers that can be checked by hand: 100 lots a contract, a pool fee of 3 %.

Lines read `kind source -> target amount`. Market bitcoin is lent at 0.1 %/day, contracts at 1 %/day; fees are
0.1 % maker, 0.2 % taker; lenders keep 85 % of the interest. 1 BTC = 100,000,000 satoshi.
"""

from __future__ import annotations

import dataclasses

import pytest

from bot.core.contract import ENTRY_NOTIONAL, MARK
from bot.core.events import BTC, CONTRACT
from bot.core.order import Transfer
from bot.core.units import NS_PER_DAY, SAT_PER_BTC, ceil_div, fee_sat
from tests.ledgers import PERCENT_DAY, RULES, TERMS, Scene, terms, text

COIN = SAT_PER_BTC
TWO = 2 * COIN


def lender_and_short(accrual: str = MARK, days: int = 30) -> Scene:
    """Bob owns one contract and lends it at 1 %/day; Ann sells it short at 2 BTC at noon of the first day."""
    scene = Scene(terms(lending=dataclasses.replace(TERMS.lending, accrual=accrual)))
    scene.deposit("bob", 3 * COIN)
    scene.quote(TWO, TWO)
    scene.order("bob", 100, wallet="exchange")
    scene.at(second=1).quote(TWO, TWO)
    scene.transfer("bob", "exchange", "deposit", CONTRACT, 100)
    scene.offer("bob", CONTRACT, 100, PERCENT_DAY, days)
    scene.deposit("ann", COIN, "trading")
    scene.new_moves()
    scene.order("ann", -100)
    scene.at(hour=12).quote(TWO, TWO)
    return scene


# Margin positions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exit_sat", "profit", "fee"),
    [
        (220_000_000, "trade ann/position/BTC -> ann/trading/BTC 20000000", 440_000),
        (190_000_000, "trade ann/trading/BTC -> ann/position/BTC 10000000", 380_000),
    ],
)
def test_a_long_borrows_all_of_its_price_and_pays_it_back(exit_sat: int, profit: str, fee: int) -> None:
    scene = Scene().at(hour=1)
    scene.rate(BTC, PERCENT_DAY // 10, 10 * COIN)
    scene.deposit("ann", COIN, "trading")
    scene.quote(TWO, TWO)
    scene.new_moves()
    scene.order("ann", 100)
    scene.at(hour=2).quote(TWO, TWO)
    assert scene.new_ledger() == text("""
        loan    market/exchange/BTC -> ann/position/BTC    200000000
        loan    ann/owed/BTC        -> market/lent/BTC     200000000
        trade   market/exchange/TH1 -> ann/position/TH1    100
        trade   ann/position/BTC    -> market/exchange/BTC 200000000
        fee     ann/trading/BTC     -> venue/fees/BTC      400000
        """)
    scene.order("ann", -100)
    scene.at(hour=14).quote(exit_sat, exit_sat)  # half a day: 0.05 % of 2 BTC is 100,000 satoshi of interest
    assert scene.new_ledger() == text(f"""
        trade    ann/position/TH1    -> market/exchange/TH1    100
        trade    market/exchange/BTC -> ann/position/BTC       {exit_sat}
        interest ann/trading/BTC     -> market/exchange/BTC    85000
        interest ann/trading/BTC     -> venue/interest_cut/BTC 15000
        repay    ann/position/BTC    -> market/exchange/BTC    200000000
        repay    market/lent/BTC     -> ann/owed/BTC           200000000
        {profit}
        fee      ann/trading/BTC     -> venue/fees/BTC         {fee}
        """)
    gain = exit_sat - TWO - 400_000 - fee - 100_000
    assert scene.has("ann/trading/BTC") == COIN + gain == scene.exchange.equity_sat("ann")


@pytest.mark.parametrize(
    ("accrual", "first", "second"),
    [(MARK, (637_500, 112_500), (425_000, 75_000)), (ENTRY_NOTIONAL, *[(850_000, 150_000)] * 2)],
)
def test_a_short_pays_interest_and_dividends_to_its_lender(
    accrual: str, first: tuple[int, int], second: tuple[int, int]
) -> None:
    """Half a day at 1 %/day on the mark (1.5 BTC, then 1 BTC) or on the 2 BTC of the start."""
    scene = lender_and_short(accrual)
    assert scene.new_ledger() == text("""
        loan  bob/deposit/TH1     -> ann/position/TH1    100
        loan  ann/owed/TH1        -> bob/lent/TH1        100
        trade ann/position/TH1    -> market/exchange/TH1 100
        trade market/exchange/BTC -> ann/position/BTC    200000000
        fee   ann/trading/BTC     -> venue/fees/BTC      400000
        """)
    scene.at(hour=18).block(10_000_000)
    scene.at(hour=23).quote(150_000_000, 150_000_000)
    scene.at(day=1).reach()
    assert scene.new_ledger() == text(f"""
        block    world/pool/BTC      -> venue/pool_fee/BTC      300000
        block    world/pool/BTC      -> venue/dividends/BTC     9700000
        interest ann/trading/BTC     -> bob/deposit/BTC         {first[0]}
        interest ann/trading/BTC     -> venue/interest_cut/BTC  {first[1]}
        dividend venue/dividends/BTC -> market/exchange/BTC     9700000
        dividend venue/dividends/BTC -> bob/exchange/BTC        97000
        dividend ann/trading/BTC     -> venue/dividends/BTC     97000
        """)
    scene.order("ann", 0, close=True)
    scene.at(day=1, hour=12).quote(COIN, COIN)
    assert scene.new_ledger() == text(f"""
        trade    market/exchange/TH1 -> ann/position/TH1       100
        trade    ann/position/BTC    -> market/exchange/BTC    100000000
        interest ann/trading/BTC     -> bob/deposit/BTC        {second[0]}
        interest ann/trading/BTC     -> venue/interest_cut/BTC {second[1]}
        repay    ann/position/TH1    -> bob/deposit/TH1        100
        repay    bob/lent/TH1        -> ann/owed/TH1           100
        trade    ann/position/BTC    -> ann/trading/BTC        100000000
        fee      ann/trading/BTC     -> venue/fees/BTC         200000
        """)


def test_a_third_of_a_long_is_closed_with_a_third_of_its_loan_rounded_down() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("ann", COIN, "trading")
    scene.quote(100_000_100, 100_000_100)
    scene.order("ann", 3)
    scene.quote(100_000_100, 100_000_100)
    assert scene.has("ann/owed/BTC") == -3_000_003
    scene.new_moves()
    scene.order("ann", -1)
    scene.quote(100_000_000, 100_000_000)
    assert scene.new_ledger() == text("""
        trade ann/position/TH1    -> market/exchange/TH1 1
        trade market/exchange/BTC -> ann/position/BTC    1000000
        repay ann/position/BTC    -> market/exchange/BTC 1000001
        repay market/lent/BTC     -> ann/owed/BTC        1000001
        trade ann/trading/BTC     -> ann/position/BTC    1
        fee   ann/trading/BTC     -> venue/fees/BTC      2000
        """)
    assert scene.lots("ann") == 2


def test_a_fill_turns_a_short_into_a_long_through_zero() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("ann", 2 * COIN, "trading")
    scene.quote(TWO, TWO)
    scene.order("ann", -100)
    scene.quote(TWO, TWO)
    scene.new_moves()
    scene.order("ann", 150)
    scene.quote(180_000_000, 180_000_000)
    assert scene.new_ledger() == text("""
        loan  market/exchange/BTC -> ann/position/BTC    90000000
        loan  ann/owed/BTC        -> market/lent/BTC     90000000
        trade market/exchange/TH1 -> ann/position/TH1    150
        trade ann/position/BTC    -> market/exchange/BTC 270000000
        repay ann/position/TH1    -> market/exchange/TH1 100
        repay market/lent/TH1     -> ann/owed/TH1        100
        trade ann/position/BTC    -> ann/trading/BTC     20000000
        fee   ann/trading/BTC     -> venue/fees/BTC      540000
        """)
    assert scene.lots("ann") == 50
    assert scene.has("ann/position/BTC") == 0


# Lending ---------------------------------------------------------------------------------------------------------


def test_contracts_lent_to_the_market_earn_interest_and_still_their_dividends() -> None:
    scene = Scene(rules=dataclasses.replace(RULES, demand=(0, 60)))
    scene.rate(CONTRACT, PERCENT_DAY, 0)
    scene.deposit("bob", 3 * COIN)
    scene.quote(TWO, TWO)
    scene.order("bob", 100, wallet="exchange")
    scene.at(second=1).quote(TWO, TWO)
    scene.transfer("bob", "exchange", "deposit", CONTRACT, 100)
    scene.new_moves()
    dear = scene.offer("bob", CONTRACT, 20, PERCENT_DAY + 1)
    offer = scene.offer("bob", CONTRACT, 80, PERCENT_DAY)
    assert scene.new_ledger() == text("""
        loan bob/deposit/TH1 -> market/exchange/TH1 60
        loan market/owed/TH1 -> bob/lent/TH1        60
        """)
    assert {o.id: o.remaining for o in scene.state.offers[CONTRACT]} == {dear: 20, offer: 20}
    scene.at(hour=6).block(10_000_000)
    scene.at(day=1).reach()
    assert scene.new_ledger() == text("""
        block    world/pool/BTC      -> venue/pool_fee/BTC     300000
        block    world/pool/BTC      -> venue/dividends/BTC    9700000
        interest market/exchange/BTC -> bob/deposit/BTC        1019989
        interest market/exchange/BTC -> venue/interest_cut/BTC 179997
        dividend venue/dividends/BTC -> market/exchange/BTC    9603000
        dividend venue/dividends/BTC -> bob/exchange/BTC       97000
        """)
    (loan,) = scene.loans("market")
    scene.recall("bob", loan.id)
    assert scene.new_ledger() == text("""
        repay market/exchange/TH1 -> bob/deposit/TH1 60
        repay bob/lent/TH1        -> market/owed/TH1 60
        """)


def test_a_loan_that_ends_is_renewed_at_a_dearer_offer() -> None:
    scene = lender_and_short(days=2)
    scene.deposit("cat", 3 * COIN)
    scene.order("cat", 100, wallet="exchange")
    scene.at(hour=13).quote(TWO, TWO)
    scene.transfer("cat", "exchange", "deposit", CONTRACT, 100)
    scene.offer("cat", CONTRACT, 100, PERCENT_DAY * 3 // 2, 5)
    scene.at(day=2).reach()
    scene.new_moves()
    scene.at(day=2, hour=12).reach()
    assert scene.new_ledger() == text("""
        loan     cat/deposit/TH1  -> ann/position/TH1       100
        loan     ann/owed/TH1     -> cat/lent/TH1           100
        interest ann/trading/BTC  -> bob/deposit/BTC        850000
        interest ann/trading/BTC  -> venue/interest_cut/BTC 150000
        repay    ann/position/TH1 -> bob/deposit/TH1        100
        repay    bob/lent/TH1     -> ann/owed/TH1           100
        """)
    (loan,) = scene.loans("ann")
    assert (loan.lender, loan.rate_ppb_day, loan.end_ns) == ("cat", 15_000_000, scene.now + 5 * NS_PER_DAY)
    assert scene.notices("ann") == []


def test_a_loan_that_finds_no_lender_is_covered_at_the_next_price() -> None:
    scene = lender_and_short(days=2)
    scene.at(day=2, hour=12).reach()
    assert scene.notices("ann") == ["cover"]
    (loan,) = scene.loans("ann")
    assert loan.overdue
    (order,) = scene.state.live
    assert order.forced
    assert scene.exchange.state.lent_lots == 100
    scene.at(day=2, hour=18).quote(TWO, TWO)
    assert (scene.lots("ann"), scene.loans("ann"), scene.has("bob/deposit/TH1")) == (0, [], 100)
    paid = sum(m.amount for m in scene.new_moves() if m.kind == "interest")
    assert paid == 2 * 2_000_000 + 500_000, "interest runs on until the loan is paid back"


def test_a_recalled_loan_is_funded_elsewhere_or_covered() -> None:
    scene = lender_and_short()
    scene.at(hour=12, second=1).rate(CONTRACT, PERCENT_DAY * 2, 40)
    (loan,) = scene.loans("ann")
    scene.recall("bob", loan.id)
    assert scene.notices("ann") == ["recall", "cover"]
    assert [(each.lender, each.amount, each.overdue) for each in scene.loans("ann")] == [
        ("bob", 60, True),
        ("market", 40, False),
    ]
    scene.at(hour=13).quote(TWO, TWO)
    assert scene.lots("ann") == -40
    assert [(each.lender, each.amount) for each in scene.loans("ann")] == [("market", 40)]
    assert scene.has("bob/deposit/TH1") == 100


def test_the_dearest_loan_is_paid_back_first() -> None:
    scene = Scene().at(hour=1)
    scene.rate(CONTRACT, PERCENT_DAY, 50)
    scene.deposit("bob", 3 * COIN)
    scene.deposit("ann", 2 * COIN, "trading")
    scene.quote(TWO, TWO)
    scene.order("bob", 100, wallet="exchange")
    scene.quote(TWO, TWO)
    scene.transfer("bob", "exchange", "deposit", CONTRACT, 100)
    scene.offer("bob", CONTRACT, 100, PERCENT_DAY * 2, 30)
    scene.order("ann", -80)
    scene.quote(TWO, TWO)
    assert [(each.lender, each.amount) for each in scene.loans("ann")] == [("market", 50), ("bob", 30)]
    scene.order("ann", 40)
    scene.quote(TWO, TWO)
    assert [(each.lender, each.amount) for each in scene.loans("ann")] == [("market", 40)]


# Margin ----------------------------------------------------------------------------------------------------------


def test_a_call_comes_once_before_the_liquidation_and_the_venue_takes_what_is_missing() -> None:
    scene = lender_and_short()
    for hour, price in ((13, 255), (14, 256), (15, 270), (16, 310)):
        scene.at(hour=hour).quote(price * COIN // 100, price * COIN // 100)
    assert scene.notices("ann") == ["margin_call", "liquidation", "deficit"]
    missing = scene.has("venue/deficit/BTC")
    kept = COIN - 400_000 + TWO - 310_000_000 - 620_000
    interest = sum(m.amount for m in scene.new_moves() if m.kind == "interest")
    assert missing == kept - interest < 0
    assert scene.has("ann/trading/BTC") == 0
    assert not scene.account("ann").liquidating


# Fees ------------------------------------------------------------------------------------------------------------


def test_a_maker_pays_the_makers_fee_rounded_up() -> None:
    scene = Scene(terms(tick_sat=1))
    scene.deposit("ann", 10_000)
    scene.quote(1_000, 1_100)
    order = scene.order("ann", 33, 1_050, wallet="exchange")
    assert scene.account("ann").reserved[BTC] == 347 + 1
    scene.at(second=1).quote(1_040, 1_060)
    scene.new_moves()
    scene.at(second=2).quote(1_040, 1_050)
    assert scene.new_ledger() == text("""
        trade market/exchange/TH1 -> ann/exchange/TH1    33
        trade ann/exchange/BTC    -> market/exchange/BTC 347
        fee   ann/exchange/BTC    -> venue/fees/BTC      1
        """)
    (fill,) = scene.state.fills
    assert (fill.maker, fill.price_sat, fill.mark_sat, fill.fee_sat) == (True, 1_050, 1_045, 1)
    assert scene.find(order).status == "filled"
    assert scene.account("ann").reserved == [0, 0]


# Edges -----------------------------------------------------------------------------------------------------------


def test_liquidation_begins_one_satoshi_below_maintenance() -> None:
    """Short 100 lots at 2 BTC with 0.516 BTC: equity falls with price and closing fee, maintenance rises."""
    for price, liquidated in ((223_247_559, False), (223_247_560, True)):
        scene = Scene(terms(tick_sat=1)).at(hour=1)
        scene.rate(CONTRACT, 0, 10_000)
        scene.deposit("ann", 52_000_000, "trading")
        scene.quote(TWO, TWO)
        scene.order("ann", -100)
        scene.quote(TWO, TWO)
        assert scene.lots("ann") == -100
        equity = 51_600_000 + TWO - price - fee_sat(price, TERMS.taker_fee_ppm)
        assert (equity < ceil_div(price, 8)) == liquidated
        scene.at(hour=2).quote(price, price)
        assert scene.account("ann").liquidating == liquidated


def test_a_withdrawal_leaves_initial_margin_to_the_satoshi() -> None:
    scene = Scene().at(hour=1).funded()
    scene.deposit("ann", COIN, "trading")
    scene.quote(TWO, TWO)
    scene.order("ann", 100)
    scene.quote(TWO, TWO)
    free = COIN - 400_000 - 400_000 - 50_000_000
    take = Transfer(scene.now, "ann", "trading", "exchange", BTC, free)
    assert scene.refused(take._replace(amount=free + 1)) == "NOT_ENOUGH_BALANCE"
    assert scene.done(take) == 0


def test_nobody_borrows_from_himself() -> None:
    scene = Scene().at(hour=1)
    scene.deposit("ann", 10 * COIN, "deposit")
    scene.deposit("ann", COIN, "trading")
    scene.offer("ann", BTC, 10 * COIN, 0, 30)
    scene.quote(TWO, TWO)
    assert scene.refused(scene.order_of("ann", 10)) == "NO_FUNDING"
    scene.deposit("bob", COIN, "deposit")
    scene.offer("bob", BTC, COIN // 10, PERCENT_DAY, 30)
    order = scene.order("ann", 10)
    scene.at(hour=2).quote(TWO, TWO)
    assert [(loan.lender, loan.amount) for loan in scene.loans("ann")] == [("bob", COIN // 10)]
    assert scene.find(order).reason == "NO_FUNDING"


def test_no_more_than_the_tranche_is_ever_lent() -> None:
    """Contracts sold short are bought, lent and sold again: the claims on them stop at what exists."""
    scene = Scene(terms(tranche_lots=100)).at(hour=1)
    scene.rate(CONTRACT, PERCENT_DAY, 100)
    for user in ("ann", "eve"):
        scene.deposit(user, 10 * COIN, "trading")
    scene.deposit("bob", 10 * COIN)
    scene.quote(TWO, TWO)
    scene.order("ann", -70)
    scene.order("bob", 70, wallet="exchange")
    scene.at(hour=2).quote(TWO, TWO)
    scene.transfer("bob", "exchange", "deposit", CONTRACT, 70)
    for lots in (25, 25, 20):
        scene.offer("bob", CONTRACT, lots, PERCENT_DAY, 30)
    order = scene.order("eve", -100)
    scene.at(hour=3).quote(TWO, TWO)
    assert scene.state.lent_lots == 100
    assert (scene.lots("eve"), scene.find(order).reason) == (-30, "NO_FUNDING")
