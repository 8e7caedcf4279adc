"""The daemon: every strategy at its own desk, one journal, one feed; recovery is a replay of the journal.

A step is an event with everything decided on it. Steps are committed whole, so that a crash leaves none half done:
what is found again is the state between two steps, and the feed goes on behind the last one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Any, Final

from backtests.reference import paused_collector
from bot.core.events import Bar, Quote
from bot.desk import Desk, StrategyHangsError
from bot.errors import JournalError, Problem
from bot.facts import read_head, reloaded, sessions_of
from bot.history.fields import iso_utc
from bot.paper.asking import Asking
from bot.paper.checkpoint import session as sessions
from bot.paper.checkpoint.exchange import History
from bot.paper.checkpoint.past import Past
from bot.paper.checkpoint.plain import made
from bot.paper.checkpoint.store import Checkpoints
from bot.paper.entries import (
    ALL_VENUES,
    HALT,
    NOTE,
    PARAMS,
    SKIP,
    Control,
    Entry,
    Event,
    decode,
    encode,
    rank_of,
    time_of,
)
from bot.paper.journal import Journal
from bot.paper.snapshot import ASKING as ASKING_FOR_BANDS
from bot.paper.snapshot import Snapshot, snapshot
from bot.session import ASKING
from bot.trader import RiskLimits
from bot.venues.ccxt_venue import CcxtVenue

BY_OPERATOR: Final = "operator"
BY_STRATEGY: Final = "strategy"
BY_BAND: Final = "band"
BY_DEATHS: Final = "deaths"
BY_LAG: Final = "lag"
BY_CHAIN: Final = "chain"
PASSED: Final = "the venue's market had moved on"
FOR_ITS_BAND: Final = -1
"""Stands for the event at which a strategy is asked for its band: whenever somebody looks at the page."""
MAX_DEATHS: Final = 2
"""A strategy in whose hands the process dies so often in a row, at one event, is halted."""


class Daemon:
    """What runs: `last` is the last event that was taken in, `steps` how many there were, those recovered included."""

    def __init__(
        self, journal: Journal, on_failure: str = HALT, keep: bool = False, whole: bool = False, away: bool = False
    ) -> None:
        """Read the journal's head and set the desks up as it says; `recover` comes next.

        `on_failure` is the control for a strategy that fails. `whole` replays every entry and keeps all orders and
        fills in memory; `keep` records moves and marks besides, for results. `away`: the strategies' orders stand on a
        venue of another process, and nothing is sent before `stand_at`.
        """
        self._away = away
        self.journal = journal
        self.head = read_head(journal)
        self.keeps_moves = keep
        self.checkpoints: Checkpoints | None = None
        if not whole and not keep:
            self.checkpoints = Checkpoints(journal, self.document, lambda: self._histories.values())
        self._sit_down()
        self.on_failure = on_failure
        self.asking: Asking | None = None

    def _sit_down(self) -> None:
        """Set up everything as it was at the journal's head."""
        self.config: str = self.head["config"]
        self.limits = RiskLimits(**self.head["limits"])
        self.desks = {s.user: Desk(self.journal, s, self._away) for s in sessions_of(self.head, self.keeps_moves)}
        self._histories = {
            name: History(desk.session.exchange, Past(self.journal, name))
            for name, desk in self.desks.items()
            if self.checkpoints is not None
        }
        self.last: Event | None = None
        self.steps = 0
        self._deciding: Desk | None = None
        self._decided, self._decided_at_last_look = 0, -1

    # Recovery -----------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Come to where the journal ends. Raises JournalError for entries that do not fit it."""
        with paused_collector():
            if self.checkpoints is None:
                for entry in self.journal.entries(2):
                    self.carry_out(entry)
            else:
                at = self.checkpoints.resume(self._resume, self._sit_down)
                self.checkpoints.replay(max(at + 1, 2), self.carry_out)

    def carry_out(self, entry: Entry) -> None:
        """Carry out the next entry of the journal again. Raises JournalError if it does not fit what came before."""
        try:
            content: Any = entry.content()
            if entry.is_event:
                self.last = content
                self.steps += 1
                for desk in self.desks.values():
                    desk.replay_event(content)
            elif isinstance(content, Control) and content.action in (PARAMS, NOTE):
                if content.action == PARAMS:
                    self._reload(content.text)
            elif entry.venue == ALL_VENUES:
                for desk in self.desks.values():
                    desk.replay(content)
            else:
                self.desks[entry.venue].replay(content)
        except (ValueError, LookupError) as error:
            what = f"entry {entry.sequence} does not fit what comes before it: {entry.kind}: {error}"
            raise JournalError([Problem(str(self.journal.path), what, "use the fairhash that wrote it")]) from error

    def document(self) -> dict[str, Any]:
        """Return all that recovery brings back, as plain values: what a checkpoint says."""
        return {
            "steps": self.steps,
            "last": None if self.last is None else [type(self.last).__name__, encode(self.last)],
            "params": self._params(),
            "desks": {name: sessions.document_of(desk.session) for name, desk in self.desks.items()},
            "agreed": {name: desk.agreed for name, desk in self.desks.items()},
        }

    def _resume(self, document: dict[str, Any]) -> None:
        if document["desks"].keys() != self.desks.keys():
            raise ValueError("its strategies are others")
        for name, desk in self.desks.items():
            kept = document["desks"][name]
            sessions.resume(desk.session, kept)
            desk.agreed = made(list[int], document["agreed"][name])
            self._histories[name].resume(kept["exchange"])
        self.steps = made(int, document["steps"])
        self.last = None if document["last"] is None else decode(*made(list[str], document["last"]))
        if document["params"] != self._params():
            self._reload(made(str, document["params"]))

    def _params(self) -> str:
        return json.dumps({"config": self.config, "limits": asdict(self.limits)}, sort_keys=True)

    # Live ---------------------------------------------------------------------------------------------------

    def take_in(self, events: Sequence[Event], now_ns: int | None = None, proof: str = "") -> list[str]:
        """Carry out one step for each event, durable on return; return in words why any of them were refused.

        `now_ns` is the time on the clock, for a live feed: a market event that is too old by it is not acted on.
        `proof` is noted behind them: the hash of a block.
        """
        with self._whole_steps():
            refused = [self.step(event, now_ns) for event in events]
            if proof and not any(refused):
                self.note(BY_CHAIN, proof)
        self._rest()
        return [why for why in refused if why]

    def note(self, by: str, text: str) -> None:
        """Note something that changes nothing; durable on return, inside a group when that ends."""
        with self.journal.group():
            note = Control(self.time_ns, NOTE, by, text)
            self.journal.append(Control.__name__, ALL_VENUES, note.time_ns, encode(note))

    def follow(self, events: Sequence[Event]) -> list[str]:
        """Carry out steps for what a venue's market has shown by now; only on the newest of them is decided.

        Durable on return; returns what `take_in` does. Raises VenueError, and leaves the journal as it was.
        """
        newest = max((at for at, event in enumerate(events) if isinstance(event, Quote | Bar)), default=-1)
        with self._whole_steps():
            refused = [self.step(event, passed_over="" if at >= newest else PASSED) for at, event in enumerate(events)]
        self._rest()
        return [why for why in refused if why]

    def _rest(self) -> None:
        """Take a checkpoint if it is time for one; everything that was carried out is durable."""
        if self.checkpoints is not None:
            self.checkpoints.take(self.journal.sequence, self.journal.hash)

    @contextmanager
    def _whole_steps(self) -> Iterator[None]:
        """Commit steps together. What a venue, or a bug, cut short is not kept: it is taken in again."""
        with self.journal.group():
            try:
                yield
            except BaseException:
                self.journal.forget()
                raise

    def stand_at(self, venues: Mapping[str, CcxtVenue], has_moved_on: Callable[[], bool]) -> None:
        """Let each strategy trade at a venue of another process, by its name; see Desk.stand_at."""
        for number, desk in enumerate(self.desks.values()):

            def begin(number: int = number) -> None:
                if self.asking is not None:
                    self.asking.begin(self.steps, number)

            def end() -> None:
                if self.asking is not None:
                    self.asking.end()

            desk.stand_at(venues[desk.name], has_moved_on, begin, end)

    def step(self, event: Event, now_ns: int | None = None, passed_over: str = "") -> str:
        """Take in one event and decide on it; return why it was refused, if it came too late to be in order.

        `passed_over` is why it is not to be decided on, if so. Whoever calls it inside a group of the journal makes it
        durable.
        """
        time_ns = time_of(event)
        if self.last is not None and (time_ns, rank_of(event)) < (time_of(self.last), rank_of(self.last)):
            what = f"{type(event).__name__} of {iso_utc(time_ns)} came after {type(self.last).__name__}"
            return f"{what} of {iso_utc(time_of(self.last))}: out of order"
        self.journal.append(type(event).__name__, ALL_VENUES, time_ns, encode(event))
        self.last = event
        self.steps += 1
        if now_ns is not None and now_ns - time_ns > self.limits.max_quote_age_ns:
            passed_over = f"{now_ns - time_ns} ns late"
        if not isinstance(event, Quote | Bar):
            for desk in self.desks.values():
                desk.take(event)
        elif passed_over:
            for desk in self.desks.values():
                desk.replay_event(event)
                desk.pass_over()
            skip = Control(time_ns, SKIP, BY_LAG, passed_over)
            self.journal.append(Control.__name__, ALL_VENUES, time_ns, encode(skip))
        else:
            self._decide(event, time_ns)
        return ""

    def _decide(self, event: Event, time_ns: int) -> None:
        asking = self.asking
        for number, desk in enumerate(self.desks.values()):
            desk.take(event)
            if asking is not None:
                asking.begin(self.steps, number)
            self._deciding = desk
            failure = desk.decide()
            self._deciding = None
            self._decided += 1
            if asking is not None:
                asking.end()
            if failure:
                desk.control(Control(time_ns, self.on_failure, BY_STRATEGY, failure))

    def snapshots(self, simulated: bool) -> list[Snapshot]:
        """Return what every strategy looks like now. One that hangs when it is asked for its band is halted by name.

        What is stopped is not asked for it. `simulated` is whether any price is.
        """
        shown = []
        for number, desk in enumerate(self.desks.values()):
            if self.asking is not None:
                self.asking.begin(FOR_ITS_BAND, number)
            self._deciding = desk
            try:
                shown.append(snapshot(desk.session, simulated))
            except StrategyHangsError as error:
                self._deciding = None
                self.control([desk.name], self.on_failure, BY_BAND, f"its band: {error}")
                shown.append(snapshot(desk.session, simulated))
            finally:
                self._deciding = None
                self._decided += 1
                if self.asking is not None:
                    self.asking.end()
        return shown

    def mourn(self, asking: Asking) -> str:
        """Halt a strategy in whose hands the process has died again and again, and return its name; else nothing."""
        self.asking = asking
        death = asking.last_death()
        if death is None or death.times < MAX_DEATHS or death.desk >= len(self.desks):
            return ""
        name = list(self.desks)[death.desk]
        what = "for its band" if death.step == FOR_ITS_BAND else f"at event {death.step}"
        text = f"the process died {death.times} times while it was asked, {what}"
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
        desk, before = self._deciding, self._decided_at_last_look
        self._decided_at_last_look = -1 if desk is None else self._decided
        if desk is not None and self._decided == before and is_strategys(frame):
            self._decided_at_last_look = -1
            raise StrategyHangsError(f"{iso_utc(desk.session.view.time_ns)}: no answer in time")


def is_strategys(frame: FrameType | None) -> bool:
    """Return whether a frame is a strategy's, or of a library which it called: the next of ours is who asked it."""
    while frame is not None and not str(frame.f_globals.get("__name__")).startswith("bot."):
        frame = frame.f_back
    return frame is not None and frame.f_code in (*ASKING, *ASKING_FOR_BANDS)
