"""The parts of the report that are drawn against time: one strategy's panel, and the chain and swap market."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import Any, Final

from backtests.attribution import PARTS, Attribution, Trade
from backtests.metrics import Metrics
from backtests.output import SIMULATED, btc_text
from backtests.report import plots
from backtests.report.plots import Chart, Scale, Span
from backtests.result import RunResult
from bot.core.events import Fill, Notice
from bot.core.units import NS_PER_DAY, SAT_PER_BTC, half_up_div
from bot.history.fields import iso_utc

READINGS: Final = 600
"""How many times along the axis the pointer can read; each shows the last value at or before it."""
MAX_TRADES: Final = 200
MAX_NOTICES: Final = 200
_MARK_COLUMNS: Final = 400
_ALARMS: Final = frozenset({"margin_call", "liquidation", "deficit", "recall"})
"""Kinds of notice that are drawn on the price chart and come first in the list."""


def amount(value_sat: int, plus: bool = True) -> str:
    """Return satoshi as BTC with 8 decimals in HTML, the last four small; a gain and a loss differ in colour."""
    text = btc_text(value_sat, plus)
    name = "plain" if not plus else "gain" if value_sat > 0 else "loss" if value_sat < 0 else "nil"
    return f'<span class="{name}">{text[:-4]}<small>{text[-4:]}</small></span>'


def minute(time_ns: int) -> str:
    """Return the UTC date and time to the minute, rounded down."""
    return iso_utc(time_ns)[:16].replace("T", " ")


def number(value: float | None, pattern: str = "{:.2f}") -> str:
    """Return `value` by `pattern`, a dash for None."""
    return "–" if value is None else pattern.format(value)


def length(length_ns: int | None) -> str:
    """Return a length of time in hours or days, a dash for None."""
    if length_ns is None:
        return "–"
    days = length_ns / NS_PER_DAY
    return f"{days:.1f} days" if days >= 2 else f"{24 * days:.1f} hours"


class Canvas:
    """What the charts of a page share: the time axis, the mark of simulation, and what the pointer reads."""

    def __init__(self, span: Span, simulated: bool) -> None:
        self.span = span
        self.simulated = simulated
        self._arrays: dict[str, list[float | None]] = {}
        self._charts: dict[str, list[tuple[str, str, int, str]]] = {}

    @property
    def mark(self) -> str:
        """The mark that every chart of market prices carries, empty where prices were recorded."""
        return SIMULATED if self.simulated else ""

    def keep(self, name: str, times_ns: Sequence[int], values: Sequence[float | None], digits: int = 4) -> str:
        """Keep the last value at or before each reading's time under `name`, and return the name."""
        length_ns = self.span.end_ns - self.span.start_ns
        readings: list[float | None] = []
        left = 0
        for index in range(READINGS):
            time_ns = self.span.start_ns + length_ns * index // (READINGS - 1)  # rounded down
            left = bisect_right(times_ns, time_ns, left)
            value = values[left - 1] if left else None
            readings.append(None if value is None else round(value, digits))
        self._arrays[name] = readings
        return name

    def show(self, key: str, rows: Sequence[tuple[str, str, int, str]]) -> str:
        """Let the chart `key` read `rows` of (label, unit, decimals, kept name), and return the key."""
        self._charts[key] = list(rows)
        return key

    def samples(self) -> str:
        """Return the readings as JSON that cannot end its script element."""
        content: Mapping[str, Any] = {
            "start_ms": self.span.start_ns // 1_000_000,  # rounded down
            "end_ms": self.span.end_ns // 1_000_000,
            "count": READINGS,
            "arrays": self._arrays,
            "charts": self._charts,
        }
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


