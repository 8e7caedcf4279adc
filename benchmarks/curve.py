"""`python -m benchmarks.curve`: time against bars, a sweep's throughput against workers, as docs/images/scaling.png.

Drawn from what is measured in the run; chromium turns the drawing into a PNG, without it the SVG is left.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.compiled import Scaled, scaled
from benchmarks.series import MINUTE_BARS, plan
from benchmarks.sweep import ENGINES, WORKERS, measured
from bot.drawing import ACCENT, SECOND, WIDTH, Line, Panel, svg

PANEL_HEIGHT = 660
"""Of the whole drawing of two panels, with room at its end."""


def main() -> int:
    """Measure, draw, and print what was drawn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curve", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=40, help="trials of each sweep")
    counts = [100_000, 1_000_000, 2_500_000, 5_000_000, 7_500_000, 10_000_000]
    parser.add_argument("--bars", type=int, nargs="+", default=counts)
    parser.add_argument("--out", type=Path, default=Path("docs/images/scaling.png"))
    options = parser.parse_args()
    runs = []
    for count in options.bars:
        runs.append(scaled(count, options.rounds))
        print(runs[-1], flush=True)
    rates = _rates(options.trials, options.rounds)
    print(rates)
    drawing = svg(
        "The compiled engine: bars and workers",
        [_against_bars(runs), _against_workers(rates)],
        f"python -m benchmarks.curve: Python {sys.version.split()[0]}, simulated prices; "
        "above least CPU times, below median wall times",
    )
    print(_save(drawing, options.out))
    return 0


def _rates(trials: int, rounds: int) -> dict[str, list[float]]:
    """Return millions of bars times trials a second of wall time for each engine, with one worker and with two."""
    found = measured(plan(), trials, ENGINES, rounds)
    return {
        engine: [
            trials * MINUTE_BARS / 1e6 / statistics.median(run.wall_s for run in found[engine, workers])
            for workers in WORKERS
        ]
        for engine in ENGINES
    }


def _against_bars(runs: list[Scaled]) -> Panel:
    def line(column: str, colour: str, label: str) -> Line:
        points = [(run.bars / 1e6, 1e3 * getattr(run, column)) for run in runs]
        return Line(points, colour, label, dots=True)

    lines = [line("brief_s", ACCENT, "brief, asleep between decisions"), line("marked_s", SECOND, "with every mark")]
    title = f"One backtest over 91 days, {min(run.fills for run in runs)} to {max(run.fills for run in runs)} fills"
    return Panel(title, "million bars", "ms of CPU", lines, y_from_zero=True)


def _against_workers(rates: dict[str, list[float]]) -> Panel:
    lines = [
        Line([(0, 0.0), *zip(WORKERS, found, strict=True)], colour, engine, dots=True)
        for (engine, found), colour in zip(rates.items(), (SECOND, ACCENT), strict=True)
    ]
    title = f"A sweep over {MINUTE_BARS:,} minute bars, some 500 fills a trial"
    return Panel(title, "workers", "million bars x trials a second", lines, y_from_zero=True)


def _save(drawing: str, out: Path) -> str:
    """Write the drawing as a PNG, or as an SVG where no chromium is, and return in words where it is."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        out.with_suffix(".svg").write_text(drawing, encoding="utf-8")
        return f"{out.with_suffix('.svg')} (no chromium to make a PNG with)"
    with TemporaryDirectory() as scratch:
        page = Path(scratch) / "drawing.html"
        page.write_text(f'<body style="margin:0">{drawing}</body>', encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=2"]
        size = [f"--window-size={WIDTH},{PANEL_HEIGHT}", f"--screenshot={out.resolve()}"]
        subprocess.run([browser, *flags, *size, page.as_uri()], check=True, stderr=subprocess.DEVNULL)
    return str(out)


if __name__ == "__main__":
    sys.exit(main())
