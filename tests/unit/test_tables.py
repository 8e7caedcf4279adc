"""Tables of strategies: what they refuse, and that machine code reads what Python reads, whatever goes on at once."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from backtests import compiled_engine, reference
from backtests.compiled_engine import running, shelf
from backtests.parity import compare
from backtests.plan import Plan
from backtests.sweep.limit import TooLongError, within
from bot.core.units import PPM
from bot.errors import StrategyError
from bot.session import Strategy
from strategies.table import KEPT, table
from strategies.view import Target, View
from tests.parity.histories import HOUR_NS, START_NS, random_plan

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Params:
    """Parameters of the strategies below."""

    share: float = 0.3
    most: int = 40


def plan_of(decide: Any, seed: int = 3, params: Any = None, least: int = 1) -> Plan:
    """Return a plan on the first history from `seed` on with so many market events."""
    while True:
        plan = random_plan(seed, ("bars", "quotes")[seed % 2], "hold_long", debug=False)
        if len(plan.history.bars or plan.history.quotes) >= least:
            limits = replace(plan.settings.limits, max_drawdown_ppm=PPM)  # a halted account asks nobody
            quiet = replace(plan.settings, observe=False, limits=limits)
            return replace(plan, settings=quiet, strategy=Strategy("test", decide, params or Params()))
        seed += 1


@pytest.fixture
def flown(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What says of each run from now on whether machine code ended it."""
    said: list[bool] = []
    fly = running.fly

    def watched(*args: Any, **named: Any) -> Any:
        landing = fly(*args, **named)
        said.append(landing is not None)
        return landing

    monkeypatch.setattr(running, "fly", watched)
    return said


# In Python ------------------------------------------------------------------------------------------------------


@table
def powers(params: Params, base: int, count: int) -> list[float]:
    """Return `count` powers."""
    return [params.share * base**exponent for exponent in range(count)]


@table
def steps(params: Params) -> tuple[float, ...]:
    """Return a table of nothing but parameters; not all of it is floats."""
    return (params.share, params.most, inf, -0.0)


def test_a_table_is_a_tuple_of_floats_computed_once() -> None:
    assert powers(Params(), 2, 3) == (0.3, 0.6, 1.2)
    assert powers(Params(), 2, 3) is powers(Params(), 2, 3)
    assert powers(Params(0.5), 2, 3) == (0.5, 1.0, 2.0)
    assert [type(number) for number in steps(Params())] == [float] * 4
    assert (powers.__name__, powers.__doc__) == ("powers", "Return `count` powers.")
    assert pickle.loads(pickle.dumps(powers)) is powers
    assert repr(powers) == f"<table {__name__}.powers>", "the same in every process: machine code is kept by it"


@pytest.mark.parametrize(("key", "named"), [((1.5, 3), "base is 1.5"), ((2, True), "count is True")])
def test_what_is_no_whole_number_is_no_key(key: Any, named: str) -> None:
    with pytest.raises(TypeError, match=f"powers: {named}, not a whole number"):
        powers(Params(), *key)


def test_too_few_and_too_many_keys_and_an_empty_table_are_refused() -> None:
    for key in ((), (1,), (1, 2, 3)):
        with pytest.raises(TypeError, match="powers"):
            powers(Params(), *key)
    with pytest.raises(ValueError, match=r"powers\(2, 0\): a table has one number at least"):
        powers(Params(), 2, 0)


@pytest.mark.parametrize(
    "function", [lambda: [1.0], lambda params, k=3: [1.0], lambda params, *k: [1.0], lambda params, *, k: [1.0]]
)
def test_a_function_of_something_else_is_no_table(function: Any) -> None:
    with pytest.raises(TypeError, match="a table is a function of"):
        table(function)


# In machine code --------------------------------------------------------------------------------------------------


@table
def waves(params: Params, hour: int, number: int) -> list[float]:
    """Return numbers whose last bits tell a wrong key."""
    return [params.share * (hour % 1_000) / (number * 7 + k + 3) for k in range(5)]


def searches(view: View, params: Params) -> Target:
    """Ask for many tables at once and hold the first of them meanwhile."""
    hour = view.time_ns // HOUR_NS
    first, total = waves(params, hour, params.most), 0.0
    for number in range(params.most):
        row = waves(params, hour, number)
        total += row[-1] - row[len(row) - 2] * steps(params)[0]
    total += first[0] + first[4]
    return Target(round(total * 1e6) % 31 - 15)


def test_a_strategy_with_tables_does_the_same_in_machine_code(flown: list[bool]) -> None:
    fills = 0
    for seed in range(10):
        plan = plan_of(searches, seed, least=20)
        ours = reference.run(plan)
        compare([ours, compiled_engine.run(plan)])
        fills += len(ours.fills)
    assert flown == [True] * 10 and fills > 50


