"""`python -m benchmarks.sweep`: sweeps with one worker and with two, by every engine, side by side in one run.

Whole trials, as `fairhash sweep` makes them: a run, its row, the row on disk. Trials a second, CPU time of a trial in
its worker and in the process that asks for it, what a worker holds; medians over the rounds.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from backtests.plan import Plan
from backtests.sweep import markets
from backtests.sweep.job import Job, Swept
from backtests.sweep.local import Local
from backtests.sweep.measures import Row
from backtests.sweep.rows import Rows
from backtests.sweep.run import Listed, Sweep
from backtests.sweep.space import Trial
from benchmarks.measure import ratio
from benchmarks.series import HOUR_NS, HOURLY_BARS, MINUTE_BARS, MINUTE_NS, plan
from bot.chain.chain import load
from bot.studies.many_runs import runner

ENGINES = ("reference", "compiled")


class Kind(NamedTuple):
    """What trials do: the strategy, and between which entry bands and sizes they are drawn."""

    use: str
    bands: tuple[float, float]
    sizes: tuple[float, float]


MANY_FILLS = "many fills"
KINDS = {
    MANY_FILLS: Kind("fair_value_band", (0.05, 0.4), (0.1, 1.0)),
    "asleep": Kind("fair_value_band", (0.1, 0.6), (0.5, 0.5)),
    "few trades": Kind("fair_value_band", (0.3, 0.6), (0.5, 0.5)),
    "awake": Kind("benchmarks.awake", (0.1, 0.6), (0.5, 0.5)),
}
"""All but the last sleep between decisions; that one is asked at every bar."""
WORKERS = (1, 2)
MIB = 1024 * 1024
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measured:
    """One sweep: seconds from the start of the processes to their first row, seconds for the rest, and memory.

    `cpu_s` is that of the workers, `asking_s` that of the process which asks them and keeps their rows.
    """

    workers: int
    start_s: float
    wall_s: float
    cpu_s: float
    asking_s: float
    own_mib: float
    proportional_mib: float


def main() -> int:
    """Measure bars of both lengths, print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--trials", type=int, default=20, help="trials of each sweep")
    parser.add_argument(
        "--rounds", type=int, default=3, help="in each, all engines run once with each number of workers"
    )
    parser.add_argument("--minute-bars", type=int, default=MINUTE_BARS, help=f"default: {MINUTE_BARS}")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--kinds", nargs="+", default=[MANY_FILLS], choices=KINDS)
    options = parser.parse_args()
    print(f"{options.trials} trials of fair_value_band; {options.rounds} rounds; Python {sys.version.split()[0]}")
    heads = ("history", "engine", "workers", "start", "trials/s", "Mbar-trials/s", "CPU ms/trial (least-greatest)")
    print(("{:>20}{:>12}{:>9}{:>11}{:>11}{:>15}{:>32}").format(*heads), end="")
    print(f"{'asking':>8}{'private, PSS MiB':>19}{'/ reference':>13}")
    cases = (("hourly bars", HOURLY_BARS, HOUR_NS), ("minute bars", options.minute_bars, MINUTE_NS))
    for name, count, interval_ns in cases:
        benchmark = plan(count, interval_ns)
        for kind in options.kinds:
            print(f"{kind}:")
            found = measured(benchmark, options.trials, options.engines, options.rounds, kind)
            for (engine, workers), runs in found.items():
                plain = found.get((ENGINES[0], workers))
                _print(f"{count} {name}", count, engine, workers, options.trials, runs, plain)
    return 0


def measured(
    benchmark: Plan, trials: int, engines: Sequence[str], rounds: int, kind: str = MANY_FILLS
) -> dict[tuple[str, int], list[Measured]]:
    """Return what each engine took with one worker and with two, round by round: in each all of them, in turn."""
    found: dict[tuple[str, int], list[Measured]] = {}
    for _ in range(rounds):
        for workers in WORKERS:
            for engine in engines:
                found.setdefault((engine, workers), []).append(measure(benchmark, trials, workers, engine, kind))
    return found


