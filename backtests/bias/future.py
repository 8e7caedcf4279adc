"""Another future: every row that becomes known after a cut is changed, every row known by then stays as it is.

A quote, a swap rate, a block and a step of the terms are known at their time, a bar at its close; of a bar that opened
before the cut the open is known, and so is its volume, which limits what the market would have traded with us then. A
bar that opens at the cut itself is not: at one instant strategies decide before the next bar opens (bot.core.events).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from backtests.plan import Plan
from bot.chain.difficulty import BLOCKS_PER_EPOCH, MAX_TARGET, bits_from_target, target_from_bits
from bot.core.contract import Contract
from bot.core.events import Bar, Block, Quote, SwapRate
from bot.core.units import NS_PER_S, S_PER_DAY
from bot.history.fields import MAX_PRICE_SAT, MAX_RATE_PPB_DAY
from bot.history.series import History

PRICES: Final = "prices"
SWAP_RATES: Final = "swap rates"
BLOCKS: Final = "blocks"
DIFFICULTY: Final = "difficulty"
TERMS: Final = "terms"
KINDS: Final = (PRICES, SWAP_RATES, BLOCKS, DIFFICULTY, TERMS)
"""What a future consists of. `prices` includes displayed sizes and volumes, `swap rates` what can be borrowed, `blocks`
their times and fees."""

_MOST_MARGIN_PPM: Final = 10_000_000
_LEAST_MARGIN_PPM: Final = 1_000
_LEAST_RATE_PPB_DAY: Final = 1_000_000
_WIDEST_TICKS: Final = 90


@dataclass(frozen=True, slots=True)
class Change:
    """A change of everything of some `kinds` after `cut_ns`: to more if it `rises`, else to less.

    Both directions are needed: whoever peeks at the sign of a coming move is right in one of them by accident.
    `ceiling_sat` is the highest price that whoever reads the rows will believe.
    """

    cut_ns: int
    seed: int = 0
    rises: bool = True
    kinds: tuple[str, ...] = KINDS
    ceiling_sat: int = MAX_PRICE_SAT

    def draw(self, kind: str) -> Random:
        """Return a stream of draws of the kind's own: changing it alone changes it as with all the others."""
        return Random(f"{self.seed}/{kind}")  # noqa: S311 - a repeatable change, no secret


def with_other_future(plan: Plan, change: Change) -> Plan:
    """Return `plan` with everything changed that becomes known after the cut."""
    contract = plan.settings.contract
    return replace(
        plan,
        settings=replace(plan.settings, contract=other_terms(contract, change)),
        blocks=other_blocks(plan.blocks, change),
        history=other_history(plan.history, change, contract.tick_sat),
    )


def other_history(history: History, change: Change, tick_sat: int) -> History:
    """Return market and swap rates with another future; prices stay on the tick."""
    quotes, bars, rates = history.quotes, history.bars, history.rates
    if PRICES in change.kinds:
        draw = change.draw(PRICES)
        percent = draw.randrange(130, 181) if change.rises else draw.randrange(50, 71)
        prices = _Prices(percent, tick_sat, change, draw)
        quotes = [quote if quote.time_ns <= change.cut_ns else prices.quote(quote) for quote in quotes]
        bars = [bar if bar.close_ns <= change.cut_ns else prices.bar(bar) for bar in bars]
    if SWAP_RATES in change.kinds:
        draw = change.draw(SWAP_RATES)
        rates = [rate if rate.time_ns <= change.cut_ns else _other_rate(rate, change.rises, draw) for rate in rates]
    return replace(history, quotes=quotes, bars=bars, rates=rates)


