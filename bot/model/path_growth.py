"""Models that forecast a whole path of difficulty, behind the interface that the fair value asks for growth.

A GrowthModel answers with one growth for all retargets. These answer with a PathForecast, from which come the steps
whose payout is the expected one, E e^{-Y_j}, and the law of the value. The present epoch's blocks sharpen both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np

from bot.model.local_trend import ANCHORED, DAMPED, LEAST_RETARGETS, MEAN_RETARGETS, LocalTrend
from bot.model.paths import PathForecast
from bot.model.reproducible import Floats, log
from bot.model.rivals import WINDOW, ar1_forecast
from bot.model.schedule import EPOCH_S, Step

RETARGETS: Final = 30
"""How far the path reaches, over a year; beyond it growth stays as it was at its end."""
_FORECASTS_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class PathGrowth:
    """A named path forecaster: `make` takes past log-changes, oldest first, and the number of retargets."""

    name: str
    needs_retargets: int
    uses_retargets: int
    make: Callable[[Floats, int], PathForecast]

    def forecast(self, log_ratios: Sequence[float]) -> PathForecast:
        """Return the forecast of the next 30 retargets, as seen at a retarget; fitted once for the same past."""
        return _forecast(self, tuple(log_ratios[-self.uses_retargets :]))

    def growth_per_retarget(self, log_ratios: Sequence[float]) -> float:
        """Return the first step's growth."""
        return first_growth(self.forecast(log_ratios))


@lru_cache(maxsize=_FORECASTS_KEPT)
def _forecast(model: PathGrowth, log_ratios: tuple[float, ...]) -> PathForecast:
    return model.make(np.array(log_ratios), RETARGETS)


def expected_steps(forecast: PathForecast) -> tuple[Step, ...]:
    """Return the epochs to come whose payouts are expected ones.

    Decay E e^{-Y_j}, length c E e^{-Y_j} / E e^{-Y_{j-1}}.
    A full epoch's payout s0 c e^{-Y_j} has its exact mean. The window's end cuts epochs at expected dates: the value
    is some 0.3 % above E v (`random_clock.frozen_s`), which second_order gives.
    """
    decays = [1.0, *forecast.expected_decay().tolist()]
    return tuple(Step(EPOCH_S * (after / before), after / before) for before, after in pairwise(decays))


def first_growth(forecast: PathForecast) -> float:
    """Return the growth of the coming retarget as payouts feel it: -ln E e^{-Y_1}."""
    return -float(log(forecast.expected_decay()[0]))


def _of(trend: LocalTrend) -> PathGrowth:
    return PathGrowth(trend.name, LEAST_RETARGETS, MEAN_RETARGETS, trend.forecast)


PATH_MODELS: Final = {m.name: m for m in (_of(ANCHORED), _of(DAMPED), PathGrowth("ar1", 12, WINDOW, ar1_forecast))}
