"""Where the tables of a strategy lie for one run: machine code looks there, and has what it misses computed in Python.

A run has a shelf of its own, so neither another thread's run nor one within a table moves anything on it. What was
computed before is kept by the table itself (strategies.table), for all runs.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import suppress
from ctypes import c_void_p, pythonapi
from typing import Any, Final

import numpy as np

from strategies.table import Table

SLOTS: Final = 4_096
"""Room on a shelf, a power of two."""
MANY: Final = SLOTS // 2
MOST: Final = SLOTS - SLOTS // 4
"""From MANY tables on a shelf is emptied before the next question; while the strategy is asked it may hold a row. A run
in which one question needs more than MOST is given up."""
HEAD: Final = ("fetch", "failure", "failure_value", "failure_trace", "count", "found_at", "size", "width", "key_at")
"""The words before the key that is looked for, and the slots after that."""
ROW: Final = ("entries_at", "size")
"""The words of a slot before its key: the number of the table, and what it was asked for."""
_AT: Final = {name: at for at, name in enumerate(HEAD)}


class Shelf:
    """The tables of one run. `address` is where machine code finds it; the object must outlive the run."""

    def __init__(self, tables: Sequence[Table], params: Any) -> None:
        self._tables, self._params = tables, params
        self._rows: list[array[float]] = []
        self._fetch = self.fetch  # an object that stays where it is
        self._longest = 1 + max(len(table.keys) for table in tables)
        width = len(ROW) + self._longest
        self._words = words = np.zeros(len(HEAD) + self._longest + SLOTS * width, np.int64)
        self.address: int = words.ctypes.data
        words[_AT["fetch"]], words[_AT["width"]] = id(self._fetch), width
        words[_AT["key_at"]] = self.address + 8 * len(HEAD)

    def fetch(self) -> None:
        """Compute the table that machine code asks for, and say where it lies."""
        words = self._words
        count = int(words[_AT["count"]])
        if count == 0:
            self._rows.clear()  # it was emptied
        if count >= MOST:
            raise LookupError("too many tables for one question")
        number, *key = words[len(HEAD) : len(HEAD) + self._longest].tolist()
        table = self._tables[number]
        row = array("d", table(self._params, *key[: len(table.keys)]))
        self._rows.append(row)
        words[_AT["found_at"]], words[_AT["size"]] = row.buffer_info()

    def has_failed(self) -> bool:
        """Return whether machine code gave the run up because a table raised.

        Raises what ends a run from outside, such as KeyboardInterrupt, if that struck while a table was computed.
        """
        at = _AT["failure"]
        failure = self._words[at : at + 3].tolist()
        if failure[0] == 0:
            return False
        self._words[at : at + 3] = 0
        with suppress(Exception, SystemExit, GeneratorExit):  # as Session; the reference engine says what was wrong
            pythonapi.PyErr_Restore(*map(c_void_p, failure))  # raises it, and owns it again
        return True
