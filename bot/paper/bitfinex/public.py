"""Public endpoints: the market as anyone sees it, from the last quote or bar, candles, resting orders and trades."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from bot.core.events import Quote
from bot.core.matching import Level, quote_levels
from bot.core.state import State, market_price_sat
from bot.core.units import share_ppm
from bot.paper.bitfinex.asked import Range, query_fields, time_range
from bot.paper.bitfinex.refusals import bad
from bot.paper.bitfinex.terms import Terms, btc, ms, rate
from bot.paper.records import public_trades, within
from bot.paper.tape import DAY_NS, MINUTE_NS, Candle, Tape

if TYPE_CHECKING:
    from bot.paper.bitfinex.protocol import Call, Endpoint

FRAMES: Final = {
    "1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "3h": 180, "6h": 360, "12h": 720, "1D": 1440, "1W": 10_080,
    "14D": 20_160,
}  # fmt: skip
"""Minutes of each candle that can be asked for."""
MARKET_LEVEL: Final = 1 << 44
"""Ids of the outside market's levels in a raw book begin here, above those of orders."""

Row = list[Any]
_AT_ONCE: Final = 512


def conf(call: Call, keys: str) -> Any:
    """Return what each configuration key says; keys that mean nothing here give an empty list."""
    return [_conf(call.terms, key) for key in keys.split(",")]


def _conf(terms: Terms, key: str) -> list[Any]:
    if key == "pub:info:pair":
        contract = terms.contract
        least, most = terms.size(1), terms.size(contract.tranche_lots)
        return [[terms.pair, [None, None, None, _text(least), _text(most)] + [None] * 7]]
    if key in ("pub:list:pair:margin", "pub:list:pair:exchange"):
        return [terms.pair]
    if key in ("pub:list:currency", "pub:list:currency:margin"):
        return list(terms.currencies)
    return []


def _text(number: Decimal) -> str:
    return f"{number.normalize():f}"


def status(call: Call) -> Any:
    """Return 1 while the contract trades, 0 after its expiry."""
    return [0 if call.state.expired else 1]


def ticker(call: Call, symbol: str) -> Row:
    """Return bid, its size, ask, its size, day's change, relative change, last, volume, high, low."""
    call.terms.check_symbol(symbol)
    return ticker_row(call.terms, call.state, call.protocol.tape)


def tickers(call: Call) -> list[Row]:
    """Return the ticker of each symbol asked for, the symbol first; unknown symbols are left out."""
    wanted = str(query_fields(call.query).get("symbols", "ALL")).split(",")
    terms = call.terms
    if "ALL" not in wanted and terms.symbol not in wanted:
        return []
    return [[terms.symbol, *ticker_row(terms, call.state, call.protocol.tape)]]


