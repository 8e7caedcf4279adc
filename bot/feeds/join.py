"""One stream of live events from a market, its lenders and a chain, in an order that never goes back.

**Time.** A quote carries the time of its arrival. So does a block: the venue's clock cannot go back to the header's
time, of which it hears minutes later and, with `confirmations`, later still; holders of record are those at that
moment. What the block pays is reckoned from the chain's own times, so that the sum of dividends is that of a backtest.
Each event is at least a nanosecond after the one before, whatever the clock does.

**Haste.** Whoever reads slowly gets every block and bar, but only the newest quote and swap rates.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

from bot.chain.chain import load as load_chain
from bot.chain.network import MAINNET, NETWORKS
from bot.chain.ondisk import Epoch
from bot.config import Settings
from bot.core.contract import FPPS, PRO_RATA
from bot.core.events import Bar, Block, Quote, SwapRate
from bot.core.units import NS_PER_S
from bot.feed_settings import BARS, CCXT, ESPLORA, FUNDING_BOOK
from bot.feeds.amounts import scale_of
from bot.feeds.bitcoin_core import BitcoinCore
from bot.feeds.blocks import BlockFollower, FollowRules
from bot.feeds.ccxt_feed import CcxtQuotes
from bot.feeds.ccxt_market import CcxtMarket, MarketRules
from bot.feeds.ccxt_trades import CcxtTrades
from bot.feeds.clock import Clock
from bot.feeds.errors import ClockLeapError
from bot.feeds.esplora import Esplora
from bot.feeds.guard import GuardRules
from bot.feeds.http import JsonHttp
from bot.feeds.login import Login
from bot.feeds.patience import Patience, Tell
from bot.feeds.source import BlockSource
from bot.feeds.swap_rates import FundingBook, StatedRates, SwapSource

Live = Quote | Bar | Block | SwapRate
MOST_LEAP_NS: Final = 10 * 60 * NS_PER_S
"""How far our clock may be set ahead while we run. A wrong one at the start is found by the last block's age."""
MOST_WAITING: Final = 100
"""Blocks that are verified and not yet taken; catching up waits for whoever reads."""


class LiveFeed:
    """Quotes or bars of a market, its swap rates, blocks of a chain, or some of them; a Feed (bot.paper.feed)."""

    def __init__(
        self,
        name: str,
        market: CcxtQuotes | CcxtTrades | None,
        blocks: BlockFollower | None,
        clock: Clock,
        end_ns: int,
        simulated: bool = False,
        swaps: SwapSource | None = None,
    ) -> None:
        """`end_ns` is the contract's: the first event at or after it is the last; `simulated` tells what prices are."""
        self.name = name
        self.simulated = simulated
        self.market = market
        self.blocks = blocks
        self.swaps = swaps
        self._clock = clock
        self._end_ns = end_ns
        self._started = False
        self._news = asyncio.Event()
        self._quote: Quote | None = None
        self._bars: deque[Bar] = deque()
        self._rates: dict[int, SwapRate] = {}
        self._after_ns = 0
        self._waiting: asyncio.Queue[Block] = asyncio.Queue(MOST_WAITING)

    @property
    def epochs(self) -> list[Epoch]:
        """The difficulty epochs known when it started, the present one last: what a run's model begins with."""
        return self.blocks.epochs if self.blocks is not None else []

    async def start(self, last_block: Block | None, last_hash: str = "", accept: bool = False) -> None:
        """Find the market, verify the chain. `last_block` is the last one that was booked: feeding goes on behind it.
        `last_hash` is what `proof` said of it, if that was kept; `accept` goes on though the chain has another there.

        Without one, the blocks that come from now on are fed. Raises a SourceError, or ConfigError for the login.
        """
        if self.market is not None:
            await self.market.start()
        if self.swaps is not None:
            await self.swaps.start()
        if self.blocks is not None:
            await self.blocks.start(last_block, last_hash, accept)
        self._started = True

    async def events(self, after: Any) -> AsyncIterator[Live]:
        """Yield what is newer than `after`, an event that was taken in, or None.

        The sources are closed when it ends. Raises SourceError when one of them fails for good.
        """
        if not self._started:
            if after is not None and not isinstance(after, Block) and self.blocks is not None:
                # Blocks between the last one that was booked and now would be left out in silence.
                raise ValueError(
                    f"start(last_block) first: {type(after).__name__} does not say which block was the last"
                )
            await self.start(after if isinstance(after, Block) else None)
        last_ns = 0 if after is None else getattr(after, "close_ns", after.time_ns)
        self._after_ns = last_ns
        pumps = [asyncio.create_task(pump()) for pump in (self._pump_market, self._pump_swaps, self._pump_blocks)]
        for pump in pumps:
            pump.add_done_callback(lambda _: self._news.set())
        try:
            while last_ns < self._end_ns:
                event = self._next()
                if event is None:
                    for pump in pumps:
                        if pump.done():
                            pump.result()  # raises what it failed with
                    self._news.clear()
                    await self._news.wait()
                    continue
                self._check_clock()
                if isinstance(event, Bar):  # it has times of its own
                    last_ns = max(event.close_ns, last_ns)
                    yield event
                else:
                    last_ns = max(event.time_ns, last_ns + 1)
                    yield event._replace(time_ns=last_ns)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await self.close()

    def remember(self, rates: Iterable[SwapRate]) -> None:
        """Take note of the last swap rate of each asset that was told before a restart."""
        if isinstance(self.swaps, FundingBook):
            self.swaps.told.update((rate.asset, rate) for rate in rates)

    def proof(self, event: Any) -> str:
        """Return what names an event beyond what it says: the hash of a block, nothing for all else."""
        found = self.blocks.line.hash_at(event.height) if self.blocks and isinstance(event, Block) else None
        return found or ""

    async def close(self) -> None:
        """Close the sources."""
        for source in (self.market, self.blocks):
            if source is not None:
                await source.close()

    def _check_clock(self) -> None:
        leapt_ns = self._clock.leapt_ns()
        if leapt_ns > MOST_LEAP_NS:
            what = f"our clock leapt {leapt_ns // NS_PER_S} s ahead of the time that passed"  # rounded down
            raise ClockLeapError(self.name, what, "set the clock right, then start again")

    def _next(self) -> Live | None:
        """Return what waits, blocks first, then what borrowing costs."""
        if not self._waiting.empty():
            return self._waiting.get_nowait()
        if self._rates:
            return self._rates.pop(min(self._rates))
        if self._bars:
            return self._bars.popleft()
        quote, self._quote = self._quote, None
        return quote

    async def _pump_market(self) -> None:
        if self.market is None:
            await asyncio.get_running_loop().create_future()  # never: only the other source feeds
            return
        async for event in self.market.events():
            if isinstance(event, Bar):
                self._bars.append(event)
            else:
                self._quote = event
            self._news.set()

    async def _pump_swaps(self) -> None:
        if self.swaps is None:
            await asyncio.get_running_loop().create_future()
            return
        async for rate in self.swaps.events(self._after_ns):
            self._rates[rate.asset] = rate
            self._news.set()
        await asyncio.get_running_loop().create_future()  # a schedule ends; its last rates hold

    async def _pump_blocks(self) -> None:
        if self.blocks is None:
            await asyncio.get_running_loop().create_future()
            return
        async for block in self.blocks.blocks():
            await self._waiting.put(block._replace(time_ns=self._clock.now_ns()))
            self._news.set()


