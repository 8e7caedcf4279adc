"""Walk-forward proof of the models of difficulty: every retarget since 2012, forecast from what was known then.

At the start of each epoch k a model sees the log-changes of difficulty up to and including the one that began epoch k,
and gives the law of ln(v / T), v the seconds of payout at that day's rate over the next T days. Later epochs give
the v that came. Origins overlap, so tests use Bartlett lags ceil(T / 13 d) + 1, and a subset without overlap is scored
too. No randomness: the same epochs give the same table. Source: MODEL 7 and 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bot.chain.ondisk import Epoch
from bot.core.units import S_PER_DAY
from bot.model.growth import Ewma, Flat, GrowthModel, Trailing, log_ratio
from bot.model.local_trend import ANCHORED, DAMPED, MEAN_RETARGETS, LocalTrend
from bot.model.paths import PathForecast, retargets_within
from bot.model.random_clock import LogMixture, paid_s, second_order
from bot.model.reproducible import Floats, log
from bot.model.rivals import WINDOW, ar1_forecast
from bot.model.scores import (
    COVERAGES,
    PINBALL_LEVELS,
    crps_log,
    diebold_mariano,
    pinball_log,
    probability_integral,
)

HORIZONS_DAYS: Final = (28, 91, 182)
FIRST_YEAR: Final = 2012
ERAS: Final = (("all", 2012, 9999), ("2012-14", 2012, 2014), ("2015-19", 2015, 2019), ("2020-26", 2020, 9999))
RELIABILITY: Final = tuple(level / 20 for level in range(1, 20))
AR1: Final = "ar(1)"
_ERRORS_FROM = 20
_POINT_MODELS: Final[tuple[GrowthModel, ...]] = (Flat(), Trailing(6), Ewma(11))
_TRENDS: Final[tuple[LocalTrend, ...]] = (ANCHORED, DAMPED)
MODELS: Final = (*(m.name for m in _TRENDS), "ewma(11)", "trailing(6)", AR1, "flat")
"""Best first. ewma(11) weighs each retarget 5/6 of the next: the "EWMA of 6" of MODEL 8."""


class History(NamedTuple):
    """Epochs as arrays: start (s UTC), ln D relative to the first, log-changes x[k] = ln(D_{k+1}/D_k).

    `first_epoch` is the number of the first one, counted from the genesis block.
    """

    start_s: Floats
    log_difficulty: Floats
    log_ratios: Floats
    first_epoch: int = 0


def history(epochs: Sequence[Epoch]) -> History:
    """Return consecutive epochs as arrays."""
    ratios = np.array([log_ratio(a.target, b.target) for a, b in pairwise(epochs)])
    level = np.concatenate([[0.0], np.cumsum(ratios)])
    return History(np.array([float(e.start_s) for e in epochs]), level, ratios, epochs[0].number)


def came(past: History, origin: int, term_s: float) -> float:
    """Return the v that came: seconds of payout at the rate of epoch `origin` over `term_s` from its start.

    NaN where the epochs end before the term does.
    """
    starts, begin = past.start_s, past.start_s[origin]
    end = begin + term_s
    if end > starts[-1]:
        return math.nan
    last = int(np.searchsorted(starts, end))
    edges = np.minimum(starts[origin : last + 1], end)
    decay = np.exp(past.log_difficulty[origin] - past.log_difficulty[origin:last])
    return float((np.diff(edges) * decay).sum())


@dataclass(frozen=True, slots=True)
class Forecasts:
    """The laws of ln(v/T) of one model at all origins of one horizon."""

    model: str
    law: LogMixture


@dataclass(frozen=True, slots=True)
class Trial:
    """All models at one horizon: origins (epoch numbers), their years, what came, and the forecasts."""

    term_days: int
    origins: Floats
    years: Floats
    start_s: Floats
    seen: Floats
    forecasts: tuple[Forecasts, ...]


def trial(past: History, term_days: int, models: Sequence[str] = MODELS, until_year: int = 9999) -> Trial:
    """Return the forecasts of `models` at every epoch start from 2012 to `until_year` whose term has passed."""
    term_s = float(term_days * S_PER_DAY)
    years = [datetime.fromtimestamp(start, UTC).year for start in past.start_s]
    origins = [
        k
        for k in range(len(past.start_s))
        if FIRST_YEAR <= years[k] <= until_year and past.start_s[k] + term_s <= past.start_s[-1]
    ]
    seen = np.log([came(past, k, term_s) / term_s for k in origins])
    forecasts = tuple(Forecasts(name, law_of(name, past, origins, term_s)) for name in models)
    at = np.array(origins)
    return Trial(term_days, at, np.array(years)[at], past.start_s[at], seen, forecasts)


def law_of(name: str, past: History, origins: Sequence[int], term_s: float) -> LogMixture:
    """Return the law of ln(v/T) of model `name` at each of `origins`, from log-changes before it alone."""
    trends = {model.name: model for model in _TRENDS}
    points = {model.name: model for model in _POINT_MODELS}
    if name in points:
        return _with_past_errors(points[name], past, origins, term_s)
    size = retargets_within(term_s)
    if name == AR1:
        paths = [ar1_forecast(past.log_ratios[:k], size) for k in origins]
        mean, covariance = np.stack([p.mean for p in paths]), np.stack([p.covariance for p in paths])
        return _scaled(second_order(PathForecast(mean, covariance), term_s), term_s)
    parts = []
    for known, group in _by_length(origins):
        seen = np.stack([past.log_ratios[k - known : k] for k in group])
        path = trends[name].forecast(seen, size, past.first_epoch + np.array(group, np.float64))
        parts.append(second_order(path, term_s))
    log_mean = np.concatenate([part.log_mean for part in parts])
    log_sd = np.concatenate([part.log_sd for part in parts])
    return _scaled(LogMixture(log_mean, log_sd, np.concatenate([p.mean_s for p in parts]), parts[0].scales), term_s)


def _by_length(origins: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Return origins, rising, grouped by how many past retargets a trend reads: 104, or all while fewer are known."""
    groups: dict[int, list[int]] = {}
    for k in origins:
        groups.setdefault(min(k, MEAN_RETARGETS), []).append(k)
    return list(groups.items())


