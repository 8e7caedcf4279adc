"""The machine's clock is set back an hour (21): the time of events still rises, and nothing is accrued twice."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

from bot.app.paper import replay_feed
from bot.app.running import Running
from bot.core.units import NS_PER_S
from bot.daemon import Daemon
from bot.paper.entries import Event
from bot.paper.journal import Journal
from bot.replaying import agree, replayed
from bot.run import load_run
from tests.feeds.chains import ManualClock, time_of
from tests.feeds.test_record import FIRST, RAWS
from tests.feeds.test_swap_rates import told
from tests.paper.test_live import trade, write_config
from tests.unit.test_paper_running import CONFIG, Live

HOUR_S = 3_600


def test_the_daemon_goes_on_and_accrues_every_second_once(tmp_path: Path) -> None:
    """Set back while it runs, set right again, then started on a clock that is behind all that was booked."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = write_config(tmp_path, port)
    both = "[{use: hold_short, params: {size: 5 contracts}}, {use: hold_long}]"
    head = config.read_text().partition("strategies:")[0]
    config.write_text(f"{head}swap: {{source: funding_book, poll: 1 min}}\nstrategies: {both}\n")
    trade(tmp_path, port, 11, 29, signal.SIGTERM, {18: -HOUR_S, 27: 0})
    before = len_and_last(tmp_path)
    assert before[1] > (time_of(RAWS[30]) - HOUR_S) * NS_PER_S, "the start finds a clock that is behind"
    trade(tmp_path, port, 30, 42, signal.SIGTERM, {0: -HOUR_S})

    journal = Journal(tmp_path / "a.journal")
    entries = list(journal.entries(2))
    assert [entry.sequence for entry in entries] == list(range(2, len(entries) + 2))
    times = [entry.time_ns for entry in entries if entry.is_event]
    assert all(a < b for a, b in pairwise(times))
    assert len(entries) > before[0] and times[-1] < (time_of(RAWS[42]) + HOUR_S) * NS_PER_S
    heights = [entry.content().height for entry in entries if entry.kind == "Block"]
    assert heights == list(range(FIRST + 11, heights[-1] + 1)) and heights[-1] > FIRST + 30
    daemon = Daemon(journal, keep=True)
    daemon.recover()
    short = daemon.desks["hold_short"].session
    (fill,), now_ns = short.state.fills, short.state.time_ns
    short.exchange.settle()
    paid_sat = sum(p.amount for p in short.state.ledger.postings() if p.kind == "interest" and p.account[:5] == "hold_")
    seconds = now_ns // NS_PER_S - fill.time_ns // NS_PER_S
    notional_sat = -fill.size_lots * short.state.mark_sat // 100  # lots of a hundredth
    assert -paid_sat == notional_sat * seconds // (100 * 86_400), "1 % a day"
    agree(replayed(journal))
    journal.close()


def len_and_last(directory: Path) -> tuple[int, int]:
    journal = Journal(directory / "a.journal")
    entries = list(journal.entries(2))
    journal.close()
    return len(entries), entries[-1].time_ns


def test_stated_rates_that_were_told_are_not_told_again_by_a_start_on_a_clock_behind_them() -> None:
    rates = told(ManualClock(250 * NS_PER_S), 320, 2)
    assert [(time_s, rate) for time_s, _, rate in rates] == [(400, 400), (400, 400)]


class SetBack(Live):
    """Shortly before the end its clock is found to be an hour ahead; a while later something more comes."""

    async def events(self, after: Event | None) -> AsyncIterator[Event]:
        yield self.ahead[0]
        self.now_ns -= HOUR_S * NS_PER_S
        yield self.ahead[1]
        await asyncio.sleep(0.2)  # longer than was left by the clock as it was
        yield self.ahead[2]


def test_a_run_does_not_end_by_the_clock_as_it_was_before_it_was_set_back(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    run = load_run(config)
    feed = SetBack(replay_feed(run).all[:3])
    feed.now_ns = run.plans[0].end_ns - NS_PER_S // 20
    journal = Journal(tmp_path / "a.journal")
    running = Running(run, lambda: run, journal, feed, None, as_json=True, now_ns=lambda: feed.now_ns)
    asyncio.run(running.run())
    steps = running.daemon.steps
    running.close()
    assert steps == 3
