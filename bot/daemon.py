"""The daemon: every strategy at its own desk, one journal, one feed; recovery is a replay of the journal.

A step is an event with everything decided on it. Steps are committed whole, so that a crash leaves none half done:
what is found again is the state between two steps, and the feed goes on behind the last one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from types import FrameType
from typing import Any, Final

from backtests.reference import paused_collector
from bot.core.events import Bar, Quote
from bot.desk import Desk, StrategyHangsError, take
from bot.errors import JournalError, Problem
from bot.facts import read_head, reloaded, sessions_of
from bot.history.fields import iso_utc
from bot.paper.asking import Asking
from bot.paper.entries import ALL_VENUES, HALT, NOTE, PARAMS, SKIP, Control, Event, encode, rank_of, time_of
from bot.paper.journal import Journal
from bot.trader import RiskLimits

BY_OPERATOR: Final = "operator"
BY_STRATEGY: Final = "strategy"
BY_DEATHS: Final = "deaths"
BY_LAG: Final = "lag"
BY_CHAIN: Final = "chain"
MAX_DEATHS: Final = 2
"""A strategy in whose hands the process dies so often in a row, at one event, is halted."""


class Daemon:
    """What runs: `last` is the last event that was taken in, `steps` how many there were, those recovered included."""

    def __init__(self, journal: Journal, on_failure: str = HALT, keep: bool = False) -> None:
        """Read the journal's head and set the desks up as it says; `recover` comes next.

        `on_failure` is the control for a strategy that fails. `keep` records moves and marks, for results.
        """
        self.journal = journal
        self.head = read_head(journal)
        self.config: str = self.head["config"]
        self.limits = RiskLimits(**self.head["limits"])
        self.desks = {session.user: Desk(journal, session) for session in sessions_of(self.head, keep)}
        self.on_failure = on_failure
        self.asking: Asking | None = None
        self.last: Event | None = None
        self.steps = 0
        self._asked_at_last_look = -1

    # Recovery -----------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Come to where the journal ends. Raises JournalError for entries that do not fit it."""
        with paused_collector():
            self._recover()

    def _recover(self) -> None:
        desks = list(self.desks.values())
        for entry in self.journal.entries(2):
            try:
                content: Any = entry.content()
                if entry.is_event:
                    self.last = content
                    self.steps += 1
                    for desk in desks:
                        desk.replay_event(content)
                elif isinstance(content, Control) and content.action in (PARAMS, SKIP, NOTE):
                    if content.action == PARAMS:
                        self._reload(content.text)
                else:
                    self.desks[entry.venue].replay(content)
            except (ValueError, LookupError) as error:
                what = f"entry {entry.sequence} does not fit what comes before it: {entry.kind}: {error}"
                raise JournalError([Problem(str(self.journal.path), what, "use the fairhash that wrote it")]) from error

    # Live ---------------------------------------------------------------------------------------------------

    def take_in(self, events: Sequence[Event], now_ns: int | None = None, proof: str = "") -> list[str]:
        """Carry out one step for each event, durable on return; return in words why any of them were refused.

        `now_ns` is the time on the clock, for a live feed: a market event that is too old by it is not acted on.
        `proof` is noted behind them: the hash of a block.
        """
        with self.journal.group():
            refused = [self.step(event, now_ns) for event in events]
            if proof and not any(refused):
                self.note(BY_CHAIN, proof)
        return [why for why in refused if why]

    def note(self, by: str, text: str) -> None:
        """Note something that changes nothing; durable on return, inside a group when that ends."""
        with self.journal.group():
            note = Control(self.time_ns, NOTE, by, text)
            self.journal.append(Control.__name__, ALL_VENUES, note.time_ns, encode(note))

    def step(self, event: Event, now_ns: int | None = None) -> str:
        """Take in one event and decide on it; return why it was refused, if it came too late to be in order.

        Whoever calls it inside a group of the journal makes it durable.
        """
        time_ns = time_of(event)
        if self.last is not None and (time_ns, rank_of(event)) < (time_of(self.last), rank_of(self.last)):
            what = f"{type(event).__name__} of {iso_utc(time_ns)} came after {type(self.last).__name__}"
            return f"{what} of {iso_utc(time_of(self.last))}: out of order"
        self.journal.append(type(event).__name__, ALL_VENUES, time_ns, encode(event))
        self.last = event
        self.steps += 1
        is_late = now_ns is not None and now_ns - time_ns > self.limits.max_quote_age_ns
        if not isinstance(event, Quote | Bar):
            for desk in self.desks.values():
                take(desk.session, event)
        elif is_late:
            for desk in self.desks.values():
                desk.replay_event(event)
            skip = Control(time_ns, SKIP, BY_LAG, f"{(now_ns or 0) - time_ns} ns late")
            self.journal.append(Control.__name__, ALL_VENUES, time_ns, encode(skip))
        else:
            self._decide(event, time_ns)
        return ""

    def _decide(self, event: Event, time_ns: int) -> None:
        asking = self.asking
        for number, desk in enumerate(self.desks.values()):
            take(desk.session, event)
            if asking is not None:
                asking.begin(self.steps, number)
            failure = desk.decide()
            if asking is not None:
                asking.end()
            if failure:
                desk.control(Control(time_ns, self.on_failure, BY_STRATEGY, failure))

    def mourn(self, asking: Asking) -> str:
        """Halt a strategy in whose hands the process has died again and again, and return its name; else nothing."""
        self.asking = asking
        death = asking.last_death()
        if death is None or death.times < MAX_DEATHS or death.desk >= len(self.desks):
            return ""
        name = list(self.desks)[death.desk]
        text = f"the process died {death.times} times while it was asked, at event {death.step}"
        self.control([name], HALT, BY_DEATHS, text)
        return name

    def control(self, names: Sequence[str], action: str, by: str, text: str) -> None:
        """Turn the strategies of these names; durable on return."""
        with self.journal.group():
            for name in names:
                self.desks[name].control(Control(self.time_ns, action, by, text))

    def reload(self, config: str, limits: RiskLimits) -> None:
        """Go on with the parameters of a configuration's text and with these limits; durable on return.

        The text was read and checked before, and is of the same strategies.
        """
        text = json.dumps({"config": config, "limits": asdict(limits)}, sort_keys=True)
        with self.journal.group():
            control = Control(self.time_ns, PARAMS, BY_OPERATOR, text)
            self.journal.append(Control.__name__, ALL_VENUES, control.time_ns, encode(control))
            self._reload(text)

    def _reload(self, text: str) -> None:
        params, self.limits = reloaded(text)
        self.config = json.loads(text)["config"]
        for name, desk in self.desks.items():
            desk.session.reload(params[name], self.limits)

    @property
    def time_ns(self) -> int:
        """The time of the last event, or of the start."""
        return next(iter(self.desks.values())).session.state.time_ns if self.last is None else time_of(self.last)

    def look(self, frame: FrameType | None) -> None:
        """Raise StrategyHangsError inside a strategy that was already being asked at the last look; a timer calls it.

        `frame` is what was interrupted. In the midst of our own code nothing is raised, since that could leave it half
        done: the next look will find the strategy elsewhere.
        """
        asking = [desk.session for desk in self.desks.values() if desk.session.is_asking]
        asked = sum(desk.session.asked for desk in self.desks.values())
        before, self._asked_at_last_look = self._asked_at_last_look, asked if asking else -1
        is_ours = frame is not None and str(frame.f_globals.get("__name__")).startswith("bot.")
        if asking and asked == before and not is_ours:
            self._asked_at_last_look = -1
            raise StrategyHangsError(f"{iso_utc(asking[0].view.time_ns)}: no answer in time")
