"""Checkpoints under kills, torn writes and lost power: what is gone on from is what a replay gives, or nothing."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.app.paper import replay_feed
from bot.app.rereading import beside
from bot.daemon import Daemon
from bot.errors import JournalBrokenError, JournalError
from bot.facts import facts_of
from bot.paper import journal as journal_module
from bot.paper.checkpoint.plain import written
from bot.paper.entries import ALL_VENUES, HEAD, head_text
from bot.paper.journal import Journal
from bot.paper.service import Service
from bot.run import load_run
from bot.verifying import verify
from tests.checkpoints import often
from tests.crash.disk import (
    ACK,
    FULL,
    IOERR_FSYNC,
    SYNC,
    WRITE,
    Disk,
    Files,
    Op,
    after_kill,
    after_power_loss,
    lay_out,
    watched,
)
from tests.crash.scenario import NAME, STEPS, open_in, run
from tests.crash.test_daemon import PATIENCE_S, House


@dataclass(frozen=True)
class Recording:
    """What the scenario did to the disk, and where the service stood after each step, by entries."""

    ops: list[Op]
    stood: dict[int, str]


@pytest.fixture
def disk() -> Iterator[Disk]:
    with watched() as disk:
        if disk is None:
            pytest.skip("this Python's sqlite3 is linked into it, and cannot be watched from outside")
        yield disk


@pytest.fixture
def recording(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recording:
    """Run the scenario in three sittings, with a checkpoint every 30 entries and the log folded now and then."""
    often(monkeypatch, every=30, kept=3)
    monkeypatch.setattr(journal_module, "FOLD_ENTRIES", 100)
    (tmp_path / "run").mkdir()
    stood: dict[int, str] = {}
    for steps in (STEPS // 3, STEPS // 2, STEPS):
        service = open_in(tmp_path / "run")

        def acknowledged(sequence: int, service: Service = service) -> None:
            stood[sequence] = standing(service)

        acknowledged(service.journal.sequence)
        disk.ack(service.journal.sequence)
        run(service, steps, acknowledged)
        service.close()
    disk.is_idle = True
    return Recording(list(disk.ops), stood)


def standing(service: Service) -> str:
    """Return where a service stands; a refused command, which nobody replays, may have raised the rank of its time."""
    document = service.document()
    del document["exchange"]["fields"]["rank"]
    return written(document)


def goes_on(files: Files, directory: Path, recording: Recording) -> int:
    """Open what is left and return the entry of the checkpoint that it went on from; it must stand where it stood."""
    lay_out(files, directory)
    service = open_in(directory)
    assert service.checkpoints.distrusted == ""
    assert standing(service) == recording.stood[service.journal.sequence]
    at = service.checkpoints.resumed_at
    service.close()
    return at


def test_killed_at_any_write_it_goes_on_from_a_checkpoint_that_is_whole(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut").mkdir()
    draw, points, seen = random.Random(5), 0, set()
    places = [at for at, op in enumerate(recording.ops) if op.kind != ACK]
    for at in draw.sample(places, 350):
        op = recording.ops[at]
        for torn in (None, draw.randrange(len(op.content))) if op.kind == WRITE and op.content else (None,):
            seen.add(goes_on(after_kill(recording.ops[: at + 1], torn), tmp_path / "cut", recording))
            points += 1
    assert len(seen) > 10
    with capsys.disabled():
        print(f"\nkilled at {points} points with checkpoints: went on from {len(seen)} of them, all as a replay has it")


def test_without_power_it_goes_on_from_a_checkpoint_that_is_whole(recording: Recording, tmp_path: Path) -> None:
    (tmp_path / "cut").mkdir()
    draw, seen = random.Random(6), set()
    places = [at for at, op in enumerate(recording.ops) if op.kind != ACK]
    for at in draw.sample(places, 120):
        seen.add(goes_on(after_power_loss(recording.ops[: at + 1], draw), tmp_path / "cut", recording))
    assert len(seen) > 8


def test_what_is_left_at_the_end_is_verified(recording: Recording, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run" / NAME)
    checked = verify(journal)
    journal.close()
    assert checked.checkpoint > 300 and checked.past > 300


def test_without_space_for_a_checkpoint_the_next_one_must_do(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often(monkeypatch, every=30, kept=3)
    service = open_in(tmp_path)
    run(service, 20, lambda sequence: None)
    taken, entries = service.checkpoints.taken_at, service.journal.sequence
    assert taken > 0
    store = service.journal.store

    def without_space(statements: object) -> None:
        disk.fault = lambda op: FULL if op.kind == WRITE else 0
        try:
            store(statements)  # type: ignore[arg-type]
        finally:
            disk.fault = lambda op: 0

    monkeypatch.setattr(service.journal, "store", without_space)
    run(service, 40, lambda sequence: None)
    assert service.journal.sequence > entries + 60 and service.checkpoints.taken_at == taken
    monkeypatch.setattr(service.journal, "store", store)
    run(service, 60, lambda sequence: None)
    assert service.checkpoints.taken_at > entries + 60
    service.close()
    journal = Journal(tmp_path / NAME)
    assert verify(journal).checkpoint > entries + 60
    journal.close()


def test_a_failed_sync_of_a_checkpoint_ends_it(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    often(monkeypatch, every=30, kept=3)
    service = open_in(tmp_path)
    store = service.journal.store

    def failing(statements: object) -> None:
        disk.fault = lambda op: IOERR_FSYNC if op.kind == SYNC else 0
        store(statements)  # type: ignore[arg-type]

    monkeypatch.setattr(service.journal, "store", failing)
    with pytest.raises(JournalBrokenError):
        run(service, 30, lambda sequence: None)
    disk.fault = lambda op: 0
    service.close()
    again = open_in(tmp_path)
    assert again.journal.sequence >= 30
    again.close()


def test_an_entry_before_the_checkpoint_that_was_changed_is_found_while_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 12: a start from a checkpoint has not read what comes before it; that is read beside."""
    often(monkeypatch, every=30, kept=3)
    service = open_in(tmp_path)
    run(service, STEPS, lambda sequence: None)
    service.close()
    with sqlite3.connect(tmp_path / NAME) as connection:
        connection.execute("UPDATE entries SET text = replace(text, '1', '2') WHERE sequence = 250")
    connection.close()
    service = open_in(tmp_path)
    assert service.checkpoints.resumed_at > 300 and service.checkpoints.distrusted == ""

    async def forever() -> str:
        await asyncio.Event().wait()
        return "never"

    with pytest.raises(JournalError, match="entry 250 was changed: its hash does not fit"):
        asyncio.run(beside(forever(), service.journal, service.checkpoints.resumed_at))
    assert asyncio.run(beside(asyncio.sleep(0.2, "served"), service.journal, 249)) == "served"
    service.close()


def test_the_daemon_ends_when_an_old_entry_was_changed(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.write("hold_long", end="2014-11-15")
    plan = load_run(house.config)
    feed, journal = replay_feed(plan), Journal(house.journal, synchronous="OFF")
    facts = facts_of(plan.plans, house.config.read_text(), feed.name)
    journal.append(HEAD, ALL_VENUES, facts["start_ns"], head_text(facts))
    journal.commit()
    Daemon(journal).take_in(feed.all[:4_200])
    journal.close()
    with sqlite3.connect(house.journal) as connection:
        connection.execute("UPDATE entries SET text = replace(text, '1', '2') WHERE sequence = 1500")
    connection.close()
    process = house.start("100")
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 9 and "entry 1500 was changed: its hash does not fit" in out
