"""Where a strategy's profit came from: every satoshi of it in one named part, per strategy and per trade.

The user's equity is E = C + v(q, m): C all his BTC purses, q the sum of all his contract purses in lots,
v = `units.notional_sat`, m the mark. Walking the ledger in its own order, every change of E is booked once:

| part      | what is booked                                                                          |
|-----------|-----------------------------------------------------------------------------------------|
| price     | v(q, m') - v(q, m): the mark moves while q is held, read at fills, expiry and the end   |
| slippage  | v(q + s, m) - v(q, m) + BTC of the trade's postings, m = `Fill.mark_sat`; minus is cost |
| fees      | postings `fee` (negative)                                                               |
| dividends | postings `dividend` (a short pays them: negative)                                       |
| swap      | postings `interest` that take from the user (negative)                                  |
| lending   | postings `interest` that give to the user (positive)                                    |
| expiry    | -v(q, last mark before expiry) + BTC of postings `expiry`: a long loses, a short gains  |
| deficit   | postings `deficit`: what the venue absorbed of a loss beyond the user's equity          |

Postings `deposit`, `withdrawal`, `issue` and `transfer` that change E are flows, not profit.
The parts sum to final equity - start equity - other flows, to the satoshi, or `AttributionError` is raised.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from backtests.result import RunResult
from bot.core.events import Fill, Posting
from bot.core.units import half_up_div, notional_sat

PARTS: Final = ("price", "dividends", "swap", "lending", "fees", "slippage", "expiry", "deficit")
"""The names of the parts, in the order in which every table and plot shows them."""

_FLOWS: Final = frozenset({"deposit", "withdrawal", "issue", "transfer"})
_WITHIN: Final = frozenset({"loan", "repay", "claim"})
_PART_OF_KIND: Final = {
    "dividend": "dividends",
    "expiry": "expiry",
    "deficit": "deficit",
    "collateral": "slippage",  # the venue sold owned contracts below the mark to cover a debt
}


class AttributionError(AssertionError):
    """The ledger, the fills and the marks of a result contradict each other: our own bug, not the user's."""


