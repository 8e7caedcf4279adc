"""The checkpoint in a journal's file: one row, bound by its hash to the entry it stands at, and so to all before that.

It is an optimisation. Whatever is wrong with it is a reason to replay from the first entry, never to fail; what follows
from the entries is then written anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from bot.core import RULES_VERSION
from bot.errors import FairhashError, JournalError, JournalFullError
from bot.paper.checkpoint.past import Row
from bot.paper.checkpoint.plain import written
from bot.paper.entries import Entry
from bot.paper.journal import Journal

FORM: Final = 3
"""Rises with every change of what a document holds: another form is not read, but replayed."""
EVERY: Final = 2_000
"""Entries between two checkpoints: at most so many are replayed at a start."""
_PUT_PAST: Final = "INSERT OR REPLACE INTO past VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PUT: Final = "INSERT OR REPLACE INTO checkpoint VALUES (1, ?, ?, ?)"


class Distrusted(Exception):  # noqa: N818 - not an error of anybody's: the entries are there
    """A checkpoint that is not taken: why, in words."""


class Kept(Protocol):
    """Something that is kept with a checkpoint in the table `past`."""

    def unkept(self) -> list[Row]:
        """Return the rows that are not in the file yet."""
        ...

    def keep(self) -> None:
        """Take note that they are."""
        ...


class Checkpoints:
    """Takes the checkpoints of one journal: `document` says what there is to know, `kept` what has ended."""

    def __init__(
        self, journal: Journal, document: Callable[[], dict[str, Any]], kept: Callable[[], Iterable[Kept]]
    ) -> None:
        self._journal, self._document, self._kept = journal, document, kept
        self.taken_at = self.resumed_at = self._tried_at = 0
        self.distrusted = ""
        """Why the checkpoint that was there was not gone on from; empty if it was, or if there was none."""

    def resume(self, go_on: Callable[[dict[str, Any]], None], begin_anew: Callable[[], None]) -> int:
        """Go on from the checkpoint and return the entry it stands at; 0 if there is none that can be trusted.

        `go_on` is given its document; `begin_anew` undoes what that has changed.
        """
        self.resumed_at = 0
        try:
            found = find(self._journal)
            if found is not None:
                sequence, document = found
                try:
                    go_on(document)
                except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, FairhashError) as error:
                    raise Distrusted(f"at entry {sequence} cannot be gone on from: {error}") from error
                self.taken_at = self.resumed_at = self._tried_at = sequence
        except Distrusted as why:
            self.distrusted = f"the checkpoint {why}; replaying every entry in its place"
            begin_anew()
            forget(self._journal)
        return self.resumed_at

    def replay(self, first: int, carry_out: Callable[[Entry], None]) -> None:
        """Carry out the entries from `first` on, with a checkpoint now and then. Raises as `carry_out` does."""
        journal = self._journal
        while first <= journal.sequence:
            for entry in journal.entries(first, first + EVERY - 1):
                carry_out(entry)
                last = entry
            first = last.sequence + 1
            self.take(last.sequence, last.hash)

    def take(self, sequence: int, digest: bytes) -> None:
        """Take a checkpoint at an entry, given its hash, if it is time for one; everything up to there is carried out.

        Without space the next one must do. Raises JournalBrokenError when the disk fails.
        """
        if sequence - self._tried_at < EVERY or self._journal.pending:
            return
        kept, self._tried_at = list(self._kept()), sequence
        try:
            put(self._journal, sequence, digest, self._document(), [row for one in kept for row in one.unkept()])
        except JournalFullError:
            return
        self.taken_at = sequence
        for one in kept:
            one.keep()


def find(journal: Journal) -> tuple[int, dict[str, Any]] | None:
    """Return a journal's checkpoint: the entry it stands at and what it says; None if there is none.

    Raises Distrusted if it is not what was written.
    """
    try:
        rows = journal.rows("SELECT sequence, text, hash FROM checkpoint", ())
        if not rows:
            return None
        sequence, text, digest = rows[0]
        entries = journal.rows("SELECT hash FROM entries WHERE sequence = ?", (sequence,))
    except JournalError as error:
        raise Distrusted(f"cannot be read: {error}") from error
    if not entries:
        raise Distrusted(f"stands at entry {sequence}, which is not there")
    if digest != _hash(entries[0][0], text):
        raise Distrusted(
            f"at entry {sequence} was changed, or is another journal's or version's: its hash does not fit"
        )
    try:
        document: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Distrusted(f"at entry {sequence} is no document: {error}") from error
    return sequence, document


def put(journal: Journal, sequence: int, digest: bytes, document: dict[str, Any], past: Sequence[Row]) -> None:
    """Write the checkpoint at an entry, given that entry's hash, with what has ended by then; durable on return.

    Raises JournalFullError, without effect, when there is no space, and JournalBrokenError when the disk fails.
    """
    text = written(document)
    journal.store([(_PUT_PAST, past), (_PUT, [(sequence, text, _hash(digest, text))])])


def forget(journal: Journal) -> None:
    """Take checkpoint and past out of the file. Raises JournalFullError without space."""
    journal.store([("DELETE FROM checkpoint", [()]), ("DELETE FROM past", [()])])


def _hash(entry: bytes, text: str) -> bytes:
    version = f"checkpoint {FORM} of rules {RULES_VERSION}\n"
    return hashlib.sha256(entry + version.encode() + text.encode("utf-8", "surrogatepass")).digest()
