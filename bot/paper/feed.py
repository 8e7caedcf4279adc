"""Where market events come from: a replay of history, or live sources; the daemon and the server take either.

A feed yields what the exchange core knows (`Quote`, `Block`, `SwapRate`, `Opening`, `Bar`), in an order that never goes
back: by `time_of`, at equal times as bot.core.events ranks them. It yields an event when it is known, not before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from bot.core.events import Bar, Block, Quote, SwapRate
from bot.errors import HistoryError, Problem
from bot.paper.entries import Event, Opening, Passed, rank_of, time_of


class Feed(Protocol):
    """A source of market events."""

    @property
    def name(self) -> str:
        """What it is, in words, for messages and the journal's head: the same for the same source."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether any of its prices or rates are simulated."""
        ...

    def events(self, after: Event | None) -> AsyncIterator[Event]:
        """Yield events from right after `after`, the last one that was taken in; None: from the beginning.

        A replay finds `after` among its own and goes on behind it. A live feed yields only what is newer. It ends
        when nothing will ever come again. Raises FairhashError when it cannot go on.
        """
        ...


class ReplayFeed:
    """The feed of a history: everything at once, in order; whoever asks decides how fast."""

    def __init__(
        self,
        name: str,
        simulated: bool,
        market: Sequence[Quote] | Sequence[Bar],
        rates: Sequence[SwapRate],
        blocks: Sequence[Block],
        start_ns: int,
        end_ns: int,
    ) -> None:
        """Take what lies between start and end: quotes and rates at or after the start, blocks after it."""
        self.name = name
        self.simulated = simulated
        found: list[Event] = [block for block in blocks if start_ns < block.time_ns <= end_ns]
        found += [rate for rate in rates if start_ns <= rate.time_ns <= end_ns]
        for row in market:
            if isinstance(row, Quote):
                if start_ns <= row.time_ns <= end_ns:
                    found.append(row)
            elif start_ns <= row.time_ns and row.close_ns <= end_ns:
                found += (Opening(row.time_ns, row.open_sat, row.volume_lots), row)
        found.sort(key=lambda event: (time_of(event), rank_of(event)))  # stable: rows of one instant keep their order
        # An identical row at the same instant says nothing new, and would make a place in the feed ambiguous.
        self.all: list[Event] = [event for _, event in dict.fromkeys((type(event), event) for event in found)]

    async def events(self, after: Event | None) -> AsyncIterator[Event]:
        """Yield everything behind `after`. Raises HistoryError if it is not part of this history."""
        for event in self.following(after):
            yield event

    def following(self, after: Event | None) -> list[Event]:
        """Return everything behind `after`. Raises HistoryError if it is not part of this history."""
        return self.all[self._behind(after) :]

    def _behind(self, after: Event | None) -> int:
        if after is None:
            return 0
        time_ns = time_of(after)
        for at, event in enumerate(self.all):
            if event == after and type(event) is type(after):
                return at + 1
            if time_of(event) > time_ns:
                if isinstance(after, Passed):
                    return at
                break
        else:
            if isinstance(after, Passed):
                return len(self.all)
        what = f"has no {type(after).__name__} at {time_ns} ns, where the journal ends"
        raise HistoryError([Problem(self.name, what, "take the history that the journal was begun with")])
