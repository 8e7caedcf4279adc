"""Every engine settles every history alike: fills, postings and marks are equal with ==."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import strategies
from backtests import backtrader_engine, reference
from backtests.parity import compare
from bot.model.growth import Trailing
from bot.session import Strategy
from strategies.view import Target, View, Wake
from tests.parity.histories import random_plan, squeezed_plan, without_wake

USES = ("moody", "moody", "moody", *strategies.BUNDLED)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(("bars", "quotes")),
    use=st.sampled_from(USES),
    debug=st.sampled_from((False, False, False, True)),
)
def test_backtrader_equals_reference_on_300_random_histories(seed: int, kind: str, use: str, debug: bool) -> None:
    plan = random_plan(seed, kind, use, debug)
    compare([reference.run(plan), backtrader_engine.run(plan)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(("bars", "quotes")),
    use=st.sampled_from(("moody", "fair_value_band", "early_exit_short")),
)
@example(seed=12377, kind="bars", use="early_exit_short")  # the premium came back before the short was closed
def test_sleeping_and_leaping_change_nothing(seed: int, kind: str, use: str) -> None:
    """The reference engine leaps over bars while a strategy sleeps; asked at every event it settles the same."""
    plan = random_plan(seed, kind, use, debug=False)
    compare([reference.run(plan), reference.run(without_wake(plan))])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**31), kind=st.sampled_from(("bars", "quotes")))
@example(seed=14, kind="bars")  # asleep on a target that could not be reached, it was asked at every bar
def test_every_engine_wakes_a_sleeper_at_the_same_moment(seed: int, kind: str) -> None:
    """By edge, time, exposure, swap rate: what this strategy wants depends on the moment at which it is asked."""
    plan = random_plan(seed, kind, "skittish", debug=False)
    compare([reference.run(plan), backtrader_engine.run(plan)])


def as_growth_says(view: View, growth_at_first: float) -> Target:
    """Own one lot until another growth is expected, then two; asleep for ever in between."""
    return Target(1 if view.growth_per_retarget == growth_at_first else 2, wake=Wake(-math.inf, math.inf))


@pytest.mark.parametrize("kind", ["bars", "quotes"])
def test_another_growth_always_wakes(kind: str) -> None:
    """At a retarget a strategy that sleeps is asked, also when the reference engine leaps over the bars."""
    bought_more = 0
    for seed in range(40):
        plan = replace(random_plan(seed, kind, "moody", debug=False), growth=Trailing(3))
        first = plan.session().value.growth_per_retarget
        plan = replace(plan, strategy=Strategy("growing", as_growth_says, first))
        result = reference.run(plan)
        compare([result, reference.run(without_wake(plan)), backtrader_engine.run(plan)])
        bought_more += sum(fill.size_lots for fill in result.fills) > 1
    assert bought_more > 2


def test_random_histories_reach_what_they_are_made_for() -> None:
    """Without this, the properties above could hold because nothing ever happened."""
    seen: Counter[str] = Counter()
    for seed in range(120):
        result = reference.run(random_plan(seed, ("bars", "quotes")[seed % 2], "moody", debug=False))
        seen.update(notice.kind for notice in result.notices)
        seen.update({posting.kind for posting in result.postings})
        seen.update("maker" if fill.maker else "taker" for fill in result.fills)
        seen.update(fill.wallet for fill in result.fills)
    wanted = "maker taker exchange trading gap margin_call liquidation deficit cover halt rejected cancelled"
    wanted += " limited loan repay interest dividend expiry"
    missing = [what for what in wanted.split() if not seen[what]]
    assert not missing, f"never seen in 120 histories: {missing}; seen {seen}"


@pytest.mark.parametrize("use", strategies.BUNDLED)
@pytest.mark.parametrize("kind", ["bars", "quotes"])
def test_bundled_strategies_agree_in_debug_mode(use: str, kind: str) -> None:
    """Debug mode checks every invariant, asks each strategy twice, and names one that moves in its sleep."""
    for seed in range(5):
        plan = random_plan(seed, kind, use, debug=True)
        compare([reference.run(plan), backtrader_engine.run(plan)])


def test_a_leap_ends_at_margin_calls_and_liquidations() -> None:
    """Minute bars that drift against a full position: what the reference engine leaps over is what nobody missed."""
    calls = liquidations = 0
    for seed in range(40):
        plan = squeezed_plan(seed)
        leaping = reference.run(plan)
        compare([leaping, backtrader_engine.run(plan), reference.run(without_wake(plan))])
        kinds = [notice.kind for notice in leaping.notices]
        calls += "margin_call" in kinds
        liquidations += "liquidation" in kinds
    assert calls > 10
    assert liquidations > 10
