"""What stands in for the core where it has no form in machine code: dictionaries, words, checks of types, the journal.

None of these holds a rule of trading or accounting. Dictionaries become lists that are searched or numbers that are
places; words are kept as the number of a text and what goes into it (`words.py` puts them together at the edge).
"""

from __future__ import annotations

import inspect
import operator
from typing import Any, NamedTuple

from numba import types
from numba.extending import overload, overload_method

from backtests.compiled_engine import answers
from backtests.compiled_engine.lists import WORD, List
from backtests.compiled_engine.makers import as_kind
from backtests.compiled_engine.names import FOR_BUILTINS, STANDS_FOR, number
from backtests.compiled_engine.shapes import compiles, set_word_at, word_at
from backtests.compiled_engine.structs import (
    ACCOUNTS,
    BALANCES,
    CIDS,
    LOANS,
    NUMBERS,
    ORDER,
    ORDERS,
    PURSES,
    STATE,
    TRADER,
    VIEW,
)
from backtests.compiled_engine.wide import wide_of
from bot import trader
from bot.core import contract, events, ledger, order, units
from bot.core import decide as rules
from bot.core.events import RANK_STRATEGY
from bot.core.ledger import MARKET
from bot.core.order import DEPOSIT, EXCHANGE, TRADING, CancelOffer, CancelOrder, PlaceOffer, PlaceOrder, Transfer
from strategies.view import Target, Wake

OF_MARKET, OF_EXCHANGE, OF_TRADING, OF_DEPOSIT = map(number, (MARKET, EXCHANGE, TRADING, DEPOSIT))


def _item(struct: Any, by: Any) -> None:
    @overload(operator.getitem, strict=False)  # type: ignore[untyped-decorator]
    def choose(of: Any, key: Any) -> Any:
        return by if isinstance(of, type(struct)) else None


def _set_item(struct: Any, by: Any) -> None:
    @overload(operator.setitem, strict=False)  # type: ignore[untyped-decorator]
    def choose(of: Any, key: Any, value: Any) -> Any:
        return by if isinstance(of, type(struct)) else None


def _method(struct: Any, name: str, by: Any) -> None:
    def choose(*args: Any, **kwargs: Any) -> Any:
        return by

    choose.__signature__ = inspect.signature(by)  # type: ignore[attr-defined]
    overload_method(type(struct), name, strict=False)(choose)


# Dictionaries -----------------------------------------------------------------------------------------------


def _balance(of: Any, key: int) -> int:
    return word_at(of.items_at + WORD * key)  # type: ignore[no-any-return]


def _get_balance(self: Any, key: int, default: int) -> int:
    return word_at(self.items_at + WORD * key)  # type: ignore[no-any-return]


def _set_balance(of: Any, key: int, value: int) -> None:
    set_word_at(of.items_at + WORD * key, value)


_item(BALANCES, _balance)
_set_item(BALANCES, _set_balance)
_method(BALANCES, "get", _get_balance)


def _account(of: Any, key: int) -> Any:
    return of.market if key == OF_MARKET else of.user


def _accounts(self: Any) -> Any:
    return (self.market, self.user)


_item(ACCOUNTS, _account)
_method(ACCOUNTS, "values", _accounts)


def _purse(of: Any, key: int) -> tuple[int, int]:
    return of.exchange if key == OF_EXCHANGE else of.trading if key == OF_TRADING else of.deposit  # type: ignore[no-any-return]


def _purses(self: Any) -> Any:
    return (self.exchange, self.trading, self.deposit, self.position, self.owed, self.lent)


_item(PURSES, _purse)
_method(PURSES, "values", _purses)


def _find_order(self: Any, key: int) -> Any:
    for at in range(len(self.items) - 1, -1, -1):  # the newest are asked for
        if self.items[at].id == key:
            return self.items[at]
    return None


def _order(of: Any, key: int) -> Any:
    for at in range(len(of.items) - 1, -1, -1):
        if of.items[at].id == key:
            return of.items[at]
    raise KeyError


