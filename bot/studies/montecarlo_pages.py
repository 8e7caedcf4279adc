"""What a Monte Carlo experiment says: text, document, files, and one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any, Final

from backtests.montecarlo import Estimate, Risk, Row
from backtests.montecarlo.rows import columns_of, csv_of
from backtests.output import FORMAT, SUMMARY, summary_bytes
from backtests.report.plain import Section, page
from bot.core.units import NS_PER_DAY, NS_PER_S, SAT_PER_BTC
from bot.drawing import ACCENT, INK, SECOND, THIRD, Band, Line, Panel, svg
from bot.run import Run
from bot.studies.montecarlo import DIFFICULTY, Experiment, Result

MARK: Final = "SIMULATED WORLDS"
MOST_BINS: Final = 40
FEW: Final = 5
"""With fewer runs in a tail its figures are hardly more than those runs."""
_HEADS: Final = (
    "strategy",
    "mean profit",
    "median",
    "P(loss)",
    "P(liquidation)",
    "VaR 95 %",
    "ES 95 %",
    "VaR 99 %",
    "ES 99 %",
)


def _btc(estimate: Estimate, sign: str = "+") -> str:
    value, low, high = (part / SAT_PER_BTC + 0.0 for part in estimate)
    return f"{value:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def _share(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"


def _cells(name: str, risk: Risk) -> tuple[str, ...]:
    shares = (_share(risk.loss), _share(risk.liquidation))
    tails = (risk.var_95, risk.shortfall_95, risk.var_99, risk.shortfall_99)
    return (name, _btc(risk.mean), _btc(risk.median), *shares, *(_btc(each, "") for each in tails))


def notes_of(experiment: Experiment) -> list[str]:
    """Return what a reader must know of the figures."""
    notes = list(experiment.notes)
    if experiment.runs * 10 < FEW * 1000:
        notes.append(
            f"with {experiment.runs} runs the 99 % figures rest on the worst {-(-experiment.runs // 100)} of them"
        )
    if DIFFICULTY in experiment.varied:
        notes.append(f"difficulty is drawn from the forecast of {experiment.model} at the start of the run")
    return [*notes, "intervals are 95 % for the number of runs; they do not say how like the real world these are"]


def as_text(experiment: Experiment, risks: Sequence[Risk]) -> str:
    """Return the risk of every strategy as a table for a person."""
    rows = [_HEADS, *(_cells(name, risk) for name, risk in zip(experiment.names, risks, strict=True))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{MARK}: {experiment.runs} runs, seed {experiment.seed}, varying {', '.join(experiment.varied)}"]
    for row in rows:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([row[0].ljust(len(first)), *rest]))
    lines.append("Amounts in BTC, losses of VaR and expected shortfall (ES) positive; 95 % intervals in brackets.")
    return "\n".join([*lines, *(f"Note: {note}." for note in notes_of(experiment))])


def as_document(experiment: Experiment, risks: Sequence[Risk], reproduce: Mapping[str, str]) -> dict[str, Any]:
    """Return everything for a program; amounts are satoshi, `[value, low, high]` a figure with its 95 % interval."""
    return {
        "format": FORMAT,
        "simulated_prices": True,
        "runs": experiment.runs,
        "seed": experiment.seed,
        "varied": experiment.varied,
        "difficulty_model": experiment.model if DIFFICULTY in experiment.varied else None,
        "notes": notes_of(experiment),
        "strategies": [
            {"name": name, **{key: _listed(value) for key, value in asdict(risk).items()}}
            for name, risk in zip(experiment.names, risks, strict=True)
        ],
        "reproduce": dict(reproduce),
    }


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def files_of(
    run: Run, experiment: Experiment, results: Sequence[Result], risks: Sequence[Risk], reproduce: Mapping[str, str]
) -> dict[str, bytes]:
    """Return the files of an experiment by name: page, runs as CSV and Parquet, summary, configuration, contract."""
    from bot.history.parquet import parquet_of_columns

    rows = [row for result in results for row in result.rows]
    return {
        "report.html": html(run, experiment, results, risks, reproduce).encode("utf-8", "backslashreplace"),
        "runs.csv": csv_of(rows, MARK),
        "runs.parquet": parquet_of_columns(columns_of(rows), {"simulated": "true", "amounts": "satoshi"}),
        SUMMARY: summary_bytes(as_document(experiment, risks, reproduce)),
        **run.documents,
    }


def html(
    run: Run, experiment: Experiment, results: Sequence[Result], risks: Sequence[Risk], reproduce: Mapping[str, str]
) -> str:
    """Return the page: the table of risk, each strategy's distribution and paths, and the worlds they were run in."""
    contract = run.settings.contract
    rows = [_html_cells(_cells(name, risk)) for name, risk in zip(experiment.names, risks, strict=True)]
    note = "".join(f'<p class="note">{escape(line)}.</p>' for line in notes_of(experiment))
    sections = [Section("Risk of every strategy", _table(_HEADS, rows) + note)]
    for at, (name, risk) in enumerate(zip(experiment.names, risks, strict=True)):
        own = [result.rows[at] for result in results]
        curves = [result.equity_sat[at] for result in results]
        panels = [_histogram(own, risk), _equity_fan(run, curves)]
        sections.append(Section(name, _drawn(f"{name}: {experiment.runs} simulated runs", panels)))
    sections.append(Section("The simulated worlds", _drawn("Worlds", _world_panels(run, results))))
    lines = [(escape(name), escape(value)) for name, value in reproduce.items() if name != "command"]
    command = f"<pre><code>{escape(reproduce['command'])}</code></pre>"
    sections.append(Section("To reproduce this", f'<div class="card">{command}{_table(("", ""), lines)}</div>'))
    sections.append(Section("How the numbers are made", _METHOD))
    return page(
        f"{contract.symbol}: {experiment.runs} simulated runs",
        [f"seed {experiment.seed}", f"varying {', '.join(experiment.varied)}", "amounts in BTC"],
        f"<b>{MARK}</b> Prices, swap rates, difficulty and luck of these runs were drawn by a seeded model; none of "
        "them happened. Probabilities are those of the model.",
        sections,
    )


