"""The sweep itself: ask a search for trials, run those whose rows are not there yet, tell it what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from backtests.sweep.job import Row
from backtests.sweep.rows import Rows
from backtests.sweep.space import Trial


class Search(Protocol):
    """What decides which trials are made."""

    total: int

    def ask(self) -> Sequence[Trial]:
        """Return the next trials, none when the search is over."""
        ...

    def tell(self, scores: Mapping[int, float | None]) -> None:
        """Take in the scores of the trials asked last, by number; None where one failed."""
        ...


class Workers(Protocol):
    """Where trials run."""

    def prepare(self, seeds: Sequence[int]) -> Iterator[int]:
        """Have the simulated markets of these seeds at hand; yield each seed when it is."""
        ...

    def run(self, asked: Sequence[tuple[int, tuple[Trial, ...]]]) -> Iterator[Row]:
        """Yield a row for each trial on each market, in the order in which they are done."""
        ...


class Listed:
    """A search that knows all its trials from the start: a grid, or random draws."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.total = len(trials)
        self._trials = trials

    def ask(self) -> Sequence[Trial]:
        """Return all trials, once."""
        trials, self._trials = self._trials, ()
        return trials

    def tell(self, scores: Mapping[int, float | None]) -> None:
        """Learn nothing."""


def run(search: Search, markets: Sequence[int], workers: Workers, rows: Rows) -> Iterator[tuple[Sequence[Trial], Row]]:
    """Yield every trial's rows as they come, each with the trials asked for at the time; new rows are kept first.

    Rows that are there already are yielded before any is run. Markets come one after the other, so that a worker needs
    each but once. What is yielded, its order apart, depends on neither the number of workers nor on interruptions.
    """
    while trials := search.ask():
        for trial in trials:
            for market in markets:
                if (trial.number, market) in rows.found:
                    yield trials, rows.found[trial.number, market]
        missing = [(m, tuple(t for t in trials if (t.number, m) not in rows.found)) for m in markets]
        asked = [(market, left) for market, left in missing if left]
        for row in workers.run(asked) if asked else ():
            rows.add(row)
            yield trials, row
        search.tell({trial.number: score([rows.found[trial.number, m] for m in markets]) for trial in trials})


def score(rows: Sequence[Row]) -> float | None:
    """Return what a search makes as large as it can: the mean net profit in satoshi, None if any market failed.

    The mean is over the simulated markets where there are any, for they say what to expect; the configured market is
    then one more draw, and only shown.
    """
    if any(row.error for row in rows):
        return None
    drawn = [row.net_sat for row in rows if row.market] or [row.net_sat for row in rows]
    return sum(drawn) / len(drawn)
