"""Damped local trend: log-difficulty as a level with a slowly changing growth, filtered and fitted at each retarget.

    ln D_{k+1} = l_k + e_k,   e ~ N(0, 1/2015)                   the known luck of the timed span
    l_k  = l_{k-1} + mu_{k-1} + sw n1                            level of hash power
    mu_k = (1 - rho) m + rho mu_{k-1} + se n2                    its growth, damped towards m

Four parameters (m, logit rho, ln sw, ln se), found by maximum a posteriori over the last 52 retargets under the
priors of `Priors`; a 2x2 Kalman filter gives the likelihood and the state. Forecasts are in closed form. Nothing but
+ - * / and `reproducible` functions is used: a fit is the same to the last bit on every machine, and origins can
be fitted side by side in one call. Source: MODEL 2; Harvey, Forecasting, Structural Time Series Models, 1989.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from bot.chain.difficulty import TIMED_INTERVALS
from bot.model.domain import refused
from bot.model.halvings import HALVING_EPOCHS, halvings_felt
from bot.model.paths import GAUSSIAN, LUCK_VARIANCE, PathForecast
from bot.model.reproducible import Floats, exp, log, log_one, solve_damped

FIT_RETARGETS: Final = 52
MEAN_RETARGETS: Final = 104
LEAST_RETARGETS: Final = 12
"""Below a dozen retargets four parameters say nothing that the priors do not."""
_LOG_2_PI: Final = 1.8378770664093453
_LN2: Final = log_one(2.0)
_LUCK: Final = np.array(LUCK_VARIANCE)
_STEPS: Final = np.array((3e-4, 3e-3, 3e-3, 3e-3))
_ROWS, _COLUMNS = np.array([(i, j) for i in range(4) for j in range(i)]).T  # of the pairs of parameters
_DAMPINGS: Final = np.array((1.0, 0.125, 8.0, 64.0, 512.0))
_SIGNS: Final = np.array((-1.0, 1.0, 1.0))
_ROUNDS: Final = 40
_MOST_DAMPING: Final = 1e5


@dataclass(frozen=True, slots=True)
class Priors:
    """Normal priors: m around `anchor` times the mean of the last 104 log-changes; logit rho; ln sw; ln se."""

    anchor: float = 1.0
    mean_sd: float = 0.03
    logit_rho: float = 1.7
    logit_rho_sd: float = 1.0
    level_sd: float = 0.035
    growth_sd: float = 0.015
    log_sd_sd: float = 0.7


class Parameters(NamedTuple):
    """m, rho, sw, se; each a float or an array over origins."""

    mean: Floats
    persistence: Floats
    level_sd: Floats
    growth_sd: Floats


class State(NamedTuple):
    """The filtered level relative to the last ln D, the growth, and their covariance (three numbers)."""

    level: Floats
    growth: Floats
    level_variance: Floats
    covariance: Floats
    growth_variance: Floats


@dataclass(frozen=True, slots=True)
class LocalTrend:
    """A damped local trend with its priors and the tails that its forecasts are given.

    `halving_drop`: hash power is expected to fall by a factor e^{-drop} at a halving, when mining pays half.
    """

    name: str
    priors: Priors
    scales: tuple[tuple[float, float], ...] = GAUSSIAN
    halving_drop: float = 0.0

    def forecast(self, log_ratios: Floats, retargets: int, epoch: Floats | int | None = None) -> PathForecast:
        """Return the forecast of Y_1..Y_K from past log-changes (.., n), oldest first: fit, filter, extrapolate.

        Only the last 104 are read. `epoch` is the number of the one in force, (..); None: halvings are left out of
        account. Past drops are taken out before the fit, coming ones put into the mean. Raises ModelError when fewer
        than 12 are given.
        """
        past = np.asarray(log_ratios, np.float64)[..., -MEAN_RETARGETS:]
        if past.shape[-1] < LEAST_RETARGETS:
            what = f"{past.shape[-1]} past retargets are known, {self.name} needs {LEAST_RETARGETS}"
            raise refused("past_epochs", what, f"give {LEAST_RETARGETS + 1} epochs or more, or take growth flat")
        if epoch is not None and self.halving_drop:
            past = past - self.drops(epoch, -past.shape[-1], past.shape[-1])
        used = past[..., -FIT_RETARGETS:]
        parameters = fitted(used, _mean(past), self.priors)
        _, state = filtered(used, parameters)
        path = extrapolated(state, parameters, retargets, self.scales)
        if epoch is None or not self.halving_drop:
            return path
        return replace(path, mean=path.mean + np.cumsum(self.drops(epoch, 0, retargets), axis=-1))

    def drops(self, epoch: Floats | int, first: int, retargets: int) -> Floats:
        """Return what halvings add to the log-changes of (.., retargets) retargets, of which `first` ends `epoch`."""
        places = np.asarray(epoch, np.float64)[..., None] + np.arange(first, first + retargets + 1)
        return -self.halving_drop * np.diff(halvings_felt(places), axis=-1)

    def drop_unseen(self, epoch: int, gaps: int) -> float:
        """Return what a halving inside `epoch` adds to the log-change that ends it beyond what its first `gaps` show.

        They show it by the part of their own time that lay after it. 0 or below; 0 in other epochs.
        """
        place = HALVING_EPOCHS - epoch % HALVING_EPOCHS  # of the next halving, in epochs from the start of this one
        if place >= 1.0 or gaps == 0:
            return 0.0
        seen = gaps / TIMED_INTERVALS
        return -self.halving_drop * (1.0 - place - max(seen - place, 0.0) / seen)


def filtered(log_ratios: Floats, parameters: Parameters) -> tuple[Floats, State]:
    """Return the log-likelihood of log-changes (.., n) and the state after the last of them.

    The level starts at the first measured difficulty with its luck, growth at its stationary law N(m, se^2/(1-rho^2)).
    All is written in place, for a fit takes a thousand such steps: a, b, d and p11, p12, p22 are the covariance of
    level and growth before and after a retarget is seen.
    """
    shape = np.broadcast_shapes(log_ratios.shape[:-1], np.shape(parameters.mean))
    m, rho, sw, se = (np.broadcast_to(p, shape).ravel() for p in parameters)
    rho_rho, drift, level_noise, growth_noise = rho * rho, (1.0 - rho) * m, sw * sw, se * se
    state, ahead, known = np.zeros((2, m.size)), np.empty((3, m.size)), np.empty((3, m.size))
    (level, growth), (a, b, d), (p11, p12, p22), a_b = state, ahead, known, ahead[:2]
    growth[:], p11[:], p12[:], p22[:] = m, LUCK_VARIANCE, 0.0, growth_noise / (1.0 - rho_rho)
    gains, moves, lost = np.empty((2, m.size)), np.empty((2, m.size)), np.empty((3, m.size))
    gain_level, gain_growth, lost_a_b, lost_d = *gains, lost[:2], lost[2]
    changes = np.broadcast_to(log_ratios, (*shape, log_ratios.shape[-1])).reshape(m.size, -1)
    seen = np.cumsum(np.ascontiguousarray(changes.T), axis=0)
    surprises, totals = np.empty((2, *seen.shape))
    for level_seen, surprise, total in zip(seen, surprises, totals, strict=True):
        np.add(level, growth, level)
        np.multiply(growth, rho, growth)
        np.add(growth, drift, growth)
        np.add(p12, p12, a)  # a = p11 + 2 p12 + p22 + sw^2
        np.add(a, p11, a)
        np.add(a, p22, a)
        np.add(a, level_noise, a)
        np.add(p12, p22, b)  # b = rho (p12 + p22)
        np.multiply(b, rho, b)
        np.multiply(p22, rho_rho, d)  # d = rho^2 p22 + se^2
        np.add(d, growth_noise, d)
        np.add(a, _LUCK, total)
        np.subtract(level_seen, level, surprise)
        np.divide(a_b, total, gains)
        np.multiply(gains, surprise, moves)
        np.add(state, moves, state)
        np.multiply(a_b, gain_level, lost_a_b)
        np.multiply(b, gain_growth, lost_d)
        np.subtract(ahead, lost, known)
    squares = np.cumsum(surprises * surprises / totals, axis=0)[-1]
    likelihood = -0.5 * (len(seen) * _LOG_2_PI + _log_product(totals) + squares)
    level -= seen[-1]
    return likelihood.reshape(shape), State(*(x.reshape(shape) for x in (*state, *known)))


def _log_product(factors: Floats) -> Floats:
    """Return ln of the product over the first axis; writes into `factors`."""
    product, twos = np.ones(factors.shape[1:]), np.zeros(factors.shape[1:])
    for at in range(0, len(factors), 16):
        some = factors[at : at + 16]
        some[0] *= product
        product = np.multiply.accumulate(some, axis=0)[-1]
        if len(some) == 16:  # keep the product inside a float, exactly
            product, exponent = np.frexp(product)
            twos += exponent
    return log(product) + twos * _LN2


def extrapolated(
    state: State, parameters: Parameters, retargets: int, scales: tuple[tuple[float, float], ...] = GAUSSIAN
) -> PathForecast:
    """Return mean and covariance of Y_1..Y_K from a filtered state, in closed form.

    With s_j = sum_{i<j} rho^i:  E Y_j = l + s_j mu + (j - s_j) m,
    C_ij = P11 + (s_i + s_j) P12 + s_i s_j P22 + sw^2 min(i,j) + se^2 sum_{u=1}^{min-1} s_{i-u} s_{j-u} + [i=j]/2015.
    """
    m, rho, sw, se = (np.asarray(p, np.float64)[..., None] for p in parameters)
    level, growth, p11, p12, p22 = (np.asarray(p, np.float64)[..., None] for p in state)
    shape = np.broadcast_shapes(level.shape[:-1], m.shape[:-1])
    sums, power = np.zeros((*shape, retargets)), np.ones(shape)
    total = np.zeros(shape)
    for j in range(retargets):
        total = total + power
        sums[..., j] = total
        power = power * rho[..., 0]
    count = np.arange(1.0, retargets + 1.0)
    mean = level + sums * growth + (count - sums) * m
    across, down = sums[..., None, :], sums[..., :, None]
    shocks = np.zeros((*shape, retargets, retargets))
    for j in range(1, retargets):
        shocks[..., j, 1:] = shocks[..., j - 1, :-1] + sums[..., j - 1, None] * sums[..., :-1]
    covariance = (
        p11[..., None]
        + (across + down) * p12[..., None]
        + across * down * p22[..., None]
        + (sw * sw)[..., None] * np.minimum(count[:, None], count)
        + (se * se)[..., None] * shocks
        + LUCK_VARIANCE * np.eye(retargets)
    )
    return PathForecast(mean, covariance, scales)


def fitted(log_ratios: Floats, recent_mean: Floats, priors: Priors) -> Parameters:
    """Return the maximum a posteriori parameters of log-changes (.., n) by damped Newton steps.

    Derivatives are differences; all 21 points that they need, of all origins, go through the filter at once.
    Each round tries five dampings and keeps the best that rises, until no parameter moves by 1e-7 of its prior, or
    no step rises however short.
    """
    centre, width = _centre_and_width(np.asarray(recent_mean, np.float64), priors)
    point = centre.copy()
    damping = np.ones(point.shape[:-1])
    done = np.zeros(damping.shape, dtype=bool)
    offsets = _offsets()
    wide = log_ratios[..., None, :]
    for _ in range(_ROUNDS):
        heights = _posterior(point[..., None, :] + offsets, wide, centre[..., None, :], width)
        slope, bend = _derivatives(heights)
        tries = damping[..., None] * _DAMPINGS
        precision = 1.0 / (width * width)
        matrix = bend[..., None, :, :] + tries[..., None, None] * (precision * np.eye(4))
        moves = solve_damped(matrix, slope[..., None, :], 0.3 * precision)
        moves = np.minimum(np.maximum(moves, -4.0 * width), 4.0 * width)
        found = point[..., None, :] + moves
        reached = _posterior(found, wide, centre[..., None, :], width)
        best = np.argmax(reached, axis=-1)[..., None]
        rises = np.take_along_axis(reached, best, -1)[..., 0] > heights[..., 0]
        chosen = np.take_along_axis(found, best[..., None], -2)[..., 0, :]
        moved = np.where((rises & ~done)[..., None], chosen - point, 0.0)
        point = point + moved
        taken = np.take_along_axis(tries, best, -1)[..., 0]
        spent = damping >= _MOST_DAMPING
        damping = np.minimum(np.maximum(np.where(rises, 0.25 * taken, 64.0 * damping), 1e-8), _MOST_DAMPING)
        done = done | np.where(rises, np.all(np.abs(moved) <= 1e-7 * width, axis=-1), spent)
        if np.all(done):  # each origin stops for itself: what it is fitted with must not move it
            break
    return _parameters(point)


def _parameters(point: Floats) -> Parameters:
    powers = exp(point[..., 1:] * _SIGNS)
    return Parameters(point[..., 0], 1.0 / (1.0 + powers[..., 0]), powers[..., 1], powers[..., 2])


def _centre_and_width(recent_mean: Floats, priors: Priors) -> tuple[Floats, Floats]:
    rest = np.array([priors.logit_rho, log_one(priors.level_sd), log_one(priors.growth_sd)])
    centre = np.concatenate(
        [priors.anchor * recent_mean[..., None], np.broadcast_to(rest, (*recent_mean.shape, 3))], axis=-1
    )
    return centre, np.array([priors.mean_sd, priors.logit_rho_sd, priors.log_sd_sd, priors.log_sd_sd])


def _posterior(point: Floats, log_ratios: Floats, centre: Floats, width: Floats) -> Floats:
    """Return log-likelihood plus log-prior, up to a constant."""
    likelihood, _ = filtered(log_ratios, _parameters(point))
    z = (point - centre) / width
    square = z * z
    return likelihood - 0.5 * (square[..., 0] + square[..., 1] + square[..., 2] + square[..., 3])


def _offsets() -> Floats:
    steps = np.diag(_STEPS)
    rows = [np.zeros(4)]
    for i in range(4):
        rows += [steps[i], -steps[i]]
    for i, j in zip(_ROWS, _COLUMNS, strict=True):
        rows += [steps[i] + steps[j], -steps[i] - steps[j]]
    return np.array(rows)


def _derivatives(heights: Floats) -> tuple[Floats, Floats]:
    """Return slope (.., 4) and negative second derivatives (.., 4, 4) from the heights at `_offsets`."""
    twice = 2.0 * heights[..., :1]
    up, down = heights[..., 1:9:2], heights[..., 2:9:2]
    singles = up[..., _ROWS] + down[..., _ROWS] + up[..., _COLUMNS] + down[..., _COLUMNS]
    both = heights[..., 9::2] + heights[..., 10::2]
    across = (singles - both - twice) / (2.0 * _STEPS[_ROWS] * _STEPS[_COLUMNS])
    bend = np.empty((*heights.shape[:-1], 4, 4))
    bend[..., range(4), range(4)] = (twice - up - down) / (_STEPS * _STEPS)
    bend[..., _ROWS, _COLUMNS] = bend[..., _COLUMNS, _ROWS] = across
    return (up - down) / (2.0 * _STEPS), bend


def _mean(values: Floats) -> Floats:
    """Return the mean over the last axis, added in order."""
    return np.asarray(np.cumsum(values, axis=-1)[..., -1] / values.shape[-1])


DAMPED: Final = LocalTrend("damped", Priors())
"""The model as MODEL.md specifies it."""

ANCHORED: Final = LocalTrend(
    "anchored",
    Priors(anchor=0.6, mean_sd=0.01, logit_rho=2.0, log_sd_sd=0.25),
    scales=((0.75, 0.75), (0.25, 1.6)),
    halving_drop=0.15,
)
"""The default: growth is damped towards six tenths of its two-year mean, halvings cost hash power, and tails are fat.

Priors, tails and drop were chosen on origins up to 2019 at 91 days; docs/model-record.md says what else was tried.
"""
