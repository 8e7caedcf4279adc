"""Plots of a sweep as inline SVG: heat maps of two parameters, parallel coordinates, profits over markets and trials.

Floats for the eye only; amounts in titles and tables are printed from integers elsewhere.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from html import escape
from typing import Any, Final, NamedTuple

from backtests.output import btc_text
from backtests.report.plots import Scale, scale
from backtests.sweep.findings import Standing
from backtests.sweep.space import Axis
from bot.core.units import SAT_PER_BTC

MOST_BINS: Final = 12
BINS: Final = 10
MOST_LINES: Final = 400
MOST_BOXES: Final = 12
_PRINTED_CELLS: Final = 12
_LONGEST_LABEL: Final = 52


class Bins(NamedTuple):
    """How the values of one parameter are put into the columns or rows of a heat map: their labels, and a bin each."""

    labels: list[str]
    of: list[int]


def bins(axis: Axis, values: Sequence[Any]) -> Bins:
    """Return each value's bin: one for each distinct value while they are few, else equal parts of the range."""
    distinct = sorted(set(values), key=axis.place)
    if len(distinct) <= MOST_BINS:
        return Bins([axis.show(value) for value in distinct], [distinct.index(value) for value in values])
    labels = [axis.show(axis.at((index + 0.5) / BINS)) for index in range(BINS)]
    return Bins(labels, [min(int(axis.place(value) * BINS), BINS - 1) for value in values])


def heat_map(one: Axis, other: Axis, places: tuple[int, int], standings: Sequence[Standing], largest_sat: float) -> str:
    """Return the mean score by two parameters, over whatever the others were; colours reach `largest_sat`."""
    across = bins(one, [standing.trial.values[places[0]] for standing in standings])
    down = bins(other, [standing.trial.values[places[1]] for standing in standings])
    cells: dict[tuple[int, int], list[float]] = {}
    for x, y, standing in zip(across.of, down.of, standings, strict=True):
        cells.setdefault((x, y), []).append(standing.score or 0.0)
    width, height, left, top = 72, 32, 110, 8
    columns, rows = len(across.labels), len(down.labels)
    prints = columns <= _PRINTED_CELLS
    out = []
    for (x, y), scores in sorted(cells.items()):
        mean = statistics.fmean(scores)
        at = f'x="{left + x * width}" y="{top + (rows - 1 - y) * height}"'
        title = (
            f"{one.key} {across.labels[x]}, {other.key} {down.labels[y]}: mean {btc_text(round(mean), plus=True)} BTC, "
            f"best {btc_text(round(max(scores)), plus=True)} BTC, {len(scores)} trials"
        )
        out.append(f'<g><title>{escape(title)}</title><rect {at} width="{width - 1}" height="{height - 1}"')
        out.append(f' style="{_colour(mean, largest_sat)}"/>')
        if prints:
            middle = f'x="{left + (x + 0.5) * width:.0f}" y="{top + (rows - y - 0.5) * height + 4:.0f}"'
            out.append(f'<text class="cell" {middle}>{mean / SAT_PER_BTC:+.2f}</text>')
        out.append("</g>")
    bottom = top + rows * height
    for x, label in enumerate(across.labels):
        out.append(
            f'<text class="x" x="{left + (x + 0.5) * width:.0f}" y="{bottom + 15}">{escape(_short(label))}</text>'
        )
    for y, label in enumerate(down.labels):
        middle_y = top + (rows - y - 0.5) * height + 4
        out.append(f'<text class="y" x="{left - 6}" y="{middle_y:.0f}">{escape(_short(label))}</text>')
    whole = left + columns * width
    out.append(f'<text class="name" x="{left + columns * width / 2:.0f}" y="{bottom + 33}">{escape(one.key)}</text>')
    return _figure(
        f"{other.key} by {one.key}",
        "mean net profit, BTC",
        f'<svg viewBox="0 0 {whole} {bottom + 40}" style="max-width:{whole}px">{"".join(out)}</svg>',
    )


