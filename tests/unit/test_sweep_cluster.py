"""fairhash sweep --cluster, against a real Dask scheduler and two worker processes, one of which is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import sweeps
from tests.sweeps import ROOT


class Dask(NamedTuple):
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


def dask(*arguments: str, modules: Path = ROOT) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{modules}"}
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Dask]:
    """Start a scheduler and two workers on loopback, and end them."""
    file = tmp_path / "scheduler.json"
    started = [
        dask(
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            str(file),
        )
    ]
    try:
        deadline = time.monotonic() + 30
        while not file.exists() or not file.read_text().endswith("}"):
            assert started[0].poll() is None and time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.05)
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        address = json.loads(file.read_text())["address"]
        for number in (1, 2):
            place = ["--local-directory", str(tmp_path / f"worker{number}")]
            started.append(dask("distributed.cli.dask_worker", address, *options, *place, modules=tmp_path))
        yield Dask(address, started[0], started[1:])
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_cluster_finds_the_same_and_losing_a_worker_loses_nothing(cluster: Dask, tmp_path: Path) -> None:
    config = str(sweeps.config(tmp_path, points=8, end="09-25"))
    flags = ["sweep", config, "--grid", "--seeds", "1"]
    process = sweeps.start(*flags, "--cluster", cluster.address, "--out", str(tmp_path / "far"))
    sweeps.wait_for_rows(process, tmp_path / "far" / "rows.jsonl", 4)
    cluster.workers[0].kill()
    assert cluster.workers[0].wait() < 0
    assert (tmp_path / "far" / "rows.jsonl").read_bytes().count(b"\n") < 40, "killed too late to prove anything"
    printed, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert "[52/52 runs]" in told and "SIMULATED PRICES" in printed
    near = sweeps.start(*flags, "--workers", "2", "--out", str(tmp_path / "near"))
    assert near.communicate(timeout=120) and near.returncode == 0
    assert sweeps.results(tmp_path / "far") == sweeps.results(tmp_path / "near")


ENDLESS = """\
from dataclasses import dataclass
from bot.fields import Integer, setting
from strategies.view import Target
@dataclass(frozen=True)
class Params:
    a: int = setting(Integer(), default="0", low="0", high="9", doc="What to do.")
def decide(view, params):
    while params.a in (1, 4):
        pass
    return Target(params.a * 100)
"""


def test_a_trial_that_never_ends_is_given_up_and_its_worker_lives_on(cluster: Dask, tmp_path: Path) -> None:
    (tmp_path / "endless_on_a_cluster.py").write_text(ENDLESS)
    config = sweeps.config(tmp_path, end="09-16")
    head = config.read_text().partition("strategies:")[0]
    entry = "  - use: endless_on_a_cluster\n    sweep: {a: {values: [0, 1, 2, 3, 4, 5]}}\n"
    config.write_text(f"{head}strategies:\n{entry}")
    flags = ["sweep", str(config), "--grid", "--cluster", cluster.address, "--trial-seconds", "0.5"]
    process = sweeps.start(*flags, "--out", "out", cwd=tmp_path)
    printed, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "2 of 6 trials failed, the first: TimedOut: the trial took longer than 0.5 s" in printed
    assert all(worker.poll() is None for worker in cluster.workers)


def test_a_scheduler_that_goes_away_is_an_error_that_can_be_gone_on_from(cluster: Dask, tmp_path: Path) -> None:
    config = str(sweeps.config(tmp_path, points=8, end="09-25"))
    flags = ["sweep", config, "--grid", "--out", str(tmp_path / "out")]
    process = sweeps.start(*flags, "--cluster", cluster.address)
    sweeps.wait_for_rows(process, tmp_path / "out" / "rows.jsonl", 2)
    cluster.scheduler.kill()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 5 and "the scheduler is gone" in told and "Traceback" not in told, told
    again = sweeps.start(*flags, "--workers", "2")
    _, told = again.communicate(timeout=60)
    assert again.returncode == 0 and "[26/26 runs]" in told
