"""Growth of difficulty expected from past retargets only: `flat`, `trailing(n)`, `ewma(n)`, chosen by name.

Models that forecast a path and its uncertainty (`anchored`, `damped`, `ar1`) are found by name here too.

Why the logarithms go through `decimal`: a C library's log and exp may differ in the last bit from one machine to
the next, and a fair value one bit apart may one day turn a decision. `decimal` rounds ln and exp correctly (to 40
digits here, then once to the nearest float), and IEEE + - * / and math.fsum are correctly rounded everywhere. So
the forecast, and the undiscounted fair value made from it, are the same to the last bit on every machine. It costs
some 30 microseconds once a retarget. `sum` is avoided too: from Python 3.12 on it adds floats in another way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Final, Protocol

from bot.errors import ConfigError, Problem
from bot.model.domain import checked, refused
from bot.model.schedule import EPOCH_S, LN4, Step

_EXACT: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)
PATH_NAMES: Final = ("anchored", "damped", "ar1")
"""Models that forecast a whole path and its uncertainty; see `path_growth`."""
_NAME: Final = re.compile(r"(flat)|(trailing|ewma)\(([1-9][0-9]{0,3})\)")
_MOST_RETARGETS: Final = 1_000


class GrowthModel(Protocol):
    """What forecasts growth: one number from what the past retargets did."""

    @property
    def name(self) -> str:
        """The name by which `growth_model` finds this model."""
        ...

    @property
    def needs_retargets(self) -> int:
        """How many past retargets it cannot do without."""
        ...

    @property
    def uses_retargets(self) -> int:
        """How many of the last retargets it looks at; earlier ones need not be given."""
        ...

    def growth_per_retarget(self, log_ratios: Sequence[float]) -> float:
        """Return the expected ln(D_next / D) of every coming retarget.

        `log_ratios` are ln(D_{k+1} / D_k) of the past retargets, oldest first, at least `needs_retargets`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Flat:
    """Difficulty stays as it is: growth 0. Needs no past retarget."""

    name: str = "flat"
    needs_retargets: int = 0
    uses_retargets: int = 0

    def growth_per_retarget(self, log_ratios: Sequence[float]) -> float:
        """Return 0."""
        return 0.0


@dataclass(frozen=True, slots=True)
class Trailing:
    """Difficulty keeps growing as it did: the mean log-change of the last `retargets` retargets."""

    retargets: int

    @property
    def name(self) -> str:
        """`trailing(n)`."""
        return f"trailing({self.retargets})"

    @property
    def needs_retargets(self) -> int:
        """All n: a mean over fewer would be another model."""
        return self.retargets

    @property
    def uses_retargets(self) -> int:
        """The last n."""
        return self.retargets

    def growth_per_retarget(self, log_ratios: Sequence[float]) -> float:
        """Return the mean of the last n `log_ratios`."""
        return math.fsum(log_ratios[-self.retargets :]) / self.retargets


@dataclass(frozen=True, slots=True)
class Ewma:
    """An exponentially weighted mean of span n: each retarget weighs (n - 1)/(n + 1) of the next later one.

    The weights of the retargets that are known are scaled to sum to 1. The last 20 n are used (all earlier
    ones together weigh under e^-40), so that the value does not depend on how much more history was given.
    """

    span: int

    @property
    def name(self) -> str:
        """`ewma(n)`."""
        return f"ewma({self.span})"

    @property
    def needs_retargets(self) -> int:
        """One."""
        return 1

    @property
    def uses_retargets(self) -> int:
        """The last 20 n."""
        return 20 * self.span

    def growth_per_retarget(self, log_ratios: Sequence[float]) -> float:
        """Return the weighted mean of `log_ratios`, the last one weighing most."""
        keep = (self.span - 1) / (self.span + 1)
        weighted, weights, weight = [], [], 1.0
        for ratio in reversed(log_ratios[-self.uses_retargets :]):
            weighted.append(weight * ratio)
            weights.append(weight)
            weight *= keep
        return math.fsum(weighted) / math.fsum(weights)


def growth_model(name: str, where: str = "growth") -> GrowthModel:
    """Return the growth model called `name`: `flat`, `trailing(n)` or `ewma(n)`, n in 1..1000, or a path model.

    Raises ConfigError at `where` (as in `config.yaml:14: fair_value.growth`) for any other name.

    >>> growth_model("trailing(6)").name
    'trailing(6)'
    """
    if name in PATH_NAMES:
        from bot.model.path_growth import PATH_MODELS  # numpy costs a tenth of a second: only where it is used

        return PATH_MODELS[name]
    match = _NAME.fullmatch(name)
    if match is None or (match[3] and int(match[3]) > _MOST_RETARGETS):
        what = f"{name!r} is not a growth model"
        remedy = f"choose flat, trailing(n) or ewma(n), n from 1 to {_MOST_RETARGETS} retargets of about 14 days"
        remedy += f", or {', '.join(PATH_NAMES)}"
        raise ConfigError([Problem(where, what, remedy)])
    if match[1]:
        return Flat()
    return Trailing(int(match[3])) if match[2] == "trailing" else Ewma(int(match[3]))


@lru_cache(maxsize=1024)  # every strategy of a run asks for the same past
def log_ratio(target_before: int, target_after: int) -> float:
    """Return ln(D_after / D_before) of one retarget = ln(target_before / target_after), correctly rounded.

    >>> log_ratio(4, 1) == LN4
    True
    """
    return float(_EXACT.ln(_EXACT.divide(Decimal(target_before), Decimal(target_after))))


def reproducible_step(growth: float) -> Step:
    """Return `schedule.step_of_growth(growth)` with correctly rounded exponentials.

    Raises ModelError beyond +-700 and for NaN.
    """
    checked("growth_per_retarget", growth, -700.0, 700.0, "a growth model answers about 0.05 a retarget")
    clipped = min(max(growth, -LN4), LN4)
    length = EPOCH_S * float(_EXACT.exp(Decimal(-growth)))
    return Step(length, float(_EXACT.exp(Decimal(-clipped))))


def forecast(model: GrowthModel, log_ratios: Sequence[float]) -> float:
    """Return the growth that `model` reads out of past `log_ratios`, oldest first.

    Raises ModelError, naming what is missing, when fewer retargets are known than the model needs.
    """
    known, needed = len(log_ratios), model.needs_retargets
    if known < needed:
        what = f"{known} past retargets are known, {model.name} needs {needed}"
        raise refused("past_epochs", what, f"give {needed + 1} epochs or more, or take growth flat")
    return model.growth_per_retarget(log_ratios)
