"""The compiled engine settles every history as the reference engine does: equal with ==."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import strategies
from backtests import compiled_engine, reference
from backtests.parity import compare
from backtests.plan import Plan
from bot.core.units import PPM
from tests.parity.histories import random_plan, squeezed_plan

USES = ("whimsical", "whimsical", "whimsical", *strategies.BUNDLED)


def compare_all(plan: Plan) -> None:
    ours, theirs = reference.run(plan), compiled_engine.run(plan)
    compare([ours, theirs])
    assert ours.final_balances == theirs.final_balances
    assert ours.orders == theirs.orders


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
