"""Plots as inline SVG: scales, ticks, honest thinning, and charts that stretch without distorting text or marks.

Lines live in an SVG whose box is stretched to the page (`preserveAspectRatio="none"` with strokes that do not
scale); marks and labels are placed beside it in per cent. So one drawing fits a phone and a wide screen.
Values here are floats for the eye only; every number that is printed as an amount is made from integers elsewhere.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Final, NamedTuple

from bot.core.units import NS_PER_DAY, NS_PER_S

COLUMNS: Final = 1_000
"""Into how many columns a series is thinned: about one per pixel of the widest page."""
WIDTH: Final = 2_000
HEIGHT: Final = 1_000

Point = tuple[int, float]
"""A time in nanoseconds and a value in the unit of its axis."""

_HOUR_S = 3_600
_STEPS_S: Final = tuple(hours * _HOUR_S for hours in (1, 2, 6, 12, 24, 48, 120, 168, 336))


class Span(NamedTuple):
    """The time axis of a chart."""

    start_ns: int
    end_ns: int

    def fraction(self, time_ns: int) -> float:
        """Return where `time_ns` lies between start (0) and end (1), not clipped."""
        return (time_ns - self.start_ns) / max(self.end_ns - self.start_ns, 1)


class Scale(NamedTuple):
    """A value axis from `low` to `high` with its ticks; `digits` decimals tell ticks apart."""

    low: float
    high: float
    ticks: tuple[float, ...]
    digits: int

    def fraction(self, value: float) -> float:
        """Return where `value` lies from the top (0) to the bottom (1), not clipped."""
        return (self.high - value) / (self.high - self.low)


def scale(values: Iterable[float], *, zero: bool = False, count: int = 5) -> Scale:
    """Return an axis around `values` whose ticks are 1, 2 or 5 times a power of ten; `zero` includes 0.

    Heckbert, Nice Numbers for Graph Labels, in Graphics Gems, 1990. An empty or flat series gets a unit axis.
    """
    seen = [*values, *([0.0] if zero else [])] or [0.0]
    low, high = min(seen), max(seen)
    if high <= low:
        margin = abs(high) * 0.1 or 1.0
        low, high = low - (0.0 if zero and low == 0 else margin), high + margin
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in (1, 2, 5, 10) if nice * power >= rough * (1 - 1e-9))
    margin = (high - low) * 0.04
    low = low if zero and low == 0 else low - margin
    high = high if zero and high == 0 else high + margin
    ticks = tuple(step * index for index in range(math.ceil(low / step), math.floor(high / step) + 1))
    return Scale(low, high, ticks, max(0, -math.floor(math.log10(step) + 1e-9)))


def time_ticks(span: Span) -> list[tuple[int, str]]:
    """Return (time_ns, label) ticks in UTC: hours, days, the 1st and 15th, months or years, as the span needs."""
    length_s = max((span.end_ns - span.start_ns) // NS_PER_S, 1)  # rounded down
    start_s = -(-span.start_ns // NS_PER_S)  # rounded up: inside the span
    end_s = span.end_ns // NS_PER_S
    if length_s <= 60 * 24 * _HOUR_S:
        step_s = next(step for step in _STEPS_S if length_s // step <= 8)
        first_s = -(-start_s // step_s) * step_s
        pattern = "{0:%H:%M} {0.day} {0:%b}" if step_s < 24 * _HOUR_S else "{0.day} {0:%b}"
        dates = [datetime.fromtimestamp(second, UTC) for second in range(first_s, end_s + 1, step_s)]
        return [(int(date.timestamp()) * NS_PER_S, pattern.format(date)) for date in dates]
    days = length_s // 86_400
    months = 1 if days <= 400 else 3 if days <= 1_200 else 12 * -(-days // 4_000)
    date = datetime.fromtimestamp(start_s, UTC)
    year, month = date.year, 1
    ticks = []
    while (second := int(datetime(year, month, 1, tzinfo=UTC).timestamp())) <= end_s:
        for day in (1, 15) if days <= 200 else (1,):
            second = int(datetime(year, month, day, tzinfo=UTC).timestamp())
            if start_s <= second <= end_s:
                label = datetime.fromtimestamp(second, UTC)
                text = f"{label.day} {label:%b}" if days <= 200 else f"{label:%b %Y}"
                ticks.append((second * NS_PER_S, text))
        year, month = year + (month + months - 1) // 12, (month + months - 1) % 12 + 1
    return ticks


def thin(times_ns: Sequence[int], values: Sequence[float], span: Span) -> list[Point]:
    """Return at most four points a column: first, lowest, highest, last, so no extreme is lost.

    Jugel et al., M4: A Visualization-Oriented Time Series Data Aggregation, VLDB 7(10), 2014: drawn at one
    column a pixel the line is the same as that of all points. Points outside the span are dropped.
    """
    begin, end = bisect_left(times_ns, span.start_ns), bisect_right(times_ns, span.end_ns)
    if end - begin <= 4 * COLUMNS:
        return list(zip(times_ns[begin:end], values[begin:end], strict=True))
    points: list[Point] = []
    length_ns = span.end_ns - span.start_ns
    left = begin
    for column in range(1, COLUMNS + 1):
        edge_ns = span.start_ns + length_ns * column // COLUMNS  # rounded down
        right = bisect_right(times_ns, edge_ns, left, end)
        if right > left:
            part = values[left:right]
            keep = {left, left + part.index(min(part)), left + part.index(max(part)), right - 1}
            points.extend((times_ns[index], values[index]) for index in sorted(keep))
        left = right
    return points


def runs(times_ns: Sequence[int], values: Sequence[float | None], span: Span) -> list[list[Point]]:
    """Return the thinned stretches between missing values (None): a gap stays a gap."""
    stretches: list[list[Point]] = []
    begin = 0
    while begin < len(values):
        if values[begin] is None:
            begin += 1
            continue
        end = begin
        while end < len(values) and values[end] is not None:
            end += 1
        part = [value for value in values[begin:end] if value is not None]
        stretches.append(thin(times_ns[begin:end], part, span))
        begin = end
    return stretches


def _corner(point: Point, span: Span, axis: Scale) -> tuple[int, int]:
    return round(WIDTH * span.fraction(point[0])), round(HEIGHT * axis.fraction(point[1]))


def line(points: Sequence[Point], span: Span, axis: Scale, *, step: bool = False) -> str:
    """Return the path of a line in the stretched box, in relative whole units; `step` holds values until the next."""
    if not points:
        return ""
    x, y = _corner(points[0], span, axis)
    out = [f"M{x} {y}l0 0"]
    for point in points[1:]:
        to_x, to_y = _corner(point, span, axis)
        moves = ((to_x - x, 0), (0, to_y - y)) if step else ((to_x - x, to_y - y),)
        out += [f"{dx} {dy}" for dx, dy in moves if dx or dy]
        x, y = to_x, to_y
    return " ".join(out).replace(" -", "-")


def area(low: Sequence[Point], high: Sequence[Point], span: Span, axis: Scale) -> str:
    """Return the closed path between two lines."""
    if not low or not high:
        return ""
    back = line([*reversed(low)], span, axis)
    return line(high, span, axis) + "L" + back[1:] + "z"


def below(points: Sequence[Point], span: Span, axis: Scale, *, step: bool = False) -> str:
    """Return the closed path between a line and zero."""
    if not points:
        return ""
    zero = round(HEIGHT * axis.fraction(0.0))
    last_x = round(WIDTH * span.fraction(points[-1][0]))
    first_x = round(WIDTH * span.fraction(points[0][0]))
    return f"{line(points, span, axis, step=step)}L{last_x} {zero} {first_x} {zero}z"


def bars(days: Sequence[Point], span: Span, axis: Scale, length_ns: int = NS_PER_DAY) -> str:
    """Return one path of bars, each from its time for `length_ns`, clipped to the span, with a gap between."""
    zero = round(HEIGHT * axis.fraction(0.0))
    out = []
    for time_ns, value in days:
        left = round(WIDTH * max(span.fraction(time_ns), 0.0))
        right = round(WIDTH * min(span.fraction(time_ns + length_ns), 1.0))
        if right > left:
            top = round(HEIGHT * axis.fraction(value))
            out.append(f"M{left} {zero}V{top}H{max(right - 4, left + 1)}V{zero}z")
    return "".join(out)


def path(name: str, d: str) -> str:
    """Return a path element of CSS class `name`, nothing if there is nothing to draw."""
    return f'<path class="{name}" d="{d}"/>' if d else ""


def vertical(time_ns: int, span: Span, name: str, title: str) -> str:
    """Return a vertical rule of CSS class `name` at a time, with a title for the pointer."""
    x = f"{100 * span.fraction(time_ns):.2f}%"
    return f'<line class="{name}" x1="{x}" x2="{x}" y1="0" y2="100%"><title>{escape(title)}</title></line>'


def triangles() -> str:
    """Return the definitions of six buy (up) and six sell (down) triangles; the tip is the price, areas 1 to 6."""
    out = []
    for size in range(1, 7):
        half, tall = 3.3 * math.sqrt(size), 6.0 * math.sqrt(size)
        out.append(f'<path id="b{size}" class="buy" d="M0 0L{half:.1f} {tall:.1f}H-{half:.1f}z"/>')
        out.append(f'<path id="a{size}" class="sell" d="M0 0L{half:.1f}-{tall:.1f}H-{half:.1f}z"/>')
    return "".join(out)


def triangle(time_ns: int, value: float, size_fraction: float, buys: bool, title: str, at: tuple[Span, Scale]) -> str:
    """Return a mark for a fill: its area grows with `size_fraction` (0..1) in six steps."""
    span, axis = at
    size = min(6, max(1, math.ceil(6 * size_fraction)))
    x, y = f"{100 * span.fraction(time_ns):.2f}%", f"{100 * axis.fraction(value):.2f}%"
    return f'<use href="#{"b" if buys else "a"}{size}" x="{x}" y="{y}"><title>{escape(title)}</title></use>'


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart against time. `lines` go into the stretched box, `marks` are placed in per cent above it.

    `key` names the rows of the tooltip; `legend` pairs a CSS class of swatch with its text; `note` says what the
    eye should know; `mark` is set before it in a box (simulated prices).
    """

    title: str
    unit: str
    key: str
    span: Span
    axis: Scale
    lines: list[str]
    marks: list[str] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    note: str = ""
    height: int = 220
    mark: str = ""

    def render(self) -> str:
        """Return the chart as HTML; titles, legends and notes are escaped here."""
        ticks = [(self.axis.fraction(tick), tick) for tick in self.axis.ticks]
        grid, left, bottom = "", "", []
        for fraction, tick in ticks:
            y = f"{100 * fraction:.2f}%"
            grid += f'<line class="{"grid" if tick else "zero"}" x2="100%" y1="{y}" y2="{y}"/>'
            left += f'<span style="top:{y}">{tick:.{self.axis.digits}f}</span>'
        for index, (time_ns, text) in enumerate(time_ticks(self.span)):
            x = 100 * self.span.fraction(time_ns)
            place = " start" if x < 4 else " end" if x > 96 else ""
            grid += f'<line class="tick" x1="{x:.2f}%" x2="{x:.2f}%" y2="100%"/>'
            bottom.append(f'<span class="{"odd" if index % 2 else "even"}{place}" style="left:{x:.2f}%">{text}</span>')
        swatches = "".join(
            f'<span class="key"><i class="{name}"></i>{escape(text)}</span>' for name, text in self.legend
        )
        mark = f'<span class="sim">{escape(self.mark)}</span>' if self.mark else ""
        note = f'<p class="note">{mark}{escape(self.note)}</p>' if mark or self.note else ""
        return (
            f'<figure class="chart" data-key="{escape(self.key)}"><figcaption><b>{escape(self.title)}</b>'
            f'<span class="unit">{escape(self.unit)}</span>{swatches}</figcaption>'
            f'<div class="frame" style="height:{self.height}px"><div class="ys">{left}</div><div class="plot">'
            f'<svg aria-hidden="true">{grid}</svg>'
            f'<svg role="img" aria-label="{escape(self.title)}" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'preserveAspectRatio="none">{"".join(self.lines)}</svg>'
            f'<svg class="marks">{"".join(self.marks)}</svg><i class="cursor"></i></div></div>'
            f'<div class="xs">{"".join(bottom)}</div>{note}</figure>'
        )


