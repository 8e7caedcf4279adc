"""Ledgers small enough to check by hand: what each part of profit is."""

from __future__ import annotations

import dataclasses

import pytest

from backtests.attribution import AttributionError, Flow, Split, attribute
from backtests.result import RunResult
from bot.core.contract import Contract, Lending, Payout
from bot.core.events import Fill, Mark, Posting

CONTRACT = Contract(
    id="TH1BTC-2014Q4",
    symbol="TH1BTC",
    asset="TH1",
    kind="dividend_term",
    hash_rate_hs=10**12,
    lots_per_contract=100,
    tick_sat=1,
    tranche_lots=10_000,
    start_ns=0,
    end_ns=10**6,
    payout=Payout("pps", 30_000, False, 0, 0),
    margin=(),
    collateral=(),
    margin_call_ppm=1_500_000,
    lending=Lending(2, 30, 150_000, 7_500_000, "mark"),
    maker_fee_ppm=1_000,
    taker_fee_ppm=2_000,
)


def ledger(text: str) -> list[Posting]:
    """Read lines `transaction time kind account amount`; a test's text is a ledger."""
    rows = [line.split() for line in text.strip().splitlines()]
    return [Posting(int(row[0]), int(row[1]), row[2], row[3], int(row[4])) for row in rows]


def fill(time_ns: int, size_lots: int, price_sat: int, fee_sat: int, mark_sat: int) -> Fill:
    return Fill(time_ns, 1, "bob", "trading", size_lots, price_sat, fee_sat, mark_sat, False)


def run(text: str, fills: list[Fill], marks: list[Mark], start_sat: int = 10_000) -> RunResult:
    postings = ledger(text)
    balances: dict[str, int] = {}
    for posting in postings:
        balances[posting.account] = balances.get(posting.account, 0) + posting.amount
    return RunResult(
        name="band",
        engine="reference",
        user="bob",
        contract=CONTRACT,
        start_ns=0,
        end_ns=marks[-1].time_ns,
        start_equity_sat=start_sat,
        fills=fills,
        postings=postings,
        marks=marks,
        notices=[],
        observations=[],
        final_balances=balances,
    )


def test_long_from_flat_to_flat() -> None:
    """Bought at 210 against a mark of 200, sold at 290 against 300: price 100, slippage 20, fees 5."""
    result = run(
        """
        1 0 deposit  bob/exchange/BTC  10000
        2 20 trade   bob/position/TH1    100
        2 20 trade   bob/position/BTC   -210
        2 20 fee     bob/trading/BTC      -2
        3 30 dividend bob/trading/BTC     40
        3 30 interest bob/trading/BTC     -7
        4 40 dividend bob/trading/BTC      1
        4 40 trade   bob/position/TH1   -100
        4 40 trade   bob/position/BTC    290
        4 40 trade   bob/position/BTC    -80
        4 40 trade   bob/trading/BTC      80
        4 40 interest bob/trading/BTC     -1
        4 40 fee     bob/trading/BTC      -3
        """,
        [fill(20, 100, 210, 2, 200), fill(40, -100, 290, 3, 300)],
        [Mark(10, 200, 0, 10_000), Mark(30, 300, 100, 10_121), Mark(50, 300, 0, 10_108)],
    )
    attribution = attribute(result)
    assert attribution.split == Split(price_sat=100, dividends_sat=41, swap_sat=-8, fees_sat=-5, slippage_sat=-20)
    assert attribution.outside == Split()
    (trade,) = attribution.trades
    assert trade.split == attribution.split
    assert (trade.side, trade.opened_ns, trade.closed_ns, trade.ended_by) == (1, 20, 40, "trade")
    assert (trade.entry_price_sat, trade.exit_price_sat, trade.peak_lots) == (210, 290, 100)


def test_turn_is_shared_by_lots_and_the_second_keeps_the_remainder() -> None:
    """Long 1 lot, sell 3: the fee of 10 goes 3 (half up of 3.33) to the first trade and 7 to the second."""
    result = run(
        """
        1 0 deposit bob/exchange/BTC 10000
        2 20 trade bob/position/TH1 1
        2 20 trade bob/position/BTC -10
        3 30 dividend bob/trading/BTC 5
        3 30 trade bob/position/TH1 -3
        3 30 trade bob/position/BTC 31
        3 30 interest bob/trading/BTC -2
        3 30 fee bob/trading/BTC -10
        """,
        [fill(20, 1, 1_000, 0, 1_000), fill(30, -3, 1_033, 10, 1_000)],
        [Mark(10, 1_000, 0, 10_000), Mark(40, 1_000, -2, 9_994)],
    )
    first, second = attribute(result).trades
    assert first.split == Split(dividends_sat=5, swap_sat=-2, fees_sat=-3)  # 31 x 1/3 rounds to 10: no slippage
    assert second.split == Split(fees_sat=-7, slippage_sat=1)
    assert (first.side, second.side, second.closed_ns) == (1, -1, None)


