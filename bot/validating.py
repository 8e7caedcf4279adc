"""`fairhash validate-model`: the walk-forward table of `bot.model.validation` as text, document and drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bot.drawing import PALETTE, SOFT, Line, Panel, svg
from bot.model.scores import COVERAGES, PINBALL_LEVELS
from bot.model.validation import HORIZONS_DAYS, MODELS, RELIABILITY, Score

_HEAD = ("model", "origins", "CRPS", "50 %", "90 %", "98 %", "MAE", "bias", "pinball", "vs flat", "p", "vs damped", "p")
_EXPLAINED = """CRPS and pinball: of ln(v / T), v the payout of T days in days of today's rate; lower is better.
50/90/98 %: share of outcomes inside that interval, nominal 50/90/98. MAE, bias: of the median forecast of v, over
what came. vs flat, vs damped: Diebold-Mariano statistic with the HLN correction (Bartlett lags), negative: better; p
two-sided. Models were chosen on origins up to 2019; 2020-26 is held out (docs/model-record.md)."""


def table(rows: Sequence[Score]) -> str:
    """Return the rows in blocks: horizon, overlapping or not, era."""
    blocks = []
    for days in HORIZONS_DAYS:
        for overlapping in (True, False):
            chosen = [r for r in rows if r.term_days == days and r.overlapping == overlapping]
            for era in dict.fromkeys(r.era for r in chosen):
                what = "all origins, overlapping" if overlapping else "only origins whose terms do not overlap"
                lines = [_HEAD, *(_cells(r) for r in chosen if r.era == era)]
                blocks.append(f"{days} days, {era}, {what}\n{_aligned(lines)}")
    return "\n\n".join([*blocks, _EXPLAINED])


def _cells(row: Score) -> tuple[str, ...]:
    shares = [f"{100 * share:.1f}" for share in row.coverage]
    tests = [
        _number(x, form)
        for pair in (row.against_flat, row.against_damped)
        for x, form in zip(pair, (2, 3), strict=True)
    ]
    return (
        row.model,
        str(row.origins),
        f"{row.crps:.4f}",
        *shares,
        f"{100 * row.mae:.1f} %",
        f"{100 * row.bias:+.1f} %",
        f"{row.pinball:.4f}",
        *tests,
    )


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(w) if n else cell.ljust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )


def document(rows: Sequence[Score], epochs: int) -> dict[str, Any]:
    """Return the table for programs; shares and errors as fractions, a test that does not apply is null."""
    return {
        "epochs": epochs,
        "models": list(MODELS),
        "horizons_days": list(HORIZONS_DAYS),
        "nominal_coverage": list(COVERAGES),
        "pinball_levels": list(PINBALL_LEVELS),
        "reliability_levels": list(RELIABILITY),
        "chosen_on": "origins up to 2019",
        "rows": [{name: _plain(value) for name, value in row._asdict().items()} for row in rows],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def reliability_svg(rows: Sequence[Score]) -> str:
    """Return the reliability plot: how often what came was below each quantile, by horizon, all eras."""
    panels = []
    for days in HORIZONS_DAYS:
        lines = [Line([(0.0, 0.0), (1.0, 1.0)], SOFT, "perfect", dashed=True, width=1.2)]
        chosen = [r for r in rows if r.term_days == days and r.overlapping and r.era == "all"]
        for row, colour in zip(chosen, PALETTE, strict=False):
            points = [(0.0, 0.0), *zip(RELIABILITY, row.reliability, strict=True), (1.0, 1.0)]
            lines.append(Line(points, colour, row.model, width=2.6 if row.model == MODELS[0] else 1.4))
        what = f"Reliability over {days} days, {chosen[0].origins} origins since 2012"
        panels.append(Panel(what, "nominal probability", "share of outcomes below", lines, y_from_zero=True))
    note = "A forecaster that knows what it does not know lies on the dashed line."
    return svg("How honest are the quantiles?", panels, note)
