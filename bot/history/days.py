"""A recording's directory as one history: its day files in order, each checked as a file, then their seams."""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise
from pathlib import Path

from bot.core.contract import Contract
from bot.errors import HistoryError, Problem
from bot.history.reading import ANY_PRICE, QUIET_INTERVALS, Reading, read
from bot.history.series import BARS, QUOTES, Gap

_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"


def day_name(contract_id: str, kind: str, day: str) -> str:
    """Return the name of the file of one UTC day.

    >>> day_name("TH1BTC-2014Q4", "quotes", "2014-09-15")
    'TH1BTC-2014Q4-quotes-2014-09-15.csv'
    """
    return f"{contract_id}-{kind}-{day}.csv"


def day_files(directory: Path, contract_id: str, kind: str) -> list[Path]:
    """Return the day files of a directory in order of their days."""
    pattern = re.compile(re.escape(f"{contract_id}-{kind}-") + _DAY + r"\.csv")
    return sorted(path for path in directory.iterdir() if pattern.fullmatch(path.name))


def read_days(directory: Path, contract: Contract, max_price_sat: int = ANY_PRICE) -> Reading:
    """Return the quotes or bars of a recording as one reading, whose `sha256` is that of its files' digests in order.

    Raises HistoryError with the problems of every file, and for a file that begins before the one before it ends.
    """
    try:
        days = {kind: day_files(directory, contract.id, kind) for kind in (QUOTES, BARS)}
    except OSError as fault:
        raise HistoryError([Problem(str(directory), f"cannot be read: {fault.strerror or fault}")]) from fault
    if all(days.values()):
        what = "has files of quotes and of bars"
        raise HistoryError([Problem(str(directory), what, "put them into directories of their own")])
    kind = BARS if days[BARS] else QUOTES
    paths = days[kind]
    if not paths:
        wanted = day_name(contract.id, QUOTES, "YYYY-MM-DD")
        what = f"has no file called {wanted}"
        raise HistoryError([Problem(str(directory), what, "record into it: fairhash record; or name a file")])
    readings = [read(path, contract, (kind,), max_price_sat) for path in paths]
    problems = [problem for reading in readings for problem in reading.problems()]
    for before, after in pairwise(reading for reading in readings if reading.rows):
        if after.rows[0][0] <= before.rows[-1][0]:
            what = f"begins before {before.path} ends"
            problems.append(Problem(f"{after.path}:{after.lines[0]}", what, "each file must hold a day of its own"))
    if problems:
        raise HistoryError(problems)
    return _joined(directory, readings)


def _joined(directory: Path, readings: list[Reading]) -> Reading:
    whole = Reading(str(directory), readings[0].kind)
    digest = hashlib.sha256("\n".join(reading.sha256 for reading in readings).encode())
    whole.sha256 = digest.hexdigest()
    whole.interval_ns = max(reading.interval_ns for reading in readings)
    whole.interval_stated = all(reading.interval_stated for reading in readings)
    whole.simulated = any(reading.simulated for reading in readings)
    for reading in readings:
        before_ns = whole.rows[-1][0] if whole.rows else None
        loud = whole.kind == BARS or whole.interval_stated
        quiet_ns = whole.interval_ns if loud else QUIET_INTERVALS * whole.interval_ns
        if before_ns is not None and quiet_ns and (silent_ns := reading.rows[0][0] - before_ns) > quiet_ns:
            begins_ns = before_ns + (whole.interval_ns if whole.kind == BARS else 0)
            whole.gaps.append(Gap(begins_ns, before_ns + silent_ns, (silent_ns - 1) // whole.interval_ns))
        whole.rows += reading.rows
        whole.gaps += reading.gaps
        whole.duplicates += reading.duplicates
        whole.rounded += reading.rounded
    return whole
