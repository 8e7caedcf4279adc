"""A way for a ccxt client to reach the paper exchange in its own process: requests are carried by a call, not a socket.

The client's class stays as it is; it is given a session that has what it uses of one from `requests`, and nothing that
a socket would need. (`requests` takes longer to prepare a request than our exchange to answer it.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bot.paper.bitfinex.protocol import Protocol, Request
from bot.paper.bitfinex.terms import ms

ADDRESS: Final = "http://paper.invalid"
"""Where the client believes the exchange to be; no such host can exist (RFC 2606)."""

Carry = Callable[[Request], tuple[int, bytes]]


def carrier(protocol: Protocol) -> Carry:
    """Return what carries a request to `protocol` at the exchange's own time: one process has no other clock."""

    def carry(request: Request) -> tuple[int, bytes]:
        now_ms = ms(protocol.state.time_ns)
        return protocol.handle(request, now_ms)

    return carry


def mount(client: Any, carry: Carry) -> None:
    """Let all requests of a ccxt client made for ADDRESS be carried by `carry`."""
    client.session.close()
    client.session = _Session(carry)


class _Reply:
    """An answer as the client reads it."""

    __slots__ = ("content", "encoding", "headers", "reason", "status_code")

    def __init__(self, status: int, content: bytes) -> None:
        self.status_code = status
        self.content = content
        self.encoding = "utf-8"
        self.reason = ""
        self.headers = _JSON

    @property
    def text(self) -> str:
        """The answer as text."""
        return self.content.decode(self.encoding, "replace")

    def raise_for_status(self) -> None:
        """Raise for what is an error in HTTP."""
        if self.status_code >= 400:
            from requests.exceptions import HTTPError

            raise HTTPError(f"{self.status_code} of the exchange in this process")


_JSON: Final = {"Content-Type": "application/json"}


class _Session:
    """What the client uses of a session."""

    def __init__(self, carry: Carry) -> None:
        self._carry = carry
        self.headers: dict[str, str] = {}
        self.cookies: dict[str, str] = {}

    def request(self, method: str, url: str, data: bytes | None, headers: dict[str, str], **_: Any) -> _Reply:
        """Carry a request; what the client says of timeouts, proxies and certificates means nothing here."""
        path, _mark, query = url.removeprefix(ADDRESS).partition("?")
        signed = {name.lower(): value for name, value in headers.items()}
        return _Reply(*self._carry(Request(method, path, query, signed, data or b"")))

    def close(self) -> None:
        """Nothing is held open."""
