"""What the tests of checkpoints share: a walk carried out by a service, and states that can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.core.events import Bar
from bot.core.exchange import Exchange
from bot.core.state import State
from bot.paper.checkpoint import past, store
from bot.paper.entries import Event, Opening
from bot.paper.journal import Journal
from bot.paper.records import Records
from bot.paper.service import Service
from tests.ledgers import START_NS, snapshot
from tests.walk import Walk

CACHES = frozenset({"cached_margin_lots", "cached_sat", "cached_spot_lots", "cached_until", "standing"})


def often(monkeypatch: pytest.MonkeyPatch, every: int, kept: int) -> None:
    """Take a checkpoint after so many entries, and keep only so many ended things in memory."""
    monkeypatch.setattr(store, "EVERY", every)
    monkeypatch.setattr(past, "KEPT", kept)


def plainly(state: State) -> dict[str, Any]:
    """Return everything in a state but its moves, which a service lets go of, and what is only cached.

    Transactions are not compared: a service does not apply an order again that it knows.
    """
    plain = snapshot(state)
    plain["ledger"] = (plain["ledger"][0], plain["ledger"][2])
    return plain


def entries_of(exchange: Exchange) -> dict[str, list[Any]]:
    """Return every change of every user's wallets, from the moves."""
    records = Records(exchange)
    records.follow()
    return {user: list(rows) for user, rows in records.entries.items()}


def service_of(path: Path, walk: Walk) -> Service:
    journal = Journal(path, synchronous="OFF")  # nobody pulls the plug here; tests/crash does
    if not journal.sequence:
        journal.close()
        Service.open(path, walk.contract, walk.rules, START_NS).close()
        journal = Journal(path, synchronous="OFF")
    service = Service(journal, walk.contract, walk.rules, START_NS)
    service._recover()
    return service


def crash(journal: Journal) -> None:
    """Leave a journal as a kill does: what is not committed is gone, nothing is folded."""
    journal._pending.clear()
    journal._risen.clear()
    journal._connection.close()
    journal._sidecar.close()


def event_of(name: str, event: Any) -> Event:
    """Return a walk's event as a service is shown it."""
    if name == "on_bar_open":
        assert isinstance(event, Bar)
        return Opening(event.time_ns, event.open_sat, event.volume_lots)
    found: Event = event
    return found


def tell(service: Service, name: str, content: Any) -> None:
    """Let a service do one step of a walk."""
    if name == "submit":
        assert isinstance(service.submit(content), int)
    else:
        service.see(event_of(name, content))
        service.flush()
