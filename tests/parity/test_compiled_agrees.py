"""The compiled engine settles every history as the reference engine does: equal with ==."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import strategies
from backtests import compiled_engine, reference
from backtests.parity import compare
from backtests.plan import Plan
from backtests.result import RunResult
from bot.core.units import PPM
from tests.parity.histories import calm_plan, random_plan, squeezed_plan

USES = ("whimsical", "whimsical", "skittish", "skittish", *strategies.BUNDLED)


def compare_all(plan: Plan) -> None:
    ours, theirs = reference.run(plan), compiled_engine.run(plan)
    compare([ours, theirs])
    assert ours.final_balances == theirs.final_balances
    assert ours.orders == theirs.orders
    compare_brief(plan, ours)


def compare_brief(plan: Plan, ours: RunResult) -> None:
    """Compare a run that is told nothing but the end, the equity at every seventh event and the deepest fall."""
    samples = np.arange(len(plan.history.bars) % 7, len(plan.history.bars or plan.history.quotes), 7)
    worths = np.array([ours.start_equity_sat, *(mark.equity_sat for mark in ours.marks)])
    falls = np.maximum.accumulate(worths) - worths
    deepest = int(np.argmax(falls))
    wanted = worths[1:-1][samples[samples < len(worths) - 2]].tolist()
    for chosen in (samples, None):
        brief = compiled_engine.run_brief(plan, samples=chosen)
        assert (brief.last, brief.fills, brief.notices) == (ours.marks[-1], ours.fills, ours.notices)
        if chosen is not None:
            assert brief.sampled_sat.tolist() == wanted
            assert brief.fall[0] == falls[deepest]
            assert brief.fall[1] == (worths[deepest] + falls[deepest] if falls[deepest] else 0)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(("bars", "quotes")),
    use=st.sampled_from(USES),
    observe=st.sampled_from((False, False, False, True)),
)
def test_compiled_equals_reference_on_300_random_histories(seed: int, kind: str, use: str, observe: bool) -> None:
    plan = random_plan(seed, kind, use, debug=False)
    compare_all(replace(plan, settings=replace(plan.settings, observe=observe)))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**31), use=st.sampled_from(("skittish", "skittish", "whimsical", "fair_value_band")))
@example(seed=521, use="fair_value_band")  # the drawdown's floor is reached in the middle of a stretch of 256
def test_compiled_equals_reference_where_thousands_of_events_are_passed_by(seed: int, use: str) -> None:
    compare_all(calm_plan(seed, use))


def test_a_leap_ends_at_margin_calls_liquidations_and_drawdowns() -> None:
    """Minute bars that drift against a full position, most of them passed by in whole stretches."""
    seen: Counter[str] = Counter()
    for seed in range(60):
        plan = squeezed_plan(seed)
        limits = replace(plan.settings.limits, max_drawdown_ppm=(PPM, 60_000, 10_000)[seed % 3])
        plan = replace(plan, settings=replace(plan.settings, limits=limits))
        compare_all(plan)
        seen.update({notice.kind for notice in reference.run(plan).notices})
    assert min(seen["margin_call"], seen["liquidation"], seen["halt"]) > 10
