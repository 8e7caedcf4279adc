"""The exchange as a server on loopback: HTTP and WebSocket around the protocol, many requests to one commit.

aiohttp parses and frames; here is what it must not let through: foreign hosts and origins, bodies that are too long or
too slow, clients that never finish a request, more connections than can be served.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from aiohttp import WSMsgType, web

from bot.errors import ConfigError, FairhashError, JournalFullError, Problem
from bot.paper.bitfinex.protocol import Protocol, Request, no_space
from bot.paper.bitfinex.refusals import BAD_REQUEST, MAINTENANCE
from bot.paper.bitfinex.stream import Boards, Stream
from bot.paper.bitfinex.terms import NS_PER_MS
from bot.paper.bitfinex.wire import MAX_BODY_BYTES, write
from bot.paper.connections import Connections, Limits
from bot.paper.led import LedMarket
from bot.paper.market import Market

STREAM_PATH: Final = "/ws/2"
MAX_LINE: Final = 8_190
MAX_HEADERS: Final = 64
MAX_WAITING_MESSAGES: Final = 2_000
MAX_COLLECT_S: Final = 0.002
"""The longest that a request waits for others to share its commit."""
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
NO_SPACE: Final = {"event": "error", "code": MAINTENANCE, "msg": "the journal has no space; nothing was done"}
Job = Callable[[], Any]


class BrokenExchangeError(FairhashError):
    """A request met a fault of ours; the exchange ends rather than go on from a state that nobody has checked."""


def check_host(host: str, exposed: bool) -> None:
    """Refuse to listen anywhere but on loopback, unless that was asked for in so many words."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError as error:
        raise ConfigError([Problem("--host", f"{host[:60]!r} is not an address", "write 127.0.0.1")]) from error
    if not loopback and not exposed:
        what = f"{host} can be reached from other machines, and there is no encryption here"
        raise ConfigError([Problem("--host", what, "take 127.0.0.1, or add --expose if you mean it")])


