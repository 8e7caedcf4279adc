"""The compiled engine against the others, in one run: `python -m benchmarks.compiled`. Ratios, scaling, a sweep.

Every line is measured here; none has a target that could fail, because the engine meets some of those asked and misses
others: docs/engines.md says which.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backtests import compiled_engine, reference
from backtests.compiled_engine.rows import Rows
from backtests.plan import Plan
from backtests.sweep import markets
from backtests.sweep.job import Bench
from backtests.sweep.measures import Row
from backtests.sweep.space import Trial
from benchmarks import awake, plain_backtrader
from benchmarks.measure import child, cpu_seconds, ratio, rounds_of
from benchmarks.rows import rows_of
from benchmarks.series import END_NS, MINUTE_BARS, START_NS, plan
from benchmarks.sweep import drawn, job_of, measure, memory_mib
from bot.core.events import Bar
from bot.session import Strategy
from strategies import early_exit_short
from strategies.fair_value_band import Params, decide


def main() -> int:
    """Measure what is asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compiled", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bars", type=int, default=10_000_000, help="most bars of the scaling curve")
    parser.add_argument("--settings", type=int, default=200, help="settings of the sweep")
    parts = {"one": one, "tables": tables, "scaling": scaling, "sweep": sweep, "start": start}
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    options = parser.parse_args()
    for name in options.only:
        parts[name](options)
    return 0


def one(options: argparse.Namespace) -> None:
    """Print one backtest of 130,000 minute bars by every engine, CPU seconds, interleaved."""
    full = plan()
    prepared = compiled_engine.prepare(full)
    rows = rows_of(full)
    few = replace(full, strategy=Strategy("few trades", decide, Params(entry_band=0.3, tolerance=0.9)))
    never_asleep = replace(full, strategy=Strategy("awake", awake.decide, Params()))
    for warm in (full, never_asleep):
        compiled_engine.run(warm, prepared)
    cases: dict[str, Callable[[], float]] = {
        "compiled, brief": lambda: cpu_seconds(lambda: compiled_engine.run_brief(full, prepared)),
        "compiled, brief with all marks": lambda: cpu_seconds(
            lambda: compiled_engine.run_brief(full, prepared, marked=True).equity_sat
        ),
        "compiled, brief, few trades": lambda: cpu_seconds(lambda: compiled_engine.run_brief(few, prepared)),
        "compiled, brief, asked at every bar": lambda: cpu_seconds(
            lambda: compiled_engine.run_brief(never_asleep, prepared)
        ),
        "compiled, postings and marks": lambda: cpu_seconds(lambda: compiled_engine.run(full, prepared)),
        "preparing the history": lambda: cpu_seconds(lambda: compiled_engine.prepare(full)),
        "reference": lambda: cpu_seconds(lambda: reference.run(full)),
        "plain backtrader": lambda: cpu_seconds(plain_backtrader.cerebro(rows, full=True, observers=True).run),
    }
    times = rounds_of(cases, options.rounds)
    fills = {p.strategy.name: len(compiled_engine.run_brief(p, prepared).fills) for p in (full, few)}
    print(f"one backtest, {MINUTE_BARS} bars, {len(full.blocks)} blocks; fills: {fills}")
    print(f"{'':40} {'ms':>9} {'bars/s':>12} {'x reference':>12} {'x backtrader':>13}")
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        over = [ratio("", times[other], seconds).median for other in ("reference", "plain backtrader")]
        print(f"{name:40} {middle * 1e3:9.1f} {MINUTE_BARS / middle:12,.0f} {over[0]:12.1f} {over[1]:13.1f}")
    on = ratio("", times["compiled, postings and marks"], times["compiled, brief with all marks"]).median
    print(f"postings on / off, both with all marks: {on:.2f}")


