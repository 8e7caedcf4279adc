"""How long to bear with a source: bounded attempts with growing pauses in the caller's time, each failure told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from bot.core.units import NS_PER_S
from bot.feeds.clock import Clock
from bot.feeds.errors import SourceError

Answer = TypeVar("Answer")
Tell = Callable[[str, str], None]
"""Told what happens besides events: (kind, text in words), for the log and the page of events."""


@dataclass(frozen=True, slots=True)
class Patience:
    """`attempts` in all; the first pause is `first_pause_ns`, each next one twice as long, at most `longest_ns`."""

    attempts: int = 8
    first_pause_ns: int = NS_PER_S
    longest_ns: int = 60 * NS_PER_S

    def pause_ns(self, failures: int) -> int:
        """Return the pause after that many failures in a row (>= 1).

        >>> [Patience().pause_ns(n) // 10**9 for n in (1, 2, 3, 7, 100)]
        [1, 2, 4, 60, 60]
        """
        return min(self.first_pause_ns << min(failures - 1, 40), self.longest_ns)


async def persist(ask: Callable[[], Awaitable[Answer]], patience: Patience, clock: Clock, tell: Tell) -> Answer:
    """Return the answer of `ask`, asked again after each passing failure.

    Raises the SourceError of the last attempt, or at once one that does not pass.
    """
    failures = 0
    while True:
        try:
            return await ask()
        except SourceError as error:
            failures += 1
            if not error.passing or failures >= patience.attempts:
                raise
            pause_ns = patience.pause_ns(failures)
            then = f"attempt {failures} of {patience.attempts}, again in {pause_ns // NS_PER_S} s"  # rounded down
            tell("source_failed", f"{type(error).__name__}: {error}; {then}")
            await clock.sleep_ns(pause_ns)
