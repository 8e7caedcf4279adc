"""The exchange on a real socket of loopback, in a thread of its own, for tests; and ways to be a bad client."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bot.core.events import BTC, CONTRACT, Quote, SwapRate
from bot.core.order import Deposit
from bot.core.state import MarketRules
from bot.paper.bitfinex.protocol import Flood, Protocol
from bot.paper.entries import Event
from bot.paper.keys import parse_keys
from bot.paper.market import Market
from bot.paper.server import Limits, Server
from bot.paper.service import Service
from tests.bitfinex import DEPOSIT_SAT, KEYS, SECRETS
from tests.contracts import START_NS, th1


class HandFeed:
    """A feed of what a test shows: events come when `show` is called."""

    name = "by hand"
    simulated = True

    def __init__(self, first: list[Event]) -> None:
        self.waiting: asyncio.Queue[Event] = asyncio.Queue()
        self.first = first

    async def events(self, after: Event | None) -> AsyncIterator[Event]:
        if after is None:
            for event in self.first:
                yield event
        while True:
            yield await self.waiting.get()


class Live:
    """A served exchange; `with Live(path) as live:` gives its address and a way to show quotes."""

    def __init__(
        self, directory: Path, limits: Limits | None = None, flood: Flood | None = None, start_ns: int = START_NS
    ) -> None:
        self._directory, self._limits, self._flood, self._start_ns = directory, limits, flood, start_ns
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.error: BaseException | None = None
        self.port = 0
        self._seconds = 0

    def __enter__(self) -> Live:
        self._thread.start()
        assert self._ready.wait(10), "the server did not come up"
        if self.error:
            raise self.error
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._serving.cancel)
            self._thread.join(10)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        start = self._start_ns
        rates: list[Event] = [SwapRate(start, CONTRACT, 1_000_000, 5_000), SwapRate(start, BTC, 1_000_000, 10**11)]
        self._feed = HandFeed([*rates, Quote(start, 199_000_000, 500, 201_000_000, 500)])
        contract = th1(start_ns=start, end_ns=start + 91 * 86_400 * 10**9)
        self.service = Service.open(self._directory / "live.journal", contract, MarketRules(demand=(0, 1_000)), start)
        # Time passes only with the quotes that a test shows.
        market = Market(self.service, self._feed, 1, lambda: self._seconds * 10**9, start)
        protocol = Protocol(self.service, self.service.tape, parse_keys(KEYS, "keys"), self._flood)
        server = Server(protocol, market, lambda: round(self._loop.time() * 1000), self._limits)

        def open_accounts() -> None:
            for user in ("ann", "ben"):
                if user not in self.service.exchange.state.accounts:
                    time_ns = self.service.exchange.state.time_ns
                    self.service.submit(Deposit(time_ns, user, BTC, DEPOSIT_SAT))

        def ready(host: str, port: int) -> None:
            self.port = port
            self._ready.set()

        self._serving = asyncio.ensure_future(server.run("127.0.0.1", 0, open_accounts, ready))
        try:
            await self._serving
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self.service.close()
            self._ready.set()

    @property
    def urls(self) -> dict[str, Any]:
        """What is put in the place of a client's addresses."""
        http, ws = f"http://127.0.0.1:{self.port}", f"ws://127.0.0.1:{self.port}/ws/2"
        return {"api": {"public": http, "private": http, "ws": {"public": ws, "private": ws}}}

    def settings(self, key: str = "ann-key") -> dict[str, Any]:
        """Return a ccxt client's settings: only the addresses are not its own."""
        return {"apiKey": key, "secret": SECRETS[key], "enableRateLimit": False, "urls": self.urls}

    def show(self, bid_sat: int, ask_sat: int, after_s: int = 60) -> None:
        """Let the market move; returns once it was seen."""
        self._seconds += after_s
        quote = Quote(self._start_ns + self._seconds * 10**9, bid_sat, 500, ask_sat, 500)
        seen = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (self._feed.waiting.put_nowait(quote), self._when_seen(quote, seen)))
        assert seen.wait(10), "the quote was not shown"

    def _when_seen(self, quote: Quote, seen: threading.Event) -> None:
        if self.service.exchange.state.time_ns >= quote.time_ns:
            seen.set()
        else:
            self._loop.call_soon(self._when_seen, quote, seen)

    def raw(self, content: bytes, timeout: float = 5.0) -> bytes:
        """Send bytes, and return all that comes back until the server closes or nothing more comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):  # it has answered already and does not read on
                connection.sendall(content)
            return drained(connection)


def drained(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes or nothing more comes."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
            if b"\r\n\r\n" in part and b"Connection: close" not in part:
                break
    except (TimeoutError, ConnectionResetError):
        pass
    return b"".join(parts)
