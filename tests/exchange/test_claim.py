"""A long is claimed: what financed it is paid back, the contracts are owned, and nobody's net position has moved."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest

from bot.core.events import BTC, CONTRACT
from bot.core.invariants import check, check_margin
from bot.core.margin import total_equity_sat
from tests.bitfinex import Bench

TH1 = "TH1/BTC"
DAY_S = 86_400


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.service.close()


@pytest.fixture
def ann(bench: Bench) -> Any:
    return bench.client()


def long(bench: Bench, ann: Any, contracts: int, collateral: str) -> None:
    """Let ann buy on margin; a contract costs 2.01 BTC."""
    body = {"from": "exchange", "to": "margin", "currency": "BTC", "currency_to": "BTC", "amount": collateral}
    ann.privatePostAuthWTransfer(body)
    ann.create_order(TH1, "market", "buy", contracts, None, {"marginMode": "cross", "cid": 1})
    bench.quote(199_000_000, 201_000_000)


def purse(bench: Bench, name: str) -> tuple[int, int]:
    names = bench.state.accounts["ann"].purses[name]
    return bench.state.balance(names[BTC]), bench.state.balance(names[CONTRACT])


def test_a_part_and_then_the_rest_is_claimed_to_the_satoshi(bench: Bench, ann: Any) -> None:
    long(bench, ann, 3, "10")
    account = bench.state.accounts["ann"]
    (row,) = ann.privatePostAuthRPositions({})
    owed, cash = -bench.state.balance(account.owed[BTC]), purse(bench, "trading")[0]
    assert owed == 603_000_000 and purse(bench, "position") == (0, 300)
    bench.quote(199_000_000, 201_000_000, after_s=DAY_S // 2)  # half a day's interest is due
    before = total_equity_sat(bench.state, account, bench.state.time_ns)
    lots = account.margin_lots(bench.state.ledger) + account.spot_lots(bench.state.ledger)

    told = ann.privatePostAuthWPositionClaim({"id": row[11], "amount": "1"})
    assert told[1] == "on-req" and told[6] == "SUCCESS" and told[4][0][:3] == ["tTH1BTC", "ACTIVE", 2]
    interest = 603_000_000 * 10**6 // 2 // 10**9  # 0.1 % a day, half a day, on the one loan that is touched
    assert purse(bench, "trading")[0] == cash - 201_000_000 - interest
    assert purse(bench, "exchange")[1] == 100 and purse(bench, "position") == (0, 200)
    assert bench.state.balance(account.owed[BTC]) == -402_000_000

    told = ann.privatePostAuthWPositionClaim({"id": row[11]})
    assert told[4][0][:3] == ["tTH1BTC", "CLOSED", 0] and ann.privatePostAuthRPositions({}) == []
    assert purse(bench, "trading")[0] == cash - 603_000_000 - interest
    assert purse(bench, "exchange")[1] == 300 and not account.loan_ids
    assert ann.privatePostAuthRFundingCredits({}) == []
    assert account.margin_lots(bench.state.ledger) + account.spot_lots(bench.state.ledger) == lots
    assert total_equity_sat(bench.state, account, bench.state.time_ns) - before in (0, -1), "nothing was earned by it"
    check(bench.state)
    check_margin(bench.state)

    ann.create_order(TH1, "limit", "sell", 3, Decimal("1.99"), {"cid": 2})  # they are his
    bench.quote(199_000_000, 201_000_000)
    assert purse(bench, "exchange")[1] == 0
    balances = dict(bench.state.ledger.balances)
    bench.restart()
    assert bench.state.ledger.balances == balances, "and the journal says so"


def test_what_cannot_be_claimed_is_refused_and_changes_nothing(bench: Bench, ann: Any) -> None:
    claim = ann.privatePostAuthWPositionClaim
    with pytest.raises(ccxt.OrderNotFound, match="UNKNOWN_ID"):
        claim({"id": 1})
    long(bench, ann, 3, "4")  # 4 BTC do not pay for 6.03 BTC of financing
    (row,) = ann.privatePostAuthRPositions({})
    number = row[11]
    before = dict(bench.state.ledger.balances)
    refusals: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"id": number}, ccxt.InsufficientFunds, "603000000 are financed"),
        ({"id": number + 1}, ccxt.OrderNotFound, "UNKNOWN_ID"),
        ({"id": number, "amount": "4"}, ccxt.BadRequest, "BAD_AMOUNT: 400 is not a whole number of lots in 1..300"),
        ({"id": number, "amount": "-1"}, ccxt.BadRequest, "BAD_AMOUNT"),
        ({"id": number, "amount": "0.001"}, ccxt.BadRequest, "not a whole number of lots"),
        ({"id": str(number)}, ccxt.BadRequest, "id: invalid"),
        ({"id": number, "amount": "1.9"}, ccxt.PermissionDenied, "NOT_ENOUGH_MARGIN"),
    ]
    for body, kind, text in refusals:
        with pytest.raises(kind, match=text):
            claim(body)
    assert bench.state.ledger.balances == before
    told = claim({"id": number, "amount": "0.5"})
    assert str(told[4][0][2]) == "2.5"


def test_a_short_has_nothing_to_take_over(bench: Bench, ann: Any) -> None:
    body = {"from": "exchange", "to": "margin", "currency": "BTC", "currency_to": "BTC", "amount": "20"}
    ann.privatePostAuthWTransfer(body)
    ann.create_order(TH1, "market", "sell", 2, None, {"marginMode": "cross"})
    bench.quote(199_000_000, 201_000_000)
    (row,) = ann.privatePostAuthRPositions({})
    with pytest.raises(ccxt.BadRequest, match=r"NOTHING_TO_REDUCE.*only a long can be claimed"):
        ann.privatePostAuthWPositionClaim({"id": row[11]})
