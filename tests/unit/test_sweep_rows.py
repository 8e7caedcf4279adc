"""The rows on disk: whole lines only, of one sweep only, written by one process only."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtests.sweep.measures import Row
from backtests.sweep.rows import ROWS, Rows
from bot.errors import OutputError

INPUTS = {"config sha256": "a", "search": "grid"}
FULL = Row(0, 3, "", 5, 0.1, None, 7, 0.2, 1, True, (100, 90, 105))
FAILED = Row(1, 3, error="StrategyError: 'x' \u2028 ü")


def test_rows_are_found_again_as_they_were(tmp_path: Path) -> None:
    with Rows(tmp_path, INPUTS) as rows:
        rows.add(FULL)
        rows.add(FAILED)
    with Rows(tmp_path, INPUTS) as rows:
        assert rows.found == {(0, 3): FULL, (1, 3): FAILED}


def test_a_row_is_on_its_way_to_the_disk_before_anybody_hears_of_it(tmp_path: Path) -> None:
    with Rows(tmp_path, INPUTS) as rows:
        rows.add(FULL)
        assert (tmp_path / ROWS).read_bytes().count(b"\n") == 2, "while the file is still open"


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_line_half_written_is_as_if_it_had_not_been(tmp_path: Path, cut: int) -> None:
    with Rows(tmp_path, INPUTS) as rows:
        rows.add(FAILED)
        before = (tmp_path / ROWS).read_bytes()
        rows.add(FULL)
    whole = (tmp_path / ROWS).read_bytes()
    (tmp_path / ROWS).write_bytes(whole[:-cut])
    with Rows(tmp_path, INPUTS) as rows:
        assert list(rows.found) == [(1, 3)]
        assert (tmp_path / ROWS).read_bytes() == before
        rows.add(FULL)
    assert (tmp_path / ROWS).read_bytes() == whole


def test_a_sweep_killed_in_its_first_line_begins_anew(tmp_path: Path) -> None:
    (tmp_path / ROWS).write_bytes(b'{"format":"fairhash sw')
    with Rows(tmp_path, INPUTS) as rows:
        assert rows.found == {}
        rows.add(FULL)
    with Rows(tmp_path, INPUTS) as rows:
        assert rows.found == {(0, 3): FULL}


def test_rows_of_other_inputs_are_refused_by_name(tmp_path: Path) -> None:
    with Rows(tmp_path, INPUTS):
        pass
    with pytest.raises(OutputError, match=r"what differs: config sha256, extra.*choose another --out"):
        Rows(tmp_path, {**INPUTS, "config sha256": "b", "extra": "1"})


def test_two_sweeps_never_write_one_file(tmp_path: Path) -> None:
    with Rows(tmp_path, INPUTS), pytest.raises(OutputError, match="another sweep is writing it"):
        Rows(tmp_path, INPUTS)
    with Rows(tmp_path, INPUTS):
        pass


WRONG = ('"net_sat":"1"', '"net_sat":1.5', '"sharpe_year":[]', '"return_frac":NaN', '"error":5', '"daily_sat":["x"]')


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[1]\n",
        b'{"trial":1}\n',
        b'{"trial":1,"market":0,"sise":2}\n',
        b'{"trial":"1","market":0}\n',
        *(f'{{"trial":1,"market":0,{field}}}\n'.encode() for field in WRONG),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    with Rows(tmp_path, INPUTS) as rows:
        rows.add(FULL)
    with (tmp_path / ROWS).open("ab") as file:
        file.write(line)
    with pytest.raises(OutputError, match=r"rows\.jsonl:3: is no row of a sweep"):
        Rows(tmp_path, INPUTS)


def test_what_is_no_sweep_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ROWS).write_bytes(b'{"mine":1}\n')
    with pytest.raises(OutputError, match="these are no rows of a sweep"):
        Rows(tmp_path, INPUTS)
    assert (tmp_path / ROWS).read_bytes() == b'{"mine":1}\n'
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("mine")
    with pytest.raises(OutputError, match="is not empty and holds no sweep"):
        Rows(tmp_path / "mine", INPUTS)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["config.yaml"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        Rows(tmp_path / "file", INPUTS)
