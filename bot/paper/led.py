"""A market that goes on only when a follower asks for what comes next: no clock, so that two runs of it are alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from bot.core.events import Bar, Quote
from bot.errors import JournalFullError
from bot.paper.entries import Event, Passed, time_of
from bot.paper.feed import ReplayFeed
from bot.paper.service import Service


class LedMarket:
    """A replay that stands still between two questions; what `Market` is to a clock, this is to a follower."""

    def __init__(self, service: Service, feed: ReplayFeed, end_ns: int) -> None:
        """Go on behind the last event in the service's journal; behind the replay's last, time passes to `end_ns`."""
        self._service = service
        self._feed = feed
        self._end_ns = end_ns
        self._find_place()
        self.settled = asyncio.Event()
        """Set once everything of the first instant has been shown; from then on it always is."""

    def _find_place(self) -> None:
        """Look up what the service has seen: a full disk takes back what was shown in vain."""
        self._exchange = self._service.exchange
        self._coming = self._feed.following(self._service.last)
        self._at = 0
        self._has_begun = self._service.last is not None

    def now_ns(self) -> int:
        """Return the market's time: that of the last event."""
        return self._service.exchange.state.time_ns

    def begin(self) -> None:
        """Show what happened at the start's instant, unless that was done before: accounts are opened behind it."""
        start_ns = -1 if self._has_begun else self.now_ns()
        while self._at < len(self._coming) and time_of(self._coming[self._at]) <= start_ns:
            self._show()

    async def run(self, shown: Callable[[], None]) -> None:
        """Show the start's instant, then wait: only `go_on` moves the market."""
        self.begin()
        with suppress(JournalFullError):  # what was shown waits for the next commit
            self._service.flush()
        shown()
        self.settled.set()
        await asyncio.Event().wait()

    def go_on(self) -> None:
        """Show what comes next, up to a quote or a bar's close; behind the last, let time pass."""
        if self._exchange is not self._service.exchange:
            self._find_place()
        while self._at < len(self._coming):
            if isinstance(self._show(), Quote | Bar):
                return
        if self.now_ns() < self._end_ns:
            self._service.see(Passed(self._end_ns))

    def _show(self) -> Event:
        event = self._coming[self._at]
        self._service.see(event)
        self._at += 1
        return event
