"""One request in, one reply out: routing, authentication, nonces, the flood limit, errors. It opens no socket.

    protocol = Protocol(service, tape, keys)
    status, body = protocol.handle(Request("POST", "/v2/auth/r/wallets", "", headers, body), now_ms, arrived_ms)

`now_ms` is the exchange's time, which stamps what the request does; `arrived_ms` is the wall clock, by which floods are
told. What a reply acknowledges is durable: outside of a group it is so on return, inside `service.group()` at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple
from typing import Protocol as Interface

from bot.core.exchange import Exchange
from bot.core.ledger import Account
from bot.core.order import Command, Rejection
from bot.core.state import State
from bot.errors import JournalFullError
from bot.paper.bitfinex import account, following, funding, orders, public
from bot.paper.bitfinex.refusals import (
    BAD_KEY,
    BAD_REQUEST,
    MAINTENANCE,
    SMALL_NONCE,
    TOO_MANY,
    RefusedError,
    rejected,
)
from bot.paper.bitfinex.terms import NS_PER_MS, Terms
from bot.paper.bitfinex.wire import read_object, write
from bot.paper.keys import Key
from bot.paper.records import Records
from bot.paper.tape import Tape
from bot.paper.told import Told

MAX_NONCE: Final = (1 << 63) - 1


class Venue(Interface):
    """What the protocol needs of a durable exchange: bot.paper.service.Service has it."""

    @property
    def exchange(self) -> Exchange:
        """The exchange; another object after a full disk."""
        ...

    def submit(self, command: Command) -> int | Rejection:
        """Carry out a command durably."""
        ...

    def rise(self, key: str, nonce: int) -> bool:
        """Return whether a nonce is above all that the key has used."""
        ...

    def group(self) -> AbstractContextManager[None]:
        """Make everything inside durable at its end."""
        ...

    def records(self) -> Records:
        """Return the index of fills and wallet entries of its exchange, up to now."""
        ...


class Request(NamedTuple):
    """One request of HTTP: path and query as they were sent, header names in small letters."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Flood(NamedTuple):
    """How many requests a second a key may send, and how many at once."""

    per_second: int = 1_000
    burst: int = 2_000


PUBLIC_FLOOD: Final = Flood(per_second=200, burst=1_000)
"""How many requests a second all together may send that nobody has signed for."""


class Bucket:
    """What a key may still send; refills with the wall clock. Counted in thousandths of a request."""

    __slots__ = ("_at_ms", "_left", "_limit")

    def __init__(self, limit: Flood, now_ms: int) -> None:
        self._limit = limit
        self._left = limit.burst * 1000
        self._at_ms = now_ms

    def take(self, now_ms: int) -> bool:
        """Return whether one more request is allowed."""
        gained = max(now_ms - self._at_ms, 0) * self._limit.per_second
        self._left = min(self._left + gained, self._limit.burst * 1000)
        self._at_ms = now_ms
        if self._left < 1000:
            return False
        self._left -= 1000
        return True


class Call:
    """One authenticated request as the endpoints see it: whose it is, what it asks, when."""

    __slots__ = ("account", "body", "protocol", "query", "time_ns", "user")

    def __init__(self, protocol: Protocol, user: str, body: dict[str, Any], query: str, now_ms: int) -> None:
        self.protocol = protocol
        self.user = user
        self.body = body
        self.query = query
        self.time_ns = max(now_ms * NS_PER_MS, protocol.state.time_ns)
        self.account: Account = protocol.account_of(user) if user else protocol.state.market()

    @property
    def state(self) -> State:
        """The exchange's state."""
        return self.protocol.state

    @property
    def terms(self) -> Terms:
        """Names and units of the contract."""
        return self.protocol.terms

    @property
    def time_ms(self) -> int:
        """The time of the call in milliseconds."""
        return self.time_ns // NS_PER_MS  # rounded down

    def submit(self, command: Command) -> int:
        """Carry out a command and return its id; raises RefusedError with the exchange's reason."""
        answer = self.protocol.venue.submit(command)
        if isinstance(answer, Rejection):
            raise rejected(answer)
        return answer

    def records(self) -> Records:
        """Return the index of fills and wallet entries, up to now."""
        return self.protocol.records()


Endpoint = Callable[..., Any]
_PUBLIC: Final[Mapping[tuple[str, ...], Endpoint]] = public.ENDPOINTS
_PRIVATE: Final[Mapping[tuple[str, ...], Endpoint]] = {
    **orders.ENDPOINTS,
    **account.ENDPOINTS,
    **funding.ENDPOINTS,
    **following.ENDPOINTS,
}