def stack(parts: Sequence[tuple[str, float, str]], total: tuple[float, str], axis: tuple[float, float]) -> str:
    """Return one diverging stacked bar: gains to the right of zero, losses to the left, the total as a rule.

    `parts` are (CSS class, value, title); `axis` is the (lowest, highest) value that all bars share.
    """
    low, high = axis
    width = (high - low) or 1.0
    place: Callable[[float], str] = lambda value: f"{100 * (value - low) / width:.2f}%"  # noqa: E731
    out = []
    gain = loss = 0.0
    for name, value, title in parts:
        begin, end = (gain, gain + value) if value > 0 else (loss + value, loss)
        gain, loss = (end, loss) if value > 0 else (gain, begin)
        if value:
            box = f'x="{place(begin)}" width="{100 * (end - begin) / width:.2f}%" y="5" height="18"'
            out.append(f'<rect class="{name}" {box}><title>{escape(title)}</title></rect>')
    x, zero = place(total[0]), place(0.0)
    out.append(f'<line class="zero" x1="{zero}" x2="{zero}" y2="100%"/>')
    out.append(f'<line class="net" x1="{x}" x2="{x}" y1="1" y2="27"><title>{escape(total[1])}</title></line>')
    return f'<svg class="stack" height="28">{"".join(out)}</svg>'
