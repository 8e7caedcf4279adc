"""What the measures of a run need that follows from times alone: found once for a history, not once a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from backtests.metrics import MAX_SAMPLES, NS_PER_HOUR, periods_per_year
from bot.core.units import NS_PER_DAY

Integers = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]

_MOST_KEPT: Final = 8
"""Runs on one history end alike: all are marked up to expiry or the end. More ways than these are found again."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which points of a run's curve of equity are sampled, as backtests.metrics.sample takes them.

    The curve is the deposit where the first mark comes after the start (`is_late`), equity at marks, and that at the
    end. Deposit and end are sampled always; `events` are the places of the sampled marks in between. `days` are the
    places, among the samples, of the last of each UTC day. `periods` are the samples of a year.
    """

    is_late: bool
    events: Integers
    days: Places
    periods: float | None


def sampling_of(times_ns: Integers, last_ns: int, start_ns: int) -> Sampling:
    """Return the sampling of a run from `start_ns` on with marks at these times and a last one at `last_ns`."""
    is_late = (int(times_ns[0]) if len(times_ns) else last_ns) > start_ns
    times = np.concatenate(((start_ns,) if is_late else times_ns[:0], times_ns, (last_ns,)))
    for step_ns in (1, NS_PER_HOUR, NS_PER_DAY):
        lasts = _lasts(times, step_ns)
        first = lasts[:0] if lasts[0] == 0 else np.zeros(1, np.intp)
        if len(lasts) + len(first) <= MAX_SAMPLES:
            break
    chosen = np.concatenate((first, lasts))
    days = np.searchsorted(
        chosen, _lasts(times, NS_PER_DAY)
    )  # a day's last is the last of its hour, and of its instant
    offset = int(is_late)
    events = (chosen[offset:-1] - offset).astype(np.int64)
    return Sampling(is_late, events, days, periods_per_year(times[chosen].tolist()))


def _lasts(times: Integers, step_ns: int) -> Places:
    """Return the index of the last of the times in each step, rounded down: UTC hours or days."""
    steps = times // step_ns
    return np.append(np.flatnonzero(steps[1:] != steps[:-1]), len(times) - 1)


class Timeline:
    """The times of a history's market events, and the samplings of the runs on it that have been looked at."""

    def __init__(self, times_ns: Integers, start_ns: int, end_ns: int, expiry_ns: int) -> None:
        """Take the times of all events that a run from `start_ns` to `end_ns` goes through."""
        self._times_ns = times_ns
        self._start_ns = start_ns
        marked = int(np.searchsorted(times_ns, expiry_ns))  # at expiry nothing is marked any more
        planned = sampling_of(times_ns[:marked], end_ns, start_ns)
        self._kept = {(marked, end_ns): planned}
        self.samples = planned.events
        """The places of the events at which runs are asked for equity: those of every run that ends as planned."""

    def sampling(self, marked: int, last_ns: int) -> Sampling:
        """Return the sampling of a run with so many marks before its last one, which was at `last_ns`.

        Where its `events` are those of `samples`, they are that same array.
        """
        key = marked, last_ns
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            found = sampling_of(self._times_ns[:marked], last_ns, self._start_ns)
            if np.array_equal(found.events, self.samples):
                found = replace(found, events=self.samples)
            self._kept[key] = found
        return found
