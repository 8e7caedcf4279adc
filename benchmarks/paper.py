"""`python -m benchmarks.paper`: the daemon's speed on this machine, wall clock. Exit code 1 when a target is missed.

from quote received to order decided    text parsed, event journalled in memory, strategy asked, order placed
from quote to durable acknowledgement   the same, committed and synced to the disk under --dir
restart                                 a journal of 100,000 events and six strategies opened and gone on from
a year at --speed max                   four times `fairhash paper config.yaml`: 91 days, all its strategies
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import series
from bot.core.events import BTC, Quote
from bot.core.order import EXCHANGE, CancelOrder, Deposit, PlaceOrder
from bot.core.state import MarketRules
from bot.core.units import NS_PER_S
from bot.daemon import Daemon
from bot.facts import facts_of
from bot.paper.entries import ALL_VENUES, HEAD, Event, Passed, head_text, time_of
from bot.paper.feed import ReplayFeed
from bot.paper.journal import Journal
from bot.paper.service import Service

QUOTES = 100_000
CONFIG = "contract: c.yaml\nhistory: {market: m.csv}\nstrategies:\n  - use: benchmarks.wide_awake\n"
SIX = CONFIG + "".join(f"  - {{use: benchmarks.wide_awake, name: wide_awake_{n}}}\n" for n in range(2, 7))


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and the value that it must stay below (or above: `at_least`), if it has one."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the figure is on the right side of its target."""
        return self.target is None or (self.value > self.target if self.at_least else self.value < self.target)

    def line(self) -> str:
        """Return it as a line of a table."""
        sign, met = ">" if self.at_least else "<", "met" if self.is_met else "MISSED"
        target = "" if self.target is None else f"{sign} {self.target:g} {met}"
        return f"{self.name:62} {self.value:10.2f} {self.unit:3} {target}".rstrip()


