"""What a run is given and what it leaves, as numbers that machine code takes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

REAL_COLUMNS: Final = (
    "growth_per_retarget",
    *("fair_sat", "difficulty", "fair_long_sat", "fair_short_sat", "fair_lender_sat"),
    *("stretch_low_edge", "stretch_high_edge"),
)
"""Columns of floats; all others are whole numbers."""
STRETCH: Final = 16
"""So many events are summed up in one entry of the columns of stretches."""


class Columns(NamedTuple):
    """The market as arrays, one entry an event; shared by all runs on one history and never written to.

    `open_ns`, `open_sat` are a bar's opening (of a quote, the quote itself), `known_ns`, `mark_sat` what is known with
    it; `high_sat` and `low_sat` a bar's. `blocks_seen`, `rates_seen` count the blocks and swap rates at or before
    `known_ns`. `growth_per_retarget` is the view's, after so many blocks.

    After so many blocks: `index`, `carry` the dividend index and what is left of it, `fees_sat`, `nets_sat` the sums
    posted, `begun` the transactions, `growths` how often the expected growth has changed, `difficulty`. `block_ns` has
    an entry for each block and a last one that never comes; `rate_ns`, with the same, `rate_asset`, `rate_ppb_day` and
    `rate_available` are the rows of swap rates. `block_at` and `rate_at` are the first event that knows of each. The
    worths to a long, a short and a lender are the fair value where no strategy has asked for them.

    Columns of stretches have one entry for STRETCH events: least and greatest edge, open or mark, and pause before an
    event's opening.
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
    growth_per_retarget: Any
    growths: Any
    difficulty: Any
    block_ns: Any
    block_at: Any
    rate_ns: Any
    rate_at: Any
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


class Given(NamedTuple):
    """What a run is given: addresses, the contract's terms, the market's rules, the limits of the trader."""

    arena_at: int
    columns_at: int
    ask_at: int
    params_at: int
    equity_at: int
    position_at: int
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
    """What a run leaves: how it ended, the mark at its end, where its state lies in the arena; how many stretches
    were passed by, how many events were looked at in leaps, and how many went through the exchange."""

    outcome: int
    marked: int
    time_ns: int
    mark_sat: int
    lots: int
    equity_sat: int
    state_at: int
    passed: int
    looked: int
    taken: int


DONE: Final = 0
STRATEGY_FAILED: Final = 1
TOO_WIDE: Final = 2
NEEDS_MARKS: Final = 3
"""How a run may end: the last three are for others to run."""
