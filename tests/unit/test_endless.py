"""A strategy that never ends its decision: commands that run it can be stopped, and leave no process behind."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import sweeps

ENDLESS = """\
from dataclasses import dataclass
from pathlib import Path
from bot.fields import Integer, setting
from strategies.view import Target
@dataclass(frozen=True)
class Params:
    a: int = setting(Integer(), default="1", low="0", high="9", doc="Nothing.")
def decide(view, params):
    Path({began!r}).touch()
    while True:
        pass
"""


def started(directory: Path, *arguments: str) -> tuple[subprocess.Popen[str], list[int]]:
    """Start a command on the endless strategy; return it and its children once one of them is in a decision."""
    began = directory / "began"
    (directory / "endless_anywhere.py").write_text(ENDLESS.format(began=str(began)))
    config = sweeps.config(directory, end="09-18")
    head = config.read_text().partition("strategies:")[0]
    config.write_text(f"{head}strategies:\n  - use: endless_anywhere\n    sweep: {{a: {{values: [1, 2]}}}}\n")
    process = sweeps.start(arguments[0], str(config), *arguments[1:], cwd=directory)
    deadline = time.monotonic() + 60
    while not began.exists():
        assert process.poll() is None, f"ended too soon: {process.communicate()}"
        assert time.monotonic() < deadline, "no decision within a minute"
        time.sleep(0.02)
    return process, sweeps.children(process.pid)


@pytest.mark.parametrize(
    "arguments",
    [
        ("montecarlo", "--runs", "2", "--no-report", "--workers", "2"),
        ("walk-forward", "--train", "1", "--test", "1", "--workers", "1"),
        ("bias", "--cuts", "1", "--workers", "1"),
    ],
)
def test_an_interrupt_ends_it_at_once(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    process, children = started(tmp_path, *arguments)
    process.send_signal(signal.SIGINT)
    try:
        _, told = process.communicate(timeout=20)
    finally:
        process.kill()
        sweeps.wait_gone(children)
    assert process.returncode == 130 and "interrupted" in told and "Traceback" not in told


def test_no_worker_of_a_sweep_outlives_a_kill(tmp_path: Path) -> None:
    process, children = started(tmp_path, "sweep", "--grid", "--workers", "1", "--out", "out")
    process.kill()
    sweeps.wait_gone(children)
    process.communicate()
