"""`python -m benchmarks.loop --nautilus PYTHON --freqtrade PYTHON`: from quote to decision, beside other bots' loops.

All read the same lines of text: a time, bid and ask with sizes, and a fair value, which ours does not use: it reckons
its own. The strategy is benchmarks/wide_awake.py: one contract or none, in turn, an order every ten quotes. Rounds are
interleaved, each in a process of its own; ratios are theirs over ours, so above 1 ours is faster. What each one leaves
out stands in loop_nautilus.py and loop_freqtrade.py; only ours keeps a journal.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks import series

QUOTES = 6_000
QUANTILES = ("p50", "p99")
OURS = "fairhash"


def write_lines(path: Path, count: int) -> None:
    """Write `count` quotes as the text that every loop reads."""
    from benchmarks.paper import _events
    from bot.core.events import Quote

    quotes = [event for event in _events(count * 6 // 5) if isinstance(event, Quote)][:count]
    fairs = series.fair_values([quote.time_ns for quote in quotes], series.blocks())
    lines = [
        json.dumps([*_text(quote), f"{fair_sat / 1e8:.8f}"]) for quote, fair_sat in zip(quotes, fairs, strict=True)
    ]
    path.write_text("\n".join(lines))


def _text(quote: Any) -> list[Any]:
    prices = [f"{Decimal(price).scaleb(-8):.4f}" for price in (quote.bid_sat, quote.ask_sat)]
    sizes = [f"{Decimal(lots).scaleb(-2):.2f}" for lots in (quote.bid_size_lots, quote.ask_size_lots)]
    return [quote.time_ns, prices[0], sizes[0], prices[1], sizes[1]]


def ours(path: Path) -> dict[str, Any]:
    """Return the latencies of our daemon in microseconds: until the order is decided, and until it is durable."""
    import gc

    from benchmarks.paper import _events, begun
    from bot.core.events import Quote
    from bot.feeds.amounts import Scale, lots_down, price_sat_down, price_sat_up

    lines = iter(path.read_text().splitlines())
    scale = Scale(Decimal(1), 100, "benchmark")
    decided, durable, line = [], [], next(lines)
    with tempfile.TemporaryDirectory(dir=path.parent) as place:
        daemon = begun(Path(place) / "a.journal")
        gc.collect()
        gc.freeze()
        for event in _events(QUOTES * 6 // 5):
            if not isinstance(event, Quote):  # blocks and rates, of which the others know nothing
                daemon.take_in([event])
                continue
            began = time.perf_counter_ns()
            with daemon.journal.group():
                at, bid, bid_size, ask, ask_size, _ = json.loads(line)
                bid_sat, ask_sat = price_sat_down(bid, scale, "bid"), price_sat_up(ask, scale, "ask")
                sizes = lots_down(bid_size, scale, "size"), lots_down(ask_size, scale, "size")
                daemon.step(Quote(at, bid_sat, sizes[0], ask_sat, sizes[1]))
                decided.append(time.perf_counter_ns() - began)
            durable.append(time.perf_counter_ns() - began)
            line = next(lines, "")
            if not line:
                break
        filled = sum(len(desk.session.state.fills) for desk in daemon.desks.values())
        daemon.journal.close()
    later = {f"durable {name}": value for name, value in _quantiles(durable).items()}
    return {"version": "", "quotes": len(decided), "filled": filled, **_quantiles(decided), **later}


def _quantiles(found: list[int]) -> dict[str, float]:
    kept = sorted(found[len(found) // 10 :])  # the first ones warm up
    return {
        name: kept[int(share * (len(kept) - 1))] / 1_000 for name, share in zip(QUANTILES, (0.5, 0.99), strict=True)
    }


def main() -> int:
    """Measure and print a table; `--ours FILE` is one round of ours, for the processes that this starts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop", description=__doc__)
    parser.add_argument("--nautilus", help="a Python that has nautilus_trader of benchmarks/loop_peers.txt")
    parser.add_argument("--freqtrade", help="a Python that has freqtrade of benchmarks/loop_peers.txt")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=Path.cwd(), help="where the journal is written: a real disk")
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        print(json.dumps(ours(options.ours)))
        return 0
    with tempfile.TemporaryDirectory(dir=options.dir) as place:
        lines = Path(place) / "quotes.txt"
        write_lines(lines, QUOTES)
        here = Path(__file__).parent
        commands = {OURS: [sys.executable, "-m", "benchmarks.loop", "--ours", str(lines)]}
        for name, python in (("nautilus", options.nautilus), ("freqtrade", options.freqtrade)):
            if python is not None:
                commands[name] = [python, str(here / f"loop_{name}.py"), str(lines)]
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                done = subprocess.run(command, cwd=here.parent, check=True, capture_output=True, text=True)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    _print(found)
    return 0


def _print(found: dict[str, list[dict[str, Any]]]) -> None:
    heading = "from quote to decision, microseconds"
    print(f"{heading:38} {'p50':>8} {'p99':>8}   theirs / ours: p50, p99 (least - greatest)")
    for name, rounds in found.items():
        first = rounds[0]
        did = f"{first['filled']} orders filled" if "filled" in first else f"{first['signals']} signals"
        title = " ".join(f"{name} {first['version']}".split()) + f", {did}"
        medians = [statistics.median(one[quantile] for one in rounds) for quantile in QUANTILES]
        line = f"{title:38} {medians[0]:8.1f} {medians[1]:8.1f}"
        if name != OURS:
            for quantile in QUANTILES:
                ratios = [a[quantile] / b[quantile] for a, b in zip(rounds, found[OURS], strict=True)]
                line += f"   {statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"
        print(line)
        if name == OURS:
            durable = [statistics.median(one[f"durable {quantile}"] for one in rounds) for quantile in QUANTILES]
            print(f"{'  the same, and durable on the disk':38} {durable[0]:8.1f} {durable[1]:8.1f}")


if __name__ == "__main__":
    sys.exit(main())
