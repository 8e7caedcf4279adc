"""An exchange as a document of plain values, and an exchange brought to where a document says.

What the head of the journal says (contract, rules) and what is only cached is left out; what has ended is counted, and
lies in the table `past`. A field that a rule adds to the state is kept by its declared type, without a word here.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any, Final, cast, get_type_hints

from bot.core.events import Fill, Notice
from bot.core.exchange import Exchange
from bot.core.ledger import Account
from bot.core.state import State
from bot.paper.checkpoint.ended import Cids, Orders
from bot.paper.checkpoint.past import Past, Row, Tail
from bot.paper.checkpoint.plain import made, plain

_APART: Final = frozenset(
    {
        "contract",  # the journal's head has it
        "rules",
        "venue",  # names alone
        "ledger",
        "accounts",
        "orders",  # the live ones are in `live`, the others in the file
        "by_cid",
        "fills",
        "notices",
        "due_ns",  # when to look again: at once
    }
)
_NAMES: Final = frozenset({"name", "purses", "exchange", "trading", "deposit", "position", "owed", "lent"})
_CACHED: Final = frozenset({"cached_margin_lots", "cached_sat", "cached_spot_lots", "cached_until", "standing"})
_ACCOUNT: Final = tuple(sorted(set(Account.__slots__) - _NAMES - _CACHED))


class History:
    """Fills, notices and orders of one exchange: the newest in memory, the rest in the file."""

    def __init__(self, exchange: Exchange, past: Past) -> None:
        """Take the place of the exchange's own lists; it must be a new one."""
        self._past = past
        self._exchange = exchange
        state = exchange.state
        assert not state.orders and not state.fills and not state.notices, "a history begins with its exchange"
        self._install(0, 0)

    def _install(self, fills: int, notices: int) -> None:
        state, past = self._exchange.state, self._past
        self.orders = Orders(past)
        self.cids = Cids(self.orders)
        self.fills: Tail[Fill] = Tail(past, "Fill", Fill, fills, about=lambda fill: fill.order_id)
        self.notices: Tail[Notice] = Tail(past, "Notice", Notice, notices)
        state.orders, state.by_cid = self.orders, self.cids
        state.fills, state.notices = cast("list[Fill]", self.fills), cast("list[Notice]", self.notices)

    def resume(self, document: dict[str, Any]) -> None:
        """Go on with what the file has, behind what a document counts; the state has come to it already."""
        state = self._exchange.state
        self._install(document["fills"], document["notices"])
        self.orders.resume(state.live, state.next_id)
        self.cids.resume(state.live, state.time_ns)

    def unkept(self) -> list[Row]:
        """Return the rows that belong to a checkpoint taken now."""
        return [*self.fills.unkept(), *self.notices.unkept(), *self.orders.unkept()]

    def keep(self) -> None:
        """Take note that they are in the file."""
        self.fills.keep()
        self.notices.keep()
        self.cids.forget(self.orders.keep(self._exchange.state.next_id))


def document_of(exchange: Exchange) -> dict[str, Any]:
    """Return what an exchange must know to go on, as plain values."""
    state = exchange.state
    return {
        "fields": {name: plain(getattr(state, name)) for name in _hints()},
        "accounts": {
            name: {field: plain(getattr(account, field)) for field in _ACCOUNT}
            for name, account in state.accounts.items()
        },
        "order": list(state.accounts),  # in which margins are checked and dividends paid
        "ledger": [state.ledger.balances, state.ledger.count, state.ledger.transaction],
        "fills": len(state.fills),
        "notices": len(state.notices),
        "steps": len(exchange._steps),
    }


def resume(exchange: Exchange, document: dict[str, Any]) -> None:
    """Bring a new exchange to where a document says. Raises ValueError, KeyError or TypeError for one that is none."""
    state = exchange.state
    hints, fields = _hints(), document["fields"]
    if set(fields) != set(hints) or set(document["order"]) != set(document["accounts"]):
        raise ValueError("the fields are not those of an exchange of this version")
    for name, hint in hints.items():
        setattr(state, name, made(hint, fields[name]))
    state.due_ns = 0
    accounts = dict(state.accounts)
    state.accounts.clear()
    for name in document["order"]:
        account = accounts.get(name) or Account(name, state.contract.asset, 0)
        kept = document["accounts"][name]
        if set(kept) != set(_ACCOUNT):
            raise ValueError("an account is not one of this version")
        for field in _ACCOUNT:
            setattr(account, field, made(_like(getattr(account, field)), kept[field]))
        account.cached_until, account.standing = -1, None
        state.accounts[name] = account
    balances, count, transaction = document["ledger"]
    state.ledger.balances = made(dict[str, int], [list(pair) for pair in balances.items()])
    state.ledger.count, state.ledger.transaction = made(int, count), made(int, transaction)
    steps = made(int, document["steps"])
    if not 0 <= steps <= len(exchange._steps):
        raise ValueError(f"{steps} steps of terms to come")
    del exchange._steps[: len(exchange._steps) - steps]


@lru_cache(maxsize=1)
def _hints() -> dict[str, Any]:
    """Return the declared types of the fields of a state that are kept as they are."""
    hints = get_type_hints(State)
    return {field.name: hints[field.name] for field in dataclasses.fields(State) if field.name not in _APART}


def _like(value: Any) -> Any:
    """Return the type of an account's field: its slots declare none."""
    return list[int] if isinstance(value, list) else type(value)
