"""Hash power that costs maintenance: what is left of its payout, with and without the right to switch it off.

Day by day along the expected path of retargets. Without the right, E s - E m. With it each day is an option to exchange
maintenance for payout, E max(s - m, 0) (Margrabe): the value is a strip of them, and never below 0.
Source: MODEL 3; the clause of CEX.io's GHS of 2014. Money in the unit of the payout.
"""

from __future__ import annotations

import math

import numpy as np

from bot.core.units import S_PER_DAY
from bot.model.domain import checked
from bot.model.path_growth import expected_steps
from bot.model.paths import PathForecast
from bot.model.random_clock import Rewards
from bot.model.reproducible import Floats
from bot.model.uncertain_payout import margrabe


def value_after_maintenance(
    forecast: PathForecast,
    payout_per_day: float,
    maintenance_per_day: float,
    to_s: float,
    *,
    suspends: bool,
    from_s: float = 0.0,
    elapsed_s: float = 0.0,
    maintenance_sd: float = 0.0,
    rewards: Rewards = (),
) -> float:
    """Return the expected payout less maintenance from `from_s` to `to_s` seconds from now, undiscounted.

    `payout_per_day`: at today's difficulty and reward; `maintenance_per_day`: what is expected of it, in that money;
    `maintenance_sd`: sd of ln m grows with it times the root of days, 0.03 or so where power is paid in dollars and
    the payout counted in bitcoin. `suspends`: whether days that do not pay are left out. `elapsed_s`, `rewards`: as in
    `random_clock.second_order`. Retargets come at their expected dates: the payout lies some 0.3 % above the exact
    mean. Raises ModelError for negative arguments.
    """
    checked("payout_per_day", payout_per_day, 0.0, math.inf, "money per day")
    checked("maintenance_per_day", maintenance_per_day, 0.0, math.inf, "money per day")
    checked("from_s", from_s, 0.0, 1e12, "the window begins now or later")
    checked("to_s", to_s, from_s, 1e12, "an ended contract is worth 0")
    checked("elapsed_s", elapsed_s, 0.0, 1e12, "the present epoch began in the past")
    checked("maintenance_sd", maintenance_sd, 0.0, 1e3, "0.03 is 3 % a day")
    begins, ends, payouts, variances = _pieces(forecast, from_s, to_s, elapsed_s, rewards)
    total = 0.0
    for begin, end, factor, variance in zip(begins, ends, payouts, variances, strict=True):
        days = (end - begin) / S_PER_DAY
        payout = payout_per_day * factor
        if not suspends:
            total += days * (payout - maintenance_per_day)
            continue
        noise = maintenance_sd * maintenance_sd * 0.5 * (begin + end) / S_PER_DAY
        total += days * margrabe(payout, maintenance_per_day, math.sqrt(variance + noise))
    return total


def _pieces(
    forecast: PathForecast, from_s: float, to_s: float, elapsed_s: float, rewards: Rewards
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return begin and end of pieces of at most a day, their expected payout over today's, and its log-variance."""
    steps = expected_steps(forecast)
    lengths = np.array([step.length_s for step in steps])
    retargets = np.maximum(np.cumsum(lengths) - elapsed_s, 0.0)
    starts = np.concatenate([[-elapsed_s], retargets[:-1]])
    halvings = [
        (max(float(starts[int(place)] + (place - int(place)) * lengths[int(place)]), 0.0), factor)
        for place, factor in rewards
        if place < len(steps)
    ]
    days = np.arange(from_s, to_s, float(S_PER_DAY))
    edges: Floats = np.concatenate([days, retargets, [at for at, _ in halvings], [to_s]])
    edges = np.unique(np.clip(edges, from_s, to_s))
    middle = 0.5 * (edges[1:] + edges[:-1])
    epoch = np.searchsorted(retargets, middle, side="right")
    payouts = np.concatenate([[1.0], forecast.expected_decay()])[epoch]
    factors = np.ones(len(middle))
    for at, factor in halvings:  # in order: the last one that is over holds
        factors = np.where(middle > at, factor, factors)
    variances = np.concatenate([[0.0], np.diagonal(forecast.covariance)])[epoch]
    return edges[:-1].tolist(), edges[1:].tolist(), (factors * payouts).tolist(), variances.tolist()
