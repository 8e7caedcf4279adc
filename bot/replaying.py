"""A paper run against the backtest engine: what the journal replays to, and what the strategies do on its events.

The paper side carries out the journalled commands and asks no strategy. The other side gives the journalled events to
the reference engine, whose strategies decide anew. Both must post the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from backtests import reference
from backtests.parity import compare
from backtests.plan import Plan, result_of
from backtests.result import RunResult
from bot.core.events import Bar, Quote
from bot.daemon import BY_STRATEGY, Daemon
from bot.desk import MODE_OF, take
from bot.errors import JournalError, Problem, UnsupportedError
from bot.facts import plans_of, reloaded
from bot.paper.entries import ADOPT, EVENTS, NOTE, PARAMS, SKIP, Control, Event
from bot.paper.journal import Journal
from bot.session import Session

COMPARED: Final = ("fills", "postings", "marks")
"""Notices are left out: the venue's refusals are told to whoever asked, and a replay asks nothing."""

_Happening = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a journal came to: one result for each strategy, and what was found on the way."""

    daemon: Daemon
    plans: list[Plan]
    results: list[RunResult]
    happenings: list[_Happening]
    """(venue, event or control), in their order."""

    @property
    def events(self) -> int:
        """How many events the journal holds."""
        return sum(isinstance(content, EVENTS) for _, content in self.happenings)

    @property
    def controls(self) -> int:
        """How many controls the journal holds that change anything."""
        return sum(isinstance(content, Control) and content.action != NOTE for _, content in self.happenings)


def replayed(journal: Journal) -> Replayed:
    """Return what the journal's events and commands come to. Raises JournalError if it holds no market event."""
    daemon = Daemon(journal, keep=True)
    daemon.recover()
    happenings = [
        (entry.venue, entry.content())
        for entry in journal.entries(2)
        if entry.is_event or entry.kind == Control.__name__
    ]
    events: list[Event] = [content for _, content in happenings if isinstance(content, EVENTS)]
    if not any(isinstance(event, Quote | Bar) for event in events):
        raise JournalError([Problem(str(journal.path), "holds no market event yet", "let the daemon run first")])
    plans = plans_of(daemon.head, events)
    results = []
    for plan in plans:
        session = daemon.desks[plan.strategy.name].session
        session.finish(plan.end_ns)
        results.append(result_of(session, plan, "paper"))
    return Replayed(daemon, plans, results, happenings)


def agree(run: Replayed) -> str:
    """Return the name of the engine that every strategy of a paper run agrees with. Raises ParityError."""
    adopted = sum(isinstance(content, Control) and content.action == ADOPT for _, content in run.happenings)
    if adopted:
        what = f"{adopted} times the venue decided otherwise than was foreseen, and no engine can know why"
        raise UnsupportedError(f"{run.daemon.journal.path}: {what}: compare the journal of the exchange itself")
    engine = "the reference engine"
    for plan, result in zip(run.plans, run.results, strict=True):
        if run.controls:
            engine = "the reference engine, stepping through the journal's controls"
            other = _stepped(plan, run.happenings)
        else:
            other = reference.run(plan)
        compare([result, other], COMPARED)
    return engine


def _stepped(plan: Plan, happenings: Sequence[_Happening]) -> RunResult:
    """Return what a strategy does on events with controls between them; what failed then is not asked again."""
    session = plan.session()
    name = plan.strategy.name
    for at, (venue, content) in enumerate(happenings):
        if isinstance(content, Control):
            if venue in (name, ""):
                _control(session, content)
        elif take(session, content) and not session.state.expired:
            session.watch()
            if _is_asked(name, happenings, at + 1):
                session.act()
    session.finish(plan.end_ns)
    return result_of(session, plan, "stepped")


def _is_asked(name: str, happenings: Sequence[_Happening], at: int) -> bool:
    """Return whether a strategy answered at the event before `at`: it did not fail, and the event was not late."""
    while at < len(happenings) and isinstance(happenings[at][1], Control):
        venue, control = happenings[at]
        if (control.action == SKIP and venue in ("", name)) or (venue == name and control.by == BY_STRATEGY):
            return False
        at += 1
    return True


def _control(session: Session, control: Control) -> None:
    if control.action in (SKIP, NOTE):
        return
    if control.action == PARAMS:
        params, limits = reloaded(control.text)
        session.reload(params[session.user], limits)
        return
    session.turn(MODE_OF[control.action], "")
    session.obey()
