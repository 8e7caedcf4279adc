"""Early-exit short: sells a dear contract short, and buys it back when waiting no longer pays.

The premium is taken to revert to a mean at random (bot.model.early_exit); swap is paid on the mark at today's rate, and
now and then a loan is not renewed. Dynamic programming gives the premium below which to leave, and what a short will
gain with the right to leave: it is opened where that exceeds what opening costs by a margin. How fast the premium
reverts is a setting, not an estimate: one contract shows one fall of it, too little to tell a half-life from.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final

from bot.core.events import CONTRACT
from bot.core.units import NS_PER_DAY, PPB, ceil_div
from bot.fields import Duration, Fraction, setting
from strategies.sizing import built
from strategies.table import table
from strategies.view import Target, View, Wake

_STEPS_PER_UNIT: Final = 2_000
"""Swap rate and growth are taken to the nearest 1/2000, 0.05 %, so that a solution serves many events."""
_LN2: Final = 0.6931471805599453


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """The premium is price / value - 1. What it does is an assumption, and so are the costs."""

    half_life_ns: int = setting(
        Duration(),
        key="half_life",
        default="30 d",
        low="1 d",
        high="3650 d",
        doc="Time in which its distance from the mean halves.",
    )
    mean: float = setting(Fraction(), default="0", low="-0.9", high="3", doc="The premium that it reverts to.")
    volatility: float = setting(
        Fraction(), default="0.05", low="0.01", high="1", doc="Its standard deviation over a day, without reversion."
    )
    cost: float = setting(
        Fraction(),
        default="0.03",
        low="0",
        high="1",
        doc="What opening costs, and what closing costs: half the spread, slippage and fee, of the price.",
    )
    recall: float = setting(
        Fraction(),
        default="0.1",
        low="0",
        high="10",
        doc="How often a day a loan is not renewed, so that the short is bought back by force, at the same cost.",
    )
    margin: float = setting(
        Fraction(), default="0.05", low="0", high="5", doc="Profit demanded beyond carry and costs, of the price."
    )
    size: float = setting(
        Fraction(), default="0.1", low="0", high="4", doc="Position value at entry, as a fraction of equity."
    )
    tolerance: float = setting(
        Fraction(), default="0.2", low="0", high="1", doc="Top a position up only when it is this much too small."
    )


def decide(view: View, params: Params) -> Target:
    """Return a short where opening one pays, what is held while waiting pays, else nothing."""
    days_left = ceil_div(view.to_expiry_ns, NS_PER_DAY)
    leave_below, open_above = premiums(view, params)
    premium, position = view.edge, min(view.position_lots, 0)
    tomorrow_ns = view.contract.end_ns - (days_left - 1) * NS_PER_DAY
    if premium > open_above:
        return built(view, position, -params.size, params.tolerance, Wake(leave_below, inf, tomorrow_ns))
    if position < 0 and premium >= leave_below:
        return Target(position, wake=Wake(leave_below, open_above, tomorrow_ns))
    if position < 0:
        return Target(0)  # awake until it is closed: the premium may come back first
    return Target(0, wake=Wake(-inf, open_above, tomorrow_ns))


def band(view: View, params: Params) -> tuple[float, float]:
    """Return 0 and the price, in satoshi per contract, above which a short is opened.

    Where no premium is enough, five times the value: the model looks no further.
    """
    from bot.model.early_exit import MOST_PREMIUM  # numpy: only where it is used

    return 0.0, view.fair_value_sat * (1.0 + min(premiums(view, params)[1], MOST_PREMIUM))


def premiums(view: View, params: Params) -> tuple[float, float]:
    """Return (the premium below which to leave, the one above which to open) on this day to expiry."""
    swap_steps = round(view.swap_rate_ppb_day(CONTRACT) * _STEPS_PER_UNIT / PPB)
    growth_steps = round(view.growth_per_retarget * _STEPS_PER_UNIT)
    term_days = ceil_div(view.contract.end_ns - view.contract.start_ns, NS_PER_DAY)
    left_days = max(min(ceil_div(view.to_expiry_ns, NS_PER_DAY), term_days), 1)
    solution = _solution(params, term_days, growth_steps, swap_steps)
    day = term_days - left_days
    return solution[day], solution[term_days + day]


@table
def _solution(params: Params, term_days: int, growth_steps: int, swap_steps: int) -> list[float]:
    """Return the premiums below which to leave, one for each day of the term, then those above which to open."""
    from bot.model.early_exit import Premium, early_exit, smooth_values  # numpy: only where it is used

    premium = Premium(params.mean, _LN2 * NS_PER_DAY / params.half_life_ns, params.volatility)
    values = smooth_values(growth_steps / _STEPS_PER_UNIT, term_days, 1.0)
    found = early_exit(values, 1.0, premium, swap_steps / _STEPS_PER_UNIT, params.cost, params.recall)
    return [*found.leave_below.tolist(), *found.open_above(params.cost, params.margin).tolist()]
