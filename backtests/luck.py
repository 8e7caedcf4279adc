"""How much of the best of many results is luck: the deflated Sharpe ratio and White's reality check.

Who tries a thousand settings finds a good one among worthless ones. Both tests ask how good the best of so many would
have been if none were any good; they need the periods' profits of every trial, not of the best alone.

Sources: Bailey and López de Prado, The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2), 2012 (probabilistic
Sharpe ratio) and The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5), 2014; White, A Reality Check for
Data Snooping, Econometrica 68(5), 2000; Politis and Romano, The Stationary Bootstrap, JASA 89(428), 1994.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
"""Profits: a row for each trial, a column for each period or market."""

DRAWS: Final = 2_000
_NORMAL: Final = NormalDist()
_EULER: Final = 0.577_215_664_901_532_9
_MOST_CELLS: Final = 4_000_000
"""Cells of a bootstrap's scratch table: it is worked through in parts, so memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Luck:
    """What is left of the best of many trials. Sharpe ratios are per observation, not annualised.

    `independent` is how many independent trials the correlated ones amount to, `expected_sharpe` what the best of so
    many worthless ones would show, `deflated` the probability that the best one's true ratio is above 0 after that
    (None for fewer than two trials that vary). `p_value` is the reality check's: the chance that the best of trials
    without any profit would have looked at least this good.
    """

    trials: int
    observations: int
    independent: float
    sharpe: float
    expected_sharpe: float
    deflated: float | None
    p_value: float
    block: float
    draws: int


def luck_of_best(profits: Matrix, best: int, *, block: float, seed: int, draws: int = DRAWS) -> Luck:
    """Return how much of the trial `best` (a row of `profits`) is luck, given that all rows were tried.

    Profits are per period (or market) and all of one size of account; their unit does not matter. `block` is the mean
    length of the bootstrap's blocks in periods: 1 for observations that are independent, as separate markets are.

    One departure from the paper: the variance of the trials' ratios counts at most as 1 / (n - 1), which is what chance
    makes of worthless trials (Lo 2002). Trials that surely lose spread the ratios too, and would raise the hurdle for
    the best without having had a chance to be it.
    """
    trials, observations = profits.shape
    independent = independent_trials(profits)
    ratios = [sharpe_ratio(row) for row in profits]
    variance = min(float(np.var(ratios, ddof=1)), 1.0 / (observations - 1)) if trials > 1 and observations > 1 else 0.0
    expected = expected_best_sharpe(variance, independent)
    skew, kurtosis = moments(profits[best])
    varies = trials > 1 and observations > 2 and float(np.std(profits[best])) > 0.0
    return Luck(
        trials=trials,
        observations=observations,
        independent=independent,
        sharpe=ratios[best],
        expected_sharpe=expected,
        deflated=probabilistic_sharpe(ratios[best], expected, observations, skew, kurtosis) if varies else None,
        p_value=reality_check(profits, block=block, seed=seed, draws=draws),
        block=block,
        draws=draws,
    )


def sharpe_ratio(profits: Sequence[float] | Matrix) -> float:
    """Return mean / sample standard deviation (n - 1) of the profits; 0 where they do not vary (nothing was done)."""
    values = np.asarray(profits, dtype=np.float64)
    if len(values) < 2:
        return 0.0
    deviation = float(np.std(values, ddof=1))
    return float(np.mean(values)) / deviation if deviation > 0.0 else 0.0


def moments(profits: Sequence[float] | Matrix) -> tuple[float, float]:
    """Return skewness and kurtosis (3 for a normal law) of the profits, moments divided by n; (0, 3) if constant."""
    values = np.asarray(profits, dtype=np.float64)
    centred = values - np.mean(values)
    variance = float(np.mean(centred**2))
    if variance == 0.0:
        return 0.0, 3.0
    return float(np.mean(centred**3)) / variance**1.5, float(np.mean(centred**4)) / variance**2