def _colour(value: float, largest: float) -> str:
    """Return a style: gains in one colour, losses in another, stronger the larger."""
    if value == 0.0:
        return "fill:var(--grid)"
    return f"fill:var(--{'gain' if value > 0 else 'loss'});fill-opacity:{0.06 + 0.74 * abs(value) / largest:.2f}"


def parallel(axes: Sequence[Axis], standings: Sequence[Standing]) -> str:
    """Return a line for each trial through its value on every parameter and its score; the best tenth stands out."""
    kept = _spread(standings, MOST_LINES)
    width, height, left, top = 1_000, 300, 60, 34
    scores = scale([(one.score or 0.0) / SAT_PER_BTC for one in kept])
    step = (width - 2 * left) / len(axes)
    best = max(1, len(kept) // 10)
    lines = []
    for rank, one in sorted(enumerate(kept), reverse=True):  # the best are drawn last, on top
        ys = [1.0 - axis.place(value) for axis, value in zip(axes, one.trial.values, strict=True)]
        ys.append(scores.fraction((one.score or 0.0) / SAT_PER_BTC))
        points = " ".join(f"{left + index * step:.0f},{top + y * height:.1f}" for index, y in enumerate(ys))
        name = "best" if rank < best else "up" if (one.score or 0.0) > 0 else "down"
        title = f"{', '.join(f'{key} {value}' for key, value in one.shown.items())}: {_amount(one)}"
        lines.append(f'<polyline class="{name}" points="{points}"><title>{escape(title)}</title></polyline>')
    for index, axis in enumerate(axes):
        x = left + index * step
        lines.append(f'<line class="axis" x1="{x:.0f}" x2="{x:.0f}" y1="{top}" y2="{top + height}"/>')
        lines.append(f'<text class="name" x="{x:.0f}" y="{top - 16}">{escape(axis.key)}</text>')
        for place in (0.0, 0.5, 1.0) if axis.range.is_span else (0.0, 1.0):
            value = (
                axis.at(place) if axis.range.is_span else axis.range.values[round(place * (len(axis.range.values) - 1))]
            )
            y = top + (1.0 - axis.place(value)) * height + 4
            lines.append(f'<text class="tick" x="{x + 5:.0f}" y="{y:.0f}">{escape(_short(axis.show(value)))}</text>')
    lines += _score_axis(scores, left + len(axes) * step, top, height)
    note = f"{len(kept)} of {len(standings)} trials" if len(kept) < len(standings) else f"{len(kept)} trials"
    return _figure(
        "All parameters at once",
        f"{note}; the best tenth in blue",
        f'<svg class="parallel" viewBox="0 0 {width} {top + height + 14}">{"".join(lines)}</svg>',
    )


def _score_axis(scores: Scale, x: float, top: int, height: int) -> list[str]:
    out = [
        f'<line class="axis" x1="{x:.0f}" x2="{x:.0f}" y1="{top}" y2="{top + height}"/>',
        f'<text class="name" x="{x:.0f}" y="{top - 16}">net, BTC</text>',
    ]
    for tick in scores.ticks:
        y = top + scores.fraction(tick) * height
        out.append(f'<text class="tick" x="{x + 6:.0f}" y="{y + 4:.0f}">{tick:+.{scores.digits}f}</text>')
    return out


def _spread(standings: Sequence[Standing], most: int) -> list[Standing]:
    """Return at most so many: the best quarter of them as they are, the rest evenly by rank."""
    if len(standings) <= most:
        return list(standings)
    first = most // 4  # rounded down
    rest = standings[first:]
    return [*standings[:first], *(rest[index * len(rest) // (most - first)] for index in range(most - first))]


def boxes(standings: Sequence[Standing]) -> str:
    """Return the profits of the best trials over the simulated markets: all as dots, quartiles as a box."""
    shown = standings[:MOST_BOXES]
    values = [net / SAT_PER_BTC for one in shown for net in (*one.drawn_sat, one.row.net_sat)]
    axis = scale(values, zero=True)
    width, left, row = 1_000, 330, 34

    def at(value: float) -> float:
        return left + (1.0 - axis.fraction(value)) * (width - left - 20)

    height = row * len(shown)
    out = [
        f'<line class="{"zero" if not tick else "grid"}" x1="{at(tick):.0f}" x2="{at(tick):.0f}" y2="{height}"/>'
        for tick in axis.ticks
    ]
    for index, one in enumerate(shown):
        y = row * (index + 0.5)
        nets = sorted(net / SAT_PER_BTC for net in one.drawn_sat)
        low, middle, high = statistics.quantiles(nets, n=4, method="inclusive") if len(nets) > 1 else nets * 3
        words = ", ".join(f"{key} {value}" for key, value in one.shown.items())
        title, label = f"{words}: {_amount(one)}", f"{index + 1}. {words}"
        out.append(f"<g><title>{escape(title)}</title>")
        out.append(f'<text class="y" x="{left - 10}" y="{y + 4:.0f}">{escape(label[:_LONGEST_LABEL])}</text>')
        out.append(f'<line class="whisker" x1="{at(nets[0]):.1f}" x2="{at(nets[-1]):.1f}" y1="{y}" y2="{y}"/>')
        out.append(f'<rect class="box" x="{at(low):.1f}" width="{at(high) - at(low):.1f}" y="{y - 8}" height="16"/>')
        out.append(f'<line class="median" x1="{at(middle):.1f}" x2="{at(middle):.1f}" y1="{y - 8}" y2="{y + 8}"/>')
        out += [f'<circle class="dot" cx="{at(net):.1f}" cy="{y + 11}" r="2"/>' for net in nets]
        x = at(one.row.net_sat / SAT_PER_BTC)
        out.append(f'<path class="here" d="M{x:.1f} {y - 6}l5 6l-5 6l-5-6z"/></g>')
    out += [
        f'<text class="x" x="{at(tick):.0f}" y="{height + 14}">{tick:+.{axis.digits}f}</text>' for tick in axis.ticks
    ]
    return _figure(
        "The best trials over simulated markets",
        f"net profit, BTC; {len(shown[0].drawn_sat)} markets: dots, box of quartiles with the median; diamond: the "
        "configured market",
        f'<svg class="boxes" viewBox="0 0 {width} {height + 20}">{"".join(out)}</svg>',
    )


def histogram(standings: Sequence[Standing]) -> str:
    """Return how many trials made how much: where the best stands among all."""
    values = [(one.score or 0.0) / SAT_PER_BTC for one in standings]
    axis = scale(values, zero=True)
    width, height, left, parts = 1_000, 150, 60, 40
    counts = [0] * parts
    for value in values:
        counts[min(int((1.0 - axis.fraction(value)) * parts), parts - 1)] += 1
    step = (width - left - 20) / parts
    out = []
    for index, count in enumerate(counts):
        if count:
            low = axis.low + (axis.high - axis.low) * index / parts
            tall = (height - 14) * count / max(counts)
            name = "gain" if low + (axis.high - axis.low) / parts / 2 > 0 else "loss"
            at = f'x="{left + index * step:.1f}" width="{step - 1:.1f}" y="{height - tall:.1f}" height="{tall:.1f}"'
            style = f"fill:var(--{name});fill-opacity:.65"
            out.append(f'<rect style="{style}" {at}><title>{count} trials</title></rect>')
    for tick in axis.ticks:
        x = left + (1.0 - axis.fraction(tick)) * (width - left - 20)
        out.append(f'<text class="x" x="{x:.0f}" y="{height + 14}">{tick:+.{axis.digits}f}</text>')
    return _figure(
        "All trials",
        f"how many made how much; net profit, BTC, {len(values)} trials",
        f'<svg class="histogram" viewBox="0 0 {width} {height + 20}">{"".join(out)}</svg>',
    )


def _figure(title: str, unit: str, drawing: str) -> str:
    return (
        f'<figure class="chart"><figcaption><b>{escape(title)}</b><span class="unit">{escape(unit)}</span></figcaption>'
        f"{drawing}</figure>"
    )


def _amount(one: Standing) -> str:
    return f"{btc_text(round(one.score or 0.0), plus=True)} BTC"  # rounded half to even, for the eye


def _short(label: str) -> str:
    return label.replace(" contracts", "").replace(" contract", "")
