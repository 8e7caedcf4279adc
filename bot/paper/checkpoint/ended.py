"""Orders of an exchange and their cids: in memory what may still trade and the newest that have ended.

Both look like the whole mapping. An order that has ended never changes, and ids rise with the time of placing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from operator import attrgetter
from typing import Any, Final, TypeVar

from bot.core.order import Order
from bot.core.units import NS_PER_DAY
from bot.paper.checkpoint.past import LAST, Past, Row
from bot.paper.checkpoint.plain import made, plain, written
from bot.paper.entries import cid_key, key_of

ORDER: Final = "Order"
Cid = tuple[str, int, int]
V = TypeVar("V")


class _Listed(Iterable[V]):
    """What `values` and `items` return: the orders of memory and file in the order of their ids, either way."""

    def __init__(self, orders: Orders, shown: Callable[[Order], V]) -> None:
        self._orders, self._shown = orders, shown

    def __iter__(self) -> Iterator[V]:
        return map(self._shown, self._orders.by_id(newest=False))

    def __reversed__(self) -> Iterator[V]:
        return map(self._shown, self._orders.by_id(newest=True))


class Orders(dict[int, Order]):
    """All orders by id. Those of the file are made anew at each look: an ended order is for reading."""

    def __init__(self, past: Past) -> None:
        super().__init__()
        self._past = past
        self._kept_before = 0  # orders with lower ids may be in the file alone
        self._kept: set[int] = set()  # ended, in the file and in memory

    def __missing__(self, number: int) -> Order:
        if 0 < number < self._kept_before and (found := self._past.texts(ORDER, "", number, number)):
            return _order(found[0][1])
        raise KeyError(number)

    def get(self, number: int, default: Any = None) -> Any:
        """Return the order of that id, or the default."""
        try:
            return self[number]
        except KeyError:
            return default

    def __contains__(self, number: object) -> bool:
        return self.get(number) is not None  # type: ignore[arg-type]

    def values(self) -> Any:
        """Return all orders, oldest first; `reversed` gives the newest first."""
        return _Listed(self, lambda order: order)

    def items(self) -> Any:
        """Return all orders with their ids, oldest first; `reversed` gives the newest first."""
        return _Listed(self, lambda order: (order.id, order))

    def by_id(self, newest: bool, placed_by_ns: int | None = None) -> Iterator[Order]:
        """Yield the orders, oldest or newest first; the latter only as far as they were placed by a time."""
        most = LAST if placed_by_ns is None else self._last_placed(placed_by_ns)
        ids = sorted((number for number in super().__iter__() if number <= most), reverse=newest)
        held = [super(Orders, self).__getitem__(number) for number in ids]
        yield from merge(held, self._filed(newest, most, set(ids)), key=attrgetter("id"), reverse=newest)

    def _filed(self, newest: bool, most: int, held: set[int]) -> Iterator[Order]:
        """Yield the orders that only the file has."""
        first, last = 0, min(most, self._kept_before - 1)
        while rows := self._past.texts(ORDER, "", first, last, newest):
            yield from (_order(text) for number, text in rows if number not in held)
            first, last = (first, rows[-1][0] - 1) if newest else (rows[-1][0] + 1, last)

    def _last_placed(self, time_ns: int) -> int:
        """Return an id up to which all orders were placed at or before a time, and behind which all were later."""
        low, high = 0, max(max(super().keys(), default=0) + 1, self._kept_before)
        while high - low > 1:
            middle = (low + high) // 2  # rounded down
            near = self._near(middle)
            if near is not None and near.command.time_ns > time_ns:
                high = middle
            else:
                low = middle
        return low

    def _near(self, number: int) -> Order | None:
        """Return the newest order with an id of at most `number`."""
        held = max((one for one in super().__iter__() if one <= number), default=0)
        rows = self._past.texts(ORDER, "", held + 1, min(number, self._kept_before - 1), newest=True)
        return _order(rows[0][1]) if rows else super().get(held)

    def __len__(self) -> int:
        kept = self._past.count(ORDER) if self._kept_before else 0
        return kept + super().__len__() - len(self._kept)

    def unkept(self) -> list[Row]:
        """Return the rows of all that have ended and are not in the file yet."""
        return [self._row(order) for order in self.in_memory if not order.is_live and order.id not in self._kept]

    def keep(self, next_id: int) -> list[Order]:
        """Take note that `unkept` rows are in the file; let go of the older ended ones and return them."""
        ended = [order for order in self.in_memory if not order.is_live]
        self._kept.update(order.id for order in ended)
        self._kept_before = next_id
        gone = ended[: max(len(ended) - self._past.kept, 0)]
        for order in gone:
            del self[order.id]
            self._kept.discard(order.id)
        return gone

    def resume(self, live: Iterable[Order], next_id: int) -> None:
        """Begin with live orders, and with those that ended before an id in the file."""
        self.update((order.id, order) for order in live)
        self._kept_before = next_id

    @property
    def in_memory(self) -> list[Order]:
        """The orders that memory holds, oldest first."""
        return list(super().values())

    def number_of(self, cid: Cid) -> int | None:
        """Return the id of the ended order of the file that a user's cid and UTC day name."""
        return self._past.number_of(cid_key(self._past.venue, *cid)) if self._kept_before else None

    def _row(self, order: Order) -> Row:
        key = None if order.forced else key_of(self._past.venue, order.command)
        return self._past.row(ORDER, "", order.id, written(plain(order)), None, key)