def tables(options: argparse.Namespace) -> None:
    """Print one backtest of a strategy that solves a programme for its table: when it is new, and once it is known."""
    solution, params = early_exit_short._solution, early_exit_short.Params()
    full = replace(plan(), strategy=Strategy("early_exit_short", early_exit_short.decide, params))
    prepared = compiled_engine.prepare(full)
    fills = len(compiled_engine.run_brief(full, prepared).fills)

    def forgetful(run: Callable[[], object]) -> float:
        solution._kept.cache_clear()
        return cpu_seconds(run)

    runs = {
        "compiled, brief": lambda: compiled_engine.run_brief(full, prepared),
        "compiled, postings and marks": lambda: compiled_engine.run(full, prepared),
        "reference": lambda: reference.run(full),
    }
    cases = {f"{name}, first": partial(forgetful, run) for name, run in runs.items()}
    cases |= {f"{name}, again": partial(cpu_seconds, run) for name, run in runs.items()}
    times = rounds_of(cases, options.rounds)
    print(f"early_exit_short, {MINUTE_BARS} bars; fills: {fills}, tables: {solution._kept.cache_info().currsize}")
    for name, seconds in times.items():
        over = ratio("", times["reference, again"], seconds).median
        print(f"{name:40} {statistics.median(seconds) * 1e3:9.1f} ms {over:12.1f} x reference, again")


def refined(count: int) -> Plan:
    """Return the plan of `count` bars over the same term: the minute bars' path with ticks of noise in between."""
    coarse = plan()
    path = np.array([bar.open_sat for bar in coarse.history.bars] + [coarse.history.bars[-1].close_sat], float)
    draw = np.random.default_rng(2014)
    times = np.linspace(START_NS, min(END_NS, coarse.history.bars[-1].close_ns), count + 1).astype(np.int64)
    minutes = (times - START_NS) / (coarse.history.bars[1].time_ns - START_NS)
    tick = coarse.settings.contract.tick_sat
    prices = np.interp(minutes, np.arange(len(path)), path) // tick + draw.integers(-1, 2, count + 1)
    prices = np.maximum(prices.astype(np.int64), 1) * tick
    opened, closed = prices[:-1], prices[1:]
    volume = draw.integers(50, 3_000, count)
    high, low = np.maximum(opened, closed), np.minimum(opened, closed)
    table = np.array([times[:-1], times[1:], opened, high, low, closed, volume], np.int64)
    return replace(coarse, history=replace(coarse.history, bars=Rows(Bar, table)))  # type: ignore[arg-type]


def _brief(of: Plan, prepared: Any) -> None:
    compiled_engine.run_brief(of, prepared)


def _marked(of: Plan, prepared: Any) -> None:
    assert len(compiled_engine.run_brief(of, prepared, marked=True).equity_sat)


class Scaled(NamedTuple):
    """What a run over so many bars took: CPU seconds, each the least of some rounds."""

    bars: int
    fills: int
    prepare_s: float
    brief_s: float
    marked_s: float


def scaled(count: int, rounds: int) -> Scaled:
    """Return what `count` bars over the same term take, for few trades: what a bar costs, apart from trades."""
    wide = replace(refined(count), strategy=Strategy("few trades", decide, Params(entry_band=0.3)))
    before = time.process_time()
    prepared = compiled_engine.prepare(wide)
    preparing = time.process_time() - before
    fills = len(compiled_engine.run_brief(wide, prepared).fills)
    brief, marked = partial(_brief, wide, prepared), partial(_marked, wide, prepared)
    least = [min(cpu_seconds(run) for _ in range(rounds)) for run in (brief, marked)]
    return Scaled(count, fills, preparing, *least)


def scaling(options: argparse.Namespace) -> None:
    """Print seconds against bars."""
    print(f"\n{'bars':>12} {'fills':>7} {'prepare s':>10} {'brief ms':>10} {'bars/s':>14} {'with marks, bars/s':>19}")
    count = 100_000
    while count <= options.bars:
        run = scaled(count, options.rounds)
        rates = f"{count / run.brief_s:14,.0f} {count / run.marked_s:19,.0f}"
        print(f"{count:12,} {run.fills:7} {run.prepare_s:10.2f} {run.brief_s * 1e3:10.1f} {rates}", flush=True)
        count *= 10


