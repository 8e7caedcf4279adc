"""One run of the compiled engine: what machine code is given, and what it leaves put into the core's words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import repeat
from threading import local
from typing import Any, Final, NamedTuple

import numpy as np

from backtests.compiled_engine.journey import DONE, NEEDS_MARKS, Given, Left
from backtests.compiled_engine.names import NAMES, number
from backtests.compiled_engine.prepared import Prepared
from backtests.compiled_engine.strategy import Asking, asking, course
from backtests.plan import Plan
from backtests.result import Marks, NotKept, RunResult
from bot.core.contract import Contract, int64_bounds
from bot.core.events import Fill, Mark, Notice
from bot.core.ledger import Account, Move, Postings, Venue
from bot.core.order import PlaceOrder, Rejection
from bot.core.state import MarketRules
from bot.core.units import PPM
from bot.trader import RiskLimits

USER: Final = 1
FIRST_WORDS: Final = 1 << 17
MOST_WORDS: Final = 1 << 27
"""The arena of a run begins with a megabyte and may grow to a gigabyte; then the reference engine has the run."""


class _Memory(local):
    """A thread's arena, kept between runs: fresh memory costs more than most runs. None while a run has it."""

    def __init__(self) -> None:
        self.words: Any = None

    def take(self) -> Any:
        """Return the arena; whoever has it puts it back. A run within a run, as a table may make, gets another."""
        words, self.words = self.words, None
        return np.zeros(FIRST_WORDS, np.int64) if words is None else words


_MEMORY: Final = _Memory()


@dataclass(frozen=True, slots=True)
class Landing:
    """What a run left, as rows of numbers; times in nanoseconds, amounts in satoshi and lots."""

    user: str
    left: Left
    last: Mark
    marked: int
    fill_rows: Any
    notice_rows: Any
    move_rows: Any
    order_rows: Any
    balances: Any
    equity_sat: Any
    position_lots: Any
    sampled_sat: Any

    def fills(self) -> list[Fill]:
        """Return the fills."""
        return [
            Fill(t, order, self._name(user), self._name(wallet), size, price, fee, mark, bool(maker))
            for t, order, user, wallet, size, price, fee, mark, maker in self.fill_rows.tolist()
        ]

    def notices(self) -> list[Notice]:
        """Return the notices, in words."""
        return [self._notice(*row) for row in self.notice_rows.tolist()]

    def sizes(self) -> Any:
        """Return time and lots of each of the user's fills, a row each."""
        return self.fill_rows[self.fill_rows[:, 2] == USER][:, (0, 4)]

    def told(self) -> frozenset[str]:
        """Return the kinds of the user's notices."""
        rows = self.notice_rows
        return frozenset(NAMES[kind] for kind in set(rows[rows[:, 1] == USER][:, 2].tolist()))

    def _notice(self, time_ns: int, user: int, kind: int, code: int, text: int, *numbers: int) -> Notice:
        template = NAMES[text]
        values = [self._name(n) if named else n for n, named in zip(numbers, _named(template), strict=False)]
        said = template.format(*values)
        if code:
            said = str(Rejection(NAMES[code], said))
        return Notice(time_ns, self._name(user), NAMES[kind], said)

    def orders(self) -> list[PlaceOrder]:
        """Return the orders that were accepted, the venue's own among them."""
        return [
            PlaceOrder(
                t, self._name(user), cid, self._name(wallet), size, price, bool(post), bool(red), bool(close), active
            )
            for t, user, cid, wallet, size, price, post, red, close, active in self.order_rows.tolist()
        ]

    def moves(self, asset: str) -> list[Move]:
        """Return the ledger's record."""
        places = _places(self.user, asset)
        begun, times, kinds, sources, targets, amounts = self.move_rows.T.tolist()
        names = (map(NAMES.__getitem__, kinds), map(places.__getitem__, sources), map(places.__getitem__, targets))
        return list(map(tuple.__new__, repeat(Move), zip(begun, times, *names, amounts, strict=True)))

    def final_balances(self, asset: str) -> dict[str, int]:
        """Return the balance of every account that was used, in the order in which they were."""
        places, balances = _places(self.user, asset), self.balances.tolist()
        used = dict.fromkeys(self.move_rows[:, 3:5].ravel().tolist())
        return {places[place]: balances[place] for place in used}

    def _name(self, name: int) -> str:
        return self.user if name == USER else NAMES[name]


