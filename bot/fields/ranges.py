"""Ranges of settings, for searches: which values a setting takes, made from the setting's own declaration.

So a range has the kind, the bounds and the messages of the setting that it ranges over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from bot.fields.declare import Conflict, Setting, declared_settings, items, section, setting
from bot.fields.kinds import Choice, FilePath, Flag, Integer, Kind, Text

LINEAR: Final = "linear"
LOG: Final = "log"
LONGEST: Final = 256
_UNRANGED: Final = (FilePath, Text)
_NAMED: Final = (Choice, Flag)


class Range:
    """What one setting may be: `values` in their order, or `points` of them from `low` to `high`, both included."""

    of: ClassVar[Setting]
    values: tuple[Any, ...]
    low: Any = None
    high: Any = None
    points: int = 0
    scale: str = LINEAR

    @property
    def is_span(self) -> bool:
        """Whether it goes from a lowest to a highest value instead of naming each."""
        return not self.values

    def cross_check(self) -> Iterator[Conflict]:
        """Yield what is wrong with the range as a whole."""
        show = self.of.shape.show if isinstance(self.of.shape, Kind) else str
        for index, value in enumerate(self.values):
            if value in self.values[:index]:
                yield Conflict(f"values[{index}]", f"{show(value)} is there twice", "name each value once")
        if self.values and (self.low is not None or self.high is not None):
            yield Conflict("values", "they stand beside from and to", "give one of the two")
        elif not self.values and (self.low is None or self.high is None):
            missing = "values" if isinstance(self.of.shape, _NAMED) else "to" if self.high is None else "from"
            yield Conflict(missing, "it is missing", _how_to_write(self.of))
        elif not self.values and not self.low < self.high:
            remedy = "turn them round" if self.high < self.low else "a single value belongs into params"
            yield Conflict("to", f"{show(self.high)} is not above from, {show(self.low)}", remedy)
        elif not self.values and self.scale == LOG and not self.low > 0:
            yield Conflict("from", f"{show(self.low)} is not above 0, as a log scale needs", "or leave scale out")


def ranges_of(settings: type[Any]) -> type[Any]:
    """Return a settings class with an optional range for each single value that `settings` declares.

    Its fields are called as those of `settings` and hold a `Range` or None. Texts, paths, lists and sections have no
    range.
    """
    fields: list[tuple[str, Any, Any]] = []
    for field, of in declared_settings(settings):
        if isinstance(of.shape, Kind) and not isinstance(of.shape, _UNRANGED):
            described = section(range_of(of), key=of.key, absent="as in params", doc=f"Which to try. {of.doc}")
            fields.append((field.name, Any, described))
    made = dataclasses.make_dataclass(f"{settings.__name__}Ranges", fields, frozen=True, kw_only=True)
    made.__doc__ = "What `fairhash sweep` tries."
    return made


def range_of(of: Setting) -> type[Range]:
    """Return the settings class of a range over the setting `of`."""
    kind = of.shape
    assert isinstance(kind, Kind)
    low, high = (None if bound is None else kind.show(bound) for bound in (of.low, of.high))
    step = None if of.step is None else kind.show(of.step)
    values = items(kind, longest=LONGEST, low=low, high=high, doc="Each value to try.")
    fields: list[tuple[str, Any, Any]] = [("values", tuple, values)]
    if not isinstance(kind, _NAMED):
        bounds: dict[str, Any] = {"low": low, "high": high, "step": step, "absent": "see values"}
        points = setting(Integer(), default="5", low="2", high="10000", doc="How many a grid takes, ends included.")
        spacing = setting(Choice(LINEAR, LOG), default=LINEAR, doc="Even steps (linear) or even ratios (log).")
        fields += [
            ("low", Any, setting(kind, key="from", doc="Lowest value.", **bounds)),
            ("high", Any, setting(kind, key="to", doc="Highest value.", **bounds)),
            ("points", int, points),
            ("scale", str, spacing),
        ]
    return dataclasses.make_dataclass(
        "SettingRange", fields, bases=(Range,), namespace={"of": of, "__doc__": "A range."}, frozen=True, kw_only=True
    )


def _how_to_write(of: Setting) -> str:
    if isinstance(of.shape, _NAMED):
        return "for example values: [true, false]" if isinstance(of.shape, Flag) else "name them in values: [..]"
    return "give from and to, or values"
