"""The plain tree of a document: scalars, sequences and mappings that know the line they stand on.

Nothing in it is interpreted: a scalar is its text. `quoted` tells whether the author wrote quotation
marks, since only then is `no` or `010` surely meant as a text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Scalar:
    """One written value, uninterpreted."""

    file: str
    line: int
    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of nodes."""

    file: str
    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and their nodes in the order of the file; keys are unique."""

    file: str
    line: int
    entries: tuple[tuple[Scalar, Node], ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A place whose content was refused already (an alias, say): nothing more is said about it."""

    file: str
    line: int


Node: TypeAlias = Scalar | Sequence | Mapping | Refused

LONGEST_SHOWN: Final = 60

# What a YAML 1.1 reader (and so most tools a user knows) makes of an unquoted scalar that is not text. The patterns
# are compiled by `re` when first needed: most texts begin with a letter, and never need them.
_OTHER_WORDS: Final = {
    **dict.fromkeys(("", "~", "null"), "nothing (null)"),
    **dict.fromkeys(("y", "n", "yes", "no", "true", "false", "on", "off"), "a truth value"),
    **dict.fromkeys(("<<", "="), "a merge key or default"),
}
_OTHER_NUMBERS: Final = (
    ("a number in base 60", r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"),
    ("an octal number", r"[-+]?0o?[0-7_]+"),
    ("a hexadecimal or binary number", r"[-+]?0(x[0-9a-fA-F_]+|b[01_]+)"),
    ("a number", r"[-+]?(\.?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|\.(inf|Inf|INF|nan|NaN|NAN))"),
    ("a date", r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9:.]+ *(Z|[-+][0-9:]+)?)?"),
)


def other_reading(text: str) -> str | None:
    """Return what a YAML 1.1 reader would take the unquoted `text` for, or None if for a text.

    >>> other_reading("no"), other_reading("010"), other_reading("12:30:00"), other_reading("pps")
    ('a truth value', 'an octal number', 'a number in base 60', None)
    """
    reading = _OTHER_WORDS.get(text.lower() if len(text) < 6 else text)
    if reading is None and text[:1] in "-+.0123456789":
        return next((name for name, pattern in _OTHER_NUMBERS if re.fullmatch(pattern, text)), None)
    return reading


def shown(text: str) -> str:
    """Return `text` quoted for a message: on one line, printable, and cut when long."""
    if len(text) > LONGEST_SHOWN:
        return repr(text[:LONGEST_SHOWN]) + f" and {len(text) - LONGEST_SHOWN} more characters"
    return repr(text)


def where(node: Node) -> str:
    """Return `file:line` of `node`."""
    return f"{node.file}:{node.line}"