class Cids(dict[Cid, int]):
    """Ids of orders by (user, cid, UTC day). What cannot be in the file is not looked for there: most cids are new."""

    def __init__(self, orders: Orders) -> None:
        super().__init__()
        self._orders = orders
        self._spans: dict[tuple[str, int], tuple[int, int]] = {}
        self._first_day = 0  # from it on, every cid of the file alone lies within its span

    def __missing__(self, cid: Cid) -> int:
        user, number, day = cid
        low, high = self._spans.get((user, day), (1, 0))
        may_be_there = low <= number <= high or day < self._first_day
        found = self._orders.number_of(cid) if may_be_there else None
        if found is None:
            raise KeyError(cid)
        return found

    def get(self, cid: Cid, default: Any = None) -> Any:
        """Return the id that a cid names, or the default."""
        try:
            return self[cid]
        except KeyError:
            return default

    def forget(self, gone: Iterable[Order]) -> None:
        """Let go of the cids of orders that only the file has from now on."""
        for order in gone:
            if order.forced:
                continue
            command = order.command
            day = command.time_ns // NS_PER_DAY  # rounded down
            low, high = self._spans.get((command.user, day), (command.cid, command.cid))
            self._spans[(command.user, day)] = (min(low, command.cid), max(high, command.cid))
            if super().get((command.user, command.cid, day)) == order.id:  # or a venue gave it to a newer one
                del self[(command.user, command.cid, day)]

    def resume(self, live: Iterable[Order], time_ns: int) -> None:
        """Begin with the cids of live orders at a time; of its day and earlier ones the file must be asked."""
        for order in live:
            if not order.forced:
                command = order.command
                self[(command.user, command.cid, command.time_ns // NS_PER_DAY)] = order.id  # rounded down
        self._first_day = time_ns // NS_PER_DAY + 1  # rounded down


def newest_first(orders: dict[int, Order], placed_by_ns: int) -> Iterator[Order]:
    """Yield the orders that were placed by a time, the newest first."""
    if isinstance(orders, Orders):
        return orders.by_id(newest=True, placed_by_ns=placed_by_ns)
    return (order for order in reversed(orders.values()) if order.command.time_ns <= placed_by_ns)


def _order(text: str) -> Order:
    found: Order = made(Order, json.loads(text))
    return found
