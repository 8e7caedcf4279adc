"""Bars of a market in ccxt, made of its public trades, which are asked for again and again; for the recorder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from operator import itemgetter
from typing import Any, Final

from bot.core.events import Bar
from bot.core.units import NS_PER_S
from bot.feeds.amounts import lots_down, price_sat_half_up
from bot.feeds.bars import BarBuilder
from bot.feeds.ccxt_market import NS_PER_MS, CcxtMarket
from bot.feeds.errors import AnswerError
from bot.feeds.guard import LeapGuard
from bot.feeds.patience import persist

GRACE_NS: Final = 10 * NS_PER_S
"""How long a trade may take to be told: until then its time is not settled and its bar not over."""
PAGE: Final = 1_000
AHEAD_NS: Final = 60 * NS_PER_S
"""How far the exchange's clock may be ahead of ours."""
Trade = tuple[int, int, int]
"""(time in ns, price in satoshi per contract, lots)."""


class CcxtTrades:
    """The bars of one market. A trade belongs to the bar of its own time, whenever it is told."""

    def __init__(self, market: CcxtMarket) -> None:
        self.name = market.name
        self.market = market
        self._guard = LeapGuard(market.name, market.rules.guard, market.tell)
        self._begin_ns = self._settled_ns = 0
        self._pending: list[Trade] = []
        self._seen: dict[str, int] = {}

    async def start(self) -> None:
        """Open the market. Raises WrongMarketError if it is not there or not priced in BTC, or a SourceError."""
        await self.market.open("fetchTrades")

    async def events(self) -> AsyncIterator[Bar]:
        """Yield bars once they are over, for ever. Raises a SourceError when patience is at its end."""
        market = self.market
        self._begin_ns = self._settled_ns = market.clock.now_ns()
        builder = BarBuilder(market.rules.interval_ns, self._begin_ns)
        while True:
            is_whole = await persist(self._ask, market.rules.patience, market.clock, market.tell)
            for time_ns, price_sat, lots in self._settled():
                if time_ns >= builder.closed_ns and self._guard.passes(price_sat, price_sat):
                    bar = builder.add(time_ns, price_sat, lots)
                    if bar is not None:
                        yield bar
            bar = builder.close_due(self._settled_ns)
            if bar is not None:
                yield bar
            if is_whole:
                await market.clock.sleep_ns(market.rules.poll_ns)

    async def close(self) -> None:
        """Close the connections."""
        await self.market.close()

    def _settled(self) -> list[Trade]:
        """Return, in order of time, the trades before which nothing more is waited for; each is returned once."""
        due = sorted((trade for trade in self._pending if trade[0] < self._settled_ns), key=itemgetter(0))
        self._pending = [trade for trade in self._pending if trade[0] >= self._settled_ns]
        return due

    async def _ask(self) -> bool:
        """Take in the trades that are new; return whether these are all there are by now."""
        market = self.market
        now_ns = market.clock.now_ns()
        since_ms = max(self._settled_ns - GRACE_NS, self._begin_ns) // NS_PER_MS  # rounded down
        ask = partial(market.exchange.fetch_trades, market.rules.symbol, since=since_ms, limit=PAGE)
        page = [self._read(trade, now_ns) for trade in await market.call(ask)]
        for name, trade in page:
            if name in self._seen:
                continue
            self._seen[name] = trade[0]
            if trade[0] >= self._settled_ns:
                self._pending.append(trade)
            elif trade[0] >= self._begin_ns:
                market.tell("late_trade", f"{self.name}: trade {name} was told when its time had been settled")
        settled_ns = now_ns - GRACE_NS
        if len(page) >= PAGE:
            settled_ns = min(settled_ns, max(trade[0] for _, trade in page))
            if settled_ns <= self._settled_ns:
                raise AnswerError(
                    self.name, f"{PAGE} trades and more within {GRACE_NS // NS_PER_S} s: too many to follow"
                )
        self._settled_ns = max(self._settled_ns, settled_ns)
        self._seen = {name: at_ns for name, at_ns in self._seen.items() if at_ns >= since_ms * NS_PER_MS}
        return len(page) < PAGE

    def _read(self, trade: Any, now_ns: int) -> tuple[str, Trade]:
        """Return a trade's id, and its time, price and size."""
        market = self.market
        try:
            time_ns, name = int(trade["timestamp"]) * NS_PER_MS, trade["id"]
            price, amount = trade["price"], trade["amount"]
        except (TypeError, KeyError, ValueError) as error:
            raise AnswerError(self.name, f"a trade cannot be read: {type(error).__name__}") from error
        if not name:
            raise AnswerError(self.name, "its trades have no id, so that two cannot be told apart")
        if time_ns > now_ns + AHEAD_NS:
            raise AnswerError(self.name, f"trade {name} lies ahead of our clock", "check this machine's clock")
        price_sat = price_sat_half_up(price, market.scale, "price")
        if price_sat > market.rules.guard.max_price_sat:
            raise AnswerError(self.name, f"trade {name} at {price} is above the contract's max_price")
        return str(name), (time_ns, price_sat, lots_down(amount, market.scale, "amount"))
