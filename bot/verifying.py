"""A journal checked from its first entry: every hash, every entry carried out again, the checkpoint held against that.

What is compared is what the checkpoint says and every row of what has ended. Notices of refusals, limits and reports
are left out: they were told to who asked, and a replay asks nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final, NamedTuple

from backtests.reference import paused_collector
from bot.core.exchange import Exchange
from bot.daemon import Daemon
from bot.errors import JournalError, Problem
from bot.paper.checkpoint.ended import ORDER
from bot.paper.checkpoint.past import LAST, REMEDY, Past
from bot.paper.checkpoint.plain import plain, written
from bot.paper.checkpoint.store import Distrusted, find
from bot.paper.entries import ALL_VENUES, HEAD
from bot.paper.journal import Journal
from bot.paper.service import Service

TOLD: Final = frozenset({"rejected", "limited", "adopted"})
"""Kinds of notices that only who asks is told."""


class Verified(NamedTuple):
    """How many entries there are, where the checkpoint stands (0: there is none), and how many rows of the past."""

    entries: int
    checkpoint: int
    past: int


def verify(journal: Journal) -> Verified:
    """Return what was checked. Raises JournalError for the first entry or part of the checkpoint that is wrong."""
    first = next(journal.entries(1, 1), None)
    head = json.loads(first.text) if first is not None and first.kind == HEAD else {}
    run = Service.whole(journal) if "facts" in head else Daemon(journal, whole=True)  # which refuses all other heads
    try:
        found = find(journal)
    except Distrusted as why:
        raise _wrong(journal, str(why)) from why
    entries = rows = 0
    with paused_collector():
        for entry in journal.entries():
            entries = entry.sequence
            if entries > 1:
                run.carry_out(entry)
            if found is not None and entries == found[0]:
                try:
                    rows = _compare(journal, run, *found)
                except (LookupError, TypeError, ValueError) as error:
                    raise _wrong(journal, f"at entry {entries} cannot be read: {error!r}") from error
    return Verified(entries, 0 if found is None else found[0], rows)


def _compare(journal: Journal, run: Daemon | Service, sequence: int, kept: dict[str, Any]) -> int:
    """Return how many rows of the past were compared. Raises JournalError for what differs from the replay."""
    if isinstance(run, Daemon):
        exchanges = {name: desk.session.exchange for name, desk in run.desks.items()}
        documents = {name: kept["desks"][name]["exchange"] for name in exchanges}
    else:
        exchanges, documents = {ALL_VENUES: run.exchange}, {ALL_VENUES: kept["exchange"]}
    for name, exchange in exchanges.items():  # a command that was refused has let time pass too
        fields = documents[name]["fields"]
        exchange.reach(fields["time_ns"], fields["rank"])
        documents[name]["notices"] = len(exchange.state.notices)
    difference = next(_differences(kept, json.loads(written(run.document())), ""), None)
    if difference is not None:
        raise _wrong(journal, f"at entry {sequence}: {difference}")
    rows = [_Row(name, *row) for name, exchange in exchanges.items() for row in _ended(exchange)]
    if isinstance(run, Service):
        rows += [_Row(ALL_VENUES, *row) for row in _of_users(run)]
    return _compare_rows(journal, rows)


class _Row(NamedTuple):
    venue: str
    kind: str
    user: str
    number: int
    text: str


def _differences(kept: Any, again: Any, path: str) -> Iterator[str]:
    """Yield in words where two documents differ."""
    if isinstance(kept, dict) and isinstance(again, dict):
        for name in sorted(kept.keys() | again.keys()):
            yield from _differences(kept.get(name), again.get(name), f"{path}.{name}" if path else name)
    elif kept != again:
        yield f"{path} is {str(kept)[:80]}, on replay {str(again)[:80]}"


_Ended = tuple[str, str, int, str]


def _ended(exchange: Exchange) -> Iterator[_Ended]:
    """Yield (kind, user, number, text) of what has ended; notices are counted without those that are left out."""
    state = exchange.state
    yield from _listed("Fill", "", state.fills)
    yield from _listed("Notice", "", (notice for notice in state.notices if notice.kind not in TOLD))
    yield from ((ORDER, "", o.id, written(plain(o))) for o in state.orders.values() if not o.is_live)


def _of_users(service: Service) -> Iterator[_Ended]:
    """Yield what is kept besides on an exchange of several users."""
    records, tape = service.records(), service.tape
    yield from chain.from_iterable(_listed("OwnFill", user, rows) for user, rows in records.fills.items())
    yield from chain.from_iterable(_listed("Entry", user, rows) for user, rows in records.entries.items())
    for kind, candles in (("Minute", tape.minutes), ("Hour", tape.hours)):
        yield from _listed(kind, "", candles[:-1])


def _listed(kind: str, user: str, items: Iterable[Any]) -> Iterator[_Ended]:
    return ((kind, user, number, written(item)) for number, item in enumerate(items))


def _compare_rows(journal: Journal, rows: list[_Row]) -> int:
    expected: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
    for row in rows:
        expected.setdefault(row[:3], []).append((row.number, row.text))
    for venue, kind, user in journal.rows("SELECT DISTINCT venue, kind, user FROM past", ()):
        past = Past(journal, venue)
        stored = list(_stored(past, kind, user))
        if kind == "Notice":
            texts = [text for _, text in stored if json.loads(text)[2] not in TOLD]
            stored = list(enumerate(texts))
        again = expected.pop((venue, kind, user), [])
        if kind == "Fill":
            stored = stored[: len(again)]  # as many as the checkpoint counts; a venue has taken back the others
        if stored != again:
            at = next((n for n, (a, b) in enumerate(zip(stored, again, strict=False)) if a != b), len(again))
            what = f"{len(stored)} rows of {kind} of {venue or 'the exchange'} {user}, on replay {len(again)}"
            raise _wrong(journal, f"{what}; they differ from number {at} on")
    if any(expected.values()):
        raise _wrong(journal, f"has no row of {next(key for key, value in expected.items() if value)}")
    return len(rows)


def _stored(past: Past, kind: str, user: str) -> Iterator[tuple[int, str]]:
    first = 0
    while page := past.texts(kind, user, first, LAST):
        yield from page
        first = page[-1][0] + 1


def _wrong(journal: Journal, what: str) -> JournalError:
    return JournalError([Problem(str(journal.path), f"the checkpoint {what}", REMEDY)])
