"""From a forecast of difficulty to the value at a fixed expiry, when retarget dates are as random as difficulty.

    v = int_0^T e^{-Y_{N(u)}} du      seconds of payout at today's rate until expiry, T seconds from now

Fast growth brings cheaper payouts *and* brings them sooner, so v is not the sum over expected dates (`frozen_s`).
Two routes: `second_order` (2 K + 5 chosen paths, under a millisecond, no randomness)
and `sobol_values` (quasi-random paths). Source: MODEL 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from bot.model.domain import checked
from bot.model.paths import GAUSSIAN, PathForecast, retargets_within
from bot.model.reproducible import Floats, cholesky, exp, log
from bot.model.root import falling_root
from bot.model.schedule import EPOCH_S, LN4
from bot.model.sobol import normal_points

_REACH = 1.7320508075688772  # sqrt 3: Gauss-Hermite nodes of three points
_NODES = (-2.8569700138728056, -1.3556261799742659, 1.3556261799742659, 2.8569700138728056)  # of five, with 0
_WEIGHTS = (0.011257411327720689, 0.22207592200561264, 0.22207592200561264, 0.011257411327720689)
_MOST_EXPONENT = 700.0
_FAR_SD = 12.0
_CHUNK = 2048

Exponential = Callable[[Floats], Floats]
Rewards = Sequence[tuple[float, float]]
"""(place, factor) of halvings to come, as `halvings.reward_steps` gives them."""


def paid_s(
    paths: Floats,
    term_s: Floats | float,
    elapsed_s: Floats | float = 0.0,
    e: Exponential = exp,
    rewards: Rewards = (),
) -> Floats:
    """Return v in seconds for paths (.., K) of Y, `elapsed_s` into the present epoch, until `term_s` from now.

    Epoch j lasts c e^{-x_j} (unclamped), pays e^{-Y_{j-1}} with every x clamped to +-ln 4, and never ends before
    now. After Y_K difficulty stands still. From the place of each of `rewards` on it pays that factor as much:
    with v(t) the payout up to t, factors r_i and their dates T_i, sum_i (r_{i-1} - r_i) v(min(T_i, T)) + r_n v(T).
    """
    return _paid_on(_course(paths, elapsed_s, e), term_s, elapsed_s, rewards)


class _Course(NamedTuple):
    """How long the epochs of paths last, when they end in seconds from now, and what they pay after each retarget."""

    lengths: Floats
    ends: Floats
    decay: Floats


def _course(paths: Floats, elapsed_s: Floats | float, e: Exponential) -> _Course:
    steps = paths.copy()
    steps[..., 1:] -= paths[..., :-1]
    lengths = EPOCH_S * e(np.minimum(np.maximum(-steps, -_MOST_EXPONENT), _MOST_EXPONENT))
    clamped = np.minimum(np.maximum(steps, -LN4), LN4)
    elapsed = np.asarray(elapsed_s, np.float64)
    ends = np.maximum(np.cumsum(lengths, axis=-1) - elapsed[..., None], 0.0)
    return _Course(lengths, ends, e(-np.cumsum(clamped, axis=-1)))


def _paid_on(course: _Course, term_s: Floats | float, elapsed_s: Floats | float, rewards: Rewards) -> Floats:
    lengths, ends, decay = course
    term, elapsed = np.asarray(term_s, np.float64), np.asarray(elapsed_s, np.float64)
    paid = _paid_until(term, ends, decay)
    total, factor = np.zeros(np.shape(paid)), 1.0
    for place, after in rewards:
        epoch = int(place)  # floor
        if epoch < ends.shape[-1]:
            begun = ends[..., epoch - 1] if epoch else -elapsed
            at = np.maximum(begun + (place - epoch) * lengths[..., epoch], np.maximum(begun, 0.0))
            total = total + (factor - after) * _paid_until(np.minimum(at, term), ends, decay)
            factor = after
    return np.asarray(total + factor * paid)


def _paid_until(term: Floats, ends: Floats, decay: Floats) -> Floats:
    cut = np.minimum(ends, term[..., None])
    later = decay[..., :-1] * (cut[..., 1:] - cut[..., :-1])
    rest: Floats = cut[..., 0] + np.cumsum(later, axis=-1)[..., -1] + decay[..., -1] * (term - cut[..., -1])
    return rest


def frozen_s(forecast: PathForecast, term_s: float, elapsed_s: float = 0.0) -> Floats:
    """Return E v in seconds if every retarget came at its expected date: biased by about +0.5 %, the control variate.

    sum_j E e^{-Y_j} times the stretch between the dates of the mean path.
    """
    weights, first = _frozen_weights(forecast, term_s, elapsed_s)
    return np.asarray(first + (weights * forecast.expected_decay()).sum(-1))


def _frozen_weights(forecast: PathForecast, term_s: float, elapsed_s: float) -> tuple[Floats, Floats]:
    steps = np.diff(forecast.mean, axis=-1, prepend=0.0)
    ends = np.clip(np.cumsum(EPOCH_S * exp(-steps), axis=-1) - elapsed_s, 0.0, term_s)
    return np.diff(ends, axis=-1, append=term_s), ends[..., 0]


@dataclass(frozen=True, slots=True)
class LogMixture:
    """The law of v = e^l seconds: l a mixture of normals of one mean, `sd` times each factor of `scales`.

    `mean_s` is E v as the method that made it found it, not that of the fitted law; arrays over origins or floats.
    """

    log_mean: Floats
    log_sd: Floats
    mean_s: Floats
    scales: tuple[tuple[float, float], ...] = GAUSSIAN

    def probability_below(self, value_s: Floats | float) -> Floats:
        """Return P(v <= value_s)."""
        z = (log(value_s) - self.log_mean) / np.maximum(self.log_sd, 1e-300)
        return mixture_cdf(z, self.scales)

    def quantile_s(self, probability: float) -> Floats:
        """Return the value in seconds that v stays below with `probability`, strictly between 0 and 1."""
        return exp(self.log_mean + self.log_sd * standard_quantile(probability, self.scales))


def with_pool_luck(law: LogMixture, blocks: float) -> LogMixture:
    """Return the law of a pro-rata payout when the pool is expected to find `blocks`: luck adds 1/blocks to Var ln v.

    Var V = Var path + q E V (`uncertain_payout.pool_luck_variance`), q the payout of a block, so relative to (E V)^2 it
    is q / E V = 1/blocks. The mean stays; the mixture's factors widen luck too. Good for ten blocks and more.
    """
    variance = law.log_sd * law.log_sd
    added = 1.0 / max(blocks, 1.0)
    return replace(law, log_mean=law.log_mean - 0.5 * added, log_sd=np.sqrt(variance + added))


def mixture_cdf(z: Floats, scales: Sequence[tuple[float, float]]) -> Floats:
    """Return sum_i w_i Phi(z / f_i)."""
    erf = np.frompyfunc(math.erf, 1, 1)
    total = np.zeros(np.shape(z))
    for weight, factor in scales:
        total = total + weight * 0.5 * (1.0 + np.asarray(erf(z / (factor * math.sqrt(2.0))), np.float64))
    return total


@lru_cache(maxsize=256)
def standard_quantile(probability: float, scales: tuple[tuple[float, float], ...]) -> float:
    """Return z with sum_i w_i Phi(z / f_i) = probability, by bisection, rounded to 12 decimals.

    Rounded because math.erf may differ in its last bit between C libraries; the quantile must not.
    Raises ModelError for a probability outside 1e-12..1 - 1e-12.
    """
    checked("probability", probability, 1e-12, 1.0 - 1e-12, "0.05 is the 5 % quantile")

    def above(z: float) -> float:
        return math.fsum(w * 0.5 * math.erfc(z / (f * math.sqrt(2.0))) for w, f in scales)

    reach = _FAR_SD * max(factor for _, factor in scales)
    return round(falling_root(above, 1.0 - probability, -reach, reach), 12)


def second_order(
    forecast: PathForecast,
    term_s: float,
    elapsed_s: float | Floats = 0.0,
    from_s: float = 0.0,
    rewards: Rewards = (),
) -> LogMixture:
    """Return the law of v, paid from `from_s` to `term_s` seconds from now, by the second-order delta method.

    The same to the last bit on every machine; coordinates are whitened.

    Y = m + a z_0 + L z. The first coordinate is the one along which v changes to first order: a = C g / sqrt(g'C g),
    g the gradient of v on the mean path; L is the Cholesky root of what it leaves. z_0 is integrated by five-point
    Gauss-Hermite, each other by three points (0, +-sqrt 3): E f = f_0 + sum of the second differences, and so the
    variance; f = v for the mean, f = ln v for the law. Mixed derivatives are left out. For errors against Sobol paths
    see tests/unit/test_model_random_clock.py: mean below 1e-3, quantiles .01 to .99 below 1e-2.
    """
    checked("term_s", term_s, 1e-3, 1e12, "an ended contract is worth 0")
    elapsed = np.asarray(elapsed_s, np.float64)
    checked("from_s", from_s, 0.0, term_s * (1.0 - 1e-12), "the window ends after it begins")
    near = retargets_within(term_s)
    if near < forecast.retargets and all(place < near for place, _ in rewards):
        law, is_whole = _second_order(forecast.first(near), term_s, elapsed, from_s, rewards)
        if is_whole:
            return law
    return _second_order(forecast, term_s, elapsed, from_s, rewards)[0]


def _second_order(
    forecast: PathForecast, term_s: float, elapsed: Floats, from_s: float, rewards: Rewards
) -> tuple[LogMixture, bool]:
    """Return the law, and whether the last retarget lies beyond the term on all paths.

    Then later ones would but add zeros to every sum, and the law is the same to the last bit without them: for a term
    of 91 days K is 14, not 30.
    """
    steepest = _gradient(forecast.mean, term_s, elapsed)
    if from_s > 0.0:
        steepest = steepest - _gradient(forecast.mean, from_s, elapsed)
    lead = (forecast.covariance * steepest[..., None, :]).cumsum(-1)[..., -1]
    strength = (lead * steepest).cumsum(-1)[..., -1]
    lead = lead / np.sqrt(np.maximum(strength, 1e-300))[..., None]
    root = cholesky(forecast.covariance - lead[..., :, None] * lead[..., None, :])
    columns = _REACH * np.swapaxes(root, -1, -2)
    middle = forecast.mean[..., None, :]
    first = np.asarray(_NODES)[:, None] * lead[..., None, :]
    paths = np.concatenate([middle, middle + first, middle + columns, middle - columns], axis=-2)
    course = _course(paths, elapsed[..., None], exp)
    values = _paid_on(course, term_s, elapsed[..., None], rewards)
    if from_s > 0.0:
        values = values - _paid_on(course, from_s, elapsed[..., None], rewards)
    mean_s, _ = _moments(values, forecast.retargets)
    log_mean, log_variance = _moments(log(values), forecast.retargets)
    law = LogMixture(log_mean, np.sqrt(log_variance), mean_s, forecast.scales)
    return law, bool(np.all(course.ends[..., -1] >= term_s))


def _gradient(mean: Floats, term_s: float, elapsed_s: Floats) -> Floats:
    """Return dv/dY_j (.., K) on a path, up to a positive factor.

    An epoch that is longer by a second pays its own rate for it and loses the rate d_n in force at expiry, so with
    epoch lengths L_j and the part paid l_j: dv/dY_j = -(d_{j-1} - d_n) L_j [epoch j ends in time] - d_n l_{j+1}.
    """
    steps = np.diff(mean, axis=-1, prepend=0.0)
    lengths = EPOCH_S * exp(-steps)
    ends = np.maximum(np.cumsum(lengths, axis=-1) - elapsed_s[..., None], 0.0)
    in_time = ends < term_s
    cut = np.minimum(ends, term_s)
    paid = np.diff(cut, axis=-1, append=np.broadcast_to(np.float64(term_s), (*cut.shape[:-1], 1)))
    decay = exp(np.concatenate([np.zeros((*mean.shape[:-1], 1)), -mean], axis=-1))
    count = in_time.sum(-1)[..., None]
    at_expiry = np.take_along_axis(decay, count, -1)
    return -np.where(in_time, (decay[..., :-1] - at_expiry) * lengths, 0.0) - at_expiry * paid


def _moments(values: Floats, size: int) -> tuple[Floats, Floats]:
    """Return mean and variance from values at the middle, the four nodes of z_0, then + and - of each other."""
    centre = values[..., 0]
    moves = [values[..., 1 + n] - centre for n in range(4)]
    mean, square = np.zeros(centre.shape), np.zeros(centre.shape)
    for move, weight in zip(moves, _WEIGHTS, strict=True):
        mean = mean + weight * move
        square = square + weight * move * move
    variance = square - mean * mean
    up, down = values[..., 5 : 5 + size], values[..., 5 + size :]
    slope, bend = up - down, up + down - 2.0 * centre[..., None]
    mean = centre + mean + np.cumsum(bend, axis=-1)[..., -1] / 6.0
    variance = variance + np.cumsum(slope * slope / 12.0 + bend * bend / 18.0, axis=-1)[..., -1]
    return mean, variance


@dataclass(frozen=True, slots=True)
class SobolValues:
    """Sorted values of v in seconds, and E v with the frozen clock as control variate; one forecast."""

    values_s: Floats
    mean_s: float
    variance_ratio: float

    def quantile_s(self, probability: float) -> float:
        """Return the empirical quantile, linear between order statistics (i + 1/2)/n."""
        checked("probability", probability, 0.0, 1.0, "0.05 is the 5 % quantile")
        return float(np.quantile(self.values_s, probability, method="hazen"))


def sobol_values(
    forecast: PathForecast, term_s: float, elapsed_s: float = 0.0, log2_paths: int = 14, rewards: Rewards = ()
) -> SobolValues:
    """Return v on 2^log2_paths Sobol paths through the principal components of the covariance (Gaussian part).

    E v is the mean of v - b (f - E f), f the sum over frozen dates, whose expectation is known exactly, b the
    regression of v on f. For reports: the last bits are numpy's. Standard error of the mean at 2^14 paths: see
    tests; quantiles .01 to .99 agree with 2^18 paths to 2e-4. Raises ModelError beyond 2^20 paths.
    """
    checked("log2_paths", log2_paths, 4, 20, "14 makes 16,384 paths")
    size = forecast.retargets
    variances, axes = np.linalg.eigh(forecast.covariance)
    root = (axes * np.sqrt(np.maximum(variances, 0.0)))[:, ::-1]  # the widest direction gets the best dimension
    points = normal_points(log2_paths, size)
    values, control = np.empty(len(points)), np.empty(len(points))
    weights, first = _frozen_weights(forecast, term_s, elapsed_s)
    for at in range(0, len(points), _CHUNK):  # small enough to stay in the cache: twice as fast
        # einsum, not @: a threaded BLAS waits for its slowest thread, which costs 20 ms on a machine with other work
        paths = np.einsum("nk,jk->nj", points[at : at + _CHUNK], root) + forecast.mean
        values[at : at + _CHUNK] = paid_s(paths, term_s, elapsed_s, np.exp, rewards)
        control[at : at + _CHUNK] = np.einsum("nj,j->n", np.exp(-paths), weights) + first
    about_value, about_control = values - values.mean(), control - control.mean()
    spread = float((about_control * about_control).sum())
    slope = float((about_control * about_value).sum()) / spread if spread > 0.0 else 0.0
    mean = float(values.mean()) - slope * (float(control.mean()) - float(frozen_s(forecast, term_s, elapsed_s)))
    left = about_value - slope * about_control
    whole = float((left * left).sum())
    ratio = float((about_value * about_value).sum()) / whole if whole > 0.0 else math.inf
    return SobolValues(np.sort(values), mean, ratio)
