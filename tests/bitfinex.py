"""A paper exchange with its protocol for tests: a durable service, two users with keys, a market, ccxt clients."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from bot.core.contract import Contract
from bot.core.events import BTC, CONTRACT, Quote, SwapRate
from bot.core.order import Deposit
from bot.core.state import MarketRules, State
from bot.paper.bitfinex.protocol import Flood, Protocol, Request
from bot.paper.entries import Event
from bot.paper.keys import parse_keys
from bot.paper.service import Service
from bot.venues.in_process import ADDRESS, carrier, mount
from tests.contracts import START_NS, th1

S = 10**9
SECRETS = {
    "ann-key": "ann-secret-of-sixteen",
    "ann-robot": "robot-secret-of-sixteen",
    "ben-key": "ben-secret-of-sixteen",
}
KEYS = "".join(f"{key[:3]}:{key}:{secret}\n" for key, secret in SECRETS.items()).encode()
DEPOSIT_SAT = 100 * 10**8


NONCES = count(10**12)


def counted(client: Any) -> Any:
    """Return a client whose nonces are counted: by the clock, those of two clients of a key meet in a millisecond."""
    client.nonce = lambda: next(NONCES)
    return client


class Bench:
    """A service on a journal in `directory`, and the protocol over it."""

    def __init__(
        self, directory: Path, contract: Contract | None = None, flood: Flood | None = None, quoted: bool = True
    ) -> None:
        self.path = directory / "exchange.journal"
        self.contract = contract or th1()
        self.flood = flood
        self.open()
        self.seconds = 0
        if quoted:
            self.see(SwapRate(START_NS, CONTRACT, 1_000_000, 5_000))
            self.see(SwapRate(START_NS, BTC, 1_000_000, 10**11))
            self.quote(199_000_000, 201_000_000)
        for user in ("ann", "ben"):
            self.service.submit(Deposit(self.state.time_ns, user, BTC, DEPOSIT_SAT))

    def open(self) -> None:
        """Open the service, anew after `close`."""
        self.service = Service.open(self.path, self.contract, MarketRules(demand=(0, 1_000)), START_NS)
        self.protocol = Protocol(self.service, self.service.tape, parse_keys(KEYS, "keys"), self.flood)

    def restart(self) -> None:
        """Let go of the journal and come back from it."""
        self.service.close()
        self.open()

    @property
    def state(self) -> State:
        return self.service.exchange.state

    def see(self, event: Event) -> None:
        self.service.see(event)

    def quote(self, bid_sat: int, ask_sat: int, lots: int = 500, after_s: int = 60) -> None:
        """Show a quote a while later; what waits is matched with it."""
        self.seconds += after_s
        self.see(Quote(START_NS + self.seconds * S, bid_sat, lots, ask_sat, lots))

    def client(self, key: str = "ann-key", number: Any = Decimal, carry: Callable[..., Any] | None = None) -> Any:
        """Return an unmodified ccxt client of this exchange, in-process."""
        import ccxt

        client = ccxt.bitfinex(
            {
                "apiKey": key,
                "secret": SECRETS[key],
                "number": number,
                "enableRateLimit": False,
                "urls": {"api": {"public": ADDRESS, "private": ADDRESS}},
            }
        )
        mount(client, carry or self.carry)
        return counted(client)

    def carry(self, request: Request) -> tuple[int, bytes]:
        """Carry a request to the protocol as it is now: after a restart it is another one."""
        return carrier(self.protocol)(request)


class Signer:
    """Sends signed requests by hand, as no client would."""

    def __init__(self, bench: Bench, key: str = "ann-key") -> None:
        self.bench = bench
        self.key = key
        self.nonce = 1_000

    def request(self, path: str, body: Any = None, nonce: str | None = None, raw: bytes | None = None) -> Request:
        self.nonce += 1
        nonce = str(self.nonce) if nonce is None else nonce
        content = json.dumps(body or {}).encode() if raw is None else raw
        return signed(self.key, "/v2/auth/" + path, nonce, content)

    def post(self, path: str, body: Any = None, raw: bytes | None = None) -> tuple[int, Any]:
        return self.send(self.request(path, body, raw=raw))

    def send(self, request: Request, arrived_ms: int | None = None) -> tuple[int, Any]:
        now_ms = self.bench.state.time_ns // 10**6
        status, answer = self.bench.protocol.handle(request, now_ms, arrived_ms)
        return status, json.loads(answer)


def signed(key: str, path: str, nonce: str, body: bytes, secret: str | None = None) -> Request:
    """Return a POST as a client with `key` signs it."""
    message = b"/api" + path.encode() + nonce.encode() + body
    signature = hmac.new((secret or SECRETS[key]).encode(), message, hashlib.sha384).hexdigest()
    headers = {"bfx-apikey": key, "bfx-nonce": nonce, "bfx-signature": signature}
    return Request("POST", path, "", headers, body)


def public(bench: Bench, path: str, query: str = "") -> tuple[int, Any]:
    """Return status and answer of a public path."""
    status, answer = bench.protocol.handle(Request("GET", path, query), bench.state.time_ns // 10**6)
    return status, json.loads(answer)
