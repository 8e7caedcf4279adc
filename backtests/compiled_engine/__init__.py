"""The compiled engine: the exact core at every event that matters, machine code over the events in between.

    prepared = prepare(plan)           # once for one history, chain, contract and growth model; only read afterwards
    result = run(plan, prepared)       # the RunResult that every engine returns
    brief = run_brief(plan, prepared)  # for sweeps: fills, notices and arrays of marks, no postings; a type of its own

`prepare` refuses by name (UnsupportedError) what the engine lacks, `run` a strategy that cannot be compiled. One
`Prepared` serves any number of plans for which `prepared.fits(plan)`: they differ in strategy, parameters, deposit,
limits and market rules only. It may be shared by threads and by forked processes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from backtests import reference
from backtests.plan import Plan, result_of
from backtests.reference import paused_collector
from backtests.result import RunResult
from bot.core.events import Fill, Mark, Notice
from bot.errors import UnsupportedError

if TYPE_CHECKING:
    from backtests.compiled_engine.prepared import Prepared

__all__ = ["NAME", "Brief", "Prepared", "lacks", "prepare", "run", "run_brief"]

NAME: Final = "compiled"


@dataclass(frozen=True, slots=True)
class Brief:
    """What a run came to, without postings: for sweeps, which look at thousands of runs. Never a RunResult.

    The arrays are marks in time order, one for each market event and one for the end, as RunResult.marks has them;
    `time_ns` and `price_sat` may be shared with other runs and must not be changed.
    """

    name: str
    user: str
    start_equity_sat: int
    fills: list[Fill]
    notices: list[Notice]
    time_ns: Any
    price_sat: Any
    position_lots: Any
    equity_sat: Any


def prepare(plan: Plan) -> Prepared:
    """Return what `plan` shares with every plan on its history, chain, contract and growth model.

    Raises UnsupportedError where contract or history reach beyond what 64 bits hold.
    """
    from backtests.compiled_engine.prepared import prepare as prepared

    return prepared(plan)


def lacks(plan: Plan) -> str | None:
    """Return why the strategy of `plan` cannot be compiled, None if it can; takes as long as compiling it, once."""
    from backtests.compiled_engine.strategy import scanner

    try:
        scanner(plan.strategy, plan.session().view)
    except UnsupportedError as error:
        return str(error)
    return None


def run(plan: Plan, prepared: Prepared | None = None) -> RunResult:
    """Return the result of one plan, equal to the reference engine's.

    With `observe` or `debug`, which look at every event, the reference engine's own loop is what runs. Raises
    UnsupportedError for what cannot be compiled, StrategyError if the strategy fails, ValueError if `prepared` is of
    another history.
    """
    if plan.settings.observe or plan.settings.debug:
        return replace(reference.run(plan), engine=NAME)
    from backtests.compiled_engine.running import Course

    with paused_collector():
        course = Course(plan, _fitting(plan, prepared))
        course.finish()
        marks: list[Mark] = list(map(tuple.__new__, repeat(Mark), zip(*course.rows(), strict=True)))
        course.session.marks[:0] = marks
        return result_of(course.session, plan, NAME)


def run_brief(plan: Plan, prepared: Prepared | None = None) -> Brief:
    """Return what one plan came to, without postings. Raises as `run` does."""
    from backtests.compiled_engine.running import Course

    quiet = replace(plan, settings=replace(plan.settings, observe=False, debug=False, keep_moves=False))
    with paused_collector():
        course = Course(quiet, _fitting(quiet, prepared))
        course.finish()
        return course.brief()


def _fitting(plan: Plan, prepared: Prepared | None) -> Prepared:
    if prepared is None:
        return prepare(plan)
    if not prepared.fits(plan):
        raise ValueError(f"{plan.strategy.name}: the plan is on another history, chain or contract than was prepared")
    return prepared
