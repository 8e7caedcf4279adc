"""Connections of a server, within bounds: so many in all, and each must send one whole head of a request in time.

aiohttp bounds what it parses; it does not bound how slowly a first head may come, nor how many wait for one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp import http_exceptions, web

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _is_ours(record: logging.LogRecord) -> bool:
    """Return whether what aiohttp logs is a fault of ours: strangers could fill a log with theirs."""
    return not (record.exc_info and isinstance(record.exc_info[1], http_exceptions.HttpProcessingError))


_log = logging.getLogger("fairhash.http")
_log.addFilter(_is_ours)


class Limits(NamedTuple):
    """What a connection may take: seconds for its first request's head, for a body, idle, to read an answer; how many.

    The head of a second request must come while it counts as idle. `streams` of them may be WebSockets.
    """

    head_s: float = 10.0
    body_s: float = 10.0
    idle_s: float = 75.0
    write_s: float = 10.0
    connections: int = 1_000
    streams: int = 200


class Connections(web.Server):
    """aiohttp's server with an `accept` that counts; who answers a request says so with `heard`."""

    def __init__(self, answer: Answer, limits: Limits, **options: Any) -> None:
        kept: dict[str, Any] = {
            "keepalive_timeout": limits.idle_s,
            "lingering_time": 0.5,
            "access_log": None,
            "logger": _log,
        }
        super().__init__(self._answer_in_time, **kept, **options)
        self._answer = answer
        self._limits = limits
        self._silent: set[Any] = set()

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Listen, and return what must be closed before `shutdown`. Raises OSError where that is not possible."""
        return await asyncio.get_running_loop().create_server(self._accept, host, port)

    def heard(self, request: web.BaseRequest) -> None:
        """Note that a connection has sent one whole head."""
        self._silent.discard(request.protocol)

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """No longer wait for it."""
        self._silent.discard(handler)
        super().connection_lost(handler, exc)

    async def _answer_in_time(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer; aiohttp would wait for ever for one who does not read. A stream sees to its own readers."""
        response = await self._answer(request)
        if isinstance(response, web.Response):
            try:
                async with asyncio.timeout(self._limits.write_s):
                    await response.prepare(request)
                    await response.write_eof()
            except TimeoutError:
                if request.transport is not None:
                    request.transport.abort()
        return response

    def _accept(self) -> asyncio.Protocol:
        # Those accepted a moment ago are not among the connections yet, but they are silent.
        if len(self._silent.union(self.connections)) >= self._limits.connections:
            return _Closed()
        connection = self()
        self._silent.add(connection)
        asyncio.get_running_loop().call_later(self._limits.head_s, self._cut, connection)
        return connection

    def _cut(self, connection: Any) -> None:
        """Close a connection that has not sent one whole head of a request yet."""
        if connection in self._silent:
            self._silent.discard(connection)
            if connection.transport is not None:
                connection.transport.abort()


class _Closed(asyncio.Protocol):
    """What stands for a connection beyond the most that are served."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
