"""Parquet is read by the same rules as CSV, whatever types its columns have."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from bot.core.events import Quote
from bot.core.units import NS_PER_S
from bot.errors import HistoryError
from bot.history.load import load_market
from tests.contracts import START_NS, th1

NAMES = ["time", "bid", "bid_size", "ask", "ask_size"]
EXPECTED = [Quote(START_NS, 1_000, 300, 123_450_000, 25), Quote(START_NS + NS_PER_S, 1_000, 300, 123_450_000, 25)]


def store(tmp_path: Path, columns: list[object], metadata: dict[str, str] | None = None) -> Path:
    table = pyarrow.table(columns, names=NAMES)
    if metadata:
        table = table.replace_schema_metadata(metadata)
    path = tmp_path / "market.parquet"
    parquet.write_table(table, path)
    return path


def times(kind: str) -> object:
    if kind == "text":
        return pyarrow.array(["2014-09-15T00:00:00Z", "2014-09-15T00:00:01Z"])
    if kind == "seconds":
        return pyarrow.array([START_NS // NS_PER_S, START_NS // NS_PER_S + 1])
    instants = [datetime(2014, 9, 15, 0, 0, second, tzinfo=UTC) for second in (0, 1)]
    return pyarrow.array(instants, type=pyarrow.timestamp(kind, tz="UTC"))


@pytest.mark.parametrize("kind", ["text", "seconds", "s", "ms", "us", "ns"])
@pytest.mark.parametrize("number", [float, str, Decimal])
def test_any_type_of_column_gives_the_same_quotes(tmp_path: Path, kind: str, number: type) -> None:
    if number is str:
        values: list[object] = ["0.00001", "3", "1.2345", "0.25"]
    else:
        values = [number("0.00001"), number("3"), number("1.2345"), number("0.25")]
    path = store(tmp_path, [times(kind), *([value, value] for value in values)], {"simulated": "true"})
    history = load_market(path, th1())
    assert history.quotes == EXPECTED
    assert history.simulated
    assert history.sources[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("bid", "what"),
    [
        (float("nan"), "'nan' is not a plain decimal"),
        (float("inf"), "'inf' is not a plain decimal"),
        (-0.0, "'-0.0' is not a plain decimal"),
        (None, "'' is not a plain decimal"),
        (0.0, "not above 0"),
        (1 / 3, "finer than 1 satoshi"),
        (2.0, "bid 2.0 is above ask 1.5"),
    ],
)
def test_a_bad_value_is_refused_with_the_number_of_its_row(tmp_path: Path, bid: float | None, what: str) -> None:
    path = store(tmp_path, [times("ns"), pyarrow.array([1.0, bid]), [3.0, 3.0], [1.5, 1.5], [1.0, 1.0]])
    with pytest.raises(HistoryError) as caught:
        load_market(path, th1())
    (problem,) = caught.value.problems
    assert problem.where == f"{path}:2" and what in problem.what


def test_text_that_holds_commas_cannot_shift_columns(tmp_path: Path) -> None:
    path = store(tmp_path, [times("text"), ["1,1", "1\n1"], ["1", "1"], ["2", "2"], ["1", "1"]])
    with pytest.raises(HistoryError, match="bid: '1;1' is not a plain decimal"):
        load_market(path, th1())


def test_times_without_a_zone_and_other_columns_are_refused(tmp_path: Path) -> None:
    naive = pyarrow.array([datetime(2014, 9, 15)] * 2, type=pyarrow.timestamp("ns"))  # noqa: DTZ001
    with pytest.raises(HistoryError, match="no time zone"):
        load_market(store(tmp_path, [naive, *[[1.0, 1.0]] * 4]), th1())
    path = tmp_path / "market.parquet"
    parquet.write_table(pyarrow.table({"time": [1], "bid": [1.0]}), path)
    with pytest.raises(HistoryError, match="is not time,open"):
        load_market(path, th1())


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = store(tmp_path, [times("ns"), *[[1.0, 1.0]] * 2, *[[1.5, 1.5]] * 2])
    content = path.read_bytes()
    for damaged in (b"", b"PAR1", content[: len(content) // 2], b"time,bid\n", content[:4] + content[8:]):
        path.write_bytes(damaged)
        with pytest.raises(HistoryError, match=r"market\.parquet"):
            load_market(path, th1())
