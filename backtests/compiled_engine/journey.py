"""What goes into a leap over market events and what comes out of it, as numbers that machine code takes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, get_type_hints

import numpy as np

REAL_COLUMNS: Final = (
    *("fair_sat", "difficulty", "fair_long_sat", "fair_short_sat", "fair_lender_sat"),
    *("stretch_low_edge", "stretch_high_edge"),
)
"""Columns of floats; all others are whole numbers."""
STRETCH: Final = 16
"""So many events are summed up in one entry of the columns of stretches."""


class Columns(NamedTuple):
    """The market as arrays, one entry an event; shared by all runs on one history and never written to.

    `open_ns`, `open_sat` are a bar's opening (of a quote, the quote itself), `known_ns`, `mark_sat` what is known with
    it. `blocks_seen`, `rates_seen` count the blocks and swap rates at or before `known_ns`. `index` and `difficulty`
    are those after so many blocks, `rate_asset`, `rate_ppb_day` and `rate_available` the rows
    themselves. The worths to a long, a short and a lender are the fair value where no strategy has asked for
    them.

    Columns of stretches have one entry for STRETCH events: least and greatest edge, open or mark, and pause before an
    event's opening.
    """

    open_ns: Any
    open_sat: Any
    known_ns: Any
    mark_sat: Any
    bid_sat: Any
    bid_size_lots: Any
    ask_sat: Any
    ask_size_lots: Any
    fair_sat: Any
    blocks_seen: Any
    rates_seen: Any
    index: Any
    difficulty: Any
    rate_asset: Any
    rate_ppb_day: Any
    rate_available: Any
    fair_long_sat: Any
    fair_short_sat: Any
    fair_lender_sat: Any
    stretch_low_edge: Any
    stretch_high_edge: Any
    stretch_low_sat: Any
    stretch_high_sat: Any
    stretch_shortest_gap_ns: Any
    stretch_longest_gap_ns: Any


class Accruing(NamedTuple):
    """The fields of bot.core.margin.Interest; the sums already paid modulo 2^64, and as floats (see wide.py)."""

    from_s: int
    fixed: int
    fixed_paid: int
    fixed_paid_real: float
    marked: int
    marked_paid: int
    marked_paid_real: float


class Departure(NamedTuple):
    """Where a run stands before a leap; whole numbers, flags, and the edges.

    Named as the fields of bot.core's State, Standing, Interest, Contract and MarketRules from which they come.
    """

    at: int
    stop: int
    stop_ns: int
    stale_after_ns: int
    before_ns: int
    blocks_seen: int
    rates_seen: int
    peak_sat: int
    floor_ppm: int
    halted: bool
    # the account
    all_sat: int
    cash_sat: int
    spot_lots: int
    margin_lots: int
    spot_index: int
    spot_carry: int
    margin_index: int
    margin_carry: int
    collateral_lots: int
    has_owed: bool
    owed: Accruing
    denominator: int
    # terms
    initial_ppm: int
    maintenance_ppm: int
    contract_is_collateral: bool
    btc_rate_ppb_day: int
    contract_rate_ppb_day: int
    btc_offer_sat: int
    btc_offer_ppb_day: int
    contract_offer_lots: int
    contract_offer_ppb_day: int
    deliverable_lots: int
    # what was last wanted and reached
    idle_lots: int
    idle_limit_sat: int
    idle_financed: bool
    idle_lend_lots: int
    idle_lend_rate_ppb_day: int
    most_lots: int
    asleep_until_ns: int
    low_edge: float
    high_edge: float


class Terms(NamedTuple):
    """What does not change in a run: fields of the contract and of the market's rules, by their names there."""

    lots_per_contract: int
    tick_sat: int
    tranche_lots: int
    hash_rate_hs: int
    start_ns: int
    end_ns: int
    margin_call_ppm: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    venue_cut_ppm: int
    max_rate_ppb_day: int
    half_spread_ppm: int
    participation_ppm: int


class Landing(NamedTuple):
    """Where a leap ended: `at` is the first event not taken in; what the strategy answered last, if it was asked."""

    at: int
    peak_sat: int
    asked: bool
    asleep_until_ns: int
    answer: Any


def sample() -> tuple[int, Terms, Departure, Any, Any]:
    """Return arguments of `scan` of the right types that mean nothing, for machine code is made before it is run."""
    accruing = Accruing(0, 0, 0, 0.0, 0, 0, 0.0)
    values: dict[Any, Any] = {int: 0, bool: False, float: 0.0, Accruing: accruing}
    start = Departure(*(values[kind] for kind in get_type_hints(Departure).values()))
    terms = Terms(*(0 for _ in Terms._fields))
    return 0, terms, start, np.empty(0, np.int64), np.empty(0)
