"""Which strategy was being asked when the process died: a few bytes that outlive it, for what no `except` can catch.

A strategy that ends the process (os._exit, a crash in C, more memory than there is) would do so again at every
start. What is written to a shared mapping stays with the kernel however a process ends, and costs no system call.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

_FORM: Final = struct.Struct("<5q")
_ASKED: Final = struct.Struct("<2q")


class Death(NamedTuple):
    """The process died `times` times in a row while strategy number `desk` was asked at step `step`."""

    step: int
    desk: int
    times: int


class Asking:
    """The open file `<journal>.asking`. Raises OSError as the file system does."""

    def __init__(self, journal: Path) -> None:
        path = journal.with_name(journal.name + ".asking")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, _FORM.size)
            self._map = mmap.mmap(descriptor, _FORM.size)
        finally:
            os.close(descriptor)

    def last_death(self) -> Death | None:
        """Return in whose hands the process died before this one, or None if in nobody's; ask once, at the start."""
        step, number, died_step, died_number, times = _FORM.unpack_from(self._map)
        if number == 0:
            return None
        times = times + 1 if (step, number) == (died_step, died_number) else 1
        _FORM.pack_into(self._map, 0, 0, 0, step, number, times)
        return Death(step, number - 1, times)

    def begin(self, step: int, desk: int) -> None:
        """Note that strategy number `desk` is asked from here on."""
        _ASKED.pack_into(self._map, 0, step, desk + 1)

    def end(self) -> None:
        """Note that it came back."""
        _ASKED.pack_into(self._map, 0, 0, 0)

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
