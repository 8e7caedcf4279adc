"""The settings of `config.yaml`: every key with its kind, default, bounds and meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from bot.core.units import NS_PER_DAY
from bot.feed_settings import (
    CCXT,
    HISTORY,
    BlockSettings,
    CcxtSettings,
    ChainPlace,
    DashboardSettings,
    SwapSettings,
)
from bot.fields import (
    Choice,
    Conflict,
    Duration,
    FilePath,
    Flag,
    Integer,
    Mapping,
    Money,
    Ppm,
    Size,
    Text,
    Timestamp,
    items,
    raw,
    section,
    setting,
)
from bot.model.growth import PATH_NAMES

AUTO: Final = "auto"
REFERENCE: Final = "reference"
BACKTRADER: Final = "backtrader"
COMPILED: Final = "compiled"
FLAT: Final = "flat"
NAME_PATTERN: Final = "[A-Za-z][A-Za-z0-9_-]{0,39}"
RESERVED_NAMES: Final = ("market", "venue", "world")
"""Owners of accounts that are not users; see bot.core.ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySettings:
    """Where the market's history is; both files may be CSV or Parquet."""

    market: Path | None = setting(
        FilePath(),
        absent="none: live sources only",
        doc="Quotes or bars of the market, or the directory of a recording.",
    )
    swap_rates: Path | None = setting(
        FilePath(), absent="none: nobody lends", doc="What borrowing BTC and contracts cost, and how much could be had."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Which part of the term is run, and how."""

    start_ns: int | None = setting(
        Timestamp(), key="start", absent="start of the contract's term", doc="First instant of the run."
    )
    end_ns: int | None = setting(
        Timestamp(), key="end", absent="end of the contract's term", doc="Last instant of the run."
    )
    engine: str = setting(
        Choice(AUTO, REFERENCE, COMPILED, BACKTRADER),
        default=AUTO,
        doc="Which engine settles the run: auto takes the fastest; all of them post the same to the satoshi.",
    )
    debug: bool = setting(
        Flag(), default="false", doc="Check every invariant after every event, and ask strategies twice. Slow."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """What every strategy starts with; each runs on an account of its own."""

    deposit_sat: int = setting(
        Money(), key="deposit", default="100 BTC", low="1 sat", high="21000000 BTC", doc="Money at the start."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FillSettings:
    """How the outside market fills orders and lends: none of it is known for 2014, all of it is an assumption."""

    latency_ns: int = setting(
        Duration(), key="latency", default="0 s", high="1 d", doc="Time from a decision to the order's arrival."
    )
    participation_ppm: int = setting(
        Ppm(), key="participation", default="10 %", low="0.01 %", high="100 %", doc="Highest share of a bar's volume."
    )
    touch_fills: bool = setting(
        Flag(), default="false", doc="Whether a waiting limit order fills when the price only touches it."
    )
    half_spread_ppm: int = setting(
        Ppm(),
        key="half_spread",
        default="0.9 %",
        high="50 %",
        doc="Bars show no book: bid and ask are taken to be this far from the price. Quotes bring their own.",
    )
    depth_levels: int = setting(
        Integer(),
        default="5",
        low="0",
        high="1000",
        doc="Price levels behind the displayed one, each of its size and one spread worse; 0: only what is displayed.",
    )
    stale_after_ns: int = setting(
        Duration(), key="stale_after", default="6 h", low="1 s", high="365 d", doc="A longer silence is told as a gap."
    )
    loan_term_ns: int = setting(
        Duration(),
        key="loan_term",
        default="2 d",
        low="1 d",
        high="365 d",
        step="1 d",
        doc="Term of the market's offers.",
    )
    borrow_demand: Decimal = setting(
        Size(), default="20 contracts", high="1000000000 contracts", doc="Contracts the market would borrow from us."
    )
    borrow_demand_btc_sat: int = setting(
        Money(), key="borrow_demand_btc", default="0 BTC", high="21000000 BTC", doc="BTC it would borrow from us."
    )

    @property
    def loan_term_days(self) -> int:
        """Term of the market's own offers in whole days; exact, the setting is a multiple of a day."""
        return self.loan_term_ns // NS_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSettings:
    """The model of fair value."""

    model: str = setting(
        Choice("trailing", "ewma", FLAT, *PATH_NAMES),
        default="anchored",
        doc="How difficulty is expected to grow: a forecast with its uncertainty (anchored, the best by `fairhash "
        "validate-model`; damped; ar1), a mean of past retargets (trailing, ewma), or not at all (flat).",
    )
    retargets: int = setting(
        Integer(),
        default="6",
        low="1",
        high="1000",
        doc="Past retargets, of about 14 days, that trailing and ewma look at; the others choose for themselves.",
    )

    @property
    def growth(self) -> str:
        """The name by which bot.model.growth knows the model: `trailing(6)`, `ewma(6)`, `flat`, `anchored`, .."""
        return self.model if self.model in (FLAT, *PATH_NAMES) else f"{self.model}({self.retargets})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSettings:
    """What no strategy may exceed, whatever its target."""

    max_position: Decimal = setting(
        Size(), default="50 contracts", high="1000000000 contracts", doc="Largest position, long or short."
    )
    max_order: Decimal = setting(Size(), default="10 contracts", high="1000000000 contracts", doc="Largest order.")
    max_drawdown_ppm: int = setting(
        Ppm(),
        key="max_drawdown",
        default="30 %",
        low="0.1 %",
        high="100 %",
        doc="Fall of marked equity from its peak at which a strategy is closed out and stopped; 100 %: never.",
    )

    on_failure: str = setting(
        Choice("halt", "flatten"),
        default="halt",
        doc="What becomes of a strategy that fails in the daemon: halt holds its position, flatten closes it.",
    )
    max_answer_ns: int = setting(
        Duration(),
        key="max_answer_time",
        default="2 s",
        low="100 ms",
        high="1 h",
        doc="A strategy that takes longer to answer the daemon is halted; a backtest waits.",
    )

    max_orders_per_hour: int = setting(
        Integer(), default="1000", low="1", high="1000000", doc="Orders that may go out within any hour."
    )
    price_collar_ppm: int = setting(
        Ppm(),
        key="price_collar",
        default="25 %",
        low="0.01 %",
        high="100 %",
        doc="How much worse than the mark an order's price may be.",
    )
    max_borrow_ppm: int = setting(
        Ppm(),
        key="max_borrow",
        default="400 %",
        low="0.01 %",
        high="10000 %",
        doc="Most that may be borrowed for a margin position, as a share of equity.",
    )
    max_block_age_ns: int = setting(
        Duration(),
        key="max_block_age",
        default="6 h",
        low="1 min",
        high="365 d",
        doc="Nothing is opened or enlarged when the last block is older.",
    )
    max_quote_age_ns: int = setting(
        Duration(),
        key="max_quote_age",
        default="1 min",
        low="1 s",
        high="1 d",
        doc="A live quote that is older when it is taken in is not acted on; a backtest has none.",
    )

    def cross_check(self) -> Iterator[Conflict]:
        for key, size in (("max_position", self.max_position), ("max_order", self.max_order)):
            if size == 0:
                yield Conflict(key, "0 contracts would let nothing be traded", "for example 10 contracts")


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyEntry:
    """One strategy of the comparison."""

    use: str = setting(
        Text(
            r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_]*)*(:[A-Za-z_][A-Za-z0-9_]*)?",
            "the name of a strategy, or module:attribute",
            "fair_value_band",
        ),
        doc="A bundled strategy, one of an installed package, or module:attribute of your own.",
    )
    name: str | None = setting(
        Text(NAME_PATTERN, "a name of up to 40 letters, digits, _ and -", "my_band"),
        absent="the last part of `use`",
        doc="What results and accounts call it.",
    )
    params: Mapping | None = raw(doc="The strategy's own settings; `fairhash explain` lists them.")
    sweep: Mapping | None = raw(doc="Which values of those `fairhash sweep` tries; see docs/sweep.md.")

    @property
    def called(self) -> str:
        """The name given, or the last part of `use`: `band` of `my.package.band` and of `my.module:band`."""
        return self.name or name_of(self.use)

    def cross_check(self) -> Iterator[Conflict]:
        if self.name is None and not re.fullmatch(NAME_PATTERN, self.called):
            yield Conflict("use", f"{self.called!r} cannot be a name", "add for example `name: my_band`")
        if self.called in RESERVED_NAMES:
            yield Conflict("name" if self.name else "use", f"{self.called!r} is the name of an account of the exchange")


