"""Results as pandas frames, for whoever goes on in a notebook: exact integers, times in UTC, units in the names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from backtests.result import RunResult

if TYPE_CHECKING:
    import pandas as pd


class Frames(NamedTuple):
    """Fills, postings and marks of a run, each indexed by `time` (UTC, nanoseconds)."""

    fills: pd.DataFrame
    postings: pd.DataFrame
    marks: pd.DataFrame


def frames(result: RunResult) -> Frames:
    """Return the fills, postings and marks of `result` as frames; amounts stay integers (satoshi, lots).

    pandas is imported here, so that a backtest does not wait for it.
    """
    import pandas as pd

    def frame(rows: list[tuple[object, ...]], columns: tuple[str, ...]) -> pd.DataFrame:
        table = pd.DataFrame.from_records(rows, columns=list(columns))
        table.insert(0, "time", pd.to_datetime(table.pop("time_ns"), unit="ns", utc=True))
        return table.set_index("time")

    from bot.core.events import Fill, Mark, Posting

    return Frames(
        frame(list(result.fills), Fill._fields),
        frame(list(result.postings), Posting._fields),
        frame(list(result.marks), Mark._fields),
    )
