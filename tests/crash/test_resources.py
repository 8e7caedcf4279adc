"""Faults 60 and 19: files, memory, log space run out, nobody shares the journal: what was acknowledged is there."""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.paper import sidecar
from bot.paper.console import socket_path
from bot.paper.journal import head_path
from bot.verifying import verify
from tests.crash.scenario import NAME, STEPS, open_in, run
from tests.crash.test_daemon import MODULE, PATIENCE_S, ROOT, House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for process in house.started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def acknowledged(house: House) -> int:
    noted = sidecar.read(head_path(house.journal))
    return 0 if noted is None else noted.sequence


def until(holds: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def test_without_file_descriptors_it_trades_on_and_answers_when_there_are_some(house: House) -> None:
    """EMFILE: more callers than the daemon can have files open."""
    process = house.start("60000", limits={resource.RLIMIT_NOFILE: 32})
    house.until(process, lambda status: status["events"] > 5)
    callers = []
    for _ in range(60):
        caller = socket.socket(socket.AF_UNIX)
        caller.connect(str(socket_path(house.journal)))
        callers.append(caller)
    until(lambda: len(list(Path(f"/proc/{process.pid}/fd").iterdir())) >= 31)
    before = acknowledged(house)
    until(lambda: acknowledged(house) > before + 30)
    for caller in callers:
        caller.close()
    house.until(process, lambda status: status["entries"] > before + 30)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, log[-2000:]
    assert log.count("Too many open files") == 1, "said once"
    assert house.call("journal", "verify")["entries"] > before
    house.finish()
    assert house.call("parity")["equal"]


def test_a_strategy_that_wants_more_memory_than_there_is_is_halted_alone(house: House) -> None:
    """RLIMIT_AS, and fault 58: the allocation fails, by name, and the others trade on."""
    (house.directory / "greedy.py").write_text(MODULE.format(deed="bytearray(8 << 30)"))
    house.write("hold_long", "greedy")
    process = house.start("max", limits={resource.RLIMIT_AS: 4 << 30})
    _, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, log[-2000:]
    modes = {one["name"]: (one["mode"], one["reason"]) for one in house.call("status")["strategies"]}
    assert modes["hold_long"][0] == "active"
    assert modes["greedy"][0] == "halted" and "MemoryError" in modes["greedy"][1]
    assert house.call("parity")["controls"] == 1


STARVED = """
import os, resource, sys
from pathlib import Path
from tests.crash.scenario import STEPS, open_in, run
place, spare = Path(sys.argv[1]), int(sys.argv[2])
service, hoard = open_in(place), []
run(service, 20, lambda sequence: os.write(1, b"%d\\n" % sequence))
size = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (size + (4 << 20), resource.RLIM_INFINITY))
reserve = bytearray(spare)
for block in (1 << 20, 1 << 16, 1 << 12, 512, 64, 16):
    try:
        while True:
            hoard.append(bytes(block))
    except MemoryError:
        pass
del reserve
run(service, STEPS, lambda sequence: os.write(1, b"%d\\n" % sequence))
"""


def test_without_memory_it_ends_and_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    """RLIMIT_AS in the midst of our own code: with more and more memory left it fails later and later."""
    ended = []
    for number, spare in enumerate((0, 1 << 16, 1 << 18, 1 << 20)):
        place = tmp_path / str(number)
        place.mkdir()
        command = [sys.executable, "-c", STARVED, str(place), str(spare)]
        child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        told = [int(line) for line in child.stdout.split()]
        ended.append(child.returncode)
        service = open_in(place)
        found, steps = service.journal.sequence, service.exchange.state.event
        assert len(told) >= 20 and found >= told[-1] and steps - len(told) in (0, 1), child.stderr[-500:]
        run(service, STEPS, lambda sequence: None)
        verify(service.journal)
        service.close()
    assert ended[0] != 0, "there was memory left"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_log_on_a_full_disk_stops_nothing(house: House) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        command = [sys.executable, "-m", "bot", "paper", str(house.config), "--speed", "max", "--json"]
        command += ["--journal", str(house.journal)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.run(
            command, cwd=house.directory, env=environment, stderr=full, stdout=subprocess.PIPE, text=True
        )
    assert process.returncode == 0 and '"ended_by": "feed"' in process.stdout
    assert house.call("parity")["equal"]


def test_nobody_else_has_a_connection_to_the_journal(tmp_path: Path) -> None:
    """Fault 19: SQLite's WAL-reset bug needs a second connection.

    There is one, nobody else can read or write, and no shared memory lets another take part in the log.
    """
    service = open_in(tmp_path)
    tried = 0

    def told(sequence: int) -> None:
        nonlocal tried
        names = [str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
        assert [names.count(str(tmp_path / name)) for name in (NAME, f"{NAME}-wal")] == [1, 1]
        assert not (tmp_path / f"{NAME}-shm").exists()
        if tried < 12:
            tried += 1
            _refused(tmp_path / NAME, draw.choice(STATEMENTS))

    draw = random.Random(19)
    run(service, STEPS, told)
    assert verify(service.journal).entries == service.journal.sequence
    service.close()


STATEMENTS = (
    "SELECT count(*) FROM entries",
    "BEGIN IMMEDIATE",
    "PRAGMA wal_checkpoint(RESTART)",
    "PRAGMA journal_mode = DELETE",
    "VACUUM",
)


def _refused(path: Path, statement: str) -> None:
    """Try it from another process, as another program would."""
    code = f"""
import sqlite3, sys
connection = sqlite3.connect({str(path)!r}, timeout=0, isolation_level=None)
try:
    rows = connection.execute({statement!r}).fetchall()
except sqlite3.OperationalError as error:
    sys.exit(str(error))
print(rows)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "database is locked" in done.stderr or "[(1, -1, -1)]" in done.stdout, (statement, done.stdout, done.stderr)


def test_the_program_connects_to_sqlite_in_one_place() -> None:
    """Fault 19, by the source: whoever adds a second connection has to look at this."""
    found = [path for path in (ROOT / "bot").rglob("*.py") if "sqlite3.connect" in path.read_text()]
    assert [path.name for path in found] == ["journal.py"]
    assert found[0].read_text().count("sqlite3.connect(") == 1
    assert sqlite3.threadsafety in (1, 3)
