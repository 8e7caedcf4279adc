"""`fairhash walk-forward`: windows, the stitched run, its interval, and that a choice knows nothing of its test."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests import reference
from backtests.bias import Change, decisions_of, with_other_future
from backtests.plan import Plan
from backtests.sweep.measures import Runner
from backtests.sweep.space import Trial, grid, spaces_of
from backtests.walk_forward import (
    Schedule,
    Scored,
    Window,
    between,
    days_of,
    interval_of,
    profits_sat,
    scheduled,
    stitched,
    windows,
    with_params,
)
from bot.cli import main
from bot.core.units import NS_PER_DAY
from bot.errors import StrategyError
from bot.run import load_run
from bot.studies.walk_forward import best_of, score_of
from strategies.view import Target, View, Wake

ROOT = Path(__file__).parents[2]
DAY = NS_PER_DAY
CONFIG = f"""\
contract: {ROOT}/contracts/TH1BTC-2014Q4.yaml
history:
  market: {ROOT}/backtests/history/TH1BTC-2014Q4-quotes.csv
  swap_rates: {ROOT}/backtests/history/TH1BTC-2014Q4-swap-rates.csv
run: {{start: 2014-09-15T00:00:00Z, end: 2014-10-13T00:00:00Z}}
strategies:
  - use: carry_aware_band
    sweep:
      margin: {{values: [0, 0.1, 0.2]}}
      size: {{values: [0.25, 1]}}
  - use: hold_long
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG)
    return path


@cache
def carry_plan() -> Plan:
    return load_run(ROOT / "config.yaml").plans[1]


# Windows and stretches ------------------------------------------------------------------------------------------


