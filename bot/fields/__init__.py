"""A small language for settings: typed, bounded, documented; read from strict YAML with every problem at once.

A settings class is a frozen dataclass (`bot.fields.declare`); `parse` reads it from a tree of nodes, `explain`
lists what it holds. This package imports only `bot.errors` and `bot.core`, so strategies may use it.
"""

from bot.fields.declare import Conflict, declared_settings, items, raw, section, setting
from bot.fields.explain import Row, explain
from bot.fields.kinds import Choice, FilePath, Flag, Integer, RefusedError, Text, Timestamp
from bot.fields.nodes import Mapping, Node, Scalar, Sequence, where
from bot.fields.quantities import Duration, Fraction, HashPower, Money, Ppm, Rate, Size
from bot.fields.ranges import Range, ranges_of
from bot.fields.reading import Reading, in_file_order, parse

__all__ = [
    "Choice",
    "Conflict",
    "Duration",
    "FilePath",
    "Flag",
    "Fraction",
    "HashPower",
    "Integer",
    "Mapping",
    "Money",
    "Node",
    "Ppm",
    "Range",
    "Rate",
    "Reading",
    "RefusedError",
    "Row",
    "Scalar",
    "Sequence",
    "Size",
    "Text",
    "Timestamp",
    "declared_settings",
    "explain",
    "in_file_order",
    "items",
    "parse",
    "ranges_of",
    "raw",
    "section",
    "setting",
    "where",
]
