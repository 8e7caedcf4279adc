"""What a run came to, in short: what thousands of runs are compared by, none of them with a ledger."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from backtests.result import RunResult
from bot.core.events import Fill, Mark, Notice

Integers = npt.NDArray[np.int64]


class Brief(Protocol):
    """What an engine may return instead of a whole result, for a row of measures.

    Arrays of marks are in time order and without the last one, which is `last`.
    """

    name: str
    user: str
    start_equity_sat: int
    last: Mark
    samples: Integers | None
    """At which market events, by their place in the history, rising, the run was asked for its equity, if at any."""

    @property
    def time_ns(self) -> Any:
        """Times of marks: as many as market events were marked."""
        ...

    @property
    def sampled_sat(self) -> Any:
        """Equity at each of `samples` that was marked, in satoshi; only where they were asked for."""
        ...

    @property
    def fall(self) -> tuple[int, int]:
        """The deepest fall of equity in satoshi, over all marks and the last, and the highest equity before it.

        The deposit is the first peak; of equal falls it is the first, and (0, 0) where there is none.
        """
        ...

    @property
    def sizes(self) -> Any:
        """Time and lots of each of the user's fills, sales negative: a row each."""
        ...

    @property
    def told(self) -> frozenset[str]:
        """The kinds of the notices that the user was given."""
        ...

    @property
    def position_lots(self) -> Any:
        """Positions at marks; may take as long as another run."""
        ...

    @property
    def equity_sat(self) -> Any:
        """Equity at marks; may take as long as another run."""
        ...


class ResultInBrief:
    """The Brief of a whole result."""

    def __init__(self, result: RunResult, samples: Integers | None = None) -> None:
        marks = np.array(list(result.marks[:-1]), np.int64).reshape(-1, 4)
        columns = [np.ascontiguousarray(marks[:, column]) for column in range(4)]
        self.time_ns, self.price_sat, self.position_lots, self.equity_sat = columns
        self.name, self.user = result.name, result.user
        self.start_equity_sat = result.start_equity_sat
        self.fills: list[Fill] = result.fills
        self.notices: list[Notice] = result.notices
        self.last = result.marks[-1]
        self.samples = samples

    @property
    def sampled_sat(self) -> Integers:
        """Equity at each of `samples` that was marked."""
        assert self.samples is not None, "what was not asked for"
        return sampled_at(self.samples, self.equity_sat)

    @property
    def fall(self) -> tuple[int, int]:
        """The deepest fall, and the peak before it."""
        return deepest_fall(self.start_equity_sat, self.equity_sat, self.last.equity_sat)

    @property
    def sizes(self) -> Integers:
        """Time and lots of each of the user's fills, a row each."""
        rows = [(fill.time_ns, fill.size_lots) for fill in self.fills if fill.user == self.user]
        return np.array(rows, np.int64).reshape(-1, 2)

    @property
    def told(self) -> frozenset[str]:
        """The kinds of the user's notices."""
        return frozenset(notice.kind for notice in self.notices if notice.user == self.user)


def sampled_at(samples: Integers, equity_sat: Integers) -> Integers:
    """Return the equity at each of the places `samples`, rising, that there are."""
    return equity_sat[samples[: np.searchsorted(samples, len(equity_sat))]]


def deepest_fall(start_sat: int, equity_sat: Integers, last_sat: int) -> tuple[int, int]:
    """Return the deepest fall of equity from the highest before it in satoshi, and that peak; (0, 0) without any.

    Of equal falls it is the first.
    """
    whole = np.concatenate(((start_sat,), equity_sat, (last_sat,)))
    peaks = np.maximum.accumulate(whole)
    falls = peaks - whole
    at = int(np.argmax(falls))
    return (int(falls[at]), int(peaks[at])) if falls[at] else (0, 0)
