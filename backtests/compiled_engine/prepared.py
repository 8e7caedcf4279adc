"""What all runs on one history share: the market, the fair value and the dividend index as arrays, computed once.

None of it depends on what is held: the value and the index follow from contract, chain and growth model alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from backtests.compiled_engine.journey import (
    BLOCKS_SEEN,
    HIGH_SAT,
    KNOWN_NS,
    LEVELS,
    LONGEST_GAP_NS,
    LOW_SAT,
    REAL_COLUMNS,
    SAMPLE_WORDS,
    SHORTEST_GAP_NS,
    STRETCH_BITS,
    STRETCH_WORDS,
    Columns,
)
from backtests.compiled_engine.rows import Rows, rows_between
from backtests.compiled_engine.strategy import worths_of
from backtests.plan import Plan
from bot.core import settlement
from bot.core.accrual import INTEREST_DENOMINATOR
from bot.core.contract import Contract, int64_bounds
from bot.core.events import BTC, CONTRACT, RANK_BLOCK, Bar, Block, SwapRate
from bot.core.state import MarketRules, new_state
from bot.core.units import INT64_MAX, PPM
from bot.errors import UnsupportedError
from bot.session import Strategy
from strategies.view import NEVER

_WIDTH: Final = 1 << STRETCH_BITS
MOST: Final = INT64_MAX // 2
"""No number of the compiled code reaches this; the other half is room for what is added before it is compared."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """One history on one chain under one contract, ready for any number of runs; nothing in it is changed by a run."""

    plan: Plan
    events: Rows
    columns: Columns
    blocks: list[Block]
    rates: list[SwapRate]
    _worths: dict[str, Any] = field(default_factory=dict)
    _addresses: dict[tuple[str, ...], Any] = field(default_factory=dict)
    _sampled: list[tuple[Any, Any]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many market events the run has."""
        return len(self.events)

    def addresses_of(self, worths: tuple[str, ...]) -> int:
        """Return where the addresses of the columns lie, as COLUMNS of structs.py, with these worths computed."""
        if worths not in self._addresses:
            for name in worths:
                if name not in self._worths:
                    self._worths[name] = _worths(self, name)
            columns = self.columns._replace(**{name: self._worths[name] for name in worths})
            for name, column in columns._asdict().items():
                wanted = np.dtype(float if name in REAL_COLUMNS else np.int64)
                assert column.dtype == wanted and column.flags.c_contiguous, f"{name} is {column.dtype}"
            addresses = np.array([column.ctypes.data for column in columns], np.int64)
            self._addresses[worths] = (addresses, columns)
        return int(self._addresses[worths][0].ctypes.data)

    def rows_of(self, samples: Any) -> Any:
        """Return a row of SAMPLE_WORDS for each of these events that there is, and a last one that never comes."""
        for known, rows in self._sampled:
            if known is samples:
                return rows
        columns, events = self.columns, samples[: np.searchsorted(samples, self.count)]
        rows = np.full((len(events) + 1, SAMPLE_WORDS), NEVER, np.int64)
        indices = columns.index[columns.blocks_seen[events]]
        rows[:-1] = np.stack((events, columns.known_ns[events], columns.mark_sat[events], indices), 1)
        self._sampled[:] = [(samples, rows)]
        return rows

    def fits(self, plan: Plan) -> bool:
        """Return whether `plan` differs in nothing but strategy, deposit, limits and the market's rules."""
        ours, theirs = self.plan, plan
        return (
            ours.history is theirs.history
            and (ours.blocks is theirs.blocks or ours.blocks == theirs.blocks)
            and (ours.past_epochs is theirs.past_epochs or ours.past_epochs == theirs.past_epochs)
            and (ours.growth, ours.past_fees) == (theirs.growth, theirs.past_fees)
            and ours.settings.contract == theirs.settings.contract
            and (ours.settings.start_ns, ours.end_ns) == (theirs.settings.start_ns, theirs.end_ns)
        )


