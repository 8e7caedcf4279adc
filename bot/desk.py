"""One strategy of the daemon: a session whose commands go through the journal, or come back from it.

Live, an event is taken in and then decided on. In recovery the same events are taken in, and the commands and controls
that follow them in the journal are carried out: the strategy is not asked again for what it has decided.
"""

from __future__ import annotations

from typing import Final

from bot.core.events import RANK_OPEN, Bar, Block, Quote, SwapRate
from bot.core.order import Command, PlaceOrder, Rejection
from bot.errors import StrategyError
from bot.paper.entries import FLATTEN, HALT, REDUCE, RESUME, Control, Event, Opening, encode
from bot.paper.journal import Journal
from bot.paper.service import enter, replay_command
from bot.session import Session
from bot.trader import ACTIVE, FLAT, HALTED, REDUCING

MODE_OF: Final = {HALT: HALTED, REDUCE: REDUCING, RESUME: ACTIVE, FLATTEN: FLAT}
"""What a control turns the strategy to."""


class StrategyHangsError(BaseException):
    """Raised inside a strategy that has been asked for too long; no `except Exception` of its own may hold it up."""


def take(session: Session, event: Event) -> bool:
    """Let a session take in an event and return whether a decision follows it."""
    if isinstance(event, Quote):
        session.on_quote(event)
        return True
    if isinstance(event, Block):
        session.on_block(event)
    elif isinstance(event, SwapRate):
        session.on_swap_rate(event)
    elif isinstance(event, Opening):
        session.on_bar_open(event.bar)
    elif isinstance(event, Bar):
        session.on_bar_close(event)
        return True
    else:
        session.exchange.reach(event.time_ns, RANK_OPEN)
    return False


class Desk:
    """A session that is journalled: `name` is the strategy's, and the venue of its entries."""

    __slots__ = ("journal", "name", "session")

    def __init__(self, journal: Journal, session: Session) -> None:
        self.journal = journal
        self.session = session
        self.name = session.user
        session.trader.submit = self._submit

    def _submit(self, command: Command) -> int | Rejection:
        return enter(self.journal, self.session.exchange, self.name, command)

    def decide(self) -> str:
        """Decide on the event that was taken in last; return what is wrong with the strategy, if it failed."""
        try:
            self.session.decide()
        except StrategyError as error:
            return str(error)
        except (StrategyHangsError, KeyboardInterrupt) as error:  # signals of people end the daemon by another way
            return f"{self.name}: {error or 'KeyboardInterrupt'}"
        return ""

    def control(self, control: Control) -> None:
        """Carry out a control and journal it with all that it entails; both are durable together."""
        with self.journal.group():
            self.journal.append(Control.__name__, self.name, control.time_ns, encode(control))
            self._turn(control)
            self.session.obey()

    def _turn(self, control: Control) -> None:
        self.session.turn(MODE_OF[control.action], f"{control.by}: {control.text}" if control.text else control.by)

    # Recovery -----------------------------------------------------------------------------------------------

    def replay_event(self, event: Event) -> None:
        """Take in an event again, up to the decision on it."""
        if take(self.session, event) and not self.session.state.expired:
            self.session.watch()

    def replay(self, content: Command | Control) -> None:
        """Carry out again what was decided."""
        if isinstance(content, Control):
            self._turn(content)
            return
        replay_command(self.session.exchange, content)
        if isinstance(content, PlaceOrder):
            self.session.trader.note(content)