@lru_cache(256)
def _named(template: str) -> list[bool]:
    """Return which of the fields of a text are names."""
    return [part.startswith(":s}") for part in template.split("{")[1:]]


@lru_cache(16)
def _places(user: str, asset: str) -> list[str]:
    """Return the name of the account at each place of the balances: see setting_up.py."""
    venue = Venue(asset)
    names = [venue.fees, venue.interest_cut, venue.deficit, venue.dividends, venue.pool_fee, venue.pool]
    names += [venue.issuance, *venue.outside]
    for owner in ("market", user):
        for purse in Account(owner, asset, 0).purses.values():
            names += purse
    return names


class Wanted(NamedTuple):
    """What a run is to keep, or to have read: postings, marks, the equity at samples, orders and balances."""

    moves: bool = False
    marks: bool = False
    books: bool = False
    samples: Any = None


def fly(plan: Plan, prepared: Prepared, wanted: Wanted) -> Landing | None:
    """Return what the run of a plan leaves; None where machine code gives it up and the reference engine must run it.

    Raises UnsupportedError if the strategy cannot be compiled.
    """
    asks = asking(plan.strategy, lots_of(plan.settings.contract))
    if not 0 < plan.settings.deposit_sat <= int64_bounds(plan.settings.contract).max_notional_sat:
        return None
    while True:
        landing = _flown(plan, prepared, asks, wanted)
        if landing != NEEDS_MARKS:
            return landing if isinstance(landing, Landing) else None
        wanted = wanted._replace(marks=True)


def lots_of(contract: Contract) -> Any:
    """Return what tells how many lots a number of contracts is, rounded down: see View.lots_of."""
    return lambda contracts: int(contracts * contract.lots_per_contract)


def _flown(plan: Plan, prepared: Prepared, asks: Asking, wanted: Wanted) -> Landing | int:
    columns_at = prepared.addresses_of(asks.worths)
    count = prepared.count
    marks = np.empty((2, count), np.int64) if wanted.marks else None
    samples = wanted.samples
    sampled = None if samples is None else np.empty(max(len(samples), 1), np.int64)
    rows = None if samples is None else prepared.rows_of(samples)
    settings = plan.settings
    given, tables = _given(settings.contract, settings.rules, settings.limits, settings.start_ns)
    given = given.copy()
    left = np.zeros(len(Left._fields), np.int64)
    values = {
        "columns_at": columns_at,
        "ask_at": asks.address,
        "params_at": asks.params.ctypes.data,
        "equity_at": marks[0].ctypes.data if marks is not None and count else 0,
        "position_at": marks[1].ctypes.data if marks is not None and count else 0,
        "samples_at": 0 if rows is None else rows.ctypes.data,
        "sampled_at": 0 if sampled is None else sampled.ctypes.data,
        "events": count,
        "is_bars": bool(plan.history.bars),
        "keep_moves": wanted.moves,
        "end_ns": plan.end_ns,
        "deposit_sat": settings.deposit_sat,
    }
    for name, value in values.items():
        given[_PLACE[name]] = value
    words, base = _run(given, left)
    if (asks.shelf is not None and asks.shelf.has_failed()) or base == 0:
        return -1
    assert tables
    if left[0] != DONE:
        return int(left[0])
    return _landed(plan, words, base, Left(*left.tolist()), marks, sampled, wanted.books)


_PLACE: Final = {name: at for at, name in enumerate(Given._fields)}


