"""Small sweeps for tests: five days of the bundled market, two strategies, commands in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

SWEEP = """\
contract: {root}/contracts/TH1BTC-2014Q4.yaml
history:
  market: {root}/backtests/history/TH1BTC-2014Q4-{kind}.csv
  swap_rates: {root}/backtests/history/TH1BTC-2014Q4-swap-rates.csv
run: {{start: 2014-09-15T00:00:00Z, end: 2014-{end}T00:00:00Z}}
strategies:
  - use: fair_value_band
    sweep:
      entry_band: {{from: 0.2, to: 1.4, points: {points}}}
      size: {{from: 0.2, to: 2, points: 3}}
  - use: own_and_lend
    params: {{margin: -0.9, exit_margin: -0.95}}
    sweep:
      size: {{values: [1 contract, 7 contracts]}}
"""


def config(directory: Path, *, points: int = 4, end: str = "09-20", kind: str = "quotes") -> Path:
    """Write a configuration with 3 x `points` + 2 trials, and return its path."""
    path = directory / "sweep.yaml"
    path.write_text(SWEEP.format(root=ROOT, points=points, end=end, kind=kind))
    return path


def start(*arguments: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
    """Start fairhash in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "bot", *arguments]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_rows(process: subprocess.Popen[str], rows: Path, count: int) -> None:
    """Return once `rows` has so many rows; fail if the process ends before, or after a minute."""
    deadline = time.monotonic() + 60
    while not rows.exists() or rows.read_bytes().count(b"\n") <= count:  # the first line is no row
        assert process.poll() is None, f"ended too soon: {process.communicate()}"
        assert time.monotonic() < deadline, "no rows within a minute"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def is_alive(pid: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_gone(pids: list[int]) -> None:
    """Return once none of these processes is there; fail after half a minute, ending them."""
    deadline = time.monotonic() + 30
    while left := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"processes {left} outlived the one that started them")
        time.sleep(0.02)


def results(directory: Path) -> dict[str, bytes]:
    """Return the files of a finished sweep that must not depend on how it was run."""
    return {name: (directory / name).read_bytes() for name in ("results.parquet", "summary.json", "report.html")}