def _scaled(law: LogMixture, term_s: float) -> LogMixture:
    """Return the law of v/T for that of v."""
    return replace(law, log_mean=law.log_mean - log(term_s), mean_s=law.mean_s / term_s)


def _with_past_errors(model: GrowthModel, past: History, origins: Sequence[int], term_s: float) -> LogMixture:
    """Return the normal law around the model's one path, as wide as its last 52 errors that were known by then.

    An error of origin i is known at origin k once i's term has ended.
    """
    first, last = _ERRORS_FROM, origins[-1]
    size = 4 * retargets_within(term_s)
    growth = [model.growth_per_retarget([float(x) for x in past.log_ratios[:k]]) for k in range(first, last + 1)]
    paths = np.array(growth)[:, None] * np.arange(1.0, size + 1.0)
    points = np.log(paid_s(paths, term_s) / term_s)
    errors = np.array([math.log(came(past, k, term_s) / term_s) for k in range(first, last + 1)]) - points
    ended = past.start_s[first : last + 1] + term_s
    widths = []
    for k in origins:
        known = errors[ended <= past.start_s[k]][-WINDOW:]
        widths.append(math.sqrt(float((known * known).mean())))
    centre = points[np.asarray(origins) - first]
    return LogMixture(centre, np.array(widths), np.exp(centre))


class Score(NamedTuple):
    """One row of the table: a model over the origins of an era; shares as fractions.

    `mae` and `bias` are of the median forecast of v over v that came, less 1: positive bias promised too much.
    `pinball` is the mean over its levels; `against_flat`, `against_damped`: Diebold-Mariano statistic, p-value.
    """

    model: str
    term_days: int
    era: str
    overlapping: bool
    origins: int
    crps: float
    coverage: tuple[float, ...]
    mae: float
    bias: float
    pinball: float
    pinball_by_level: tuple[float, ...]
    against_flat: tuple[float, float]
    against_damped: tuple[float, float]
    reliability: tuple[float, ...]


def scores(result: Trial) -> list[Score]:
    """Return the rows of one horizon: every model, every era, all origins and the subset without overlap."""
    by_name = {f.model: crps_log(f.law, result.seen) for f in result.forecasts}
    apart = _apart(result)
    rows = []
    for overlapping in (True, False):
        lags = math.ceil(result.term_days / 13) + 1 if overlapping else 1
        for era, low, high in ERAS:
            chosen = (result.years >= low) & (result.years <= high) & (apart | overlapping)
            if chosen.any():
                rows += [_score(result, f, by_name, chosen, (era, overlapping, lags)) for f in result.forecasts]
    return rows


def _apart(result: Trial) -> NDArray[np.bool_]:
    """Return which origins a reader takes who waits for each term to end before he takes the next."""
    keep, free_s = [], -math.inf
    for start in result.start_s:
        keep.append(bool(start >= free_s))
        if keep[-1]:
            free_s = start + result.term_days * S_PER_DAY
    return np.array(keep)


def _score(
    result: Trial,
    forecast: Forecasts,
    crps: dict[str, Floats],
    chosen: NDArray[np.bool_],
    subset: tuple[str, bool, int],
) -> Score:
    law, seen = forecast.law, result.seen
    place = probability_integral(law, seen)[chosen]
    error = np.exp((law.log_mean - seen)[chosen]) - 1.0
    pinball = tuple(float(pinball_log(law, seen, level)[chosen].mean()) for level in PINBALL_LEVELS)
    era, overlapping, lags = subset

    def against(other: str) -> tuple[float, float]:
        if other not in crps or other == forecast.model:
            return math.nan, math.nan
        return diebold_mariano(crps[forecast.model][chosen], crps[other][chosen], lags)

    return Score(
        model=forecast.model,
        term_days=result.term_days,
        era=era,
        overlapping=overlapping,
        origins=int(chosen.sum()),
        crps=float(crps[forecast.model][chosen].mean()),
        coverage=tuple(float((np.abs(place - 0.5) <= 0.5 * share).mean()) for share in COVERAGES),
        mae=float(np.abs(error).mean()),
        bias=float(error.mean()),
        pinball=math.fsum(pinball) / len(pinball),
        pinball_by_level=pinball,
        against_flat=against("flat"),
        against_damped=against(DAMPED.name),
        reliability=tuple(float((place <= level).mean()) for level in RELIABILITY),
    )


def validate(epochs: Sequence[Epoch], models: Sequence[str] = MODELS, until_year: int = 9999) -> list[Score]:
    """Return every row of the table, by horizon, subset, era and model."""
    past = history(epochs)
    return [row for days in HORIZONS_DAYS for row in scores(trial(past, days, models, until_year))]
