"""Settings of live sources and of the daemon's page: `ccxt`, `blocks`, `dashboard` of config.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from bot.chain.network import MAINNET, REGTEST
from bot.fields import (
    Choice,
    Conflict,
    Duration,
    FilePath,
    Flag,
    Integer,
    Money,
    Rate,
    Scalar,
    Size,
    Text,
    Timestamp,
    items,
    setting,
)

HISTORY: Final = "history"
CCXT: Final = "ccxt"
BITCOIN_CORE: Final = "bitcoin-core"
ESPLORA: Final = "esplora"
LIVE_CHAINS: Final = (BITCOIN_CORE, ESPLORA)
QUOTES: Final = "quotes"
BARS: Final = "bars"
POLL: Final = "poll"
STREAM: Final = "stream"
FUNDING_BOOK: Final = "funding_book"
STATED: Final = "stated"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_URL: Final = r"https?://[A-Za-z0-9.\-\[\]:]{1,253}(/[A-Za-z0-9._~/\-]{0,200})?"
_HOST: Final = r"[A-Za-z0-9.\-]{1,253}|[0-9a-fA-F:]{2,39}"


class ChainPlace(FilePath):
    """Where blocks come from: figures, bundled (None) or in a directory (a path), or a live source by its word."""

    def __init__(self) -> None:
        super().__init__("a directory", or_word="bundled")
        self.noun = f"a directory, bundled, {' or '.join(LIVE_CHAINS)}"

    def read(self, scalar: Scalar) -> Any:
        return scalar.text if scalar.text in LIVE_CHAINS else super().read(scalar)

    def show(self, value: Any) -> str:
        return super().show(value) if value is None or isinstance(value, Path) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class CcxtSettings:
    """Which market of which exchange `feed: ccxt` takes, and how."""

    exchange: str = setting(
        Text("[a-z][a-z0-9]{1,39}", "the name of an exchange in ccxt", "bitfinex"),
        doc="The exchange, as ccxt calls it.",
    )
    symbol: str = setting(
        Text(r"[A-Za-z0-9._\-]{1,20}/BTC", "a market in bitcoin, as in TH1/BTC", "TH1/BTC"), doc="The market."
    )
    take: str = setting(
        Choice(QUOTES, BARS),
        default=QUOTES,
        doc="Quotes of the order book, or bars made of the trades, which only the recorder takes.",
    )
    interval_ns: int = setting(
        Duration(), key="interval", default="1 h", low="1 min", high="1 d", step="1 min", doc="Length of the bars."
    )
    mode: str = setting(
        Choice(POLL, STREAM), default=POLL, doc="Ask again and again, or have the book streamed (ccxt.pro)."
    )
    url: str | None = setting(
        Text(_URL, "an address without user or query", "http://127.0.0.1:8014"),
        absent="the exchange's own",
        doc="A server to ask in its place, such as our paper exchange or a proxy.",
    )
    simulated: bool | None = setting(
        Flag(),
        absent="false, unless url is given: then it must be said",
        doc="Whether prices there are simulated, as those of our paper exchange are; a recording says so.",
    )
    poll_ns: int = setting(
        Duration(), key="poll", default="5 s", low="100 ms", high="1 h", doc="Time between two questions."
    )
    unit: Decimal = setting(
        Size(),
        default="1 contract",
        high="1000000000 contracts",
        doc="How many contracts one unit traded there is; prices and sizes are scaled by it exactly.",
    )
    max_jump: int = setting(
        Integer(),
        default="10",
        low="2",
        high="500",
        doc="A price so many times the last one, or as much less, is not believed; five in a row stop the feed.",
    )
    stale_after_ns: int = setting(
        Duration(), key="stale_after", default="2 min", low="1 s", high="1 d", doc="A book older than this is an error."
    )
    repeat_ns: int = setting(
        Duration(), key="repeat", default="1 min", high="1 d", doc="An unchanged quote is told again after this time."
    )
    timeout_ns: int = setting(
        Duration(), key="timeout", default="10 s", low="100 ms", high="10 min", doc="Longest wait for one answer."
    )
    attempts: int = setting(
        Integer(), default="8", low="1", high="1000", doc="Failures in a row after which the feed stops with an error."
    )

    @property
    def longest_silence_ns(self) -> int:
        """How far apart two rows lie at most while the market stands and is heard; what is longer is a gap."""
        if self.take == BARS:
            return self.interval_ns
        return self.stale_after_ns if self.mode == STREAM else max(self.repeat_ns, self.poll_ns) + self.poll_ns

    def cross_check(self) -> Iterator[Conflict]:
        if self.unit == 0:
            yield Conflict("unit", "a unit of 0 contracts has no price", "write 1 contract")
        if self.url is not None and self.simulated is None:
            yield Conflict("url", "whether its prices are simulated is not said", "add simulated: true, or false")
        if self.take == BARS and self.mode == STREAM:
            yield Conflict("mode", "trades are asked for, not streamed", "write mode: poll")
        if self.mode == POLL and self.poll_ns >= self.stale_after_ns:
            yield Conflict(
                "poll", "the book would be stale before it is asked for again", "lower it or raise stale_after"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSettings:
    """The server that `chain: bitcoin-core` or `chain: esplora` asks."""

    url: str = setting(
        Text(_URL, "an address without user or query", "http://127.0.0.1:8332"),
        doc="The node's JSON-RPC, or the explorer's REST.",
    )
    network: str = setting(
        Choice(MAINNET.name, REGTEST.name),
        default=MAINNET.name,
        doc="Which chain it must be on, and by whose rules headers are verified; regtest, whose difficulty never "
        "changes, is for tests.",
    )
    login_file: Path | None = setting(
        FilePath(),
        absent="none; or FAIRHASH_NODE_LOGIN=user:password in the environment",
        doc="The node's .cookie, or a file with user:password in one line; it must be readable by its owner alone.",
    )
    confirmations: int = setting(
        Integer(),
        default="3",
        low="1",
        high="100",
        doc="A block pays its dividend once so many stand, itself included.",
    )
    poll_ns: int = setting(
        Duration(), key="poll", default="15 s", low="100 ms", high="1 h", doc="Time between two questions."
    )
    stale_after_ns: int = setting(
        Duration(), key="stale_after", default="3 h", low="1 min", high="365 d", doc="No block for so long is an error."
    )
    timeout_ns: int = setting(
        Duration(), key="timeout", default="20 s", low="100 ms", high="10 min", doc="Longest wait for one answer."
    )
    attempts: int = setting(
        Integer(), default="8", low="1", high="1000", doc="Failures in a row after which the feed stops with an error."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapStepSettings:
    """What borrowing costs from an instant on, and how much can be had; what was lent before stays as it was."""

    from_ns: int = setting(Timestamp(), key="from", doc="From this instant on.")
    rate_ppb_day: int = setting(Rate(), key="rate", low="0 ppb/day", high="99 %/day", doc="Price of a contract, lent.")
    available: Decimal = setting(Size(), high="1000000000 contracts", doc="How many contracts the market lends.")
    btc_rate_ppb_day: int = setting(
        Rate(), key="btc_rate", default="0 ppb/day", high="99 %/day", doc="Price of bitcoin, lent."
    )
    btc_available_sat: int = setting(
        Money(), key="btc_available", default="0 BTC", high="21000000 BTC", doc="How much bitcoin the market lends."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapSettings:
    """What borrowing costs in a live run; a replay takes `history.swap_rates`."""

    source: str = setting(
        Choice(FUNDING_BOOK, STATED),
        doc="The public funding book of the exchange of `ccxt`, which Bitfinex has; or rates stated here.",
    )
    poll_ns: int = setting(
        Duration(), key="poll", default="1 min", low="100 ms", high="1 d", doc="Time between two looks at the book."
    )
    repeat_ns: int = setting(
        Duration(),
        key="repeat",
        default="1 h",
        high="1 d",
        doc="An unchanged book is told again after this time; what is offered then counts as new.",
    )
    schedule: tuple[SwapStepSettings, ...] = items(
        SwapStepSettings, longest=1000, doc="The rates of `source: stated`, in order of time."
    )

    def cross_check(self) -> Iterator[Conflict]:
        if self.source == STATED and not self.schedule:
            yield Conflict("source", "no rate is stated", "add schedule: with a step, or leave swap: out")
        if self.source == FUNDING_BOOK and self.schedule:
            yield Conflict("schedule", "the rates come from the funding book", "remove it, or write source: stated")
        for index, (before, after) in enumerate(pairwise(self.schedule), 1):
            if after.from_ns <= before.from_ns:
                yield Conflict(f"schedule[{index}].from", "it is not after the step before it", "put them in order")


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSettings:
    """The daemon's page: a browser on this machine needs nothing more."""

    enabled: bool = setting(Flag(), default="true", doc="Whether the daemon serves its page.")
    host: str = setting(
        Text(_HOST, "a host name or address, as in 127.0.0.1", "127.0.0.1"),
        default="127.0.0.1",
        doc="Where it listens; anything but this machine needs allow_remote.",
    )
    port: int = setting(Integer(), default="8020", low="0", high="65535", doc="0: any that is free.")
    allow_remote: bool = setting(
        Flag(), default="false", doc="Let other machines see it. It has no password: put a proxy with one before it."
    )
    hosts: tuple[str, ...] = items(
        Text(_HOST, "a host name or address", "my.host"), longest=16, doc="Further names by which browsers may call it."
    )
    refresh_ns: int = setting(
        Duration(),
        key="refresh",
        default="1 s",
        low="100 ms",
        high="1 h",
        doc="Time between two looks at the strategies.",
    )

    def cross_check(self) -> Iterator[Conflict]:
        if self.host not in LOOPBACK and not self.allow_remote:
            what = f"{self.host!r} is not this machine alone, and the page has no password"
            yield Conflict("host", what, "write 127.0.0.1, or add allow_remote: true")
