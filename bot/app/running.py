"""A running daemon: the one place with a clock. Signals, pace, watchdog, console, and what people see of it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from bot.app.journals import carry_out
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
from bot.paper.snapshot import snapshot
from bot.run import Run, limits_of
from bot.standing import status

BATCH: Final = 256
"""Steps that one commit makes durable when a replay goes as fast as it can; nothing is told before."""
AT_START: Final = ("feed", "chain", "ccxt", "blocks", "swap", "dashboard")
"""What of a configuration a reload cannot take."""
STATUS_EVERY_S: Final = 0.5
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
    ) -> None:
        """Recover. `load` returns the run anew when the configuration has changed; `now_ns` is the clock.
        `proof` names a live event beyond what it says; it is journalled with it.

        `speed` is how many seconds of a replay pass in one, 0 as fast as it goes, None for a live feed. The journal is
        closed by `close`, or here when this raises.
        """
        self.load, self.feed, self.speed, self.venue, self.now_ns = load, feed, speed, venue, now_ns
        self.proof = proof
        self._origin: tuple[int, int] | None = None
        self.ended_by = ""
        began = time.monotonic()
        self.journal = journal
        try:
            facts = self._facts(run)
            self.settings, self.end_ns = run.settings, run.plans[0].end_ns
            if self.journal.sequence == 0:
                self.journal.append(HEAD, ALL_VENUES, facts["start_ns"], head_text(facts))
                self.journal.commit()
            self.daemon = Daemon(self.journal, run.settings.config.risk.on_failure)
            refuse_other(self.daemon.head, facts, self.journal)
            self.daemon.recover()
            self.asking = Asking(journal.path)
            mourned = self.daemon.mourn(self.asking)
            self.voice = Voice(feed.simulated, as_json)
            self._told = {name: self._marks(name) for name in self.daemon.desks}
            took_s = time.monotonic() - began
            self._log("recovered", events=self.daemon.steps, entries=self.journal.sequence, seconds=round(took_s, 3))
            if mourned:
                self._log("halted", strategy=mourned, text="the process died twice while it was asked")
            known = (parameters_of(self.daemon.config), self.daemon.limits)
            if known != (parameters_of(facts["config"]), limits_of(run)):
                self.daemon.reload(facts["config"], limits_of(run))
                self._log("parameters", text="taken from the configuration as it is now")
            if venue == CCXT:
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
        self._log("chain_accepted", height=height, hash=proof, text="what other blocks had paid up to here stays paid")

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
        self._log("venue", text="orders go through ccxt to the exchange of this process")

    # The loop -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go on until the feed ends, or SIGTERM or SIGINT asks to end: then the step at hand is done first."""
        loop = asyncio.get_running_loop()
        server = await serve(self.journal.path, self._answer)
        page: Dashboard | None = None
        pump = asyncio.create_task(self._pump())

        def end(name: str) -> None:
            self.ended_by = name
            pump.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end, number.name)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        ticker = asyncio.create_task(self._tick())
        try:
            with self._watchdog(), contextlib.suppress(asyncio.CancelledError):
                page = await self._open_page()  # signals are heard by now: what they end is ended in order
                await pump
        finally:
            ticker.cancel()
            if page is not None:
                await page.stop()
            server.close()
            socket_path(self.journal.path).unlink(missing_ok=True)
            self.voice.show(status(self.daemon), last=True)
        self._log("ended", by=self.ended_by or "the end of the feed", events=self.daemon.steps)

    async def _pump_live(self) -> None:
        """Take in what comes as it comes; at the end by the clock nothing more is waited for."""
        try:
            async with asyncio.timeout(max(self.end_ns - self.now_ns(), 0) / NS_PER_S) as until_end:
                async for event in self.feed.events(self.daemon.last):
                    self._take_in([event], self.now_ns(), self.proof(event))
        except TimeoutError:
            if not until_end.expired():
                raise
        if self.now_ns() >= self.end_ns > self.daemon.time_ns:
            self._take_in([Passed(self.end_ns)])

    async def _pump(self) -> None:
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
        for why in self.daemon.take_in(events, now_ns, proof):
            self._log("refused", text=why)
        self._tell()

    @contextlib.contextmanager
    def _watchdog(self) -> Any:
        """Look from time to time, from a signal, whether a strategy has been asked for too long."""
        tick_s = self.daemon.limits.max_answer_ns / NS_PER_S / 2
        before = signal.signal(signal.SIGALRM, lambda number, frame: self.daemon.look(frame))
        signal.siginterrupt(signal.SIGALRM, False)  # no write is to be cut short by it
        signal.setitimer(signal.ITIMER_REAL, tick_s, tick_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    # Orders of people ---------------------------------------------------------------------------------------

    def _reload(self) -> None:
        """Take parameters and limits from the configuration anew, or say why not and go on as before."""
        try:
            run = self.load()
            facts = self._facts(run)
            refuse_other(self.daemon.head, facts, self.journal)
        except FairhashError as error:
            self._log("not_reloaded", text=str(error))
            return
        self.daemon.reload(facts["config"], limits_of(run))
        self.daemon.on_failure = run.settings.config.risk.on_failure
        new, begun = run.settings.config, self.settings.config
        later = [name for name in AT_START if getattr(new, name) != getattr(begun, name)]
        text = "parameters and limits are those of the configuration now"
        self._log("reloaded", text=f"{text}; not before the next start: {', '.join(later)}" if later else text)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a command that came over the console."""
        reply = carry_out(self.daemon, request)
        self._tell()
        return reply

    # What people see ----------------------------------------------------------------------------------------

    def _log(self, event: str, **fields: Any) -> None:
        self.voice.say(event, self.daemon.time_ns, **fields)

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
        desks = self.daemon.desks.values()
        try:
            page, url = await open_page(
                self.settings.config,
                self.settings.contract.id,
                lambda: [snapshot(desk.session, self.feed.simulated) for desk in desks],
                self.now_ns if self.speed is None else lambda: self.daemon.time_ns,
                self.feed.name,
            )
        except PageError as error:
            self._log("no_page", text=str(error))
            return None
        self._log("page", url=url)
        return page

    async def _tick(self) -> None:
        while True:
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
