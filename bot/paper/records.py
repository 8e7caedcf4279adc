"""What each user did and what happened to his wallets, found without going through everybody's: an index that follows.

The exchange keeps fills and moves in the order they happened; this reads on from where it stopped.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, MutableSequence, Sequence
from typing import Any, NamedTuple, TypeVar

from bot.core.events import Fill
from bot.core.exchange import Exchange
from bot.core.ledger import MARKET
from bot.core.order import WALLETS
from bot.paper.checkpoint.past import Past, Row, Tail
from bot.paper.checkpoint.plain import made


class Entry(NamedTuple):
    """One change of a user's wallet: `amount` (satoshi or lots) moved, `balance` was left; `id` rises with time."""

    id: int
    time_ns: int
    kind: str
    wallet: str
    currency: str
    amount: int
    balance: int


T = TypeVar("T")


class _ByUser(dict[str, MutableSequence[T]]):
    """A list for each user, made when it is first asked for."""

    def __init__(self, begin: Callable[[str, int], MutableSequence[T]]) -> None:
        super().__init__()
        self.begin = begin

    def __missing__(self, user: str) -> MutableSequence[T]:
        self[user] = found = self.begin(user, 0)
        return found


class Records:
    """Fills by user and by order, wallet entries by user, of one exchange.

    With a `past`, memory holds the newest of them and the journal's file the others; moves are let go of once read.
    """

    def __init__(self, exchange: Exchange, past: Past | None = None) -> None:
        self.exchange = exchange
        self._past = past
        self.fills: _ByUser[int] = _ByUser(lambda user, count: self._list("OwnFill", int, user, count))
        self.entries: _ByUser[Entry] = _ByUser(lambda user, count: self._list("Entry", Entry, user, count))
        self._by_order: dict[int, list[int]] = defaultdict(list)  # those that are not in the file yet
        self._balances: dict[str, int] = defaultdict(int)
        self._fills_read = 0
        self._moves_read = 0
        self._moves_gone = 0
        self._orders_before = 0  # orders with lower ids may have fills in the file

    def _list(self, kind: str, hint: Any, user: str, count: int) -> Any:
        return [] if self._past is None else Tail(self._past, kind, hint, count, user=user)

    def follow(self) -> None:
        """Read what has happened since the last time."""
        fills = self.exchange.state.fills
        for at in range(self._fills_read, len(fills)):
            fill = fills[at]
            self.fills[fill.user].append(at)
            self._by_order[fill.order_id].append(at)
        self._fills_read = len(fills)
        moves = self.exchange.state.ledger.moves
        for at in range(self._moves_read - self._moves_gone, len(moves)):
            _, time_ns, kind, source, target, amount = moves[at]
            number = 2 * (at + self._moves_gone)
            self._enter(number + 1, time_ns, kind, source, -amount)
            self._enter(number + 2, time_ns, kind, target, amount)
        self._moves_read = self._moves_gone + len(moves)
        if self._past is not None:
            self._moves_gone = self._moves_read
            moves.clear()

    def _enter(self, number: int, time_ns: int, kind: str, account: str, amount: int) -> None:
        owner, purse, currency = account.split("/")
        if purse not in WALLETS or owner == MARKET or owner not in self.exchange.state.accounts:
            return
        self._balances[account] += amount
        self.entries[owner].append(Entry(number, time_ns, kind, purse, currency, amount, self._balances[account]))

    def numbers_of(self, order_id: int) -> list[int]:
        """Return the numbers of the fills of an order, oldest first."""
        kept: list[int] = []
        if self._past is not None and order_id < self._orders_before:
            kept = self._past.numbers_about("Fill", order_id)
        return [*kept, *self._by_order.get(order_id, ())]

    def fills_of(self, order_id: int) -> list[Fill]:
        """Return the fills of an order, oldest first."""
        fills = self.exchange.state.fills
        return [fills[at] for at in self.numbers_of(order_id)]

    # Kept with a checkpoint ---------------------------------------------------------------------------------

    def unkept(self) -> list[Row]:
        """Return the rows that are not in the file yet."""
        return [row for rows in self._tails() for row in rows.unkept()]

    def keep(self) -> None:
        """Take note that they are, and so are the exchange's fills."""
        for rows in self._tails():
            rows.keep()
        self._by_order.clear()
        self._orders_before = self.exchange.state.next_id

    def _tails(self) -> list[Tail[Any]]:
        return [rows for rows in (*self.fills.values(), *self.entries.values()) if isinstance(rows, Tail)]

    def document(self) -> dict[str, Any]:
        """Return what the records must know to go on, as plain values; what they hold is counted."""
        self.follow()
        counts = [
            {user: len(rows) for user, rows in by_user.items() if rows}  # who only looked has none
            for by_user in (self.fills, self.entries)
        ]
        return {"moves": self._moves_read, "fills": counts[0], "entries": counts[1]}

    def resume(self, document: dict[str, Any]) -> None:
        """Go on from a document, as the exchange has. Raises ValueError, KeyError or TypeError for one that is none."""
        state = self.exchange.state
        self._moves_read = self._moves_gone = made(int, document["moves"])
        state.ledger.moves.clear()
        self._fills_read, self._orders_before = len(state.fills), state.next_id
        self._balances.update(state.ledger.balances)
        for user, count in document["fills"].items():
            self.fills[user] = self.fills.begin(user, made(int, count))
        for user, count in document["entries"].items():
            self.entries[user] = self.entries.begin(user, made(int, count))


def public_trades(fills: list[Fill], start: int, stop: int) -> list[tuple[int, Fill, int]]:
    """Return (number, fill, lots signed by the taker) of each trade among `fills[start:stop]`, each trade once.

    A trade of two users makes two fills, one after the other: the taker's is the one shown.
    """
    first = max(start - 1, 0)
    near = fills[first : stop + 1]  # with the neighbours, read at once
    shown = []
    for at, fill in enumerate(near[start - first : stop - first], start):
        if not fill.maker:
            shown.append((at, fill, fill.size_lots))
        elif not any(_is_other_side(fill, near[n]) for n in (at - 1 - first, at + 1 - first) if 0 <= n < len(near)):
            shown.append((at, fill, -fill.size_lots))
    return shown


def within(rows: Sequence[T], start_ns: int, end_ns: int, time_ns: Callable[[T], int]) -> tuple[int, int]:
    """Return from which place up to which the rows lie in start..end, both included; rows are in order of time."""
    return bisect_left(rows, start_ns, key=time_ns), bisect_right(rows, end_ns, key=time_ns)


def _is_other_side(maker: Fill, other: Fill) -> bool:
    return (
        not other.maker
        and other.size_lots == -maker.size_lots
        and other.price_sat == maker.price_sat
        and other.time_ns == maker.time_ns
    )