class Split(NamedTuple):
    """Profit in satoshi by part; a gain is positive, so fees and swap paid are negative or zero."""

    price_sat: int = 0
    dividends_sat: int = 0
    swap_sat: int = 0
    lending_sat: int = 0
    fees_sat: int = 0
    slippage_sat: int = 0
    expiry_sat: int = 0
    deficit_sat: int = 0

    @property
    def total_sat(self) -> int:
        """The sum of all parts in satoshi."""
        return sum(self)

    def plus(self, other: Split) -> Split:
        """Return the two splits added part by part."""
        return Split(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Trade(NamedTuple):
    """One round trip: from flat to flat, or to the fill that turns the position's sign.

    `side` is 1 for long, -1 for short; `peak_lots` > 0 is the largest size held. Average prices are satoshi
    per contract, rounded half up, None where nothing was filled on that side. `closed_ns` is None for a trade
    still open at the end; `ended_by` is `trade`, `expiry`, `open` or the posting kind that took the position.
    """

    number: int
    side: int
    opened_ns: int
    closed_ns: int | None
    ended_by: str
    peak_lots: int
    entry_price_sat: int | None
    exit_price_sat: int | None
    split: Split


class Flow(NamedTuple):
    """Money or contracts brought in (+) or taken out (-) by the user, in satoshi at the mark of its time."""

    time_ns: int
    amount_sat: int


@dataclass(frozen=True, slots=True)
class Attribution:
    """One strategy's profit: `split` = sum of the splits of `trades` + `outside` (earned while flat)."""

    name: str
    start_equity_sat: int
    final_equity_sat: int
    other_flows: tuple[Flow, ...]
    split: Split
    outside: Split
    trades: tuple[Trade, ...]


def attribute(result: RunResult) -> Attribution:
    """Return the profit of `result` by part and by trade, all in satoshi.

    split.total == final equity - start equity - sum of other flows. Raises AttributionError when that fails,
    when postings do not add up to the final balances, when fills and postings disagree, or when a posting
    of a kind that cannot be profit changes the user's equity.
    """
    postings = list(result.postings)  # they are put into words each time they are read
    _check_balances(result, postings)
    walk = _Walk(result)
    for change in _changes(result, postings):
        walk.apply(change)
    return walk.finish()


class _Change(NamedTuple):
    """The net effect on the user of one transaction's postings of one kind."""

    time_ns: int
    transaction: int
    kind: str
    paid_sat: int
    received_sat: int
    lots: int


class _Move(NamedTuple):
    """A change of the position by `lots` against `cash_sat` and a fee, booked under `part` (-1: a flow)."""

    time_ns: int
    kind: str
    part: int
    lots: int
    cash_sat: int
    fee_sat: int = 0


@dataclass(slots=True)
class _Book:
    """A trade while it is being read."""

    side: int
    opened_ns: int
    parts: list[int] = field(default_factory=lambda: [0] * len(PARTS))
    closed_ns: int | None = None
    ended_by: str = "open"
    peak_lots: int = 0
    entry_lots: int = 0
    entry_sat: int = 0
    exit_lots: int = 0
    exit_sat: int = 0

    def count_fill(self, lots: int, cash_sat: int) -> None:
        """Add one fill to the average price of the side that it is on."""
        if (lots > 0) == (self.side > 0):
            self.entry_lots += abs(lots)
            self.entry_sat += abs(cash_sat)
        else:
            self.exit_lots += abs(lots)
            self.exit_sat += abs(cash_sat)


def _changes(result: RunResult, postings: Sequence[Posting]) -> Iterator[_Change]:
    """Yield the user's changes in ledger order, except that what settles the past precedes its trade."""
    prefix, contract_end = f"{result.user}/", f"/{result.contract.asset}"
    pending: dict[str, list[int]] = {}
    transaction = time_ns = -1
    for posting in postings:
        if not posting.account.startswith(prefix):
            continue
        if posting.transaction != transaction or posting.time_ns != time_ns:
            yield from _close_transaction(pending, time_ns, transaction)
            pending, transaction, time_ns = {}, posting.transaction, posting.time_ns
        sums = pending.setdefault(posting.kind, [0, 0, 0])
        if posting.account.endswith("/BTC"):
            sums[posting.amount > 0] += posting.amount
        elif posting.account.endswith(contract_end):
            sums[2] += posting.amount
        else:
            raise AttributionError(f"account {posting.account} holds neither BTC nor {result.contract.asset}")
    yield from _close_transaction(pending, time_ns, transaction)


def _close_transaction(pending: dict[str, list[int]], time_ns: int, transaction: int) -> Iterator[_Change]:
    # Dividends and interest that a trade settles were earned by the position before it, even if posted after.
    for kind in sorted(pending, key=lambda kind: kind not in ("dividend", "interest")):
        paid, received, lots = pending[kind]
        yield _Change(time_ns, transaction, kind, paid, received, lots)


def _check_balances(result: RunResult, postings: Sequence[Posting]) -> None:
    sums: dict[str, int] = {}
    for posting in postings:
        sums[posting.account] = sums.get(posting.account, 0) + posting.amount
    prefix = f"{result.user}/"
    for account in sorted(sums.keys() | result.final_balances.keys()):
        posted, final = sums.get(account, 0), result.final_balances.get(account, 0)
        if account.startswith(prefix) and posted != final:
            raise AttributionError(f"{account}: postings sum to {posted}, final balance is {final}")


class _Walk:
    """The state of one pass over a user's ledger: position, its value at the last mark read, cash, parts."""

    def __init__(self, result: RunResult) -> None:
        self._result = result
        self._fills: Iterator[Fill] = iter([fill for fill in result.fills if fill.user == result.user])
        self._mark_times = [mark.time_ns for mark in result.marks]
        self._mark_sat = result.marks[0].price_sat if result.marks else 0
        self._fill_ns = -1
        self._lots = self._cash_sat = self._value_sat = 0
        self._fees_posted_sat = self._fees_filled_sat = 0
        self._outside = [0] * len(PARTS)
        self._books: list[_Book] = []
        self._flows: list[Flow] = []

    def apply(self, change: _Change) -> None:
        """Book one change, or raise AttributionError for a kind that has no place."""
        kind, time_ns, cash_sat = change.kind, change.time_ns, change.paid_sat + change.received_sat
        self._cash_sat += cash_sat
        if kind == "trade":
            self._apply_trade(change, cash_sat)
        elif kind == "fee":
            self._fees_posted_sat += cash_sat  # booked with its fill; finish() compares the sums
        elif kind == "interest":
            self._book(time_ns, PARTS.index("swap"), change.paid_sat)
            self._book(time_ns, PARTS.index("lending"), change.received_sat)
            if change.lots:
                part = PARTS.index("lending" if change.lots > 0 else "swap")
                self._move(_Move(time_ns, kind, part, change.lots, 0), self._mark_before(time_ns))
        elif kind in _PART_OF_KIND or kind in _FLOWS:
            part = -1 if kind in _FLOWS else PARTS.index(_PART_OF_KIND[kind])
            if change.lots:
                self._move(_Move(time_ns, kind, part, change.lots, cash_sat), self._mark_before(time_ns))
            else:
                self._book(time_ns, part, cash_sat)
        elif kind not in _WITHIN or cash_sat or change.lots:
            raise AttributionError(
                f"transaction {change.transaction}: {kind!r} changes {self._result.user} by {cash_sat} sat "
                f"and {change.lots} lots, which is neither profit nor a flow"
            )

    def finish(self) -> Attribution:
        """Read the last mark, check every identity and return the attribution."""
        result = self._result
        extra = next(self._fills, None)
        if extra is not None:
            raise AttributionError(f"fill of order {extra.order_id} at {extra.time_ns} has no posting")
        if self._fees_posted_sat != -self._fees_filled_sat:
            raise AttributionError(f"fees posted {-self._fees_posted_sat} sat, on fills {self._fees_filled_sat} sat")
        final_sat = self._cash_sat
        if result.marks:
            last = result.marks[-1]
            if last.position_lots != self._lots:
                raise AttributionError(f"last mark holds {last.position_lots} lots, postings {self._lots}")
            self._revalue(last.price_sat)
            final_sat = last.equity_sat
        elif self._lots:
            raise AttributionError(f"{self._lots} lots are held but the result has no mark")
        trades = tuple(_trade(number, book, result) for number, book in enumerate(self._books, 1))
        split = outside = Split(*self._outside)
        for trade in trades:
            split = split.plus(trade.split)
        flows_sat = sum(flow.amount_sat for flow in self._flows)
        if split.total_sat != final_sat - flows_sat:
            raise AttributionError(
                f"{result.name}: parts sum to {split.total_sat} sat, equity {final_sat} sat less "
                f"flows {flows_sat} sat is {final_sat - flows_sat} sat: {split}"
            )
        flows = _after_start(self._flows, result.start_equity_sat)
        return Attribution(result.name, result.start_equity_sat, final_sat, flows, split, outside, trades)

    def _apply_trade(self, change: _Change, cash_sat: int) -> None:
        fill = next(self._fills, None)
        if fill is None or fill.size_lots != change.lots or fill.time_ns != change.time_ns:
            raise AttributionError(f"transaction {change.transaction} trades {change.lots} lots, fill: {fill}")
        self._fill_ns = fill.time_ns
        self._fees_filled_sat += fill.fee_sat
        slippage = PARTS.index("slippage")
        move = _Move(fill.time_ns, "trade", slippage, fill.size_lots, cash_sat, fill.fee_sat)
        self._move(move, fill.mark_sat)

    def _move(self, move: _Move, mark_sat: int) -> None:
        """Change the position at `mark_sat`; a change of sign closes one trade and opens the next.

        It is shared between the two pro rata by lots, rounded half up, the remainder on the second.
        """
        self._revalue(mark_sat)
        if self._lots * (self._lots + move.lots) >= 0:
            self._step(move)
            return
        share, whole = abs(self._lots), abs(move.lots)
        cash_sat = half_up_div(move.cash_sat * share, whole)
        fee_sat = half_up_div(move.fee_sat * share, whole)
        rest = move.cash_sat - cash_sat, move.fee_sat - fee_sat
        after = self._lots + move.lots
        self._step(_Move(move.time_ns, move.kind, move.part, -self._lots, cash_sat, fee_sat))
        self._step(_Move(move.time_ns, move.kind, move.part, after, *rest))

    def _mark_before(self, time_ns: int) -> int:
        """Return the mark strictly before `time_ns`: blocks, interest and expiry precede market events."""
        index = bisect_left(self._mark_times, time_ns) - 1
        if index < 0 or self._mark_times[index] < self._fill_ns:
            return self._mark_sat
        return self._result.marks[index].price_sat

    def _revalue(self, mark_sat: int) -> None:
        """Move to a new mark: what the position gained is price."""
        value_sat = notional_sat(self._lots, mark_sat, self._result.contract.lots_per_contract)
        if self._lots:
            self._books[-1].parts[0] += value_sat - self._value_sat
        self._mark_sat, self._value_sat = mark_sat, value_sat

    def _step(self, move: _Move) -> None:
        """Change the position at the present mark without turning its sign, opening and closing its trade."""
        after = self._lots + move.lots
        if self._lots == 0:
            self._books.append(_Book(1 if after > 0 else -1, move.time_ns))
        book = self._books[-1]
        value_sat = notional_sat(after, self._mark_sat, self._result.contract.lots_per_contract)
        amount_sat = value_sat - self._value_sat + move.cash_sat
        if move.kind == "trade":
            book.count_fill(move.lots, move.cash_sat)
        self._lots, self._value_sat = after, value_sat
        book.peak_lots = max(book.peak_lots, abs(after))
        if after == 0:
            book.closed_ns, book.ended_by = move.time_ns, move.kind
        self._book(move.time_ns, move.part, amount_sat)
        book.parts[PARTS.index("fees")] -= move.fee_sat

    def _book(self, time_ns: int, part: int, amount_sat: int) -> None:
        """Book an amount on the open trade, else on the one that closed at this instant, else outside."""
        if part < 0:
            if amount_sat:
                self._flows.append(Flow(time_ns, amount_sat))
        elif self._lots or (self._books and self._books[-1].closed_ns == time_ns):
            self._books[-1].parts[part] += amount_sat
        else:
            self._outside[part] += amount_sat


def _trade(number: int, book: _Book, result: RunResult) -> Trade:
    lots_per_contract = result.contract.lots_per_contract
    entry = half_up_div(book.entry_sat * lots_per_contract, book.entry_lots) if book.entry_lots else None
    leave = half_up_div(book.exit_sat * lots_per_contract, book.exit_lots) if book.exit_lots else None
    return Trade(
        number,
        book.side,
        book.opened_ns,
        book.closed_ns,
        book.ended_by,
        book.peak_lots,
        entry,
        leave,
        Split(*book.parts),
    )


def _after_start(flows: list[Flow], start_equity_sat: int) -> tuple[Flow, ...]:
    """Return the flows after those that make up the start equity."""
    sum_sat = 0
    for index, flow in enumerate(flows):
        if sum_sat == start_equity_sat:
            return tuple(flows[index:])
        sum_sat += flow.amount_sat
    if sum_sat == start_equity_sat:
        return ()
    raise AttributionError(f"no deposits make up the start equity of {start_equity_sat} sat: {flows[:5]}")
