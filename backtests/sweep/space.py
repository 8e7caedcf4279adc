"""Which trials a sweep makes: values of parameters from their declared ranges, by grid, at random or where one points.

A value between the ends of a range is made exactly (fractions and `decimal`) and rounded to six digits and to what the
setting's kind keeps, so a trial is the same on every machine and `show` writes it as a person would.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from itertools import product
from typing import Any, Final, NamedTuple

from bot.errors import ConfigError, Problem
from bot.fields import Range, declared_settings
from bot.fields.kinds import Kind
from bot.fields.ranges import LOG

MOST_TRIALS: Final = 100_000
"""The rows of a sweep are held in memory, some 4 KB each: more trials say no more about a strategy."""
_SIGNIFICANT: Final = 6
"""Digits of a value between the ends of its range: finer differences mean nothing, six are read easily."""
_EXACT: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)
_SHORT: Final = Context(prec=_SIGNIFICANT, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter that is swept: the field of Params it sets, the key that a configuration calls it by, its range."""

    field: str
    key: str
    range: Range

    def show(self, value: Any) -> str:
        """Return a value as a configuration writes it; reading that gives the value back exactly."""
        kind = self.range.of.shape
        assert isinstance(kind, Kind)
        return kind.show(value)

    def grid(self) -> tuple[Any, ...]:
        """Return the values of a grid in their order, both ends included, each once."""
        span = self.range
        if not span.is_span:
            return span.values
        count = span.points - 1
        return tuple(dict.fromkeys(self.at(Fraction(index, count)) for index in range(count + 1)))

    def at(self, place: float | Fraction) -> Any:
        """Return the value at `place`, from 0 (lowest) to 1 (highest), to six significant digits of the range."""
        span = self.range
        if not span.is_span:
            return span.values[min(int(place * len(span.values)), len(span.values) - 1)]
        if place in (0, 1):
            return span.high if place else span.low
        low, high = _exact(span.low), _exact(span.high)
        if span.scale == LOG:
            log_low, log_high = (_EXACT.ln(_decimal(end)) for end in (low, high))
            step = _EXACT.multiply(_EXACT.subtract(log_high, log_low), _decimal(Fraction(place)))
            found = Fraction(_SHORT.plus(_EXACT.exp(_EXACT.add(log_low, step))))
        else:
            digit = _digit(high - low)
            found = round((low + (high - low) * Fraction(place)) / digit) * digit  # rounded half to even
        return self._kept(min(max(found, low), high))

    def place(self, value: Any) -> float:
        """Return where a value lies between the lowest (0) and the highest (1): what `at` was given, but rounded."""
        span = self.range
        if not span.is_span:
            return span.values.index(value) / max(len(span.values) - 1, 1)
        low, high, here = (float(_exact(one)) for one in (span.low, span.high, value))
        if span.scale == LOG:
            return math.log(here / low) / math.log(high / low)
        return (here - low) / (high - low)

    def _kept(self, value: Fraction) -> Any:
        """Return `value` as the setting keeps it: integers and multiples of a step are rounded half to even."""
        span = self.range
        if isinstance(span.low, float):
            return float(value)  # correctly rounded
        step = span.of.step or (Decimal("1e-8") if isinstance(span.low, Decimal) else 1)
        found = round(value / _exact(step)) * _exact(step)
        if isinstance(span.low, Decimal):
            return _decimal(found).normalize(_EXACT)
        return min(max(int(found), span.low), span.high)


class Trial(NamedTuple):
    """One set of parameters to try: `number` counts over the whole sweep, `strategy` is its place in the configuration.

    `values` go with the axes of the strategy's space.
    """

    number: int
    strategy: int
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """The ranges of one strategy: its place in the configuration, its name and `use`, an axis for each parameter."""

    strategy: int
    name: str
    use: str
    axes: tuple[Axis, ...]

    def size(self) -> int:
        """Return how many trials its grid has."""
        return math.prod(len(axis.grid()) for axis in self.axes)

    def shown(self, values: Sequence[Any]) -> dict[str, str]:
        """Return a trial's values as a configuration would write them, by key."""
        return {axis.key: axis.show(value) for axis, value in zip(self.axes, values, strict=True)}

    def arguments(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return a trial's values by the field of Params that they set."""
        return {axis.field: value for axis, value in zip(self.axes, values, strict=True)}


def spaces_of(strategies: Sequence[Any], path: str) -> tuple[Space, ...]:
    """Return the space of every strategy that has a sweep section; raises ConfigError if none has.

    `strategies` are the entries of bot.config.Settings, `path` the configuration's file.
    """
    found = []
    for index, entry in enumerate(strategies):
        if entry.ranges is None:
            continue
        axes = [
            Axis(field.name, of.key, span)
            for field, of in declared_settings(type(entry.ranges))
            if isinstance(span := getattr(entry.ranges, field.name), Range)
        ]
        found.append(Space(index, entry.name, entry.use, tuple(axes)))
    if not found:
        what = "no strategy has a sweep section, so there is nothing to try"
        raise ConfigError([Problem(path, what, "add one, as in examples/sweep.yaml; docs/sweep.md says how")])
    return tuple(found)


def grid(spaces: Sequence[Space]) -> Iterator[Trial]:
    """Yield every combination of every space, the last axis fastest. Raises ConfigError above `MOST_TRIALS`."""
    count = sum(space.size() for space in spaces)
    if count > MOST_TRIALS:
        what = f"the grid has {count} trials, more than {MOST_TRIALS}"
        raise ConfigError([Problem("--grid", what, "take fewer points, or --random N")])
    number = 0
    for space in spaces:
        for values in product(*(axis.grid() for axis in space.axes)):
            yield Trial(number, space.strategy, values)
            number += 1


def at_random(spaces: Sequence[Space], count: int, seed: int) -> Iterator[Trial]:
    """Yield `count` trials of each space, drawn evenly over its ranges; the same for the same seed everywhere."""
    number = 0
    for space in spaces:
        draw = random.Random(f"{seed}/{space.name}").random  # noqa: S311 - draws parameters, not secrets
        for _ in range(count):
            yield Trial(number, space.strategy, tuple(axis.at(draw()) for axis in space.axes))
            number += 1


def _exact(value: Any) -> Fraction:
    """Return a value as the decimal that it is written as: a float by its shortest form."""
    return Fraction(Decimal(repr(value)) if isinstance(value, float) else value)


def _digit(width: Fraction) -> Fraction:
    """Return the power of ten that is `_SIGNIFICANT` digits below the first one of `width` > 0."""
    return Fraction(10) ** (_decimal(width).adjusted() + 1 - _SIGNIFICANT)


def _decimal(value: Fraction) -> Decimal:
    return _EXACT.divide(Decimal(value.numerator), Decimal(value.denominator))
