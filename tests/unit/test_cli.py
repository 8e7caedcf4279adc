"""The program as a user types it: outputs, exit codes, files written, errors with their remedies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.cli import main

ROOT = Path(__file__).parents[2]

SHORT = """\
contract: {root}/contracts/TH1BTC-2014Q4.yaml
history:
  market: {root}/backtests/history/TH1BTC-2014Q4-{kind}.csv
  swap_rates: {root}/backtests/history/TH1BTC-2014Q4-swap-rates.csv
run: {{start: 2014-09-15T00:00:00Z, end: 2014-09-18T00:00:00Z}}
strategies:
  - use: fair_value_band
  - use: own_and_lend
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "short.yaml"
    path.write_text(SHORT.format(root=ROOT, kind="quotes"))
    return path


def test_backtest_writes_a_whole_run_and_the_same_bytes_again(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["backtest", str(config), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "SIMULATED PRICES" in printed and "own_and_lend" in printed and str(out / "report.html") in printed
    first = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert Path("config.yaml") in first and Path("contract.yaml") in first and Path("summary.json") in first
    assert {Path(f"own_and_lend/{name}.csv") for name in ("fills", "postings", "equity")} <= set(first)
    assert first[Path("config.yaml")] == config.read_bytes()
    assert main(["backtest", str(config), "--out", str(out)]) == 0
    assert first == {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_both_engines_give_one_summary(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = []
    for engine in ("reference", "backtrader"):
        assert main(["backtest", str(config), "--engine", engine, "--no-report", "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        documents.append([{**row, "engine": ""} for row in document["strategies"]])
    assert documents[0] == documents[1]
    assert documents[0][0]["fills"] > 0


def test_no_report_writes_nothing(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["backtest", str(config), "--no-report"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["short.yaml"]


def test_debug_checks_every_event_and_changes_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = []
    for flags in ([], ["--debug"]):
        assert main(["backtest", str(config), "--no-report", *flags]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1]


def test_log_is_stamped_by_the_clock_of_the_run(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text().replace("own_and_lend", "hold_long"))
    assert main(["backtest", str(config), "--no-report", "--log"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert lines and all(line["time"].startswith("2014-09-1") for line in lines)
    assert all(line["simulated_prices"] is True for line in lines), "prices are called simulated wherever they appear"
    assert {"fair_value_band", "hold_long"} == {line["strategy"] for line in lines}


def test_parity_compares_every_strategy(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parity", str(config), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["equal"] and [row["strategy"] for row in document["strategies"]] == [
        "fair_value_band",
        "own_and_lend",
    ]
    assert all(row["postings"] > 0 for row in document["strategies"])


def test_every_problem_of_a_configuration_comes_at_once(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = config.read_text().replace("use: own_and_lend", "use: own_and_lond").replace("run: {start:", "run: {strat:")
    config.write_text(text)
    assert main(["check", str(config), "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert any(":5: " in p and "strat" in p and "start" in p for p in problems), problems
    assert any(":8: " in p and "own_and_lond" in p for p in problems), problems


def test_a_price_above_the_contracts_bound_is_refused(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quotes = tmp_path / "quotes.csv"
    quotes.write_text(
        "time,bid,bid_size,ask,ask_size\n2014-09-15T00:00:00Z,11,1,12,1\n"
        "2014-09-15T01:00:00Z,9,1,10,1\n2014-09-15T02:00:00Z,9.9,1,10.0001,1\n"
    )
    config.write_text(config.read_text().replace(f"{ROOT}/backtests/history/TH1BTC-2014Q4-quotes.csv", str(quotes)))
    assert main(["backtest", str(config), "--no-report"]) == 3
    message = capsys.readouterr().err
    assert f"{quotes}:2: price 12.00000000 BTC is above the contract's max_price, 10.00000000 BTC" in message
    assert f"{quotes}:4: price 10.00010000 BTC" in message and f"{quotes}:3:" not in message
    assert "Traceback" not in message
    assert main(["history", "check", str(quotes), "--contract", f"{ROOT}/contracts/TH1BTC-2014Q4.yaml"]) == 3
    assert f"{quotes}:4: price 10.00010000 BTC" in capsys.readouterr().err


def test_problems_of_configuration_history_and_chain_come_at_once(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quotes, figures = tmp_path / "quotes.csv", tmp_path / "figures"
    quotes.write_text("time,bid,bid_size,ask,ask_size\n2014-09-15T00:00:00Z,nan,1,2,1\n")
    figures.mkdir()
    text = config.read_text().replace(f"{ROOT}/backtests/history/TH1BTC-2014Q4-quotes.csv", str(quotes))
    config.write_text(text.replace("run: {start:", "run: {strat:") + f"chain: {figures}\n")
    assert main(["check", str(config), "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert "strat" in problems[0] and problems[1].startswith(f"{quotes}:2: bid:"), problems
    assert str(figures) in problems[2], problems


def test_a_missing_file_and_a_directory_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        assert main(["backtest", str(path)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_results_never_replace_what_is_not_a_run(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep = tmp_path / "mine"
    keep.mkdir()
    (keep / "thesis.txt").write_text("years of work")
    assert main(["backtest", str(config), "--out", str(keep)]) == 8
    assert (keep / "thesis.txt").read_text() == "years of work"
    assert "not a run of fairhash" in capsys.readouterr().err


def test_explain_names_value_unit_and_origin(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(config), "--json"]) == 0
    rows = {row["path"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
    assert rows["account.deposit"]["value"] == "100" and rows["account.deposit"]["unit"] == "BTC"
    assert rows["account.deposit"]["origin"] == "default"
    assert rows["run.end"]["origin"].endswith("short.yaml:5")


def test_chain_verify_counts_what_it_recomputed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chain", "verify", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["retargets_exact"] == 12 and document["retargets"] == 473


def test_chain_verify_finds_a_changed_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bot.chain.chain import BUNDLED

    for file in BUNDLED.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    epochs = tmp_path / "epochs.csv"
    epochs.write_bytes(epochs.read_bytes().replace(b"0x182e1c58", b"0x182e1c59", 1))
    assert main(["chain", "verify", str(tmp_path)]) == 4
    assert "epochs.csv" in capsys.readouterr().err


def test_history_simulate_then_check_then_backtest(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = str(ROOT / "contracts/TH1BTC-2014Q4.yaml")
    out = tmp_path / "market"
    assert main(["history", "simulate", "--contract", contract, "--seed", "5", "--out", str(out)]) == 0
    assert "SIMULATED" in capsys.readouterr().out
    quotes = out / "TH1BTC-2014Q4-quotes.csv"
    assert main(["history", "check", str(quotes), "--contract", contract]) == 0
    assert "SIMULATED" in capsys.readouterr().out
    config.write_text(config.read_text().replace(f"{ROOT}/backtests/history", str(out)))
    assert main(["backtest", str(config), "--no-report"]) == 0


def test_history_check_refuses_with_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("time,bid,bid_size,ask,ask_size\n2014-09-15T00:00:00Z,nan,1,2,1\n")
    contract = str(ROOT / "contracts/TH1BTC-2014Q4.yaml")
    assert main(["history", "check", str(file), "--contract", contract]) == 3
    assert f"{file}:2:" in capsys.readouterr().err


def test_quotes_become_daily_bars_that_load_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bundled quotes are hourly and end with the term: 91 days, the last of which nothing ends."""
    out = tmp_path / "new" / "daily.csv"
    quotes, contract = ROOT / "backtests/history/TH1BTC-2014Q4-quotes.csv", ROOT / "contracts/TH1BTC-2014Q4.yaml"
    words = ["history", "resample", str(quotes), "--contract", str(contract), "--out", str(out), "--interval"]
    assert main([*words, "1d", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"file": str(out), "bars": 90, "simulated_prices": True}
    assert main(["history", "check", str(out), "--contract", str(contract), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["interval_s"], report["simulated"]) == (90, 86_400, True)
    assert main([*words, "100d"]) == 3
    assert "no bar of 100d is complete" in capsys.readouterr().err


def test_a_new_strategy_runs_as_it_is(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    assert main(["new-strategy", "my_idea", "--dir", str(package)]) == 0
    assert "use: mine.my_idea" in capsys.readouterr().out
    monkeypatch.syspath_prepend(str(tmp_path))
    config.write_text(config.read_text().replace("use: own_and_lend", "use: mine.my_idea\n    name: my_idea"))
    assert main(["backtest", str(config), "--no-report", "--debug"]) == 0
    assert main(["new-strategy", "my_idea", "--dir", str(package)]) == 2
    assert main(["new-strategy", "no good", "--dir", str(package)]) == 2


def test_a_strategy_that_raises_is_named(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "faulty.py").write_text(
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Params:\n    pass\n"
        "def decide(view, params):\n    return 1 // 0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config.write_text(config.read_text().replace("use: own_and_lend", "use: faulty"))
    assert main(["backtest", str(config), "--no-report"]) == 7
    assert "faulty" in (message := capsys.readouterr().err) and "ZeroDivisionError" in message


def test_python_m_bot_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bot", "--version"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.startswith("fairhash ")


@pytest.mark.parametrize(("given", "taken"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "2"}, "2")])
def test_numpy_starts_no_threads_that_nobody_asked_for(config: Path, given: dict[str, str], taken: str) -> None:
    code = "import os, sys\nfrom bot.cli import main\nmain(['explain', sys.argv[1]])\n"
    code += "print(os.environ['OPENBLAS_NUM_THREADS'], file=sys.stderr)"
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"} | given
    command = [sys.executable, "-c", code, str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    assert done.stderr.split()[-1] == taken


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom bot.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'pandas', 'yaml', 'backtrader', 'structlog', 'ccxt', 'pyarrow', 'optuna', 'distributed'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)
