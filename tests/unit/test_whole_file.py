"""Files of studies are whole or not there, and a full disk is told with the path and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backtests.whole_file import refuse_file, write_file
from bot.cli import main
from bot.errors import OutputError
from tests import sweeps
from tests.sweeps import ROOT


def limited(bytes_512: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run fairhash where no file can grow beyond so many blocks of 512 bytes: a write fails as on a full disk."""
    command = f'ulimit -f {bytes_512}; exec "$0" -m bot "$@"'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        ["sh", "-c", command, sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    place = tmp_path / "plot.svg"
    write_file(place, b"first")
    write_file(place, b"second")
    assert place.read_bytes() == b"second" and list(tmp_path.iterdir()) == [place]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "plot.svg"
    place.write_bytes(b"before")
    (tmp_path / ".plot.svg.new").mkdir()  # in the way, as a full disk would be
    with pytest.raises(OutputError, match=r"plot.svg: cannot be written: .* \(free space, or choose another place"):
        write_file(place, b"after")
    assert place.read_bytes() == b"before"


def test_what_is_no_file_is_written_to_and_not_replaced() -> None:
    write_file(Path("/dev/null"), b"nothing")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OutputError, match="/dev/full: cannot be written: No space left on device"):
        write_file(Path("/dev/full"), b"too much")
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("command", ["walk-forward", "price", "validate-model"])
def test_a_plot_s_place_is_refused_before_the_work(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of = {"walk-forward": [str(sweeps.config(tmp_path))], "price": [str(ROOT / "contracts/TH1BTC-2014Q4.yaml")]}
    assert main([command, *of.get(command, []), "--plot", str(tmp_path / "none" / "plot.svg")]) == 8
    told = capsys.readouterr().err
    assert "there is no directory" in told and "forecasting" not in told and "windows" not in told
    with pytest.raises(OutputError, match="is a directory"):
        refuse_file(tmp_path)


def test_a_sweep_on_a_full_disk_says_where_and_what_to_do(tmp_path: Path) -> None:
    config, out = sweeps.config(tmp_path), tmp_path / "out"
    ended = limited(4, "sweep", str(config), "--grid", "--workers", "1", "--out", str(out))
    assert ended.returncode == 8 and "Traceback" not in ended.stderr
    assert f"{out}/markets/0-rows.npy: a market's table cannot be written: " in ended.stderr
    assert "free space and start again" in ended.stderr
    assert list((out / "markets").iterdir()) == [], "what is half written is no use, and takes space"
    assert main(["sweep", str(config), "--grid", "--workers", "1", "--out", str(out)]) == 0
