"""A seeded market for a contract whose real prices are lost: simulated, labelled so, equal on every machine.

    price(t) = model value(t) x e^premium(t)
    premium  = final + (launch - final) 2^(-t / half-life) + swings + jumps that fade - news not yet priced in

The model value is that of `bot.model.fair_value` with trailing growth, told only the blocks whose effective
time is not after t. Book, volume and lending pools are those of `bot.history.market`. Everything moves in
steps of one minute; quotes, bars and rates are looked at every interval, so one seed gives one path at
every interval: hourly quotes are every sixtieth of the minute quotes, hourly bars are the minute bars resampled.
Longer steps give another path of the same law, many times faster: for whoever needs a thousand markets, not this one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.chain.chain import Chain, Epoch
from bot.core.contract import Contract
from bot.core.events import BTC, CONTRACT, Bar, Block, Quote, SwapRate
from bot.core.units import NS_PER_DAY, floor_div, sat_from_float_half_even
from bot.errors import HistoryError, Problem
from bot.history.draws import exp
from bot.history.fields import FieldError, span_ns
from bot.history.market import Book, Lenders, Premium, Trades
from bot.history.settings import Settings
from bot.model.fair_value import FairValue
from bot.model.growth import Trailing

VERSION = 1
"""Raised whenever the same seed and settings would give other rows."""
STEP_NS = 60 * 10**9
RATES_NS = 3_600 * 10**9
"""Lending offers are looked at every hour, or at every interval if that is longer."""


class ModelValue(Protocol):
    """What the simulation asks of a model: told blocks as they take effect, it values the contract now."""

    def on_block(self, block: Block) -> None:
        """Take note of a block that has just taken effect."""
        ...

    def value_sat(self, time_ns: int) -> float:
        """Return what is left of a contract's dividends at `time_ns`, in satoshi, from what is known then."""
        ...


@dataclass(frozen=True, slots=True)
class Simulation:
    """Simulated quotes, bars of the mid and swap rates, with the comments that every file of them carries."""

    contract: Contract
    quotes: list[Quote]
    bars: list[Bar]
    rates: list[SwapRate]
    comments: dict[str, str]


@dataclass(slots=True)
class _Minute:
    """The market at one instant of the grid; `volume_lots` traded since the instant before."""

    time_ns: int
    mid_sat: int
    volume_lots: int


def simulate(
    contract: Contract,
    chain: Chain,
    *,
    seed: int,
    interval_ns: int = RATES_NS,
    step_ns: int = STEP_NS,
    settings: Settings | None = None,
    contract_path: str | None = None,
) -> Simulation:
    """Return the simulated market of `contract` over its whole term, from start (included) to expiry (excluded).

    Quotes and bars come every `interval_ns`, a whole number of minutes up to a day; swap rates every hour or
    every interval, whichever is longer. `step_ns` must divide both; bars see no price between steps.
    `contract_path` only completes the command that the files name as their origin. Raises HistoryError for a seed, an
    interval or a step out of bounds, ChainError where `chain` lacks blocks of the term, ModelError where it lacks past
    retargets.
    """
    _require_inputs(seed, interval_ns, step_ns)
    settings = settings or Settings()
    past = chain.epochs_known_at(contract.start_ns)
    blocks = chain.blocks_between(contract.start_ns, contract.end_ns - 1)
    value = FairValue(contract, [(epoch.start_s, epoch.bits) for epoch in past], Trailing(settings.growth_retargets))
    quotes, bars, rates = rows_of(contract, value, blocks, seed, interval_ns, settings, step_ns)
    comments = {
        "simulated": "true",
        "contract": contract.id,
        "generator": f"fairhash bot.history.simulate {VERSION}",
        "command": _command(contract_path or f"contracts/{contract.id}.yaml", seed, interval_ns, step_ns, settings),
        "seed": str(seed),
        "interval": f"{interval_ns // 10**9} s",
        "chain-sha256": chain_sha256(past[-(settings.growth_retargets + 1) :], blocks),
        **settings.as_comments(),
    }
    return Simulation(contract, quotes, bars, rates, comments)


def interval_ns_of(text: str) -> int:
    """Return an interval such as `1h`, `15min` or `3600 s` in nanoseconds; raises HistoryError."""
    try:
        return span_ns(text)
    except FieldError as fault:
        raise HistoryError([Problem("interval", fault.what, fault.remedy)]) from fault


