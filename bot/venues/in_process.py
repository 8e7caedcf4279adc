"""A way for a ccxt client to reach the paper exchange in its own process: requests are carried by a call, not a socket.

`requests` lets a session be given an adapter for all addresses that begin alike; the client's class stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bot.paper.bitfinex.protocol import Protocol, Request
from bot.paper.bitfinex.terms import ms

if TYPE_CHECKING:
    import requests

ADDRESS: Final = "http://paper.invalid"
"""Where the client believes the exchange to be; no such host can exist (RFC 2606)."""

Carry = Callable[[Request], tuple[int, bytes]]


def carrier(protocol: Protocol) -> Carry:
    """Return what carries a request to `protocol` at the exchange's own time: one process has no other clock."""

    def carry(request: Request) -> tuple[int, bytes]:
        now_ms = ms(protocol.state.time_ns)
        return protocol.handle(request, now_ms)

    return carry


def mount(session: requests.Session, carry: Carry) -> None:
    """Let all requests of `session` to ADDRESS be carried by `carry`."""
    from requests.adapters import BaseAdapter
    from requests.models import Response

    class InProcess(BaseAdapter):
        def send(self, request: Any, *_: Any, **__: Any) -> Response:
            parts = urlsplit(request.url)
            headers = {name.lower(): value for name, value in request.headers.items()}
            body = request.body or b""
            body = body.encode() if isinstance(body, str) else body
            status, answer = carry(Request(request.method, parts.path, parts.query, headers, body))
            response = Response()
            response.status_code = status
            response.raw = BytesIO(answer)
            response.url, response.request = request.url, request
            response.headers["Content-Type"] = "application/json"
            response.encoding = "utf-8"
            return response

        def close(self) -> None:
            """Nothing is held open."""

    session.mount(ADDRESS, InProcess())
