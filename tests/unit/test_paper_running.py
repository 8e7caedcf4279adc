"""The loop around the daemon on a live feed: every event by itself, late ones not acted on, parity all the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from bot.app.paper import replay_feed
from bot.app.running import Running
from bot.core.events import Quote
from bot.core.units import NS_PER_S
from bot.paper.entries import Event, time_of
from bot.paper.journal import Journal
from bot.replaying import agree, replayed
from bot.run import load_run

ROOT = Path(__file__).parents[2]
CONFIG = f"""\
contract: {ROOT}/contracts/TH1BTC-2014Q4.yaml
history:
  market: {ROOT}/backtests/history/TH1BTC-2014Q4-quotes.csv
  swap_rates: {ROOT}/backtests/history/TH1BTC-2014Q4-swap-rates.csv
risk: {{max_quote_age: 30 s}}
dashboard: {{enabled: false}}
strategies: [{{use: fair_value_band}}, {{use: hold_long}}]
"""


class Live:
    """A feed as a live one is: it knows no future, ends when its source does, and every seventh event comes late."""

    name, simulated = "live, for a test", True

    def __init__(self, events: list[Event]) -> None:
        self.ahead = events
        self.now_ns = 0

    async def events(self, after: Event | None) -> AsyncIterator[Event]:
        for number, event in enumerate(self.ahead):
            if after is None or time_of(event) > time_of(after):
                self.now_ns = time_of(event) + (40 if number % 7 == 0 else 20) * NS_PER_S
                await asyncio.sleep(0)
                yield event


def test_a_live_feed_is_gone_on_with_and_late_quotes_are_not_acted_on(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    run = load_run(config)
    events = replay_feed(run).all[:700]
    late = sum(isinstance(event, Quote) for event in events[::7])
    for part in (events[:300], events):  # the source ends, and comes back later
        feed = Live(part)
        running = Running(
            run,
            lambda: run,
            Journal(tmp_path / "a.journal"),
            feed,
            None,
            as_json=True,
            now_ns=lambda feed=feed: feed.now_ns,
        )
        asyncio.run(running.run())
        assert running.document()["ended_by"] == "feed"
        running.close()
    journal = Journal(tmp_path / "a.journal")
    result = replayed(journal)
    journal.close()
    assert result.daemon.steps == 700 and result.controls == late > 5
    assert all(one.fills for one in result.results)
    agree(result)


class Silent(Live):
    """A live feed on which nothing comes any more."""

    async def events(self, after: Event | None) -> AsyncIterator[Event]:
        for event in self.ahead:
            yield event
        await asyncio.get_running_loop().create_future()


def test_a_live_run_ends_by_the_clock_though_its_sources_say_nothing_more(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    run = load_run(config)
    end_ns, began_ns = run.plans[0].end_ns, time.monotonic_ns()

    def now_ns() -> int:
        return end_ns - NS_PER_S // 2 + time.monotonic_ns() - began_ns

    feed = Silent(replay_feed(run).all[:300])
    running = Running(run, lambda: run, Journal(tmp_path / "a.journal"), feed, None, as_json=True, now_ns=now_ns)
    asyncio.run(asyncio.wait_for(running.run(), 30))
    session = running.daemon.desks["hold_long"].session
    running.close()
    assert session.state.expired and session.state.time_ns == end_ns
    assert running.text().endswith("a.journal"), "there is nothing to go on with"
