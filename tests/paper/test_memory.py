"""Memory does not grow with what has happened: objects are counted while a daemon, and an exchange, trade on."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.memory import CONFIG, events
from benchmarks.paper import begun
from bot.core.events import BTC, Quote
from bot.core.order import EXCHANGE, Deposit, PlaceOrder
from bot.core.state import MarketRules, State
from bot.daemon import Daemon
from bot.paper.checkpoint.ended import Orders
from bot.paper.checkpoint.past import Tail
from bot.paper.service import Service
from tests.bitfinex import START_NS, th1
from tests.checkpoints import often

SLACK = 2_500
"""Blocks of memory by which two looks may differ: caches of SQLite's statements, of the model, of the interpreter."""


def allocated() -> int:
    """Return how many blocks of memory the interpreter's objects take."""
    gc.collect()
    return sys.getallocatedblocks()


def held(state: State) -> int:
    """Return how many orders, cids, fills and notices are in memory."""
    orders, fills, notices = state.orders, state.fills, state.notices
    if not (isinstance(orders, Orders) and isinstance(fills, Tail) and isinstance(notices, Tail)):
        return len(orders) + len(state.by_cid) + len(fills) + len(notices)
    return len(orders.in_memory) + len(state.by_cid) + fills.in_memory + notices.in_memory


def fed(daemon: Daemon, source: Any, fills: int) -> State:
    state = next(iter(daemon.desks.values())).session.state
    while len(state.fills) < fills:
        daemon.take_in([next(source) for _ in range(50)])
    return state


def test_a_daemon_that_trades_on_keeps_as_many_objects_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often(monkeypatch, every=200, kept=20)
    daemon, source = begun(tmp_path / "a.journal", CONFIG), events(1_000_000)
    seen, most = [], 0
    for fills in (200, 400, 600, 800, 1_000):
        state = fed(daemon, source, fills)
        most = max(most, held(state))
        seen.append(allocated())
    assert most < 4 * 20 + 3 * 200
    assert max(seen[1:]) - seen[1] < SLACK, seen
    assert len(list(state.fills)) == len(state.fills) >= 1_000
    assert [order.id for order in state.orders.values()] == sorted(order.id for order in state.orders.values())
    daemon.journal.close()


def test_without_checkpoints_the_same_count_grows(tmp_path: Path) -> None:
    """The control: the count above can fail."""
    daemon, source = begun(tmp_path / "a.journal", CONFIG), events(1_000_000)
    daemon = Daemon(daemon.journal, whole=True)
    fed(daemon, source, 200)
    before = allocated()
    state = fed(daemon, source, 1_000)
    assert allocated() - before > 2 * SLACK and held(state) > 2_500
    daemon.journal.close()


def test_an_exchange_that_trades_on_keeps_as_many_objects_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two users trade with each other; wallets, trades, orders and candles are all asked for at the end."""
    often(monkeypatch, every=200, kept=20)
    service = Service.open(tmp_path / "a.exchange", th1(), MarketRules(), START_NS)
    now = START_NS
    service.see(Quote(now, 100_000_000, 500, 101_000_000, 500))
    for user in ("ann", "ben"):
        assert service.submit(Deposit(now, user, BTC, 10**10)) == 0
    service.submit(PlaceOrder(now, "ann", 0, EXCHANGE, 400, 0, active_ns=now))
    seen: list[int] = []
    for turn in range(1, 1_501):
        now += 1_000_000_000
        buyer, seller = ("ann", "ben") if turn % 2 == 0 else ("ben", "ann")
        with service.group():
            if turn % 5 == 1:
                service.see(Quote(now, 99_000_000, 500, 101_000_000, 500))
            service.submit(PlaceOrder(now, seller, turn, EXCHANGE, -1, 100_000_000, active_ns=now))
            service.submit(PlaceOrder(now, buyer, turn, EXCHANGE, 1, 100_000_000, active_ns=now))
        service.records()
        if turn % 300 == 0:
            seen.append(allocated())
    state = service.exchange.state
    assert len(state.fills) > 2_900 and held(state) < 1_000
    assert max(seen[1:]) - seen[1] < SLACK, seen
    assert len(state.ledger.moves) < 2_000
    records = service.records()
    assert len(list(records.entries["ann"])) > 2_900 and len(list(records.fills["ben"])) > 1_400
    assert sum(candle.volume_lots for candle in service.tape.minutes) == 0 and len(service.tape.minutes) > 24
    assert state.by_cid[("ann", 7, START_NS // 86_400 // 10**9)] in state.orders
    service.journal.close()
