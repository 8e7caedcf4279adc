"""The compiled engine: the exact core at every event that matters, machine code over the events in between.

    prepared = prepare(plan)           # once for one history, chain, contract and growth model; only read afterwards
    result = run(plan, prepared)       # the RunResult that every engine returns
    brief = run_brief(plan, prepared)  # for sweeps: fills, notices and arrays of marks, no postings; a type of its own

`prepare` refuses by name (UnsupportedError) what the engine lacks, `run` a strategy that cannot be compiled. One
`Prepared` serves any number of plans for which `prepared.fits(plan)`: they differ in strategy, parameters, deposit,
limits and market rules only. It may be shared by threads and by forked processes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from backtests import reference
from backtests.brief import ResultInBrief
from backtests.compiled_engine import running
from backtests.compiled_engine.running import Wanted
from backtests.plan import Plan
from backtests.reference import paused_collector
from backtests.result import RunResult
from bot.core.events import Fill, Notice
from bot.errors import UnsupportedError

if TYPE_CHECKING:
    from backtests.compiled_engine.prepared import Prepared
    from backtests.compiled_engine.running import Landing

__all__ = ["NAME", "Brief", "Prepared", "is_made", "lacks", "make", "prepare", "refuses", "run", "run_brief"]

NAME: Final = "compiled"


class Brief:
    """What a run came to, without postings: for sweeps, which look at thousands of runs. Never a RunResult.

    A backtests.brief.Brief, with `fills`, `notices` and `price_sat` besides. `time_ns` and `price_sat` are shared with
    other runs. What takes time to make is made when it is first asked for: `fills`, `notices`, and `position_lots` and
    `equity_sat`, for which the run is made again, event by event.
    """

    def __init__(self, plan: Plan, prepared: Prepared, landing: Landing, samples: Any) -> None:
        self._plan, self._prepared, self._landing = plan, prepared, landing
        self.name = plan.strategy.name
        self.user = plan.strategy.name
        self.start_equity_sat = plan.settings.deposit_sat
        self.last = landing.last
        self.samples = samples

    @property
    def sampled_sat(self) -> Any:
        """Equity at each of `samples` that was marked, in satoshi."""
        return self._landing.sampled_sat

    @property
    def fall(self) -> tuple[int, int]:
        """The deepest fall of equity in satoshi, over all marks and the last, and the highest equity before it."""
        if self.samples is None:
            self._marks()
        left = self._landing.left
        return left.deepest_sat, left.deepest_peak_sat

    @cached_property
    def fills(self) -> list[Fill]:
        """All fills."""
        return self._landing.fills()

    @cached_property
    def notices(self) -> list[Notice]:
        """All notices."""
        return self._landing.notices()

    @property
    def sizes(self) -> Any:
        """Time and lots of each of the user's fills, a row each."""
        return self._landing.sizes()

    @property
    def told(self) -> frozenset[str]:
        """The kinds of the user's notices."""
        return self._landing.told()

    @property
    def time_ns(self) -> Any:
        """The time of each market event."""
        return self._prepared.columns.known_ns[: self._landing.marked]

    @property
    def price_sat(self) -> Any:
        """The mark at each market event."""
        return self._prepared.columns.mark_sat[: self._landing.marked]

    @property
    def position_lots(self) -> Any:
        """The net position at each market event, in lots."""
        return self._marks()[1]

    @property
    def equity_sat(self) -> Any:
        """The equity at each market event, in satoshi."""
        return self._marks()[0]

    def _marks(self) -> tuple[Any, Any]:
        if self._landing.equity_sat is None:
            landing = running.fly(self._plan, self._prepared, Wanted(marks=True, samples=self.samples))
            assert landing is not None, "a run that was made once"
            self._landing = landing
        return self._landing.equity_sat, self._landing.position_lots


def prepare(plan: Plan) -> Prepared:
    """Return what `plan` shares with every plan on its history, chain, contract and growth model.

    Raises UnsupportedError where contract or history reach beyond what 64 bits hold.
    """
    from backtests.compiled_engine.prepared import prepare as prepared

    return prepared(plan)


def is_made() -> bool:
    """Return whether the machine code that all strategies share is kept: to make it takes half a minute."""
    from backtests.compiled_engine.strategy import is_course_kept

    return is_course_kept()


def lacks(plan: Plan) -> str | None:
    """Return why the strategy of `plan` cannot be compiled, None if it can; takes as long as compiling it, once."""
    from backtests.compiled_engine.strategy import asking

    try:
        asking(plan.strategy, running.lots_of(plan.settings.contract))
    except UnsupportedError as error:
        return error.what
    return None


def make(plan: Plan, prepared: Prepared) -> str | None:
    """Make all that a run of `plan` takes but is no part of it: machine code, what the model says to its strategy.

    Returns why its strategy cannot be compiled, None if it can. What was made before, in this process, takes no time.
    """
    from backtests.compiled_engine.strategy import course, worths_of

    why = lacks(plan)
    if why is None:
        prepared.addresses_of(worths_of(plan.strategy.decide))
        course()
    return why


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
    and where machine code gives up, the reference engine is what runs. Raises UnsupportedError for what cannot be
    compiled, StrategyError if the strategy fails, ValueError if `prepared` is of another history.
    """
    if plan.settings.observe or plan.settings.debug:
        return replace(reference.run(plan), engine=NAME)
    with paused_collector():
        fitting = _fitting(plan, prepared)
        landing = running.fly(plan, fitting, Wanted(plan.settings.keep_moves, marks=True, books=True))
        if landing is None:
            return replace(reference.run(plan), engine=NAME)
        return running.result(plan, fitting, landing)


def run_brief(
    plan: Plan, prepared: Prepared | None = None, marked: bool = False, samples: Any = None
) -> Brief | ResultInBrief:
    """Return what one plan came to, without postings; `marked`: the marks will be asked for. Raises as `run` does.

    `samples`, market events by number, each greater than the one before it, as an array of int64: the equity at these,
    and the deepest fall, are told at once, which takes less than all marks do.
    """
    quiet = running.without_moves(plan)
    fitting = _fitting(quiet, prepared)
    landing = running.fly(quiet, fitting, Wanted(marks=marked, samples=samples))
    if landing is None:
        return ResultInBrief(reference.run(quiet), samples)
    return Brief(quiet, fitting, landing, samples)


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
