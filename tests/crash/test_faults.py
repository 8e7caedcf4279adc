"""A disk that is full, fails, is tampered with or is somebody else's: refused in words, and nothing is lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.core.events import BTC
from bot.core.order import Deposit, Rejection
from bot.errors import JournalBrokenError, JournalError, JournalFullError
from bot.paper import journal as journal_module
from bot.paper.journal import MIGRATIONS, Journal, head_path
from bot.paper.service import Service
from tests.crash.disk import FULL, IOERR_FSYNC, IOERR_WRITE, SYNC, WRITE, Disk, Op, watched
from tests.crash.scenario import NAME, open_in, run
from tests.ledgers import snapshot


@pytest.fixture
def disk() -> Iterator[Disk]:
    with watched() as disk:
        if disk is None:
            pytest.skip("this Python's sqlite3 is linked into it, and cannot be watched from outside")
        yield disk


def deposit(service: Service, sat: int) -> int | Rejection:
    return service.submit(Deposit(service.exchange.state.time_ns, "ann", BTC, sat))


@pytest.mark.parametrize("code", [FULL, IOERR_WRITE], ids=["disk full", "file size limit"])
def test_without_space_a_command_is_refused_and_everything_stands(disk: Disk, tmp_path: Path, code: int) -> None:
    """Faults 9 and 10, at every write of a commit."""
    service = open_in(tmp_path)
    run(service, 10, lambda sequence: None)
    refused = 0
    for nth in range(12):
        before, sequence, left = snapshot(service.exchange.state), service.journal.sequence, nth

        def fault(op: Op) -> int:
            nonlocal left
            left -= op.kind == WRITE
            return code if op.kind == WRITE and left < 0 else 0

        disk.fault = fault
        try:
            deposit(service, 7)
        except JournalFullError as error:
            refused += 1
            assert "no space" in str(error)
            assert (snapshot(service.exchange.state), service.journal.sequence) == (before, sequence)
            with pytest.raises(JournalFullError), service.group():
                assert deposit(service, 8) == 0 and service.rise("key", 10**6)
            assert snapshot(service.exchange.state) == before
            assert service.rise("key", 10**6 - 1), "a nonce of a group that failed was not used"
            service.journal._risen.clear()
        disk.fault = lambda op: 0
    assert refused == 2  # the page of a commit in the log, and its frame
    assert deposit(service, 9) == 0
    after = snapshot(service.exchange.state)
    service.close()
    again = open_in(tmp_path)
    assert snapshot(again.exchange.state) == after
    again.close()


def test_a_failed_sync_ends_it_and_is_never_tried_again(disk: Disk, tmp_path: Path) -> None:
    service = open_in(tmp_path)
    run(service, 3, lambda sequence: None)
    syncs = 0

    def fault(op: Op) -> int:
        nonlocal syncs
        syncs += op.kind == SYNC
        return IOERR_FSYNC if op.kind == SYNC else 0

    disk.fault = fault
    with pytest.raises(JournalBrokenError, match="start again"):
        deposit(service, 7)
    assert syncs == 1
    disk.fault = lambda op: 0
    for _ in range(3):
        with pytest.raises(JournalBrokenError):
            deposit(service, 7)
    service.close()
    open_in(tmp_path).close()


def test_a_failed_sync_while_the_log_is_folded_is_not_hidden(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "FOLD_ENTRIES", 1)
    service = open_in(tmp_path)
    disk.fault = lambda op: IOERR_FSYNC if op.kind == SYNC and op.name == NAME else 0
    with pytest.raises(JournalBrokenError):
        deposit(service, 7)
    disk.fault = lambda op: 0
    service.close()


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Return the directory of a journal that was ended in order."""
    service = open_in(tmp_path)
    run(service, 8, lambda sequence: None)
    service.close()
    return tmp_path


def refusal(directory: Path) -> str:
    with pytest.raises(JournalError) as caught:
        open_in(directory)
    assert caught.value.exit_code == 9
    return str(caught.value)


def test_a_bit_that_flips_is_found(whole: Path) -> None:
    """Fault 12: every byte of the last entry's text, one after the other, and a sample of the file."""
    path = whole / NAME
    content = path.read_bytes()
    place = content.index(b'"ann"')
    for at in (*range(place, place + 5), *range(100, len(content), 1501)):
        changed = bytearray(content)
        changed[at] ^= 4
        path.write_bytes(changed)
        try:
            service = open_in(whole)
        except JournalError as error:
            assert path.name in str(error)
        else:  # the bit lies where SQLite keeps nothing
            service.close()
            assert at not in range(place, place + 5)
    path.write_bytes(content)
    open_in(whole).close()


