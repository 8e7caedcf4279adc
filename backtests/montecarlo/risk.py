"""What many simulated runs say of risk, each figure with its error bar: how far chance alone may have moved it.

| figure | estimate | 95 % interval |
|---|---|---|
| mean profit | sample mean | mean +- 1.96 s / sqrt n (central limit theorem) |
| probability of loss, of liquidation | share of runs | score interval (Wilson, Probable Inference, JASA 22, 1927) |
| median, VaR, expected shortfall | order statistics | percentile bootstrap, 1,000 samples (Efron, Tibshirani 1993) |

VaR_a is the least loss l with P(L <= l) >= a among the runs. ES_a is the mean of the worst 1 - a of them, a run that
the share cuts counted in part (Acerbi and Tasche, On the Coherence of Expected Shortfall, J. Banking & Finance 26,
2002).
Losses are positive. The intervals tell of the number of runs, not of whether the simulated world is like the real one.
Runs must be independent: their seeds are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from bot.model.reproducible import Floats

NORMAL_975: Final = 1.959963984540054
"""z with Phi(z) = 0.975."""
BOOTSTRAPS: Final = 1_000
_CHUNK = 100
TAILS_PER_MILLE: Final = (50, 10)
"""The tails of VaR and expected shortfall: 95 and 99 %."""


class Estimate(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Risk:
    """What the runs of one strategy say; amounts in satoshi, probabilities of 1, losses positive."""

    runs: int
    mean: Estimate
    deviation_sat: float
    median: Estimate
    loss: Estimate
    liquidation: Estimate
    var_95: Estimate
    var_99: Estimate
    shortfall_95: Estimate
    shortfall_99: Estimate
    least_sat: int
    greatest_sat: int


def risk_of(profits_sat: Sequence[int], liquidated: Sequence[bool], seed: int) -> Risk:
    """Return the risk of runs with these profits; `seed` draws the bootstrap's samples. Needs two runs or more."""
    values = np.array(profits_sat, np.float64)  # exact below 2^53 sat, 90 million BTC
    count = len(values)
    mean = math.fsum(profits_sat) / count
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in profits_sat) / (count - 1))
    reach = NORMAL_975 * deviation / math.sqrt(count)
    figures = _tail_figures(np.sort(values)[None, :])
    spread = _bootstrapped(values, seed)
    low, high = (np.quantile(spread, share, axis=0, method="hazen") for share in (0.025, 0.975))
    median, var_95, var_99, shortfall_95, shortfall_99 = (
        Estimate(float(value), float(least), float(most))
        for value, least, most in zip(figures[0], low, high, strict=True)
    )
    return Risk(
        count,
        Estimate(mean, mean - reach, mean + reach),
        deviation,
        median,
        share_of(sum(value < 0 for value in profits_sat), count),
        share_of(sum(liquidated), count),
        var_95,
        var_99,
        shortfall_95,
        shortfall_99,
        min(profits_sat),
        max(profits_sat),
    )


def share_of(hits: int, count: int) -> Estimate:
    """Return hits / count with Wilson's score interval, which stays within 0 and 1 and is not empty at either.

    >>> share_of(0, 100).high < 0.04 and share_of(0, 100).low == 0.0
    True
    """
    share, square = hits / count, NORMAL_975 * NORMAL_975
    centre = (share + square / (2 * count)) / (1 + square / count)
    reach = NORMAL_975 / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    low = 0.0 if hits == 0 else centre - reach
    return Estimate(share, low, 1.0 if hits == count else centre + reach)


def _bootstrapped(values: Floats, seed: int) -> Floats:
    """Return the tail figures of samples drawn with replacement (samples, figures).

    RandomState, because numpy promises that its stream never changes (NEP 19).
    """
    draws = np.random.RandomState(seed % 2**32)
    found = []
    for _ in range(BOOTSTRAPS // _CHUNK):
        picked = draws.randint(0, len(values), size=(_CHUNK, len(values)))
        found.append(_tail_figures(np.sort(values[picked], axis=-1)))
    return np.concatenate(found)


def _tail_figures(ordered: Floats) -> Floats:
    """Return (.., 5): median, VaR 95, VaR 99, ES 95, ES 99 of profits (.., n) in rising order."""
    count = ordered.shape[-1]
    middle = (ordered[..., (count - 1) // 2] + ordered[..., count // 2]) / 2.0
    at_risk, shortfall = [], []
    for mille in TAILS_PER_MILLE:
        # The loss of rank ceil(n a) among rising losses is the profit of rank n - ceil(n a) + 1 = floor(n (1 - a)) + 1.
        whole, rest = divmod(count * mille, 1000)
        at_risk.append(-ordered[..., whole])
        worst = np.cumsum(ordered[..., : whole + 1], axis=-1)
        total = (worst[..., whole - 1] if whole else 0.0) + ordered[..., whole] * (rest / 1000)
        shortfall.append(-total / (count * mille / 1000))
    return np.stack([middle, *at_risk, *shortfall], axis=-1)
