"""The double-entry ledger: amounts only ever move from one account to another of the same asset.

Account names read `owner/purse/asset`. A user's purses:

| purse      | holds                                                              |
|------------|--------------------------------------------------------------------|
| `exchange` | coins and contracts owned outright                                 |
| `trading`  | collateral for margin positions                                    |
| `deposit`  | what is, or may be, offered to borrowers                           |
| `position` | what a margin position holds: bought lots, or the proceeds of a short |
| `owed`     | loans taken; never positive                                        |
| `lent`     | claims on borrowers; never negative                                |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, overload

from bot.core.events import BTC, CONTRACT, Posting
from bot.core.order import DEPOSIT, EXCHANGE, TRADING

if TYPE_CHECKING:
    from bot.core.margin import Standing

POSITION = "position"
OWED = "owed"
LENT = "lent"
PURSES = (EXCHANGE, TRADING, DEPOSIT, POSITION, OWED, LENT)

MARKET = "market"
"""The owner that stands for everyone else: counterparty of last resort, lender, holder of the rest of the tranche."""


class Move(NamedTuple):
    """`amount` > 0 went from `source` to `target`; moves of one business event share `transaction`."""

    transaction: int
    time_ns: int
    kind: str
    source: str
    target: str
    amount: int


_new_move = partial(tuple.__new__, Move)
"""Makes a Move of its fields in half the time of calling Move."""


class Ledger:
    """Balances and the moves that made them.

    A move debits one account and credits another, so that postings sum to zero per asset by construction.
    `keep_moves` False drops the record, not the arithmetic. `count` rises when a user's purse may have changed.
    """

    __slots__ = ("balances", "count", "keep_moves", "moves", "transaction")

    def __init__(self, keep_moves: bool = True) -> None:
        self.balances: dict[str, int] = {}
        self.moves: list[Move] = []
        self.count = 0
        self.transaction = 0
        self.keep_moves = keep_moves

    def begin(self) -> None:
        """Start a new transaction: the moves that follow belong together."""
        self.transaction += 1

    def move(self, time_ns: int, kind: str, source: str, target: str, amount: int, touches_users: bool = True) -> None:
        """Move `amount` (satoshi or lots) from `source` to `target`; a negative amount moves the other way.

        `touches_users` False: both accounts are the venue's or the world's, so that what users hold stands.
        """
        if amount == 0:
            return
        if amount < 0:
            source, target, amount = target, source, -amount
        balances = self.balances
        balances[source] = balances.get(source, 0) - amount
        balances[target] = balances.get(target, 0) + amount
        if touches_users:
            self.count += 1
        if self.keep_moves:
            self.moves.append(_new_move((self.transaction, time_ns, kind, source, target, amount)))

    def balance(self, account: str) -> int:
        """Return the balance of `account`, 0 if it was never used."""
        return self.balances.get(account, 0)

    def postings(self) -> Postings:
        """Return every posting so far, two for each move: first the debit, then the credit."""
        return Postings(self.moves)


class Postings(Sequence[Posting]):
    """The postings of a record of moves, as a list of them would be; they are written out when first looked at.

    The record may be given as what makes it, which is then asked once.
    """

    __slots__ = ("_kept", "_lines", "_make")
    __hash__ = None  # type: ignore[assignment]  # like a list

    def __init__(self, moves: Iterable[Move] | Callable[[], Iterable[Move]]) -> None:
        self._make = moves if callable(moves) else None
        self._kept = () if callable(moves) else tuple(moves)
        self._lines: list[Posting] | None = None

    @property
    def _moves(self) -> tuple[Move, ...]:
        if self._make is not None:
            self._kept, self._make = tuple(self._make()), None
        return self._kept

    def _written(self) -> list[Posting]:
        if self._lines is None:
            lines: list[Posting] = []
            self._lines = lines
            add, new_tuple = lines.append, tuple.__new__  # twice as fast as calling Posting
            for transaction, time_ns, kind, source, target, amount in self._moves:
                add(new_tuple(Posting, (transaction, time_ns, kind, source, -amount)))
                add(new_tuple(Posting, (transaction, time_ns, kind, target, amount)))
        return self._lines

    def __len__(self) -> int:
        return 2 * len(self._moves)

    def __iter__(self) -> Iterator[Posting]:
        return iter(self._written())

    @overload
    def __getitem__(self, at: int) -> Posting: ...
    @overload
    def __getitem__(self, at: slice) -> list[Posting]: ...
    def __getitem__(self, at: int | slice) -> Posting | list[Posting]:
        return self._written()[at]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Postings):
            return self._moves == other._moves  # two postings follow from each move, and the move from them
        return self._written() == other

    def __repr__(self) -> str:
        return repr(self._written())


class Venue:
    """Names of the venue's and the outside world's accounts for a contract asset."""

    __slots__ = ("deficit", "dividends", "fees", "interest_cut", "issuance", "outside", "pool", "pool_fee")

    def __init__(self, asset: str) -> None:
        self.fees = "venue/fees/BTC"
        self.interest_cut = "venue/interest_cut/BTC"
        self.deficit = "venue/deficit/BTC"
        self.dividends = "venue/dividends/BTC"
        self.pool_fee = "venue/pool_fee/BTC"
        self.pool = "world/pool/BTC"
        self.issuance = f"world/issuance/{asset}"
        self.outside = ("world/outside/BTC", f"world/outside/{asset}")


class Account:
    """One user: names of his purses, what is reserved, and where his dividends were last settled.

    `free` amounts are balance less reserved. Two dividend streams are kept apart because they are paid into
    different wallets: what is owned (exchange wallet) and the margin position (trading wallet).
    """

    __slots__ = (
        "cached_margin_lots",
        "cached_sat",
        "cached_spot_lots",
        "cached_until",
        "called",
        "deposit",
        "exchange",
        "lent",
        "liquidating",
        "loan_ids",
        "margin_carry",
        "margin_index",
        "name",
        "offered",
        "overdue",
        "owed",
        "position",
        "purses",
        "reserved",
        "spot_carry",
        "spot_index",
        "standing",
        "trading",
    )

    def __init__(self, name: str, asset: str, index: int) -> None:
        self.name = name
        self.purses = {purse: (f"{name}/{purse}/BTC", f"{name}/{purse}/{asset}") for purse in PURSES}
        self.exchange = self.purses[EXCHANGE]
        self.trading = self.purses[TRADING]
        self.deposit = self.purses[DEPOSIT]
        self.position = self.purses[POSITION]
        self.owed = self.purses[OWED]
        self.lent = self.purses[LENT]
        self.reserved = [0, 0]  # by exchange orders: satoshi, lots
        self.offered = [0, 0]  # by open loan offers: satoshi, lots
        self.spot_index = index
        self.spot_carry = 0
        self.margin_index = index
        self.margin_carry = 0
        self.loan_ids: list[int] = []  # loans taken, oldest first
        self.cached_until = -1
        self.cached_sat = 0
        self.cached_spot_lots = 0
        self.cached_margin_lots = 0
        self.standing: Standing | None = None  # kept by bot.core.margin
        self.called = False
        self.liquidating = False
        self.overdue = False  # a loan has ended without a successor and is being covered

    def spot_lots(self, ledger: Ledger) -> int:
        """Lots owned outright, those lent out included."""
        lots = ledger.balance(self.exchange[CONTRACT]) + ledger.balance(self.trading[CONTRACT])
        lots += ledger.balance(self.deposit[CONTRACT]) + ledger.balance(self.lent[CONTRACT])
        return lots + ledger.balance(self.owed[CONTRACT]) if self.name == MARKET else lots

    def margin_lots(self, ledger: Ledger) -> int:
        """The margin position in lots, short negative."""
        if self.name == MARKET:
            return 0
        return ledger.balance(self.position[CONTRACT]) + ledger.balance(self.owed[CONTRACT])

    def refresh(self, ledger: Ledger) -> None:
        """Sum the purses anew, if the ledger has moved since they were last summed; every mark asks for them."""
        if self.cached_until != ledger.count:
            self.cached_until = ledger.count
            self.cached_sat = 0
            for names in self.purses.values():
                self.cached_sat += ledger.balance(names[BTC])
            self.cached_spot_lots = self.spot_lots(ledger)
            self.cached_margin_lots = self.margin_lots(ledger)
