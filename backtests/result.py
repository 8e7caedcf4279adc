"""The one result type that every engine returns; engines are compared with == on fills, postings and marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, NamedTuple, overload

from bot.core.contract import Contract
from bot.core.events import Fill, Mark, Notice, Posting
from bot.core.order import PlaceOrder
from bot.errors import UnsupportedError


class NotKept(list[Any]):
    """Stands for a list that a run was told not to keep: who looks into it is told so and does not find it empty."""

    def _refuse(self, *_: object) -> Any:
        raise UnsupportedError("this run was made without postings (keep_moves is off): make it again with them")

    __iter__ = __len__ = __getitem__ = __contains__ = __eq__ = __ne__ = __reversed__ = __bool__ = _refuse
    __hash__ = None

    def __repr__(self) -> str:
        return "<not kept>"


class Marks(Sequence[Mark]):
    """Marks as a list of them would be, from columns of numbers; each is made when they are first looked at."""

    __slots__ = ("_columns", "_last", "_made")
    __hash__ = None  # type: ignore[assignment]  # like a list

    def __init__(self, columns: Sequence[Any], last: Mark) -> None:
        """Take the four columns of Mark, of one length, as lists or numpy arrays of whole numbers; `last` follows."""
        self._columns, self._last = columns, last
        self._made: list[Mark] | None = None

    def _all(self) -> list[Mark]:
        if self._made is None:
            columns = (column if isinstance(column, list) else column.tolist() for column in self._columns)
            self._made = [*map(tuple.__new__, repeat(Mark), zip(*columns, strict=True)), self._last]
        return self._made

    def __len__(self) -> int:
        return len(self._columns[0]) + 1

    def __iter__(self) -> Iterator[Mark]:
        return iter(self._all())

    @overload
    def __getitem__(self, at: int) -> Mark: ...
    @overload
    def __getitem__(self, at: slice) -> list[Mark]: ...
    def __getitem__(self, at: int | slice) -> Mark | list[Mark]:
        return self._all()[at]

    def __eq__(self, other: object) -> bool:
        return self._all() == (other._all() if isinstance(other, Marks) else other)

    def __repr__(self) -> str:
        return repr(self._all())

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self._all(),)  # what another process is sent


class Observation(NamedTuple):
    """What a strategy's model said at a market event, for plots: satoshi per contract.

    `low_sat` and `high_sat` are the strategy's no-trade band; 0 where it has none.
    """

    time_ns: int
    fair_sat: int
    low_sat: int
    high_sat: int


@dataclass(frozen=True, slots=True)
class RunResult:
    """One strategy over one history.

    `marks` hold one entry per market event (quote or bar close) plus one at expiry or at the end of the run,
    in time order. `user` is the strategy's owner name in `fills` and in the accounts of `postings`.
    `start_equity_sat` is the deposit. `final_balances` maps account names (`owner/purse/asset`) to amounts.
    `postings` are a NotKept where the run was told to drop them.
    `orders` are all that were accepted, the venue's own (liquidation, cover) among them.
    """

    name: str
    engine: str
    user: str
    contract: Contract
    start_ns: int
    end_ns: int
    start_equity_sat: int
    fills: list[Fill]
    postings: Sequence[Posting]
    marks: Sequence[Mark]
    notices: list[Notice]
    observations: list[Observation]
    final_balances: dict[str, int]
    orders: list[PlaceOrder] = field(default_factory=list)