def rows_of(
    contract: Contract,
    value: ModelValue,
    blocks: Sequence[Block],
    seed: int,
    interval_ns: int,
    settings: Settings,
    step_ns: int = STEP_NS,
) -> tuple[list[Quote], list[Bar], list[SwapRate]]:
    """Return the rows of a market around any model `value`; `blocks` in order of time, all after the start.

    A bar holds the mids of its opening, of every step in it and of its close, its volume what traded between.
    """
    step_days = step_ns / NS_PER_DAY
    book = Book(settings, contract, seed, step_days)
    lenders = Lenders(settings, contract, seed, step_days)
    rates_ns = max(RATES_NS, interval_ns)
    quotes: list[Quote] = []
    rates: list[SwapRate] = []
    bars: list[Bar] = []
    inside: list[int] = []
    volume_lots = 0
    for minute in _minutes(contract, value, blocks, seed, settings, book, lenders, step_ns):
        time_ns = minute.time_ns
        since_ns = time_ns - contract.start_ns
        volume_lots += minute.volume_lots
        inside.append(minute.mid_sat)
        if since_ns % interval_ns == 0:
            if since_ns:
                bars.append(_bar(time_ns - interval_ns, interval_ns, inside, volume_lots))
                inside, volume_lots = [minute.mid_sat], 0
            quotes.append(_quote(time_ns, minute.mid_sat, book))
        if since_ns % rates_ns == 0:
            rates.append(SwapRate(time_ns, BTC, lenders.btc_rate_ppb_day(), lenders.available_sat))
            rates.append(SwapRate(time_ns, CONTRACT, lenders.swap_rate_ppb_day(), lenders.available_lots))
    if (contract.end_ns - contract.start_ns) % interval_ns == 0:
        # The last bar ends with the contract: its close is the last price before expiry.
        bars.append(_bar(contract.end_ns - interval_ns, interval_ns, inside, volume_lots))
    return quotes, bars, rates


def chain_sha256(past: Sequence[Epoch], blocks: Sequence[Block]) -> str:
    """Return the SHA-256 of the chain figures used, one line each: `epoch start_s bits`, `block time height bits`.

    The reward of a block is a fact of its height; fees are in the line too, as a payout may depend on them.
    """
    digest = hashlib.sha256()
    for epoch in past:
        digest.update(f"epoch {epoch.start_s} {epoch.bits:08x}\n".encode("ascii"))
    for block in blocks:
        digest.update(f"block {block.time_ns} {block.height} {block.bits:08x} {block.fees_sat}\n".encode("ascii"))
    return digest.hexdigest()


def _minutes(
    contract: Contract,
    value: ModelValue,
    blocks: Sequence[Block],
    seed: int,
    settings: Settings,
    book: Book,
    lenders: Lenders,
    step_ns: int,
) -> Iterator[_Minute]:
    """Yield the market step by step, from the start to the last step before expiry."""
    step_days = step_ns / NS_PER_DAY
    premium = Premium(settings, seed, step_days)
    trades = Trades(settings, contract, seed, step_days)
    coming = iter(blocks)
    block = next(coming, None)
    for time_ns in range(contract.start_ns, contract.end_ns, step_ns):
        volume_lots = 0
        if time_ns > contract.start_ns:
            premium.step(squeeze_begins=lenders.step())
            book.step()
            volume_lots = trades.step()
        while block is not None and block.time_ns <= time_ns:
            before_sat = value.value_sat(block.time_ns)
            value.on_block(block)
            premium.news(before_sat, value.value_sat(block.time_ns))
            block = next(coming, None)
        # Rounded to the satoshi before anything is made of it: a model that differed in its last bit
        # elsewhere would still give the same rows.
        model_sat = sat_from_float_half_even(value.value_sat(time_ns))
        mid_sat = sat_from_float_half_even(model_sat * exp(premium.log_premium))
        yield _Minute(time_ns, _on_tick(mid_sat, contract.tick_sat), volume_lots)


def _on_tick(price_sat: int, tick_sat: int) -> int:
    """Return a price rounded half up to the tick, at least one tick: a worthless contract still has a quote."""
    return max(floor_div(2 * price_sat + tick_sat, 2 * tick_sat), 1) * tick_sat


def _quote(time_ns: int, mid_sat: int, book: Book) -> Quote:
    bid_sat, ask_sat = book.prices_sat(mid_sat)
    return Quote(time_ns, bid_sat, book.bid_size_lots, ask_sat, book.ask_size_lots)


def _bar(open_ns: int, interval_ns: int, mids_sat: list[int], volume_lots: int) -> Bar:
    return Bar(open_ns, open_ns + interval_ns, mids_sat[0], max(mids_sat), min(mids_sat), mids_sat[-1], volume_lots)


def _command(contract_path: str, seed: int, interval_ns: int, step_ns: int, settings: Settings) -> str:
    """Return what remakes the files; the command line knows no other settings than the defaults, and no other step."""
    if settings != Settings() or step_ns != STEP_NS:
        return f"none; made by bot.history.simulate.simulate in steps of {step_ns // 10**9} s with the settings below"
    span = _span_text(interval_ns)
    return f"fairhash history simulate --contract {contract_path} --seed {seed} --interval {span} --out DIR"


def _span_text(interval_ns: int) -> str:
    """Return an interval as the command line takes it: 1h, 15min."""
    minutes = interval_ns // STEP_NS
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}min"


def _require_inputs(seed: int, interval_ns: int, step_ns: int) -> None:
    problems = []
    if not 0 <= seed < 2**63:
        problems.append(Problem("seed", f"{seed} is not between 0 and 2^63 - 1", "take a small whole number"))
    if interval_ns % STEP_NS or not STEP_NS <= interval_ns <= NS_PER_DAY:
        problems.append(
            Problem(
                "interval",
                f"{interval_ns / 10**9:g} s is not a whole number of minutes up to a day",
                "write 1h or 15min",
            )
        )
    if step_ns < STEP_NS or step_ns % STEP_NS or interval_ns % step_ns or max(RATES_NS, interval_ns) % step_ns:
        what = f"{step_ns / 10**9:g} s is not a whole number of minutes that divides interval and hour"
        problems.append(Problem("step", what, "take 60 s"))
    if problems:
        raise HistoryError(problems)
