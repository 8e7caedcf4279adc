"""How far a journal was acknowledged, kept beside it: without it a cut-off tail or an old copy would look whole.

Two lines at fixed places are written in turn, each with its own check: a write that was torn leaves the other one.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final, NamedTuple

_SLOT: Final = 512  # one sector each, so that no write touches both


class Acknowledged(NamedTuple):
    """The last entry that was acknowledged: its sequence and hash; (0, 32 zero bytes) for an empty journal."""

    sequence: int
    hash: bytes


class Sidecar:
    """The open file `<journal>.head`. Raises OSError as the file system does."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._turn = 0

    def write(self, sequence: int, digest: bytes) -> None:
        """Note that everything up to `sequence` is durable. Not synced: an older note is a true one too."""
        self._turn = 1 - self._turn
        os.pwrite(self._fd, _line(sequence, digest), self._turn * _SLOT)

    def sync(self) -> None:
        """Make the note itself durable."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def read(path: Path) -> Acknowledged | None:
    """Return what was acknowledged last, or None if there is no such file; raises ValueError if it says nothing."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    found = [_parsed(content[at : at + _SLOT]) for at in (0, _SLOT)]
    whole = [one for one in found if one is not None]
    if not whole:
        raise ValueError(f"{path} holds no line that is whole")
    return max(whole)


def _line(sequence: int, digest: bytes) -> bytes:
    text = f"{sequence} {digest.hex()}"
    return f"{text} {_check(text)}\n".encode().ljust(_SLOT, b"\0")


def _check(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parsed(raw: bytes) -> Acknowledged | None:
    parts = raw.rstrip(b"\0\n").decode("ascii", "replace").split(" ")
    if len(parts) != 3 or _check(f"{parts[0]} {parts[1]}") != parts[2]:
        return None
    return Acknowledged(int(parts[0]), bytes.fromhex(parts[1]))
