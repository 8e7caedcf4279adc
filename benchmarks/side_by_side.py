"""The compiled engine, a loop in C and other backtesters on the same bars: `python -m benchmarks.side_by_side`.

In every round each runs once, one after the other; medians of CPU time, the least and the greatest beside them. The
loop in C (c_loop.c) keeps the accounts that ours keeps, and its result is compared with ours before it is measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from backtests import compiled_engine
from backtests.plan import Plan
from benchmarks import c_loop, plain_backtrader
from benchmarks.measure import cpu_seconds, ratio, rounds_of
from benchmarks.rows import rows_of, write_rows
from benchmarks.series import MINUTE_BARS, plan
from bot.session import Strategy
from strategies.fair_value_band import Params, decide

FEW = Params(entry_band=0.3, tolerance=0.9)
Cases = dict[str, Callable[[], float]]


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", help="a Python that has the packages of benchmarks/peers.txt")
    options = parser.parse_args()
    many = c_loop.without_renewals(plan())
    plans = {"all trades": many, "few trades": replace(many, strategy=Strategy("few trades", decide, FEW))}
    with TemporaryDirectory() as scratch:
        cases, trades = _ours(plans)
        of_c = _in_c(plans, Path(scratch))
        cases |= of_c
        rows = rows_of(many)
        cases["plain backtrader"] = lambda: cpu_seconds(plain_backtrader.cerebro(rows, full=True, observers=True).run)
        write_rows(rows, Path(scratch) / "rows.csv")
        with _peers(options.peers, Path(scratch) / "rows.csv") as (peers, orders):
            times = rounds_of(cases | peers, options.rounds)
    _print(times, trades | orders, list(plans), bool(of_c))
    return 0


def _ours(plans: dict[str, Plan]) -> tuple[Cases, dict[str, int]]:
    """Return the compiled engine's cases, brief on one prepared history, and how many fills each makes."""
    prepared = compiled_engine.prepare(next(iter(plans.values())))
    cases: Cases = {}
    fills = {}
    for name, of in plans.items():
        fills[name] = len(compiled_engine.run_brief(of, prepared).fills)

        def run(of: Plan = of) -> float:
            return cpu_seconds(lambda: compiled_engine.run_brief(of, prepared))

        def marked(of: Plan = of) -> float:
            return cpu_seconds(lambda: compiled_engine.run_brief(of, prepared).equity_sat)

        cases |= {name: run, f"{name}, with marks": marked}
    return cases, fills


def _in_c(plans: dict[str, Plan], scratch: Path) -> Cases:
    """Return the cases of the loop in C, once their results are ours; none where there is no compiler."""
    if c_loop.compiler() is None:
        print("the loop in C: not measured, for there is no C compiler (cc, gcc, clang, or the package ziglang)")
        return {}
    cases: Cases = {}
    run = c_loop.built(scratch)
    for name, of in plans.items():
        loop = c_loop.Loop(run, of)
        same(loop, of)

        def once(loop: c_loop.Loop = loop) -> float:
            return cpu_seconds(loop.run)

        def marked(loop: c_loop.Loop = loop) -> float:
            return cpu_seconds(lambda: loop.run(marks=True))

        cases |= {f"C loop, {name}": once, f"C loop, {name}, with marks": marked}
    return cases


def same(loop: c_loop.Loop, of: Plan) -> None:
    """Raise AssertionError unless the loop's fills and equities are those of the compiled engine."""
    ended, brief = loop.run(marks=True), compiled_engine.run_brief(of)
    fills = [(fill.time_ns // 10**9, fill.size_lots, fill.price_sat, fill.fee_sat) for fill in brief.fills]
    assert ended.fills.tolist() == [list(fill) for fill in fills]
    assert ended.equities.tolist() == brief.equity_sat.tolist()
    assert ended.equity_sat == brief.last.equity_sat


@contextmanager
def _peers(python: str | None, rows: Path) -> Iterator[tuple[Cases, dict[str, int]]]:
    """Give the peers' cases, run by their own Python, and what they trade; none without it."""
    if python is None:
        print("peers: not measured; give --peers PYTHON")
        yield {}, {}
        return
    command = [python, str(Path(__file__).with_name("peers.py")), str(rows)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        asked, told = process.stdin, process.stdout
        assert asked is not None and told is not None
        orders: dict[str, int] = next((json.loads(line) for line in told if line.startswith("{")), {})

        def ask(name: str) -> float:
            print(name, file=asked, flush=True)
            return float(told.readline())

        yield {name: partial(ask, name) for name in orders}, orders
        asked.close()


def _print(times: dict[str, list[float]], trades: dict[str, int], ours: list[str], has_c: bool) -> None:
    heads = "".join(f"{'ours, ' + name + ' / it':>34}" for name in ours)
    print(f"{MINUTE_BARS} minute bars{'':14}{'trades':>8}{'CPU ms, median (least-greatest)':>34}{'bars/s':>14}{heads}")
    for name, seconds in times.items():
        count = trades.get(name.removeprefix("C loop, ").removesuffix(", with marks"), "")
        middle, *bounds = (1e3 * f(seconds) for f in (statistics.median, min, max))
        shown = f"{middle:.2f} ({bounds[0]:.2f}-{bounds[1]:.2f})"
        over = [ratio("", seconds, times[one]) for one in ours]
        ratios = "".join(f"{f'{r.median:.3g} ({r.least:.3g}-{r.greatest:.3g})':>34}" for r in over)
        print(f"{name:33}{count:>8}{shown:>34}{1e3 * MINUTE_BARS / middle:14,.0f}{ratios}")
    if has_c:
        for name in (*ours, *(f"{one}, with marks" for one in ours)):
            slower = ratio("", times[name], times[f"C loop, {name}"])
            print(f"ours, {name}: {slower.median:.2f} ({slower.least:.2f}-{slower.greatest:.2f}) times the loop in C")


if __name__ == "__main__":
    sys.exit(main())
