"""Load market history from CSV, gzipped CSV or Parquet; what is refused is refused with file:line, all at once."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from bot.core.contract import Contract
from bot.core.events import Bar, Quote, SwapRate
from bot.errors import HistoryError
from bot.history.lines import SUFFIXES
from bot.history.reading import ANY_PRICE, Reading, read
from bot.history.series import BARS, QUOTES, RATES, History, Rates, Source


def load_market(path: str | Path, contract: Contract, max_price_sat: int = ANY_PRICE) -> History:
    """Return the bars or quotes of `path`, whichever its header names, without swap rates.

    A directory is a recording: the quotes of all its days.

    Prices are read as BTC per contract and held as satoshi, sizes as contracts and held as lots (rounded
    down, which the source's notes say). Raises HistoryError with every problem, the first 20 in full; a price above
    `max_price_sat`, the most that the contract's document believes, is one.
    """
    if Path(path).is_dir() and not str(path).endswith(SUFFIXES):
        from bot.history.days import read_days

        reading = read_days(Path(path), contract, max_price_sat)
    else:
        reading = _accepted(read(path, contract, (BARS, QUOTES), max_price_sat))
    rows, source = reading.rows, _source(reading)
    bars = cast("list[Bar]", rows) if reading.kind == BARS else []
    quotes = cast("list[Quote]", rows) if reading.kind == QUOTES else []
    return History(bars, quotes, [], source.simulated, (source,))


def load_rates(path: str | Path, contract: Contract) -> Rates:
    """Return the swap rates of `path` in parts per billion per day, with what could be borrowed then.

    `available` is in satoshi for BTC and in lots for the contract. Raises HistoryError as `load_market` does.
    """
    reading = _accepted(read(path, contract, (RATES,)))
    return Rates(cast("list[SwapRate]", reading.rows), _source(reading))


def load(market: str | Path, rates: str | Path | None, contract: Contract, max_price_sat: int = ANY_PRICE) -> History:
    """Return market and swap rates together; raises one HistoryError with the problems of both files."""
    problems = []
    history, loaded = None, None
    try:
        history = load_market(market, contract, max_price_sat)
    except HistoryError as fault:
        problems += fault.problems
    try:
        loaded = load_rates(rates, contract) if rates is not None else None
    except HistoryError as fault:
        problems += fault.problems
    if history is None or problems:
        raise HistoryError(problems)
    return history.with_rates(loaded) if loaded is not None else history


def _accepted(reading: Reading) -> Reading:
    if reading.refused:
        raise HistoryError(reading.problems())
    return reading


def _source(reading: Reading) -> Source:
    return Source(
        path=reading.path,
        kind=reading.kind,
        sha256=reading.sha256,
        rows=len(reading.rows),
        first_ns=reading.rows[0][0],
        last_ns=reading.rows[-1][0],
        interval_ns=reading.interval_ns,
        simulated=reading.simulated,
        duplicates=reading.duplicates,
        gaps=tuple(reading.gaps),
        notes=reading.notes(),
    )
