"""The market of a served exchange as the daemon's feed: its events, asked for one after the other, through ccxt.

The exchange's market is the only clock: what it has not shown has not happened. What it has shown while nobody followed
comes at once, and only on the newest of it is decided.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from bot.errors import VenueError
from bot.paper.entries import Event, decode, encode
from bot.paper.told import MOST_AT_ONCE

_PATH: Final = "auth/r/market/events"
Ask = Callable[[Callable[[], Any]], Any]


class FollowedMarket:
    """Events behind `last`, the last one that was taken in. `ask` carries out a question until it is answered."""

    def __init__(self, client: Any, ask: Ask, last: Event | None) -> None:
        self._client = client
        self._ask = ask
        self._after: Any = 0 if last is None else [type(last).__name__, encode(last)]
        self._waiting: list[Event] = []
        self.says: dict[str, Any] = {}
        """What the exchange says of its market: feed, simulated_prices, terms, led. Empty before the first answer."""

    def take(self) -> list[Event]:
        """Return all that has been shown since the last time, in its order. Raises VenueAwayError."""
        self._read()
        taken, self._waiting = self._waiting, []
        return taken

    def has_moved_on(self) -> bool:
        """Return whether more has been shown than was taken; a market that is led moves only for who takes."""
        if not self.says.get("led"):
            self._read()
        return bool(self._waiting)

    def _read(self) -> None:
        while True:
            self.says, rows = self._ask(self._answer)
            self._waiting += [event for _, event in rows]
            if rows:
                self._after = rows[-1][0]
            if len(rows) < MOST_AT_ONCE:
                return

    def _answer(self) -> tuple[dict[str, Any], list[tuple[int, Event]]]:
        says, rows = self._client.request(_PATH, ["private"], "POST", {"after": self._after})
        if not isinstance(says, dict):
            raise VenueError(f"the exchange says nothing of its market: {str(says)[:80]}")
        return says, [(row[0], decode(row[1], json.dumps(row[2]))) for row in rows]
