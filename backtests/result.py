"""The one result type that every engine returns; engines are compared with == on fills, postings and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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
    marks: list[Mark]
    notices: list[Notice]
    observations: list[Observation]
    final_balances: dict[str, int]
    orders: list[PlaceOrder] = field(default_factory=list)
