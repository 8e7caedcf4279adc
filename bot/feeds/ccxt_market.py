"""One market of an exchange in ccxt: opened, found, asked; whatever goes wrong is a SourceError by name.

No key is used and no order can be sent from here. ccxt keeps the exchange's rate limit; `number: Decimal` keeps its
figures exact; our own aiohttp session keeps its answers bounded. ccxt is imported when the market is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import urlsplit

from bot.core.units import NS_PER_S
from bot.feeds.amounts import Scale
from bot.feeds.clock import Clock
from bot.feeds.errors import AnswerError, RefusedAccessError, SourceError, UnreachableError, WrongMarketError
from bot.feeds.guard import GuardRules
from bot.feeds.http import MAX_BYTES
from bot.feeds.patience import Patience, Tell, persist

POLL: Final = "poll"
STREAM: Final = "stream"
NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class MarketRules:
    """Which market and how to ask: `mode` POLL asks every `poll_ns`, STREAM uses ccxt.pro.

    A book older than `stale_after_ns`, or none in that time, is an error; an unchanged one is fed again every
    `repeat_ns`, so that who listens knows that the market stands. `interval_ns` is the length of bars, where trades are
    taken in place of quotes. `url` is asked in place of the exchange's own servers. `options` go to ccxt, for tests.
    """

    exchange: str
    symbol: str
    mode: str
    poll_ns: int
    stale_after_ns: int
    guard: GuardRules
    repeat_ns: int = 60 * NS_PER_S
    interval_ns: int = 60 * 60 * NS_PER_S
    timeout_ns: int = 10 * NS_PER_S
    patience: Patience = field(default_factory=Patience)
    url: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class CcxtMarket:
    """A market, and all that those who read it need."""

    def __init__(self, rules: MarketRules, scale: Scale, clock: Clock, tell: Tell) -> None:
        self.name = scale.source
        self.rules = rules
        self.scale = scale
        self.clock = clock
        self.tell = tell
        self.exchange: Any = None
        self._session: Any = None

    async def open(self, wanted: str) -> None:
        """Open the exchange, which must have the capability `wanted`, and find the market.

        Raises WrongMarketError if one of them is not there or the market is not priced in BTC, or a SourceError.
        """
        self._make(wanted)
        await persist(self._find, self.rules.patience, self.clock, self.tell)

    async def close(self) -> None:
        """Close the connections."""
        if self.exchange is not None:
            await self.exchange.close()
        if self._session is not None:
            await self._session.close()

    def _make(self, wanted: str) -> None:
        rules = self.rules
        if rules.mode == STREAM:
            import ccxt.pro as exchanges
        else:
            import ccxt.async_support as exchanges
        made = getattr(exchanges, rules.exchange, None)
        if rules.exchange not in exchanges.exchanges or made is None:
            near = get_close_matches(rules.exchange, exchanges.exchanges, n=1)
            kind = "ccxt.pro" if rules.mode == STREAM else "ccxt"
            remedy = f"did you mean {near[0]}?" if near else "see docs/feeds.md"
            raise WrongMarketError(self.name, f"{kind} has no exchange {rules.exchange!r}", remedy)
        self._session = _bounded_session()
        timeout_ms = rules.timeout_ns // NS_PER_MS  # rounded down
        options = {"number": Decimal, "timeout": timeout_ms, "session": self._session, **rules.options}
        self.exchange = made(options)
        if rules.url is not None:
            self.exchange.urls["api"] = _moved(self.exchange.urls["api"], rules.url)
        if not self.exchange.has.get(wanted):
            remedy = "take ccxt.mode: poll" if rules.mode == STREAM else "choose another exchange"
            raise WrongMarketError(self.name, f"{rules.exchange} has no {wanted} in ccxt", remedy)

    async def _find(self) -> None:
        markets = await self.call(self.exchange.load_markets)
        market = markets.get(self.rules.symbol)
        if market is None:
            near = get_close_matches(self.rules.symbol, markets, n=1, cutoff=0.5)
            remedy = f"did you mean {near[0]}?" if near else "see docs/feeds.md"
            raise WrongMarketError(self.name, f"there is no market {self.rules.symbol!r}", remedy)
        if market.get("quote") != "BTC":
            what = f"{self.rules.symbol} is priced in {market.get('quote')}, not in BTC"
            raise WrongMarketError(self.name, what, "no exact price in satoshi follows from it: choose another market")

    async def call(self, ask: Any) -> Any:
        """Return what ccxt answers; whatever it raises becomes a SourceError by name."""
        from ccxt.base import errors as ccxt

        try:
            return await ask()
        except (ccxt.AuthenticationError, ccxt.PermissionDenied) as error:
            raise RefusedAccessError(
                self.name, _words(error), "it wants a key, or does not serve this place"
            ) from error
        except ccxt.BadSymbol as error:
            raise WrongMarketError(self.name, _words(error), "check ccxt.symbol") from error
        except ccxt.OperationFailed as error:  # network, time-out, rate limit, maintenance
            raise UnreachableError(self.name, _words(error)) from error
        except SourceError:
            raise
        except Exception as error:  # what a parser does with nonsense cannot be listed
            raise AnswerError(self.name, _words(error)) from error


def _moved(api: Any, url: str) -> Any:
    """Return the addresses of an exchange's API on another server: the paths stay, a socket stays a socket."""
    if isinstance(api, dict):
        return {name: _moved(below, url) for name, below in api.items()}
    if not isinstance(api, str):
        return api
    there, theirs = urlsplit(url), urlsplit(api)
    scheme = there.scheme.replace("http", "ws") if theirs.scheme.startswith("ws") else there.scheme
    return f"{scheme}://{there.netloc}{there.path.rstrip('/')}{theirs.path}"


def _bounded_session() -> Any:
    """Return an aiohttp session whose answers are read up to MAX_BYTES and no further."""
    import aiohttp

    class Bounded(aiohttp.ClientResponse):
        async def read(self) -> bytes:
            if self._body is None:
                pieces, total = [], 0
                async for piece in self.content.iter_chunked(2**16):
                    total += len(piece)
                    if total > MAX_BYTES:
                        self.close()
                        raise aiohttp.ClientPayloadError(f"the answer is longer than {MAX_BYTES} bytes")
                    pieces.append(piece)
                self._body = b"".join(pieces)
                await self._wait_released()
            return self._body

    return aiohttp.ClientSession(response_class=Bounded, trust_env=False)


def _words(error: Exception) -> str:
    """Return what ccxt raised in one printable line of at most 200 characters."""
    text = f"{type(error).__name__}: {error}"[:200]
    return "".join(letter if letter.isprintable() else " " for letter in text)