def _print(
    name: str, bars: int, engine: str, workers: int, trials: int, runs: list[Measured], plain: list[Measured] | None
) -> None:
    start_s, wall_s, asking_s, own, proportional = (
        statistics.median(getattr(run, column) for run in runs)
        for column in ("start_s", "wall_s", "asking_s", "own_mib", "proportional_mib")
    )
    cpu = [1e3 * run.cpu_s / trials for run in runs]
    shown = f"{statistics.median(cpu):.2f} ({min(cpu):.2f}-{max(cpu):.2f})"
    faster = ratio("", [run.cpu_s for run in plain], [run.cpu_s for run in runs]).median if plain else 0.0
    print(
        f"{name:>20}{engine:>12}{workers:>9}{start_s:>9.2f} s{trials / wall_s:>11.1f}"
        f"{trials / wall_s * bars / 1e6:>15.2f}{shown:>32}{1e3 * asking_s / trials:>8.2f}"
        f"{f'{own:.0f}, {proportional:.0f}':>19}" + (f"{f'x {faster:.1f}':>13}" if plain else "")
    )


def drawn(kind: str, count: int) -> tuple[Trial, ...]:
    """Return `count` trials of a kind, the same each time."""
    draw, of = random.Random(1), KINDS[kind]
    return tuple(Trial(n, 0, (draw.uniform(*of.bands), draw.uniform(*of.sizes))) for n in range(count))


def measure(benchmark: Plan, count: int, workers: int, engine: str, kind: str) -> Measured:
    """Run a sweep of `count` trials; memory is that of the largest worker."""
    trials = drawn(kind, count)
    warm = tuple(trial._replace(number=count + n) for n, trial in enumerate(trials[:1] * workers))
    with tempfile.TemporaryDirectory() as place:
        tables = Path(place) / "tables"
        tables.mkdir()
        for number in (markets.CONFIGURED, 1):  # a worker holds two histories at most
            markets.keep(markets.of_history(benchmark.history), tables, number)
        job = job_of(benchmark, tables, engine, kind)
        if (engine, kind) not in _MADE:
            _MADE.add((engine, kind))
            with Local(job, 1) as pool:  # it may make machine code, and take a gigabyte for that
                _require_good(pool.run([(markets.CONFIGURED, warm[:1])]))
        began_s = time.perf_counter()
        with Local(job, workers) as pool, Rows(Path(place) / "out", {}) as rows:
            _require_good(pool.run([(number, warm) for number in (markets.CONFIGURED, 1)]))
            started_s, cpu_s, asking_s = time.perf_counter(), _cpu_s(pool.pids()), time.process_time()
            sweep = Sweep(Listed(trials), (markets.CONFIGURED,), rows)
            _require_good(row for row in sweep.run(pool) if isinstance(row, Row))
            wall_s, asking_s = time.perf_counter() - started_s, time.process_time() - asking_s
            cpu_s = _cpu_s(pool.pids()) - cpu_s
            held = [memory_mib(pid) for pid in pool.pids()]
    own, proportional = (max(column) for column in zip(*held, strict=True))
    return Measured(workers, started_s - began_s, wall_s, cpu_s, asking_s, own, proportional)


_MADE: set[tuple[str, str]] = set()
"""Engines and kinds whose machine code is there."""


def _require_good(rows: Iterable[Row]) -> None:
    for row in rows:
        if row.error:
            raise RuntimeError(row.error)


def job_of(benchmark: Plan, directory: Path, engine: str, kind: str) -> Job:
    """Return the job of sweeping the benchmark's plan, its history in `directory`."""
    return Job(
        settings=replace(benchmark.settings, keep_moves=False),
        growth=benchmark.growth,
        past_epochs=benchmark.past_epochs,
        blocks=benchmark.blocks,
        end_ns=benchmark.end_ns,
        sources=(),
        strategies=(Swept("fair_value_band", KINDS[kind].use, {}, ("entry_band", "size")),),
        engine=partial(runner, engine),
        chain=load(),
        simulated=markets.Simulated("bars", MINUTE_NS, True),
        directory=directory,
    )


def _cpu_s(pids: list[int]) -> float:
    """Return the CPU seconds that these processes have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / TICKS_PER_S


def memory_mib(pid: int) -> tuple[float, float]:
    """Return what a process holds for itself, and that with its share of what it shares, in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    held = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    return (held["Private_Clean"] + held["Private_Dirty"]) / MIB, held["Pss"] / MIB


if __name__ == "__main__":
    sys.exit(main())