def test_rolling_windows_move_on_by_a_test_and_the_last_may_be_short() -> None:
    found = windows(0, 70 * DAY, 28, 14, "rolling")
    assert [tuple(edge // DAY for edge in window) for window in found] == [(0, 28, 42), (14, 42, 56), (28, 56, 70)]
    assert windows(0, 60 * DAY, 28, 14, "rolling")[-1] == Window(28 * DAY, 56 * DAY, 60 * DAY)
    assert windows(0, 28 * DAY, 28, 14, "rolling") == []


def test_expanding_windows_train_on_everything_so_far() -> None:
    found = windows(0, 70 * DAY, 28, 14, "expanding")
    assert [tuple(edge // DAY for edge in window) for window in found] == [(0, 28, 42), (0, 42, 56), (0, 56, 70)]


def test_a_stretch_from_the_start_is_the_run_itself() -> None:
    plan = carry_plan()
    whole, part = reference.run(plan), reference.run(between(plan, plan.settings.start_ns, plan.end_ns))
    assert (part.marks, part.fills) == (whole.marks, whole.fills)


def test_a_later_stretch_knows_the_epochs_the_rates_and_the_margins_of_its_start() -> None:
    plan = carry_plan()
    start_ns = plan.settings.start_ns + 40 * DAY + 1
    part = between(plan, start_ns, start_ns + 20 * DAY)
    session = part.session()
    known = [block for block in plan.blocks if block.time_ns <= start_ns]
    assert session.value.difficulty == pytest.approx(65535 * 2**208 / known[-1].target)
    first = part.history.rates[:2]
    assert {rate.asset for rate in first} == {0, 1} and all(rate.time_ns == start_ns for rate in first)
    assert session.state.initial_ppm == 400_000, "20 October has passed"
    result = reference.run(part)
    assert result.marks[0].time_ns > start_ns and result.start_equity_sat == plan.settings.deposit_sat


# The stitched run -----------------------------------------------------------------------------------------------


def test_stitching_one_choice_is_a_run_with_that_choice() -> None:
    plan = carry_plan()
    start_ns = plan.settings.start_ns
    found = windows(start_ns, plan.end_ns, 28, 14, "rolling")
    params = with_params(plan, {"margin": 0.02}).strategy.params
    one = reference.run(stitched(plan, found, [params] * len(found)))
    other = reference.run(between(with_params(plan, {"margin": 0.02}), found[0].test_ns, found[-1].end_ns))
    assert (one.marks, one.orders) == (other.marks, other.orders)
    edges = [found[0].test_ns, *(window.end_ns for window in found)]
    total = one.marks[-1].equity_sat - one.start_equity_sat
    assert sum(profits_sat(one, edges)) == sum(profits_sat(one, days_of(edges[0], edges[-1]))) == total != 0


def test_parameters_change_at_their_instants_even_in_sleep() -> None:
    def decide(view: View, params: int) -> Target:
        return Target(params, wake=Wake(-9.0, 9.0, 500))

    schedule = Schedule(decide, (100, 200, 300), (1, 2, 3))
    for time_ns, position, wake_ns in ((100, 1, 200), (199, 1, 200), (200, 2, 300), (350, 3, 500)):
        view = type("At", (), {"time_ns": time_ns})()
        target = scheduled(view, schedule)  # type: ignore[arg-type]
        assert (target.position_lots, target.wake.at_ns) == (position, wake_ns)  # type: ignore[union-attr]


def test_a_change_of_parameters_is_seen_in_the_run() -> None:
    plan = load_run(ROOT / "config.yaml").plans[0]
    found = windows(plan.settings.start_ns, plan.end_ns, 28, 14, "rolling")
    idle, eager = (with_params(plan, {"entry_band": band}).strategy.params for band in (5.0, 0.1))
    result = reference.run(stitched(plan, found, [idle, eager, idle, idle, idle]))
    traded = [fill.time_ns for fill in result.fills if fill.user == result.user]
    assert traded and found[1].test_ns <= min(traded) < found[1].end_ns


# The choice -----------------------------------------------------------------------------------------------------


def test_the_highest_score_is_chosen_the_first_of_equals_and_no_failure() -> None:
    made = [Scored(5, 1.0), Scored(7), Scored(7), Scored(9, 2.0, error="bad")]
    pairs = [(Trial(number, 0, ()), row) for number, row in enumerate(made)]
    assert best_of(pairs, "net")[0].number == 1
    assert best_of(pairs, "sharpe")[0].number == 0
    idle = [(Trial(0, 0, ()), Scored(-5, -1.0)), (Trial(1, 0, ()), Scored(0, None))]
    assert best_of(idle, "sharpe")[0].number == 1, "nothing is better than a loss"
    with pytest.raises(StrategyError, match="every trial failed, the first with: bad"):
        best_of(pairs[3:], "net")


MARGINS = (0.0, 0.05, 0.2)


def rows_of(plan: Plan, window: Window) -> list[Scored]:
    part = between(plan, window.train_ns, window.test_ns)
    return [score_of(part, Runner(reference.run), {"margin": margin}) for margin in MARGINS]


@cache
def known_rows(window: Window) -> list[Scored]:
    return rows_of(carry_plan(), window)


@given(index=st.integers(0, 4), seed=st.integers(0, 2**32), rises=st.booleans())
@settings(max_examples=6, deadline=None)
def test_no_choice_knows_anything_of_its_test(index: int, seed: int, rises: bool) -> None:
    """Everything after the end of a train window is changed, and neither its rows nor the choice move."""
    plan = carry_plan()
    window = windows(plan.settings.start_ns, plan.end_ns, 28, 14, "rolling")[index]
    other = with_other_future(plan, Change(window.test_ns, seed, rises))
    assert rows_of(other, window) == known_rows(window)


def test_a_train_window_that_reached_into_its_test_would_be_seen() -> None:
    """The test above must fail for a train window that ends too late."""
    plan = carry_plan()
    train_ns, test_ns, _ = windows(plan.settings.start_ns, plan.end_ns, 28, 14, "rolling")[0]
    late = Window(train_ns, test_ns + DAY // 4, test_ns)
    moved = [
        rows_of(with_other_future(plan, Change(test_ns, 1, up)), late) != rows_of(plan, late) for up in (True, False)
    ]
    assert any(moved)


@pytest.mark.parametrize("rises", [True, False])
def test_no_decision_of_the_stitched_run_knows_what_comes(rises: bool) -> None:
    plan = carry_plan()
    found = windows(plan.settings.start_ns, plan.end_ns, 28, 14, "rolling")
    params = [with_params(plan, {"margin": margin}).strategy.params for margin in (0.0, 0.05, 0.0, 0.05, 0.0)]
    cut_ns = found[2].test_ns + 3 * DAY
    worlds = [plan, with_other_future(plan, Change(cut_ns, 4, rises))]
    before, after = (
        [one for one in decisions_of(stitched(world, found, params), reference.run) if one.time_ns <= cut_ns]
        for world in worlds
    )
    assert before == after and len(before) > 100


# The interval ---------------------------------------------------------------------------------------------------


def test_the_interval_of_equal_days_is_a_point() -> None:
    assert interval_of([3] * 27, seed=1) == (81, 81, 0.0, 3)
    assert interval_of([-1] * 8, seed=1).loss_share == 1.0


def test_the_interval_misses_the_truth_about_as_often_as_it_says() -> None:
    draw, missed = Random(7), 0
    for seed in range(40):
        days = [round(draw.gauss(50, 1000)) for _ in range(60)]
        low, high, _, _ = interval_of(days, seed)
        missed += not low <= 60 * 50 <= high
    assert missed <= 8


def test_days_that_go_together_widen_the_interval() -> None:
    draw = Random(3)
    alone = [draw.gauss(0, 1) for _ in range(90)]
    together = sorted(alone[:45]) + sorted(alone[45:], reverse=True)
    widths = [
        high - low for low, high, _, _ in (interval_of([round(1e6 * d) for d in s], 1) for s in (alone, together))
    ]
    assert widths[1] > 1.3 * widths[0]


# The command ----------------------------------------------------------------------------------------------------


def test_windows_choices_and_totals_are_told(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "walk.svg"
    arguments = ["walk-forward", str(config), "--train", "14", "--test", "7"]
    assert main([*arguments, "--json", "--workers", "1"]) == 0
    document = json.loads(capsys.readouterr().out)
    for other in (["--workers", "3"], ["--engine", "compiled", "--workers", "1"]):
        assert main([*arguments, "--json", *other]) == 0
        again, told = capsys.readouterr()
        assert {**json.loads(again), "reproduce": None} == {**document, "reproduce": None}
        assert f"{'compiled' if '--engine' in other else 'reference'} engine" in told
    assert document["simulated_prices"] is True
    (walked,) = document["strategies"]
    assert walked["name"] == "carry_aware_band" and walked["trials"] == 6 and walked["failed"] == 0
    assert [one["test_from_utc"] for one in walked["windows"]] == ["2014-09-29T00:00:00Z", "2014-10-06T00:00:00Z"]
    assert walked["out_of_sample_sat"] == sum(one["out_of_sample_sat"] for one in walked["windows"])
    assert walked["out_of_sample_sat"] == sum(walked["daily_sat"])
    low, high = walked["out_of_sample_interval_sat"]
    assert low <= walked["out_of_sample_sat"] <= high
    run = load_run(config)
    (space,) = spaces_of(run.settings.strategies, str(config))
    for one, window in zip(
        walked["windows"], windows(run.settings.start_ns, run.settings.end_ns, 14, 7, "rolling"), strict=True
    ):
        best = max(
            reference.run(with_params(between(run.plans[0], *window[:2]), space.arguments(trial.values)))
            .marks[-1]
            .equity_sat
            for trial in grid([space])
        )
        assert one["in_sample_sat"] == best - run.plans[0].settings.deposit_sat
    assert main([*arguments, "--mode", "expanding", "--random", "3", "--score", "sharpe", "--plot", str(plot)]) == 0
    text = capsys.readouterr().out
    assert (
        text.startswith("SIMULATED PRICES\ncarry_aware_band: 2 expanding windows") and "out of sample, stitched" in text
    )
    assert "as configured" in plot.read_text() and "SIMULATED PRICES" in plot.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--train", "28"], "--train: 28 is not between 1 and 27"),
        (["--test", "0"], "--test: 0 is not between 1 and 27"),
        (["--strategy", "hold_long", "--train", "14"], "has no sweep section, so there is nothing to choose"),
        (["--random", "-1"], "--random: -1 is not between 0 and 100000"),
    ],
)
def test_options_are_refused_with_their_bounds(
    config: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["walk-forward", str(config), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_configuration_without_ranges_is_told_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["walk-forward", str(ROOT / "config.yaml")]) == 2
    assert "no strategy has a sweep section" in capsys.readouterr().err


def test_a_trial_that_fails_is_a_row_that_says_so() -> None:
    plan = carry_plan()

    def fail(view: View, params: object) -> Target:
        raise ZeroDivisionError("nothing to divide by")

    broken = replace(plan, strategy=replace(plan.strategy, decide=fail))
    part = between(broken, plan.settings.start_ns, plan.settings.start_ns + DAY)
    row = score_of(part, Runner(reference.run), {})
    assert "nothing to divide by" in row.error
