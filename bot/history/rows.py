"""One row of a history file as an event, checked in itself; the order of rows is `bot.history.reading`'s matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bot.core.contract import Contract
from bot.core.events import BTC, CONTRACT, Bar, Quote, SwapRate
from bot.core.units import SAT_PER_BTC
from bot.history.fields import FieldError, Parsed, Sizes, TimeFields, price_sat, quoted, rate_ppb_day
from bot.history.lines import nearest
from bot.history.series import BARS, QUOTES, RATES

COLUMNS = {
    BARS: ("time", "open", "high", "low", "close", "volume"),
    QUOTES: ("time", "bid", "bid_size", "ask", "ask_size"),
    RATES: ("time", "asset", "rate_per_day", "available"),
}

Row = Bar | Quote | SwapRate


class RowFields(NamedTuple):
    """How to parse a row's columns: one function for the whole row, and one for each column to find the culprit."""

    row: Callable[[str], Row]
    columns: tuple[Callable[[str], int], ...]
    sizes: tuple[Sizes, ...]


def row_fields(kind: str, contract: Contract, times: TimeFields, interval_ns: int) -> RowFields:
    """Return the parsers for a kind of row; bars close `interval_ns` after they open."""
    if kind == BARS:
        return _bar_fields(contract, times, interval_ns)
    if kind == QUOTES:
        return _quote_fields(contract, times)
    return _rate_fields(contract, times)


def _bar_fields(contract: Contract, times: TimeFields, interval_ns: int) -> RowFields:
    prices, sizes = Parsed(price_sat), Sizes(contract.lots_per_contract)
    heads, tails = times

    def row(text: str) -> Bar:
        try:
            time, open_, high, low, close, volume = text.split(",")
        except ValueError as fault:
            raise FieldError("ragged") from fault
        time_ns = heads[time[:10]] + tails[time[10:]]
        open_sat, high_sat, low_sat, close_sat = prices[open_], prices[high], prices[low], prices[close]
        if not (low_sat <= open_sat <= high_sat and low_sat <= close_sat <= high_sat):
            raise FieldError(f"open {open_} and close {close} are not both within low {low} and high {high}")
        return Bar(time_ns, time_ns + interval_ns, open_sat, high_sat, low_sat, close_sat, sizes[volume])

    price = prices.__getitem__
    return RowFields(row, (times.parse, price, price, price, price, sizes.__getitem__), (sizes,))


def _quote_fields(contract: Contract, times: TimeFields) -> RowFields:
    prices, sizes = Parsed(price_sat), Sizes(contract.lots_per_contract)
    heads, tails = times

    def row(text: str) -> Quote:
        try:
            time, bid, bid_size, ask, ask_size = text.split(",")
        except ValueError as fault:
            raise FieldError("ragged") from fault
        quote = Quote(heads[time[:10]] + tails[time[10:]], prices[bid], sizes[bid_size], prices[ask], sizes[ask_size])
        if quote.bid_sat >= quote.ask_sat:
            if quote.bid_sat > quote.ask_sat:
                raise FieldError(f"bid {bid} is above ask {ask}", "a crossed book cannot stand")
            if not (quote.bid_size_lots and quote.ask_size_lots):
                raise FieldError(f"bid and ask are both {bid} and a size is 0", "a locked book needs both sizes")
        return quote

    price, size = prices.__getitem__, sizes.__getitem__
    return RowFields(row, (times.parse, price, size, price, size), (sizes,))


def _rate_fields(contract: Contract, times: TimeFields) -> RowFields:
    rates, coins = Parsed(rate_ppb_day), Sizes(SAT_PER_BTC)
    lots = Sizes(contract.lots_per_contract)
    assets = {"BTC": BTC, contract.asset: CONTRACT}
    heads, tails = times

    def asset_index(text: str) -> int:
        if text not in assets:
            raise FieldError(f"{quoted(text)} is neither {' nor '.join(assets)}", nearest(text, tuple(assets)))
        return assets[text]

    def row(text: str) -> SwapRate:
        try:
            time, asset_name, rate, available = text.split(",")
        except ValueError as fault:
            raise FieldError("ragged") from fault
        asset = asset_index(asset_name)
        sizes = coins if asset == BTC else lots
        return SwapRate(heads[time[:10]] + tails[time[10:]], asset, rates[rate], sizes[available])

    columns = (times.parse, asset_index, rates.__getitem__, coins.__getitem__)
    return RowFields(row, columns, (coins, lots))
