"""The reference engine: a plain loop over market events, the yardstick that every other engine must equal."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from backtests.plan import Plan, World, result_of
from backtests.result import RunResult
from bot.core.events import RANK_FUNDING, Block
from bot.session import Session
from strategies.view import NEVER

NAME = "reference"


def run(plan: Plan) -> RunResult:
    """Return the result of one plan. Raises StrategyError if the strategy fails."""
    with paused_collector():
        return _run(plan)


def _run(plan: Plan) -> RunResult:
    session = plan.session()
    feed = Feed(session, plan.world())
    start, end = plan.settings.start_ns, plan.end_ns
    bars = plan.history.bars
    if bars and (bars[0].time_ns < start or bars[-1].close_ns > end):
        bars = [bar for bar in bars if start <= bar.time_ns and bar.close_ns <= end]
    at = 0
    while (at := session.coast(bars, at, feed)) < len(bars):
        bar = bars[at]
        feed.up_to(bar.time_ns)
        session.on_bar_open(bar)
        feed.up_to(bar.close_ns)
        session.on_bar_close(bar)
        session.decide()
        at += 1
    for quote in plan.history.quotes:
        if quote.time_ns < start or quote.time_ns > end:
            continue
        if feed.next_ns <= quote.time_ns:
            feed.up_to(quote.time_ns)
        session.on_quote(quote)
        session.decide()
    feed.up_to(end)
    session.finish(end)
    return result_of(session, plan, NAME)


@contextmanager
def paused_collector() -> Iterator[None]:
    """Keep the cyclic garbage collector from going through every mark and posting again and again: none is garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if gc.get_freeze_count() == 0:
                gc.freeze()
                gc.unfreeze()  # what the run has made counts as old from here on
            gc.enable()


class Feed:
    """Hands a session the world's events up to a time; blocks and swap rates rank before market data at equal times."""

    __slots__ = ("_at", "_rate_at", "_rates_ns", "_session", "_world", "next_ns", "rate_ns")

    def __init__(self, session: Session, world: list[World]) -> None:
        self._session = session
        self._world = world
        self._at = self._rate_at = 0
        self._rates_ns = [time_ns for time_ns, rank, _ in world if rank == RANK_FUNDING]
        self._look_ahead()

    def up_to(self, time_ns: int) -> None:
        """Feed every event at or before `time_ns`."""
        if self.next_ns > time_ns:
            return
        world, at = self._world, self._at
        while at < len(world) and world[at][0] <= time_ns:
            event = world[at][2]
            if isinstance(event, Block):
                self._session.on_block(event)
            else:
                self._session.on_swap_rate(event)
                self._rate_at += 1
            at += 1
        self._at = at
        self._look_ahead()

    def _look_ahead(self) -> None:
        self.next_ns = self._world[self._at][0] if self._at < len(self._world) else NEVER
        self.rate_ns = self._rates_ns[self._rate_at] if self._rate_at < len(self._rates_ns) else NEVER