_METHOD: Final = """<p>Mean with 1.96 standard errors; probabilities with Wilson's score interval (1927); median, VaR
and expected shortfall with the percentile bootstrap of 1,000 samples (Efron and Tibshirani 1993). VaR is the loss that
95 or 99 % of the runs stay at or below, expected shortfall the mean loss of the rest (Acerbi and Tasche 2002).</p>
<p>Every strategy sees the same worlds. A run's difficulty is drawn from the model's own forecast at the start, block
times follow from it and bits from them by Bitcoin's rule; its market is a seeded simulation around the model value on
those blocks. See docs/robustness.md.</p>"""


def _html_cells(cells: Sequence[str]) -> list[str]:
    """Return cells in which the interval stands below its figure."""
    parts = (escape(cell).partition(" [") for cell in cells)
    return [f"{figure}<br><small>[{interval}</small>" if interval else figure for figure, _, interval in parts]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are HTML already."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads) if any(heads) else ""
    body = "".join("<tr>" + "".join(f"<td>{text}</td>" for text in row) + "</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="card scroll">{table}</div>'


def _drawn(title: str, panels: Sequence[Panel]) -> str:
    return f'<div class="card drawing">{svg(title, panels, f"{MARK}: no market recorded them")}</div>'


def _histogram(rows: Sequence[Row], risk: Risk) -> Panel:
    profits = [row.profit_sat / SAT_PER_BTC for row in rows]
    low, high = min(profits), max(profits)
    bins = min(max(round(2 * len(profits) ** 0.5), 5), MOST_BINS)
    width = (high - low) / bins or 1.0
    counts = [0] * bins
    for profit in profits:
        counts[min(int((profit - low) / width), bins - 1)] += 1
    outline = [(low + (at + side) * width, float(count)) for at, count in enumerate(counts) for side in (0, 1)]
    floor = [(x, 0.0) for x, _ in outline]
    top = float(max(counts))
    lines = [Line([(low, 0.0), *outline, (high, 0.0)], ACCENT, width=1.2)]
    for value, colour, label in (
        (risk.mean.value, THIRD, "mean"),
        (-risk.var_95.value, SECOND, "5 % lose more (VaR 95 %)"),
        (-risk.shortfall_95.value, INK, "their mean (ES 95 %)"),
    ):
        at = value / SAT_PER_BTC
        lines.append(Line([(at, 0.0), (at, top)], colour, label, dashed=True))
    return Panel("Profit of the runs", "BTC", "runs", lines, [Band(floor, outline, ACCENT, 0.35)], y_from_zero=True)


def _equity_fan(run: Run, curves: Sequence[Sequence[int]]) -> Panel:
    deposit = run.settings.config.account.deposit_sat
    gains = [[(value - deposit) / SAT_PER_BTC for value in curve] for curve in curves]
    return _fan("Change of equity, day by day", "BTC", run, gains)


def _fan(title: str, unit: str, run: Run, curves: Sequence[Sequence[float]]) -> Panel:
    """Return a fan of 90 and 50 % of the curves around their median."""
    start, end = run.settings.start_ns, run.settings.end_ns
    times = [min(start + day * NS_PER_DAY, end) / NS_PER_S for day in range(len(curves[0]))]
    columns = [sorted(column) for column in zip(*curves, strict=True)]

    def at(share: float) -> list[tuple[float, float]]:
        return [(x, column[round(share * (len(column) - 1))]) for x, column in zip(times, columns, strict=True)]

    bands = [
        Band(at(0.05), at(0.95), ACCENT, 0.15, "90 % of the runs"),
        Band(at(0.25), at(0.75), ACCENT, 0.25, "50 %"),
    ]
    return Panel(title, "UTC", unit, [Line(at(0.5), ACCENT, "median")], bands, x_is_time=True)


def _world_panels(run: Run, results: Sequence[Result]) -> list[Panel]:
    prices = [[price / SAT_PER_BTC for price in result.price_sat] for result in results]
    panels = [_fan("Simulated price of one contract", "BTC", run, prices)]
    if any(result.difficulty != results[0].difficulty for result in results):
        first = results[0].difficulty[0]
        paths = [[value / first for value in result.difficulty] for result in results]
        panels.append(_fan("Difficulty, in units of the first", "", run, paths))
    payouts = sorted(result.rows[0].payout_sat / SAT_PER_BTC for result in results)
    shares = [(value, (at + 1) / len(payouts)) for at, value in enumerate(payouts)]
    panels.append(
        Panel("What one contract paid", "BTC", "share of runs at or below", [Line(shares, THIRD)], y_from_zero=True)
    )
    return panels
