"""What borrowing costs while a run is live: the public funding book of an exchange, or rates that a person states.

**Funding book.** What lenders offer for at least the market's loan term, at its cheapest level: that rate, rounded up,
and what is offered there, rounded down, as quotes take the best ask. It is told when it changes, and again after a
time, as a quote is: so seldom that what we borrowed does not come back at every look. Only Bitfinex has one that needs
no key; ccxt has no method of its own for it, so it is asked for the endpoint by its name. Source: Bitfinex API v2,
Books: funding rows are [rate, period, count, amount], rates are fractions per day, amounts of offers are above 0.

**Stated.** A schedule in the configuration: a step takes effect when its time comes, and is told once; one that began
while nobody ran is told at the start, unless a later one has begun.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from bot.core.events import BTC, CONTRACT, SwapRate
from bot.core.units import NS_PER_S, PPB, SAT_PER_BTC
from bot.feeds.amounts import Scale, exact, lots_down
from bot.feeds.ccxt_market import CcxtMarket
from bot.feeds.clock import Clock
from bot.feeds.errors import AnswerError, WrongMarketError
from bot.feeds.patience import persist
from bot.history.fields import MAX_RATE_PPB_DAY

DEPTH: Final = 100
MOST_DAYS: Final = 3_650
MAX_BTC: Final = 21_000_000
NAP_NS: Final = 60 * NS_PER_S


class SwapSource(Protocol):
    """Where live swap rates come from; `name` says so in words."""

    name: str

    async def start(self) -> None:
        """Find out whether it answers. Raises a SourceError."""
        ...

    def events(self, last_ns: int) -> AsyncIterator[SwapRate]:
        """Yield rates as they come, for ever; `last_ns` is the time of the last event that was taken in, 0: none."""
        ...


class StatedRates:
    """The rates of a schedule: `steps` in order of time, stamped with the time from which they hold."""

    def __init__(self, steps: Sequence[SwapRate], clock: Clock) -> None:
        self.name = "swap rates stated in the configuration"
        self._steps = steps
        self._clock = clock

    async def start(self) -> None:
        """Do nothing: nobody is asked."""

    async def events(self, last_ns: int) -> AsyncIterator[SwapRate]:
        """Yield each step when its time has come, and first the newest that began after `last_ns`."""
        now_ns = self._clock.now_ns()
        begun = {step.asset: step for step in self._steps if step.time_ns <= now_ns}
        for step in begun.values():
            if step.time_ns > last_ns:
                yield step._replace(time_ns=now_ns)
        for step in self._steps:
            if step.time_ns > max(now_ns, last_ns):  # a clock that was set back comes by what was told before
                while (left_ns := step.time_ns - self._clock.now_ns()) > 0:  # a machine that was asleep wakes late
                    await self._clock.sleep_ns(min(left_ns, NAP_NS))
                yield step


class FundingBook:
    """The funding books of contract and bitcoin on the exchange of a market, which must be open before."""

    def __init__(self, market: CcxtMarket, term_days: int, poll_ns: int, repeat_ns: int) -> None:
        self.name = f"swap rates of the funding book of {market.rules.exchange}"
        self._market = market
        self._term_days = term_days
        self._poll_ns = poll_ns
        self._repeat_ns = repeat_ns
        self.told: dict[int, SwapRate] = {}
        """The last rate of each asset that was told, before a restart too: set it then, or all counts as new again."""

    async def start(self) -> None:
        """Ask once. Raises WrongMarketError if ccxt knows no public funding book there, or a SourceError."""
        market = self._market
        if not hasattr(market.exchange, "public_get_book_symbol_precision"):
            what = f"ccxt knows no public funding book of {market.rules.exchange}"
            raise WrongMarketError(self.name, what, "state the rates: swap: {source: stated, schedule: [...]}")
        await self._asked(CONTRACT)

    async def events(self, last_ns: int) -> AsyncIterator[SwapRate]:
        """Yield the rate of each asset when it is told, for ever. Raises a SourceError when patience is at its end."""
        while True:
            for asset in (CONTRACT, BTC):
                rate = await self._asked(asset)
                last = self.told.get(asset)
                if last is None or rate[1:] != last[1:] or rate.time_ns - last.time_ns >= self._repeat_ns:
                    self.told[asset] = rate
                    yield rate
            await self._market.clock.sleep_ns(self._poll_ns)

    async def _asked(self, asset: int) -> SwapRate:
        market = self._market
        return await persist(partial(self._rate, asset), market.rules.patience, market.clock, market.tell)

    async def _rate(self, asset: int) -> SwapRate:
        market = self._market
        found = market.exchange.market(market.rules.symbol)
        name = found["baseId"] if asset == CONTRACT else found["quoteId"]
        request = {"symbol": f"f{name}", "precision": "P0", "len": DEPTH}
        rows = await market.call(partial(market.exchange.public_get_book_symbol_precision, request))
        offers = [offer for offer in offers_of(rows, market.scale) if offer.days >= self._term_days]
        now_ns = market.clock.now_ns()
        if not offers:  # nobody lends: the last rate is still the last that was paid
            last = self.told.get(asset)
            return SwapRate(now_ns, asset, last.rate_ppb_day if last else 0, 0)
        cheapest = min(offer.rate_ppb_day for offer in offers)
        amount = sum((offer.amount for offer in offers if offer.rate_ppb_day == cheapest), Decimal(0))
        return SwapRate(now_ns, asset, cheapest, _available(amount, asset, market.scale))


class Offer(NamedTuple):
    """A level of a funding book: what lenders offer there for up to so many days."""

    rate_ppb_day: int
    days: int
    amount: Decimal


def offers_of(rows: Any, scale: Scale) -> list[Offer]:
    """Return what lenders offer in a funding book; rows of borrowers, whose amounts are below 0, are left out.

    Raises AnswerError for anything that is no funding book, and for a rate that is not from 0 to 100 % a day.
    """
    if not isinstance(rows, list):
        raise AnswerError(scale.source, f"the funding book is no list: {str(rows)[:60]!r}")
    found = []
    for row in rows:
        if not isinstance(row, list) or len(row) < 4:
            raise AnswerError(scale.source, f"the funding book has a row that is no offer: {str(row)[:60]}")
        rate, days, amount = exact(row[0], scale, "swap rate"), row[1], exact(row[3], scale, "amount lent")
        if not 0 <= rate < 1:
            raise AnswerError(scale.source, f"swap rate: {rate} a day is not from 0 to below 1")
        if type(days) is not int or not 0 < days <= MOST_DAYS:
            raise AnswerError(scale.source, f"loan period: {str(days)[:40]!r} is no number of days up to {MOST_DAYS}")
        if amount > 0:
            top, bottom = rate.as_integer_ratio()
            rate_ppb = min(-(-top * PPB // bottom), MAX_RATE_PPB_DAY)  # rounded up: nobody lends for less
            found.append(Offer(rate_ppb, days, amount))
    return found


def _available(amount: Decimal, asset: int, scale: Scale) -> int:
    """Return lots or satoshi, rounded down."""
    if asset == CONTRACT:
        return lots_down(amount, scale, "amount lent")
    if amount > MAX_BTC:
        raise AnswerError(scale.source, f"amount lent: {amount} BTC is more than there are")
    top, bottom = amount.as_integer_ratio()
    return top * SAT_PER_BTC // bottom