@dataclass(frozen=True, slots=True)
class _Prices:
    """Prices at `percent` of what they were, rounded down to the tick."""

    percent: int
    tick_sat: int
    change: Change
    draw: Random

    def other(self, price_sat: int, percent: int) -> int:
        highest = self.change.ceiling_sat // self.tick_sat - _WIDEST_TICKS
        return max(min(price_sat * percent // 100 // self.tick_sat, highest), 1) * self.tick_sat

    def quote(self, quote: Quote) -> Quote:
        draw, bid = self.draw, self.other(quote.bid_sat, self.percent)
        ask = bid + self.tick_sat * draw.randrange(1, _WIDEST_TICKS)
        return Quote(quote.time_ns, bid, draw.randrange(0, 900), ask, draw.randrange(0, 900))

    def bar(self, bar: Bar) -> Bar:
        draw = self.draw
        prices = sorted(self.other(bar.close_sat, self.percent + draw.randrange(-9, 10)) for _ in range(4))
        if bar.time_ns < self.change.cut_ns:
            high, low = max(prices[3], bar.open_sat), min(prices[0], bar.open_sat)
            return bar._replace(high_sat=high, low_sat=low, close_sat=prices[1])
        volume = draw.randrange(0, 5000)
        return Bar(bar.time_ns, bar.close_ns, prices[1], prices[3], prices[0], prices[2], volume)


def _other_rate(rate: SwapRate, rises: bool, draw: Random) -> SwapRate:
    if not rises:
        return rate._replace(rate_ppb_day=rate.rate_ppb_day // draw.randrange(2, 5), available=0)  # rounded down
    dearer = max(rate.rate_ppb_day, _LEAST_RATE_PPB_DAY) * draw.randrange(2, 5)
    return rate._replace(rate_ppb_day=min(dearer, MAX_RATE_PPB_DAY), available=rate.available * 3 + 1)


def other_terms(contract: Contract, change: Change) -> Contract:
    """Return the contract with margins doubled or halved and the collateral rule turned round after the cut."""
    if TERMS not in change.kinds:
        return contract

    def margin(ppm: int) -> int:
        return min(ppm * 2, _MOST_MARGIN_PPM) if change.rises else max(ppm // 2, _LEAST_MARGIN_PPM)  # rounded down

    steps = tuple(
        step
        if step.from_ns <= change.cut_ns
        else replace(step, initial_ppm=margin(step.initial_ppm), maintenance_ppm=margin(step.maintenance_ppm))
        for step in contract.margin
    )
    flags = tuple(
        step if step.from_ns <= change.cut_ns else replace(step, contract_counts=not step.contract_counts)
        for step in contract.collateral
    )
    return replace(contract, margin=steps, collateral=flags)


def other_blocks(blocks: Sequence[Block], change: Change) -> list[Block]:
    """Return the blocks with later ones moved in time, with other fees, and later epochs of another difficulty.

    A block stays within its UTC day and after the cut, so that a day's fees are still those of as many blocks;
    effective times and intervals follow from the header times by the chain's rule. Fees of the cut's own day stay,
    since their mean is known all day.
    """
    moves, retargets = BLOCKS in change.kinds, DIFFICULTY in change.kinds
    shift_s = change.draw(BLOCKS).randrange(600, 6000) * (1 if change.rises else -1)
    cut_s = change.cut_ns // NS_PER_S  # rounded down
    changed: list[Block] = []
    epoch_changes = False
    for block in blocks:
        if block.time_ns <= change.cut_ns:
            changed.append(block)
            continue
        if moves:
            block = _moved(block, shift_s, cut_s)
            before = changed[-1] if changed else block
            time_ns = max(block.header_time_s * NS_PER_S, before.time_ns)
            interval_s = (time_ns - before.time_ns) // NS_PER_S if changed else block.interval_s  # exact: whole seconds
            block = block._replace(time_ns=time_ns, interval_s=interval_s)
        epoch_changes = epoch_changes or block.height % BLOCKS_PER_EPOCH == 0
        if retargets and epoch_changes:
            bits = other_bits(block.bits, change.rises)
            block = block._replace(bits=bits, target=target_from_bits(bits))
        changed.append(block)
    return changed


def _moved(block: Block, shift_s: int, cut_s: int) -> Block:
    """Return `block` with its header time moved within its day, after the cut, and its fees if its day is later."""
    day = block.header_time_s // S_PER_DAY  # rounded down: the UTC day
    earliest, latest = max(day * S_PER_DAY, cut_s + 1), (day + 1) * S_PER_DAY - 1
    header_s = min(max(block.header_time_s + shift_s, earliest), latest)
    fees_sat = block.fees_sat * 3 + 1 if day > cut_s // S_PER_DAY else block.fees_sat
    return block._replace(header_time_s=header_s, fees_sat=fees_sat)


def other_bits(bits: int, rises: bool) -> int:
    """Return compact bits of twice the difficulty, or of half of it (never below 1)."""
    target = target_from_bits(bits)
    return bits_from_target(target // 2 if rises else min(target * 2, MAX_TARGET))  # rounded down
