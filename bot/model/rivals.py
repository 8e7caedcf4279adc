"""AR(1), the rival of the trend that forecasts a path too, from the log-changes x of past retargets, oldest first."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from bot.model.paths import PathForecast
from bot.model.reproducible import Floats

WINDOW: Final = 52
"""Retargets, about two years, to which AR(1) is fitted."""
_MOST_PERSISTENCE = 0.99


def ar1_path(mean: float, persistence: float, step_sd: float, last: float, retargets: int) -> PathForecast:
    """Return Y of x_{j+1} = m + rho (x_j - m) + s n: Y_j = j m + (x_0 - m) sum_{i<=j} rho^i, cov from shocks.

    With b_n = sum_{i<n} rho^i: C_ij = s^2 sum_{u<min(i,j)} b_{i-u} b_{j-u}.
    """
    weights, shocks = np.zeros(retargets), np.zeros((retargets, retargets))
    total, power = 0.0, 1.0
    for j in range(retargets):
        total, power = total + power, power * persistence
        weights[j] = total
    for j in range(retargets):
        shocks[j] = weights[j] * weights
        if j:
            shocks[j, 1:] = shocks[j, 1:] + shocks[j - 1, :-1]
    count = np.arange(1.0, retargets + 1.0)
    path = count * mean + (last - mean) * persistence * weights
    return PathForecast(path, step_sd * step_sd * shocks)


def ar1_forecast(log_ratios: Floats, retargets: int) -> PathForecast:
    """Return AR(1) fitted by least squares to the last 52 retargets; |rho| at most 0.99.

    The sum of squares is divided by n - 2. Needs three retargets.
    """
    past = np.asarray(log_ratios, np.float64)[-WINDOW:]
    before, after = past[:-1], past[1:]
    about = before - _sum(before) / len(before)
    squares = _sum(about * about)
    slope = _sum(about * after) / squares if squares > 0.0 else 0.0
    slope = min(max(slope, -_MOST_PERSISTENCE), _MOST_PERSISTENCE)
    mean = (_sum(after) - slope * _sum(before)) / len(before) / (1.0 - slope)
    errors = after - mean - slope * (before - mean)
    sd = math.sqrt(_sum(errors * errors) / max(len(errors) - 2, 1))
    return ar1_path(mean, slope, sd, float(past[-1]), retargets)


def _sum(values: Floats) -> float:
    """Return the sum, correctly rounded, so that it is the same on every machine."""
    return math.fsum(values.tolist())
