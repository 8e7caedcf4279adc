"""The sweep itself: ask a search for trials, run those whose rows are not there yet, tell it what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from backtests.sweep.job import Row
from backtests.sweep.rows import Rows
from backtests.sweep.space import Trial

Work = tuple[int, tuple[Trial, ...]]
"""A market, and the trials to run on it."""


class Search(Protocol):
    """What decides which trials are made; `total` is how many they will be."""

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
        """Have the simulated markets of these seeds at hand; yield each seed that had to be simulated."""
        ...

    def run(self, asked: Sequence[Work]) -> Iterator[Row]:
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


class Sweep:
    """One sweep. `trials` are those asked for so far, by number; their rows are in `rows.found`."""

    def __init__(self, search: Search, markets: Sequence[int], rows: Rows) -> None:
        self.search = search
        self.markets = markets
        self.rows = rows
        self.trials: dict[int, Trial] = {}

    def run(self, workers: Workers) -> Iterator[Row | int]:
        """Yield every trial's rows as they come, and the seed of each market that was simulated for them.

        Rows that are there already are yielded before others are run; a new one is on disk before it is yielded.
        Markets come one after the other, so that a worker needs each but once. The rows depend neither on the number
        of workers nor on interruptions; their order does.
        """
        found, prepared = self.rows.found, {0}
        while trials := self.search.ask():
            self.trials.update((trial.number, trial) for trial in trials)
            asked = []
            for market in self.markets:
                yield from (found[trial.number, market] for trial in trials if (trial.number, market) in found)
                if left := tuple(trial for trial in trials if (trial.number, market) not in found):
                    asked.append((market, left))
            yield from workers.prepare([market for market, _ in asked if market not in prepared])
            prepared.update(market for market, _ in asked)
            for row in workers.run(asked):
                self.rows.add(row)
                yield row
            self.search.tell({trial.number: score(self.rows_of(trial)) for trial in trials})

    def rows_of(self, trial: Trial) -> list[Row]:
        """Return the rows of a trial that is done, market by market."""
        return [self.rows.found[trial.number, market] for market in self.markets]


def score(rows: Sequence[Row]) -> float | None:
    """Return what a search makes as large as it can: the mean net profit in satoshi, None if any market failed.

    The mean is over the simulated markets where there are any, for they say what to expect; the configured market is
    then shown, and not counted.
    """
    if any(row.error for row in rows):
        return None
    drawn = [row.net_sat for row in rows if row.market] or [row.net_sat for row in rows]
    return sum(drawn) / len(drawn)
