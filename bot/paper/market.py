"""The exchange's market and its time: events of a feed are shown to the service when they are due.

Between events time goes on with the clock, at the replay's speed, but never past an event that is still to be shown: no
command can be stamped later than what it could not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from bot.core.units import NS_PER_S
from bot.errors import JournalFullError
from bot.paper.entries import Event, Passed, time_of
from bot.paper.feed import Feed
from bot.paper.service import Service

FOREVER: Final = 1 << 62
MOST_AT_ONCE: Final = 200
"""Events shown before anybody else is served."""


class Market:
    """A feed at a pace. `clock_ns` never goes back; `speed` is how many seconds of the market pass in one of it."""

    def __init__(self, service: Service, feed: Feed, speed: int, clock_ns: Callable[[], int], start_ns: int) -> None:
        """Go on behind the last event in the service's journal."""
        self._service = service
        self._feed = feed
        self._speed = speed
        self._clock_ns = clock_ns
        self._origin = (clock_ns(), max(service.exchange.state.time_ns, start_ns))
        self._next_ns = self._origin[1] + 1
        self.settled = asyncio.Event()
        """Set while everything of the present instant has been shown: nobody may act at it before."""

    def now_ns(self) -> int:
        """Return the market's time: that of the clock, short of the next event that is still to be shown."""
        began_ns, from_ns = self._origin
        return min(from_ns + (self._clock_ns() - began_ns) * self._speed, self._next_ns - 1)

    async def run(self, shown: Callable[[], None]) -> None:
        """Show event after event when each is due, and call `shown` once they are durable, until the contract ends."""
        feed = self._feed.events(self._service.last)
        waiting = 0
        while True:
            coming = asyncio.ensure_future(_following(feed))
            await asyncio.sleep(0)
            if not coming.done():  # the feed has nothing yet: time goes on
                self._next_ns = FOREVER
                self._tell(shown)
                waiting = 0
            event = await coming
            if event is None:
                break
            self._next_ns = max(time_of(event), self._service.exchange.state.time_ns)
            later = self._next_ns > self._service.exchange.state.time_ns
            if later and (self._wait_ns() > 0 or waiting >= MOST_AT_ONCE):
                self._tell(shown)
                waiting = 0
                await self._until_due()
            self.settled.clear()
            self._service.see(event)
            waiting += 1
        self._tell(shown)
        await self._until_expiry()
        self._next_ns = FOREVER
        self._tell(shown)

    async def _until_expiry(self) -> None:
        """Let the contract end when its time has come, though nothing more is shown."""
        state = self._service.exchange.state
        if not state.expired:
            self._next_ns = max(state.contract.end_ns, state.time_ns)
            await self._until_due()
            self._service.see(Passed(self._next_ns))

    async def _until_due(self) -> None:
        while (wait_ns := self._wait_ns()) > 0:
            await asyncio.sleep(wait_ns / NS_PER_S)

    def _tell(self, shown: Callable[[], None]) -> None:
        """Make durable what was shown, then let it be told; on a full disk it waits for the next time."""
        with suppress(JournalFullError):
            self._service.flush()
            shown()
        self.settled.set()

    def _wait_ns(self) -> int:
        """Return how long the clock must still run until the next event is due."""
        began_ns, from_ns = self._origin
        return (self._next_ns - from_ns) // self._speed - (self._clock_ns() - began_ns)  # rounded down


async def _following(feed: AsyncIterator[Event]) -> Event | None:
    return await anext(feed, None)
