"""The compiled engine's edges: what it refuses, its bounds, its fixed-width interest, what sweeps get from it."""

from __future__ import annotations

import pickle
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from backtests import compiled_engine, reference
from backtests.compiled_engine import running
from backtests.compiled_engine.journey import LEVELS, STRETCH_BITS
from backtests.compiled_engine.lists import made
from backtests.compiled_engine.rows import Rows
from backtests.compiled_engine.setting_up import STEPS
from backtests.compiled_engine.shapes import use_arena
from backtests.compiled_engine.wide import wide_of
from backtests.parity import compare
from backtests.plan import Plan
from backtests.result import Marks, RunResult
from bot.core.events import Mark
from bot.core.units import INT64_MAX
from bot.errors import StrategyError, UnsupportedError
from bot.run import able_engine, engine_for
from bot.session import Strategy
from strategies.view import Target, View, Wake
from tests.parity.histories import random_plan, squeezed_plan

LEVEL = 3


@dataclass(frozen=True)
class Params:
    """Parameters of the strategies below."""

    share: float = 0.5
    name: str = "not a number"


def plan_of(decide: Any, seed: int = 3) -> Plan:
    plan = random_plan(seed, "bars", "hold_long", debug=False)
    quiet = replace(plan.settings, observe=False)
    return replace(plan, settings=quiet, strategy=Strategy("test", decide, Params()))


# What it refuses ------------------------------------------------------------------------------------------------


def helped(view: View) -> int:
    return view.wallet("exchange")


def asks_for_a_wallet(view: View, params: Params) -> Target:
    return Target(helped(view))


def draws(view: View, params: Params) -> Target:
    return Target(random.Random(3).randrange(4))


def wants_a_fraction(view: View, params: Params) -> Target:
    return Target(view.price_sat * params.share)  # type: ignore[arg-type]


def replaces(view: View, params: Params) -> Target:
    return Target(0)._replace(position_lots=1)


def reads_a_name(view: View, params: Params) -> Target:
    return Target(len(params.name))


def formats(view: View, params: Params) -> Target:
    return Target(len(f"{view.price_sat:>10}"))


def answers_nothing(view: View, params: Params) -> Any:
    return None


@pytest.mark.parametrize(
    ("decide", "line", "reason"),
    [
        (asks_for_a_wallet, helped.__code__.co_firstlineno + 1, "Unknown attribute 'wallet' of type View"),
        (draws, draws.__code__.co_firstlineno + 1, "Unknown attribute 'Random'"),
        (wants_a_fraction, wants_a_fraction.__code__.co_firstlineno + 1, "position_lots is float64, not a whole"),
        (replaces, replaces.__code__.co_firstlineno + 1, "Unknown attribute '_replace'"),
        (reads_a_name, reads_a_name.__code__.co_firstlineno + 1, "Unknown attribute 'name' of type Params"),
        (formats, formats.__code__.co_firstlineno + 1, "format spec"),
        (answers_nothing, answers_nothing.__code__.co_firstlineno, ""),
    ],
)
def test_what_cannot_be_compiled_is_refused_by_line(decide: Any, line: int, reason: str) -> None:
    plan = plan_of(decide)
    with pytest.raises(UnsupportedError) as caught:
        compiled_engine.run(plan)
    assert f"{Path(__file__).name}:{line}: " in str(caught.value)
    assert reason in str(caught.value)
    assert str(caught.value).count("reference") == 1
    assert str(caught.value).endswith("or take --engine reference")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    engine, why = able_engine(plan, "compiled")
    assert (engine, why) == ("reference", f"test: {caught.value.what} (the reference engine runs it)")
    assert why.count("reference") == 1, "the remedy is said once"


def test_what_is_no_plain_function_is_refused() -> None:
    class Callable:
        def __call__(self, view: View, params: Params) -> Target:
            return Target(0)

    assert "no plain function" in (compiled_engine.lacks(plan_of(Callable())) or "")