def test_early_exit_short_is_not_given_up(flown: list[bool]) -> None:
    fills = 0
    for seed in range(40):
        plan = random_plan(seed, ("bars", "quotes")[seed % 2], "early_exit_short", debug=False)
        plan = replace(plan, settings=replace(plan.settings, observe=False))
        ours = reference.run(plan)
        compare([ours, compiled_engine.run(plan)])
        fills += len(ours.fills)
    assert flown == [True] * 40 and fills > 10


def test_a_shelf_is_emptied_and_so_is_what_is_kept(flown: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    shelves: list[shelf.Shelf] = []
    most: list[int] = []
    asking = running.asking

    def watched(*args: Any) -> Any:
        asks = asking(*args)
        assert asks.shelf is not None
        shelves.append(asks.shelf)
        return asks

    monkeypatch.setattr(running, "asking", watched)
    fetch = shelf.Shelf.fetch

    def counted(self: shelf.Shelf) -> None:
        fetch(self)
        most.append(len(self._rows))

    monkeypatch.setattr(shelf.Shelf, "fetch", counted)
    plan = plan_of(searches, params=Params(most=600), least=20)
    compare([reference.run(plan), compiled_engine.run(plan)])
    assert flown == [True] and len(most) > 2 * KEPT, "tables were asked for"
    assert shelf.MANY < max(most) < shelf.MANY + 610
    assert waves._kept.cache_info().currsize == KEPT
    waves._kept.cache_clear()


def searches_on(view: View, params: Params) -> Target:
    """Search, whatever is raised."""
    try:
        return searches(view, params)
    except Exception:
        return Target(3)


@pytest.mark.parametrize("decide", [searches, searches_on])
def test_a_question_that_needs_more_than_a_shelf_is_the_plain_engines(decide: Any, flown: list[bool]) -> None:
    plan = plan_of(decide, params=Params(most=shelf.MOST))
    compare([reference.run(plan), compiled_engine.run(plan)])
    assert flown == [False]
    waves._kept.cache_clear()


# What goes wrong --------------------------------------------------------------------------------------------------


@table
def failing(params: Params, hour: int) -> list[float]:
    """Fail from the third hour on, as the parameters say."""
    if hour > 1:
        if params.share == 1.0:
            raise ValueError("no such hour")
        if params.share == 2.0:
            raise SystemExit(0)
        if params.share == 3.0:
            raise KeyboardInterrupt("Ctrl-C")
        while params.share == 4.0:
            pass
    return [1.0, 1.0] if hour <= 1 or params.share == 5.0 else []


def fails(view: View, params: Params) -> Target:
    hour = (view.time_ns - START_NS) // HOUR_NS
    return Target(round(failing(params, hour)[0 if params.share < 5.0 else hour]))


def told(engine: Any, plan: Plan) -> str:
    with pytest.raises(StrategyError) as caught:
        engine.run(plan)
    return str(caught.value)


@pytest.mark.parametrize(
    ("share", "cause"),
    [(0.0, "a table has one number"), (1.0, "no such hour"), (2.0, "SystemExit"), (5.0, "IndexError")],
)
def test_what_a_table_raises_is_said_alike(share: float, cause: str, flown: list[bool]) -> None:
    plan = plan_of(fails, params=Params(share), least=20)
    assert told(reference, plan) == told(compiled_engine, plan)
    assert cause in told(reference, plan)
    assert flown == [False]


def test_what_ends_a_run_from_outside_goes_through_machine_code() -> None:
    plan = plan_of(fails, params=Params(3.0), least=20)
    prepared = compiled_engine.prepare(plan)
    before = len(gc.get_objects())
    for _ in range(20):
        with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
            compiled_engine.run_brief(plan, prepared)
    gc.collect()
    assert len(gc.get_objects()) < before + 100, "what was raised is not kept"
    endless = replace(plan, strategy=replace(plan.strategy, params=Params(4.0)))
    with pytest.raises(TooLongError):
        within(0.2, lambda: compiled_engine.run_brief(endless, prepared))


def asks_for_a_price(view: View, params: Params) -> Target:
    return Target(round(waves(params, view.edge, 3)[1]))  # type: ignore[arg-type]


def asks_with_the_view(view: View, params: Params) -> Target:
    return Target(round(waves(view, 2, 3)[1]))


def asks_for_too_little(view: View, params: Params) -> Target:
    return Target(round(waves(params, 3)[1]))


def rounds_to_decimals(view: View, params: Params) -> Target:
    return Target(int(round(view.edge, 1)))


@pytest.mark.parametrize(
    ("decide", "reason"),
    [
        (asks_for_a_price, "hour is float64, not a whole number"),
        (asks_with_the_view, "waves is asked with params, hour, number"),
        (asks_for_too_little, "waves is asked with params, hour, number"),
        (rounds_to_decimals, "too many positional arguments"),
    ],
)
def test_a_table_asked_otherwise_is_refused_by_line(decide: Any, reason: str) -> None:
    why = compiled_engine.lacks(plan_of(decide)) or ""
    assert f"{Path(__file__).name}:{decide.__code__.co_firstlineno + 1}: " in why and reason in why


@dataclass(frozen=True)
class Number:
    """A number to be rounded."""

    number: float


def rounds(view: View, params: Number) -> Target:
    whole = round(view.position_lots) - int(view.position_lots)  # of what is whole already
    return Target(round(params.number) % 97 + 2 * (int(params.number) % 89) + whole)


@pytest.mark.parametrize("number", [0.5, 1.5, -2.5, 0.49999999999999994, 2.0**62, 2.0**63, -1e300, inf, nan])
def test_a_strategy_rounds_as_python_does_or_is_left_to_it(number: float, flown: list[bool]) -> None:
    plan = plan_of(rounds, params=Number(number))
    if abs(number) < 2.0**63:
        compare([reference.run(plan), compiled_engine.run(plan)])
        assert flown == [True]
    elif abs(number) < inf:
        compare([reference.run(plan), compiled_engine.run(plan)])
        assert flown == [False]
    else:
        assert told(reference, plan) == told(compiled_engine, plan)


# Several runs at once ---------------------------------------------------------------------------------------------


class Meeting(threading.local):
    """How often a thread still waits for the other one in a table."""

    times = 0


MEETING = Meeting()
TOGETHER = threading.Barrier(2)


@table
def meeting(params: Params, minute: int) -> list[float]:
    """Wait until another run is in its own table, if that is wanted."""
    if MEETING.times > 0:
        MEETING.times -= 1
        TOGETHER.wait(60)
    return [params.share * (minute % 977)]


def meets(view: View, params: Params) -> Target:
    """Trade at every event, with what machine code makes in its arena to tell how much can be borrowed."""
    wanted = round(meeting(params, view.time_ns // (HOUR_NS // 60))[0]) % 31 - 15
    return Target(wanted if view.borrowable() > 0 else 0)


def test_runs_of_two_threads_that_meet_in_tables_do_not_touch_each_other(flown: list[bool]) -> None:
    plans = [plan_of(meets, seed, Params(share), least=40) for seed, share in ((3, 0.7), (30, 0.9))]
    prepared = [compiled_engine.prepare(plan) for plan in plans]
    compiled_engine.lacks(plans[0])

    def run(which: int) -> Any:
        MEETING.times = 15
        return compiled_engine.run(plans[which], prepared[which])

    with ThreadPoolExecutor(2) as threads:
        theirs = list(threads.map(run, range(2)))
    for plan, result in zip(plans, theirs, strict=True):
        compare([reference.run(plan), result])
    assert flown == [True, True]


INNER = plan_of(meets, 17, least=40)


@table
def simulated(params: Params, minute: int) -> list[float]:
    """Return what another backtest comes to."""
    share = params.share * (minute % 7)
    plan = replace(INNER, strategy=replace(INNER.strategy, params=Params(share)))
    return [float(compiled_engine.run_brief(plan).last.equity_sat)]


def simulates(view: View, params: Params) -> Target:
    wanted = round(simulated(params, view.time_ns // (HOUR_NS // 60))[0]) % 31 - 15
    return Target(wanted if view.borrowable() > 0 else 0)


def test_a_table_may_run_backtests(flown: list[bool]) -> None:
    plan = plan_of(simulates, 5, least=20)
    compiled_engine.run(INNER)  # so that there is an arena to be taken
    theirs = compiled_engine.run(plan)
    assert len(flown) > 10 and all(flown)
    simulated._kept.cache_clear()
    compare([reference.run(plan), theirs])


def equities(shares: list[float]) -> list[int]:
    plan = plan_of(searches, 4, least=20)
    plans = [replace(plan, strategy=replace(plan.strategy, params=Params(share))) for share in shares]
    return [compiled_engine.run(plan).marks[-1].equity_sat for plan in plans]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_workers_have_tables_of_their_own() -> None:
    shares = [[0.1, 0.2, 0.3], [0.3, 0.4, 0.5]]
    equities([0.3])  # in this process, before it is forked
    with multiprocessing.get_context("fork").Pool(2) as workers:
        theirs = workers.map(equities, shares)
    assert theirs == [equities(some) for some in shares]
    assert len(set(theirs[0])) == 3
