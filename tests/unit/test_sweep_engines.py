"""A sweep's rows do not depend on its engine; which one runs it is chosen by name, or by what pays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtests import compiled_engine
from backtests.sweep import markets
from backtests.sweep.job import Bench
from backtests.sweep.measures import Row, measured
from backtests.sweep.space import Trial
from bot.cli import main
from bot.core.units import INT64_MAX
from bot.run import engine_for, load_run, run_plan
from bot.session import Strategy
from bot.studies import many_runs
from bot.studies.many_runs import runner
from bot.studies.sweep import job_of
from strategies.view import Target, View
from tests import sweeps
from tests.parity.histories import random_plan, squeezed_plan
from tests.sweeps import ROOT

PICKY = """\
from dataclasses import dataclass
from bot.fields import Integer, setting
from strategies.view import Target
@dataclass(frozen=True)
class Params:
    a: int = setting(Integer(), default="0", low="0", high="9", doc="What to do.")
def decide(view, params):
    if params.a == 1 and view.price_sat > 0:
        raise ValueError("one is too few")
    return Target(params.a * 100)
"""


def rows(plan: object) -> list[Row]:
    run = replace(plan, settings=replace(plan.settings, debug=False, observe=False, keep_moves=False))  # type: ignore
    return [runner(engine, run).row(run) for engine in ("reference", "compiled")]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 10**6),
    st.sampled_from(["bars", "quotes"]),
    st.sampled_from(["whimsical", "fair_value_band", "carry_aware_band", "hold_short", "own_and_lend", "hold_long"]),
)
def test_rows_of_both_engines_are_equal_on_random_histories(seed: int, kind: str, use: str) -> None:
    reference, compiled = rows(random_plan(seed, kind, use, debug=False))
    assert reference == compiled


def test_rows_of_both_engines_are_equal_where_accounts_are_liquidated() -> None:
    found = [rows(squeezed_plan(seed)) for seed in range(6)]
    assert all(reference == compiled for reference, compiled in found)
    assert any(reference.liquidated for reference, _ in found)


def test_a_market_beyond_64_bits_is_run_by_the_reference_engine() -> None:
    plan = random_plan(3, "bars", "hold_long", debug=False)
    last = plan.history.bars[-1]._replace(close_sat=INT64_MAX // 1_000, high_sat=INT64_MAX // 1_000)
    reference, compiled = rows(replace(plan, history=replace(plan.history, bars=[*plan.history.bars[:-1], last])))
    assert reference == compiled and reference.net_sat != 0


@dataclass(frozen=True)
class Wide:
    """A parameter that no 64 bits hold."""

    lots: int = 2**70


def holds_at_most(view: View, params: Wide) -> Target:
    """Hold a hundred lots, or what the parameter says if that is less."""
    return Target(min(100, params.lots))


def test_a_parameter_beyond_64_bits_is_run_by_the_reference_engine() -> None:
    plan = random_plan(3, "bars", "hold_long", debug=False)
    reference, compiled = rows(replace(plan, strategy=Strategy("wide", holds_at_most, Wide())))
    assert reference == compiled and reference.net_sat != 0


def test_a_sweep_is_the_same_by_either_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a simulated market, and of a trial in which the strategy raises."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picky_in_a_sweep.py").write_text(PICKY)
    config = sweeps.config(tmp_path, points=2, end="09-17")
    config.write_text(f"{config.read_text()}  - use: picky_in_a_sweep\n    sweep: {{a: {{values: [0, 1, 2]}}}}\n")
    found = []
    for engine in ("reference", "compiled"):
        flags = ["sweep", str(config), "--grid", "--seeds", "1", "--workers", "1", "--engine", engine]
        assert main([*flags, "--out", engine]) == 0
        assert f"{engine} engine\n" in capsys.readouterr().err
        found.append(sorted((tmp_path / engine / "rows.jsonl").read_text().splitlines()[1:]))
    assert found[0] == found[1] and len(found[0]) == 22
    assert sum("ValueError: one is too few" in row for row in found[0]) == 2


def test_what_cannot_be_compiled_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = PICKY.replace("Target(params.a * 100)", "Target(0)._replace(position_lots=params.a)")
    (tmp_path / "cannot_in_a_sweep.py").write_text(text)
    config = sweeps.config(tmp_path, end="09-16")
    head = config.read_text().partition("strategies:")[0]
    config.write_text(f"{head}strategies:\n  - use: cannot_in_a_sweep\n    sweep: {{a: {{values: [0, 2]}}}}\n")
    assert main(["sweep", str(config), "--grid", "--workers", "1", "--engine", "compiled", "--out", "out"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "engine" in line]
    assert len(told) == 1
    assert told[0].startswith("reference engine: cannot_in_a_sweep: ") and "cannot_in_a_sweep.py:10: " in told[0]


@pytest.mark.parametrize("made", [True, False])
def test_auto_counts_all_runs(monkeypatch: pytest.MonkeyPatch, made: bool) -> None:
    """Where the code that all strategies share must be made first, more runs are needed to pay for it."""
    monkeypatch.setattr(compiled_engine, "is_made", lambda: made)
    plan = load_run(ROOT / "config.yaml").plans[0]
    assert engine_for([plan], "auto", 2) == ("reference", "")
    assert engine_for([plan], "auto", 2_000) == (("compiled" if made else "reference"), "")
    assert engine_for([plan], "auto", 20_000) == ("compiled", "")
    assert engine_for([plan], "compiled", 1) == ("compiled", "")
    assert engine_for([plan], "backtrader", 2_000) == ("backtrader", "")


@pytest.mark.parametrize(
    ("engine", "made", "by"), [("compiled", False, 1), ("compiled", True, 0), ("reference", False, 0)]
)
def test_code_that_all_strategies_share_is_made_before_there_are_workers(
    monkeypatch: pytest.MonkeyPatch, engine: str, made: bool, by: int
) -> None:
    """Each worker would make it otherwise, all at once, and take a gigabyte for that."""
    began: list[tuple[Any, int]] = []

    def in_processes(work: Any, tasks: Any, workers: int) -> list[Any]:
        began.append((work, workers))
        return []

    monkeypatch.setattr(compiled_engine, "is_made", lambda: made)
    monkeypatch.setattr(many_runs, "in_processes", in_processes)
    run = load_run(ROOT / "config.yaml")
    run, words = many_runs.with_engine(run, run.plans[:1], engine, 2_000)
    assert (run.engine, words) == (engine, f"{engine} engine")
    assert began == [(many_runs._make, 1)] * by


def test_a_row_knows_the_fees_of_the_days_before(tmp_path: Path) -> None:
    """Where fees are paid out, their forecast moves the fair value, and with it what is traded."""
    terms = (ROOT / "contracts/TH1BTC-2014Q4.yaml").read_text()
    (tmp_path / "fpps.yaml").write_text(terms.replace("basis: pps", "basis: fpps"))
    config = sweeps.config(tmp_path, end="09-18")
    config.write_text(config.read_text().replace(f"{ROOT}/contracts/TH1BTC-2014Q4.yaml", "fpps.yaml"))
    run = load_run(config)
    plan = run.plans[0]
    plan = replace(plan, past_fees=tuple((day, fees * 500) for day, fees in plan.past_fees))  # some 20 BTC a block
    job = job_of(replace(run, plans=(plan, *run.plans[1:])), (), tmp_path)
    markets.keep(markets.of_history(run.history), tmp_path, markets.CONFIGURED)
    (row,) = Bench(job).rows(markets.CONFIGURED, (Trial(0, 0, ()),))
    bare, wrong = (
        measured(run_plan(one, "reference"), run.settings.start_ns, 0, 0) for one in (plan, replace(plan, past_fees=()))
    )
    assert row == bare
    assert bare != wrong, "otherwise nothing is tested"
