"""The report of a sweep: one HTML page that needs nothing but itself, in the manner of backtests.report."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from html import escape
from itertools import combinations
from pathlib import Path
from string import Template
from typing import Final

from backtests import report
from backtests.output import SIMULATED
from backtests.report.page import reproduce_card, table_card
from backtests.report.panels import amount, minute, number
from backtests.sweep import plots
from backtests.sweep.findings import Findings, Standing, luck_words
from backtests.sweep.space import Space
from bot.core.contract import Contract

_TEMPLATES: Final = Path(__file__).parent / "templates"
_SHARED: Final = Path(report.__file__).parent / "templates"
LISTED: Final = 10
MOST_FAILURES: Final = 50


@dataclass(frozen=True, slots=True)
class SweepReport:
    """All that the page shows; `simulated` when any price in it is."""

    title: str
    contract: Contract
    start_ns: int
    end_ns: int
    simulated: bool
    findings: Findings
    settings_rows: list[tuple[str, str, str, str]]
    reproduce: dict[str, str]


def render(page: SweepReport) -> str:
    """Return the report as one HTML document: no network, font, picture or script from elsewhere."""
    script = (_SHARED / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    found = page.findings
    styles = [(_SHARED / "report.css"), (_TEMPLATES / "sweep.css")]
    return Template((_TEMPLATES / "sweep.html").read_text(encoding="utf-8")).substitute(
        title=escape(page.title),
        script_hash=f"sha256-{digest}",
        style="\n".join(path.read_text(encoding="utf-8") for path in styles),
        facts=_facts(page),
        banner=_banner(page),
        best=_best(found),
        luck=escape(luck_words(found)),
        listed=_listed(found),
        chooser="".join(f'<button type="button">{escape(space.name)}</button>' for space in found.spaces),
        panels="".join(_panel(index, space, page) for index, space in enumerate(found.spaces)),
        failures=_failures(found),
        settings=table_card(("setting", "value", "unit", "where it is set"), page.settings_rows),
        reproduce=reproduce_card(page.reproduce),
        scored=_scored(found),
        script=script,
    )


def _facts(page: SweepReport) -> str:
    found = page.findings
    facts = [
        f"{page.contract.symbol} ({page.contract.id})",
        f"{minute(page.start_ns)} to {minute(page.end_ns)} UTC",
        f"{len(found.standings)} trials, {len(found.markets)} market{'s' if len(found.markets) > 1 else ''}",
        page.reproduce.get("search", ""),
    ]
    return "".join(f"<span>{escape(fact)}</span>" for fact in facts if fact)


def _banner(page: SweepReport) -> str:
    if not page.simulated:
        return ""
    return (
        f'<p class="banner" role="note"><b>{SIMULATED}</b> The prices, quotes and swap rates here were made by a '
        "seeded model; no market recorded them. Profit is what the strategies would have made in that model.</p>"
    )


def _best(found: Findings) -> str:
    """Return the best trial's measures as tiles, its parameters as lines of a configuration."""
    best = found.best
    if best is None:
        return '<div class="card"><p>Every trial failed.</p></div>'
    row = best.row
    tiles = [("net, configured market", f"{amount(row.net_sat)} BTC"), ("return", f"{row.return_frac:+.2%}")]
    if found.seeds and best.score is not None:
        spread = "" if best.standard_error is None else f"<small>± {best.standard_error / 1e8:.4f}</small>"
        tiles.insert(0, (f"mean of {found.seeds} markets", f"{amount(round(best.score))} BTC{spread}"))
        tiles.append(("lost on", number(best.loss_share, "{:.0%}")))
    tiles += [
        ("Sharpe, a year", number(row.sharpe_year)),
        ("max drawdown", number(row.drawdown_frac, "{:.1%}")),
        ("trades", str(row.trades)),
        ("liquidated", "yes" if row.liquidated else "no"),
    ]
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in tiles)
    params = "\n".join(f"      {key}: {value}" for key, value in best.shown.items())
    named = "" if best.space.use.endswith(best.space.name) else f"\n    name: {best.space.name}"
    written = f"  - use: {best.space.use}{named}\n    params:\n{params}"
    return f'<dl class="tiles">{cells}</dl><div class="card"><pre><code>{escape(written)}</code></pre></div>'


def _listed(found: Findings) -> str:
    """Return the best trials of all strategies as a table."""
    heads = ["", "strategy", *(["mean of markets", "lost on"] if found.seeds else []), "net", "return", "Sharpe"]
    heads += ["max drawdown", "trades", "liquidated", "parameters"]
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = ""
    for rank, one in enumerate(found.standings[:LISTED], 1):
        if one.score is not None:
            body += "<tr>" + "".join(f"<td>{cell}</td>" for cell in _cells(rank, one, found.seeds)) + "</tr>"
    return (
        f'<div class="card"><div class="scroll"><table class="compare"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></div>"
    )


def _cells(rank: int, one: Standing, seeds: int) -> list[str]:
    row = one.row
    drawn = [amount(round(one.score or 0.0)), number(one.loss_share, "{:.0%}")] if seeds else []
    words = ", ".join(f"{key} <b>{escape(value)}</b>" for key, value in one.shown.items())
    measures = [amount(row.net_sat), f"{row.return_frac:+.2%}", number(row.sharpe_year)]
    measures += [number(row.drawdown_frac, "{:.1%}"), str(row.trades), "yes" if row.liquidated else "no", words]
    return [str(rank), escape(one.space.name), *drawn, *measures]


def _panel(index: int, space: Space, page: SweepReport) -> str:
    """Return one strategy's plots."""
    found = page.findings
    good = [one for one in found.standings if one.space == space and one.score is not None]
    if not good:
        inside = '<div class="card"><p>Every trial of this strategy failed.</p></div>'
    else:
        largest = max(abs(one.score or 0.0) for one in good)
        maps = "".join(
            plots.heat_map(space.axes[x], space.axes[y], (x, y), good, largest)
            for x, y in combinations(range(len(space.axes)), 2)
        )
        pairs = f'<div class="maps">{maps}</div>' if maps else ""
        markets = plots.boxes(good) if found.seeds else ""
        inside = f"{markets}{pairs}{plots.parallel(space.axes, good)}{plots.histogram(good)}"
    mark = f'<p class="note"><span class="sim">{SIMULATED}</span></p>' if page.simulated else ""
    return f'<div class="panel" id="s{index}"><h3>{escape(space.name)}</h3>{mark}{inside}</div>'


def _failures(found: Findings) -> str:
    """Return what failed and why; nothing if nothing did."""
    if not found.failed:
        return ""
    rows = [
        (one.space.name, ", ".join(f"{key} {value}" for key, value in one.shown.items()), one.error)
        for one in found.failed[:MOST_FAILURES]
    ]
    more = f", the first {MOST_FAILURES} of them here" if len(found.failed) > MOST_FAILURES else ""
    return (
        f'<section aria-labelledby="h-failed"><h2 id="h-failed">{len(found.failed)} trials failed{more}</h2>'
        f"{table_card(('strategy', 'parameters', 'error'), rows)}</section>"
    )


def _scored(found: Findings) -> str:
    if not found.seeds:
        return "A trial's score is its net profit on the configured market."
    return (
        f"A trial's score is the mean of its net profit over {found.seeds} simulated markets (seeds 1 to "
        f"{found.seeds}); the configured market is shown beside it and not counted."
    )
