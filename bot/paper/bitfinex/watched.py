"""One user's own affairs as a stream of messages: a snapshot once, then what is new, changed or gone."""

from __future__ import annotations

from typing import Any

from bot.paper.bitfinex import account, funding
from bot.paper.bitfinex.protocol import Call, Protocol
from bot.paper.bitfinex.rows import order_row, trade_row

Rows = dict[Any, list[Any]]
Message = list[Any]


class Watched:
    """What a user was told last; `changes` says what happened since."""

    def __init__(self, protocol: Protocol, call: Call) -> None:
        """Begin with what is there now; refuses a user without an account."""
        self.user = call.user
        self._protocol = protocol
        state = protocol.state
        self._changes = state.changes
        self._last_id = state.next_id - 1
        self._notices = len(state.notices)
        self._fills = len(protocol.records().fills.get(self.user, ()))
        self._orders = self._live()
        self._wallets, self._position, self._offers, self._loans = self._rest()

    def snapshot(self) -> list[Message]:
        """Return everything there is."""
        kinds: list[tuple[str, Rows]] = [("ps", self._position), ("ws", self._wallets), ("os", self._orders)]
        kinds += [("fos", self._offers), ("fcs", self._loans), ("fls", {})]
        return [[0, kind, list(rows.values())] for kind, rows in kinds]

    def changes(self) -> list[Message]:
        """Return what is new, changed or gone since the last time, in that order of the events that made it so."""
        told = self._order_news() + self._trade_news()
        wallets, position, offers, loans = self._rest()
        told += _news(self._position, position, ("pn", "pu", "pc"))
        told += _news(self._offers, offers, ("fon", "fou", "foc"))
        told += _news(self._loans, loans, ("fcn", "fcu", "fcc"))
        told += [[0, "wu", row] for key, row in wallets.items() if self._wallets.get(key) != row]
        self._wallets, self._position, self._offers, self._loans = wallets, position, offers, loans
        notices = self._protocol.state.notices
        for notice in notices[self._notices :]:
            if notice.user == self.user:
                row = [notice.time_ns // 10**6, notice.kind, None, None, None, None, "INFO", notice.text]
                told.append([0, "n", row])
        self._notices = len(notices)
        return told

    def _call(self) -> Call:
        return Call(self._protocol, self.user, {}, "", 0)

    def _row(self, number: int) -> list[Any]:
        order, records = self._protocol.state.orders[number], self._protocol.records()
        return order_row(self._protocol.terms, order, records.fills_of(number))

    def _live(self) -> Rows:
        orders = self._protocol.state.live
        return {o.id: self._row(o.id) for o in orders if o.is_live and o.command.user == self.user}

    def _rest(self) -> tuple[Rows, Rows, Rows, Rows]:
        call = self._call()
        return (
            {(row[0], row[1]): row for row in account.wallets(call)},
            {row[11]: [*row[:13], None, *row[14:]] for row in account.positions(call)},  # the time alone is no news
            {row[0]: row for row in funding.offers(call)},
            {row[0]: row for row in funding.credits_(call)},
        )

    def _order_news(self) -> list[Message]:
        state = self._protocol.state
        if state.changes == self._changes:
            return []
        self._changes = state.changes
        live = self._live()
        told: list[Message] = []
        for number in self._placed_since():
            told.append([0, "on", self._row(number)])
            if number not in live:
                told.append([0, "oc", self._row(number)])
        for number, before in self._orders.items():
            if number not in live:
                told.append([0, "oc", self._row(number)])
            elif live[number] != before:
                told.append([0, "ou", live[number]])
        self._orders = live
        return told

    def _placed_since(self) -> list[int]:
        """Return the ids of the user's orders that were placed since the last time, oldest first."""
        found = []
        for number, order in reversed(self._protocol.state.orders.items()):
            if number <= self._last_id:
                break
            if order.command.user == self.user:
                found.append(number)
        self._last_id = self._protocol.state.next_id - 1
        return found[::-1]

    def _trade_news(self) -> list[Message]:
        state, numbers = self._protocol.state, self._protocol.records().fills.get(self.user, [])
        told: list[Message] = []
        for at in numbers[self._fills :]:
            fill = state.fills[at]
            row = trade_row(self._protocol.terms, at, fill, state.orders[fill.order_id])
            told += [[0, "te", [*row[:9], None, None, row[11]]], [0, "tu", row]]
        self._fills = len(numbers)
        return told


def _news(before: Rows, now: Rows, kinds: tuple[str, str, str]) -> list[Message]:
    """Return messages of what is new, changed and gone between two sets of rows."""
    new, changed, gone = kinds
    told: list[Message] = [[0, gone, row] for key, row in before.items() if key not in now]
    for key, row in now.items():
        if key not in before:
            told.append([0, new, row])
        elif before[key] != row:
            told.append([0, changed, row])
    return told
