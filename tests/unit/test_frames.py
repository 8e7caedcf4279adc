"""Results as pandas frames keep every integer and carry UTC times."""

from __future__ import annotations

from pathlib import Path

from backtests import reference
from backtests.frames import frames
from bot.run import load_run

ROOT = Path(__file__).parents[2]


def test_frames_hold_what_the_result_holds() -> None:
    result = reference.run(load_run(ROOT / "config.yaml").plans[2])
    fills, postings, marks = frames(result)
    assert [len(fills), len(postings), len(marks)] == [len(result.fills), len(result.postings), len(result.marks)]
    assert marks["equity_sat"].tolist() == [mark.equity_sat for mark in result.marks]
    assert postings["amount"].dtype == "int64" and postings.groupby("transaction")["amount"].count().min() >= 2
    assert str(marks.index.dtype).endswith("UTC]") and marks.index[0].value == result.marks[0].time_ns
