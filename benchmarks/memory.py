"""`python -m benchmarks.memory`: what a daemon that trades all the time keeps in memory, and how soon it starts again.

A quote every 7.8 seconds over the whole term, its blocks and hourly rates, are told one by one to a daemon whose
strategy turns its position every 80 seconds. Resident memory (Linux) is read on the way. Exit code 1: target missed.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks import series
from benchmarks.paper import Figure, begun
from bot.core.events import Quote
from bot.paper.entries import Event, rank_of, time_of

EVENTS = 1_000_000
BATCH = 200
CONFIG = "contract: c.yaml\nhistory: {market: m.csv}\nstrategies:\n  - use: benchmarks.restless\n"


def events(count: int) -> Iterator[Event]:
    """Yield the term's blocks and hourly rates and so many quotes that there are about `count` events."""
    chain, rates = series.blocks(), series.swap_rates()
    quotes = max(count - len(chain) - len(rates), 1)
    return heapq.merge(_quotes(quotes), chain, rates, key=lambda event: (time_of(event), rank_of(event)))


def _quotes(count: int) -> Iterator[Quote]:
    step_ns, tick = (series.END_NS - series.START_NS) // count, series.TICK_SAT
    for number in range(1, count + 1):
        bid_sat = 150_000_000 + (number * 7_919 % 400 - 200) * tick  # up and down within 2 million satoshi
        yield Quote(series.START_NS + number * step_ns - 1, bid_sat, 900, bid_sat + tick, 900)


def resident_mib() -> float:
    """Return the process's resident memory in MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4_096 / 2**20


def figures(directory: Path, count: int) -> list[Figure]:
    """Return memory after a tenth, a half and all of the events, and how long a start takes then."""
    marks = [count // 10, count // 2]
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(dir=directory) as place:
        path = Path(place) / "memory.journal"
        daemon, batch, told = begun(path, CONFIG), [], 0

        def note() -> float:
            mib, fills = resident_mib(), len(next(iter(daemon.desks.values())).session.state.fills)
            found.append(Figure(f"after {told} events and {fills} fills", mib, "MiB"))
            return mib

        first = 0.0
        for event in events(count):
            batch.append(event)
            if len(batch) == BATCH:
                daemon.take_in(batch)
                told, batch = told + len(batch), []
                if marks and told >= marks[0]:
                    marks.pop(0)
                    mib = note()
                    first = first or mib
        daemon.take_in(batch)
        told += len(batch)
        last = note()
        found.append(Figure("grown since the first tenth", last - first, "MiB", 8))
        document = daemon.document()
        daemon.journal.close()
        began = time.perf_counter()
        daemon = begun(path, CONFIG)
        daemon.recover()
        found.append(Figure(f"restart with {daemon.journal.sequence} entries", time.perf_counter() - began, "s", 2))
        assert daemon.document() == document, "it must stand where it stood"
        daemon.journal.close()
    return found


def main() -> int:
    """Measure, print a table or JSON, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path.cwd(), help="where the journal is written: a real disk")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"default: {EVENTS}")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    found = figures(options.dir, options.events)
    if options.json:
        print(json.dumps([{**asdict(one), "is_met": one.is_met} for one in found], indent=2))
    else:
        for one in found:
            print(one.line())
    return int(not all(one.is_met for one in found))


if __name__ == "__main__":
    sys.exit(main())