def _run(given: Any, left: Any) -> tuple[Any, int]:
    """Run in an arena that is large enough; return that and where it lies, 0 where machine code gives it up."""
    run = course()
    words = _MEMORY.take()
    try:
        while True:
            base = words.ctypes.data
            words[0], words[1] = base + 16, base + words.nbytes
            given[_PLACE["arena_at"]] = base
            try:
                run(given.ctypes.data, left.ctypes.data)
                return words, base
            except MemoryError:
                if len(words) >= MOST_WORDS:
                    return words, 0
                words = np.zeros(4 * len(words), np.int64)
            except (AssertionError, ArithmeticError, ValueError, LookupError):
                return words, 0  # the reference engine says what is wrong
    finally:
        _MEMORY.words = words


@lru_cache(16)
def _given(contract: Contract, rules: MarketRules, limits: RiskLimits, start_ns: int) -> tuple[Any, Any]:
    """Return the words of Given that follow from these, and what must live as long as they."""
    margin = np.array([(s.from_ns, s.initial_ppm, s.maintenance_ppm) for s in contract.margin], np.int64)
    collateral = np.array([(s.from_ns, s.contract_counts) for s in contract.collateral], np.int64)
    bounds, lending = int64_bounds(contract), contract.lending
    values: dict[str, Any] = dict.fromkeys(Given._fields, 0)
    for source in (contract, lending, rules, limits, bounds):
        for name in values:
            if isinstance(getattr(source, name, None), int):
                values[name] = getattr(source, name)
    values.update(
        contract_end_ns=contract.end_ns,
        started_ns=start_ns,
        accrual=number(lending.accrual),
        demand_sat=rules.demand[0],
        demand_lots=rules.demand[1],
        margin_at=margin.ctypes.data,
        margins=len(margin),
        collateral_at=collateral.ctypes.data,
        collaterals=len(collateral),
        most_sat=(1 << 60) // max(PPM, contract.margin_call_ppm, contract.lots_per_contract),
    )
    return np.array(list(values.values()), np.int64), (margin, collateral)


def _landed(plan: Plan, words: Any, base: int, left: Left, marks: Any, sampled: Any, books: bool) -> Landing:
    from backtests.compiled_engine.reading import Reader

    read = Reader(words, base, left.state_at)
    return Landing(
        user=plan.strategy.name,
        left=left,
        last=Mark(left.time_ns, left.mark_sat, left.lots, left.equity_sat),
        marked=left.marked,
        fill_rows=read.rows("fills", 9),
        notice_rows=read.rows("notices", 10),
        move_rows=read.moves() if books else None,
        order_rows=read.orders() if books else None,
        balances=read.balances() if books else None,
        equity_sat=None if marks is None else marks[0][: left.marked],
        position_lots=None if marks is None else marks[1][: left.marked],
        sampled_sat=None if sampled is None else sampled[: left.sampled],
    )


def without_moves(plan: Plan) -> Plan:
    """Return the plan with postings dropped."""
    settings = plan.settings
    if not (settings.observe or settings.debug or settings.keep_moves):
        return plan
    return replace(plan, settings=replace(settings, observe=False, debug=False, keep_moves=False))


def result(plan: Plan, prepared: Prepared, landing: Landing) -> RunResult:
    """Return what the reference engine returns for the plan."""
    asset = plan.settings.contract.asset
    marked = landing.marked
    columns = (
        prepared.columns.known_ns[:marked],
        prepared.columns.mark_sat[:marked],
        landing.position_lots,
        landing.equity_sat,
    )
    return RunResult(
        name=plan.strategy.name,
        engine="compiled",
        user=landing.user,
        contract=plan.settings.contract,
        start_ns=plan.settings.start_ns,
        end_ns=plan.end_ns,
        start_equity_sat=plan.settings.deposit_sat,
        fills=landing.fills(),
        postings=Postings(partial(landing.moves, asset)) if plan.settings.keep_moves else NotKept(),
        marks=Marks(columns, landing.last),
        notices=landing.notices(),
        observations=[],
        final_balances=landing.final_balances(asset),
        orders=landing.orders(),
    )