def ticker_row(terms: Terms, state: State, tape: Tape) -> Row:
    """Return the ten fields of a ticker; nulls before the first price. The relative change is to six decimals."""
    day = tape.day()
    if day is None or state.mark_sat == 0:
        return [None] * 10
    bids, asks = market_levels(state, tape)
    change = state.mark_sat - day.open_sat
    return [
        btc(bids[0][0]) if bids else None,
        terms.size(bids[0][1]) if bids else None,
        btc(asks[0][0]) if asks else None,
        terms.size(asks[0][1]) if asks else None,
        btc(change),
        Decimal(change * 10**6 // day.open_sat).scaleb(-6),
        btc(state.mark_sat),
        terms.size(day.volume_lots),
        btc(day.high_sat),
        btc(day.low_sat),
    ]


Levels = list[tuple[int, int]]


def market_levels(state: State, tape: Tape) -> tuple[Levels, Levels]:
    """Return (bids, asks) of the outside market as (price in satoshi, lots), best first.

    Of a quote, what it displays and what is assumed behind; of a bar, the assumed bid and ask with our share of volume.
    """
    if state.mark_sat == 0:
        return [], []
    if isinstance(tape.quote, Quote):
        asks, bids = quote_levels(tape.quote, state)
        return _shown(bids), _shown(asks)
    lots = share_ppm(tape.bar.volume_lots, state.rules.participation_ppm) if tape.bar else 0
    if lots == 0:
        return [], []
    return [(market_price_sat(state, buys=False), lots)], [(market_price_sat(state, buys=True), lots)]


def _shown(levels: list[Level]) -> Levels:
    return [(level.price_sat, level.lots) for level in levels if level.lots > 0]


def raw_book(terms: Terms, state: State, tape: Tape, depth: int) -> list[Row]:
    """Return [id, price, size] of each order and market level, the best `depth` a side; asks have negative sizes."""
    sides: list[list[tuple[int, int, int]]] = []
    for levels, sign, first in zip(market_levels(state, tape), (1, -1), (MARKET_LEVEL, 2 * MARKET_LEVEL), strict=True):
        rows = [(price, first + place, sign * lots) for place, (price, lots) in enumerate(levels)]
        booked = (order for order in state.live if order.booked and order.is_live and order.remaining_lots * sign > 0)
        rows += [(order.command.price_sat, order.id, order.remaining_lots) for order in booked]
        rows.sort(key=lambda row, s=sign: (-s * row[0], row[1]))  # type: ignore[misc]
        sides.append(rows[:depth])
    return [[number, btc(price), terms.size(lots)] for side in sides for price, number, lots in side]


def price_book(terms: Terms, state: State, tape: Tape, depth: int) -> list[Row]:
    """Return [price, count, size] of each price, the best `depth` a side; asks have negative sizes."""
    grouped: dict[tuple[bool, Decimal], Row] = {}
    for _, price, size in raw_book(terms, state, tape, 1 << 30):
        row = grouped.setdefault((size > 0, price), [price, 0, Decimal(0)])
        row[1] += 1
        row[2] += size
    bids = [row for (is_bid, _), row in grouped.items() if is_bid]
    asks = [row for (is_bid, _), row in grouped.items() if not is_bid]
    return bids[:depth] + asks[:depth]


def book(call: Call, symbol: str, precision: str) -> list[Row]:
    """Return the book, raw (R0) or by price (P0), or what is lent of a currency; `len` is 1, 25, 100 or 250 a side."""
    depth = query_fields(call.query).get("len", 25)
    if depth not in (1, 25, 100, 250):
        raise bad("len", "not one of 1, 25, 100, 250")
    if symbol in call.terms.funding_symbols:
        if precision != "P0":
            raise bad("precision", "only P0 is kept of what is lent")
        return funding_book(call.terms, call.state, call.terms.funded_asset(symbol), depth)
    call.terms.check_symbol(symbol)
    if precision not in BOOKS:
        raise bad("precision", "only R0 and P0 are kept here")
    return BOOKS[precision](call.terms, call.state, call.protocol.tape, depth)


def funding_book(terms: Terms, state: State, asset: int, depth: int) -> list[Row]:
    """Return [rate, days, count, amount] of what is offered at each rate and term, the cheapest `depth` of them."""
    grouped: dict[tuple[int, int], list[int]] = {}
    for offer in state.offers[asset]:
        level = grouped.setdefault((offer.rate_ppb_day, offer.term_days), [0, 0])
        level[0] += 1
        level[1] += offer.remaining
    levels = sorted(grouped.items())[:depth]
    return [[rate(ppb), days, count, terms.held(amount, asset)] for (ppb, days), (count, amount) in levels]


BOOKS: Final = {"R0": raw_book, "P0": price_book}


def trades(call: Call, symbol: str) -> list[Row]:
    """Return [id, time, size signed by the taker, price] of the trades on this exchange, each once."""
    call.terms.check_symbol(symbol)
    asked = time_range(query_fields(call.query), 120, 10_000)
    low, high = within(call.state.fills, asked.start_ns, asked.end_ns, lambda fill: fill.time_ns)
    found: list[Row] = []
    while low < high and len(found) < asked.limit:
        first, stop = (low, min(low + _AT_ONCE, high)) if asked.rising else (max(high - _AT_ONCE, low), high)
        rows = trade_rows(call.terms, call.state, first, stop)
        found += rows if asked.rising else rows[::-1]
        low, high = (stop, high) if asked.rising else (low, first)
    return found[: asked.limit]


def trade_rows(terms: Terms, state: State, start: int, stop: int) -> list[Row]:
    """Return the public rows of the fills from `start` up to `stop`."""
    shown = public_trades(state.fills, start, stop)
    return [[at + 1, ms(fill.time_ns), terms.size(lots), btc(fill.price_sat)] for at, fill, lots in shown]


def candles(call: Call, key: str, section: str) -> Any:
    """Return [time, open, close, high, low, volume] of candles; `last` gives one alone."""
    step_ns = frame_ns(call.terms, key)
    if section not in ("hist", "last"):
        raise bad("section", "neither hist nor last")
    asked = time_range(query_fields(call.query), 100, 10_000)
    if section == "last":
        asked = asked._replace(limit=1, rising=False)
    rows = candle_rows(call.terms, call.protocol.tape, step_ns, asked)
    return rows if section == "hist" else (rows[0] if rows else [])


def frame_ns(terms: Terms, key: str) -> int:
    """Return the length of the candles that `trade:1h:tTH1BTC` asks for."""
    kind, _, rest = key.partition(":")
    frame, _, symbol = rest.partition(":")
    if kind != "trade" or frame not in FRAMES:
        raise bad("key", f"not trade:FRAME:{terms.symbol} with a frame of {', '.join(FRAMES)}")
    terms.check_symbol(symbol)
    return FRAMES[frame] * MINUTE_NS


def candle_rows(terms: Terms, tape: Tape, step_ns: int, asked: Range) -> list[Row]:
    """Return the rows of candles; one counts in the range by the time it begins."""
    start = asked.start_ns
    made = tape.candles(step_ns, start, asked.end_ns, asked.limit, newest_first=not asked.rising)
    return [candle_row(terms, candle) for candle in made]


def candle_row(terms: Terms, candle: Candle) -> Row:
    """Return [time, open, close, high, low, volume]."""
    prices = [btc(price) for price in (candle.open_sat, candle.close_sat, candle.high_sat, candle.low_sat)]
    return [ms(candle.time_ns), *prices, terms.size(candle.volume_lots)]


assert FRAMES["1D"] * MINUTE_NS == DAY_NS

ENDPOINTS: Final[Mapping[tuple[str, ...], Endpoint]] = {
    ("conf", "*"): conf,
    ("platform", "status"): status,
    ("ticker", "*"): ticker,
    ("tickers",): tickers,
    ("book", "*", "*"): book,
    ("trades", "*", "hist"): trades,
    ("candles", "*", "*"): candles,
}
