"""One strategy of the daemon: a session whose commands go through the journal, or come back from it.

Live, an event is taken in and then decided on. In recovery the same events are taken in, and the commands and controls
that follow them in the journal are carried out: the strategy is not asked again for what it has decided.

A desk may stand at a venue of another process. Its own exchange is then a forecast of the account there: the same
events and commands, settled by the same core. At each decision the account is read first, and where the two
differ the venue is right. (docs/adr/0015)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bot.core.decide import decide
from bot.core.events import BTC, RANK_OPEN, RANK_STRATEGY, Bar, Block, Quote, SwapRate
from bot.core.margin import standing
from bot.core.order import Command, PlaceOrder, Rejection
from bot.errors import StrategyError, UnknownOutcomeError, VenueAwayError
from bot.paper.entries import ADOPT, FLATTEN, HALT, REDUCE, RESUME, SKIP, Control, Event, Opening, encode
from bot.paper.journal import Journal
from bot.paper.service import enter, replay_command
from bot.session import Session
from bot.trader import ACTIVE, FLAT, HALTED, REDUCING
from bot.venues.adopt import Adoption, adopt, read, written
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.report import Report, differences, expected

MODE_OF: Final = {HALT: HALTED, REDUCE: REDUCING, RESUME: ACTIVE, FLATTEN: FLAT}
"""What a control turns the strategy to."""
BY_MIRROR: Final = "mirror"


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

    __slots__ = (
        "_agreed_fills",
        "_agrees",
        "_asks",
        "_awaits_venue",
        "_has_moved_on",
        "_may_have_forgotten",
        "_talks",
        "_used_cid",
        "journal",
        "name",
        "session",
        "venue",
    )

    def __init__(self, journal: Journal, session: Session, away: bool = False) -> None:
        """Sit down at the exchange of this process; `away`: nothing is sent before `stand_at` names a venue."""
        self._awaits_venue = away
        self.journal = journal
        self.session = session
        self.name = session.user
        self.venue: CcxtVenue | None = None
        self._agreed_fills = 0  # how many fills there were when the venue was last found to agree
        self._agrees = False  # whether it was, or will have been, once the event at hand is done with
        session.trader.submit = self._submit

    @property
    def agreed(self) -> list[int]:
        """What must be known to go on: how many fills the venue agreed to, and whether it agrees at the last event."""
        return [self._agreed_fills, int(self._agrees)]

    @agreed.setter
    def agreed(self, kept: list[int]) -> None:
        self._agreed_fills, self._agrees = kept[0], bool(kept[1])

    def _submit(self, command: Command) -> int | Rejection:
        return enter(self.journal, self.session.exchange, self.name, command)

    def take(self, event: Event) -> bool:
        """Take in an event and return whether a decision follows it."""
        if self._agrees:
            self._agreed_fills = len(self.session.state.fills)
        self._agrees = isinstance(event, Quote | Bar)
        return take(self.session, event)

    def decide(self) -> str:
        """Decide on the event that was taken in last; return what is wrong with the strategy, if it failed."""
        try:
            if self.venue is None:
                self.session.decide()
            elif not self.session.state.expired:
                self._decide_away(self.venue)
        except StrategyError as error:
            return str(error)
        except (StrategyHangsError, KeyboardInterrupt) as error:  # signals of people end the daemon by another way
            return f"{self.name}: {error or 'KeyboardInterrupt'}"
        return ""

    # A venue of another process -----------------------------------------------------------------------------

    def stand_at(
        self,
        venue: CcxtVenue,
        has_moved_on: Callable[[], bool],
        asks: Callable[[], None],
        talks: Callable[[], None],
    ) -> None:
        """Trade at a venue of another process from now on; recovery is over.

        `has_moved_on` tells whether its market has shown more than what was taken in. `asks` is called before the
        strategy is asked, `talks` before the venue is: if the process dies then, the strategy is not to blame. The step
        in which the process before this one died may have sent commands that nobody here remembers.
        """
        self.venue, self._awaits_venue = venue, False
        self._has_moved_on, self._asks, self._talks = has_moved_on, asks, talks
        state = self.session.state
        if self._agrees:
            self._agreed_fills = len(state.fills)
        self._may_have_forgotten, self._used_cid = True, 0
        venue.books = (state, state.accounts[self.name])
        self.session.trader.submit = self._send

    def pass_over(self) -> None:
        """Take note that the event at hand is not decided on: what may have been forgotten was not sent at it."""
        self._may_have_forgotten = self._agrees = False

    def _send(self, command: Command) -> int | Rejection:
        """Send a command to the venue if our own books allow it, and enter it in them once it is carried out there."""
        assert self.venue is not None
        exchange = self.session.exchange
        if command.time_ns >= exchange.state.time_ns:
            exchange.reach(command.time_ns, RANK_STRATEGY)
        answer = decide(exchange.state, command)
        if answer is None:
            self._talks()
            sent = self.venue.submit(command)
            answer = sent if isinstance(sent, Rejection) else None
            if isinstance(command, PlaceOrder) and answer is not None and answer.code == "CID_REUSED":
                self._used_cid = command.cid
        return self._submit(command) if answer is None else answer

    def _decide_away(self, venue: CcxtVenue) -> None:
        """Read the account, let our books agree with it, and decide; without an account that is up to date, do not."""
        session, state = self.session, self.session.state
        session.watch()
        self._talks()
        account = state.accounts[self.name]
        ours, theirs = expected(state, account), venue.report(state.mark_sat)
        again = self._may_have_forgotten and (ours == theirs or _may_be_ours(ours, theirs))
        if ours != theirs and not again and not self._adopt(venue, theirs):
            return
        venue.looks_since_ns = state.time_ns if again else None
        self._asks()
        session.act()
        venue.looks_since_ns, self._may_have_forgotten = None, False
        if (again and (ours != theirs or venue.remembered)) or self._used_cid:
            # A decision that comes out otherwise than the forgotten one meets its orders.
            ours, theirs = expected(state, account), venue.report(state.mark_sat)
            if ours != theirs or self._used_cid:
                self._adopt(venue, theirs)

    def _adopt(self, venue: CcxtVenue, theirs: Report) -> bool:
        """Take the venue's report for true and return True; False if it is of another moment than our events."""
        state = self.session.state
        if self._has_moved_on():
            self._journal(SKIP, "the venue's market has moved on since the account was foreseen")
            self._agrees = False
            return False
        known = min(self._agreed_fills, len(state.fills))
        text = written(Adoption(known, self._used_cid, theirs, venue.trades_behind(state.fills, known)))
        self._journal(ADOPT, text)
        self._take_over(text)
        self._used_cid = 0
        return True

    def _journal(self, action: str, text: str) -> None:
        control = Control(self.session.state.time_ns, action, BY_MIRROR, text)
        self.journal.append(Control.__name__, self.name, control.time_ns, encode(control))

    def _take_over(self, text: str) -> None:
        session, state, adopted = self.session, self.session.state, read(text)
        account = state.accounts[self.name]
        state.notify(self.name, "adopted", "; ".join(differences(expected(state, account), adopted.report))[:500])
        adopt(state, account, adopted)
        session.view.equity_sat = standing(state, account).equity_sat(state.mark_sat, state.time_ns)
        session.trader.last_cid = max(session.trader.last_cid, adopted.last_cid)

    # Controls -----------------------------------------------------------------------------------------------

    def control(self, control: Control) -> None:
        """Carry out a control and journal it with all that it entails; both are durable together.

        Where the venue is awaited, what it entails is sent at the first decision there.
        """
        with self.journal.group():
            self.journal.append(Control.__name__, self.name, control.time_ns, encode(control))
            self._turn(control)
            try:
                if not self._awaits_venue:
                    self.session.obey()
            except (UnknownOutcomeError, VenueAwayError) as error:
                text = f"{error}; what {control.action} asks for is done when it answers"
                self.session.state.notify(self.name, "venue", text)

    def _turn(self, control: Control) -> None:
        self.session.turn(MODE_OF[control.action], f"{control.by}: {control.text}" if control.text else control.by)

    # Recovery -----------------------------------------------------------------------------------------------

    def replay_event(self, event: Event) -> None:
        """Take in an event again, up to the decision on it."""
        if self.take(event) and not self.session.state.expired:
            self.session.watch()

    def replay(self, content: Command | Control) -> None:
        """Carry out again what was decided."""
        if isinstance(content, Control):
            if content.action == ADOPT:
                self._take_over(content.text)
            elif content.action == SKIP:
                self.pass_over()
            else:
                self._turn(content)
            return
        replay_command(self.session.exchange, content)
        if isinstance(content, PlaceOrder):
            self.session.trader.note(content)


def _may_be_ours(ours: Report, theirs: Report) -> bool:
    """Return whether commands of one step, none of which has traded yet, could make our books the venue's."""
    both = (ours, theirs)
    bitcoin = {sum(amount for _, asset, amount in one.wallets if asset == BTC) for one in both}
    taken = [[loan for loan in one.loans if loan.side < 0] for one in both]
    return len(bitcoin) == 1 and ours.position_lots == theirs.position_lots and taken[0] == taken[1]
