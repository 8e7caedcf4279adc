"""Contract terms as integers: what the YAML document of a contract says, ready for exact arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from bot.core.units import INT64_MAX, PPB

PPS = "pps"
FPPS = "fpps"
PRO_RATA = "pro_rata"
MARK = "mark"
ENTRY_NOTIONAL = "entry_notional"


@dataclass(frozen=True, slots=True)
class MarginStep:
    """Initial and maintenance margin in parts per million of position value, valid from `from_ns` on."""

    from_ns: int
    initial_ppm: int
    maintenance_ppm: int


@dataclass(frozen=True, slots=True)
class CollateralStep:
    """Whether owned contracts in the trading wallet count as collateral, valid from `from_ns` on."""

    from_ns: int
    contract_counts: bool


@dataclass(frozen=True, slots=True)
class Payout:
    """How a block's reward becomes a dividend.

    `basis`: `pps` pays by hashes (subsidy only), `fpps` adds transaction fees, `pro_rata` pays a share of
    the blocks that a pool of `pool_hs` hashes per second finds, luck drawn from `luck_seed`.
    `exact_hashes`: 2^48/65535 hashes per unit of difficulty; otherwise the pools' 2^32.
    """

    basis: str
    fee_ppm: int
    exact_hashes: bool
    pool_hs: int
    luck_seed: int


@dataclass(frozen=True, slots=True)
class Lending:
    """Rules of the loan market. Rates in parts per billion per day, terms in whole days."""

    min_term_days: int
    max_term_days: int
    venue_cut_ppm: int
    max_rate_ppb_day: int
    accrual: str


@dataclass(frozen=True, slots=True)
class Contract:
    """One tradable hash-power contract.

    `hash_rate_hs` is per contract; `tranche_lots` is how much of it exists; dividends accrue in
    (start_ns, end_ns]; at `end_ns` it expires worthless. Steps are sorted by time, the first at or before start.
    """

    id: str
    symbol: str
    asset: str
    kind: str
    hash_rate_hs: int
    lots_per_contract: int
    tick_sat: int
    tranche_lots: int
    start_ns: int
    end_ns: int
    payout: Payout
    margin: tuple[MarginStep, ...]
    collateral: tuple[CollateralStep, ...]
    margin_call_ppm: int
    lending: Lending
    maker_fee_ppm: int
    taker_fee_ppm: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """The largest price and notional, in satoshi, for which fixed-width notionals and interest rates stay exact."""

    max_price_sat: int
    max_notional_sat: int


def int64_bounds(contract: Contract) -> Bounds:
    """Return the bounds up to which these products stay inside a signed 64-bit integer.

    2 x tranche x price (a notional before its division, which rounds half up), and notional x highest rate (interest
    per second in units of 1/(10^9 x 86400) satoshi). Interest over a day and the income of a block are wider: they
    need Python's unbounded integers, or an engine must split them.

    >>> from bot.core.units import INT64_MAX; INT64_MAX // (2 * 10_000)
    461168601842738
    """
    max_price_sat = (INT64_MAX - contract.lots_per_contract) // (2 * contract.tranche_lots)
    max_notional_sat = INT64_MAX // max(contract.lending.max_rate_ppb_day, PPB // 1000)
    return Bounds(max_price_sat, max_notional_sat)
