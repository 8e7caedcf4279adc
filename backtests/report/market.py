"""The chain and the swap market in the report: difficulty, dividends, rates; the same for every strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from backtests.output import btc_text
from backtests.report import plots
from backtests.report.panels import Canvas
from backtests.report.plots import Chart, Point, Span
from bot.core.contract import Contract
from bot.core.units import NS_PER_DAY, PPB, SAT_PER_BTC, sat_from_float_half_even


class MarketSeries(NamedTuple):
    """What every strategy saw: marks in satoshi per contract, difficulty steps, dividends in satoshi per contract.

    `swap_rates` holds (time_ns, asset name, rate in parts per billion per day, available in satoshi or lots).
    Each list is in time order.
    """

    times_ns: Sequence[int]
    price_sat: Sequence[int]
    difficulty: Sequence[tuple[int, float]]
    dividends: Sequence[tuple[int, float]]
    swap_rates: Sequence[tuple[int, str, int, int]]


def market_charts(canvas: Canvas, contract: Contract, market: MarketSeries) -> str:
    """Return difficulty, the dividend per contract and day, and the swap rates of the contract and of BTC."""
    chain = _difficulty(canvas, market) + _dividends(canvas, contract, market)
    swaps = "".join(_swap(canvas, asset, contract, market) for asset in (contract.asset, "BTC"))
    return f'<div class="pair">{chain}</div><div class="pair">{swaps}</div>'


def _held(points: Sequence[tuple[int, float]], span: Span) -> list[Point]:
    """Return a step series on the span: the value in force at its start, and the last one held to its end."""
    inside = [point for point in points if span.start_ns < point[0] < span.end_ns]
    before = [point for point in points if point[0] <= span.start_ns]
    if before:
        inside.insert(0, (span.start_ns, before[-1][1]))
    return [*inside, (span.end_ns, inside[-1][1])] if inside else []


def _difficulty(canvas: Canvas, market: MarketSeries) -> str:
    points = _held([(time_ns, value / 1e9) for time_ns, value in market.difficulty], canvas.span)
    axis = plots.scale([value for _, value in points])
    name = canvas.keep("difficulty", [time for time, _ in points], [value for _, value in points], 3)
    key = canvas.show("difficulty", [("difficulty", "billion", 3, name)])
    lines = [plots.path("l-difficulty", plots.line(points, canvas.span, axis, step=True))]
    return Chart("Difficulty", "billions", key, canvas.span, axis, lines, note="From the block chain.").render()


def _dividends(canvas: Canvas, contract: Contract, market: MarketSeries) -> str:
    sums: dict[int, float] = {}
    for time_ns, value_sat in market.dividends:
        if canvas.span.start_ns < time_ns <= canvas.span.end_ns:
            day_ns = time_ns // NS_PER_DAY * NS_PER_DAY  # rounded down to the UTC day
            sums[day_ns] = sums.get(day_ns, 0.0) + value_sat
    days = [(day_ns, value_sat / SAT_PER_BTC) for day_ns, value_sat in sorted(sums.items())]
    axis = plots.scale([value for _, value in days], zero=True)
    name = canvas.keep("dividend", [time for time, _ in days], [value for _, value in days], 8)
    key = canvas.show("dividend", [("that UTC day", "BTC", 8, name)])
    lines = [plots.path("f-bar", plots.bars(days, canvas.span, axis))]
    total = btc_text(sat_from_float_half_even(sum(sums.values())))
    note = f"Sum over the run: {total} BTC per contract."
    unit = f"BTC per {contract.asset} contract and UTC day"
    return Chart("Dividend", unit, key, canvas.span, axis, lines, note=note).render()


def _swap(canvas: Canvas, asset: str, contract: Contract, market: MarketSeries) -> str:
    rows = [row for row in market.swap_rates if row[1] == asset]
    points = _held([(row[0], row[2] * 100 / PPB) for row in rows], canvas.span)
    axis = plots.scale([value for _, value in points], zero=True)
    thinned = plots.thin([time for time, _ in points], [value for _, value in points], canvas.span)
    ends_ns = [*(row[0] for row in rows[1:]), canvas.span.end_ns]
    dry = [(row[0], end_ns) for row, end_ns in zip(rows, ends_ns, strict=False) if row[3] == 0]
    shade = "".join(_shade(begin, end, canvas.span) for begin, end in dry)
    contracted = asset == contract.asset
    digits = 3 if contracted else 4
    unit, per = (asset, contract.lots_per_contract) if contracted else ("BTC", SAT_PER_BTC)
    times = [row[0] for row in rows]
    rates = canvas.keep(f"rate-{asset}", times, [row[2] * 100 / PPB for row in rows], digits)
    free = canvas.keep(f"available-{asset}", times, [row[3] / per for row in rows], 2)
    key = canvas.show(f"swap-{asset}", [("rate", "% per day", digits, rates), ("available", unit, 2, free)])
    line = plots.line(thinned, canvas.span, axis, step=True)
    lines = [plots.path("f-dry", shade), plots.path("l-contract" if contracted else "l-btc", line)]
    legend = [("box s-dry", "nothing to borrow")] if shade else []
    title = f"Swap rate of {asset}"
    return Chart(title, "% per day", key, canvas.span, axis, lines, [], legend, mark=canvas.mark).render()


def _shade(begin_ns: int, end_ns: int, span: Span) -> str:
    left = round(plots.WIDTH * max(span.fraction(begin_ns), 0.0))
    right = round(plots.WIDTH * min(span.fraction(end_ns), 1.0))
    return f"M{left} 0V{plots.HEIGHT}H{max(right, left + 1)}V0z" if right >= left else ""
