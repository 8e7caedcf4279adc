"""Quotes of any exchange that ccxt knows: the best bid and ask of its public order book, asked for or streamed.

No key is used and no order can be sent from here. ccxt keeps the exchange's rate limit; `number: Decimal` keeps its
figures exact; our own aiohttp session keeps its answers bounded. ccxt is imported when the feed is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, Final

from bot.core.events import Quote
from bot.core.units import NS_PER_S
from bot.feeds.amounts import Scale, lots_down, price_sat_down, price_sat_up
from bot.feeds.clock import Clock
from bot.feeds.errors import (
    AnswerError,
    RefusedAccessError,
    SourceError,
    StaleError,
    UnreachableError,
    WrongMarketError,
)
from bot.feeds.guard import GuardRules, QuoteGuard
from bot.feeds.http import MAX_BYTES
from bot.feeds.patience import Patience, Tell, persist

POLL: Final = "poll"
STREAM: Final = "stream"
NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class MarketRules:
    """Which market and how to ask: `mode` POLL asks every `poll_ns`, STREAM uses ccxt.pro.

    A book older than `stale_after_ns`, or none in that time, is an error; an unchanged one is fed again every
    `repeat_ns`, so that who listens knows that the market stands. `options` go to ccxt, for tests and proxies.
    """

    exchange: str
    symbol: str
    mode: str
    poll_ns: int
    stale_after_ns: int
    guard: GuardRules
    repeat_ns: int = 60 * NS_PER_S
    timeout_ns: int = 10 * NS_PER_S
    patience: Patience = field(default_factory=Patience)
    options: Mapping[str, Any] = field(default_factory=dict)


class CcxtQuotes:
    """The quotes of one market, each stamped with the time of its arrival."""

    def __init__(self, rules: MarketRules, scale: Scale, clock: Clock, tell: Tell) -> None:
        self.name = scale.source
        self._rules = rules
        self._scale = scale
        self._clock = clock
        self._tell = tell
        self._guard = QuoteGuard(self.name, rules.guard, tell)
        self._exchange: Any = None
        self._session: Any = None

    async def start(self) -> None:
        """Open the exchange and find the market. Raises WrongMarketError if it is not there or not priced in BTC."""
        self._open()
        await persist(self._find_market, self._rules.patience, self._clock, self._tell)

    async def quotes(self) -> AsyncIterator[Quote]:
        """Yield quotes as they change, for ever. Raises a SourceError when patience is at its end."""
        last: Quote | None = None
        while True:
            quote = await persist(self._believed, self._rules.patience, self._clock, self._tell)
            if quote is not None and self._is_news(quote, last):
                last = quote
                yield quote
            if self._rules.mode == POLL:
                await self._clock.sleep_ns(self._rules.poll_ns)

    async def close(self) -> None:
        """Close the connections."""
        if self._exchange is not None:
            await self._exchange.close()
        if self._session is not None:
            await self._session.close()

    def _open(self) -> None:
        rules = self._rules
        if rules.mode == STREAM:
            import ccxt.pro as exchanges
        else:
            import ccxt.async_support as exchanges
        made = getattr(exchanges, rules.exchange, None)
        if rules.exchange not in exchanges.exchanges or made is None:
            from difflib import get_close_matches

            near = get_close_matches(rules.exchange, exchanges.exchanges, n=1)
            kind = "ccxt.pro" if rules.mode == STREAM else "ccxt"
            remedy = f"did you mean {near[0]}?" if near else "see docs/feeds.md"
            raise WrongMarketError(self.name, f"{kind} has no exchange {rules.exchange!r}", remedy)
        self._session = _bounded_session()
        timeout_ms = rules.timeout_ns // NS_PER_MS  # rounded down
        options = {"number": Decimal, "timeout": timeout_ms, "session": self._session, **rules.options}
        self._exchange = made(options)
        wanted = "watchOrderBook" if rules.mode == STREAM else "fetchOrderBook"
        if not self._exchange.has.get(wanted):
            remedy = "take feed.mode: poll" if rules.mode == STREAM else "choose another exchange"
            raise WrongMarketError(self.name, f"{rules.exchange} has no {wanted} in ccxt", remedy)

    async def _find_market(self) -> None:
        markets = await self._call(self._exchange.load_markets)
        market = markets.get(self._rules.symbol)
        if market is None:
            from difflib import get_close_matches

            near = get_close_matches(self._rules.symbol, markets, n=1, cutoff=0.5)
            remedy = f"did you mean {near[0]}?" if near else "see docs/feeds.md"
            raise WrongMarketError(self.name, f"there is no market {self._rules.symbol!r}", remedy)
        if market.get("quote") != "BTC":
            what = f"{self._rules.symbol} is priced in {market.get('quote')}, not in BTC"
            raise WrongMarketError(self.name, what, "no exact price in satoshi follows from it: choose another market")

    async def _believed(self) -> Quote | None:
        """Return the next quote, or None for one that leaps too far."""
        quote = await self._quote()
        return quote if self._guard.passes(quote) else None

    async def _quote(self) -> Quote:
        if self._rules.mode == STREAM:
            return self._of_book(await self._streamed())
        return self._of_book(await self._call(partial(self._exchange.fetch_order_book, self._rules.symbol)))

    async def _streamed(self) -> Any:
        """Return the next whole book: while a change is told level by level, a side may be empty or both cross."""
        rules = self._rules
        try:
            async with asyncio.timeout(rules.stale_after_ns / NS_PER_S):
                while True:
                    book = await self._call(partial(self._exchange.watch_order_book, rules.symbol))
                    bids, asks = book["bids"], book["asks"]
                    if bids and asks and bids[0][0] < asks[0][0]:
                        return book
        except SourceError:
            # ccxt.pro takes the first book after a new connection for a change of the old one, if it still has that.
            self._exchange.orderbooks.pop(rules.symbol, None)
            raise
        except TimeoutError as error:
            self._exchange.orderbooks.pop(rules.symbol, None)
            what = f"no whole book came for {rules.stale_after_ns // NS_PER_S} s"  # rounded down
            raise StaleError(self.name, what, "is the stream still there?") from error

    def _of_book(self, book: Any) -> Quote:
        """Return the best bid and ask of an order book."""
        now_ns = self._clock.now_ns()
        try:
            stamp, bids, asks = book["timestamp"], book["bids"], book["asks"]
            if not bids or not asks:
                raise AnswerError(self.name, f"the book has {len(bids)} bids and {len(asks)} asks: no quote")
            (bid, bid_size), (ask, ask_size) = bids[0][:2], asks[0][:2]
        except (TypeError, KeyError, ValueError, IndexError) as error:
            raise AnswerError(self.name, f"the book cannot be read: {type(error).__name__}") from error
        if stamp is not None:
            age_ns = now_ns - int(stamp) * NS_PER_MS
            if abs(age_ns) > self._rules.stale_after_ns:
                what = f"the book is {age_ns // NS_PER_S} s old"  # rounded down
                raise StaleError(
                    self.name, f"{what}; allowed are {self._rules.stale_after_ns // NS_PER_S} s either way"
                )
        scale = self._scale
        return Quote(
            now_ns,
            price_sat_down(bid, scale, "bid"),
            lots_down(bid_size, scale, "bid size"),
            price_sat_up(ask, scale, "ask"),
            lots_down(ask_size, scale, "ask size"),
        )

    def _is_news(self, quote: Quote, last: Quote | None) -> bool:
        if last is None or quote[1:] != last[1:]:
            return True
        return quote.time_ns - last.time_ns >= self._rules.repeat_ns

    async def _call(self, ask: Any) -> Any:
        """Return what ccxt answers; whatever it raises becomes a SourceError by name."""
        from ccxt.base import errors as ccxt

        try:
            return await ask()
        except (ccxt.AuthenticationError, ccxt.PermissionDenied) as error:
            raise RefusedAccessError(
                self.name, _words(error), "it wants a key, or does not serve this place"
            ) from error
        except ccxt.BadSymbol as error:
            raise WrongMarketError(self.name, _words(error), "check feed.symbol") from error
        except ccxt.OperationFailed as error:  # network, time-out, rate limit, maintenance
            raise UnreachableError(self.name, _words(error)) from error
        except SourceError:
            raise
        except Exception as error:  # what a parser does with nonsense cannot be listed
            raise AnswerError(self.name, _words(error)) from error


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
