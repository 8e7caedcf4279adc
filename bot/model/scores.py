"""Scores of probabilistic forecasts: CRPS, pinball, coverage, and the test whether one forecaster is better.

Lower is better, except coverage, which should be what its name says. Sources: Gneiting & Raftery, Strictly proper
scoring rules, JASA 102, 2007; Diebold & Mariano 1995; Harvey, Leybourne & Newbold 1997; Newey & West 1987.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from bot.model.paths import GAUSSIAN
from bot.model.quadrature import integral
from bot.model.random_clock import LogMixture, mixture_cdf, standard_quantile
from bot.model.reproducible import Floats

PINBALL_LEVELS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
COVERAGES: Final = (0.50, 0.90, 0.98)
_ROOT_PI: Final = math.sqrt(math.pi)


def _distance(mean: Floats, sd: Floats) -> Floats:
    """Return E|X| of X ~ N(mean, sd^2)."""
    z = mean / sd
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return np.asarray(2.0 * sd * density + mean * (2.0 * mixture_cdf(z, GAUSSIAN) - 1.0))


def crps_normal(mean: float, sd: float, seen: float) -> float:
    """Return CRPS of N(mean, sd^2) at `seen`: s (z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)), z = (seen - mean)/s.

    >>> round(crps_normal(0.1, 0.5, 0.42), 12)
    0.195872240507
    """
    return float(_distance(np.asarray(seen - mean), np.asarray(sd))) - sd / _ROOT_PI


def crps_ensemble(members: Sequence[float], seen: float) -> float:
    """Return CRPS of an ensemble at `seen`: E|X - y| - E|X - X'|/2.

    >>> crps_ensemble((1.0, 2.0, 4.0, 7.0), 3.0)
    0.75
    """
    x = np.asarray(members, np.float64)
    return float(np.abs(x - seen).mean() - 0.5 * np.abs(x[:, None] - x).mean())


def crps_log(law: LogMixture, log_seen: Floats) -> Floats:
    """Return CRPS of ln v under `law` at `log_seen`: sum w_i E|y - X_i| - sum_ij w_i w_j E|X_i - X_j| / 2."""
    error = np.asarray(log_seen - law.log_mean)
    score: Floats = np.zeros(error.shape)
    for weight, factor in law.scales:
        score = score + weight * _distance(error, law.log_sd * factor)
        for other, wide in law.scales:
            spread = math.hypot(factor, wide) * math.sqrt(2.0 / math.pi)  # E|N(0, s^2)| = s sqrt(2/pi)
            score = score - 0.5 * weight * other * spread * law.log_sd
    return score


def probability_integral(law: LogMixture, log_seen: Floats) -> Floats:
    """Return F(seen), which is uniform on 0..1 when the forecaster knows what it does not know."""
    return mixture_cdf((log_seen - law.log_mean) / law.log_sd, law.scales)


def pinball_log(law: LogMixture, log_seen: Floats, level: float) -> Floats:
    """Return the pinball loss of the `level` quantile of ln v: (level - [y < q]) (y - q)."""
    quantile = law.log_mean + law.log_sd * standard_quantile(level, law.scales)
    error = log_seen - quantile
    return np.asarray(np.where(error < 0.0, (level - 1.0) * error, level * error))


class Comparison(NamedTuple):
    """A Diebold-Mariano test: negative statistic, the first forecaster scored lower (better); two-sided p."""

    statistic: float
    p_value: float


def diebold_mariano(first: Floats, second: Floats, lags: int) -> Comparison:
    """Return the test of equal mean score, Bartlett weights over `lags`, with the HLN small-sample correction.

    d = first - second; var = (g_0 + 2 sum_{k<=L} (1 - k/(L+1)) g_k)/n; factor sqrt((n + 1 - 2h + h(h-1)/n)/n) with
    h = L + 1 steps ahead; Student's t with n - 1 degrees. (nan, nan) for fewer than 2h scores or equal scores.
    """
    d = np.asarray(first - second, np.float64)
    n, steps = len(d), lags + 1
    if n < 2 * steps:
        return Comparison(math.nan, math.nan)
    about = d - d.mean()
    variance = float(about @ about) / n
    for k in range(1, lags + 1):
        variance += 2.0 * (1.0 - k / (lags + 1)) * float(about[k:] @ about[:-k]) / n
    if not variance > 0.0:
        return Comparison(math.nan, math.nan)
    correction = math.sqrt((n + 1 - 2 * steps + steps * (steps - 1) / n) / n)
    statistic = correction * float(d.mean()) / math.sqrt(variance / n)
    return Comparison(statistic, two_sided_t(statistic, n - 1))


def two_sided_t(statistic: float, degrees: int) -> float:
    """Return P(|t| > |statistic|) of Student's t, by substitution t = sqrt(n) tan a: a smooth integral of cos^{n-1}.

    >>> round(two_sided_t(2.0, 10), 6)
    0.073388
    """
    angle = math.atan(abs(statistic) / math.sqrt(degrees))
    constant = math.lgamma(0.5 * (degrees + 1)) - math.lgamma(0.5 * degrees) - 0.5 * math.log(math.pi)
    tail = integral(lambda a: math.cos(a) ** (degrees - 1), angle, 0.5 * math.pi)
    return min(1.0, 2.0 * math.exp(constant) * tail)