class Server:
    """One exchange, its market, and whoever is connected."""

    def __init__(
        self, protocol: Protocol, market: Market | LedMarket, wall_ms: Callable[[], int], limits: Limits | None = None
    ) -> None:
        self._protocol = protocol
        self._market = market
        self._wall_ms = wall_ms
        self._limits = limits or Limits()
        self._jobs: list[tuple[Job, asyncio.Future[Any]]] = []
        self._sessions: set[Session] = set()
        self._boards = Boards()
        self._names: set[str] = set()
        self._failed: asyncio.Future[None] | None = None
        self._commit_s = 0.0
        self._connected: Callable[[], int] = lambda: 0
        self._due: asyncio.TimerHandle
        self._http: Connections
        self.served = 0
        """Requests and messages answered so far."""

    async def run(self, host: str, port: int, open_accounts: Job, ready: Callable[[str, int], None]) -> None:
        """Serve until cancelled; `ready` is told where. Raises the error that made it end.

        `open_accounts` is done first, once the market has come to its present instant.
        """
        loop = asyncio.get_running_loop()
        self._failed = loop.create_future()
        limits = self._limits
        http = self._http = Connections(
            self._serve,
            limits,
            auto_decompress=False,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
        )
        market = asyncio.create_task(self._market.run(self._publish))
        settled = asyncio.create_task(self._market.settled.wait())
        await asyncio.wait((market, settled), return_when=asyncio.FIRST_COMPLETED)
        settled.cancel()
        if market.done():
            market.result()  # raises what ended it
        await self._done(open_accounts)
        self._connected = lambda: len(http.connections)
        listening = await http.listen(host, port)
        where = listening.sockets[0].getsockname()
        self._names = {f"{name}:{where[1]}" for name in (*LOCAL_NAMES, host)}
        if where[1] == 80:
            self._names |= {*LOCAL_NAMES, host}
        ready(host, where[1])
        try:
            await asyncio.wait((market, self._failed), return_when=asyncio.FIRST_EXCEPTION)
            for ended in (market, self._failed):
                if ended.done():
                    ended.result()
        finally:
            market.cancel()
            listening.close()
            for session in list(self._sessions):
                await session.close()
            await http.shutdown(1.0)
            with suppress(asyncio.CancelledError):
                await market

    # HTTP ---------------------------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer; a client that goes away meanwhile is no fault, and what else is raised is one of ours."""
        try:
            return await self._answer(request)
        except ConnectionError:
            return _reply(400, b"", close=True)  # nobody reads it
        except Exception as error:
            self._fail(error)
            raise

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._http.heard(request)
        if not self._is_ours(request):
            return _reply(403, write(["error", BAD_REQUEST, "host: invalid (this exchange is only served locally)"]))
        path, _, query = request.raw_path.partition("?")
        if path == STREAM_PATH:
            return await self._talk(request)
        try:
            body = await self._body(request)
        except TimeoutError:
            return _reply(408, write(["error", BAD_REQUEST, "body: invalid (it came too slowly)"]), close=True)
        if body is None:
            text = f"body: invalid (longer than {MAX_BODY_BYTES} bytes)"
            return _reply(413, write(["error", BAD_REQUEST, text]), close=True)
        headers = {name.lower(): value for name, value in request.headers.items() if name[:4].lower() == "bfx-"}
        asked = Request(request.method, path, query, headers, body)
        status, answer = await self._done(lambda: self._protocol.handle(asked, self._now_ms(), self._wall_ms()))
        return _reply(status, answer)

    def _is_ours(self, request: web.BaseRequest) -> bool:
        """Return whether the request names this server: a page of another site may reach it, but not by this name."""
        hosts, origins = request.headers.getall("Host", []), request.headers.getall("Origin", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._names:
            return False
        return all(origin.lower().removeprefix("http://") in self._names for origin in origins)

    async def _body(self, request: web.BaseRequest) -> bytes | None:
        """Return the body, or None if it is, or says it is, too long: no more than that is ever held."""
        if (request.content_length or 0) > MAX_BODY_BYTES:
            return None
        if not request.body_exists:
            return b""
        parts: list[bytes] = []
        total = 0
        async with asyncio.timeout(self._limits.body_s):
            async for part in request.content.iter_any():
                total += len(part)
                if total > MAX_BODY_BYTES:
                    return None
                parts.append(part)
        return b"".join(parts)

    # One commit for all that waits --------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return self._market.now_ns() // NS_PER_MS  # rounded down

    async def _done(self, job: Job) -> Any:
        """Return what a job answers once it is durable. Jobs that come in one round of the loop share a commit."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._jobs.append((job, answer))
        if len(self._jobs) == 1:
            # While a commit is slow, more requests are worth waiting for: half as long as it takes, at most.
            self._due = loop.call_later(min(self._commit_s / 2, MAX_COLLECT_S), self._do_jobs)
        elif len(self._jobs) == self._connected():  # everybody waits already
            self._due.cancel()
            self._due = loop.call_later(0.0, self._do_jobs)
        return await answer

    def _do_jobs(self) -> None:
        if not self._market.settled.is_set():  # a command between events of one instant would come before its betters
            asyncio.get_running_loop().call_soon(self._do_jobs)
            return
        jobs, self._jobs = self._jobs, []
        answers: list[Any] = []
        began = asyncio.get_running_loop().time()
        try:
            with self._protocol.venue.group():
                answers = [job() for job, _ in jobs]
        except JournalFullError:
            answers = [no_space()] * len(jobs)
        except Exception as error:  # noqa: BLE001 - it ends the exchange, and is told there
            self._fail(error)
            for _, answer in jobs:
                if not answer.done():
                    answer.set_exception(error)
            return
        self._commit_s = asyncio.get_running_loop().time() - began
        self.served += len(jobs)
        for (_, answer), value in zip(jobs, answers, strict=True):
            if not answer.done():  # its client has gone; the order stays, and is found by its cid
                answer.set_result(value)
        asyncio.get_running_loop().call_soon(self._publish)  # after the answers themselves

    def _fail(self, error: Exception) -> None:
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error if isinstance(error, FairhashError) else _broken(error))

    def _publish(self) -> None:
        """Tell every stream what has changed."""
        try:
            self._boards.turn()
            for session in list(self._sessions):
                session.tell(session.stream.changes())
        except Exception as error:  # noqa: BLE001 - it ends the exchange, and is told there
            self._fail(error)

    # WebSocket ----------------------------------------------------------------------------------------------

    async def _talk(self, request: web.BaseRequest) -> web.StreamResponse:
        if len(self._sessions) >= self._limits.streams:
            return _reply(503, write(["error", MAINTENANCE, "maintenance: as many streams are open as can be served"]))
        socket = web.WebSocketResponse(max_msg_size=MAX_BODY_BYTES, heartbeat=30.0, compress=False)
        await socket.prepare(request)
        session = Session(socket, Stream(self._protocol, self._boards))
        self._sessions.add(session)
        session.tell(session.stream.opened())
        writing = asyncio.create_task(session.write())
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                text = message.data.encode()

                def job(text: bytes = text) -> Any:
                    return session.stream.receive(text, self._now_ms(), self._wall_ms())

                answers = await self._done(job)
                session.tell(answers if isinstance(answers, list) else [NO_SPACE])
        except ConnectionError:  # it has gone without a farewell
            pass
        finally:
            self._sessions.discard(session)
            writing.cancel()
        return socket


class Session:
    """One connected stream and the messages that wait to be sent to it."""

    def __init__(self, socket: web.WebSocketResponse, stream: Stream) -> None:
        self.stream = stream
        self._socket = socket
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING_MESSAGES)
        self._closing: asyncio.Task[Any] | None = None

    def tell(self, messages: list[Any]) -> None:
        """Queue messages; who does not read them is disconnected, so that none is ever left out in between."""
        for message in messages:
            try:
                self._waiting.put_nowait(write(message))
            except asyncio.QueueFull:
                self._closing = asyncio.create_task(self.close())
                return

    async def write(self) -> None:
        """Send what waits, until cancelled."""
        with suppress(ConnectionError):
            while True:
                await self._socket.send_str((await self._waiting.get()).decode())

    async def close(self) -> None:
        """Close the connection."""
        await self._socket.close(code=1001)


def _reply(status: int, body: bytes, close: bool = False) -> web.Response:
    reply = web.Response(status=status, body=body, content_type="application/json")
    if close:
        reply.force_close()
    return reply


def _broken(error: Exception) -> BrokenExchangeError:
    from bot.errors import cause

    made = BrokenExchangeError(f"a fault of the exchange ended it: {cause(error)}")
    made.__cause__ = error
    return made
