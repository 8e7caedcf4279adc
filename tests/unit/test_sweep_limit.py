"""`fairhash sweep --trial-seconds`: a strategy that never ends costs its own trial and nothing else."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backtests.sweep import markets
from backtests.sweep.job import Bench
from backtests.sweep.limit import TooLongError, within
from backtests.sweep.local import Local
from backtests.sweep.measures import Row
from backtests.sweep.space import Trial, spaces_of
from bot.cli import main
from bot.run import load_run
from bot.studies.sweep import job_of
from tests import sweeps

MODULE = """\
import time
from dataclasses import dataclass
from pathlib import Path
from bot.fields import Integer, setting
from strategies.view import Target
@dataclass(frozen=True)
class Params:
    a: int = setting(Integer(), default="0", low="0", high="9", doc="What to do.")
def decide(view, params):
    if params.a == 1 and not Path({told!r}).exists():
        while True:
            try:
                view.price_sat // 1
            except Exception:
                pass
    if params.a == 2:
        time.sleep(10**6)
    return Target(params.a * 100)
"""
COMPILABLE = """\
from dataclasses import dataclass
from bot.fields import Integer, setting
from strategies.view import Target
@dataclass(frozen=True)
class Params:
    a: int = setting(Integer(), default="0", low="0", high="9", doc="What to do.")
def decide(view, params):
    lots = params.a * 100
    while params.a == 1:
        lots = lots + 1
    return Target(lots)
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep of one parameter of a strategy that goes on for good at 1, and waits for good at 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "endless_in_a_sweep.py").write_text(MODULE.format(told=str(tmp_path / "told")))
    return swept(tmp_path, "endless_in_a_sweep", "0, 1, 2, 3, 4")


def swept(directory: Path, use: str, values: str) -> Path:
    path = sweeps.config(directory, end="09-16")
    head = path.read_text().partition("strategies:")[0]
    path.write_text(f"{head}strategies:\n  - use: {use}\n    sweep: {{a: {{values: [{values}]}}}}\n")
    return path


def errors(out: Path) -> dict[int, str]:
    """Return the errors of all trials, the later line of two."""
    lines = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()[1:]]
    return {line["trial"]: line.get("error", "") for line in lines}


def test_what_takes_too_long_is_a_row_and_is_not_run_again_unasked(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["sweep", str(config), "--grid", "--workers", "2", "--trial-seconds", "0.4", "--out", "out"]
    late = "TimedOut: the trial took longer than 0.4 s"
    assert main(flags) == 0
    printed = capsys.readouterr().out
    assert f"2 of 5 trials failed, the first: {late}" in printed and "--retry" in printed
    out = config.parent / "out"
    assert errors(out) == {0: "", 1: late, 2: late, 3: "", 4: ""}
    assert late in (out / "report.html").read_text()
    before = (out / "rows.jsonl").read_bytes()
    assert main(flags[:-4] + flags[-2:]) == 0, "without a limit it would never end, if it ran them"
    assert (out / "rows.jsonl").read_bytes() == before
    (config.parent / "told").touch()
    assert main([*flags, "--retry"]) == 0
    assert errors(out) == {0: "", 1: "", 2: late, 3: "", 4: ""}
    assert (out / "rows.jsonl").read_bytes().startswith(before)
    assert (out / "rows.jsonl").read_bytes().count(b"\n") == before.count(b"\n") + 2


def test_the_worker_lives_on_where_python_runs(config: Path) -> None:
    run = load_run(config, "reference")
    tables = config.parent / "tables"
    tables.mkdir()
    markets.keep(markets.of_history(run.history), tables, markets.CONFIGURED)
    spaces = spaces_of(run.settings.strategies, str(config))
    trials = tuple(Trial(number, 0, (value,)) for number, value in enumerate((0, 1, 3, 1, 4)))
    with Local(replace(job_of(run, spaces, tables), trial_s=0.3), 1) as workers:
        found: list[Row] = []
        pids: set[int] = set()
        for row in workers.run([(markets.CONFIGURED, trials)]):
            found.append(row)
            pids |= set(workers.pids())
    assert [row.error.partition(":")[0] for row in found] == ["", "TimedOut", "", "TimedOut", ""]
    assert len(pids) == 1


def test_machine_code_that_never_ends_is_given_up_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And making it is no part of a trial's time: it takes longer than this limit, even where it was kept."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spins_in_a_sweep.py").write_text(COMPILABLE)
    config = swept(tmp_path, "spins_in_a_sweep", "0, 1, 2")
    flags = ["--workers", "1", "--engine", "compiled", "--trial-seconds", "0.4", "--out", "out"]
    assert main(["sweep", str(config), "--grid", *flags]) == 0
    assert "compiled engine\n" in capsys.readouterr().err
    assert errors(tmp_path / "out") == {0: "", 1: "TimedOut: the trial took longer than 0.4 s", 2: ""}


def test_what_cannot_be_compiled_runs_in_the_reference_engine_under_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = COMPILABLE.replace("return Target(lots)", "return Target(0)._replace(position_lots=lots)")
    (tmp_path / "unmade_in_a_sweep.py").write_text(text)
    config = swept(tmp_path, "unmade_in_a_sweep", "0, 1, 2")
    run = load_run(config, "reference")
    spaces = spaces_of(run.settings.strategies, str(config))
    markets.keep(markets.of_history(run.history), tmp_path, markets.CONFIGURED)
    jobs = [replace(job_of(replace(run, engine=by), spaces, tmp_path), trial_s=5.0) for by in ("reference", "compiled")]
    trials = (Trial(0, 0, (0,)), Trial(1, 0, (2,)))
    found = [list(Bench(job).rows(markets.CONFIGURED, trials)) for job in jobs]
    assert found[0] == found[1] and not any(row.error for row in found[0])
    assert found[0][1].net_sat != 0


def test_nothing_strikes_after_the_end() -> None:
    """However close to its limit a call ends, the error comes out of it or not at all."""
    outcomes = []
    ends_s = (0.0, *(0.01 + (tenths - 30) / 10_000 for tenths in range(60)), 60.0)
    for after_s in ends_s:
        end_s = time.monotonic() + after_s

        def call(until_s: float = end_s) -> str:
            while time.monotonic() < until_s:
                pass
            return "done"

        try:
            outcomes.append(within(0.01, call))
        except TooLongError:
            outcomes.append("struck")
        for _ in range(1_000):
            pass  # where a late strike would show
    assert set(outcomes) == {"done", "struck"}
    assert outcomes[0] == "done" and outcomes[-1] == "struck", "between them either may be first"


def test_errors_of_the_call_come_out_as_they_are() -> None:
    def fails() -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        within(5.0, fails)
    assert within(None, lambda: 3) == 3


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--optuna", "3", "--retry"], "--retry: a search by Optuna learned from what failed"),
        (["--grid", "--trial-seconds", "0"], "--trial-seconds: 0.0 is not between 0.1 and 1000000"),
        (["--grid", "--trial-seconds", "nan"], "'nan' is not a number in plain digits"),
    ],
)
def test_what_makes_no_sense_is_refused(
    flags: list[str], words: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert main(["sweep", str(config), *flags]) == 2
    except SystemExit as error:
        assert error.code == 2
    assert words in capsys.readouterr().err
