"""Whether engines agree on one plan: fills, postings and marks are compared with ==, not with a tolerance.

So is what they told the user, and what they saw of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from backtests.result import RunResult
from bot.errors import ParityError

COMPARED: Final = ("fills", "postings", "marks", "notices", "observations")


def compare(results: Sequence[RunResult], compared: Sequence[str] = COMPARED) -> None:
    """Return if all results of one plan are equal to the first one's in the lists that are `compared`.

    Raises ParityError that names the first difference: the engines, the list, the index, the field and both values.
    Raises ValueError for results of different plans, which could not agree.
    """
    first, *others = results
    for other in others:
        plans = [(r.name, r.user, r.contract, r.start_ns, r.end_ns, r.start_equity_sat) for r in (first, other)]
        if plans[0] != plans[1]:
            raise ValueError(f"results of different plans: {first.engine} {plans[0]}, {other.engine} {plans[1]}")
        for name in compared:
            difference = _first_difference(getattr(first, name), getattr(other, name))
            if difference:
                place, ours, theirs = difference
                text = f"{first.name}: {first.engine} and {other.engine} disagree at {name}{place}"
                raise ParityError(f"{text}: {ours} and {theirs}")


def _first_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> tuple[str, str, str] | None:
    """Return (place, our value, their value) of the first difference between two lists of named tuples."""
    for index, (our, their) in enumerate(zip(ours, theirs, strict=False)):
        if our == their:
            continue
        for field in our._fields:
            if getattr(our, field) != getattr(their, field):
                where = f"[{index}].{field}, time {our.time_ns} ns"
                return where, repr(getattr(our, field)), repr(getattr(their, field))
    if len(ours) == len(theirs):
        return None
    index = min(len(ours), len(theirs))
    rows = [repr(rows[index]) if index < len(rows) else "nothing" for rows in (ours, theirs)]
    return f"[{index}]", rows[0], rows[1]