def _add_order(of: Any, key: int, value: Any) -> None:
    of.items.append(value)


_method(ORDERS, "get", _find_order)
_item(ORDERS, _order)
_set_item(ORDERS, _add_order)


def _loan(of: Any, key: int) -> Any:
    for loan in of.items:
        if loan.id == key:
            return loan
    raise KeyError


def _add_loan(of: Any, key: int, value: Any) -> None:
    of.items.append(value)


def _pop_loan(self: Any, key: int) -> Any:
    loan = self[key]
    self.items.remove(loan)
    return loan


def _loans(self: Any) -> Any:
    return self.items


_item(LOANS, _loan)
_set_item(LOANS, _add_loan)
_method(LOANS, "pop", _pop_loan)
_method(LOANS, "values", _loans)


@overload(operator.delitem, strict=False)  # type: ignore[untyped-decorator]
def _drop_loan(of: Any, key: Any) -> Any:
    if not isinstance(of, type(LOANS)):
        return None

    def drop(of: Any, key: int) -> None:
        of.items.remove(of[key])

    return drop


@overload(bool, strict=False)  # type: ignore[untyped-decorator]
def _any_loan(of: Any) -> Any:
    if not isinstance(of, type(LOANS)):
        return None
    return lambda of: len(of.items) > 0


def _known_cid(self: Any, key: Any) -> Any:
    if key[1] < 0:
        return 0
    return None


def _note_cid(of: Any, key: Any, value: Any) -> None:
    pass


_method(CIDS, "get", _known_cid)
_set_item(CIDS, _note_cid)

# Lists ------------------------------------------------------------------------------------------------------


def _sorted(items: Any, key: Any) -> Any:
    """Stand in for sorted: an insertion sort, stable, for lists of a few."""
    found = items
    for at in range(1, len(found)):
        item, place = found[at], at
        wanted = key(item)
        while place > 0 and wanted < key(found[place - 1]):
            found[place] = found[place - 1]
            place -= 1
        found[place] = item
    return found


def in_order(items: Any, key: Any) -> Any:
    """Stand for sorted in compiled code; the list that is given is sorted itself."""
    raise NotImplementedError


@overload(in_order, strict=False)  # type: ignore[untyped-decorator]
def _in_order(items: Any, key: Any) -> Any:
    return _sorted


FOR_BUILTINS["sorted"] = in_order


@overload_method(List, "popleft", strict=False)  # type: ignore[untyped-decorator]
def _popleft(self: Any) -> Any:
    return lambda self: self.pop(0)


# Words ------------------------------------------------------------------------------------------------------


class Refused(NamedTuple):
    """A Rejection: the numbers of its code and of the text of its detail, and what goes into that."""

    code: int
    text: int
    numbers: tuple[int, ...]


def _padded(head: str, numbers: Any) -> Any:
    """Return the function that makes `head` of a text and its numbers, padded with zeros."""
    kinds = list(numbers)
    listed = ", ".join([f"as_kind(int64, numbers[{k}])" for k in range(len(kinds))] + ["0"] * (NUMBERS - len(kinds)))
    scope: dict[str, Any] = {"as_kind": as_kind, "int64": types.int64, "Refused": Refused}
    exec(head.format(f"({listed})"), scope)  # noqa: S102 - one place for each number
    return scope["make"]


@overload(order.refused, strict=False)  # type: ignore[untyped-decorator]
def _refused(code: Any, text: Any, *numbers: Any) -> Any:
    of = numbers[0] if len(numbers) == 1 and isinstance(numbers[0], types.BaseTuple) else numbers
    return _padded("def make(code, text, *numbers):\n    return Refused(code, text, {})\n", of)


