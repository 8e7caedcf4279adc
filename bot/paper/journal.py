"""The journal: one SQLite file, owned by one process through one connection, to which entries are only ever added.

Each entry's hash covers the one before it. `commit` is the only place where anything becomes durable; what it returned
from is found again after any crash (docs/adr/0010). How far was acknowledged is noted beside the file (`<file>.head`).
"""

from __future__ import annotations

import os
import sqlite3
import stat
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bot.errors import JournalBrokenError, JournalError, JournalFullError, Problem
from bot.paper import sidecar
from bot.paper.entries import FIRST_HASH, Entry, next_hash
from bot.paper.schema import APPLICATION_ID, MIGRATIONS, migrate

WAIT_S: Final = 1.0
"""How long another owner of the file is waited for."""
FOLD_ENTRIES: Final = 5_000
"""After so many entries the write-ahead log is folded into the file."""
_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_NOMEM)
_INSERT: Final = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)"
_FOREVER: Final = 1 << 62
Statements = Sequence[tuple[str, Sequence[Sequence[Any]]]]
"""Statements in SQL, each with the rows that it is carried out for."""


class _Connection(sqlite3.Connection):
    """A connection that can be referred to without being held."""


_open: weakref.WeakSet[_Connection] = weakref.WeakSet()


def _disown() -> None:
    """Keep a forked child from ever closing its parent's connections: that would fold and delete the parent's log.

    Nobody may hold them in the child either, but closing is what Python does by itself when the child ends.
    """
    import ctypes

    for connection in list(_open):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


os.register_at_fork(after_in_child=_disown)


def head_path(path: Path) -> Path:
    """Return where it is noted how far the journal at `path` was acknowledged."""
    return path.with_name(path.name + ".head")


