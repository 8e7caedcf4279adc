"""The report of a run: one HTML page that needs nothing but itself.

Amounts are printed from integers; the plots and the readings under the pointer are thinned for the eye.
Every text that comes from a user or a file is escaped, and the page's policy runs no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from backtests.attribution import PARTS, Attribution
from backtests.metrics import Metrics
from backtests.output import SIMULATED, btc_text
from backtests.report import plots
from backtests.report.market import MarketSeries, market_charts
from backtests.report.panels import Canvas, StrategyPanel, amount, minute, number
from backtests.report.plots import Chart, Span
from backtests.result import RunResult
from bot.core.contract import Contract
from bot.core.units import NS_PER_DAY, SAT_PER_BTC

_TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class ReportInput:
    """All that a report shows. `results`, `attributions` and `metrics` run in parallel, one per strategy.

    `settings_rows` are (setting, value, unit, origin); `reproduce` maps names (hashes, command, versions) to values,
    of which `command` is shown as a command.
    """

    title: str
    contract: Contract
    simulated: bool
    results: list[RunResult]
    attributions: list[Attribution]
    metrics: list[Metrics]
    market: MarketSeries
    settings_rows: list[tuple[str, str, str, str]]
    reproduce: dict[str, str]


def render(report: ReportInput) -> str:
    """Return the report as one HTML document: no network, font, picture or script from elsewhere."""
    if not report.results:
        raise ValueError("a report needs at least one strategy")
    page = _Page(report)
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    comparison = page.comparison()
    panels = "".join(page.panel(index) for index in range(len(report.results)))
    market = market_charts(page.canvas, report.contract, report.market)
    return Template((_TEMPLATES / "report.html").read_text(encoding="utf-8")).substitute(
        title=escape(report.title),
        script_hash=f"sha256-{digest}",
        style=(_TEMPLATES / "report.css").read_text(encoding="utf-8"),
        definitions=plots.triangles() + page.shared,
        facts=page.facts(),
        banner=page.banner(),
        comparison=comparison,
        chooser="".join(f'<button type="button">{escape(one.name)}</button>' for one in report.results),
        panels=panels,
        market=market,
        settings=table_card(("setting", "value", "unit", "where it is set"), report.settings_rows),
        reproduce=reproduce_card(report.reproduce),
        sampling=page.sampling(),
        samples=page.canvas.samples(),
        script=script,
    )


def table_card(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    table = f'<table class="text"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="card scroll">{table}</div>'


def reproduce_card(lines: dict[str, str]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td><code>{escape(value)}</code></td></tr>"
        for name, value in lines.items()
        if name != "command"
    )
    command = f"<pre><code>{escape(lines['command'])}</code></pre>" if "command" in lines else ""
    return f'<div class="card">{command}<table class="text facts-table"><tbody>{rows}</tbody></table></div>'


class _Page:
    """The parts of one page."""

    def __init__(self, report: ReportInput) -> None:
        self.report = report
        results, market = report.results, report.market
        self.span = Span(min(one.start_ns for one in results), max(one.end_ns for one in results))
        self.canvas = Canvas(self.span, report.simulated)
        self._parts = [
            part
            for index, part in enumerate(PARTS)
            if part != "deficit" or any(one.split[index] for one in report.attributions)
        ]
        price = [value / SAT_PER_BTC for value in market.price_sat]
        self.canvas.keep("price", market.times_ns, price)
        points = plots.thin(market.times_ns, price, self.span)
        seen = [value for _, value in points]
        for result in results:
            fair = [one.fair_sat / SAT_PER_BTC for one in result.observations]
            seen += [min(fair), max(fair)] if fair else []
        self._price_axis = plots.scale(seen)
        self.shared = f'<path id="market-price" d="{plots.line(points, self.span, self._price_axis)}"/>'

    def panel(self, index: int) -> str:
        """Return the panel of one strategy."""
        report = self.report
        panel = StrategyPanel(self.canvas, index, report.results[index], report.attributions[index])
        return panel.render(report.metrics[index], self._price_axis)

    # --- head and notes

    def facts(self) -> str:
        """Return the line under the title: contract, time, strategies, hashes."""
        report = self.report
        days = (self.span.end_ns - self.span.start_ns) / NS_PER_DAY
        facts = [
            ("", f"{report.contract.symbol} ({report.contract.id})"),
            ("", f"{minute(self.span.start_ns)} to {minute(self.span.end_ns)} UTC, {days:.1f} days"),
            ("engine", ", ".join(sorted({result.engine for result in report.results}))),
            *((name, value[:16]) for name, value in report.reproduce.items() if name == "config hash"),
        ]
        return "".join(f"<span>{escape(name)} <b>{escape(value)}</b></span>" for name, value in facts if value)

    def banner(self) -> str:
        """Return the mark that says that prices are simulated, if they are."""
        if not self.report.simulated:
            return ""
        return (
            f'<p class="banner" role="note"><b>{SIMULATED}</b> The prices, quotes and swap rates here were made by a '
            "seeded model; no market recorded them. Profit is what the strategies would have made in that model.</p>"
        )

    def sampling(self) -> str:
        """Return how equity was sampled for the measures, and how many such periods a year has."""
        each = sorted({f"{one.sampling} ({one.samples} samples)" for one in self.report.metrics})
        periods = sorted({f"{one.periods_per_year:.0f}" for one in self.report.metrics if one.periods_per_year})
        return escape(f"{'; '.join(each)}, {', '.join(periods) or 'no'} periods a year")

    # --- all strategies

    def comparison(self) -> str:
        """Return the comparison table, the split of profit and the equity of all strategies."""
        return self._compare_table() + self._split_bars() + self._all_equity()

    def _compare_table(self) -> str:
        heads = ["strategy", "net", "return", *self._parts, "max drawdown", "Sharpe", "trades"]
        head = "".join(f"<th>{text}</th>" for text in heads)
        body = ""
        for index, (one, measures) in enumerate(zip(self.report.attributions, self.report.metrics, strict=True)):
            cells = [amount(one.split.total_sat), number(measures.return_frac, "{:+.2%}")]
            cells += [amount(one.split[PARTS.index(part)]) for part in self._parts]
            fall = measures.drawdown
            cells.append("–" if fall is None else f"{number(fall.depth_frac, '{:.1%}')}")
            cells += [number(measures.sharpe_year), str(measures.trades)]
            row = "".join(f"<td>{cell}</td>" for cell in cells)
            body += f'<tr><th><a href="#s{index}">{escape(one.name)}</a></th>{row}</tr>'
        mark = f"<p><b>{SIMULATED}</b>. Amounts in BTC.</p>" if self.report.simulated else "<p>Amounts in BTC.</p>"
        return (
            f'<div class="card">{mark}<div class="scroll"><table class="compare"><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div></div>"
        )

    def _split_bars(self) -> str:
        splits = [one.split for one in self.report.attributions]
        low = min(0, *(sum(value for value in split if value < 0) for split in splits))
        high = max(0, *(sum(value for value in split if value > 0) for split in splits))
        rows = ""
        for one in self.report.attributions:
            pieces = [
                (f"p-{part}", float(value), f"{part} {btc_text(value, plus=True)} BTC")
                for part, value in zip(PARTS, one.split, strict=True)
            ]
            total = one.split.total_sat
            bar = plots.stack(pieces, (total, f"net {btc_text(total, plus=True)} BTC"), (low, high))
            rows += (
                f'<span class="name">{escape(one.name)}</span><span class="amount">{amount(total)}</span>'
                f'<div class="bars">{bar}</div>'
            )
        mark = f'<p class="note"><span class="sim">{SIMULATED}</span></p>' if self.report.simulated else ""
        keys = "".join(f'<span class="key"><i class="box p-{part}"></i>{part}</span>' for part in self._parts)
        return (
            '<figure class="chart split"><figcaption><b>Where profit came from</b><span class="unit">BTC; gains to the '
            f'right of zero, losses to the left, the dark rule is net</span>{keys}</figcaption><div class="splits">'
            f"{rows}</div>{mark}</figure>"
        )

    def _all_equity(self) -> str:
        lines, legend, seen = [], [], [0.0]
        curves, rows = [], []
        for index, result in enumerate(self.report.results):
            times = [mark.time_ns for mark in result.marks]
            gain = [(mark.equity_sat - result.start_equity_sat) / SAT_PER_BTC for mark in result.marks]
            curve = plots.thin(times, gain, self.span)
            curves.append(curve)
            seen += [value for _, value in curve]
            legend.append((f"k{index % 8}", result.name))
            rows.append((result.name, "BTC", 4, self.canvas.keep(f"gain-{index}", times, gain)))
        axis = plots.scale(seen)
        for index, curve in enumerate(curves):
            name = f"e{index % 8}" + (" dash" if index >= 8 else "")
            lines.append(plots.path(name, plots.line(curve, self.span, axis)))
        key = self.canvas.show("equity-all", rows)
        title, unit, mark = "Change of equity", "BTC since the start", self.canvas.mark
        return Chart(title, unit, key, self.span, axis, lines, [], legend, mark=mark).render()
