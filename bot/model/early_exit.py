"""When to buy a short back early: the best exit under a mean-reverting premium, by dynamic programming.

The price is P = V (1 + z): V the expected payouts left, z the premium, which reverts to its mean (Ornstein-Uhlenbeck),
dz = kappa (mean - z) dt + sigma dW. A short gains z s dt - V dz - rho V (1 + z) dt, dividends s and interest rho on the
mark counted, and pays a cost when it is bought back. With V known on a grid of times, the gain of one step is

    V_i z_i - V_{i+1} z_{i+1} - rho dt (V_i (1 + z_i) + V_{i+1} (1 + z_{i+1})) / 2        (trapezium for the interest)

and what an open short will still gain, now that it has been sold at z, is

    J_i(z) = max( C_i(z), E[gain + (1 - p) J_{i+1}(z_{i+1}) + p C_{i+1}(z_{i+1})] ),      C_i(z) = -cost V_i (1 + z)

with p the chance that the loan is not renewed in the step and the short is bought back by force. At expiry both are 0.

J_{i+1} is kept on a grid of z, linear in between and beyond; E is a Gauss-Hermite sum. The advantage of holding is
convex in z (z_{i+1} is affine in z, and the larger of two convex functions is convex) and not positive at z = -1, where
the price is 0 and can only rise, if noise that would take it lower is left aside. So one should leave from there up to
a boundary: when the premium has fallen below it. A high premium alone is no reason to leave; where interest eats every
premium the boundary is infinite. Source: MODEL 4, with recalls added.

Leaving is final here: that one could sell again later is worth something, and is not counted. Nor are margin, or a
swap rate that changes: rho is held for the whole term.

Reproducible to the last bit: + - * / and sqrt only, in a written order, exponentials from `reproducible`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from bot.core.units import S_PER_DAY
from bot.model.domain import checked, refused
from bot.model.quadrature import NORMAL_NODES
from bot.model.reproducible import Floats, exp
from bot.model.schedule import EPOCH_S

LEAST_PREMIUM: Final = -1.0
"""The price is 0 there."""
MOST_PREMIUM: Final = 4.0
"""Boundaries are looked for up to here, a price of five times the value; beyond it J goes on as a straight line."""
NODES: Final = 501
_SERIES: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Premium:
    """How the premium z = P / V - 1 moves: dz = reversion (mean - z) dt + volatility dW, in days.

    `mean` and `volatility` (per square root of a day) are fractions of value; `reversion_per_day` = ln 2 / half-life.
    """

    mean: float
    reversion_per_day: float
    volatility: float

    def __post_init__(self) -> None:
        checked("premium.mean", self.mean, -1.0, MOST_PREMIUM, "0.05 is 5 % above value")
        checked("premium.reversion_per_day", self.reversion_per_day, 0.0, 100.0, "ln 2 / 15 is a half-life of 15 days")
        checked("premium.volatility", self.volatility, 0.0, 10.0, "0.05 is 5 % of value a day")

    def step(self, days: float) -> tuple[float, float]:
        """Return (a, sd) of the exact law after `days`: z' = mean + a (z - mean) + sd n, n standard normal.

        a = e^{-kappa days}, sd^2 = sigma^2 (1 - a^2) / (2 kappa); sigma^2 days without reversion.
        """
        y = 2.0 * self.reversion_per_day * days
        series = 1.0 - y * (1 / 2 - y * (1 / 6 - y / 24))  # the next term, y^4 / 120, is below 1e-18
        mean_decay = series if y < _SERIES else (1.0 - float(exp(-y))) / y
        return float(exp(-0.5 * y)), self.volatility * math.sqrt(mean_decay * days)


@dataclass(frozen=True, slots=True)
class EarlyExit:
    """What was found, for every step i of the grid of times but the last, which is expiry.

    `leave_below[i]`: the premium below which a short is bought back; -inf: never, inf: always (up to MOST_PREMIUM).
    `worth[i]`: J_i / V_i at each of the premiums `grid`, what an open short is worth in parts of value.
    """

    grid: Floats
    leave_below: Floats
    worth: Floats

    def worth_at(self, step: int, premium: float) -> float:
        """Return J_i / V_i at `premium`, linear between the nodes and beyond them."""
        grid, row = self.grid, self.worth[step]
        i = min(max(int(np.searchsorted(grid, premium, "right")) - 1, 0), len(grid) - 2)
        slope = (row[i + 1] - row[i]) / (grid[i + 1] - grid[i])
        return float(row[i] + (premium - grid[i]) * slope)

    def open_above(self, cost: float, margin: float) -> Floats:
        """Return, for every step, the least premium at which a new short is worth more than it costs.

        Its worth must exceed cost + margin, both in parts of the price: J_i / V_i > (cost + margin) (1 + z). Infinity
        where no premium up to MOST_PREMIUM is enough. Never below `leave_below`, if cost + margin >= 0.
        """
        demanded = (cost + margin) * (1.0 + self.grid)
        # Convex in z and not positive where one would leave at once: it is crossed once, upwards.
        return _last_crossings(self.grid, self.worth - demanded)


def early_exit(
    values: Sequence[float],
    step_days: float,
    premium: Premium,
    borrow_per_day: float,
    exit_cost: float,
    recall_per_day: float = 0.0,
    nodes: int = NODES,
) -> EarlyExit:
    """Return boundary and worth for a short on `values`: V at times `step_days` apart, falling to 0 at expiry.

    borrow_per_day: rho, simple, of the mark; exit_cost: half the spread, fee and slippage, in parts of the price;
    recall_per_day: how often a day a loan is not renewed, p = 1 - e^{-recall step}. The unit of V cancels.
    With the default 501 nodes the boundary is within 0.003 of that of 1,201 nodes and 31 quadrature points, the
    worth within 0.001 of V, for a volatility of 1 % a day or more. One may leave once a step.
    Raises ModelError unless values fall to 0 and are above it before, and for a negative rate, cost or step.
    """
    _check(values, step_days, borrow_per_day, exit_cost, nodes)
    checked("recall_per_day", recall_per_day, 0.0, 100.0, "0.1 is one loan in ten a day")
    grid: Floats = LEAST_PREMIUM + (MOST_PREMIUM - LEAST_PREMIUM) / (nodes - 1) * np.arange(nodes, dtype=np.float64)
    keep, sd = premium.step(step_days)
    mean_next = premium.mean + keep * (grid - premium.mean)
    expected = _Expectation(grid, mean_next, sd)
    kept = float(exp(-recall_per_day * step_days))
    half_interest = 0.5 * borrow_per_day * step_days
    steps = len(values) - 1
    advantage, worth = np.empty((steps, nodes)), np.empty((steps, nodes))
    ahead = np.zeros(nodes)
    for i in range(steps - 1, -1, -1):
        now, later = values[i], values[i + 1]
        hold = now * grid - later * mean_next
        hold -= half_interest * (now * (1.0 + grid) + later * (1.0 + mean_next))
        hold += kept * expected(ahead) - (1.0 - kept) * exit_cost * later * (1.0 + mean_next)
        leave = -exit_cost * now * (1.0 + grid)
        np.subtract(hold, leave, out=advantage[i])
        ahead = np.maximum(hold, leave)
        worth[i] = ahead / now
    return EarlyExit(grid, _last_crossings(grid, advantage), worth)


def smooth_values(growth_per_retarget: float, steps: int, step_days: float) -> list[float]:
    """Return V at `steps` + 1 times up to expiry when difficulty grows smoothly (C2), in units of the last payout.

    V(tau) = int_0^tau e^{gamma u} du with tau the time left and gamma = x e^x 86400 / c, by the midpoint of each step
    (error (gamma step)^2 / 24, below 1e-5). The shape is all that `early_exit` needs, and it depends on the time left
    alone, so that one solution holds at every moment of a term.
    """
    growth = growth_per_retarget * float(exp(growth_per_retarget)) * (S_PER_DAY / EPOCH_S)
    payouts = step_days * exp(growth * (np.arange(steps, dtype=np.float64) + 0.5) * step_days)
    return [0.0, *np.cumsum(payouts).tolist()][::-1]  # each on those before it


class _Expectation:
    """E f(means + sd n) at every node, for f given on the grid, linear between the nodes and beyond them."""

    def __init__(self, grid: Floats, means: Floats, sd: float) -> None:
        nodes = np.array([x for x, _ in NORMAL_NODES])[:, None]
        weights = np.array([weight for _, weight in NORMAL_NODES])[:, None]
        points = means + sd * nodes
        self._at = np.clip(np.searchsorted(grid, points, "right") - 1, 0, len(grid) - 2)
        self._next = self._at + 1
        part = (points - grid[self._at]) / (grid[self._next] - grid[self._at])
        self._low, self._high = weights * (1.0 - part), weights * part

    def __call__(self, values: Floats) -> Floats:
        terms = self._low * values.take(self._at)
        terms += self._high * values.take(self._next)
        total: Floats = terms[0].copy()
        for term in terms[1:]:  # in this order everywhere, which no numpy sum promises
            total += term
        return total


def _last_crossings(grid: Floats, advantage: Floats) -> Floats:
    """Return where each row of `advantage` last turns positive: -inf if it is so everywhere, inf if not at the end."""
    above = advantage > 0.0
    last = advantage.shape[1] - 1
    at = last - np.argmin(above[:, ::-1], axis=1)  # the last node that is not positive, or the last of all
    rows, i = np.arange(len(advantage)), np.minimum(at, last - 1)
    here, there = advantage[rows, i], advantage[rows, i + 1]
    with np.errstate(all="ignore"):  # of rows without a crossing
        crossings: Floats = grid[i] + (grid[i + 1] - grid[i]) * (-here / (there - here))
    crossings[at == last] = math.inf
    crossings[above.all(axis=1)] = -math.inf
    return crossings


def _check(values: Sequence[float], step_days: float, borrow_per_day: float, exit_cost: float, nodes: int) -> None:
    checked("step_days", step_days, 1e-6, 1e4, "1 is a day")
    checked("borrow_per_day", borrow_per_day, 0.0, 10.0, "0.01 is 1 % a day")
    checked("exit_cost", exit_cost, 0.0, 1e6, "0.01 is 1 % of the price")
    checked("nodes", nodes, 3, 100_001, "501 will do")
    sound = len(values) > 1 and values[-1] == 0.0 and all(0.0 < v < math.inf for v in values[:-1])
    if not sound or any(after > before for before, after in pairwise(values)):
        what = f"{len(values)} values do not fall to 0"
        raise refused("values", what, "give the payouts left at each time, the last one at expiry")
