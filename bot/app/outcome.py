"""What a command has to say, and how it says it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command has to say, to people and to programs, and the code that the program leaves with."""

    text: str
    document: Mapping[str, Any]
    exit_code: int = 0

    def as_json(self) -> str:
        """Return the document as JSON; keys in their order, no NaN."""
        return json.dumps(self.document, indent=2, ensure_ascii=False, allow_nan=False)


def progress(text: str) -> None:
    """Tell a person how far the work is; standard output is for the result."""
    print(text, file=sys.stderr, flush=True)


def columns(rows: list[tuple[str, ...]]) -> str:
    """Return rows as text in aligned columns, the last one ragged."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)