def is_live(settings: Settings) -> bool:
    """Return whether a configuration names any live source."""
    return settings.config.feed == CCXT or settings.config.live_chain is not None


def make_feed(settings: Settings, clock: Clock, tell: Tell, environ: Mapping[str, str], **ccxt: Any) -> LiveFeed:
    """Return the live feed that a configuration describes (`is_live`); nothing is asked before it starts.

    `tell` hears of failures that pass, of leaps and reorganisations; `environ` may hold the node's login; `ccxt` are
    further options for ccxt, as tests need them. Raises ChainError if the bundled figures do not load.
    """
    config = settings.config
    assert is_live(settings), "a replay is made of the history"
    market = _market(settings, clock, tell, ccxt) if config.feed == CCXT else None
    blocks = _blocks(settings, clock, tell, environ) if config.live_chain is not None else None
    parts = []
    if market is not None and config.ccxt is not None:
        parts.append(f"{config.ccxt.take} of {market.name}" + (f" at {config.ccxt.url}" if config.ccxt.url else ""))
    parts += [f"blocks of {config.live_chain} at {config.blocks.url}"] if blocks and config.blocks else []
    swaps = _swaps(settings, market, clock)
    parts += [swaps.name] if swaps is not None else []
    simulated = config.feed == CCXT and config.ccxt is not None and config.ccxt.simulated is True
    return LiveFeed(f"live {', '.join(parts)}", market, blocks, clock, settings.contract.end_ns, simulated, swaps)


def _swaps(settings: Settings, market: CcxtQuotes | CcxtTrades | None, clock: Clock) -> SwapSource | None:
    swap = settings.config.swap
    if swap is None or market is None:
        return None
    if swap.source == FUNDING_BOOK:
        return FundingBook(market.market, settings.config.fills.loan_term_days, swap.poll_ns, swap.repeat_ns)
    return StatedRates(settings.swap_steps, clock)


def _market(settings: Settings, clock: Clock, tell: Tell, options: Mapping[str, Any]) -> CcxtQuotes | CcxtTrades:
    market = settings.config.ccxt
    assert market is not None  # config.yaml was checked
    rules = MarketRules(
        exchange=market.exchange,
        symbol=market.symbol,
        mode=market.mode,
        poll_ns=market.poll_ns,
        stale_after_ns=market.stale_after_ns,
        guard=GuardRules(market.max_jump, settings.max_price_sat),
        repeat_ns=market.repeat_ns,
        interval_ns=market.interval_ns,
        url=market.url,
        timeout_ns=market.timeout_ns,
        patience=Patience(market.attempts),
        options=options,
    )
    scale = scale_of(settings.contract, market.unit, f"{market.exchange} {market.symbol}")
    found = CcxtMarket(rules, scale, clock, tell)
    return CcxtTrades(found) if market.take == BARS else CcxtQuotes(found)


def _blocks(settings: Settings, clock: Clock, tell: Tell, environ: Mapping[str, str]) -> BlockFollower:
    config, server = settings.config, settings.config.blocks
    assert server is not None  # config.yaml was checked
    network = NETWORKS[server.network]
    http = JsonHttp(str(config.live_chain), server.url, server.timeout_ns, Login(server.login_file, environ).read)
    source: BlockSource = Esplora(http, network) if config.live_chain == ESPLORA else BitcoinCore(http, network)
    rules = FollowRules(
        poll_ns=server.poll_ns,
        confirmations=server.confirmations,
        stale_after_ns=server.stale_after_ns,
        pays_fees=settings.contract.payout.basis in (FPPS, PRO_RATA),
        patience=Patience(server.attempts, longest_ns=60 * NS_PER_S),
    )
    epochs = load_chain().epochs if network is MAINNET else ()
    return BlockFollower(source, network, epochs, rules, clock, tell)