def test_expiry_takes_from_a_long_and_gives_to_a_short() -> None:
    """What is held at expiry is worth nothing after: the last mark before it is the loss, or the gain."""
    for sign in (1, -1):
        result = run(
            f"""
            1 0 deposit bob/exchange/BTC 10000
            2 20 trade bob/position/TH1 {sign * 100}
            2 20 trade bob/position/BTC {sign * -200}
            3 40 dividend bob/trading/BTC {sign * 150}
            3 40 expiry bob/position/TH1 {sign * -100}
            """,
            [fill(20, sign * 100, 200, 0, 200)],
            [Mark(20, 200, 0, 0), Mark(30, 60, sign * 100, 0), Mark(40, 0, 0, 10_000 - sign * 50)],
        )
        (trade,) = attribute(result).trades
        assert trade.split == Split(price_sat=sign * -140, dividends_sat=sign * 150, expiry_sat=sign * -60)
        assert trade.ended_by == "expiry"


def test_lending_while_flat_is_outside_trades_and_other_deposits_are_not_profit() -> None:
    """A lender without a position earns lending income; money that he adds later is a flow."""
    result = run(
        """
        1 0 deposit bob/exchange/BTC 10000
        2 5 loan bob/deposit/BTC -500
        2 5 loan bob/lent/BTC 500
        3 10 interest bob/deposit/BTC 9
        4 15 deposit bob/exchange/BTC 300
        5 16 withdrawal bob/exchange/BTC -100
        """,
        [],
        [Mark(20, 200, 0, 10_209)],
    )
    attribution = attribute(result)
    assert attribution.split == attribution.outside == Split(lending_sat=9)
    assert attribution.other_flows == (Flow(15, 300), Flow(16, -100))


def test_venue_absorbs_a_deficit() -> None:
    """A liquidation below zero: the loss stays in price, the part that the venue bears is named."""
    result = run(
        """
        1 0 deposit bob/exchange/BTC 100
        2 20 trade bob/position/TH1 -100
        2 20 trade bob/position/BTC 200
        3 40 trade bob/position/TH1 100
        3 40 trade bob/position/BTC -500
        3 40 deficit bob/trading/BTC 200
        """,
        [fill(20, -100, 200, 0, 200), fill(40, 100, 500, 0, 500)],
        [Mark(10, 200, 0, 100), Mark(40, 500, -100, -200), Mark(50, 500, 0, 0)],
        start_sat=100,
    )
    assert attribute(result).trades[0].split == Split(price_sat=-300, deficit_sat=200)


GOOD = """
1 0 deposit bob/exchange/BTC 10000
2 20 trade bob/position/TH1 100
2 20 trade bob/position/BTC -200
"""


def good() -> RunResult:
    return run(GOOD, [fill(20, 100, 200, 0, 200)], [Mark(30, 250, 100, 10_050)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"marks": [Mark(30, 250, 100, 10_051)]}, "parts sum to 50 sat"),
        ({"marks": [Mark(30, 250, 99, 10_050)]}, "last mark holds 99 lots, postings 100"),
        ({"marks": []}, "no mark"),
        ({"fills": []}, "transaction 2 trades 100 lots"),
        ({"fills": [fill(20, 99, 200, 0, 200)]}, "transaction 2 trades 100 lots"),
        ({"fills": [fill(20, 100, 200, 0, 200), fill(25, 1, 200, 0, 200)]}, "has no posting"),
        ({"fills": [fill(20, 100, 200, 1, 200)]}, "fees posted 0 sat, on fills 1 sat"),
        ({"final_balances": {}}, "final balance is 0"),
        ({"start_equity_sat": 9_999}, "no deposits make up"),
    ],
)
def test_contradictions_are_named(change: dict[str, object], message: str) -> None:
    """Each way in which a result can contradict itself is found and says what disagrees."""
    assert attribute(good()).split == Split(price_sat=50)
    with pytest.raises(AttributionError, match=message):
        attribute(dataclasses.replace(good(), **change))


def test_unexplained_postings_are_refused() -> None:
    """Neither a block reward nor a one-sided loan can make a user richer, nor an asset nobody knows."""
    for line in ("3 25 block bob/trading/BTC 1", "3 25 loan bob/trading/BTC 1"):
        bad = run(GOOD + line, [fill(20, 100, 200, 0, 200)], [Mark(30, 250, 100, 10_051)])
        with pytest.raises(AttributionError, match="neither profit nor a flow"):
            attribute(bad)
    bad = run(GOOD + "3 25 deposit bob/trading/LTC 1", [fill(20, 100, 200, 0, 200)], [Mark(30, 250, 100, 1)])
    with pytest.raises(AttributionError, match="neither BTC nor TH1"):
        attribute(bad)
