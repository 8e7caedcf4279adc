"""What is kept of one run among thousands: a row of whole numbers, and one value a day for the plots."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from backtests.attribution import attribute
from backtests.metrics import max_drawdown
from backtests.result import RunResult
from bot.core.units import NS_PER_DAY


class Row(NamedTuple):
    """One strategy in one simulated world; amounts in satoshi, a gain is positive.

    `payout_sat` is what one contract paid over the run in this world, after the pool's fee, rounded down;
    `difficulty_ppm` the last difficulty of the run as parts per million of the first. Profit is the sum of its parts.
    """

    run: int
    strategy: str
    market_seed: int
    difficulty_seed: int
    luck_seed: int
    profit_sat: int
    price_sat: int
    dividends_sat: int
    swap_sat: int
    lending_sat: int
    fees_sat: int
    slippage_sat: int
    expiry_sat: int
    deficit_sat: int
    drawdown_sat: int
    liquidations: int
    margin_calls: int
    fills: int
    payout_sat: int
    difficulty_ppm: int


class Sampled(NamedTuple):
    """Values at the start and at the end of each day of the run, eight bytes each."""

    equity_sat: array[int]
    price_sat: array[int]


def row_of(result: RunResult, run: int, seeds: tuple[int, int, int], payout_sat: int, difficulty_ppm: int) -> Row:
    """Return the row of a finished run; raises AttributionError where the ledger contradicts itself."""
    attribution = attribute(result)
    told = Counter(notice.kind for notice in result.notices if notice.user == result.user)
    curve = [(result.start_ns, result.start_equity_sat), *((mark.time_ns, mark.equity_sat) for mark in result.marks)]
    fall = max_drawdown(curve, attribution.other_flows)
    return Row(
        run,
        result.name,
        *seeds,
        attribution.split.total_sat,
        *attribution.split,
        fall.depth_sat if fall else 0,
        told["liquidation"],
        told["margin_call"],
        sum(fill.user == result.user for fill in result.fills),
        payout_sat,
        difficulty_ppm,
    )


def sampled_days(result: RunResult) -> Sampled:
    """Return equity and mark at the start and at the end of every day; before the first mark, the deposit and 0."""
    times = [mark.time_ns for mark in result.marks]
    days = -(-(result.end_ns - result.start_ns) // NS_PER_DAY)  # rounded up
    equity, price = array("q", [result.start_equity_sat]), array("q", [0])
    for day in range(1, days + 1):
        at = bisect_right(times, min(result.start_ns + day * NS_PER_DAY, result.end_ns)) - 1
        equity.append(result.marks[at].equity_sat if at >= 0 else result.start_equity_sat)
        price.append(result.marks[at].price_sat if at >= 0 else 0)
    price[0] = result.marks[0].price_sat if result.marks else 0
    return Sampled(equity, price)


def columns_of(rows: Sequence[Row]) -> dict[str, list[object]]:
    """Return rows as columns by name."""
    return {name: [row[at] for row in rows] for at, name in enumerate(Row._fields)}


def csv_of(rows: Sequence[Row], mark: str) -> bytes:
    """Return rows as CSV under a comment that says what they are."""
    lines = [f"# {mark}; amounts in satoshi", ",".join(Row._fields)]
    lines += [",".join(map(str, row)) for row in rows]
    return ("\n".join(lines) + "\n").encode()
