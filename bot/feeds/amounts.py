"""From a stranger's numbers to whole satoshi and lots: exact, with every rounding named, or refused."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, NamedTuple

from bot.core.contract import Contract
from bot.core.units import SAT_PER_BTC
from bot.feeds.errors import AnswerError
from bot.history.fields import MAX_PRICE_SAT, MAX_SIZE_CONTRACTS

_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?")


class Scale(NamedTuple):
    """How an exchange's figures become ours: one unit traded there is `unit_contracts` contracts, priced in BTC."""

    unit_contracts: Decimal
    lots_per_contract: int
    source: str


def scale_of(contract: Contract, unit_contracts: Decimal, source: str) -> Scale:
    """Return the scale of a contract's market; `unit_contracts` > 0."""
    return Scale(unit_contracts, contract.lots_per_contract, source)


def exact(value: Any, scale: Scale, of: str) -> Decimal:
    """Return a number as it was written; raises AnswerError for NaN, infinity, and what is no number.

    A float, which some streams give, is read as the shortest decimal text that it is the nearest float of: for up to
    15 digits that is the text which the exchange sent.

    >>> exact(0.1, Scale(Decimal(1), 100, "x"), "price")
    Decimal('0.1')
    """
    if type(value) is float:
        value = repr(value)
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise AnswerError(scale.source, f"{of}: {str(value)[:40]!r} is no number")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):  # Decimal would take `1_0` and digits of other scripts
        raise AnswerError(scale.source, f"{of}: {value[:40]!r} is no number")
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > 30:
        raise AnswerError(scale.source, f"{of}: {str(value)[:40]!r} is no amount")
    return number


def price_sat_down(value: Any, scale: Scale, of: str) -> int:
    """Return a bid in satoshi per contract, what is finer than a satoshi rounded down: nobody bids more than shown."""
    number, divisor = _ratio(value, scale, of)
    return _bounded_price(number // divisor, value, scale, of)


def price_sat_up(value: Any, scale: Scale, of: str) -> int:
    """Return an ask in satoshi per contract, what is finer than a satoshi rounded up: nobody asks less than shown."""
    number, divisor = _ratio(value, scale, of)
    return _bounded_price(-(-number // divisor), value, scale, of)


def price_sat_half_up(value: Any, scale: Scale, of: str) -> int:
    """Return a traded price in satoshi per contract, rounded to the nearest, halves up."""
    number, divisor = _ratio(value, scale, of)
    return _bounded_price((2 * number + divisor) // (2 * divisor), value, scale, of)


def lots_down(value: Any, scale: Scale, of: str) -> int:
    """Return a size in lots, rounded down: counting less than is shown can only make fills scarcer."""
    number = exact(value, scale, of)
    if number < 0:
        raise AnswerError(scale.source, f"{of}: {number} is below 0")
    digits, places = (number * scale.unit_contracts).as_integer_ratio()
    lots = digits * scale.lots_per_contract // places
    if lots > MAX_SIZE_CONTRACTS * scale.lots_per_contract:
        raise AnswerError(scale.source, f"{of}: {number} is more than {MAX_SIZE_CONTRACTS} contracts")
    return lots


def _ratio(value: Any, scale: Scale, of: str) -> tuple[int, int]:
    """Return satoshi per contract as a fraction; the price must be above 0."""
    number = exact(value, scale, of)
    if number <= 0:
        raise AnswerError(scale.source, f"{of}: {number} is not above 0")
    top, bottom = number.as_integer_ratio()
    unit_top, unit_bottom = scale.unit_contracts.as_integer_ratio()
    return top * SAT_PER_BTC * unit_bottom, bottom * unit_top


def _bounded_price(price_sat: int, value: Any, scale: Scale, of: str) -> int:
    if not 0 < price_sat <= MAX_PRICE_SAT:
        raise AnswerError(scale.source, f"{of}: {str(value)[:40]} is not between 1 satoshi and 21000000 BTC a contract")
    return price_sat