def prepare(plan: Plan) -> Prepared:
    """Return what `plan` shares with every plan on its history, chain, contract and growth model.

    Raises UnsupportedError where the contract or the history reach beyond what 64 bits hold.
    """
    history = plan.history
    events = rows_between(history.bars or history.quotes, plan.settings.start_ns, plan.end_ns)
    world = plan.world()
    blocks = [event for _, rank, event in world if rank == RANK_BLOCK and isinstance(event, Block)]
    rates = [event for _, _, event in world if isinstance(event, SwapRate)]
    passages = _passages(plan.settings.contract, blocks)
    market = _market(events)
    highest_sat = max(int(market[name].max(initial=0)) for name in ("open_sat", "mark_sat", "ask_sat"))
    _check_bounds(plan.settings.contract, passages, highest_sat)
    known_ns = market["known_ns"]
    fair, difficulty, growth, growths = _values(plan, known_ns, blocks)
    block_ns = np.array([b.time_ns for b in blocks] + [NEVER], np.int64)
    rate_ns = np.array([r.time_ns for r in rates] + [NEVER], np.int64)
    blocks_seen = np.searchsorted(block_ns, known_ns, side="right")
    rates_seen = np.searchsorted(rate_ns, known_ns, side="right")
    columns = Columns(
        **market,
        fair_sat=fair,
        blocks_seen=blocks_seen,
        block_at=np.searchsorted(blocks_seen, np.arange(len(blocks) + 1), side="right"),
        rates_seen=rates_seen,
        rate_at=np.searchsorted(rates_seen, np.arange(len(rates) + 1), side="right"),
        **passages,
        growths=growths,
        growth_at=_growth_at(growths, blocks_seen),
        difficulty=difficulty,
        growth_per_retarget=growth,
        block_ns=block_ns,
        rate_ns=rate_ns,
        rate_asset=np.array([r.asset for r in rates], np.int64),
        rate_ppb_day=np.array([r.rate_ppb_day for r in rates], np.int64),
        rate_available=np.array([min(r.available, MOST) for r in rates], np.int64),
        rate_offers=np.cumsum([0, *(r.available > 0 for r in rates)]),
        rate_last_btc=_last_rows(rates, BTC),
        rate_last_lots=_last_rows(rates, CONTRACT),
        fair_long_sat=fair,
        fair_short_sat=fair,
        fair_lender_sat=fair,
        **_stretches(market, fair, blocks_seen),
    )
    for column in columns:
        column.flags.writeable = False
    prepared = Prepared(replace(plan, strategy=_NOBODY), events, columns, blocks, rates)
    prepared.addresses_of(worths_of(plan.strategy.decide))
    return prepared


def _nothing(*_: Any) -> Any:
    raise AssertionError("a prepared history has no strategy")


_NOBODY: Final = Strategy("", _nothing, None)


def _market(events: Rows) -> dict[str, Any]:
    """Return the columns of bars or quotes."""
    if events.kind is Bar:
        opens_ns, known_ns, open_sat, high_sat, low_sat, mark_sat, volume = events.table
        none = np.zeros_like(volume)
        bid_sat, bid_size, ask_sat, ask_size = none, volume, none, volume
    else:
        known_ns, bid_sat, bid_size, ask_sat, ask_size = events.table
        mark_sat = (bid_sat + ask_sat) // 2  # rounded down, as Exchange.on_quote does
        opens_ns, open_sat, high_sat, low_sat = known_ns, mark_sat, mark_sat, mark_sat
    names = "open_ns open_sat known_ns mark_sat high_sat low_sat bid_sat bid_size_lots ask_sat ask_size_lots"
    columns = (opens_ns, open_sat, known_ns, mark_sat, high_sat, low_sat, bid_sat, bid_size, ask_sat, ask_size)
    return dict(zip(names.split(), columns, strict=True))


def _growth_at(growths: Any, blocks_seen: Any) -> Any:
    """Return, after so many blocks, the first event that knows of a block with another growth."""
    changes = np.append(np.flatnonzero(growths[1:] != growths[:-1]) + 1, len(growths) + 1)
    following = changes[np.searchsorted(changes, np.arange(len(growths)), side="right").clip(max=len(changes) - 1)]
    return np.searchsorted(blocks_seen, following, side="left")


def _last_rows(rates: list[SwapRate], asset: int) -> Any:
    """Return, after so many rows of swap rates, which was the last of an asset; -1 if none was."""
    rows = np.array([-1, *(k if row.asset == asset else -1 for k, row in enumerate(rates))], np.int64)
    return np.maximum.accumulate(rows)


