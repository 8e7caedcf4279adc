"""What a sweep needs, gathered from a configured run; and the files it leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from backtests.sweep import markets
from backtests.sweep.findings import Findings, Standing, luck_words
from backtests.sweep.job import Job, Swept
from backtests.sweep.page import SweepReport, render
from backtests.sweep.run import Sweep
from backtests.sweep.space import Space
from backtests.sweep.table import parquet_bytes
from backtests.whole_file import write_file
from bot.config import explain_settings
from bot.errors import OutputError, Problem
from bot.history import simulate
from bot.history.series import History
from bot.run import Run
from bot.studies.many_runs import runner

SHOWN: Final = 10
"""How many of the best trials are printed."""


def job_of(run: Run, spaces: tuple[Space, ...], directory: Path | None) -> Job:
    """Return the job of sweeping `spaces`, markets' tables in `directory`."""
    plan = run.plans[0]
    swept = {space.strategy: tuple(axis.field for axis in space.axes) for space in spaces}
    return Job(
        settings=replace(plan.settings, observe=False, debug=False, keep_moves=False),
        growth=plan.growth,
        past_epochs=plan.past_epochs,
        blocks=plan.blocks,
        end_ns=plan.end_ns,
        past_fees=plan.past_fees,
        sources=run.history.sources,
        strategies=tuple(
            Swept(entry.name, entry.use, _arguments(entry.params), swept.get(index, ()))
            for index, entry in enumerate(run.settings.strategies)
        ),
        engine=partial(runner, run.engine),
        chain=run.chain,
        simulated=markets.Simulated.like(run.history),
        directory=directory,
    )


def _arguments(params: object) -> dict[str, object]:
    return {field.name: getattr(params, field.name) for field in fields(params) if field.init}  # type: ignore[arg-type]


def inputs_of(run: Run, config_path: Path, search: dict[str, str]) -> dict[str, str]:
    """Return everything that a sweep's rows depend on, by name: the run's inputs, the search, the simulation."""
    inputs = run.reproduce(config_path)
    del inputs["command"]
    return {**inputs, "simulation": f"bot.history.simulate {simulate.VERSION}", **search}


@contextmanager
def kept_markets(directory: Path, history: History) -> Iterator[Path]:
    """Give a place below `directory` for tables of markets, the configured one in it; take it away once all is done.

    After an interrupt or an error it stays, so that no market is simulated twice.
    """
    tables = directory / "markets"
    try:
        tables.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"cannot be made: {error.strerror or error}"
        raise OutputError([Problem(str(tables), what, "free space and start again")]) from error
    markets.keep(markets.of_history(history), tables, markets.CONFIGURED)
    yield tables
    shutil.rmtree(tables)


def write_sweep(
    directory: Path, run: Run, sweep: Sweep, found: Findings, inputs: dict[str, str], command: str
) -> dict[str, Any]:
    """Write table, summary, report and the inputs' documents to `directory`; return the summary.

    Each file is whole or not there. Raises OutputError with the path.
    """
    reproduce = {"command": command, **inputs}
    summary = summary_of(found, run, reproduce)
    files = {
        "results.parquet": parquet_bytes(sweep.trials, sweep.rows.found, found.spaces, reproduce),
        "summary.json": (json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(),
        "report.html": render(_report_of(found, run, reproduce)).encode("utf-8", "backslashreplace"),
        **run.documents,
    }
    for name, content in files.items():
        write_file(directory / name, content)
    return summary


def summary_of(found: Findings, run: Run, reproduce: dict[str, str]) -> dict[str, Any]:
    """Return what `summary.json` says: the best trials, how much of the first is luck, what failed."""
    return {
        "format": "fairhash sweep 1",
        "simulated_prices": run.simulated or found.seeds > 0,
        "reproduce": reproduce,
        "trials": len(found.standings),
        "simulated_markets": found.seeds,
        "failed": len(found.failed),
        "first_error": found.failed[0].error if found.failed else None,
        "luck": asdict(found.luck) if found.luck else None,
        "luck_in_words": luck_words(found),
        "best": [_described(one) for one in found.standings[:SHOWN] if one.score is not None],
    }


def _described(one: Standing) -> dict[str, Any]:
    row = asdict(one.row)
    del row["daily_sat"], row["error"], row["market"]
    return {
        "strategy": one.space.name,
        "params": one.shown,
        "score_sat": one.score,
        "standard_error_sat": one.standard_error,
        "loss_share": one.loss_share,
        **row,
    }


def _report_of(found: Findings, run: Run, reproduce: dict[str, str]) -> SweepReport:
    settings = run.settings
    return SweepReport(
        title=f"{settings.contract.symbol}: {len(found.standings)} trials of {len(found.spaces)} strateg"
        + ("y" if len(found.spaces) == 1 else "ies"),
        contract=settings.contract,
        start_ns=settings.start_ns,
        end_ns=settings.end_ns,
        simulated=run.simulated or found.seeds > 0,
        findings=found,
        settings_rows=[(row.path, row.value, row.unit, row.origin) for row in explain_settings(settings)],
        reproduce=reproduce,
    )
