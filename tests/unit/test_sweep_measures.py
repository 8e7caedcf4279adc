"""A row says what a backtest of the same plan says, to the last bit, on every kind of history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtests import compiled_engine, reference
from backtests.attribution import attribute
from backtests.brief import ResultInBrief, deepest_fall, sampled_at
from backtests.metrics import (
    MAX_SAMPLES,
    NS_PER_HOUR,
    max_drawdown,
    measure,
    period_returns,
    periods_per_year,
    sample,
    sharpe,
)
from backtests.result import RunResult
from backtests.sweep import timeline
from backtests.sweep.markets import CONFIGURED
from backtests.sweep.measures import Row, _sharpe, _trades, measured
from backtests.sweep.timeline import Sampling, Timeline, sampling_of
from bot.core.events import Fill, Mark, Notice
from bot.core.units import NS_PER_DAY
from bot.studies.many_runs import runner
from tests.parity.histories import random_plan, squeezed_plan

USES = ["moody", "fair_value_band", "hold_short", "own_and_lend", "hold_long"]
"""Among them what trades at random, is liquidated, has collateral sold, borrows and lends, and expires inside."""


def plainly(result: RunResult, start_ns: int, trial: int, market: int) -> Row:
    """Return the row as it is made mark by mark: the measures of backtests.metrics, the last mark of each UTC day."""
    curve = [(mark.time_ns, mark.equity_sat) for mark in result.marks]
    if curve[0][0] > start_ns:
        curve.insert(0, (start_ns, result.start_equity_sat))
    sampled, _ = sample(curve)
    fall = max_drawdown(curve)
    net_sat = result.marks[-1].equity_sat - result.start_equity_sat
    days = {time_ns // NS_PER_DAY: equity_sat for time_ns, equity_sat in curve}
    return Row(
        trial,
        market,
        net_sat=net_sat,
        return_frac=net_sat / result.start_equity_sat,
        sharpe_year=sharpe(period_returns(sampled, ()), periods_per_year([time_ns for time_ns, _ in sampled])),
        drawdown_sat=fall.depth_sat if fall else 0,
        drawdown_frac=fall.depth_frac if fall else 0.0,
        trades=len(attribute(result).trades),
        liquidated=any(notice.kind == "liquidation" for notice in result.notices),
        daily_sat=(result.start_equity_sat, *days.values()) if market == CONFIGURED else (),
    )


def agree(row: Row, plan: Any) -> None:
    result = reference.run(plan)
    assert row == plainly(result, plan.settings.start_ns, row.trial, row.market)
    metrics = measure(result, attribute(result))
    fall = metrics.drawdown
    assert row.net_sat == attribute(result).split.total_sat
    assert (row.return_frac, row.sharpe_year) == (metrics.return_frac, metrics.sharpe_year)
    assert (row.drawdown_sat, row.drawdown_frac) == ((fall.depth_sat, fall.depth_frac) if fall else (0, 0.0))
    assert row.trades == metrics.trades


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.sampled_from(["bars", "quotes"]), st.sampled_from(USES), st.booleans())
def test_a_row_is_what_a_backtest_measures(seed: int, kind: str, use: str, drawn: bool) -> None:
    plan = random_plan(seed, kind, use, debug=False)
    bare = replace(plan, settings=replace(plan.settings, keep_moves=False, observe=False))
    agree(measured(reference.run(bare), plan.settings.start_ns, 3, int(drawn)), plan)


def test_liquidations_are_seen() -> None:
    rows = []
    for seed in range(8):
        plan = squeezed_plan(seed)
        rows.append(measured(reference.run(plan), plan.settings.start_ns, seed, 0))
        agree(rows[-1], plan)
    assert any(row.liquidated for row in rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 10**6),
    st.sampled_from(["bars", "quotes", "squeezed"]),
    st.sampled_from(["whimsical", "fair_value_band", "hold_short", "own_and_lend", "hold_long"]),
    st.sampled_from([2, 20, MAX_SAMPLES]),
)
def test_a_row_of_samples_is_a_row_of_all_marks(seed: int, kind: str, use: str, most: int) -> None:
    """Also where so few samples are taken that they are hourly, or daily; and a run is asked for them beforehand."""
    plan = squeezed_plan(seed) if kind == "squeezed" else random_plan(seed, kind, use, debug=False)
    bare = replace(plan, settings=replace(plan.settings, keep_moves=False, observe=False, debug=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, "MAX_SAMPLES", most)
        patch.setattr("backtests.metrics.MAX_SAMPLES", most)
        by = runner("compiled", bare)
        brief = by.run(bare)
        assert not isinstance(brief, RunResult) and by.timeline is not None
        sampling = by.timeline.sampling(len(brief.time_ns), brief.last.time_ns)
        assert sampling.events is brief.samples, "every run ends as the timeline foresees"
        assert by.row(bare, 5, 0) == plainly(reference.run(plan), plan.settings.start_ns, 5, 0)


def test_samples_and_fall_stay_the_same_after_a_look_at_all_marks() -> None:
    """For which the run is made again; and one that was asked for no samples knows its deepest fall too."""
    fell = 0
    for seed in range(10):
        plan = squeezed_plan(seed)
        prepared = compiled_engine.prepare(plan)
        places = np.arange(0, prepared.count, 7)
        brief = compiled_engine.run_brief(plan, prepared, samples=places)
        before = brief.sampled_sat.tolist(), brief.fall
        equity_sat = brief.equity_sat
        assert (brief.sampled_sat.tolist(), brief.fall) == before == (equity_sat[places].tolist(), brief.fall)
        assert compiled_engine.run_brief(plan, prepared).fall == brief.fall
        assert brief.fall == deepest_fall(brief.start_equity_sat, equity_sat, brief.last.equity_sat)
        fell += brief.fall > (0, 0)
    assert fell > 5


def curve_of(count: int, gap_s: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(count)
    return np.cumsum(draw.integers(1, gap_s * 10**9, count)), 10**10 + np.cumsum(draw.integers(-(10**7), 10**7, count))


@pytest.mark.parametrize("count", [1, 2, 200, MAX_SAMPLES, MAX_SAMPLES + 1, 9_000])
@pytest.mark.parametrize("gap_s", [60, 1_800, 7_200])
@pytest.mark.parametrize("is_late", [False, True])
def test_samples_falls_and_sharpe_are_those_of_the_metrics(count: int, gap_s: int, is_late: bool) -> None:
    times, equity = curve_of(count, gap_s)
    start_ns, start_sat, last_sat = int(times[0]) - is_late, int(equity[0]), int(equity[-1])
    curve = list(zip(times.tolist(), equity.tolist(), strict=True))
    if is_late:
        curve.insert(0, (start_ns, start_sat))
    found = sampling_of(times[:-1], int(times[-1]), start_ns)
    sampled = np.concatenate(((start_sat,) * found.is_late, equity[found.events], (last_sat,)))
    points = sample(curve)[0]
    assert sampled.tolist() == [equity_sat for _, equity_sat in points]
    assert found.periods == periods_per_year([time_ns for time_ns, _ in points])
    assert sampled[found.days].tolist() == list({t // NS_PER_DAY: equity_sat for t, equity_sat in curve}.values())
    fall = max_drawdown(curve)
    depth_sat, peak_sat = deepest_fall(start_sat, equity[:-1], last_sat)
    assert (depth_sat, peak_sat and depth_sat / peak_sat) == ((fall.depth_sat, fall.depth_frac) if fall else (0, 0))
    assert _sharpe(sampled, found.periods) == sharpe(period_returns(points, ()), found.periods)


@pytest.mark.parametrize("most", [10, 10**6, 2**53 - 1, 2**53, 2**53 + 1, 2**55, 2**62])
def test_a_sharpe_ratio_is_exact_however_much_money_there_is(most: int) -> None:
    """Whole numbers above 2^53 are no floats: then the quotient of two floats is not that of the numbers."""
    draw = np.random.default_rng(most % 1_000)
    for _ in range(40):
        sampled = draw.integers(1, most, 50)
        sampled[7] = most
        returns = period_returns(list(enumerate(sampled.tolist())), ())
        assert _sharpe(sampled, 365.25) == sharpe(returns, 365.25)


@pytest.mark.parametrize(
    ("equity", "has_one"),
    [([5], False), ([5, 6], False), ([5, 6, 0], True), ([5, 0, 6], False), ([5, -1, 6], False), ([5, 5, 5], False)],
)
def test_equity_at_or_below_zero_or_that_never_moves_has_no_sharpe_ratio(equity: list[int], has_one: bool) -> None:
    found = _sharpe(np.array(equity), 365.25)
    assert found == sharpe(period_returns(list(enumerate(equity)), ()), 365.25)
    assert (found is not None) == has_one


def test_a_run_that_ends_otherwise_than_foreseen_is_sampled_out_of_all_marks() -> None:
    """Nine thousand marks a minute apart are sampled hourly; of a run with 4,000 of them, every one is a sample."""
    times = np.arange(1, 9_001) * 60 * 10**9
    line = Timeline(times, 0, int(times[-1]) + 1, int(times[-1]) + 1)
    assert line.samples is not None and len(line.samples) == 150
    for marked in (9_000, 8_970, 4_000, 1, 0):
        whole = sampling_of(times[:marked], int(times[-1]) + 1, 0)
        found = line.sampling(marked, int(times[-1]) + 1)
        for column in Sampling.__slots__:
            assert np.array_equal(getattr(found, column), getattr(whole, column))
        assert (found.events is line.samples) == (marked == 9_000)
        assert line.sampling(marked, int(times[-1]) + 1) is found, "it is found once"


def test_a_timeline_keeps_few_samplings() -> None:
    times = np.arange(1, 101) * NS_PER_HOUR
    line = Timeline(times, 0, int(times[-1]) + 1, int(times[-1]) + 1)
    for last_ns in range(10**6):
        if last_ns < 100:
            line.sampling(100, int(times[-1]) + 1 + last_ns)
    assert len(line._kept) <= timeline._MOST_KEPT
    assert line.sampling(100, int(times[-1]) + 1).events is line.samples


def test_samples_are_taken_of_what_was_marked() -> None:
    assert sampled_at(np.array([0, 3, 5, 9]), np.arange(10, 15)).tolist() == [10, 13]
    assert sampled_at(np.array([], np.int64), np.arange(3)).tolist() == []


def trades_of(result: RunResult) -> int:
    brief = ResultInBrief(result)
    return _trades(brief, brief.told)


@pytest.mark.parametrize("mark_first", [False, True])
def test_collateral_that_was_sold_ends_a_trade(mark_first: bool) -> None:
    """Bought 5 at 10 s; the venue sells them after 15 s; bought 3 at 20 s, at a quote or a bar's open."""
    fills = [Fill(10, 1, "a", "exchange", 5, 1, 0, 1, False), Fill(20, 2, "a", "exchange", 3, 1, 0, 1, False)]
    positions = [(10, 0 if mark_first else 5), (15, 5), (18, 0), (20, 0 if mark_first else 3), (30, 3)]
    sold = [Notice(16, "a", "collateral", "5 lots of collateral were sold")]
    result = reference.run(random_plan(1, "bars", "hold_long", debug=False))
    marks = [Mark(time_ns, 1, lots, 100) for time_ns, lots in positions]
    result = replace(result, user="a", fills=fills, notices=sold, marks=marks)
    assert trades_of(result) == 2
    assert trades_of(replace(result, notices=[])) == 1, "without the notice nobody looks at marks"