def _stretches(market: dict[str, Any], fair: Any, blocks_seen: Any) -> dict[str, Any]:
    """Return the edge, and the columns of whole stretches of events; what is left over at the end has no entry."""
    opens_ns, known_ns, open_sat, mark_sat = (market[n] for n in ("open_ns", "known_ns", "open_sat", "mark_sat"))
    edge = np.full(len(fair), np.inf)
    np.divide(mark_sat, fair, out=edge, where=fair > 0.0)
    edge = edge - 1.0
    gap_ns = opens_ns - np.concatenate(([-MOST], known_ns[:-1]))[: len(opens_ns)]

    def levels(column: Any, of: Any) -> Any:
        found = []
        for _ in range(LEVELS):
            column = of(column[: len(column) // _WIDTH * _WIDTH].reshape(-1, _WIDTH), axis=1)
            found.append(column)
        return np.concatenate(found)

    words: list[Any] = [None] * STRETCH_WORDS
    words[LOW_SAT] = levels(np.minimum(open_sat, mark_sat), np.min)
    words[HIGH_SAT] = levels(np.maximum(open_sat, mark_sat), np.max)
    words[SHORTEST_GAP_NS], words[LONGEST_GAP_NS] = levels(gap_ns, np.min), levels(gap_ns, np.max)
    words[KNOWN_NS], words[BLOCKS_SEEN] = levels(known_ns, np.max), levels(blocks_seen, np.max)
    counts = [len(edge) >> STRETCH_BITS * (level + 1) for level in range(LEVELS)]
    return {
        "edge": edge,
        "stretch_edges": np.stack((levels(edge, np.min), levels(edge, np.max)), 1).ravel(),
        "stretches": np.stack(words, 1).ravel(),
        "level_at": np.cumsum([0, *counts]),
    }


def _values(plan: Plan, known_ns: Any, blocks: list[Block]) -> tuple[Any, Any, Any, Any]:
    """Return the model's value at each event, asked in order as a session asks it, and the difficulty after k blocks.

    Also the growth expected then, and how often that has changed. Between two changes of what is known the value is a
    straight line: the model is asked once for each.
    """
    value = plan.value()
    fair, difficulty, growth = np.empty(len(known_ns)), np.empty(len(blocks) + 1), np.empty(len(blocks) + 1)
    growths = np.zeros(len(blocks) + 1, np.int64)
    difficulty[0], growth[0] = value.difficulty, value.growth_per_retarget
    seen = np.searchsorted(known_ns, np.array([b.time_ns for b in blocks], np.int64), side="left").tolist()
    line: tuple[int, float, float] | None = None
    from_at = at = 0

    def draw(to: int) -> None:
        if line is not None and to > from_at:
            until_ns, value_sat, slope_sat_ns = line
            fair[from_at:to] = value_sat + slope_sat_ns * (until_ns - known_ns[from_at:to])

    for k, first in enumerate([*seen, len(known_ns)]):  # events before `first` do not know block k
        while at < first:
            now = value.line(int(known_ns[at]))
            if now != line:
                draw(at)
                line, from_at = now, at
            at = first if known_ns[first - 1] < now[0] else int(np.searchsorted(known_ns, now[0], "left"))
        if k < len(blocks):
            value.on_block(blocks[k])
            difficulty[k + 1], growth[k + 1] = value.difficulty, value.growth_per_retarget
            growths[k + 1] = growths[k] + (growth[k + 1] != growth[k])
    draw(len(known_ns))
    return fair, difficulty, growth, growths


def _worths(prepared: Prepared, name: str) -> Any:
    """Return what the model says at each event by that name of the view, at the swap rates of that moment."""
    plan, columns, blocks = prepared.plan, prepared.columns, prepared.blocks
    value = plan.value()
    rate_of, taught, told = [0, 0], 0, 0
    worths = np.empty(prepared.count)
    rows = zip(columns.known_ns.tolist(), columns.blocks_seen.tolist(), columns.rates_seen.tolist(), strict=True)
    for at, (known_ns, seen, rates) in enumerate(rows):
        for block in blocks[taught:seen]:
            value.on_block(block)
        for row in prepared.rates[told:rates]:
            rate_of[row.asset] = row.rate_ppb_day
        taught, told = seen, rates
        if name == "fair_long_sat":
            worths[at] = value.value_to_long(known_ns, rate_of[BTC])
        elif name == "fair_short_sat":
            worths[at] = value.value_to_short(known_ns, rate_of[CONTRACT])
        else:
            worths[at] = value.value_to_lender(known_ns, 0, rate_of[CONTRACT])
    worths.flags.writeable = False
    return worths


def _passages(contract: Contract, blocks: list[Block]) -> dict[str, Any]:
    """Return the columns of what blocks leave behind, told by the core's own rule for each block."""
    state = new_state(contract, MarketRules(), 0, keep_moves=False)
    venue, ledger = state.venue, state.ledger
    rows = [(0, 0, 0, 0, ledger.transaction)]
    for block in blocks:
        state.time_ns = block.time_ns
        settlement.on_block(state, block)
        fees, nets = state.balance(venue.pool_fee), state.balance(venue.dividends)
        rows.append((state.index, state.index_carry, fees, nets, ledger.transaction))
    names = ("index", "carry", "fees_sat", "nets_sat", "begun")
    try:
        table = np.ascontiguousarray(np.array(rows, np.int64).T)
    except OverflowError as error:
        raise UnsupportedError(f"{contract.id}: dividends beyond 64 bits: take --engine reference") from error
    return dict(zip(names, table, strict=True))


def _check_bounds(contract: Contract, passages: dict[str, Any], highest_sat: int) -> None:
    """Refuse by name what would leave 64 bits; what depends on the account is looked at before each leap."""
    margin_ppm = max(step.initial_ppm for step in contract.margin)
    tranche_sat = contract.tranche_lots * highest_sat // contract.lots_per_contract
    for what, number, most in (
        ("the highest price, in satoshi", highest_sat, int64_bounds(contract).max_price_sat),
        ("the highest price x shares of it", 16 * highest_sat * max(margin_ppm, PPM), MOST),
        ("the tranche's worth x margin", tranche_sat * max(margin_ppm, PPM), MOST),
        ("margin x margin call level", tranche_sat * margin_ppm // PPM * contract.margin_call_ppm, MOST),
        ("the dividend index x tranche", int(passages["index"][-1]) * contract.tranche_lots, MOST),
        ("lots per contract x interest's unit", contract.lots_per_contract * INTEREST_DENOMINATOR, MOST),
    ):
        if number > most:
            what = f"{what} is {number}, the compiled engine's integers reach {most}"
            raise UnsupportedError(f"{contract.id}: {what}", "take --engine reference")
