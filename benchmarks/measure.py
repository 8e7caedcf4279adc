"""How things are measured: side by side, interleaved, as ratios; median and spread over the rounds."""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Child:
    """What a child process took: wall and CPU seconds, and its peak memory in bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """One line of the table: what was compared, the ratio's median, least and greatest value, and its target.

    `at_least` tells whether the ratio must not be below the target or not above it; a target of None is for information.
    """

    name: str
    median: float
    least: float
    greatest: float
    target: float | None
    at_least: bool

    @property
    def is_met(self) -> bool:
        """Whether the median meets the target."""
        if self.target is None:
            return True
        return self.median >= self.target if self.at_least else self.median <= self.target


def rounds_of(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each case, one a round: in every round all cases run once, one after the other."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            times[name].append(run())
    return times


def cpu_seconds(run: Callable[[], object]) -> float:
    """Return the CPU seconds of one call: other processes of the machine count less than in wall time."""
    gc.collect()
    gc.freeze()  # what is there before the call is no garbage of the call's
    before = time.process_time()
    run()
    seconds = time.process_time() - before
    gc.unfreeze()
    return seconds


def child(command: Sequence[str]) -> Child:
    """Run a command to its end and return what it took. Raises CalledProcessError when it fails."""
    before = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read()
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - before
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command), stderr=errors)
    return Child(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)  # Linux counts kibibytes


def ratio(
    name: str, over: Sequence[float], under: Sequence[float], target: float | None = None, at_least: bool = True
) -> Ratio:
    """Return the ratio of two lists of seconds, round by round."""
    values = [a / b for a, b in zip(over, under, strict=True)]
    return Ratio(name, statistics.median(values), min(values), max(values), target, at_least)
