"""What a journal's first entry says: contract, rules and all else that a replay begins with, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bot.core.contract import CollateralStep, Contract, Lending, MarginStep, Payout
from bot.core.state import MarketRules


def contract_document(contract: Contract) -> dict[str, Any]:
    """Return a contract's terms as JSON has them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(contract).items()}


def contract_of(document: Mapping[str, Any]) -> Contract:
    """Return the contract that `contract_document` wrote. Raises TypeError or KeyError for anything else."""
    parts = dict(document)
    parts["payout"] = Payout(**parts["payout"])
    parts["lending"] = Lending(**parts["lending"])
    parts["margin"] = tuple(MarginStep(**step) for step in parts["margin"])
    parts["collateral"] = tuple(CollateralStep(**step) for step in parts["collateral"])
    return Contract(**parts)


def rules_document(rules: MarketRules) -> dict[str, Any]:
    """Return market rules as JSON has them."""
    return {**asdict(rules), "demand": list(rules.demand)}


def rules_of(document: Mapping[str, Any]) -> MarketRules:
    """Return the rules that `rules_document` wrote. Raises TypeError or KeyError for anything else."""
    return MarketRules(**{**document, "demand": tuple(document["demand"])})
