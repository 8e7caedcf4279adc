"""What has ended and will not change: in memory the newest of it, all of it in the journal's file.

`Tail` looks like the whole list, so that whoever reads it need not know. It is written when a checkpoint is (`unkept`),
and only then lets go of what is old (`keep`). `bot.paper.checkpoint.ended` does the same for orders.

A venue of another process may take back the newest fills that were foreseen. The file keeps their rows until others are
written in their places: the checkpoint that is there still counts them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, SupportsIndex, TypeVar, overload

from bot.errors import JournalError, Problem
from bot.paper.checkpoint.plain import made, written
from bot.paper.journal import Journal

KEPT: Final = 256
"""How many of the newest stay in memory."""
CHUNK: Final = 512
"""How many rows are read at once."""
LAST: Final = (1 << 63) - 1
REMEDY: Final = "`fairhash journal forget` drops checkpoint and past, which the next start makes anew from the entries"
_TEXTS: Final = (
    "SELECT number, text, hash FROM past WHERE venue = ? AND kind = ? AND user = ? AND number BETWEEN ? AND ?"
    " ORDER BY number "
)

T = TypeVar("T")
Row = tuple[str, str, str, int, int | None, str | None, str, bytes]
"""venue, kind, user, number, about (a fill's order), key, text, hash: as in the table `past`."""


class Past:
    """The rows of one venue in the file of a journal."""

    def __init__(self, journal: Journal, venue: str) -> None:
        self.venue = venue
        self.kept = KEPT
        self._journal = journal

    def row(
        self, kind: str, user: str, number: int, text: str, about: int | None = None, key: str | None = None
    ) -> Row:
        """Return a row as it is to be written."""
        return (self.venue, kind, user, number, about, key, text, self._hash(kind, user, number, text))

    def texts(self, kind: str, user: str, first: int, last: int, newest: bool = False) -> list[tuple[int, str]]:
        """Return at most 512 rows (number, text) of those from `first` to `last`: the oldest, or the newest first.

        Raises JournalError for a row that was changed.
        """
        question = _TEXTS + ("DESC" if newest else "ASC") + " LIMIT ?"
        rows = self._journal.rows(question, (self.venue, kind, user, first, last, CHUNK))
        for number, text, digest in rows:
            if digest != self._hash(kind, user, number, text):
                raise self.damaged(
                    f"{kind} {number} of {self.venue or 'the exchange'} was changed: its hash does not fit"
                )
        return [(number, text) for number, text, _ in rows]

    def damaged(self, what: str) -> JournalError:
        """Return the error that says in what way the rows are not those that were written."""
        return JournalError([Problem(str(self._journal.path), what, REMEDY)])

    def numbers_about(self, kind: str, about: int) -> list[int]:
        """Return the numbers of the rows that are about something, oldest first."""
        question = "SELECT number FROM past WHERE venue = ? AND kind = ? AND about = ? ORDER BY number"
        return [number for (number,) in self._journal.rows(question, (self.venue, kind, about))]

    def count(self, kind: str) -> int:
        """Return how many rows of a kind there are."""
        question = "SELECT count(*) FROM past WHERE venue = ? AND kind = ?"
        return int(self._journal.rows(question, (self.venue, kind))[0][0])

    def number_of(self, key: str) -> int | None:
        """Return the number of the newest row with this key."""
        question = "SELECT number FROM past WHERE venue = ? AND key = ? ORDER BY number DESC LIMIT 1"
        rows = self._journal.rows(question, (self.venue, key))
        return rows[0][0] if rows else None

    def _hash(self, kind: str, user: str, number: int, text: str) -> bytes:
        fields = f"{self.venue}\n{kind}\n{user}\n{number}\n{text}"
        return hashlib.sha256(fields.encode("utf-8", "surrogatepass")).digest()[:8]


class Tail(Generic[T]):
    """A list of which memory holds the newest items; the last may still change, and the newest be taken back."""

    def __init__(
        self,
        past: Past,
        kind: str,
        hint: Any,
        count: int = 0,
        *,
        user: str = "",
        about: Callable[[T], int] | None = None,
        kept: int = 0,
    ) -> None:
        """Begin with `count` items that are in the file. Items are numbers, or named tuples of plain values: `hint`.

        `about` is what a row can be found by; at least `kept` items stay in memory (0: as few as of anything).
        """
        self._past, self._kind, self._hint, self._user, self._about = past, kind, hint, user, about
        self._most = kept or past.kept
        self._items: list[T] = []
        self._first = self.stored = count
        self.append = self._items.append

    def __len__(self) -> int:
        return self._first + len(self._items)

    @overload
    def __getitem__(self, at: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: SupportsIndex | slice) -> T | list[T]:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            return list(self.between(start, stop)) if step == 1 else [self[i] for i in range(start, stop, step)]
        number = at.__index__()
        number += len(self) if number < 0 else 0
        if not 0 <= number < len(self):
            raise IndexError(f"{number} of {len(self)}")
        if number >= self._first:
            return self._items[number - self._first]
        return self._read(number, number)[0]

    __hash__ = None  # type: ignore[assignment]  # like a list

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tail | list):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    def __setitem__(self, at: int, item: T) -> None:
        assert at == -1 and len(self) > self.stored, "only what is not in the file may change"
        self._items[at] = item

    def __delitem__(self, at: slice) -> None:
        start, stop, step = at.indices(len(self))
        assert (stop, step) == (len(self), 1), "only the newest are taken back"
        del self._items[max(start - self._first, 0) :]
        self._first, self.stored = min(self._first, start), min(self.stored, start)

    def __iter__(self) -> Iterator[T]:
        return self.between(0, len(self))

    def __reversed__(self) -> Iterator[T]:
        for at in range(len(self) - 1, self._first - 1, -1):
            yield self._items[at - self._first]
        for last in range(self._first - 1, -1, -CHUNK):
            yield from reversed(self._read(max(last - CHUNK + 1, 0), last))

    def between(self, start: int, stop: int) -> Iterator[T]:
        """Yield the items from `start` up to, and without, `stop`."""
        at = start
        while at < min(stop, self._first):
            last = min(at + CHUNK, stop, self._first) - 1
            yield from self._read(at, last)
            at = last + 1
        for number in range(at, stop):
            yield self[number]

    def _read(self, first: int, last: int) -> list[T]:
        rows = self._past.texts(self._kind, self._user, first, last)
        count = last - first + 1
        if len(rows) != count:
            raise self._past.damaged(f"{self._kind} {first} to {last}: {len(rows)} of {count} rows are there")
        return [made(self._hint, json.loads(text)) for _, text in rows]

    def unkept(self, but: int = 0) -> list[Row]:
        """Return the rows of all that is not in the file yet, the last `but` items left out."""
        rows = []
        for number in range(self.stored, max(len(self) - but, self.stored)):
            item = self._items[number - self._first]
            about = self._about(item) if self._about else None
            rows.append(self._past.row(self._kind, self._user, number, written(item), about))
        return rows

    def keep(self, but: int = 0) -> None:
        """Take note that `unkept` rows are in the file, and let go of all but the newest."""
        self.stored = max(len(self) - but, self.stored)
        gone = min(len(self) - self._most, self.stored) - self._first
        if gone > 0:
            del self._items[:gone]
            self._first += gone

    @property
    def in_memory(self) -> int:
        """How many items memory holds."""
        return len(self._items)
