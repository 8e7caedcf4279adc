"""A loaded market history: immutable rows, where they came from, and what was noticed on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.core.events import Bar, Quote, SwapRate

BARS = "bars"
QUOTES = "quotes"
RATES = "swap rates"


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without rows: after `from_ns` (close of the bar before, or the quote before) until `to_ns`.

    `missing` is the whole number of intervals without a row. Nothing is ever invented to fill it.
    """

    from_ns: int
    to_ns: int
    missing: int


@dataclass(frozen=True, slots=True)
class Source:
    """The file that rows came from.

    `sha256` is of the file as stored. `rows` counts those kept; `first_ns` and `last_ns` are their times
    (a bar's is its opening). `interval_ns` is the stated or most common spacing, 0 when it has none.
    `duplicates` counts identical rows ignored; `notes` say in words what else was noticed.
    """

    path: str
    kind: str
    sha256: str
    rows: int
    first_ns: int
    last_ns: int
    interval_ns: int
    simulated: bool
    duplicates: int
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rates:
    """Swap rates in time order and their source."""

    rates: list[SwapRate]
    source: Source


@dataclass(frozen=True, slots=True)
class History:
    """What the market showed: bars or quotes (exactly one of them has rows, unless it has no source), and swap rates.

    Rows are in time order. A quote is known at its time, a bar only at its close, a rate at its time.
    `simulated` is true when any source says that it is.
    """

    bars: list[Bar]
    quotes: list[Quote]
    rates: list[SwapRate]
    simulated: bool
    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        if self.sources and bool(self.bars) == bool(self.quotes):
            raise ValueError(f"a history has bars or quotes: {len(self.bars)} bars, {len(self.quotes)} quotes")

    @property
    def kind(self) -> str:
        """Return `bars` or `quotes`."""
        return BARS if self.bars else QUOTES

    def with_rates(self, rates: Rates) -> History:
        """Return the same market with `rates` in place of its own."""
        kept = tuple(source for source in self.sources if source.kind != RATES)
        sources = (*kept, rates.source)
        return replace(self, rates=rates.rates, sources=sources, simulated=any(source.simulated for source in sources))


NO_HISTORY = History([], [], [], False, ())
"""What a run of live sources begins with."""