def sweep(options: argparse.Namespace) -> None:
    """Print whole trials with their rows, a second and by what they take, with two workers.

    Asleep between decisions, so too with few trades, and asked at every bar; by `fairhash sweep`'s own workers, and by
    processes forked from one that has prepared the history, for the memory that those take; and in those nothing but
    the exact backtest, its fills and what it ends with, no samples and no row.
    """
    full, count = plan(), options.settings
    for kind in ("asleep", "few trades", "awake"):
        run = measure(full, count, 2, "compiled", kind)
        taken = f"{1e3 * run.cpu_s / count:.2f} ms of CPU a trial, {1e3 * run.asking_s / count:.2f} to ask and keep it"
        _print_sweep(f"sweep, {kind}", count, run.wall_s, taken, run.proportional_mib)
        for name, work in (("forked", _row), ("backtests alone", _alone)):
            wall_s, cpu_s, mib = _forked(full, kind, count, work)
            _print_sweep(f"{name}, {kind}", count, wall_s, f"{1e3 * cpu_s / count:.2f} ms of CPU a trial", mib)


def _print_sweep(name: str, count: int, wall_s: float, taken: str, mib: float) -> None:
    a_second = count / wall_s
    print(
        f"{name}: {count} settings, 2 workers: {a_second:,.0f} trials/s, {a_second * MINUTE_BARS / 1e6:,.0f} million"
        f" bar-settings/s of wall time; {taken}; PSS of a worker {mib:.0f} MiB",
        flush=True,
    )


def _forked(full: Plan, kind: str, count: int, work: Callable[[Trial], Any]) -> tuple[float, float, float]:
    """Return wall and CPU seconds of the trials by two forked workers that share one history, and PSS of the larger."""
    trials = drawn(kind, count)
    with tempfile.TemporaryDirectory() as place:
        markets.keep(markets.of_history(full.history), Path(place), markets.CONFIGURED)
        bench = Bench(job_of(full, Path(place), "compiled", kind))
        (first,) = bench.rows(markets.CONFIGURED, trials[:1])
    assert not first.error, first.error
    _BENCH[:] = [bench]
    work(trials[0])
    gc.collect()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        before, used = time.perf_counter(), _used_by_workers()
        found = pool.map(work, trials, chunksize=20)
        wall_s = time.perf_counter() - before
        mib = max(memory_mib(child.pid)[1] for child in multiprocessing.active_children() if child.pid)
        pool.close()
        pool.join()
    assert not any(isinstance(one, Row) and one.error for one in found)
    return wall_s, _used_by_workers() - used, mib


_BENCH: list[Bench] = []
"""What forked workers inherit."""


def _row(trial: Trial) -> Row:
    (row,) = _BENCH[0].rows(markets.CONFIGURED, (trial,))
    return row


def _alone(trial: Trial) -> int:
    """Return the equity that a trial ends with."""
    (bench,) = _BENCH
    of = replace(bench.market(markets.CONFIGURED, None).plan, strategy=bench.strategy(trial))
    return compiled_engine.run_brief(of).last.equity_sat


def _used_by_workers() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


START = """
import time
from backtests import compiled_engine, reference
from benchmarks.series import plan
p = plan(2_000)
before = time.perf_counter()
{engine}.run(p)
print(time.perf_counter() - before)
"""


def start(options: argparse.Namespace) -> None:
    """Print what a run of 2,000 bars takes from a new process, machine code kept before, by either engine."""
    taken: dict[str, list[tuple[float, float]]] = {}
    for _ in range(options.rounds + 1):
        for engine in ("reference", "compiled_engine"):
            run = child([sys.executable, "-c", START.format(engine=engine)])
            taken.setdefault(engine, []).append((run.wall_s, run.cpu_s))
    middle = {
        engine: [statistics.median(column) for column in zip(*runs[1:], strict=True)] for engine, runs in taken.items()
    }
    wall, cpu = (ours - theirs for ours, theirs in zip(middle["compiled_engine"], middle["reference"], strict=True))
    print(
        f"\ncold start with a warm cache, more than the reference engine: {cpu:.2f} s of CPU, {wall:.2f} s of wall time"
    )


if __name__ == "__main__":
    sys.exit(main())
