"""What is known of coming difficulty: mean and covariance of Y_1..Y_K, Y_j = ln(D_{k+j} / D_k), as one Gaussian.

Every model of difficulty answers with a `PathForecast`; what it is worth follows from it alone (`random_clock`).
Arrays may carry leading axes: a validation prices hundreds of origins at once. Source: MODEL 2 and 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from bot.chain.difficulty import EPOCH_TIMESPAN_S, TIMED_INTERVALS
from bot.model.domain import checked
from bot.model.reproducible import Floats, exp, log_one
from bot.model.schedule import EPOCH_S

LUCK_VARIANCE: Final = 1.0 / TIMED_INTERVALS
"""Variance of ln of a sum of 2,015 exponential gaps, to first order: the noise of every measured difficulty."""
GAUSSIAN: Final = ((1.0, 1.0),)
"""One scale: ln v is normal."""
_EXACT_FROM = 12


class Scale(NamedTuple):
    """A part of a scale mixture: with probability `weight` every deviation is `factor` times as wide."""

    weight: float
    factor: float


@dataclass(frozen=True, slots=True)
class PathForecast:
    """Mean (.., K) and covariance (.., K, K) of Y_1..Y_K, and the (weight, factor) scales of a fat-tailed mixture."""

    mean: Floats
    covariance: Floats
    scales: tuple[tuple[float, float], ...] = GAUSSIAN

    @property
    def retargets(self) -> int:
        """K, how many coming retargets it speaks of."""
        return int(self.mean.shape[-1])

    def expected_decay(self) -> Floats:
        """Return E e^{-Y_j} = exp(-m_j + C_jj / 2), (.., K), of the Gaussian."""
        return exp(0.5 * np.diagonal(self.covariance, axis1=-2, axis2=-1) - self.mean)

    def first(self, retargets: int) -> PathForecast:
        """Return the forecast of the first `retargets` alone."""
        return replace(self, mean=self.mean[..., :retargets], covariance=self.covariance[..., :retargets, :retargets])


def retargets_within(term_s: float) -> int:
    """Return K = ceil(T / (c e^{-0.4})) + 4: more retargets than a term of `term_s` seconds can see.

    >>> retargets_within(91 * 86400.0)
    14
    """
    return math.ceil(term_s / (EPOCH_S * math.exp(-0.4))) + 4


def full_epochs_mean_and_sd(forecast: PathForecast, epochs: int) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of sum_{j=1..epochs} e^{-Y_j}, in units of s0 c, s0 the payout rate now.

    The payout of the next `epochs` full epochs from a retarget on:
    mean = sum exp(-m_j + C_jj/2), var = sum_ij exp(-m_i - m_j + (C_ii + C_jj)/2)(e^{C_ij} - 1).
    """
    part = forecast.first(epochs)
    decay = part.expected_decay()
    spread = np.expm1(part.covariance)
    variance = np.einsum("...i,...j,...ij->...", decay, decay, spread)
    return np.asarray(decay.sum(-1)), np.sqrt(variance)


def digamma(count: int) -> float:
    """Return psi(n), the mean of ln of a Gamma(n) variable, n >= 1; error below 1e-15.

    >>> round(digamma(1), 13)
    -0.5772156649015
    """
    shift, n = 0.0, float(count)
    while n < _EXACT_FROM:
        shift, n = shift - 1.0 / n, n + 1.0
    q = 1.0 / (n * n)
    tail = q * (1 / 12 - q * (1 / 120 - q * (1 / 252 - q * (1 / 240 - q * (1 / 132 - q * 691 / 32760)))))
    return shift + log_one(n) - 0.5 / n - tail


def trigamma(count: int) -> float:
    """Return psi'(n), the variance of ln of a Gamma(n) variable, n >= 1; error below 1e-14.

    >>> round(trigamma(1), 13)   # pi^2 / 6
    1.6449340668482
    """
    shift, n = 0.0, float(count)
    while n < _EXACT_FROM:
        shift, n = shift + 1.0 / (n * n), n + 1.0
    q = 1.0 / (n * n)
    tail = q * (1 / 6 - q * (1 / 30 - q * (1 / 42 - q * (1 / 30 - q * (5 / 66 - q * 691 / 2730)))))
    return shift + (1.0 + 0.5 / n + tail) / n


def seen_growth(gaps: int, seconds: float, drift: float = 0.0) -> float:
    """Return what `gaps` timed gaps in `seconds` say of x_1, the log-change at the end of the present epoch.

    psi(n) - ln(2015 e / 1209600), plus drift (1 - n/2015)/2: power that grows by `drift` an epoch is higher over
    the whole epoch than over the part seen.
    """
    pace = digamma(gaps) - log_one(TIMED_INTERVALS * seconds / EPOCH_TIMESPAN_S)
    return pace + 0.5 * drift * (1.0 - gaps / TIMED_INTERVALS)


def with_blocks_seen(forecast: PathForecast, gaps: int, seconds: float, unseen: float = 0.0) -> PathForecast:
    """Return the forecast after `gaps` timed gaps of the present epoch took `seconds`; gaps 0: as it was.

    `unseen` is the part of x_1 that these gaps cannot show yet, such as a halving to come before the retarget.

    Gaussian conditioning on seen_growth. The whole epoch's luck contains the luck seen, hence the covariance of
    observation and x_1 is C_11 and the variance of the observation C_11 - 1/2015 + psi'(n): the last gap leaves
    no doubt. (MODEL 2 adds the two variances as if they were independent, which leaves a doubt of 1/2015.)
    Raises ModelError for gaps outside 0..2015 and seconds not above 0 where gaps are.
    """
    checked("gaps", gaps, 0, TIMED_INTERVALS, "an epoch times 2,015 gaps")
    if gaps == 0:
        return forecast
    checked("seconds", seconds, 1e-9, 1e12, "gaps take time: use effective block times")
    mean, covariance = forecast.mean, forecast.covariance
    column = covariance[..., :, 0]
    doubt = column[..., 0] - LUCK_VARIANCE + trigamma(gaps)
    gain = column / doubt[..., None]
    surprise = seen_growth(gaps, seconds, float(mean[..., 0]) - unseen) + unseen - mean[..., 0]
    return replace(
        forecast,
        mean=mean + gain * surprise[..., None],
        covariance=covariance - gain[..., :, None] * column[..., None, :],
    )
