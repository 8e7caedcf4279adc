"""What a fair value has learned of the chain, as plain values, and a fair value that has learned it.

Only what was told is kept: epochs, fees, how far the present epoch's pace was looked at. Forecasts are made from it
again by the code that made them first, so that a value comes back to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from bot.chain.difficulty import target_from_bits
from bot.core.units import NS_PER_S
from bot.model.fair_value import FairValue
from bot.model.fees import FeeDays, fitted
from bot.model.knowledge import ChainKnowledge

_T = TypeVar("_T")


def learned(value: FairValue) -> dict[str, Any]:
    """Return what `relearn` needs to bring a new value to where this one is."""
    chain, days = value._chain, value._fee_days
    return {
        "bits": chain.bits,
        "epoch_start_ns": chain.epoch_start_ns,
        "height": chain._height,
        "known_ns": chain.known_ns,
        "log_ratios": list(chain._log_ratios),
        "fees_sat": list(chain._fees),
        "sharpened": [chain.sharpened_gaps, chain.sharpened_ns],
        "fee_days": None if days is None else [[list(day) for day in days.days], days._day, days._sum_sat, days._count],
        "expected_fees_sat": [value._fees_then_sat, value._fees_sat],
    }


def relearn(value: FairValue, document: dict[str, Any]) -> None:
    """Bring a new value to where a document says. Raises ValueError, KeyError or TypeError for one that is none."""
    chain = value._chain
    height, days = document["height"], document["fee_days"]
    if (days is None) != (value._fee_days is None):
        raise ValueError("fees are paid out, or not, by another contract")
    _tell_chain(chain, document, None if height is None else _whole(height))
    if value._fee_days is not None:
        _tell_fees(value._fee_days, days)
    then_sat, now_sat = _each(_float, document["expected_fees_sat"])
    value._begin_epoch(then_sat)
    value._fees_sat = now_sat
    value._reprice()


def _tell_chain(chain: ChainKnowledge, document: dict[str, Any], height: int | None) -> None:
    chain.bits, chain._height = _whole(document["bits"]), height
    chain.known_ns = _whole(document["known_ns"])
    chain._log_ratios.clear()
    chain._log_ratios.extend(_each(_float, document["log_ratios"]))
    chain._fees.clear()
    chain._fees.extend(_each(_whole, document["fees_sat"]))
    chain._fees_sum_sat = sum(chain._fees)
    chain._begin(
        _whole(document["epoch_start_ns"]) // NS_PER_S, target_from_bits(chain.bits, "bits", chain._max_target)
    )
    gaps, time_ns = _each(_whole, document["sharpened"])
    if gaps:
        chain._look(gaps, time_ns)


def _tell_fees(days: FeeDays, kept: list[Any]) -> None:
    over, day, sum_sat, count = kept
    days._days.clear()
    days._days.extend((_whole(number), _float(mean_sat)) for number, mean_sat in over)
    days._day, days._sum_sat, days._count = _each(_whole, (day, sum_sat, count))
    days.forecast = fitted(days.days)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{str(value)[:80]!r} is not a whole number")
    return value


def _float(value: Any) -> float:
    if type(value) is not float:
        raise ValueError(f"{str(value)[:80]!r} is not a float")
    return value


def _each(kind: Callable[[Any], _T], values: Any) -> list[_T]:
    return [kind(one) for one in values]
