"""Drawings that stand alone: one SVG file of panels with axes, lines, bands and marks, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

from backtests.report.plots import Scale, Span, scale, time_ticks
from bot.core.units import NS_PER_S

WIDTH: Final = 760
PANEL_HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 18, 52, 40
INK, SOFT, ACCENT, SECOND, THIRD = "#1d2733", "#6b7785", "#1667a8", "#c2571a", "#3f8f4f"
PALETTE: Final = (ACCENT, SECOND, THIRD, "#8453a8", "#a08500", "#7d8894")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through (x, y); `label` names it in the legend."""

    points: Points
    colour: str
    label: str = ""
    dashed: bool = False
    width: float = 1.8
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """The area between a low and a high line over the same x."""

    low: Points
    high: Points
    colour: str
    opacity: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart. `x_is_time`: x are seconds UTC. `marks` are (x, text) of vertical rules."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    bands: Sequence[Band] = ()
    marks: Sequence[tuple[float, str]] = field(default=())
    x_is_time: bool = False
    y_from_zero: bool = False


def svg(title: str, panels: Sequence[Panel], note: str = "") -> str:
    """Return one SVG document with the panels one below the other; every text is escaped."""
    height = 34 + len(panels) * PANEL_HEIGHT + (26 if note else 0)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(_LEFT, 24, title, size=16, weight="600"),
    ]
    for number, panel in enumerate(panels):
        out.append(f'<g transform="translate(0 {34 + number * PANEL_HEIGHT})">{_panel(panel, number)}</g>')
    if note:
        out.append(_text(_LEFT, height - 10, note, colour=SOFT, size=11))
    return "\n".join([*out, "</svg>", ""])


def _text(
    x: float, y: float, text: str, colour: str = INK, size: int = 12, anchor: str = "start", weight: str = "400"
) -> str:
    style = f'fill="{colour}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


class _Frame:
    """Where a panel's numbers lie on the paper."""

    def __init__(self, panel: Panel) -> None:
        drawn = [line.points for line in panel.lines] + [p for b in panel.bands for p in (b.low, b.high)]
        xs = [x for points in drawn for x, _ in points]
        self.x_low, self.x_high = min(xs), max(xs)
        self.axis: Scale = scale([y for points in drawn for _, y in points], zero=panel.y_from_zero)
        self.width, self.height = WIDTH - _LEFT - _RIGHT, PANEL_HEIGHT - _TOP - _BOTTOM

    def x(self, value: float) -> float:
        return _LEFT + self.width * (value - self.x_low) / ((self.x_high - self.x_low) or 1.0)

    def y(self, value: float) -> float:
        return _TOP + self.height * self.axis.fraction(value)

    def path(self, points: Points) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)


def _panel(panel: Panel, number: int) -> str:
    at = _Frame(panel)
    clip = f"clip{number}"
    out = [
        f'<clipPath id="{clip}"><rect x="{_LEFT}" y="{_TOP}" width="{at.width}" height="{at.height}"/></clipPath>',
        _text(_LEFT, 16, panel.title, weight="600", size=13),
        _text(WIDTH - _RIGHT, 16, panel.y_label, colour=SOFT, anchor="end"),
    ]
    for tick in at.axis.ticks:
        y = at.y(tick)
        out.append(f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" stroke="#e4e8ec"/>')
        out.append(_text(_LEFT - 8, y + 4, f"{tick:.{at.axis.digits}f}", colour=SOFT, anchor="end"))
    bottom = _TOP + at.height
    for x, label in _x_ticks(panel, at):
        out.append(f'<path d="M{x:.1f} {bottom}v5" stroke="{SOFT}"/>')
        anchor = "end" if x > WIDTH - _RIGHT - 14 else "middle"  # a label at the edge stays on the paper
        out.append(_text(min(x, WIDTH - 4.0), bottom + 18, label, colour=SOFT, anchor=anchor))
    out.append(_text(_LEFT + at.width / 2, bottom + 35, panel.x_label, colour=SOFT, anchor="middle"))
    out.append(f'<path d="M{_LEFT} {bottom}H{WIDTH - _RIGHT}" stroke="{SOFT}"/><g clip-path="url(#{clip})">')
    out += [_band(band, at) for band in panel.bands]
    out += [_line(line, at) for line in panel.lines]
    out.append("</g>")
    for x, label in panel.marks:
        out.append(f'<path d="M{at.x(x):.1f} {_TOP}V{bottom}" stroke="{SOFT}" stroke-dasharray="2 4"/>')
        left = at.x(x) < WIDTH / 2
        shift, anchor = (4, "start") if left else (-4, "end")
        out.append(_text(at.x(x) + shift, _TOP + 11, label, colour=SOFT, size=11, anchor=anchor))
    return "".join([*out, _legend(panel)])


def _x_ticks(panel: Panel, at: _Frame) -> list[tuple[float, str]]:
    if panel.x_is_time:
        ticks = time_ticks(Span(round(at.x_low * NS_PER_S), round(at.x_high * NS_PER_S)))
        return [(at.x(time_ns / NS_PER_S), label) for time_ns, label in ticks]
    axis = scale([at.x_low, at.x_high], count=8)
    shown = [tick for tick in axis.ticks if at.x_low <= tick <= at.x_high]
    return [(at.x(tick), f"{tick:.{axis.digits}f}") for tick in shown]


def _band(band: Band, at: _Frame) -> str:
    corners = f"{at.path(band.high)} {at.path(list(reversed(band.low)))}"
    return f'<polygon points="{corners}" fill="{band.colour}" fill-opacity="{band.opacity}"/>'


def _line(line: Line, at: _Frame) -> str:
    dash = ' stroke-dasharray="5 4"' if line.dashed else ""
    style = f'fill="none" stroke="{line.colour}" stroke-width="{line.width}"{dash}'
    drawn = f'<polyline points="{at.path(line.points)}" {style} stroke-linejoin="round"/>'
    if line.dots:
        drawn += "".join(
            f'<circle cx="{at.x(x):.1f}" cy="{at.y(y):.1f}" r="2.6" fill="{line.colour}"/>' for x, y in line.points
        )
    return drawn


def _legend(panel: Panel) -> str:
    out, x = [], float(_LEFT)
    named = [(b.colour, b.label, b.opacity) for b in panel.bands] + [(n.colour, n.label, 1.0) for n in panel.lines]
    for colour, label, opacity in named:
        if label:
            box = f'<rect x="{x:.1f}" y="27" width="14" height="9"'
            out.append(f'{box} fill="{colour}" fill-opacity="{max(opacity, 0.2)}"/>')
            out.append(_text(x + 19, 36, label, colour=SOFT))
            x += 38 + 7.2 * len(label)
    return "".join(out)
