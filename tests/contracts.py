"""TH1BTC as it traded: the contract of the ledgers with its own tick, collateral and highest rate."""

from __future__ import annotations

from typing import Any

from bot.core.contract import CollateralStep, Contract, Lending
from tests.ledgers import END_NS, START_NS, terms

__all__ = ["END_NS", "START_NS", "th1"]


def th1(**changes: Any) -> Contract:
    """Return the contract with some terms changed."""
    own = {
        "tick_sat": 10_000,
        "collateral": (CollateralStep(START_NS, True),),
        "lending": Lending(2, 30, 150_000, 50_000_000, "mark"),
    }
    return terms(**(own | changes))
