"""The rows of a sweep, on disk as they come: one line of JSON each, so that a kill loses at most a line half written.

The first line says which inputs the rows were made from; rows made from others are never mixed with them. Each line is
handed to the system at once, so it outlives the process; it is synced every `SYNC_ROWS` lines and at the end, so a
power cut costs the last few, which are run again. One process writes, and holds a lock on the file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, get_args, get_type_hints

from backtests.sweep.measures import Row
from bot.errors import OutputError, Problem

FORMAT: Final = "fairhash sweep rows 1"
ROWS: Final = "rows.jsonl"
SYNC_ROWS: Final = 64
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_FIELDS: Final = tuple(field.name for field in fields(Row))
_KINDS: Final = get_type_hints(Row)
_DEFAULTS: Final = {field.name: field.default for field in fields(Row)}


def inputs_sha256(inputs: Mapping[str, str]) -> str:
    """Return the SHA-256 over all inputs of a sweep: the name by which it is known."""
    return hashlib.sha256(json.dumps(dict(inputs), sort_keys=True).encode()).hexdigest()


class Rows:
    """The rows that a sweep has so far, in a directory of its own. Use it as a context: it holds a lock."""

    def __init__(self, directory: Path, inputs: Mapping[str, str], again: tuple[str, ...] = ()) -> None:
        """Open the rows in `directory`, or begin them; `found` is then what was there.

        But for rows whose error begins with one of `again`: their trials are run again, and the later row counts.

        Raises OutputError where another process writes them, where they are damaged, where the directory holds
        something else, or where they were made from other inputs: it names those that differ.
        """
        self.path = directory / ROWS
        self.found: dict[tuple[int, int], Row] = {}
        self._unsynced = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if not self.path.exists() and any(directory.iterdir()):
                raise _refused(directory, "is not empty and holds no sweep", "choose another --out")
            self._file: BinaryIO = self.path.open("a+b")
        except OSError as error:
            raise _refused(
                self.path, f"cannot be written: {error.strerror or error}", "choose another --out"
            ) from error
        try:
            self._lock()
            self._read(dict(inputs))
            self.found = {key: row for key, row in self.found.items() if not row.error.startswith(again)}
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._file:
            self._sync()

    def add(self, row: Row) -> None:
        """Write a row; once this returns, a kill of the process does not lose it."""
        self.found[row.trial, row.market] = row
        self._write({name: value for name in _FIELDS if (value := getattr(row, name)) != _DEFAULTS[name]})
        self._unsynced += 1
        if self._unsynced >= SYNC_ROWS:
            self._sync()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _refused(self.path, "another sweep is writing it", "wait for it, or choose another --out") from error

    def _read(self, inputs: dict[str, str]) -> None:
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                break  # half written when the sweep was killed: as if it had not been
            content = self._parsed(line, number)
            if number == 1:
                self._check(content, inputs)
            else:
                row = self._row(content, number)
                self.found[row.trial, row.market] = row
            whole += len(line)
        self._file.truncate(whole)
        if whole == 0:
            self._write({"format": FORMAT, "inputs": inputs})
            self._sync()

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            content = json.loads(line, parse_constant=_no_number)
        except ValueError as error:
            raise self._damaged(number) from error
        if not isinstance(content, dict):
            raise self._damaged(number)
        return content

    def _row(self, content: dict[str, Any], number: int) -> Row:
        try:
            row = Row(**content | {"daily_sat": tuple(content.get("daily_sat", ()))})
        except TypeError as error:
            raise self._damaged(number) from error
        if not all(_fits(getattr(row, name), kind) for name, kind in _KINDS.items()):
            raise self._damaged(number)
        return row

    def _damaged(self, number: int) -> OutputError:
        return _refused(f"{self.path}:{number}", "is no row of a sweep", "the file is damaged: remove its directory")

    def _check(self, content: dict[str, Any], inputs: dict[str, str]) -> None:
        if content.get("format") != FORMAT or not isinstance(content.get("inputs"), dict):
            raise _refused(f"{self.path}:1", "these are no rows of a sweep", "choose another --out")
        before = content["inputs"]
        changed = [name for name in {**before, **inputs} if before.get(name) != inputs.get(name)]
        if changed:
            what = f"holds a sweep of other inputs; what differs: {', '.join(changed)}"
            raise _refused(self.path, what, "restore them to go on with it, or choose another --out")

    def _write(self, content: dict[str, Any]) -> None:
        line = _ENCODER.encode(content) + "\n"
        try:
            self._file.write(line.encode("utf-8", "backslashreplace"))
            self._file.flush()
        except OSError as error:
            what = f"a row cannot be written: {error.strerror or error}"
            raise _refused(self.path, what, "free space and start again: the rows before it are kept") from error

    def _sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            what = f"its rows cannot be synced: {error.strerror or error}"
            raise _refused(self.path, what, "they may not be on disk; copy the directory elsewhere") from error
        self._unsynced = 0


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of a row")


def _fits(value: object, kind: Any) -> bool:
    """Return whether a value that was read is of the kind that its field declares."""
    if kind == tuple[int, ...]:
        return isinstance(value, tuple) and all(type(one) is int for one in value)
    kinds = get_args(kind) or (kind,)
    return type(value) in kinds or (float in kinds and type(value) is int)


def _refused(where: Path | str, what: str, remedy: str) -> OutputError:
    return OutputError([Problem(str(where), what, remedy)])