def probabilistic_sharpe(sharpe: float, benchmark: float, observations: int, skew: float, kurtosis: float) -> float:
    """Return the probability that the true ratio exceeds `benchmark` when `sharpe` was measured.

    PSR = Phi[(SR - SR*) sqrt(n - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2)] (2012, equation 11; ratios per
    observation). With SR* the expected best of the trials it is the deflated Sharpe ratio (2014, equation 2).
    """
    spread = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if spread <= 0.0:  # the expansion fails for so short or so skewed a series: it says nothing
        return 0.5
    return float(_NORMAL.cdf((sharpe - benchmark) * math.sqrt(observations - 1) / math.sqrt(spread)))


def expected_best_sharpe(variance: float, trials: float) -> float:
    """Return the ratio to expect of the best of `trials` independent worthless ones, `variance` that of their ratios.

    SR0 = sqrt(V) ((1 - g) Z[1 - 1/N] + g Z[1 - 1/(N e)]), g Euler's constant, Z the normal quantile (2014, equation 1).
    0 for a single trial, where nothing was chosen.
    """
    if trials <= 1.0 or variance <= 0.0:
        return 0.0
    highest, next_to_it = (_NORMAL.inv_cdf(1.0 - 1.0 / (trials * scale)) for scale in (1.0, math.e))
    return max(0.0, math.sqrt(variance) * ((1.0 - _EULER) * highest + _EULER * next_to_it))


def independent_trials(profits: Matrix) -> float:
    """Return how many independent trials the rows amount to: rho + (1 - rho) M (2014, appendix A.3).

    rho is the mean correlation between two of the M rows, at least 0; rows that do not vary are left out of it, and
    count as trials.
    """
    trials = len(profits)
    centred = profits - profits.mean(axis=1, keepdims=True)
    lengths = np.sqrt((centred**2).sum(axis=1))
    unit = centred[lengths > 0.0] / lengths[lengths > 0.0, None]
    varying = len(unit)
    if varying < 2:
        return float(trials)
    # The sum of all pairwise correlations is the squared length of the sum: no matrix of pairs is needed.
    rho = (float((unit.sum(axis=0) ** 2).sum()) - varying) / (varying * (varying - 1))
    rho = min(max(rho, 0.0), 1.0)
    return rho + (1.0 - rho) * trials


def stationary_bootstrap(length: int, block: float, draws: int, seed: int) -> Iterator[npt.NDArray[np.intp]]:
    """Yield `draws` resamplings of `length` periods, as indices: blocks of mean length `block` >= 1, wrapped around.

    Each index is the one before plus 1 with probability 1 - 1/block, else any (Politis and Romano 1994).
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    positions = np.arange(length)
    for _ in range(draws):
        begins = generator.random(length) < 1.0 / block
        begins[0] = True
        starts = generator.integers(0, length, size=length)
        last_begin = np.maximum.accumulate(np.where(begins, positions, 0))
        yield (starts[last_begin] + positions - last_begin) % length


def reality_check(profits: Matrix, *, block: float, seed: int, draws: int = DRAWS) -> float:
    """Return White's p-value for the best mean profit among the rows, against doing nothing (0).

    V = max_k sqrt(n) mean_k; V* = max_k sqrt(n) (mean*_k - mean_k) over stationary bootstraps; p is the share of draws
    with V* >= V, counting the data themselves as one more: (1 + count) / (1 + draws), so it is never 0 (Davison and
    Hinkley, Bootstrap Methods, 1997, section 4.2). Small: luck alone would seldom do as well.
    """
    trials, observations = profits.shape
    means = profits.mean(axis=1)
    best = float(means.max())
    tolerance = 1e-12 * float(np.abs(profits).max(initial=0.0))  # sums in another order differ in their last bits
    at_once = max(1, _MOST_CELLS // max(trials, observations))  # rounded down
    count = 0
    weights: list[npt.NDArray[np.float64]] = []
    for number, drawn in enumerate(stationary_bootstrap(observations, block, draws, seed), 1):
        weights.append(np.bincount(drawn, minlength=observations) / observations)
        if len(weights) == at_once or number == draws:
            resampled = np.stack(weights) @ profits.T - means
            count += int((resampled.max(axis=1) >= best - tolerance).sum())
            weights.clear()
    return (1 + count) / (1 + draws)


def block_length(observations: int) -> float:
    """Return the mean block for a series of so many periods: its cube root, the rate that Politis and Romano derive."""
    return float(max(1, round(observations ** (1.0 / 3.0))))