class Journal:
    """An open journal. Raises JournalError if the file is refused; see the module for what that guards against."""

    def __init__(self, path: Path, *, synchronous: str = "FULL", end_is_right: bool = False) -> None:
        """Open the journal at `path`, or begin one.

        `synchronous` other than FULL loses entries: tests show it. `end_is_right` takes the end that is there for
        what was acknowledged.
        """
        _refuse_place(path)
        self.path = path
        self.broken = ""
        self._depth = 0
        self._unfolded = 0
        self._pending: list[Entry] = []
        self._risen: dict[str, int] = {}
        self._owner = os.getpid()
        noted = _noted(path)
        fresh = not path.exists()
        if fresh:
            if noted is not None and noted.sequence and not end_is_right:
                raise _refused(path, f"is gone, though {noted.sequence} entries of it were acknowledged", _RESTORE)
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))  # nobody else's business
        self._connection = _connect(path, synchronous)
        try:
            migrate(self._connection)
            row = self._connection.execute("SELECT max(sequence), hash FROM entries").fetchone()
            self.sequence: int = row[0] or 0
            self.hash: bytes = row[1] or FIRST_HASH
            if not end_is_right:
                _refuse_cut(self._connection, path, noted, self.sequence)
            self._nonces = self._stored_nonces()
            self._sidecar = sidecar.Sidecar(head_path(path))
            for _ in range(2):  # both places: later there might be no space for the second
                self._sidecar.write(self.sequence, self.hash)
            if fresh:  # a power cut must not take the names of the files and leave what they hold
                self._sidecar.sync()
                _sync_directory(path.parent)
        except OSError as error:
            self._connection.close()
            raise _refused(
                head_path(path), f"cannot be written: {error.strerror}", "free space, or see who may"
            ) from error
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise _refused(path, f"cannot be read: {error}", _RESTORE) from error
        except BaseException:
            self._connection.close()
            raise

    def _stored_nonces(self) -> dict[str, int]:
        return dict(self._connection.execute("SELECT key, nonce FROM nonces"))

    # Writing ------------------------------------------------------------------------------------------------

    def append(self, kind: str, venue: str, time_ns: int, text: str, key: str | None = None) -> int:
        """Add an entry to what the next commit makes durable, and return its sequence."""
        sequence = self.sequence + 1
        digest = next_hash(self.hash, sequence, kind, venue, time_ns, key, text)
        self._pending.append(Entry(sequence, kind, venue, time_ns, key, text, digest))
        self.sequence, self.hash = sequence, digest
        return sequence

    def rise(self, key: str, nonce: int) -> bool:
        """Return whether `nonce` is above all that `key` has used, and note it for the next commit."""
        if nonce <= self._nonces.get(key, 0):
            return False
        self._nonces[key] = self._risen[key] = nonce
        return True

    @property
    def pending(self) -> int:
        """How many entries and nonces wait for the next commit."""
        return len(self._pending) + len(self._risen)

    @contextmanager
    def group(self) -> Iterator[None]:
        """Commit once, at the end of the outermost group, all that is added inside it.

        Raises JournalFullError when there is no space: then nothing that was added inside is kept. What was added
        before still waits for a commit.
        """
        if self._depth:
            yield
            return
        start, before = len(self._pending), (self.sequence, self.hash, dict(self._risen))
        self._depth = 1
        try:
            yield
        finally:
            self._depth = 0
            try:
                self.commit()
            except JournalFullError:
                del self._pending[start:]
                self.sequence, self.hash, self._risen = before
                self._nonces = {**self._stored_nonces(), **self._risen}
                raise

    def forget(self) -> None:
        """Take back everything that was added since the last commit."""
        self._pending.clear()
        self._risen.clear()
        row = self._connection.execute("SELECT max(sequence), hash FROM entries").fetchone()
        self.sequence, self.hash = row[0] or 0, row[1] or FIRST_HASH
        self._nonces = self._stored_nonces()

    def commit(self) -> None:
        """Make everything added so far durable.

        Raises JournalFullError when there is no space (what was added still waits), JournalBrokenError when the disk
        fails: then nobody may go on, since what a failed sync has written is not known and a second one may lie.
        """
        if not self._pending and not self._risen:
            self._refuse_broken()
            return
        risen = "INSERT OR REPLACE INTO nonces VALUES (?, ?)"
        self._write([(_INSERT, self._pending), (risen, list(self._risen.items()))])
        self._unfolded += len(self._pending)
        self._pending.clear()
        self._risen.clear()
        self._note()
        if self._unfolded >= FOLD_ENTRIES:
            self._fold()

    def store(self, statements: Statements) -> None:
        """Write what follows from durable entries in one transaction of its own. Raises as `commit` does."""
        self._write(statements)
        self._unfolded += sum(len(rows) for _, rows in statements)

    def _write(self, statements: Statements) -> None:
        self._refuse_broken()
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for statement, rows in statements:
                connection.executemany(statement, rows)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _refuse_broken(self) -> None:
        if self._owner != os.getpid():
            raise JournalBrokenError([Problem(str(self.path), "is owned by the process that this one was forked from")])
        if self.broken:
            raise JournalBrokenError([Problem(str(self.path), self.broken, _START_ANEW)])

    def _fold(self) -> None:
        """Fold the write-ahead log into the file; SQLite's own way of doing so would hide a failed sync."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)")
        except sqlite3.Error as error:
            failure = self._failed(error)
            if not isinstance(failure, JournalFullError):
                raise failure from error
            return  # the log may grow on until there is space
        self._note(synced=True)
        self._unfolded = 0

    def _note(self, synced: bool = False) -> None:
        """Note beside the file how far it is acknowledged."""
        try:
            self._sidecar.write(self.sequence, self.hash)
            if synced:
                self._sidecar.sync()
        except OSError as error:
            self.broken = f"its end cannot be noted: {error.strerror}"
            raise JournalBrokenError([Problem(str(self.path), self.broken, _START_ANEW)]) from error

    def _failed(self, error: sqlite3.Error) -> JournalError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code in _FULL:
            try:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            except sqlite3.Error as second:
                error = second
            else:
                what = "no space to write to: what was asked for was not done"
                return JournalFullError([Problem(str(self.path), what, "free some, and go on")])
        self.broken = f"writing failed: {error}"
        return JournalBrokenError([Problem(str(self.path), self.broken, _START_ANEW)])

    def close(self) -> None:
        """Commit what waits, fold the log into the file and let go of it; in a forked child, do nothing."""
        if self._owner != os.getpid():
            return
        try:
            if not self.broken:
                self.commit()
                self._fold()
        finally:
            self._connection.close()
            self._sidecar.close()

    # Reading ------------------------------------------------------------------------------------------------

    def entries(self, first: int = 1, last: int = _FOREVER) -> Iterator[Entry]:
        """Yield the entries from `first` to `last`, those not yet durable too.

        Raises JournalError, with the sequence, at the first one whose hash is not that of what it follows and says.
        """
        before, expected = FIRST_HASH, max(first, 1)
        try:
            if first > 1:
                row = self._connection.execute("SELECT hash FROM entries WHERE sequence = ?", (first - 1,)).fetchone()
                before = row[0] if row else FIRST_HASH
            for row in self._connection.execute(
                "SELECT * FROM entries WHERE sequence BETWEEN ? AND ? ORDER BY sequence", (first, last)
            ):
                entry = Entry._make(row)
                if entry.sequence != expected:
                    raise _refused(self.path, f"entry {expected} is missing", _RESTORE)
                if next_hash(before, *entry[:-1]) != entry.hash:
                    raise _refused(self.path, f"entry {entry.sequence} was changed: its hash does not fit", _RESTORE)
                yield entry
                before = entry.hash
                expected += 1
        except sqlite3.DatabaseError as error:
            raise _refused(self.path, f"cannot be read: {error}", _RESTORE) from error
        yield from (entry for entry in list(self._pending) if first <= entry.sequence <= last)

    def rows(self, question: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows that answer a question in SQL. Raises JournalError if the file cannot be read."""
        try:
            return self._connection.execute(question, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise _refused(self.path, f"cannot be read: {error}", _RESTORE) from error

    def copy_to(self, path: Path) -> None:
        """Write a copy of the journal, as far as it is durable, to a new file at `path`."""
        try:
            self._connection.execute("VACUUM INTO ?", (str(path),))
        except sqlite3.Error as error:
            raise _refused(path, f"cannot be written: {error}", "choose another place") from error


_RESTORE: Final = "restore the newest backup, or begin a new journal with --journal"
_START_ANEW: Final = "start again: what was acknowledged is found there"


def _refused(path: Path, what: str, remedy: str = "") -> JournalError:
    return JournalError([Problem(str(path), what, remedy)])


def _refuse_place(path: Path) -> None:
    """Refuse what could send writes elsewhere, block, or not be written at all."""
    for name in (path, head_path(path), path.with_name(path.name + "-wal")):
        try:
            mode = name.lstat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _refused(name, f"cannot be looked at: {error.strerror}", "choose another place") from error
        if not stat.S_ISREG(mode):
            raise _refused(name, "is not a plain file", "give the journal's own place, not a link or a directory")
        if not os.access(name, os.R_OK | os.W_OK) or not mode & stat.S_IWUSR:
            raise _refused(name, "is read-only", "make it writable, or choose another place with --journal")
    if not path.parent.is_dir():
        raise _refused(path, "is in a directory that is not there", "make it first")


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _noted(path: Path) -> sidecar.Acknowledged | None:
    try:
        return sidecar.read(head_path(path))
    except (OSError, ValueError) as error:
        raise _refused(head_path(path), f"cannot be read: {error}", _RESTORE) from error


def _connect(path: Path, synchronous: str) -> _Connection:
    """Open the file as its only owner; a second one leaves here."""
    try:
        connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, factory=_Connection)
    except sqlite3.Error as error:
        raise _refused(path, f"cannot be opened: {error}", "choose another place with --journal") from error
    try:
        _open.add(connection)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # before the log: it then needs no shared memory
        _refuse_foreign(connection, path)  # before anything is written to it
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # it hides errors; see _fold
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except JournalError:
        connection.close()
        raise
    except sqlite3.Error as error:
        connection.close()
        code = getattr(error, "sqlite_errorcode", 0)
        if code == sqlite3.SQLITE_BUSY:
            raise _refused(path, "is in use by another process", "one process owns a journal: end that one") from error
        if code == sqlite3.SQLITE_NOTADB:
            raise _refused(path, "is not a journal, or its first page is damaged", _RESTORE) from error
        raise _refused(path, f"cannot be opened: {error}", "choose another place with --journal") from error
    return connection


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that is not ours, or of a version that is not known here."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (tables or version):
        raise _refused(path, "is a database of something else", "choose another place with --journal")
    if version > len(MIGRATIONS):
        what = f"has version {version}, newer than the {len(MIGRATIONS)} that is known here"
        raise _refused(path, what, "use the newer fairhash that wrote it")


def _refuse_cut(connection: sqlite3.Connection, path: Path, noted: sidecar.Acknowledged | None, sequence: int) -> None:
    """Refuse a journal that lacks what was acknowledged, or that is not the one whose end was noted."""
    if noted is None:
        if sequence:
            what = f"lacks {head_path(path).name}, which says how far it was acknowledged"
            raise _refused(path, what, "restore both, or `fairhash journal accept` if its end is the right one")
        return
    if noted.sequence > sequence:
        what = f"ends at entry {sequence}, but {noted.sequence} were acknowledged"
        raise _refused(path, what, "its tail was cut off, or it is an old copy: restore file and log together")
    if noted.sequence:
        row = connection.execute("SELECT hash FROM entries WHERE sequence = ?", (noted.sequence,)).fetchone()
        if row is None or row[0] != noted.hash:
            raise _refused(path, f"entry {noted.sequence} is not the one that was acknowledged", _RESTORE)