def name_of(use: str) -> str:
    """Return the last part of what `use` says.

    >>> name_of("fair_value_band"), name_of("my.package.band"), name_of("my.module:band")
    ('fair_value_band', 'band', 'band')
    """
    return re.split("[.:]", use)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The document `config.yaml`, as written."""

    contract: Path = setting(FilePath(), doc="The contract's terms.")
    chain: Path | str | None = setting(
        ChainPlace(),
        default="bundled",
        doc="Block chain figures: `bundled`, or a directory made by `fairhash chain import` or `fairhash record`; or a "
        "live source for the daemon and the recorder, which `blocks` describes.",
    )
    feed: str = setting(
        Choice(HISTORY, CCXT),
        default=HISTORY,
        doc="Where the daemon and the recorder get quotes: a replay of the history, or live from an exchange.",
    )
    history: HistorySettings = section(HistorySettings, doc="The market's history.")
    ccxt: CcxtSettings | None = section(CcxtSettings, absent="no live quotes", doc="The market of `feed: ccxt`.")
    blocks: BlockSettings | None = section(
        BlockSettings, absent="no live blocks", doc="The server of `chain: bitcoin-core` or `chain: esplora`."
    )
    swap: SwapSettings | None = section(
        SwapSettings, absent="no live swap rates: the market neither lends nor borrows", doc="Live swap rates."
    )
    dashboard: DashboardSettings = section(DashboardSettings, doc="The daemon's page.")
    run: RunSettings = section(RunSettings, doc="Which part of the term is run, and how.")
    account: AccountSettings = section(AccountSettings, doc="What every strategy starts with.")
    fills: FillSettings = section(FillSettings, doc="How the outside market fills orders and lends.")
    value: ValueSettings = section(ValueSettings, doc="The model of fair value.")
    risk: RiskSettings = section(RiskSettings, doc="What no strategy may exceed.")
    strategies: tuple[StrategyEntry, ...] = items(
        StrategyEntry, shortest=1, longest=64, doc="The strategies to compare, each on an account of its own."
    )

    @property
    def figures(self) -> Path | None:
        """The directory of chain figures; None: the bundled ones, which a live chain begins with too."""
        return self.chain if isinstance(self.chain, Path) else None

    @property
    def live_chain(self) -> str | None:
        """The kind of live block source, if there is one."""
        return self.chain if isinstance(self.chain, str) else None

    def cross_check(self) -> Iterator[Conflict]:
        if self.live_chain and self.blocks is None:
            yield Conflict("chain", f"{self.live_chain} needs a server to ask", "add blocks: with its url")
        if self.feed == CCXT and self.ccxt is None:
            yield Conflict("feed", "ccxt needs a market to ask", "add ccxt: with exchange and symbol")
        if self.swap is not None and self.feed != CCXT:
            remedy = "a replay takes history.swap_rates; live ones need feed: ccxt"
            yield Conflict("swap", f"feed: {self.feed} has no live swap rates", remedy)
        names = [entry.called for entry in self.strategies]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield Conflict(
                    f"strategies[{index}]", f"another strategy is called {name!r} too", "give it another name"
                )
