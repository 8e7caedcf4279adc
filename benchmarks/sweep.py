"""`python -m benchmarks.sweep`: trials per second of a sweep with one worker and with two, and what a worker holds."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from backtests.plan import Plan
from backtests.sweep import markets
from backtests.sweep.job import Job, Swept
from backtests.sweep.local import Local
from backtests.sweep.space import Trial
from benchmarks.series import HOUR_NS, HOURLY_BARS, MINUTE_BARS, MINUTE_NS, plan
from bot.chain.chain import load
from bot.studies.many_runs import runner

MIB = 1024 * 1024
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measured:
    """One sweep: seconds from the start of the processes to their first row, seconds for the rest, and memory."""

    workers: int
    start_s: float
    wall_s: float
    cpu_s: float
    own_mib: float
    proportional_mib: float


def main() -> int:
    """Measure bars of both lengths, print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--trials", type=int, default=60, help="trials of each sweep")
    parser.add_argument("--minute-bars", type=int, default=MINUTE_BARS, help=f"default: {MINUTE_BARS}")
    parser.add_argument("--engine", default="reference", help="default: reference")
    options = parser.parse_args()
    print(f"{options.trials} trials of fair_value_band, {options.engine} engine; Python {sys.version.split()[0]}")
    heads = ("history", "workers", "start", "trials/s", "Mbar-trials/s", "CPU ms/trial", "private MiB", "PSS MiB")
    print(("{:>20}" + "{:>14}" * 7).format(*heads))
    cases = (("hourly bars", HOURLY_BARS, HOUR_NS), ("minute bars", options.minute_bars, MINUTE_NS))
    for name, count, interval_ns in cases:
        benchmark = plan(count, interval_ns)
        for workers in (1, 2):
            found = _measure(benchmark, options.trials, workers, options.engine)
            rate = options.trials / found.wall_s
            print(
                f"{f'{count} {name}':>20}{workers:>14}{found.start_s:>12.2f} s{rate:>14.1f}{rate * count / 1e6:>14.2f}"
                f"{1e3 * found.cpu_s / options.trials:>14.1f}{found.own_mib:>14.0f}{found.proportional_mib:>14.0f}"
            )
    return 0


def _measure(benchmark: Plan, count: int, workers: int, engine: str) -> Measured:
    """Run a sweep of `count` trials; memory is that of the largest worker."""
    draw = random.Random(1)
    trials = tuple(Trial(n, 0, (draw.uniform(0.05, 0.4), draw.uniform(0.1, 1.0))) for n in range(count))
    warm = tuple(Trial(count + n, 0, (0.2, 0.5)) for n in range(workers))
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        for number in (markets.CONFIGURED, 1):  # a worker holds two histories at most
            markets.keep(markets.of_history(benchmark.history), directory, number)
        began_s = time.perf_counter()
        with Local(_job(benchmark, directory, engine), workers) as pool:
            _require_good(pool, warm, (markets.CONFIGURED, 1))
            started_s, cpu_s = time.perf_counter(), _cpu_s(pool.pids())
            _require_good(pool, trials, (markets.CONFIGURED,))
            wall_s, cpu_s = time.perf_counter() - started_s, _cpu_s(pool.pids()) - cpu_s
            held = [_memory(pid) for pid in pool.pids()]
    own, proportional = (max(column) / MIB for column in zip(*held, strict=True))
    return Measured(workers, started_s - began_s, wall_s, cpu_s, own, proportional)


def _require_good(pool: Local, trials: tuple[Trial, ...], numbers: tuple[int, ...]) -> None:
    for row in pool.run([(number, trials) for number in numbers]):
        if row.error:
            raise RuntimeError(row.error)


def _job(benchmark: Plan, directory: Path, engine: str) -> Job:
    return Job(
        settings=replace(benchmark.settings, keep_moves=False),
        growth=benchmark.growth,
        past_epochs=benchmark.past_epochs,
        blocks=benchmark.blocks,
        end_ns=benchmark.end_ns,
        sources=(),
        strategies=(Swept("fair_value_band", "fair_value_band", {}, ("entry_band", "size")),),
        engine=partial(runner, engine),
        chain=load(),
        simulated=markets.Simulated("bars", MINUTE_NS, True),
        directory=directory,
    )


def _cpu_s(pids: list[int]) -> float:
    """Return the CPU seconds that these processes have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / TICKS_PER_S


def _memory(pid: int) -> tuple[int, int]:
    """Return what a process holds for itself, and that with its share of what it shares, in bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    held = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    return held["Private_Clean"] + held["Private_Dirty"], held["Pss"]


if __name__ == "__main__":
    sys.exit(main())
