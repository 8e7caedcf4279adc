"""The reference engine: a plain loop over market events, the yardstick that every other engine must equal."""

from __future__ import annotations

from backtests.plan import Plan, World, result_of
from backtests.result import RunResult
from bot.core.events import Block
from bot.session import Session

NAME = "reference"


def run(plan: Plan) -> RunResult:
    """Return the result of one plan. Raises StrategyError if the strategy fails."""
    session = plan.session()
    feed = Feed(session, plan.world())
    start, end = plan.settings.start_ns, plan.end_ns
    on_open, on_close, decide = session.on_bar_open, session.on_bar_close, session.decide
    for bar in plan.history.bars:
        if bar.time_ns < start or bar.close_ns > end:
            continue
        if feed.next_ns <= bar.time_ns:
            feed.up_to(bar.time_ns)
        on_open(bar)
        if feed.next_ns <= bar.close_ns:
            feed.up_to(bar.close_ns)
        on_close(bar)
        decide()
    for quote in plan.history.quotes:
        if quote.time_ns < start or quote.time_ns > end:
            continue
        if feed.next_ns <= quote.time_ns:
            feed.up_to(quote.time_ns)
        session.on_quote(quote)
        decide()
    feed.up_to(end)
    session.finish(end)
    return result_of(session, plan, NAME)


class Feed:
    """Hands a session the world's events up to a time; blocks and swap rates rank before market data at equal times."""

    __slots__ = ("_at", "_session", "_world", "next_ns")

    def __init__(self, session: Session, world: list[World]) -> None:
        self._session = session
        self._world = world
        self._at = 0
        self.next_ns = world[0][0] if world else 1 << 62

    def up_to(self, time_ns: int) -> None:
        """Feed every event at or before `time_ns`."""
        world, at = self._world, self._at
        while at < len(world) and world[at][0] <= time_ns:
            event = world[at][2]
            if isinstance(event, Block):
                self._session.on_block(event)
            else:
                self._session.on_swap_rate(event)
            at += 1
        self._at = at
        self.next_ns = world[at][0] if at < len(world) else 1 << 62
