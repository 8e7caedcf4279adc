"""Every future input is changed, and no past decision moves: prices, sizes, swap rates, blocks, difficulty, terms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests import compiled_engine, reference
from backtests.bias import Change, with_other_future
from backtests.plan import Plan
from backtests.result import RunResult
from bot.core.events import Quote
from bot.core.units import NS_PER_DAY, NS_PER_S
from bot.run import load_run
from bot.session import Strategy
from strategies.view import Target, View

ROOT = Path(__file__).parents[2]
DAYS = 24  # two retargets, 24 September and 6 October, and two steps of terms that the test adds


@cache
def plans(config: str) -> tuple[Plan, ...]:
    """Plans of a configuration over the first DAYS of the term, with dated terms that fall inside them."""
    run = load_run(ROOT / config, observe=True)
    shortened = []
    for plan in run.plans:
        contract = plan.settings.contract
        start = contract.start_ns
        steps = tuple(replace(s, from_ns=start + n * 7 * NS_PER_DAY) for n, s in enumerate(contract.margin[:3]))
        flags = tuple(replace(s, from_ns=start + n * 9 * NS_PER_DAY) for n, s in enumerate(contract.collateral))
        dated = replace(contract, margin=steps, collateral=flags)
        shortened.append(
            replace(
                plan,
                settings=replace(plan.settings, contract=dated),
                end_ns=start + DAYS * NS_PER_DAY,
                blocks=[b for b in plan.blocks if b.time_ns <= start + (DAYS + 1) * NS_PER_DAY],
            )
        )
    return tuple(shortened)


def past(result: RunResult, cut_ns: int) -> list[list[Any]]:
    """Return all that a result says about the time up to the cut."""
    lists: list[list[Any]] = [result.marks, result.orders, result.fills, result.postings, result.notices]
    lists.append(result.observations)
    return [[row for row in rows if row.time_ns <= cut_ns] for rows in lists]


@pytest.mark.parametrize("config", ["config.yaml", "examples/hourly-bars.yaml"])
@given(
    hours=st.integers(1, 24 * DAYS - 1),
    seconds=st.integers(1, 3599),  # on the full hour the next bar opens after the decision, in the cut's own instant
    seed=st.integers(0, 2**32),
    rises=st.booleans(),
)
@settings(max_examples=8, deadline=None)
def test_no_past_decision_moves(config: str, hours: int, seconds: int, seed: int, rises: bool) -> None:
    for plan in plans(config):
        cut_ns = plan.settings.start_ns + (hours * 3600 + seconds) * NS_PER_S
        before, after = untouched(plan), reference.run(with_other_future(plan, Change(cut_ns, seed, rises)))
        assert past(before, cut_ns) == past(after, cut_ns), plan.strategy.name


@pytest.mark.parametrize("config", ["config.yaml", "examples/hourly-bars.yaml"])
@given(hours=st.integers(1, 24 * DAYS - 1), seconds=st.integers(1, 3599), seed=st.integers(0, 2**32))
@settings(max_examples=4, deadline=None)
def test_what_the_compiled_engine_prepares_from_the_whole_history_moves_nothing_either(
    config: str, hours: int, seconds: int, seed: int
) -> None:
    for plan in plans(config):
        quiet = replace(plan, settings=replace(plan.settings, observe=False))
        cut_ns = plan.settings.start_ns + (hours * 3600 + seconds) * NS_PER_S
        after = compiled_engine.run(with_other_future(quiet, Change(cut_ns, seed)))
        assert past(untouched(plan), cut_ns)[:5] == past(after, cut_ns)[:5], plan.strategy.name


@cache
def _run(index: int, config: str) -> RunResult:
    return reference.run(plans(config)[index])


def untouched(plan: Plan) -> RunResult:
    for config in ("config.yaml", "examples/hourly-bars.yaml"):
        for index, known in enumerate(plans(config)):
            if known is plan:
                return _run(index, config)
    raise LookupError(plan.strategy.name)


def test_the_future_is_really_changed() -> None:
    """A change that changes nothing would make the test above true of anything."""
    plan = plans("config.yaml")[0]
    cut_ns = plan.settings.start_ns + 5 * NS_PER_DAY
    later = reference.run(with_other_future(plan, Change(cut_ns)))
    assert past(untouched(plan), plan.end_ns) != past(later, plan.end_ns)
    assert untouched(plan).observations[-1].fair_sat != later.observations[-1].fair_sat


@dataclass(frozen=True, slots=True)
class Peek:
    """Parameters of a strategy that cheats: the history itself."""

    quotes: tuple[Quote, ...]


def look_one_quote_ahead(view: View, params: Peek) -> Target:
    """Buy before a rise: a planted leak."""
    ahead = next((q for q in params.quotes if q.time_ns > view.time_ns), None)
    return Target(100 if ahead is not None and ahead.bid_sat > view.bid_sat else 0)


def test_a_planted_leak_is_found() -> None:
    """The test above must fail for a strategy that sees one quote too far."""
    plan = plans("config.yaml")[0]

    def cheating(of: Plan) -> Plan:
        peek = Peek(tuple(of.history.quotes))
        return replace(of, strategy=Strategy("cheat", look_one_quote_ahead, peek))

    cuts = [plan.settings.start_ns + hours * 3600 * NS_PER_S for hours in range(30, 36)]
    honest = reference.run(cheating(plan))
    for cut_ns in cuts:
        worlds = [cheating(with_other_future(plan, Change(cut_ns, 3, rises))) for rises in (True, False)]
        assert any(past(honest, cut_ns) != past(reference.run(world), cut_ns) for world in worlds)