class Protocol:
    """The protocol over one venue, for the users who have keys."""

    def __init__(
        self,
        venue: Venue,
        tape: Tape,
        keys: Mapping[str, Key],
        flood: Flood | None = None,
        told: Told | None = None,
    ) -> None:
        self.venue = venue
        self.told = told
        """What followers of the market are told; None where nobody can follow it."""
        self.tape = tape
        self.keys = keys
        self.terms = Terms(venue.exchange.state.contract)
        self._flood = flood or Flood()
        self._buckets: dict[str, Bucket] = {}
        self._public = Bucket(PUBLIC_FLOOD, 0)

    @property
    def state(self) -> State:
        """The exchange's state as it is now."""
        return self.venue.exchange.state

    def account_of(self, user: str) -> Account:
        """Return a user's account; refuses one who has never had anything."""
        found = self.state.accounts.get(user)
        if found is None:
            raise RefusedError(BAD_KEY, "apikey: invalid (its user has no account yet)")
        return found

    def records(self) -> Records:
        """Return the index of fills and wallet entries, up to now; made anew when the exchange was."""
        return self.venue.records()

    def handle(self, request: Request, now_ms: int, arrived_ms: int | None = None) -> tuple[int, bytes]:
        """Return HTTP status and body. What it acknowledges is durable when the outermost group ends."""
        try:
            with self.venue.group():
                return 200, write(self._answer(request, now_ms, now_ms if arrived_ms is None else arrived_ms))
        except RefusedError as refusal:
            return refusal.status, write(["error", refusal.code, refusal.text])
        except JournalFullError:
            return no_space()

    def _answer(self, request: Request, now_ms: int, arrived_ms: int) -> Any:
        parts = tuple(request.path.split("/"))
        if parts[:2] != ("", "v2"):
            raise RefusedError(BAD_REQUEST, "path: invalid (it begins with /v2)")
        if parts[2:3] != ("auth",):
            if request.method != "GET":
                raise RefusedError(BAD_REQUEST, "method: invalid (public paths are read with GET)")
            if not self._public.take(arrived_ms):
                raise RefusedError(TOO_MANY, "ratelimit: error")
            endpoint, given = _route(_PUBLIC, parts[2:])
            return endpoint(Call(self, "", {}, request.query, now_ms), *given)
        if request.method != "POST":
            raise RefusedError(BAD_REQUEST, "method: invalid (private paths take POST)")
        key = self._authenticate(request, arrived_ms)
        endpoint, given = _route(_PRIVATE, parts[3:])
        return endpoint(Call(self, key.user, read_object(request.body), request.query, now_ms), *given)

    def _authenticate(self, request: Request, arrived_ms: int) -> Key:
        headers = request.headers
        nonce = headers.get("bfx-nonce", "")
        message = b"/api" + request.path.encode("utf-8", "surrogateescape") + nonce.encode("utf-8", "surrogateescape")
        key = self.signed_by(headers.get("bfx-apikey", ""), message + request.body, headers.get("bfx-signature", ""))
        self.admit(key, nonce, arrived_ms)
        return key

    def signed_by(self, name: str, message: bytes, signature: str) -> Key:
        """Return the key of that name if it signed `message`; raises RefusedError 10100 otherwise."""
        key = self.keys.get(name)
        if key is None or not key.signs(message, signature):
            raise RefusedError(BAD_KEY, "apikey: invalid" if key is None else "apikey: digest invalid")
        return key

    def count(self, key: Key, arrived_ms: int) -> None:
        """Count a request of a key against its flood limit; raises RefusedError."""
        bucket = self._buckets.get(key.name)
        if bucket is None:
            bucket = self._buckets[key.name] = Bucket(self._flood, arrived_ms)
        if not bucket.take(arrived_ms):
            raise RefusedError(TOO_MANY, "ratelimit: error")

    def admit(self, key: Key, nonce: str, arrived_ms: int) -> None:
        """Count a request of a key against its flood limit and use up its nonce; raises RefusedError."""
        self.count(key, arrived_ms)
        whole = nonce.isascii() and nonce.isdecimal() and len(nonce) < 20 and 0 < int(nonce) <= MAX_NONCE
        if not whole or not self.venue.rise(key.name, int(nonce)):
            raise RefusedError(SMALL_NONCE, "nonce: small")


def no_space() -> tuple[int, bytes]:
    """Return the reply to a request that the journal had no space for: it had no effect."""
    return 500, write(["error", MAINTENANCE, "maintenance: the journal has no space; nothing was done"])


def _route(table: Mapping[tuple[str, ...], Endpoint], parts: tuple[str, ...]) -> tuple[Endpoint, Iterator[str]]:
    """Return the endpoint of a path and what stands in its places marked `*`."""
    exact = table.get(parts)
    if exact is not None:
        return exact, iter(())
    for pattern, endpoint in table.items():
        if len(pattern) == len(parts) and all(p in ("*", part) for p, part in zip(pattern, parts, strict=True)):
            return endpoint, (part for p, part in zip(pattern, parts, strict=True) if p == "*")
    raise RefusedError(BAD_REQUEST, "path: invalid (no such endpoint here)")