def test_prices_beyond_64_bits_are_refused() -> None:
    plan = plan_of(holds)
    bars = [bar._replace(close_sat=INT64_MAX // 1_000) for bar in plan.history.bars]
    with pytest.raises(UnsupportedError, match="the highest price"):
        compiled_engine.prepare(high := replace(plan, history=replace(plan.history, bars=bars)))
    engine, why = able_engine(high, "compiled")
    assert engine == "reference" and "the highest price" in why and why.count("reference") == 1
    wider = [bar._replace(close_sat=INT64_MAX * 5) for bar in plan.history.bars]
    with pytest.raises(UnsupportedError, match="beyond 64 bits"):
        compiled_engine.prepare(replace(plan, history=replace(plan.history, bars=wider)))


def test_auto_takes_machine_code_where_it_pays_and_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(holds)
    assert engine_for([plan], "auto", 1) == ("reference", "")  # too short
    monkeypatch.setattr("bot.run.LEAST_COMPILED_EVENTS", 1)
    monkeypatch.setattr(compiled_engine, "is_made", lambda: False)
    assert engine_for([plan], "auto", 1) == ("reference", "")  # half a minute for so little
    monkeypatch.setattr(compiled_engine, "is_made", lambda: True)
    assert engine_for([plan], "auto", 1) == ("compiled", "")
    engine, why = engine_for([plan, plan_of(draws)], "auto", 2)
    assert engine == "reference" and f"{Path(__file__).name}:" in why
    seen = replace(plan, settings=replace(plan.settings, observe=True))
    assert engine_for([seen], "auto", 1) == ("reference", "")


# Equal beyond the random histories -------------------------------------------------------------------------------


def holds(view: View, params: Params) -> Target:
    """Hold what a share of equity buys, level by level, asleep within a band."""
    wanted = view.lots_for(params.share) // LEVEL * LEVEL
    if abs(wanted - view.position_lots) < LEVEL:
        wanted = view.position_lots
    return Target(wanted, wake=Wake(view.edge - 0.05, view.edge + 0.05))


def fails_late(view: View, params: Params) -> Target:
    """Divide by zero after a day, in the middle of a leap."""
    left_ns = 1_410_739_200_000_000_000 + 86_400_000_000_000 - view.time_ns
    return Target(0 if left_ns > 0 else 1 // min(left_ns - left_ns, 0))


def given_up(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that says of each run from now on whether machine code gave it up."""
    said: list[bool] = []
    fly = running.fly

    def watched(*args: Any, **named: Any) -> Any:
        landing = fly(*args, **named)
        said.append(landing is None)
        return landing

    monkeypatch.setattr(running, "fly", watched)
    return said


def test_an_account_beyond_the_bound_is_settled_by_the_plain_core(monkeypatch: pytest.MonkeyPatch) -> None:
    said = given_up(monkeypatch)
    plans = [plan_of(holds, seed) for seed in range(6)]
    for plan in plans:
        compare([reference.run(plan), compiled_engine.run(plan)])
    assert not any(said)
    said.clear()
    contract = plans[0].settings.contract
    given = running._given.__wrapped__

    def narrow(*args: Any) -> Any:
        words, tables = given(*args)
        words[running._PLACE["most_sat"]] = 10**6  # as if integers ended here
        return words, tables

    monkeypatch.setattr(running, "_given", narrow)
    for plan in plans:
        compare([reference.run(plan), compiled_engine.run(plan)])
    assert contract.lots_per_contract and all(said)


def test_a_run_that_needs_more_memory_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running._MEMORY, "words", np.zeros(64, np.int64))
    said = given_up(monkeypatch)
    for seed in range(4):
        plan = random_plan(seed, "bars", "whimsical", debug=False)
        compare([reference.run(plan), compiled_engine.run(plan)])
    assert not any(said) and len(running._MEMORY.words) > 64
    monkeypatch.setattr(running._MEMORY, "words", np.zeros(64, np.int64))
    monkeypatch.setattr(running, "MOST_WORDS", 64)
    compare([reference.run(plan), compiled_engine.run(plan)])
    assert said[-1]


def test_a_strategy_that_fails_in_a_leap_fails_with_its_own_words() -> None:
    plan = next(p for p in (plan_of(fails_late, seed) for seed in range(50)) if len(p.history.bars) > 60)
    said = []
    for engine in (reference, compiled_engine):
        with pytest.raises(StrategyError) as caught:
            engine.run(plan)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "ZeroDivisionError" in said[0]


def off_the_tick_later(view: View, params: Params) -> Target:
    """Hold a large position, and answer nonsense a day later, when the drawdown has long halted the account."""
    late = view.time_ns > 1_410_739_200_000_000_000 + 86_400_000_000_000
    return Target(view.lots_for(params.share), -1 if late else 0)


def test_nonsense_is_refused_of_a_halted_account_too() -> None:
    plans = [plan_of(off_the_tick_later, seed) for seed in range(120)]
    halted = 0
    for plan in plans:
        limits = replace(plan.settings.limits, max_drawdown_ppm=1_000)
        plan = replace(plan, settings=replace(plan.settings, limits=limits))
        said = []
        for engine in (reference, compiled_engine):
            try:
                said.append(str(engine.run(plan).notices))
            except StrategyError as error:
                said.append(str(error))
        assert said[0] == said[1]
        halted += "limit_price_sat -1 is negative" in said[0]
    assert halted > 10


def test_a_brief_has_the_marks_and_fills_of_a_run_and_nothing_to_mistake_it_for_one() -> None:
    for seed in range(20):
        plan = random_plan(seed, ("bars", "quotes")[seed % 2], "whimsical", debug=False)
        prepared = compiled_engine.prepare(plan)
        full, brief = compiled_engine.run(plan, prepared), compiled_engine.run_brief(plan, prepared)
        rows = zip(brief.time_ns, brief.price_sat, brief.position_lots, brief.equity_sat, strict=True)
        assert [tuple(map(int, row)) for row in rows] == full.marks[:-1]
        assert brief.last == full.marks[-1]
        assert (brief.fills, brief.notices) == (full.fills, full.notices)
        assert not isinstance(brief, RunResult)
        assert not hasattr(brief, "postings")


def test_postings_that_were_not_kept_cannot_be_mistaken_for_none() -> None:
    plan = plan_of(holds)
    quiet = replace(plan, settings=replace(plan.settings, keep_moves=False))
    for engine in (reference, compiled_engine):
        result = engine.run(quiet)
        for look in (list, len, bool, lambda postings: postings == [], lambda postings: postings[0]):
            with pytest.raises(UnsupportedError, match="without postings"):
                look(result.postings)
        assert result.marks == reference.run(plan).marks


def test_plans_on_one_history_are_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    prepare = compiled_engine.prepare
    monkeypatch.setattr(compiled_engine, "prepare", lambda plan: made.append(1) or prepare(plan))
    first, second = plan_of(holds, 3), plan_of(holds, 4)
    for plan in (first, second, first, second, first):
        compare([reference.run(plan), compiled_engine.run(plan)])
    assert len(made) == 2


def test_one_preparation_serves_many_plans_and_no_other_history() -> None:
    plan = random_plan(5, "bars", "whimsical", debug=False)
    prepared = compiled_engine.prepare(plan)
    for deposit_sat in (10**8, 10**9):
        for seed in (1, 2, 3):
            settings_ = replace(plan.settings, deposit_sat=deposit_sat, observe=False)
            whim = replace(plan.strategy, params=replace(plan.strategy.params, seed=seed))
            other = replace(plan, settings=settings_, strategy=whim)
            compare([reference.run(other), compiled_engine.run(other, prepared)])
    with pytest.raises(ValueError, match="another history"):
        compiled_engine.run(random_plan(6, "bars", "whimsical", debug=False), prepared)


# Lists in the arena -----------------------------------------------------------------------------------------------


def edit(numbers: Any, steps: Any) -> Any:
    """Carry out steps of (kind, place, number) on a list."""
    for kind, place, number in steps:
        if kind == 0:
            numbers.append(number)
        elif kind == 1:
            numbers.insert(place % (len(numbers) + 1), number)
        elif numbers and kind == 2:
            numbers.pop(place % len(numbers))
        elif numbers and kind == 3:
            numbers.remove(numbers[place % len(numbers)])
        elif numbers:
            numbers[place % len(numbers)] = number
    return [number for number in numbers]  # noqa: C416 - as a list of numba's


edit_compiled = njit(edit)


@njit
def worked(arena: Any, steps: Any) -> Any:
    use_arena(arena.ctypes.data)
    return edit_compiled(made(STEPS), steps)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50), st.integers(0, 9)), min_size=1))
def test_lists_in_the_arena_are_pythons(steps: list[tuple[int, int, int]]) -> None:
    arena = np.zeros(4_000, np.int64)
    arena[:2] = arena.ctypes.data + 16, arena.ctypes.data + arena.nbytes
    assert worked(arena, np.array(steps)) == edit([], steps)


# Wide numbers -----------------------------------------------------------------------------------------------------


@njit
def wide(a: int, b: int, c: int, divisor: int) -> Any:
    number = wide_of(a) * b - c
    return number // divisor, divmod(number, divisor), number < c, number == c, -number // divisor


signed = st.integers(-(2**62), 2**62)


@settings(max_examples=500, deadline=None)
@given(a=signed, b=signed, c=signed, divisor=st.integers(1, 2**62))
def test_wide_numbers_are_pythons(a: int, b: int, c: int, divisor: int) -> None:
    """Whatever the products, as long as the quotient has 64 bits."""
    number = a * b - c
    if abs(number // divisor) < 2**62:
        expected = number // divisor, divmod(number, divisor), number < c, number == c, -number // divisor
        assert wide(a, b, c, divisor) == expected


def test_the_greatest_stands_for_a_quotient_beyond_64_bits() -> None:
    assert wide(2**62, 2**62, 0, 1)[0] == INT64_MAX


def test_a_history_may_be_a_table() -> None:
    for seed in range(6):
        plan = random_plan(seed, ("bars", "quotes")[seed % 2], "whimsical", debug=False)
        rows = plan.history.bars or plan.history.quotes
        table = Rows(type(rows[0]), np.array(rows, np.int64).T)
        assert list(table) == rows
        assert list(table[1:3]) == rows[1:3]
        history: Any = replace(plan.history, **{plan.history.kind: table})
        compare([reference.run(plan), compiled_engine.run(replace(plan, history=history))])


def test_a_sleeper_is_left_alone() -> None:
    """Without marks, the price at which it would wake is looked at in stretches; with them, at every event."""
    plan = squeezed_plan(3)
    plan = replace(plan, strategy=Strategy("none", holds_nothing, Params()))
    prepared = compiled_engine.prepare(plan)
    counts = [len(plan.history.bars) >> STRETCH_BITS * level for level in range(1, LEVELS + 1)]
    assert len(prepared.columns.stretch_edges) == 2 * sum(counts) and counts[1] > 0
    full, brief = reference.run(plan), compiled_engine.run_brief(plan, prepared)
    compare([full, compiled_engine.run(plan)])
    assert brief.last == full.marks[-1]
    assert brief.equity_sat.tolist() == [mark.equity_sat for mark in full.marks[:-1]]


def holds_nothing(view: View, params: Params) -> Target:
    return Target(0, wake=Wake(-1.0, 9.0))


def test_a_brief_that_passes_stretches_by_halts_as_a_run_does() -> None:
    """The peak that a halt names is that of every event, those that were passed by among them."""
    halted = 0
    for seed in range(60):
        plan = squeezed_plan(seed)
        limits = replace(plan.settings.limits, max_drawdown_ppm=(10**6, 60_000, 10_000)[seed % 3])
        plan = replace(plan, settings=replace(plan.settings, limits=limits))
        full, brief = reference.run(plan), compiled_engine.run_brief(plan)
        assert (brief.fills, brief.notices, brief.last) == (full.fills, full.notices, full.marks[-1])
        halted += any(notice.kind == "halt" for notice in full.notices)
    assert halted > 10


@pytest.mark.parametrize("sleeps", [True, False])
def test_the_peak_that_a_halt_names_is_known_when_nobody_looked_for_one(sleeps: bool) -> None:
    """Without a limit to drawdowns only ruin halts: a jump, after a peak that bounds have passed by."""
    halted = 0
    for seed in range(12):
        plan = squeezed_plan(seed)
        bars = list(plan.history.bars)
        lots = -plan.strategy.params.lots  # what drifted against it drifts for it
        for k in range(300, len(bars)):
            prices = (price * 3 if lots < 0 else price // 800 * 100 for price in bars[k][2:6])
            bars[k] = bars[k]._replace(**dict(zip(bars[k]._fields[2:6], prices, strict=True)))
        strategy = replace(plan.strategy, params=replace(plan.strategy.params, lots=lots, sleeps=sleeps))
        plan = replace(plan, strategy=strategy, history=replace(plan.history, bars=bars))
        full, brief = reference.run(plan), compiled_engine.run_brief(plan)
        assert (brief.fills, brief.notices, brief.last) == (full.fills, full.notices, full.marks[-1])
        halted += any(notice.kind == "halt" for notice in full.notices)
    assert halted > 3


def test_marks_are_as_a_list_of_them() -> None:
    last = Mark(3, 30, 0, 5)
    marks = Marks((np.array([1, 2]), np.array([10, 20]), np.array([0, 1]), np.array([7, 8])), last)
    made = [Mark(1, 10, 0, 7), Mark(2, 20, 1, 8), last]
    assert len(marks) == 3 and marks == made and made == marks and marks[-1] is last and marks[1:] == made[1:]
    assert marks != made[:2] and all(type(number) is int for mark in marks for number in mark)
    assert pickle.loads(pickle.dumps(marks)) == made
