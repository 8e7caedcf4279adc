"""A row says what a backtest of the same plan says, to the last bit, on every kind of history."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtests import reference
from backtests.attribution import attribute
from backtests.metrics import MAX_SAMPLES, max_drawdown, measure, sample
from backtests.sweep.measures import Row, _fall, _Marks, _measured, _samples, measured
from bot.core.events import Fill, Notice
from tests.parity.histories import random_plan, squeezed_plan


def agree(row: Row, plan: object) -> None:
    result = reference.run(plan)  # type: ignore[arg-type]
    metrics = measure(result, attribute(result))
    fall = metrics.drawdown
    assert row.net_sat == attribute(result).split.total_sat
    assert (row.return_frac, row.sharpe_year) == (metrics.return_frac, metrics.sharpe_year)
    assert (row.drawdown_sat, row.drawdown_frac) == ((fall.depth_sat, fall.depth_frac) if fall else (0, 0.0))
    assert row.trades == metrics.trades
    assert row.liquidated == any(notice.kind == "liquidation" for notice in result.notices)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 10**6),
    st.sampled_from(["bars", "quotes"]),
    st.sampled_from(["moody", "fair_value_band", "hold_short", "own_and_lend", "hold_long"]),
)
def test_a_row_is_what_a_backtest_measures(seed: int, kind: str, use: str) -> None:
    plan = random_plan(seed, kind, use, debug=False)
    bare = replace(plan, settings=replace(plan.settings, keep_moves=False, observe=False))
    agree(measured(reference.run(bare), plan.settings.start_ns, 0, 1), plan)


def test_liquidations_are_seen() -> None:
    rows = []
    for seed in range(8):
        plan = squeezed_plan(seed)
        rows.append(measured(reference.run(plan), plan.settings.start_ns, seed, 0))
        agree(rows[-1], plan)
    assert any(row.liquidated for row in rows)


@pytest.mark.parametrize("count", [1, 2, 200, MAX_SAMPLES, MAX_SAMPLES + 1, 9_000])
@pytest.mark.parametrize("gap_s", [60, 1_800, 7_200])
def test_samples_and_falls_are_those_of_the_metrics(count: int, gap_s: int) -> None:
    draw = np.random.default_rng(count)
    times = np.cumsum(draw.integers(1, gap_s * 10**9, count))
    equity = 10**10 + np.cumsum(draw.integers(-(10**7), 10**7, count))
    curve = list(zip(times.tolist(), equity.tolist(), strict=True))
    assert _samples(times, equity) == sample(curve)[0]
    fall = max_drawdown(curve)
    assert _fall(equity) == ((fall.depth_sat, fall.depth_frac) if fall else (0, 0.0))


@pytest.mark.parametrize("mark_first", [False, True])
def test_collateral_that_was_sold_ends_a_trade(mark_first: bool) -> None:
    """Bought 5 at 10 s; the venue sells them after 15 s; bought 3 at 20 s, at a quote or a bar's open."""
    fills = [Fill(10, 1, "a", "exchange", 5, 1, 0, 1, False), Fill(20, 2, "a", "exchange", 3, 1, 0, 1, False)]
    positions = [(10, 0 if mark_first else 5), (15, 5), (18, 0), (20, 0 if mark_first else 3), (30, 3)]
    times, lots = (np.array(column) for column in zip(*positions, strict=True))
    sold = [Notice(16, "a", "collateral", "5 lots of collateral were sold")]
    brief = _Marks("a", 100, fills, sold, times, lots, np.full(5, 100))
    assert _measured(brief, 10, 0, 1).trades == 2
    assert _measured(replace(brief, notices=[]), 10, 0, 1).trades == 1, "without the notice nobody looks at marks"
