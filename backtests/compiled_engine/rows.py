"""Bars and quotes as one table of whole numbers: a tenth of the memory of as many tuples, and shared, not copied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

from bot.core.events import Bar, Quote
from bot.errors import UnsupportedError


class Rows(Sequence[Any]):
    """Bars or quotes in time order, all made from the table when one is first asked for.

    `table` has a row for each field of `kind` (Bar or Quote) and a column for each event; a History can hold one in
    place of a list. Nobody writes to it.
    """

    def __init__(self, kind: type[Bar] | type[Quote], table: Any) -> None:
        self.kind = kind
        self.table = table
        self._made: list[Any] | None = None

    def __len__(self) -> int:
        return int(self.table.shape[1])

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> Rows: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return Rows(self.kind, self.table[:, place])
        return self._all()[place]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())

    def _all(self) -> list[Any]:
        if self._made is None:
            self._made = list(map(self.kind._make, self.table.T.tolist()))
        return self._made


def rows_between(events: Sequence[Any], start_ns: int, end_ns: int) -> Rows:
    """Return the bars or quotes that lie wholly in [start_ns, end_ns]. Raises UnsupportedError beyond 64 bits."""
    if isinstance(events, Rows):
        kind, table = events.kind, events.table
    else:
        kind = type(events[0])
        try:
            table = np.array(events, np.int64).T
        except OverflowError as error:
            raise UnsupportedError("the history has numbers beyond 64 bits", "take --engine reference") from error
    known_ns = table[1 if kind is Bar else 0]
    first, end = np.searchsorted(table[0], start_ns, "left"), np.searchsorted(known_ns, end_ns, "right")
    table = np.ascontiguousarray(table[:, first : max(end, first)])
    table.flags.writeable = False
    return Rows(kind, table)