class StrategyPanel:
    """Everything about one strategy: measures, charts, trades and notices."""

    def __init__(self, canvas: Canvas, index: int, result: RunResult, attribution: Attribution) -> None:
        self._canvas = canvas
        self._index = index
        self._result = result
        self._attribution = attribution
        self._contract = result.contract

    def render(self, metrics: Metrics, price_axis: Scale) -> str:
        """Return the panel; `price_axis` is shared by all strategies, as is the path `market-price`."""
        return (
            f'<div class="panel" id="s{self._index}"><h3>{escape(self._result.name)}</h3>{self._tiles(metrics)}'
            f'{self._price_chart(price_axis)}<div class="pair">{self._equity_chart()}{self._fall_chart()}</div>'
            f"{self._position_chart()}{self._trades()}{self._notices()}</div>"
        )

    def _tiles(self, metrics: Metrics) -> str:
        fall = metrics.drawdown
        depth, recovery = "–", "equity never fell"
        if fall is not None:
            depth = f"{btc_text(fall.depth_sat)[:-4]} BTC"
            back = "not recovered" if fall.recovered_ns is None else f"back {minute(fall.recovered_ns)[:10]}"
            recovery = f"{number(fall.depth_frac, '{:.1%}')}, low {minute(fall.trough_ns)[:10]}, {back}"
        every = f"per year, {metrics.sampling}"
        tiles = [
            ("net, BTC", amount(self._attribution.split.total_sat), "after all costs"),
            ("return", number(metrics.return_frac, "{:+.2%}"), "over the run"),
            ("Sharpe", number(metrics.sharpe_year), every),
            ("Sortino", number(metrics.sortino_year), every),
            ("volatility", number(metrics.volatility_year, "{:.1%}"), every),
            ("max drawdown", depth, recovery),
            ("trades", str(metrics.trades), f"{metrics.closed_trades} closed"),
            ("hit rate", number(metrics.hit_rate, "{:.0%}"), "of closed trades"),
            ("profit factor", number(metrics.profit_factor), "gains / losses"),
            ("mean holding", length(metrics.mean_holding_ns), "closed trades"),
            ("exposure", number(metrics.exposure_frac, "{:.1%}"), "position value / equity"),
            ("in the market", number(metrics.in_market_frac, "{:.1%}"), "of the time"),
            ("turnover", number(metrics.turnover, "{:.2f} ×"), "traded / mean equity"),
            ("final equity, BTC", amount(self._attribution.final_equity_sat, plus=False), "at the last mark"),
        ]
        cells = "".join(
            f"<div><dt>{name}</dt><dd>{value}<small>{escape(about)}</small></dd></div>" for name, value, about in tiles
        )
        return f'<dl class="tiles">{cells}</dl>'

    def _price_chart(self, axis: Scale) -> str:
        span, index, seen = self._canvas.span, self._index, self._result.observations
        times = [one.time_ns for one in seen]
        fair: list[float | None] = [one.fair_sat / SAT_PER_BTC for one in seen]
        has_band = [bool(one.low_sat or one.high_sat) for one in seen]
        low = [one.low_sat / SAT_PER_BTC if has else None for one, has in zip(seen, has_band, strict=True)]
        high = [one.high_sat / SAT_PER_BTC if has else None for one, has in zip(seen, has_band, strict=True)]
        bands = zip(plots.runs(times, low, span), plots.runs(times, high, span), strict=True)
        lines = [plots.path("f-band", plots.area(below, above, span, axis)) for below, above in bands]
        lines += [plots.path("l-fair", plots.line(part, span, axis)) for part in plots.runs(times, fair, span)]
        lines.append('<use class="l-price" href="#market-price"/>')
        rows = [("price", "BTC", 4, "price"), ("fair value", "BTC", 4, self._canvas.keep(f"fair-{index}", times, fair))]
        legend = [("s-price", "price (mark)"), ("s-fair", "fair value")]
        if any(has_band):
            legend.append(("box s-band", "no-trade band"))
            rows.append(("band from", "BTC", 4, self._canvas.keep(f"low-{index}", times, low)))
            rows.append(("band to", "BTC", 4, self._canvas.keep(f"high-{index}", times, high)))
        legend += [("up", "buy"), ("down", "sell")]
        alarms = [one for one in self._result.notices if self._is_alarm(one)]
        if alarms:
            legend.append(("s-alarm", "margin call, liquidation, recall"))
        # one rule a column, the first: a margin call repeated every hour must not black out the chart
        columns = {int(_MARK_COLUMNS * span.fraction(one.time_ns)): one for one in reversed(alarms)}
        marks = [
            plots.vertical(one.time_ns, span, "alarm", f"{one.kind} {minute(one.time_ns)} UTC: {one.text}")
            for one in columns.values()
        ]
        return Chart(
            "Price and fair value",
            f"BTC per {self._contract.asset} contract",
            self._canvas.show(f"price-{index}", rows),
            span,
            axis,
            lines,
            marks + self._fill_marks(axis),
            legend,
            "Area of a triangle: size; its tip: the price.",
            340,
            mark=self._canvas.mark,
        ).render()

    def _is_alarm(self, notice: Notice) -> bool:
        return notice.user == self._result.user and notice.kind in _ALARMS

    def _fill_marks(self, axis: Scale) -> list[str]:
        """Return the fills as triangles, those of one side and one column as one at their average price."""
        span = self._canvas.span
        groups: dict[tuple[int, bool], list[Fill]] = {}
        for fill in self._result.fills:
            if fill.user == self._result.user:
                column = int(_MARK_COLUMNS * span.fraction(fill.time_ns))
                groups.setdefault((column, fill.size_lots > 0), []).append(fill)
        sizes = {key: sum(abs(fill.size_lots) for fill in fills) for key, fills in groups.items()}
        largest = max(sizes.values(), default=1)
        marks = []
        for key, fills in groups.items():
            worth = sum(abs(fill.size_lots) * fill.price_sat for fill in fills)
            price_sat = half_up_div(worth, sizes[key])
            contracts = sizes[key] / self._contract.lots_per_contract
            title = (
                f"{'buy' if key[1] else 'sell'} {contracts:.2f} {self._contract.asset} at {btc_text(price_sat)} BTC, "
                f"{minute(fills[0].time_ns)} UTC" + (f" ({len(fills)} fills)" if len(fills) > 1 else "")
            )
            share = sizes[key] / largest
            at = (span, axis)
            marks.append(plots.triangle(fills[0].time_ns, price_sat / SAT_PER_BTC, share, key[1], title, at))
        return marks

    def _equity_chart(self) -> str:
        span, times = self._canvas.span, [mark.time_ns for mark in self._result.marks]
        equity = [mark.equity_sat / SAT_PER_BTC for mark in self._result.marks]
        points = plots.thin(times, equity, span)
        axis = plots.scale([value for _, value in points])
        name = self._canvas.keep(f"equity-{self._index}", times, equity)
        key = self._canvas.show(f"equity-{self._index}", [("equity", "BTC", 4, name)])
        lines = [plots.path("l-equity", plots.line(points, span, axis))]
        return Chart("Equity", "BTC", key, span, axis, lines, mark=self._canvas.mark).render()

    def _fall_chart(self) -> str:
        """Return the drawdown in per cent of the peak, the user's own deposits and withdrawals taken out."""
        span, times = self._canvas.span, [mark.time_ns for mark in self._result.marks]
        flows = self._attribution.other_flows
        sums = [0, *accumulate(flow.amount_sat for flow in flows)]
        dates = [flow.time_ns for flow in flows]
        net = [mark.equity_sat - sums[bisect_right(dates, mark.time_ns)] for mark in self._result.marks]
        peaks = accumulate(net, max, initial=self._attribution.start_equity_sat)
        next(peaks)
        falls = [100 * (value / peak - 1) if peak > 0 else 0.0 for value, peak in zip(net, peaks, strict=True)]
        points = plots.thin(times, falls, span)
        axis = plots.scale([value for _, value in points], zero=True)
        key = self._canvas.show(
            f"fall-{self._index}",
            [("drawdown", "%", 2, self._canvas.keep(f"fall-{self._index}", times, falls, 2))],
        )
        lines = [
            plots.path("f-fall", plots.below(points, span, axis)),
            plots.path("l-fall", plots.line(points, span, axis)),
        ]
        return Chart("Drawdown", "% of the highest equity", key, span, axis, lines, mark=self._canvas.mark).render()

    def _position_chart(self) -> str:
        span, times = self._canvas.span, [mark.time_ns for mark in self._result.marks]
        held = [mark.position_lots / self._contract.lots_per_contract for mark in self._result.marks]
        points = plots.thin(times, held, span)
        axis = plots.scale([value for _, value in points], zero=True, count=4)
        key = self._canvas.show(
            f"position-{self._index}",
            [("position", self._contract.asset, 2, self._canvas.keep(f"held-{self._index}", times, held, 2))],
        )
        lines = [
            plots.path("f-long", plots.below(points, span, axis, step=True)),
            plots.path("l-long", plots.line(points, span, axis, step=True)),
        ]
        return Chart(
            "Position", f"{self._contract.asset} contracts, long above zero", key, span, axis, lines, height=150
        ).render()

    def _trades(self) -> str:
        trades = sorted(self._attribution.trades, key=lambda trade: trade.split.total_sat)
        shown = trades if len(trades) <= MAX_TRADES else trades[: MAX_TRADES // 2] + trades[-MAX_TRADES // 2 :]
        worst = max((abs(trade.split.total_sat) for trade in shown), default=0) or 1
        parts = [part for at, part in enumerate(PARTS) if any(one.split[at] for one in shown)]
        heads = ["#", "side", "opened, UTC", "closed, UTC", "ended by", "largest", "entry", "exit", "net, BTC", ""]
        head = "".join(f"<th>{text}</th>" for text in heads + parts)
        body = "".join(self._trade_row(trade, parts, worst) for trade in shown)
        outside = self._attribution.outside
        rest = ", ".join(f"{part} {amount(value)}" for part, value in zip(PARTS, outside, strict=True) if value)
        many = "1 trade" if len(trades) == 1 else f"{len(trades)} trades"
        count = many if shown is trades else f"the 100 worst and 100 best of {len(trades)} trades"
        notes = f"<p>Earned or paid while flat, in BTC: {rest}.</p>" if rest else ""
        sorts = "".join(
            f'<button type="button" data-by="{by}" data-sign="{sign}" aria-pressed="{first}">{text}</button>'
            for by, sign, text, first in (
                ("net", "+", "worst first", "true"),
                ("net", "-", "best first", "false"),
                ("number", "+", "by time", "false"),
            )
        )
        if not trades:
            return f'<div class="card"><p>No trades.</p>{notes}</div>'
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        mark = f'<span class="sim">{self._canvas.mark}</span>' if self._canvas.mark else ""
        sort = f'<div class="sort">{mark}<b>{count}, profit split in BTC</b>{sorts}</div>'
        return f'<div class="card">{sort}<div class="scroll long">{table}</div>{notes}</div>'

    def _trade_row(self, trade: Trade, parts: list[str], worst: int) -> str:
        net = trade.split.total_sat
        width = 50 * abs(net) / worst
        side = "left:50%" if net > 0 else f"left:{50 - width:.1f}%"
        bar = f'<i class="{"up" if net > 0 else "down"}" style="{side};width:{width:.1f}%"></i>'
        size = f"{trade.peak_lots / self._contract.lots_per_contract:.2f} {escape(self._contract.asset)}"
        cells = [
            str(trade.number),
            "long" if trade.side > 0 else "short",
            minute(trade.opened_ns),
            "–" if trade.closed_ns is None else minute(trade.closed_ns),
            escape(trade.ended_by),
            size,
            *(
                "–" if price is None else btc_text(price)[:-4]
                for price in (trade.entry_price_sat, trade.exit_price_sat)
            ),
        ]
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        row += f'<td class="net">{amount(net)}</td><td class="bar">{bar}</td>'
        row += "".join(f"<td>{amount(trade.split[PARTS.index(part)])}</td>" for part in parts)
        return f'<tr data-net="{net}" data-number="{trade.number}">{row}</tr>'

    def _notices(self) -> str:
        notices = [one for one in self._result.notices if one.user == self._result.user]
        if not notices:
            return '<div class="card"><p>No notices: no margin call, no liquidation, no recall.</p></div>'
        # alarms first, so that a flood of cancelled orders cannot hide them; each group in time order
        shown = sorted(notices, key=lambda one: not self._is_alarm(one))[:MAX_NOTICES]
        rows = ""
        for one in shown:
            kind = (
                f'<span class="tag{" bad" if self._is_alarm(one) else ""}">{escape(one.kind.replace("_", " "))}</span>'
            )
            rows += f'<tr><td class="when">{minute(one.time_ns)}</td><td>{kind}</td><td>{escape(one.text)}</td></tr>'
        kinds = Counter(one.kind.replace("_", " ") for one in notices)
        more = ": " + escape(", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
        more += f"; {len(shown)} shown" if len(shown) < len(notices) else ""
        return (
            f'<div class="card"><p><b>{len(notices)} notices</b>{more}. Times are UTC.</p><div class="scroll long">'
            f'<table class="text"><tbody>{rows}</tbody></table></div></div>'
        )
