"""TH1BTC as tests need it, by hand, so that they stand without the contract file."""

from __future__ import annotations

from dataclasses import replace

from bot.core.contract import CollateralStep, Contract, Lending, MarginStep, Payout
from bot.core.units import NS_PER_S

START_NS = 1_410_739_200 * NS_PER_S  # 2014-09-15T00:00:00Z
END_NS = 1_418_601_600 * NS_PER_S  # 2014-12-15T00:00:00Z


def th1(**changes: object) -> Contract:
    """Return the contract with some terms changed."""
    contract = Contract(
        id="TH1BTC-2014Q4",
        symbol="TH1BTC",
        asset="TH1",
        kind="dividend_term",
        hash_rate_hs=10**12,
        lots_per_contract=100,
        tick_sat=10_000,
        tranche_lots=10_000,
        start_ns=START_NS,
        end_ns=END_NS,
        payout=Payout("pps", 30_000, False, 0, 0),
        margin=(MarginStep(START_NS, 250_000, 125_000),),
        collateral=(CollateralStep(START_NS, True),),
        margin_call_ppm=1_500_000,
        lending=Lending(2, 30, 150_000, 50_000_000, "mark"),
        maker_fee_ppm=1_000,
        taker_fee_ppm=2_000,
    )
    return replace(contract, **changes)  # type: ignore[arg-type]
