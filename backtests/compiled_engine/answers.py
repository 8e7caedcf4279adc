"""What a compiled strategy answers: Target and Wake as numbers of one type each, whatever was left out."""

from __future__ import annotations

from math import inf
from typing import Any, Final, NamedTuple

from numba import boolean, float64, int64, types
from numba.core.errors import TypingError
from numba.extending import overload, register_jitable

from strategies.view import NEVER


class Answer(NamedTuple):
    """A Target with its Wake spread out; `has_wake` False stands for none."""

    position_lots: int
    limit_price_sat: int
    financed: bool
    lend_lots: int
    lend_rate_ppb_day: int
    has_wake: bool
    low_edge: float
    high_edge: float
    at_ns: int
    low_exposure: float
    high_exposure: float
    on_rates: bool


NOTHING: Final = Answer(0, 0, False, 0, 0, False, 0.0, 0.0, 0, -inf, inf, True)
"""Stands for bot.trader.NOTHING."""
ANSWER: Final = types.BaseTuple.from_types(
    (int64, int64, boolean, int64, int64, boolean, float64, float64, int64, float64, float64, boolean), Answer
)


class Sleep(NamedTuple):
    """A Wake."""

    low_edge: float
    high_edge: float
    at_ns: int
    low_exposure: float
    high_exposure: float
    on_rates: bool


NOT_ASLEEP: Final = Sleep(0.0, 0.0, 0, -inf, inf, True)
"""Stands for no Wake."""


class Size(NamedTuple):
    """A Decimal parameter, as compiled code sees it: the lots it comes to."""

    lots: int


def make_target(
    position_lots: int,
    limit_price_sat: int = 0,
    financed: bool = False,
    lend_lots: int = 0,
    lend_rate_ppb_day: int = 0,
    wake: Any = None,
) -> Any:
    """Stand in for Target in compiled code."""
    raise NotImplementedError


def make_wake(
    low_edge: float,
    high_edge: float,
    at_ns: int = NEVER,
    low_exposure: float = -inf,
    high_exposure: float = inf,
    on_rates: bool = True,
) -> Any:
    """Stand in for Wake in compiled code."""
    raise NotImplementedError


def _require_whole(name: str, given: Any) -> None:
    if isinstance(given, types.Omitted):
        return
    if not isinstance(given, types.Integer):
        raise TypingError(f"{name} is {given}, not a whole number: round it, as View.lots_for does")


@overload(make_target)  # type: ignore[untyped-decorator]
def _make_target(
    position_lots: Any,
    limit_price_sat: Any = 0,
    financed: Any = False,
    lend_lots: Any = 0,
    lend_rate_ppb_day: Any = 0,
    wake: Any = None,
) -> Any:
    for name, given in (
        ("position_lots", position_lots),
        ("limit_price_sat", limit_price_sat),
        ("lend_lots", lend_lots),
        ("lend_rate_ppb_day", lend_rate_ppb_day),
    ):
        if given != 0:
            _require_whole(name, given)
    never = wake is None or isinstance(wake, types.NoneType | types.Omitted)
    return _never_asleep if never else _perhaps_asleep if isinstance(wake, types.Optional) else _asleep


def _never_asleep(
    position_lots: Any,
    limit_price_sat: Any = 0,
    financed: Any = False,
    lend_lots: Any = 0,
    lend_rate_ppb_day: Any = 0,
    wake: Any = None,
) -> Any:
    wanted = (position_lots, limit_price_sat, financed, lend_lots, lend_rate_ppb_day)
    return _answer(wanted, False, NOT_ASLEEP)


def _asleep(
    position_lots: Any,
    limit_price_sat: Any = 0,
    financed: Any = False,
    lend_lots: Any = 0,
    lend_rate_ppb_day: Any = 0,
    wake: Any = None,
) -> Any:
    wanted = (position_lots, limit_price_sat, financed, lend_lots, lend_rate_ppb_day)
    return _answer(wanted, True, wake)


def _perhaps_asleep(
    position_lots: Any,
    limit_price_sat: Any = 0,
    financed: Any = False,
    lend_lots: Any = 0,
    lend_rate_ppb_day: Any = 0,
    wake: Any = None,
) -> Any:
    wanted = (position_lots, limit_price_sat, financed, lend_lots, lend_rate_ppb_day)
    if wake is None:
        return _answer(wanted, False, NOT_ASLEEP)
    return _answer(wanted, True, wake)


@register_jitable  # type: ignore[untyped-decorator]
def _answer(wanted: Any, has_wake: bool, wake: Any) -> Any:
    position_lots, limit_price_sat, financed, lend_lots, lend_rate_ppb_day = wanted
    return Answer(
        types.int64(position_lots),
        types.int64(limit_price_sat),
        bool(financed),
        types.int64(lend_lots),
        types.int64(lend_rate_ppb_day),
        has_wake,
        wake.low_edge,
        wake.high_edge,
        wake.at_ns,
        wake.low_exposure,
        wake.high_exposure,
        wake.on_rates,
    )


@overload(make_wake)  # type: ignore[untyped-decorator]
def _make_wake(
    low_edge: Any,
    high_edge: Any,
    at_ns: Any = NEVER,
    low_exposure: Any = -inf,
    high_exposure: Any = inf,
    on_rates: Any = True,
) -> Any:
    if at_ns != NEVER:
        _require_whole("at_ns", at_ns)

    def wake(
        low_edge: Any,
        high_edge: Any,
        at_ns: Any = NEVER,
        low_exposure: Any = -inf,
        high_exposure: Any = inf,
        on_rates: Any = True,
    ) -> Any:
        edges = types.float64(low_edge), types.float64(high_edge)
        exposures = types.float64(low_exposure), types.float64(high_exposure)
        return Sleep(edges[0], edges[1], types.int64(at_ns), exposures[0], exposures[1], bool(on_rates))

    return wake
