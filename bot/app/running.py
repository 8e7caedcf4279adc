"""A running daemon: the one place with a clock. Signals, pace, watchdog, console, and what people see of it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final

from bot.app.alive import Fuse, notify
from bot.app.journals import carry_out
from bot.app.remote import Served, follow
from bot.app.rereading import beside
from bot.app.tables import status_text
from bot.app.voice import Voice
from bot.core.units import NS_PER_S
from bot.daemon import BY_OPERATOR, Daemon
from bot.errors import ConfigError, FairhashError, Problem
from bot.facts import facts_of, parameters_of, refuse_other
from bot.paper.asking import Asking
from bot.paper.console import serve, socket_path
from bot.paper.dashboard import Dashboard, PageError, open_page
from bot.paper.entries import ALL_VENUES, HEAD, Event, Passed, head_text, time_of
from bot.paper.feed import Feed
from bot.paper.journal import Journal
from bot.run import Run, limits_of
from bot.standing import status

BATCH: Final = 256
"""Steps that one commit makes durable when a replay goes as fast as it can; nothing is told before."""
AT_START: Final = ("feed", "chain", "ccxt", "blocks", "swap", "dashboard")
"""What of a configuration a reload cannot take."""
STATUS_EVERY_S: Final = 0.5
_SHORT_OF: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
DIRECT: Final = "direct"
CCXT: Final = "ccxt"
"""How orders reach the exchange: by a call, or through the ccxt client."""


class Running:
    """One run of the daemon, from recovery to its end."""

    def __init__(
        self,
        run: Run,
        load: Callable[[], Run],
        journal: Journal,
        feed: Feed,
        speed: int | None,
        as_json: bool,
        venue: str = DIRECT,
        now_ns: Callable[[], int] = time.time_ns,
        proof: Callable[[Event], str] = lambda event: "",
        exchange: Served | None = None,
    ) -> None:
        """Recover. `load` returns the run anew when the configuration has changed; `now_ns` is the clock.

        `proof` names a live event beyond what it says; it is journalled with it. `exchange` is a served one to trade
        on; its market is then the pace.
        `speed` is how many seconds of a replay pass in one, 0 as fast as it goes, None for a live feed. The journal is
        closed by `close`, or here when this raises.
        """
        self.load, self.feed, self.speed, self.venue, self.now_ns = load, feed, speed, venue, now_ns
        self.proof = proof
        self.exchange = exchange
        self._origin: tuple[int, int] | None = None
        self.ended_by = ""
        self._short_of = 0
        self.is_told_to_end = False
        began = time.monotonic()
        self.journal = journal
        try:
            facts = self._facts(run)
            self.settings, self.end_ns = run.settings, run.plans[0].end_ns
            if self.journal.sequence == 0:
                self.journal.append(HEAD, ALL_VENUES, facts["start_ns"], head_text(facts))
                self.journal.commit()
            self.daemon = Daemon(self.journal, run.settings.config.risk.on_failure, away=exchange is not None)
            refuse_other(self.daemon.head, facts, self.journal)
            self.daemon.recover()
            self.asking = Asking(journal.path)
            mourned = self.daemon.mourn(self.asking)
            self.voice = Voice(feed.simulated, as_json)
            self._told = {name: self._marks(name) for name in self.daemon.desks}
            took_s = time.monotonic() - began
            if self.daemon.checkpoints is not None and self.daemon.checkpoints.distrusted:
                self.log("checkpoint", text=self.daemon.checkpoints.distrusted)
            self.log("recovered", events=self.daemon.steps, entries=self.journal.sequence, seconds=round(took_s, 3))
            if mourned:
                self.log("halted", strategy=mourned, text="the process died twice while it was asked")
            known = (parameters_of(self.daemon.config), self.daemon.limits)
            if known != (parameters_of(facts["config"]), limits_of(run)):
                self.daemon.reload(facts["config"], limits_of(run))
                self.log("parameters", text="taken from the configuration as it is now")
            if exchange is not None:
                self.log("venue", text=f"orders go through ccxt to {exchange.address}, whose market is followed")
            elif venue == CCXT:
                self._go_through_ccxt()
        except BaseException:
            self.journal.close()
            raise

    def close(self) -> None:
        """Make durable what waits and let go of the journal."""
        self.asking.close()
        self.journal.close()

    def accept_chain(self, height: int, proof: str) -> None:
        """Go on behind block `height`, which is now the one that `proof` names: by a person's word, journalled."""
        self.daemon.note(BY_OPERATOR, proof)
        self.log("chain_accepted", height=height, hash=proof, text="what other blocks had paid up to here stays paid")

    def _facts(self, run: Run) -> dict[str, Any]:
        """Return what a journal's head says of a run. Raises ConfigError for one that the venue does not fit."""
        latency_ns = limits_of(run).latency_ns
        if self.venue == CCXT and latency_ns:
            what = f"fills.latency: {latency_ns} ns, but a venue that is sent orders has a latency of its own"
            origin = run.settings.origins.get("fills.latency", str(run.settings.path))
            raise ConfigError([Problem(origin, what, "write 0 s, or leave out --venue ccxt")])
        return facts_of(run.plans, run.documents["config.yaml"].decode(), self.feed.name, self.feed.simulated)

    def _go_through_ccxt(self) -> None:
        """Send what every strategy decides from now on through the ccxt client; recovery needed none of it."""
        from bot.venues.embedded import embedded

        for desk in self.daemon.desks.values():
            session = desk.session
            submit = session.trader.submit
            sent = embedded(session.exchange, submit, self.journal.group, desk.name, secrets.token_hex(16))
            session.trader.submit = sent.submit
        self.log("venue", text="orders go through ccxt to the exchange of this process")

    # The loop -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go on until the feed ends, or SIGTERM or SIGINT asks to end: then the step at hand is done first.

        Raises JournalError if an entry before the checkpoint turns out to have been changed.
        """
        loop = asyncio.get_running_loop()
        server = await serve(self.journal.path, self._answer)
        page: Dashboard | None = None
        kept = self.daemon.checkpoints
        pump = asyncio.create_task(beside(self._pump(), self.journal, kept.resumed_at if kept else 0))

        def end(name: str) -> None:
            self.ended_by = name
            pump.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end, number.name)
            signal.signal(number, lambda *_: self._hear())  # too: while a venue is asked, the loop hears nothing
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        loop.set_exception_handler(self._complain)
        ticker = asyncio.create_task(self._tick())
        notify("READY=1")
        try:
            with self._watchdog(), contextlib.suppress(asyncio.CancelledError):
                page = await self._open_page()  # signals are heard by now: what they end is ended in order
                await pump
        finally:
            notify("STOPPING=1")
            ticker.cancel()
            if page is not None:
                await page.stop()
            server.close()
            socket_path(self.journal.path).unlink(missing_ok=True)
            self.voice.show(status(self.daemon), last=True)
        self.log("ended", by=self.ended_by or "the end of the feed", events=self.daemon.steps)

    def _hear(self) -> None:
        self.is_told_to_end = True

    async def _pump_live(self) -> None:
        """Take in what comes as it comes; at the end by the clock nothing more is waited for."""

        def left_s() -> float:
            return max(self.end_ns - self.now_ns(), 0) / NS_PER_S

        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(left_s()) as until_end:
                async for event in self.feed.events(self.daemon.last):
                    self._take_in([event], self.now_ns(), self.proof(event))
                    until_end.reschedule(loop.time() + left_s())  # the clock may have been set since
        except TimeoutError:
            if not until_end.expired():
                raise
        if self.now_ns() >= self.end_ns > self.daemon.time_ns:
            self._take_in([Passed(self.end_ns)])

    async def _pump(self) -> None:
        if self.exchange is not None:
            await follow(self, self.exchange)
            return
        if self.speed is None:
            await self._pump_live()
            return
        batch: list[Event] = []
        async for event in self.feed.events(self.daemon.last):
            if self.speed:
                await self._until_due(event, self.speed)
                self._take_in([event])
            else:
                batch.append(event)
                if len(batch) == BATCH:
                    self._take_in(batch)
                    batch = []
                    await asyncio.sleep(0)
        self._take_in(batch)
        if self.daemon.time_ns < self.end_ns:
            self._take_in([Passed(self.end_ns)])

    async def _until_due(self, event: Event, speed: int) -> None:
        """Wait until a replay at this speed has come to the event's time."""
        self._origin = self._origin or (time.monotonic_ns(), self.daemon.time_ns)
        began_ns, from_ns = self._origin
        due_ns = began_ns + (time_of(event) - from_ns) // speed  # rounded down
        await asyncio.sleep(max(due_ns - time.monotonic_ns(), 0) / NS_PER_S)

    def _take_in(self, events: Sequence[Event], now_ns: int | None = None, proof: str = "") -> None:
        self.show(self.daemon.take_in(events, now_ns, proof))

    def show(self, refused: Sequence[str]) -> None:
        """Log what was refused, and what has happened."""
        for why in refused:
            self.log("refused", text=why)
        self._tell()

    def begin_again(self) -> None:
        """Come back from the journal, as after a crash: a venue that went away leaves nothing half done in here."""
        self.daemon = Daemon(self.journal, self.daemon.on_failure, away=True)
        self.daemon.recover()
        self.daemon.asking = self.asking
        self._told = {name: self._marks(name) for name in self.daemon.desks}

    @contextlib.contextmanager
    def _watchdog(self) -> Any:
        """Look from time to time, from a signal, whether a strategy has been asked for too long."""
        tick_s = self.daemon.limits.max_answer_ns / NS_PER_S / 2
        fuse = Fuse(self.daemon.limits.max_answer_ns)

        def look(number: int, frame: FrameType | None) -> None:
            fuse.renew()  # where this does not run, code in C holds the interpreter
            self.daemon.look(frame)

        before = signal.signal(signal.SIGALRM, look)
        fuse.renew()
        signal.siginterrupt(signal.SIGALRM, False)  # no write is to be cut short by it
        signal.setitimer(signal.ITIMER_REAL, tick_s, tick_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            fuse.remove()

    # Orders of people ---------------------------------------------------------------------------------------

    def _reload(self) -> None:
        """Take parameters and limits from the configuration anew, or say why not and go on as before."""
        try:
            run = self.load()
            facts = self._facts(run)
            refuse_other(self.daemon.head, facts, self.journal)
        except FairhashError as error:
            self.log("not_reloaded", text=str(error))
            return
        self.daemon.reload(facts["config"], limits_of(run))
        self.daemon.on_failure = run.settings.config.risk.on_failure
        new, begun = run.settings.config, self.settings.config
        later = [name for name in AT_START if getattr(new, name) != getattr(begun, name)]
        text = "parameters and limits are those of the configuration now"
        self.log("reloaded", text=f"{text}; not before the next start: {', '.join(later)}" if later else text)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a command that came over the console."""
        reply = carry_out(self.daemon, request)
        self._tell()
        return reply

    # What people see ----------------------------------------------------------------------------------------

    def log(self, event: str, **fields: Any) -> None:
        """Log one line at the run's time."""
        self.voice.say(event, self.daemon.time_ns, **fields)

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Say once that callers cannot be let in; asyncio would write a traceback for each try, a hundred a second."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _SHORT_OF:
            loop.default_exception_handler(context)
        elif error.errno != self._short_of:
            self._short_of = error.errno
            self.log("no_callers", text=f"{error.strerror}: nobody can be let in until there is room; trading goes on")

    def _marks(self, name: str) -> tuple[int, int]:
        state = self.daemon.desks[name].session.state
        return len(state.fills), len(state.notices)

    def _tell(self) -> None:
        """Log what has happened since it was last told; it is durable by now."""
        for name, desk in self.daemon.desks.items():
            now, (fills, notices) = self._marks(name), self._told[name]
            if now != (fills, notices):
                self._told[name] = now
                state = desk.session.state
                self.voice.report(name, state.fills[fills:], state.notices[notices:])

    async def _open_page(self) -> Dashboard | None:
        """Return the page being served, if it is wanted; where it cannot be, say so and trade on without it."""
        if not self.settings.config.dashboard.enabled:
            return None
        is_live = self.speed is None and self.exchange is None
        try:
            page, url = await open_page(
                self.settings.config,
                self.settings.contract.id,
                lambda: self.daemon.snapshots(self.feed.simulated),
                self.now_ns if is_live else lambda: self.daemon.time_ns,
                self.feed.name,
            )
        except PageError as error:
            self.log("no_page", text=str(error))
            return None
        self.log("page", url=url)
        return page

    async def _tick(self) -> None:
        while True:
            notify("WATCHDOG=1")
            await asyncio.sleep(STATUS_EVERY_S)
            self.voice.show(status(self.daemon))

    def document(self) -> dict[str, Any]:
        """Return how the run stands at its end."""
        return {"journal": str(self.journal.path), "ended_by": self.ended_by or "feed", **status(self.daemon)}

    def text(self) -> str:
        """Return how the run stands at its end, for people."""
        text = status_text(status(self.daemon))
        go_on = "" if self.daemon.time_ns >= self.end_ns else "\nstart it again to go on"
        return f"{text}\njournal: {self.journal.path}{go_on}"
