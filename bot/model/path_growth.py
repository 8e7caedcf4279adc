"""Models that forecast a whole path of difficulty, behind the interface that the fair value asks for growth.

A GrowthModel answers with one growth for all retargets. These answer with a PathForecast, from which come the steps
whose payout is the expected one, E e^{-Y_j}, and the law of the value. The present epoch's blocks sharpen both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

import numpy as np

from bot.model.domain import refused
from bot.model.local_trend import ANCHORED, DAMPED, LEAST_RETARGETS, MEAN_RETARGETS, LocalTrend
from bot.model.paths import PathForecast, retargets_within, with_blocks_seen
from bot.model.reproducible import Floats, log_one
from bot.model.rivals import WINDOW, ar1_forecast
from bot.model.schedule import EPOCH_S, Step

RETARGETS: Final = 30
"""How far a path reaches at least, over a year; further where the contract does."""
MOST_RETARGETS: Final = 200
"""Five years even if every epoch took 9 days."""
_MOST_KEPT: Final = 256

Past = tuple[tuple[float, ...], int | None, int]
"""What a forecast is made from: past log-changes, oldest first, the number of the epoch in force; how far it goes."""


def _nothing_unseen(epoch: int, gaps: int) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class PathGrowth:
    """A named path forecaster: `make` takes past log-changes, oldest first, the number of retargets, and the epoch.

    `unseen` says what the end of an epoch adds to its log-change beyond what its first gaps can show (a halving).
    `makes_many`: of arrays with a leading axis `make` makes as many forecasts, each as if it were made alone.
    """

    name: str
    needs_retargets: int
    uses_retargets: int
    make: Callable[[Floats, int, Floats | int | None], PathForecast]
    unseen: Callable[[int, int], float] = _nothing_unseen
    makes_many: bool = False

    def forecast(self, log_ratios: Sequence[float], epoch: int | None = None, term_s: float = 0.0) -> PathForecast:
        """Return the forecast of the next 30 retargets, or of all within `term_s`, as seen at a retarget.

        `epoch` is the number of the one in force; None where it is not known: then no halving is foreseen. Fitted once
        for the same past. Raises ModelError for a term of more than 200 retargets.
        """
        return _forecast(self, self._past(log_ratios, epoch, term_s))

    def forecast_ahead(self, asked: Sequence[tuple[Sequence[float], int, float]]) -> None:
        """Make the forecasts that `forecast` will be asked for, in one call: seven take little longer than one.

        Each comes from its own past alone, to the last bit: making it early tells nobody anything early.
        """
        if not self.makes_many:
            return
        pasts = [self._past(*one) for one in asked if len(one[0]) >= self.needs_retargets][:_MOST_KEPT]
        new = sorted((past for past in pasts if (self, past) not in _KEPT), key=_shape)
        for (_, retargets), group in groupby(new, _shape):
            alike = list(group)
            ratios, epochs = np.array([past[0] for past in alike]), np.array([past[1] for past in alike], np.float64)
            made = self.make(ratios, retargets, epochs)
            for past, mean, covariance in zip(alike, made.mean, made.covariance, strict=True):
                _keep(self, past, PathForecast(mean, covariance, made.scales))

    def _past(self, log_ratios: Sequence[float], epoch: int | None, term_s: float) -> Past:
        retargets = max(RETARGETS, retargets_within(max(term_s, 0.0)))
        if retargets > MOST_RETARGETS:
            what = f"{self.name} forecasts {MOST_RETARGETS} retargets, the term may see {retargets}"
            raise refused("term", what, "end it within five years, or take one growth for good")
        return tuple(log_ratios[-self.uses_retargets :]), epoch, retargets

    def with_blocks_seen(self, path: PathForecast, epoch: int | None, gaps: int, seconds: float) -> PathForecast:
        """Return a forecast made at the start of `epoch` after `gaps` timed gaps of that epoch took `seconds`."""
        return with_blocks_seen(path, gaps, seconds, 0.0 if epoch is None else self.unseen(epoch, gaps))

    def growth_per_retarget(self, log_ratios: Sequence[float]) -> float:
        """Return the first step's growth."""
        return first_growth(expected_steps(self.forecast(log_ratios)))


_KEPT: Final[dict[tuple[PathGrowth, Past], PathForecast]] = {}
"""Six strategies of one run, and a thousand of a sweep, ask for the same forecasts."""


def _keep(model: PathGrowth, past: Past, made: PathForecast) -> PathForecast:
    while len(_KEPT) >= _MOST_KEPT:
        del _KEPT[next(iter(_KEPT))]  # the oldest
    _KEPT[model, past] = made
    return made


def _forecast(model: PathGrowth, past: Past) -> PathForecast:
    ratios, epoch, retargets = past
    return _KEPT.get((model, past)) or _keep(model, past, model.make(np.array(ratios), retargets, epoch))


def _shape(past: Past) -> tuple[int, int]:
    return len(past[0]), past[2]


def expected_steps(forecast: PathForecast) -> tuple[Step, ...]:
    """Return the epochs to come whose payouts are expected ones.

    Decay E e^{-Y_j}, length c E e^{-Y_j} / E e^{-Y_{j-1}}.
    A full epoch's payout s0 c e^{-Y_j} has its exact mean. The window's end cuts epochs at expected dates: the value
    is some 0.3 % above E v (`random_clock.frozen_s`), which second_order gives.
    """
    decays = [1.0, *forecast.expected_decay().tolist()]
    return tuple(Step(EPOCH_S * (after / before), after / before) for before, after in pairwise(decays))


def first_growth(steps: Sequence[Step]) -> float:
    """Return the growth of the coming retarget as payouts feel it: -ln E e^{-Y_1}."""
    return -log_one(steps[0].decay)


def _of(trend: LocalTrend) -> PathGrowth:
    return PathGrowth(trend.name, LEAST_RETARGETS, MEAN_RETARGETS, trend.forecast, trend.drop_unseen, makes_many=True)


def _ar1(log_ratios: Floats, retargets: int, epoch: Floats | int | None) -> PathForecast:
    return ar1_forecast(log_ratios, retargets)


PATH_MODELS: Final = {m.name: m for m in (_of(ANCHORED), _of(DAMPED), PathGrowth("ar1", 12, WINDOW, _ar1))}