@overload_method(type(STATE), "notify", strict=False)  # type: ignore[untyped-decorator]
def _notify(self: Any, user: Any, kind: Any, text: Any, *numbers: Any) -> Any:
    of = numbers[0] if len(numbers) == 1 and isinstance(numbers[0], types.BaseTuple) else numbers
    head = "def make(self, user, kind, text, *numbers):\n"
    return _padded(head + "    self.notices.append((self.time_ns, user, kind, 0, text) + {})\n", of)


def _notify_refusal(state: Any, user: int, rejection: Any) -> None:
    said = (state.time_ns, user, OF_REJECTED, rejection.code, rejection.text)
    state.notices.append(said + rejection.numbers)


OF_REJECTED = number("rejected")
compiles(trader.notify_refusal, _notify_refusal)

# Checks of types, and of what cannot be ------------------------------------------------------------------------


def _is_whole(number: object) -> bool:
    return True


def _is_same(command: Any, other: Any) -> bool:
    return True


def _bounds(contract: Any) -> Any:
    return contract  # its struct has the fields of Bounds


def _reducing(command: Any) -> Any:
    return command  # a trader never closes by that flag


def _refuse_time(time_ns: int, now_ns: int) -> None:
    if time_ns < now_ns:
        raise ValueError


def _refuse_rank(time_ns: int, rank: int, before: int) -> None:
    if rank < before:
        raise ValueError


def _move_to(self: Any, status: int) -> None:
    self.status = status


def _same_move(move: Any) -> Any:
    raise NotImplementedError


def _move(move: Any) -> Any:
    return move


compiles(rules.is_whole, _is_whole)
compiles(rules.is_same, _is_same)
compiles(contract.int64_bounds, _bounds)
compiles(order.reducing, _reducing)
compiles(events.refuse_time, _refuse_time)
compiles(events.refuse_rank, _refuse_rank)
compiles(_same_move, _move)
_method(ORDER, "move_to", _move_to)
STANDS_FOR[id(ledger._new_move)] = _same_move


def _wide(number: int) -> Any:
    return wide_of(number)


compiles(units.wide, _wide)

# Commands ---------------------------------------------------------------------------------------------------


def _carry_out(exchange: Any, account: Any, command: Any) -> Any:
    """Stand for decide and apply of one command, by its class: None if it was carried out."""
    raise NotImplementedError


_CHECK = {
    PlaceOrder: (rules._place_order, "_place"),
    Transfer: (rules._transfer, "_transfer"),
    CancelOrder: (rules._cancel_order, "_cancel_order"),
    PlaceOffer: (rules._place_offer, "_offer"),
    CancelOffer: (rules._cancel_offer, "_cancel_offer"),
}


@overload(_carry_out, strict=False)  # type: ignore[untyped-decorator]
def _carried(exchange: Any, account: Any, command: Any) -> Any:
    check, does = _CHECK[command.instance_class]
    lines = "def make(exchange, account, command):\n    rejection = check(exchange.state, account, command)\n"
    lines += "    if rejection is None:\n        exchange.state.ledger.begin()\n"
    lines += f"        exchange.{does}(command)\n    return rejection\n"
    scope: dict[str, Any] = {"check": check}
    exec(lines, scope)  # noqa: S102 - the name of a method of ours
    return scope["make"]


def _send(self: Any, command: Any) -> bool:
    """Stand in for Trader._send: no journal, and a command is of its trader, of the class and the time that it says."""
    self.exchange.reach(command.time_ns, RANK_STRATEGY)
    return self._note_answer(_carry_out(self.exchange, self.account, command))  # type: ignore[no-any-return]


_method(TRADER, "_send", _send)
STANDS_FOR[id(Target)] = answers.make_target
STANDS_FOR[id(Wake)] = answers.make_wake
STANDS_FOR[id(trader.NOTHING)] = answers.NOTHING


def _lots_of(self: Any, contracts: Any) -> int:
    """Stand in for View.lots_of: compiled code gets a Decimal parameter as the lots that it comes to."""
    return contracts.lots  # type: ignore[no-any-return]


_method(VIEW, "lots_of", _lots_of)