def figures(directory: Path, count: int = QUOTES) -> list[Figure]:
    """Return every figure; journals are written to a directory of their own under `directory`."""
    with tempfile.TemporaryDirectory(dir=directory) as place:
        events = _events(count)
        path = Path(place) / "many.journal"
        found = _latencies(path, events[: count // 20])
        path = Path(place) / "restart.journal"
        _write(path, events)
        found += _restart(path, len(events))
        found += _exchange(Path(place) / "exchange.journal", count)
        found.append(_year(Path(place)))
    return found


def _events(count: int) -> list[Event]:
    """Return minute quotes around the model's value, with the blocks and rates between them, `count` events in all."""
    chain = series.blocks()
    bars = series.bars(count, series.MINUTE_NS, chain)
    tick = series.TICK_SAT
    quotes = [Quote(bar.close_ns, bar.close_sat, 900, bar.close_sat + tick, 900) for bar in bars]
    feed = ReplayFeed("benchmark", True, quotes, series.swap_rates(), chain, series.START_NS, series.END_NS)
    return feed.all[:count]


def begun(path: Path, config: str = CONFIG) -> Daemon:
    """Return a daemon on the journal at `path`, begun if it is not there, for the strategies of a configuration."""
    from backtests.plan import Plan
    from bot.facts import loaded_strategies
    from bot.history.series import History
    from bot.model.growth import Trailing

    journal = Journal(path)
    if journal.sequence == 0:
        quote = Quote(series.START_NS, 1, 1, 2, 1)
        history = History([], [quote], [], True, ())
        epochs, settings = series.past_epochs(), series.settings()
        plans = [
            Plan(settings, strategy, Trailing(6), epochs, [], history, series.END_NS)
            for strategy in loaded_strategies(config)
        ]
        journal.append(HEAD, ALL_VENUES, series.START_NS, head_text(facts_of(plans, config, "benchmark")))
        journal.commit()
    return Daemon(journal)


def _latencies(path: Path, events: list[Event]) -> list[Figure]:
    """Return what lies between a quote's text and the decision, and until it is durable, in microseconds."""
    daemon = begun(path)
    decided: list[int] = []
    durable: list[int] = []
    with_orders: list[int] = []
    bare: list[int] = []
    page = os.open(path.with_name("page"), os.O_CREAT | os.O_WRONLY, 0o600)
    for event in events:
        if not isinstance(event, Quote):
            daemon.take_in([event])
            continue
        text = json.dumps(event)
        before = daemon.journal.sequence
        began = time.perf_counter_ns()
        with daemon.journal.group():
            daemon.step(Quote._make(json.loads(text)))
            seen = time.perf_counter_ns()
        ended = time.perf_counter_ns()
        if len(durable) % 10 == 0:  # in between, so that both meet the same disk
            started = time.perf_counter_ns()
            os.pwrite(page, bytes(4_096), len(bare) * 4_096)
            os.fdatasync(page)
            bare.append(time.perf_counter_ns() - started)
        decided.append(seen - began)
        durable.append(ended - began)
        if daemon.journal.sequence > before + 1:
            with_orders.append(ended - began)
    daemon.journal.close()
    os.close(page)
    assert len(with_orders) > 50, "the strategy must trade"
    return [
        Figure("quote received to order decided, p50", _quantile(decided, 0.5), "µs", 50),
        Figure("quote received to order decided, p99", _quantile(decided, 0.99), "µs", 250),
        Figure("a bare write and sync of one page, p50, at the same time", _quantile(bare, 0.5), "µs"),
        Figure("quote to durable acknowledgement, p50", _quantile(durable, 0.5), "µs", 1_000),
        Figure("quote to durable acknowledgement, p99", _quantile(durable, 0.99), "µs"),
        Figure(f"the same, the {len(with_orders)} quotes that were traded on, p50", _quantile(with_orders, 0.5), "µs"),
    ]


def _quantile(values_ns: list[int], share: float) -> float:
    return sorted(values_ns)[int(share * (len(values_ns) - 1))] / 1_000


def _write(path: Path, events: list[Event]) -> None:
    daemon = begun(path, SIX)
    for at in range(0, len(events), 1_000):
        daemon.take_in(events[at : at + 1_000])
    daemon.take_in([Passed(time_of(events[-1]) + NS_PER_S)])
    daemon.journal.close()


def _restart(path: Path, count: int) -> list[Figure]:
    """Return how soon a daemon serves again, from its checkpoint and, for comparison, from the first entry."""
    found = []
    for whole, how, target in ((False, "", 2), (True, ", every one replayed", None)):
        began = time.perf_counter()
        daemon = begun(path, SIX)
        if whole:
            daemon = Daemon(daemon.journal, whole=True)
        daemon.recover()
        took_s = time.perf_counter() - began
        entries = daemon.journal.sequence
        daemon.journal.close()
        found.append(
            Figure(f"six strategies: restart with {count} events, {entries} entries{how}", took_s, "s", target)
        )
    return found


def _exchange(path: Path, count: int) -> list[Figure]:
    """Return how fast a service places and cancels orders, 32 to a commit, and how soon it serves again after them."""

    def service() -> Service:
        return Service.open(path, series.contract(), MarketRules(), series.START_NS)

    exchange, now, users = service(), series.START_NS, [f"user{number}" for number in range(16)]
    exchange.see(Quote(now, 99 * 10**6, 1_000, 10**8, 1_000))
    for user in users:
        exchange.submit(Deposit(now, user, BTC, series.DEPOSIT_SAT))
    began = time.perf_counter()
    for first in range(0, count // 2, 32):
        with exchange.group():
            for cid in range(first, first + 32):
                now, user = now + 10**6, users[cid % len(users)]
                answer = exchange.submit(PlaceOrder(now, user, cid, EXCHANGE, 5, 90 * 10**6, active_ns=now))
                assert isinstance(answer, int), answer
                exchange.submit(CancelOrder(now, user, answer))
    rate = exchange.journal.sequence / (time.perf_counter() - began)
    exchange.close()
    began = time.perf_counter()
    exchange = service()
    took_s, entries = time.perf_counter() - began, exchange.journal.sequence
    exchange.close()
    return [
        Figure("exchange: orders and cancels, durable, 32 to a commit", rate, "/s", 1_500, at_least=True),
        Figure(f"exchange: restart with {entries} entries", took_s, "s", 2),
    ]


def _year(directory: Path) -> Figure:
    """Return the wall time of a year: the term of 91 days four times, each in a process with a journal of its own."""
    root = Path(__file__).parents[1]
    began = time.perf_counter()
    for term in range(4):
        command = [sys.executable, "-m", "bot", "paper", "config.yaml", "--speed", "max", "--json"]
        command += ["--journal", str(directory / f"{term}.journal")]
        subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Figure("a year of hourly history at --speed max, all of config.yaml", time.perf_counter() - began, "s", 60)


def main() -> int:
    """Measure, print a table or JSON, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path.cwd(), help="where journals are written: a real disk")
    parser.add_argument("--events", type=int, default=QUOTES, help=f"events of the restart; default: {QUOTES}")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    found = figures(options.dir, options.events)
    if options.json:
        print(json.dumps([{**asdict(one), "is_met": one.is_met} for one in found], indent=2))
    else:
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
        for one in found:
            print(one.line())
    return int(not all(one.is_met for one in found))


if __name__ == "__main__":
    sys.exit(main())
