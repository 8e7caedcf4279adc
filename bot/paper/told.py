"""What the exchange's market showed, for whoever follows it: the events of the journal, in their order.

A follower names the last event that it took in, by number, or after a restart of its own by what it says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from bot.errors import HistoryError, Problem
from bot.paper.entries import Entry, decode, head_text, time_of
from bot.paper.service import Service

MOST_AT_ONCE: Final = 500
_STEP: Final = 1_000


class Told:
    """The events of a service's journal. `go_on`, of a market that is led, shows more when a follower has all."""

    def __init__(self, service: Service, go_on: Callable[[], None] | None = None) -> None:
        self._service = service
        self._go_on = go_on
        head = json.loads(next(service.journal.entries(1, 1)).text)
        self.market = {
            "feed": head["facts"].get("feed", ""),
            "simulated_prices": head["facts"].get("simulated_prices", False),
            "terms": terms_hash(head),
            "led": go_on is not None,
        }
        """What the market is, and a hash of contract, rules and start: a follower must have the same."""

    def after(self, sequence: int) -> list[Entry]:
        """Return the events behind an entry, oldest first, at most MOST_AT_ONCE; a led market goes on for it."""
        found = self._read(sequence)
        if not found and self._go_on is not None:
            self._go_on()
            found = self._read(sequence)
        return found

    def _read(self, sequence: int) -> list[Entry]:
        found: list[Entry] = []
        for entry in self._service.journal.entries(sequence + 1):
            if entry.is_event:
                found.append(entry)
                if len(found) == MOST_AT_ONCE:
                    break
        return found

    def place_of(self, kind: str, text: str) -> int:
        """Return the number of the last event of this kind and text. Raises HistoryError if it was never shown."""
        try:
            wanted_ns = time_of(decode(kind, text))
        except ValueError:
            wanted_ns = 1 << 63
        last = self._service.journal.sequence
        while last > 0 and wanted_ns < 1 << 63:
            first = max(last - _STEP + 1, 1)
            entries = list(self._service.journal.entries(first, last))
            for entry in reversed(entries):
                if (entry.kind, entry.text) == (kind, text):
                    return entry.sequence
            if entries[0].time_ns < wanted_ns:
                break
            last = first - 1
        what = f"has shown no such {kind[:20]}: {text[:80]}"
        raise HistoryError(
            [Problem("the exchange's market", what, "follow the exchange that the journal was begun on")]
        )


def terms_hash(head: Mapping[str, Any]) -> str:
    """Return a hash of what a journal's head says of contract, rules and start."""
    terms = {name: head[name] for name in ("rules_version", "contract", "rules", "start_ns")}
    return hashlib.sha256(head_text(terms).encode()).hexdigest()
