"""The service: what it acknowledged is there after it is opened anew; what it refused had no effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.core.events import BTC, CONTRACT, Quote, SwapRate
from bot.core.order import EXCHANGE, TRADING, Deposit, PlaceOrder, Rejection, Transfer
from bot.core.state import MarketRules
from bot.errors import JournalError
from bot.paper.journal import Journal
from bot.paper.service import Service
from tests.ledgers import snapshot, terms

START = 1_410_739_200 * 10**9
S = 10**9


def open_service(path: Path) -> Service:
    return Service.open(path / "paper.journal", terms(), MarketRules(demand=(0, 1000)), START)


def trade(service: Service) -> list[int | Rejection]:
    """Let Ann deposit, borrow and sell short, and one of her orders be refused."""
    t = START
    service.see(SwapRate(t + S, CONTRACT, 1_000_000, 5_000))
    service.see(Quote(t + 2 * S, 100_000_000, 500, 102_000_000, 500))
    answers = [service.submit(Deposit(t + 3 * S, "ann", BTC, 10**10))]
    answers.append(service.submit(Transfer(t + 3 * S, "ann", EXCHANGE, TRADING, BTC, 5 * 10**9)))
    with service.group():
        answers.append(service.submit(PlaceOrder(t + 4 * S, "ann", 1, TRADING, -50, active_ns=t + 4 * S)))
        answers.append(service.submit(PlaceOrder(t + 4 * S, "ann", 2, EXCHANGE, 10, 90_000_000, active_ns=t + 4 * S)))
        answers.append(service.submit(PlaceOrder(t + 4 * S, "ann", 3, EXCHANGE, -10)))
    service.see(Quote(t + 5 * S, 100_000_000, 500, 102_000_000, 500))
    service.flush()
    return answers


def facts(service: Service) -> dict[str, object]:
    return snapshot(service.exchange.state)


def test_what_was_acknowledged_is_there_after_opening_anew(tmp_path: Path) -> None:
    service = open_service(tmp_path)
    answers = trade(service)
    assert answers[2:4] == [1, 2] or all(isinstance(answer, int) for answer in answers[:4])
    assert isinstance(answers[4], Rejection) and answers[4].code == "NOT_ENOUGH_BALANCE"
    before, fills = facts(service), len(service.exchange.state.fills)
    assert fills
    service.close()
    again = open_service(tmp_path)
    assert facts(again) == before
    again.close()


def test_a_retry_after_a_lost_reply_is_the_same_order_and_no_second_entry(tmp_path: Path) -> None:
    service = open_service(tmp_path)
    answers = trade(service)
    service.close()
    again = open_service(tmp_path)
    sequence = again.journal.sequence
    order = PlaceOrder(START + 5 * S, "ann", 2, EXCHANGE, 10, 90_000_000, active_ns=START + 4 * S)
    assert again.submit(order) == answers[3]
    assert again.journal.sequence == sequence
    refused = again.submit(order._replace(size_lots=11))
    assert isinstance(refused, Rejection) and refused.code == "CID_REUSED"
    again.close()


def test_nonces_rise_across_openings(tmp_path: Path) -> None:
    service = open_service(tmp_path)
    with service.group():
        assert service.rise("k", 5) and not service.rise("k", 5) and not service.rise("k", 4)
        assert service.rise("other", 1)
    service.close()
    again = open_service(tmp_path)
    assert not again.rise("k", 5) and again.rise("k", 6)
    again.close()


def test_another_contract_or_rules_are_refused_by_name(tmp_path: Path) -> None:
    open_service(tmp_path).close()
    with pytest.raises(JournalError, match="begun with another rules"):
        Service.open(tmp_path / "paper.journal", terms(), MarketRules(), START)
    with pytest.raises(JournalError, match="begun with another start"):
        Service.open(tmp_path / "paper.journal", terms(), MarketRules(demand=(0, 1000)), START + 1)


def test_an_entry_that_does_not_fit_and_a_daemons_journal_are_refused(tmp_path: Path) -> None:
    service = open_service(tmp_path)
    trade(service)
    service.journal.append("CancelOrder", "", START + 6 * S, f'[{START + 6 * S},"ann",999]')
    service.close()
    with pytest.raises(JournalError, match=r"entry \d+ does not fit what comes before it: CancelOrder: 999"):
        open_service(tmp_path)
    journal = Journal(tmp_path / "daemon.journal")
    journal.append("Head", "", START, '{"strategies":[]}')
    journal.close()
    with pytest.raises(JournalError, match="the journal of a daemon"):
        Service.open(tmp_path / "daemon.journal", terms(), MarketRules(), START)
