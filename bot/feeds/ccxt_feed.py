"""Quotes of a market in ccxt: the best bid and ask of its public order book, asked for or streamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from bot.core.events import Quote
from bot.core.units import NS_PER_S
from bot.feeds.amounts import lots_down, price_sat_down, price_sat_up
from bot.feeds.ccxt_market import NS_PER_MS, POLL, STREAM, CcxtMarket
from bot.feeds.errors import AnswerError, SourceError, StaleError
from bot.feeds.guard import LeapGuard
from bot.feeds.patience import persist


class CcxtQuotes:
    """The quotes of one market, each stamped with the time of its arrival."""

    def __init__(self, market: CcxtMarket) -> None:
        self.name = market.name
        self.market = market
        self._guard = LeapGuard(market.name, market.rules.guard, market.tell)

    async def start(self) -> None:
        """Open the market. Raises WrongMarketError if it is not there or not priced in BTC, or a SourceError."""
        await self.market.open("watchOrderBook" if self.market.rules.mode == STREAM else "fetchOrderBook")

    async def events(self) -> AsyncIterator[Quote]:
        """Yield quotes as they change, for ever. Raises a SourceError when patience is at its end."""
        market, last = self.market, None
        while True:
            quote = await persist(self._believed, market.rules.patience, market.clock, market.tell)
            if quote is not None and self._is_news(quote, last):
                last = quote
                yield quote
            if market.rules.mode == POLL:
                await market.clock.sleep_ns(market.rules.poll_ns)

    async def close(self) -> None:
        """Close the connections."""
        await self.market.close()

    async def _believed(self) -> Quote | None:
        """Return the next quote, or None for one that leaps too far."""
        quote = await self._quote()
        return quote if self._guard.passes_quote(quote) else None

    async def _quote(self) -> Quote:
        if self.market.rules.mode == STREAM:
            return self._of_book(await self._streamed())
        return self._of_book(
            await self.market.call(partial(self.market.exchange.fetch_order_book, self.market.rules.symbol))
        )

    async def _streamed(self) -> Any:
        """Return the next whole book: while a change is told level by level, a side may be empty or both cross."""
        rules = self.market.rules
        try:
            async with asyncio.timeout(rules.stale_after_ns / NS_PER_S):
                while True:
                    book = await self.market.call(partial(self.market.exchange.watch_order_book, rules.symbol))
                    bids, asks = book["bids"], book["asks"]
                    if bids and asks and bids[0][0] < asks[0][0]:
                        return book
        except SourceError:
            # ccxt.pro takes the first book after a new connection for a change of the old one, if it still has that.
            self.market.exchange.orderbooks.pop(rules.symbol, None)
            raise
        except TimeoutError as error:
            self.market.exchange.orderbooks.pop(rules.symbol, None)
            what = f"no whole book came for {rules.stale_after_ns // NS_PER_S} s"  # rounded down
            raise StaleError(self.market.name, what, "is the stream still there?") from error

    def _of_book(self, book: Any) -> Quote:
        """Return the best bid and ask of an order book."""
        now_ns = self.market.clock.now_ns()
        try:
            stamp, bids, asks = book["timestamp"], book["bids"], book["asks"]
            if not bids or not asks:
                raise AnswerError(self.market.name, f"the book has {len(bids)} bids and {len(asks)} asks: no quote")
            (bid, bid_size), (ask, ask_size) = bids[0][:2], asks[0][:2]
        except (TypeError, KeyError, ValueError, IndexError) as error:
            raise AnswerError(self.market.name, f"the book cannot be read: {type(error).__name__}") from error
        if stamp is not None:
            age_ns = now_ns - int(stamp) * NS_PER_MS
            if abs(age_ns) > self.market.rules.stale_after_ns:
                what = f"the book is {age_ns // NS_PER_S} s old"  # rounded down
                raise StaleError(
                    self.market.name,
                    f"{what}; allowed are {self.market.rules.stale_after_ns // NS_PER_S} s either way",
                )
        scale = self.market.scale
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
        return quote.time_ns - last.time_ns >= self.market.rules.repeat_ns
