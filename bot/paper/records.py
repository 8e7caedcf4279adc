"""What each user did and what happened to his wallets, found without going through everybody's: an index that follows.

The exchange keeps fills and moves in the order they happened; this reads on from where it stopped.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from bot.core.events import Fill
from bot.core.exchange import Exchange
from bot.core.order import WALLETS


class Entry(NamedTuple):
    """One change of a user's wallet: `amount` (satoshi or lots) moved, `balance` was left; `id` rises with time."""

    id: int
    time_ns: int
    kind: str
    wallet: str
    currency: str
    amount: int
    balance: int


class Records:
    """Fills by user and by order, wallet entries by user, of one exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.fills: dict[str, list[int]] = defaultdict(list)
        self.by_order: dict[int, list[int]] = defaultdict(list)
        self.entries: dict[str, list[Entry]] = defaultdict(list)
        self._balances: dict[str, int] = defaultdict(int)
        self._fills_read = 0
        self._moves_read = 0

    def follow(self) -> None:
        """Read what has happened since the last time."""
        fills = self.exchange.state.fills
        for at in range(self._fills_read, len(fills)):
            self.fills[fills[at].user].append(at)
            self.by_order[fills[at].order_id].append(at)
        self._fills_read = len(fills)
        moves = self.exchange.state.ledger.moves
        for at in range(self._moves_read, len(moves)):
            _, time_ns, kind, source, target, amount = moves[at]
            self._enter(2 * at + 1, time_ns, kind, source, -amount)
            self._enter(2 * at + 2, time_ns, kind, target, amount)
        self._moves_read = len(moves)

    def _enter(self, number: int, time_ns: int, kind: str, account: str, amount: int) -> None:
        owner, purse, currency = account.split("/")
        if purse not in WALLETS or owner not in self.exchange.state.accounts:
            return
        self._balances[account] += amount
        self.entries[owner].append(Entry(number, time_ns, kind, purse, currency, amount, self._balances[account]))

    def fills_of(self, order_id: int) -> list[Fill]:
        """Return the fills of an order, oldest first."""
        fills = self.exchange.state.fills
        return [fills[at] for at in self.by_order.get(order_id, ())]


def public_trades(fills: list[Fill], start: int, stop: int) -> list[tuple[int, Fill, int]]:
    """Return (number, fill, lots signed by the taker) of each trade among `fills[start:stop]`, each trade once.

    A trade of two users makes two fills, one after the other: the taker's is the one shown.
    """
    shown = []
    for at in range(start, stop):
        fill = fills[at]
        if not fill.maker:
            shown.append((at, fill, fill.size_lots))
        elif not any(_is_other_side(fill, fills[n]) for n in (at - 1, at + 1) if 0 <= n < len(fills)):
            shown.append((at, fill, -fill.size_lots))
    return shown


def _is_other_side(maker: Fill, other: Fill) -> bool:
    return (
        not other.maker
        and other.size_lots == -maker.size_lots
        and other.price_sat == maker.price_sat
        and other.time_ns == maker.time_ns
    )
