"""What a hostile user meets: closed and full outputs, signals, places that cannot be written, files that never end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backtests import output
from bot.chain.chain import BUNDLED
from bot.cli import main

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "contracts/TH1BTC-2014Q4.yaml"
QUOTES = ROOT / "backtests/history/TH1BTC-2014Q4-quotes.csv"
CONFIG = f"""\
contract: {CONTRACT}
history: {{market: {QUOTES}}}
run: {{start: 2014-09-15T00:00:00Z, end: 2014-09-16T00:00:00Z}}
strategies: [{{use: hold_long}}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "short.yaml"
    path.write_text(CONFIG)
    return path


def program(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does, from the repository."""
    command = [sys.executable, "-m", "bot", *words]
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command, cwd=ROOT, text=True, stderr=subprocess.PIPE, timeout=60, check=False, **options
    )


# Standard output ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_output_is_one_line_and_exit_code_8(config: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = program("check", str(config), stdout=full)
    assert done.returncode == 8 and done.stderr == "fairhash: output: No space left on device\n"


def test_a_closed_output_is_one_line_and_exit_code_8(config: Path) -> None:
    done = program("check", str(config), preexec_fn=lambda: os.close(1))
    assert done.returncode == 8
    assert done.stderr == "fairhash: standard output is closed, so there is nowhere to print the result\n"


def test_a_path_that_the_terminal_cannot_show_is_no_failure(config: Path, tmp_path: Path) -> None:
    odd = tmp_path / "gr\u00f6\u00dfe.yaml"
    odd.write_text(config.read_text())
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = program("check", str(odd), stdout=subprocess.PIPE, env=environment)
    assert done.returncode == 0 and "gr\\xf6\\xdfe.yaml: no problems" in done.stdout


def test_a_path_that_is_not_utf8_is_reported_on(config: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml"))
    odd.write_text(config.read_text())
    assert main(["backtest", str(odd), "--out", str(tmp_path / "run")]) == 0
    assert "\\udcff.yaml" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    command = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))["reproduce"]["command"]
    assert "\udcff.yaml" in command


# Signals --------------------------------------------------------------------------------------------------------


def test_sigterm_leaves_with_143_and_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "place" / "run"
    command = [sys.executable, "-m", "bot", "backtest", "config.yaml", "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("[1/")
        process.send_signal(signal.SIGTERM)
        assert "terminated: nothing was left half written" in process.stderr.read()
    assert process.returncode == 143 and not out.parent.exists()


def test_an_interrupt_between_the_two_renames_keeps_the_old_run(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    assert main(["backtest", str(config), "--out", str(out)]) == 0
    before = (out / "summary.json").read_bytes()
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        output._write_and_rename(out, {"summary.json": b"another"})
    assert (out / "summary.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "short.yaml"]


# Places and files -----------------------------------------------------------------------------------------------


def test_a_place_that_is_taken_is_refused_before_the_run(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", str(config), "--out", str(config)]) == 8
    printed = capsys.readouterr().err
    assert "is not a run of fairhash" in printed and "[1/1]" not in printed


def test_an_empty_directory_is_as_good_as_none(config: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert main(["backtest", str(config), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "summary.json").is_file()


def test_a_simulation_that_does_not_fit_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["history", "simulate", "--contract", str(CONTRACT), "--interval", "1d", "--out", str(tmp_path)]
    assert main([*arguments, "--seed", "1"]) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if "swap-rates" in self.name:
            write(self, data[:10])
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main([*arguments, "--seed", "2"]) == 8
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_figures_behind_a_pipe_or_a_device_are_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SHA256SUMS", "headers"):
        os.mkfifo(tmp_path / name)
    assert main(["chain", "verify", str(tmp_path)]) == 4
    for headers in (tmp_path / "headers", Path("/dev/zero")):
        words = ["chain", "import", str(headers), "--first-height", "0", "--epochs", str(BUNDLED / "epochs.csv")]
        assert main([*words, "--out", str(tmp_path / "out")]) == 4
    assert capsys.readouterr().err.count("is not a regular file") == 3


def test_days_that_are_none_or_run_backwards_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["chain", "import", "none", "--first-height", "0", "--epochs", "none", "--out", "none"]
    assert main([*words, "--from", "20140801"]) == 2
    assert main([*words, "--from", "2014-12-01", "--to", "2014-11-30"]) == 2
    printed = capsys.readouterr().err
    assert "'20140801' is not a day" in printed and "2014-11-30 is before --from, 2014-12-01" in printed


def test_pages_are_remade_in_the_repository_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["docs"]) == 2 and "is not the repository" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", ["1_0", "\uff11", "1.5", "1e3", "9" * 5000])
def test_a_seed_is_plain_digits(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["history", "simulate", "--seed", seed, "--out", "none"])
    assert refused.value.code == 2 and "whole number in plain digits" in capsys.readouterr().err


# What a run covers ----------------------------------------------------------------------------------------------


def run_with(config: Path, capsys: pytest.CaptureFixture[str], old: str, new: str) -> tuple[int, str]:
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))
    code = main(["backtest", str(config), "--no-report"])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_a_deposit_beyond_the_arithmetic_is_refused_with_its_line(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run_with(config, capsys, "strategies:", "account: {deposit: 2000 BTC}\nstrategies:")
    assert code == 2 and f"{config}:4: account.deposit: 2000 BTC is above 1844.67" in text


def test_more_retargets_than_are_known_are_refused_by_check_with_their_line(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text() + "value: {retargets: 1000}\n")
    assert main(["check", str(config)]) == 2
    assert f"{config}:5: value.retargets: " in capsys.readouterr().err


def test_a_run_without_market_data_is_refused(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quotes = tmp_path / "late.csv"
    quotes.write_text("time,bid,bid_size,ask,ask_size\n2014-10-01T00:00:00Z,1,1,2,1\n")
    code, text = run_with(config, capsys, str(QUOTES), str(quotes))
    assert code == 3 and "late.csv: has no quotes from 2014-09-15T00:00:00Z to 2014-09-16T00:00:00Z" in text


def test_a_run_beyond_its_market_data_says_so_in_table_check_and_report(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quotes = tmp_path / "short.csv"
    quotes.write_text("time,bid,bid_size,ask,ask_size\n2014-09-15T09:00:00Z,1,1,2,1\n")
    code, text = run_with(config, capsys, str(QUOTES), str(quotes))
    late = "no market data from the start, 2014-09-15T00:00:00Z, until 2014-09-15T09:00:00Z"
    early = "no market data after 2014-09-15T09:00:00Z, though the run ends at 2014-09-16T00:00:00Z"
    assert code == 0 and f"Note: {late}." in text and f"Note: {early}." in text
    assert main(["check", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [late, early]
    assert main(["backtest", str(config), "--out", str(tmp_path / "run")]) == 0
    assert late in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_what_numbers_alone_do_not_show_stands_below_the_table(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run_with(config, capsys, "2014-09-16T00", "2014-09-15T09")
    assert code == 0 and "Notices" not in text
    quotes = tmp_path / "gap.csv"
    rows = "2014-09-15T00:00:00Z,1,1,1.2,1\n2014-09-15T08:00:00Z,1,1,1.2,1\n"
    quotes.write_text("time,bid,bid_size,ask,ask_size\n" + rows)
    code, text = run_with(config, capsys, str(QUOTES), str(quotes))
    assert code == 0 and "Notices (--log shows each):\nhold_long: 1 gap\n" in text
