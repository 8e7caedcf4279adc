"""Histories as plain tables of 64-bit integers in files, mapped into every process: one copy in memory for all.

Tables lie in files column by column, as the compiled engine reads them. An engine in Python makes rows of a table when
it needs that market; a process keeps those of the configured one and of the last other one, so its memory does not grow
with the number of markets.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtests.compiled_engine.rows import Rows
from bot.chain.chain import Chain
from bot.core.contract import Contract
from bot.core.events import Bar, Quote, SwapRate
from bot.core.units import NS_PER_DAY
from bot.errors import OutputError, Problem
from bot.history.series import BARS, History, Source
from bot.history.simulate import RATES_NS, STEP_NS, simulate

Table = npt.NDArray[np.int64]

CONFIGURED: Final = 0
"""The number of the market that the configuration names; the others are called by the seed that makes them."""


@dataclass(frozen=True, slots=True)
class Market:
    """One history as tables, a row each: quotes or bars (`kind`), and swap rates, as in bot.core.events."""

    kind: str
    rows: Table
    rates: Table

    def history(self, sources: tuple[Source, ...], simulated: bool) -> History:
        """Return the history that the tables hold."""
        rates = [SwapRate(*row) for row in self.rates.tolist()]
        if not len(self.rows):
            return History([], [], rates, simulated, sources)
        events: Any = Rows(Bar if self.kind == BARS else Quote, self.rows.T)
        return History(*((events, []) if self.kind == BARS else ([], events)), rates, simulated, sources)


@dataclass(frozen=True, slots=True)
class Simulated:
    """How markets are simulated: like the configured one in kind, spacing, and whether anybody lends."""

    kind: str
    interval_ns: int
    lends: bool

    @staticmethod
    def like(history: History) -> Simulated:
        """Return what simulates markets that look like `history`; hourly where its spacing is none of a simulation."""
        interval_ns = history.sources[0].interval_ns
        if interval_ns % STEP_NS or not STEP_NS <= interval_ns <= NS_PER_DAY:
            interval_ns = RATES_NS
        return Simulated(history.kind, interval_ns, bool(history.rates))

    def market(self, contract: Contract, chain: Chain, seed: int) -> Market:
        """Return the market of one seed: that of `fairhash history simulate --seed`."""
        made = simulate(contract, chain, seed=seed, interval_ns=self.interval_ns)
        rows: Sequence[tuple[int, ...]] = made.bars if self.kind == BARS else made.quotes
        return Market(self.kind, _table(rows), _table(made.rates if self.lends else []))


def of_history(history: History) -> Market:
    """Return the tables of a history."""
    rows: Sequence[tuple[int, ...]] = history.bars if history.kind == BARS else history.quotes
    return Market(history.kind, _table(rows), _table(history.rates))


def _table(rows: Sequence[tuple[Any, ...]]) -> Table:
    return np.array(rows, dtype=np.int64) if rows else np.empty((0, 0), dtype=np.int64)


def keep(market: Market, directory: Path, number: int) -> None:
    """Write a market's tables to `directory` under its number, each whole or not at all. Raises OutputError."""
    for name, table in (("rows", market.rows), ("rates", market.rates)):
        path = _path(directory, number, name)
        scratch = path.with_suffix(f".{os.getpid()}")
        try:
            with scratch.open("wb") as file:
                np.save(file, np.asfortranarray(table), allow_pickle=False)
            scratch.replace(path)
        except OSError as error:
            what = f"a market's table cannot be written: {error.strerror or error}"
            raise OutputError([Problem(str(path), what, "free space and start again: what is done is kept")]) from error
        finally:
            scratch.unlink(missing_ok=True)


def is_kept(directory: Path, number: int) -> bool:
    """Return whether `directory` has both tables of a market; the swap rates are written last."""
    return _path(directory, number, "rates").is_file()


def kept(directory: Path, number: int, kind: str) -> Market:
    """Return a market from its files, mapped: processes that read it share one copy, and read only what they touch."""
    rows, rates = (_mapped(_path(directory, number, name)) for name in ("rows", "rates"))
    return Market(kind, rows, rates)


def _path(directory: Path, number: int, name: str) -> Path:
    return directory / f"{number}-{name}.npy"


def _mapped(path: Path) -> Table:
    empty = path.stat().st_size <= _HEADER_BYTES  # nothing to map
    table: Table = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    return table


_HEADER_BYTES: Final = 128
