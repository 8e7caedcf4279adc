"""fairhash sweep as a user runs it: its rows are backtests, and do not depend on how, where or how often it was run."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from backtests.sweep import cluster
from bot.cli import main
from tests import sweeps
from tests.sweeps import ROOT

STRATEGY = """\
from dataclasses import dataclass
from bot.fields import Conflict, Integer, setting
from strategies.view import Target
@dataclass(frozen=True)
class Params:
    a: int = setting(Integer(), default="0", low="0", high="9", doc="What to do.")
    def cross_check(self):
        if self.a == 3:
            yield Conflict("a", "3 does not go with anything")
def decide(view, params):
    if params.a == 1:
        raise ValueError("one is <b>too</b> few")
    if params.a == 2:
        import os
        os._exit(9)
    if params.a == 4:
        return "sell"
    return Target(0)
"""


def sweep(capsys: pytest.CaptureFixture[str], *arguments: str, expect: int = 0) -> str:
    assert main(["sweep", *arguments]) == expect
    return capsys.readouterr().out


def test_what_it_says_does_not_depend_on_workers_or_interruptions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One worker; two; two killed with the sweep in the middle, some markets simulated, and started again."""
    config = str(sweeps.config(tmp_path, points=4))
    flags = [config, "--grid", "--seeds", "1"]
    sweep(capsys, *flags, "--workers", "1", "--out", str(tmp_path / "one"))
    killed, rows = tmp_path / "killed", tmp_path / "killed" / "rows.jsonl"
    process = sweeps.start("sweep", *flags, "--workers", "2", "--out", str(killed))
    sweeps.wait_for_rows(process, rows, 5)
    workers = sweeps.children(process.pid)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    assert len(workers) >= 2
    sweeps.wait_gone(workers)
    left = rows.read_bytes().count(b"\n") - 1
    assert 5 <= left < 28 and not (killed / "results.parquet").exists()
    assert main(["sweep", *flags, "--workers", "2", "--out", str(killed)]) == 0
    told = capsys.readouterr().err
    assert "[28/28 runs]" in told
    assert sweeps.results(killed) == sweeps.results(tmp_path / "one")
    before = (killed / "rows.jsonl").read_bytes()
    assert main(["sweep", *flags, "--out", str(killed)]) == 0
    assert (killed / "rows.jsonl").read_bytes() == before, "a finished sweep runs nothing again"
    assert not (killed / "markets").exists()