def test_a_cut_log_a_lost_log_and_an_old_copy_are_found(whole: Path, disk: Disk) -> None:
    """Faults 13, 14, 15."""
    old = {path.name: path.read_bytes() for path in whole.iterdir() if path.name == NAME}
    service = open_in(whole)
    run(service, 12, lambda sequence: None)
    log = whole / f"{NAME}-wal"
    kept, base = log.read_bytes(), (whole / NAME).read_bytes()
    noted = head_path(whole / NAME).read_bytes()
    service.journal._connection.close()
    for what in (kept[: len(kept) // 2], kept[:-4096], b""):
        (whole / NAME).write_bytes(base)
        log.write_bytes(what)
        head_path(whole / NAME).write_bytes(noted)
        assert "were acknowledged" in refusal(whole)
    log.unlink(missing_ok=True)
    (whole / NAME).write_bytes(old[NAME])
    assert "were acknowledged" in refusal(whole)
    head_path(whole / NAME).unlink()
    assert f"lacks {NAME}.head" in refusal(whole)
    Journal(whole / NAME, end_is_right=True).close()
    open_in(whole).close()
    (whole / NAME).unlink()
    assert "is gone" in refusal(whole)


def test_another_owner_is_waited_for_a_while_and_then_named(whole: Path) -> None:
    """Faults 16 and 17."""
    service = open_in(whole)
    code = f"from pathlib import Path; from tests.crash.scenario import open_in; open_in(Path({str(whole)!r}))"
    second = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert "is in use by another process" in second.stderr
    service.close()
    foreign = sqlite3.connect(whole / NAME, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    assert "is in use by another process" in refusal(whole)
    foreign.execute("ROLLBACK")
    foreign.close()
    open_in(whole).close()


def test_places_and_files_that_cannot_be_a_journal_are_refused(
    whole: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Fault 18."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / NAME).symlink_to(whole / NAME)
    assert "is not a plain file" in refusal(elsewhere)
    (whole / NAME).chmod(0o400)
    assert "is read-only" in refusal(whole)
    (whole / NAME).chmod(0o600)
    with sqlite3.connect(whole / NAME) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    assert "newer than the" in refusal(whole)
    (elsewhere / NAME).unlink()
    (elsewhere / NAME).write_bytes(b"something else entirely, and long enough to be looked at" * 40)
    assert "is not a journal" in refusal(elsewhere)
    (elsewhere / NAME).unlink()
    with sqlite3.connect(elsewhere / NAME) as connection:
        connection.execute("CREATE TABLE other (a)")
    connection.close()
    before = (elsewhere / NAME).read_bytes()
    assert "database of something else" in refusal(elsewhere)
    assert (elsewhere / NAME).read_bytes() == before
    assert [path.name for path in elsewhere.iterdir()] == [NAME], "nothing is left beside it"


def test_a_forked_child_may_not_write(whole: Path) -> None:
    """Fault 20."""
    service = open_in(whole)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            deposit(service, 5)
        except JournalBrokenError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert b"forked" in os.read(reader, 1000)
    os.close(reader)
    os.close(writer)
    assert deposit(service, 5) == 0
    service.close()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO entries VALUES ('x', 'Quote', '', 1, NULL, '[]', zeroblob(32))",
        "INSERT INTO entries VALUES (99999, 'Quote', '', 1.5, NULL, '[]', zeroblob(32))",
        "INSERT INTO entries VALUES (99999, 'Quote', '', -1, NULL, '[]', zeroblob(32))",
        "INSERT INTO entries VALUES (99999, 'Rumour', '', 1, NULL, '[]', zeroblob(32))",
        "INSERT INTO entries VALUES (99999, 'Quote', '', 1, NULL, 'no json', zeroblob(32))",
        "INSERT INTO entries VALUES (99999, 'Quote', '', 1, NULL, '[]', zeroblob(31))",
        "INSERT INTO nonces VALUES ('k', 0)",
    ],
)
def test_the_tables_take_nothing_that_is_not_an_entry(whole: Path, statement: str) -> None:
    """Fault 52."""
    connection = sqlite3.connect(whole / NAME)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)
    connection.close()


FORKER = """
import os, signal, sys
from pathlib import Path
from tests.crash.scenario import open_in, run
service = open_in(Path(sys.argv[1]))
run(service, 10, lambda sequence: None)
child = os.fork()
if child == 0:
    service.close()
    del service
    sys.exit(0)
os.waitpid(child, 0)
run(service, 20, lambda sequence: None)
os.write(1, b"%d" % service.journal.sequence)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_forked_child_that_ends_takes_nothing_with_it(tmp_path: Path) -> None:
    """Fault 20: Python closes what it has when a process ends; closed in a child, a connection deletes the log."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", FORKER, str(tmp_path)], cwd=root, capture_output=True, text=True)
    service = open_in(tmp_path)
    assert service.journal.sequence == int(done.stdout) > 20, done.stderr
    service.close()


def test_nobody_can_hold_up_or_break_the_console(tmp_path: Path) -> None:
    import asyncio
    import json

    from bot.paper import console

    async def talk() -> list[bytes]:
        server = await console.serve(tmp_path / "a.journal", lambda request: {"you": request["said"]})
        path = str(console.socket_path(tmp_path / "a.journal"))
        answers = []
        for request in (b'{"said": 1}\n', b"\n", b"[1]\n", b"\xff\n", b"[" * 50_000 + b"\n", b"x" * 70_000 + b"\n"):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(request)
            answers.append(await reader.read())
            writer.close()
        server.close()
        return answers

    (tmp_path / "a.journal").touch()
    first, *others = asyncio.run(talk())
    assert json.loads(first) == {"you": 1}
    assert [json.loads(answer)["error"] for answer in others[:-1]] == ["a request is a JSON object in one line"] * 4
    assert others[-1] == b""
    assert (console.socket_path(tmp_path / "a.journal").stat().st_mode & 0o777) == 0o600
