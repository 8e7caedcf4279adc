"""Every future input is changed, and no past decision moves: prices, sizes, swap rates, blocks, difficulty, terms."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests import compiled_engine, reference
from backtests.plan import Plan
from backtests.result import RunResult
from bot.core.contract import Contract
from bot.core.events import Bar, Block, Quote, SwapRate
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


def other_price(price_sat: int, factor: int, tick: int) -> int:
    return max(price_sat * factor // 100 // tick * tick, tick)


def with_other_future(plan: Plan, cut_ns: int, seed: int) -> Plan:
    """Return the plan with everything that becomes known after `cut_ns` changed."""
    draw = random.Random(seed)
    contract = plan.settings.contract
    factor, tick = draw.choice([50, 70, 130, 180]), contract.tick_sat
    quotes = [q if q.time_ns <= cut_ns else changed_quote(q, factor, tick, draw) for q in plan.history.quotes]
    bars = [b if b.close_ns <= cut_ns else changed_bar(b, factor, tick, draw, cut_ns) for b in plan.history.bars]
    rates = [
        r
        if r.time_ns <= cut_ns
        else SwapRate(r.time_ns, r.asset, r.rate_ppb_day * draw.randrange(0, 4), draw.choice([0, r.available * 3]))
        for r in plan.history.rates
    ]
    return replace(
        plan,
        settings=replace(plan.settings, contract=changed_terms(contract, cut_ns)),
        blocks=changed_blocks(list(plan.blocks), cut_ns, draw),
        history=replace(plan.history, quotes=quotes, bars=bars, rates=rates),
    )


def changed_quote(quote: Quote, factor: int, tick: int, draw: random.Random) -> Quote:
    bid = other_price(quote.bid_sat, factor, tick)
    return Quote(quote.time_ns, bid, draw.randrange(0, 900), bid + tick * draw.randrange(1, 90), draw.randrange(0, 900))


def changed_bar(bar: Bar, factor: int, tick: int, draw: random.Random, cut_ns: int) -> Bar:
    """Change what is not known yet: of a bar that is open at the cut, all but its open and the volume we may take.

    The volume limits what the market would have traded with us at the open, before the strategy is asked again.
    """
    prices = sorted(other_price(bar.close_sat, factor + draw.randrange(-9, 9), tick) for _ in range(4))
    if bar.time_ns <= cut_ns:
        high, low = max(prices[3], bar.open_sat), min(prices[0], bar.open_sat)
        return bar._replace(high_sat=high, low_sat=low, close_sat=prices[1])
    return Bar(bar.time_ns, bar.close_ns, prices[1], prices[3], prices[0], prices[2], draw.randrange(0, 5000))


def changed_terms(contract: Contract, cut_ns: int) -> Contract:
    """Return the contract with margins doubled and the collateral rule turned round after the cut."""
    margin = tuple(
        s if s.from_ns <= cut_ns else replace(s, initial_ppm=s.initial_ppm * 2, maintenance_ppm=s.maintenance_ppm * 2)
        for s in contract.margin
    )
    collateral = tuple(
        s if s.from_ns <= cut_ns else replace(s, contract_counts=not s.contract_counts) for s in contract.collateral
    )
    return replace(contract, margin=margin, collateral=collateral)


def changed_blocks(blocks: list[Block], cut_ns: int, draw: random.Random) -> list[Block]:
    """Return the blocks with later ones delayed, paid otherwise, and every later epoch half as difficult."""
    delay_s = draw.randrange(1, 5000)
    changed = []
    epoch_changes = False
    for block in blocks:
        if block.time_ns <= cut_ns:
            changed.append(block)
            continue
        epoch_changes = epoch_changes or block.height % 2016 == 0
        bits, target = (block.bits, block.target)
        if epoch_changes:
            bits, target = 0x1900FFFF, 0xFFFF << (8 * (0x19 - 3))
        first = not changed or changed[-1].time_ns <= cut_ns
        changed.append(
            block._replace(
                time_ns=block.time_ns + delay_s * NS_PER_S,
                interval_s=block.interval_s + (delay_s if first else 0),
                bits=bits,
                target=target,
                subsidy_sat=block.subsidy_sat * 2,
            )
        )
    return changed


def past(result: RunResult, cut_ns: int) -> list[list[Any]]:
    """Return all that a result says about the time up to the cut."""
    lists: list[list[Any]] = [result.marks, result.orders, result.fills, result.postings, result.notices]
    lists.append(result.observations)
    return [[row for row in rows if row.time_ns <= cut_ns] for rows in lists]


@pytest.mark.parametrize("config", ["config.yaml", "examples/hourly-bars.yaml"])
@given(hours=st.integers(1, 24 * DAYS - 1), seconds=st.integers(0, 3599), seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_no_past_decision_moves(config: str, hours: int, seconds: int, seed: int) -> None:
    for plan in plans(config):
        cut_ns = plan.settings.start_ns + (hours * 3600 + seconds) * NS_PER_S
        before, after = untouched(plan), reference.run(with_other_future(plan, cut_ns, seed))
        assert past(before, cut_ns) == past(after, cut_ns), plan.strategy.name


@pytest.mark.parametrize("config", ["config.yaml", "examples/hourly-bars.yaml"])
@given(hours=st.integers(1, 24 * DAYS - 1), seed=st.integers(0, 2**32))
@settings(max_examples=4, deadline=None)
def test_what_the_compiled_engine_prepares_from_the_whole_history_moves_nothing_either(
    config: str, hours: int, seed: int
) -> None:
    for plan in plans(config):
        quiet = replace(plan, settings=replace(plan.settings, observe=False))
        cut_ns = plan.settings.start_ns + hours * 3600 * NS_PER_S
        after = compiled_engine.run(with_other_future(quiet, cut_ns, seed))
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
    later = reference.run(with_other_future(plan, cut_ns, 1))
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
    moved = [
        cut for cut in cuts if past(honest, cut) != past(reference.run(cheating(with_other_future(plan, cut, 3))), cut)
    ]
    assert moved
