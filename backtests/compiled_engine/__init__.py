"""The compiled engine: the exact core at every event that matters, machine code over the events in between.

    prepared = prepare(plan)           # once for one history, chain, contract and growth model; only read afterwards
    result = run(plan, prepared)       # the RunResult that every engine returns
    brief = run_brief(plan, prepared)  # for sweeps: fills, notices and arrays of marks, no postings; a type of its own

`prepare` refuses by name (UnsupportedError) what the engine lacks, `run` a strategy that cannot be compiled. One
`Prepared` serves any number of plans for which `prepared.fits(plan)`: they differ in strategy, parameters, deposit,
limits and market rules only. It may be shared by threads and by forked processes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from backtests import reference
from backtests.plan import Plan, result_of
from backtests.reference import paused_collector
from backtests.result import RunResult
from bot.core.events import Fill, Mark, Notice
from bot.errors import UnsupportedError

if TYPE_CHECKING:
    from backtests.compiled_engine.prepared import Prepared

__all__ = ["NAME", "Brief", "Prepared", "lacks", "prepare", "refuses", "run", "run_brief"]

NAME: Final = "compiled"


@dataclass(frozen=True, slots=True)
class Brief:
    """What a run came to, without postings: for sweeps, which look at thousands of runs. Never a RunResult.

    `last` is the mark at the end. The arrays have an entry for each market event before it, as RunResult.marks has;
    `time_ns` and `price_sat` are shared with other runs. `position_lots` and `equity_sat` are filled in when first
    asked for: who looks at `last` and `fills` only does not pay for them.
    """

    name: str
    user: str
    start_equity_sat: int
    fills: list[Fill]
    notices: list[Notice]
    last: Mark
    time_ns: Any
    price_sat: Any
    _position_lots: Any
    _equity_sat: Any
    _fill: Callable[[], None]

    @property
    def position_lots(self) -> Any:
        """The net position at each market event, in lots."""
        self._fill()
        return self._position_lots

    @property
    def equity_sat(self) -> Any:
        """The equity at each market event, in satoshi."""
        self._fill()
        return self._equity_sat


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
        return error.what
    return None


def refuses(plan: Plan) -> str | None:
    """Return why `run` would refuse `plan`, for its strategy or its amounts; None if it runs it.

    It prepares the history for that, which `run` then finds prepared.
    """
    why = lacks(plan)
    if why is None and not (plan.settings.observe or plan.settings.debug):
        try:
            _fitting(plan, None)
        except UnsupportedError as error:
            return error.what
    return why


def run(plan: Plan, prepared: Prepared | None = None) -> RunResult:
    """Return the result of one plan, equal to the reference engine's.

    Without `prepared`, what was prepared last is used if it fits. With `observe` or `debug`, which look at every event,
    the reference engine's own loop is what runs. Raises UnsupportedError for what cannot be compiled, StrategyError if
    the strategy fails, ValueError if `prepared` is of another history.
    """
    if plan.settings.observe or plan.settings.debug:
        return replace(reference.run(plan), engine=NAME)
    from backtests.compiled_engine.running import Course

    with paused_collector():
        course = Course(plan, _fitting(plan, prepared))
        course.finish()
        course.session.marks[:0] = course.marks()
        return result_of(course.session, plan, NAME)


def run_brief(plan: Plan, prepared: Prepared | None = None) -> Brief:
    """Return what one plan came to, without postings. Raises as `run` does."""
    from backtests.compiled_engine.running import Course

    quiet = replace(plan, settings=replace(plan.settings, observe=False, debug=False, keep_moves=False))
    with paused_collector():
        course = Course(quiet, _fitting(quiet, prepared))
        course.finish()
        return course.brief()


_LATEST: list[Prepared] = []
"""What was prepared last, the newest first: a sweep that runs one plan after another finds it here."""
_MOST_KEPT: Final = 2


def _fitting(plan: Plan, prepared: Prepared | None) -> Prepared:
    if prepared is None:
        prepared = next((known for known in _LATEST if known.fits(plan)), None) or prepare(plan)
        _LATEST[:] = [prepared, *(known for known in _LATEST if known is not prepared)][:_MOST_KEPT]
        return prepared
    if not prepared.fits(plan):
        raise ValueError(f"{plan.strategy.name}: the plan is on another history, chain or contract than was prepared")
    return prepared
