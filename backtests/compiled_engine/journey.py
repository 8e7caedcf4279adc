"""What a run is given and what it leaves, as numbers that machine code takes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

REAL_COLUMNS: Final = (
    *("fair_sat", "difficulty", "growth_per_retarget", "fair_long_sat", "fair_short_sat", "fair_lender_sat"),
    *("edge", "stretch_edges"),
)
"""Columns of floats; all others are whole numbers."""
STRETCH_BITS: Final = 4
"""2^4 events are summed up in one entry of the columns of stretches, as many of these in one of the next level, ..."""
LEVELS: Final = 3
"""... and so many levels there are."""
LOW_SAT, HIGH_SAT, SHORTEST_GAP_NS, LONGEST_GAP_NS, KNOWN_NS, BLOCKS_SEEN = range(6)
"""The words of a stretch in the column `stretches`, side by side, as they are looked at together."""
STRETCH_WORDS: Final = 6
SAMPLE_WORDS: Final = 4
"""A sample is a row of so many words: an event, its time, its mark, the dividend index that it knows."""


class Columns(NamedTuple):
    """The market as arrays, one entry an event; shared by all runs on one history and never written to.

    `open_ns`, `open_sat` are a bar's opening (of a quote, the quote itself), `known_ns`, `mark_sat` what is known with
    it; `high_sat` and `low_sat` a bar's. `blocks_seen`, `rates_seen` count the blocks and swap rates at or before
    `known_ns`.

    After so many blocks: `index`, `carry` the dividend index and what is left of it, `fees_sat`, `nets_sat` the sums
    posted, `begun` the transactions, `growth_per_retarget` the expected growth, `growths` how often it has changed,
    `growth_at` the first event that knows of another, `difficulty`. `block_ns` has an entry for each block and a last
    one that never comes; `rate_ns`, with the same, `rate_asset`, `rate_ppb_day` and `rate_available` are the rows of
    swap rates. `block_at` and `rate_at` are the first event that knows of each. After so many rows, `rate_offers` of
    them brought an offer, and `rate_last_btc` and `rate_last_lots` is the last row of each asset, -1 if there was none.
    `edge` is View.edge. The worths to a long, a short and a lender are the fair value where no strategy has asked for
    them.

    `stretch_edges` has the least and the greatest edge of each stretch, `stretches` STRETCH_WORDS for each: least and
    greatest open or mark, shortest and longest pause before an event's opening, `known_ns` and `blocks_seen` of its
    last event. Their levels lie one after the other; `level_at` is where each begins, and where the last one ends.
    """

    open_ns: Any
    open_sat: Any
    known_ns: Any
    mark_sat: Any
    high_sat: Any
    low_sat: Any
    bid_sat: Any
    bid_size_lots: Any
    ask_sat: Any
    ask_size_lots: Any
    fair_sat: Any
    blocks_seen: Any
    rates_seen: Any
    index: Any
    carry: Any
    fees_sat: Any
    nets_sat: Any
    begun: Any
    growths: Any
    growth_at: Any
    difficulty: Any
    growth_per_retarget: Any
    block_ns: Any
    block_at: Any
    rate_ns: Any
    rate_at: Any
    rate_asset: Any
    rate_ppb_day: Any
    rate_available: Any
    rate_offers: Any
    rate_last_btc: Any
    rate_last_lots: Any
    edge: Any
    fair_long_sat: Any
    fair_short_sat: Any
    fair_lender_sat: Any
    stretch_edges: Any
    stretches: Any
    level_at: Any


class Given(NamedTuple):
    """What a run is given: addresses, the contract's terms, the market's rules, the limits of the trader."""

    arena_at: int
    columns_at: int
    ask_at: int
    params_at: int
    equity_at: int
    position_at: int
    samples_at: int
    sampled_at: int
    events: int
    is_bars: int
    keep_moves: int
    end_ns: int
    deposit_sat: int
    started_ns: int
    margin_at: int
    margins: int
    collateral_at: int
    collaterals: int
    most_sat: int
    # bot.core.contract.Contract, Lending and Bounds
    lots_per_contract: int
    tick_sat: int
    tranche_lots: int
    hash_rate_hs: int
    start_ns: int
    contract_end_ns: int
    margin_call_ppm: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    max_price_sat: int
    max_notional_sat: int
    min_term_days: int
    max_term_days: int
    venue_cut_ppm: int
    max_rate_ppb_day: int
    accrual: int
    # bot.core.state.MarketRules
    participation_ppm: int
    half_spread_ppm: int
    depth_levels: int
    touch_fills: int
    loan_term_days: int
    demand_sat: int
    demand_lots: int
    # bot.trader.RiskLimits
    max_position_lots: int
    max_order_lots: int
    max_drawdown_ppm: int
    stale_after_ns: int
    latency_ns: int
    max_block_age_ns: int
    max_orders_hour: int
    collar_ppm: int
    max_borrow_ppm: int


class Left(NamedTuple):
    """What a run leaves: how it ended, the mark at its end, where its state lies in the arena, and, where samples were
    asked for, how many were taken, the deepest fall from a peak and that peak."""

    outcome: int
    marked: int
    time_ns: int
    mark_sat: int
    lots: int
    equity_sat: int
    state_at: int
    sampled: int
    deepest_sat: int
    deepest_peak_sat: int


DONE: Final = 0
STRATEGY_FAILED: Final = 1
TOO_WIDE: Final = 2
NEEDS_MARKS: Final = 3
"""How a run may end: the last three are for others to run."""
