"""Killed at every write and sync, torn, without power: what was acknowledged is there, and never half a step."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from bot.errors import JournalError
from bot.paper import journal as journal_module
from bot.paper.journal import Journal
from tests.crash.disk import ACK, WRITE, Disk, Files, Op, after_kill, after_power_loss, lay_out, watched
from tests.crash.scenario import NAME, STEPS, open_in, run
from tests.ledgers import snapshot


@dataclass(frozen=True)
class Recording:
    """What the scenario did to the disk, what it journalled, and the state after each step, by entries."""

    ops: list[Op]
    acked: list[int]
    """How many entries were acknowledged by each operation."""
    entries: list[tuple[Any, ...]]
    ends: list[int]
    """The entries after each step."""
    states: dict[int, Any]


@pytest.fixture
def disk() -> Iterator[Disk]:
    with watched() as disk:
        if disk is None:
            pytest.skip("this Python's sqlite3 is linked into it, and cannot be watched from outside")
        yield disk


def record(disk: Disk, directory: Path, monkeypatch: pytest.MonkeyPatch, synchronous: str = "FULL") -> Recording:
    """Run the scenario once, in two sittings, with the log folded now and then."""
    monkeypatch.setattr(journal_module, "FOLD_ENTRIES", 60)
    monkeypatch.setattr(Journal.__init__, "__kwdefaults__", {"synchronous": synchronous, "end_is_right": False})
    ends, states = [0, 1], {}
    for steps in (STEPS // 2, STEPS):
        service = open_in(directory)
        disk.ack(service.journal.sequence)

        def acknowledged(sequence: int, service: Any = service) -> None:
            disk.ack(sequence)
            ends.append(sequence)
            if len(ends) % 10 == 0 or len(ends) == STEPS + 2:
                states[sequence] = snapshot(service.exchange.state)

        run(service, steps, acknowledged)
        service.close()
    journal = Journal(directory / NAME)
    disk.is_idle = True
    entries = [entry[1:6] for entry in journal.entries()]
    journal.close()
    acked = list(accumulate((op.at if op.kind == ACK else 0 for op in disk.ops), max))
    disk.is_idle = True
    return Recording(list(disk.ops), acked, entries, ends, states)


def recovered(directory: Path, recording: Recording) -> int:
    """Return how many entries are found again, after checking that they are the ones that were written."""
    journal = Journal(directory / NAME)
    try:
        found = [entry[1:6] for entry in journal.entries()]
        nonce = journal._nonces.get("key", 0)
    finally:
        journal.close()
    assert found == recording.entries[: len(found)]
    assert len(found) in recording.ends, "half a step"
    assert nonce == max(recording.ends.index(len(found)) - 1, 0), "a nonce without its step"
    return len(found)


def has_the_state(directory: Path, recording: Recording) -> bool:
    """Return whether the service opens with the state that it had then, if that was kept."""
    service = open_in(directory)
    expected = recording.states.get(service.journal.sequence)
    found = snapshot(service.exchange.state)
    service.close()
    return expected is not None and found == expected


def holds(files: Files, directory: Path, recording: Recording, at: int) -> bool:
    """Return whether all that was acknowledged by operation `at` is found, and at most one step more."""
    lay_out(files, directory)
    try:
        count = recovered(directory, recording)
    except JournalError:
        return False
    acked = recording.acked[at]
    return acked <= count <= recording.ends[recording.ends.index(acked) + 1 if acked < recording.ends[-1] else -1]


def test_a_kill_at_every_write_and_sync_loses_nothing(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    recording = record(disk, tmp_path / "run", monkeypatch)
    kinds = Counter(op.kind for op in recording.ops)
    (tmp_path / "cut").mkdir()
    points = 0
    for at, op in enumerate(recording.ops):
        if op.kind == ACK:
            continue
        for torn in (None, len(op.content) // 2) if op.kind == WRITE and at % 3 == 0 else (None,):
            assert holds(after_kill(recording.ops[: at + 1], torn), tmp_path / "cut", recording, at), (at, op[:3], torn)
            points += 1
    with capsys.disabled():
        print(f"\nkilled at {points} points of {dict(kinds)}: nothing lost, nothing doubled")


@pytest.mark.parametrize(("synchronous", "may_lose"), [("FULL", False), ("NORMAL", True), ("OFF", True)])
def test_without_power_only_full_synchronisation_loses_nothing(
    disk: Disk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    synchronous: str,
    may_lose: bool,
) -> None:
    """NORMAL and OFF are the controls: the same test must catch them losing what they acknowledged."""
    (tmp_path / "run").mkdir()
    recording = record(disk, tmp_path / "run", monkeypatch, synchronous)
    (tmp_path / "cut").mkdir()
    draw, points, lost = random.Random(1), 0, 0
    places = [at for at, op in enumerate(recording.ops) if op.kind != ACK]
    for at in places if not may_lose else draw.sample(places, 150):
        points += 1
        if not holds(after_power_loss(recording.ops[: at + 1], draw), tmp_path / "cut", recording, at):
            assert may_lose, (at, recording.ops[at][:3])
            lost += 1
    assert (lost > 10) == may_lose
    with capsys.disabled():
        print(f"\nsynchronous={synchronous}: power lost at {points} points, acknowledged entries lost at {lost}")


def test_what_is_found_again_is_the_state_it_was(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    recording = record(disk, tmp_path / "run", monkeypatch)
    (tmp_path / "cut").mkdir()
    acks = [at for at, op in enumerate(recording.ops) if op.kind == ACK and op.at in recording.states]
    for at in acks:
        lay_out(after_kill(recording.ops[: at + 1]), tmp_path / "cut")
        assert has_the_state(tmp_path / "cut", recording)
    assert len(acks) >= 12
    last = recording.states[recording.ends[-1]]
    seen = {notice.kind for notice in last["notices"]} | {move.kind for move in last["ledger"][1]}
    wanted = {"liquidation", "loan", "interest", "dividend", "expiry", "repay", "trade"}
    assert wanted <= seen, wanted - seen


def test_a_kill_during_recovery_changes_nothing(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A journal is killed, opened, and killed again at every write and sync of that: the third opening finds it all."""
    (tmp_path / "run").mkdir()
    recording = record(disk, tmp_path / "run", monkeypatch)
    (tmp_path / "cut").mkdir()
    draw, points = random.Random(2), 0
    places = [at for at, op in enumerate(recording.ops) if op.kind != ACK]
    for at in (2, 5, 7, 12, *draw.sample(places, 40)):
        before = after_kill(recording.ops[: at + 1])
        lay_out(before, tmp_path / "cut")
        disk.ops, disk.is_idle = [], False
        recovered(tmp_path / "cut", recording)
        recovery, disk.is_idle = list(disk.ops), True
        for cut in range(len(recovery)):
            assert holds(after_kill(recovery[: cut + 1], None, before), tmp_path / "cut", recording, at), (at, cut)
            points += 1
    assert points > 100
    with capsys.disabled():
        print(f"\nkilled again at {points} points of the recovery from 44 kills: nothing changed")
