"""`python -m benchmarks`: the measured targets, side by side in one run. Exit code 1 when one is missed."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Ratio
from benchmarks.series import MINUTE_BARS

if TYPE_CHECKING:
    from benchmarks.model import Timing


def main() -> int:
    """Measure, print a table or JSON, and return the exit code."""
    options = _options()
    ratios: list[Ratio] = []
    speeds: dict[str, list[float]] = {}
    commands: list[str] = []
    did = ""
    used = None
    if "engines" in options.only:
        from benchmarks.engines import engine_ratios, trades_of

        did = trades_of(options.bars)
        found, speeds = engine_ratios(options.rounds, options.bars)
        ratios += found
    if "processes" in options.only:
        from benchmarks.processes import process_ratios

        found, commands = process_ratios(options.rounds)
        ratios += found
    if "memory" in options.only:
        from benchmarks.processes import memory

        used, command = memory()
        commands.append(command)
    models: list[Timing] = []
    if "model" in options.only:
        from benchmarks.model import timings

        models = timings()
    if options.json:
        document: dict[str, Any] = {
            "ratios": [{**asdict(r), "is_met": r.is_met} for r in ratios],
            "bars_per_s": speeds,
            "memory": asdict(used) if used else None,
            "model": [{**asdict(t), "is_met": t.is_met} for t in models],
            "commands": commands,
        }
        print(json.dumps(document, indent=2))
    else:
        if ratios:
            _print_table(ratios, speeds, did, options.rounds)
        if used:
            met = "met" if used.is_met else "MISSED"
            print(f"peak memory of fairhash backtest, {used.count} bars: {used.peak_mib:.0f} MiB (target < 300) {met}")
        for command in commands:
            print(f"  $ {command}")
        if models:
            from benchmarks.model import print_table

            print_table(models)
    met_all = all(r.is_met for r in ratios) and all(t.is_met for t in models) and (used is None or used.is_met)
    return int(not met_all)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the engines; processes run more often")
    parser.add_argument("--bars", type=int, default=MINUTE_BARS, help=f"minute bars of the engines, {MINUTE_BARS}")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parts = ("engines", "processes", "memory", "model")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, help="measure these parts only")
    return parser.parse_args()


def _print_table(ratios: list[Ratio], speeds: dict[str, list[float]], did: str, rounds: int) -> None:
    if speeds:
        print(f"{rounds} interleaved rounds, CPU time; the reference run: {did}")
        print(f"{'bars per second':52} {'median':>9} {'least':>9} {'greatest':>9}")
        for name, values in speeds.items():
            print(f"{name:52} {statistics.median(values):9.0f} {min(values):9.0f} {max(values):9.0f}")
        print()
    print(f"{'ratio':52} {'median':>9} {'least':>9} {'greatest':>9}  target")
    for r in ratios:
        target = "" if r.target is None else f"{'>=' if r.at_least else '<='} {r.target:g}"
        met = "" if r.target is None else "met" if r.is_met else "MISSED"
        print(f"{r.name:52} {r.median:9.2f} {r.least:9.2f} {r.greatest:9.2f}  {target:6} {met}")


if __name__ == "__main__":
    sys.exit(main())