def test_a_worker_that_is_killed_costs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(sweeps.config(tmp_path, points=12))
    flags = [config, "--grid", "--workers", "2"]
    process = sweeps.start("sweep", *flags, "--out", str(tmp_path / "killed"))
    sweeps.wait_for_rows(process, tmp_path / "killed" / "rows.jsonl", 3)
    names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in sweeps.children(process.pid)}
    os.kill(next(pid for pid, name in names.items() if b"spawn_main" in name), signal.SIGKILL)
    assert (tmp_path / "killed" / "rows.jsonl").read_bytes().count(b"\n") < 35, "killed too late to prove anything"
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0 and "[38/38 runs]" in told
    sweep(capsys, *flags, "--out", str(tmp_path / "whole"))
    assert sweeps.results(tmp_path / "killed") == sweeps.results(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_what_can_be_gone_on_with(tmp_path: Path, number: signal.Signals) -> None:
    config = str(sweeps.config(tmp_path, points=40))
    out = tmp_path / "out"
    process = sweeps.start("sweep", config, "--grid", "--workers", "2", "--out", str(out))
    sweeps.wait_for_rows(process, out / "rows.jsonl", 3)
    workers = sweeps.children(process.pid)
    os.kill(process.pid, number)
    printed, told = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert "the same command goes on from there" in told and "Traceback" not in told and printed == ""
    sweeps.wait_gone(workers)
    assert (out / "rows.jsonl").read_bytes().endswith(b"}\n") and (out / "markets").is_dir()


def test_a_row_is_the_backtest_of_the_same_parameters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Net to the satoshi, Sharpe and drawdown to the last bit, trades; also of an account that is liquidated."""
    text = (ROOT / "examples" / "financed.yaml").read_text().replace("../", f"{ROOT}/")
    text = text.replace(
        "params: {size: 10 contracts, financed: true}",
        "params: {financed: true}\n    sweep: {size: {values: [10 contracts, 4.5 contracts]}}",
    )
    config = tmp_path / "c.yaml"
    config.write_text(text)
    document = json.loads(
        sweep(capsys, str(config), "--grid", "--workers", "1", "--json", "--out", str(tmp_path / "o"))
    )
    assert [one["liquidated"] for one in document["best"]] == [False, True]
    for one in document["best"]:
        single = text.replace("sweep: {size: {values: [10 contracts, 4.5 contracts]}}", "")
        config.write_text(single.replace("{financed: true}", f"{{financed: true, size: {one['params']['size']}}}"))
        assert main(["backtest", str(config), "--no-report", "--json"]) == 0
        run = next(r for r in json.loads(capsys.readouterr().out)["strategies"] if r["name"] == "financed")
        metrics, fall = run["metrics"], run["metrics"]["drawdown"]
        assert one["net_sat"] == run["net_sat"] and one["return_frac"] == metrics["return_frac"]
        assert one["sharpe_year"] == metrics["sharpe_year"] and one["trades"] == metrics["trades"]
        assert (one["drawdown_sat"], one["drawdown_frac"]) == (fall["depth_sat"], fall["depth_frac"])


def test_a_trial_that_fails_is_a_row_with_its_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception, an answer that is no target, parameters that do not go together, a process that is ended."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_in_a_sweep.py").write_text(STRATEGY)
    config = sweeps.config(tmp_path)
    head = config.read_text().partition("strategies:")[0]
    config.write_text(
        f"{head}strategies:\n  - use: mine_in_a_sweep\n    sweep:\n      a: {{values: [0, 1, 2, 3, 4, 5]}}\n"
    )
    flags = [str(config), "--grid", "--workers", "2", "--out", "out"]
    document = json.loads(sweep(capsys, *flags, "--json"))
    assert document["trials"] == 6 and document["failed"] == 4
    assert [one["params"] for one in document["best"]] == [{"a": "0"}, {"a": "5"}]
    page = (tmp_path / "out" / "report.html").read_text()
    for words in (
        "ValueError: one is &lt;b&gt;too&lt;/b&gt; few",
        "WorkerDied: 2 worker processes died in it, the last with exit code 9",
        "a: 3 does not go with anything",
        "not a Target",
    ):
        assert words in page, words
    assert "<b>too</b>" not in page
    printed = sweep(capsys, *flags)
    assert "4 of 6 trials failed, the first: StrategyError: mine_in_a_sweep at 2014-09-15" in printed
    config.write_text(config.read_text().replace("[0, 1, 2, 3, 4, 5]", "[1, 4]"))
    assert main(["sweep", str(config), "--grid", "--out", "other"]) == 7
    assert "every trial failed, the first with: StrategyError" in capsys.readouterr().err


def test_other_inputs_are_never_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = sweeps.config(tmp_path, points=2, end="09-16")
    flags = [str(config), "--random", "2", "--workers", "1", "--out", str(tmp_path / "out")]
    sweep(capsys, *flags)
    config.write_text(config.read_text().replace("to: 1.4", "to: 1.5"))
    assert main(["sweep", *flags]) == 8
    assert "what differs: config sha256" in capsys.readouterr().err
    assert main(["sweep", *flags, "--seed", "2"]) == 8
    assert "what differs: config sha256, search seed" in capsys.readouterr().err


def test_a_guided_search_is_the_same_for_any_number_of_workers_and_after_a_kill(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(sweeps.config(tmp_path))
    flags = [config, "--optuna", "20", "--seed", "3"]
    sweep(capsys, *flags, "--workers", "1", "--out", str(tmp_path / "one"))
    sweep(capsys, *flags, "--workers", "2", "--out", str(tmp_path / "two"))
    assert sweeps.results(tmp_path / "one") == sweeps.results(tmp_path / "two")
    rows = tmp_path / "two" / "rows.jsonl"
    lines = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(b"".join(lines[:24]))  # as a kill in the second batch would leave it
    sweep(capsys, *flags, "--workers", "2", "--out", str(tmp_path / "two"))
    assert sweeps.results(tmp_path / "one") == sweeps.results(tmp_path / "two")
    assert sorted(rows.read_bytes().splitlines(keepends=True)[1:]) == sorted(lines[1:])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--random", "0"], "--random: 0 is not between 1 and 100000"),
        (["--grid", "--workers", "0", "--seeds", "-1"], "--seeds: -1 is not between 0 and 10000"),
        (["--grid", "--cluster", "tcp://127.0.0.1:1"], "no Dask scheduler answers there"),
        (["--grid", "--cluster", "nonsense://x"], "no Dask scheduler answers there"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    words: str,
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    config = sweeps.config(tmp_path, points=2, end="09-16")
    assert main(["sweep", str(config), *flags, "--out", str(tmp_path / "o")]) in (2, 5)
    assert words in capsys.readouterr().err


def test_the_report_stands_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = sweeps.config(tmp_path, points=3, end="09-17", kind="bars")
    out = tmp_path / "out"
    printed = sweep(capsys, str(config), "--grid", "--seeds", "2", "--workers", "2", "--out", str(out))
    assert printed.startswith("SIMULATED PRICES") and "mean of 2 markets" in printed
    page = (out / "report.html").read_text()
    assert "SIMULATED PRICES" in page and not re.search(r"(src|href)=[\"'](?!#)|url\(|@import|https?:", page)
    assert page.count('class="panel"') == 2
    for words in ("size by entry_band", "All parameters at once", "over simulated markets", "All trials"):
        assert words in page
    assert "Too few simulated markets to say how much of the best result is luck" in page
    from pyarrow import parquet

    table = parquet.read_table(out / "results.parquet").to_pydict()
    assert len(table["trial"]) == 11 * 3 and set(table["market"]) == {0, 1, 2} and not any(table["error"])
    assert table["fair_value_band.size"][:6] == [0.2] * 3 + [1.1] * 3
    assert table["own_and_lend.size"][-1] == "7" and table["own_and_lend.size"][0] is None
    assert len(table["daily_sat"][0]) > 2 and table["daily_sat"][1] == []


def test_a_market_that_cannot_be_simulated_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The simulation is of the contract's whole term, which here lasts a year beyond the bundled blocks."""
    terms = (ROOT / "contracts" / "TH1BTC-2014Q4.yaml").read_text()
    assert "\n  end: 2014-12-15" in terms
    (tmp_path / "long.yaml").write_text(terms.replace("\n  end: 2014-12-15", "\n  end: 2015-12-15"))
    config = sweeps.config(tmp_path, points=2, end="09-16")
    config.write_text(config.read_text().replace(f"{ROOT}/contracts/TH1BTC-2014Q4.yaml", str(tmp_path / "long.yaml")))
    flags = [str(config), "--grid", "--workers", "1", "--out", str(tmp_path / "o")]
    assert main(["sweep", *flags, "--seeds", "1"]) == 3
    told = capsys.readouterr().err
    assert "--seeds: market 1: chain: blocks are wanted from" in told and "leave --seeds out" in told
