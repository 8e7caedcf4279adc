"""Commands on a configured run: backtest, parity, check, explain."""

from __future__ import annotations

import atexit
import gc
from argparse import Namespace
from pathlib import Path
from typing import Any

from bot.app.outcome import Outcome, columns, progress


def backtest(options: Namespace) -> Outcome:
    """Run every strategy, print the comparison, write the run's directory unless told not to."""
    from backtests.reference import paused_collector

    atexit.register(gc.freeze)  # as the process ends, nothing is to be looked for among 100,000 postings and marks
    with paused_collector():
        return _backtest(options)


def _backtest(options: Namespace) -> Outcome:
    from backtests.attribution import attribute
    from backtests.metrics import measure
    from backtests.output import notice_lines, refuse_place, summary, summary_table, write_run
    from bot.run import able_engine, load_run, run_id, run_plan

    if options.out is not None and not options.no_report:
        refuse_place(options.out)  # not after the work is done
    run = load_run(options.config, options.engine, options.debug, observe=not options.no_report)
    results, notes = [], list(run.notes)
    for number, plan in enumerate(run.plans, 1):
        engine, why = able_engine(plan, run.engine)
        notes += [why] if why else []
        progress(f"[{number}/{len(run.plans)}] {plan.strategy.name} ({engine} engine)")
        results.append(run_plan(plan, engine))
        if options.log:
            from bot.log import log_run, run_logger

            logger = run_logger(strategy=plan.strategy.name, simulated_prices=run.simulated)
            log_run(logger, results[-1].fills, results[-1].notices)
    attributions = [attribute(result) for result in results]
    metrics = [measure(result, split) for result, split in zip(results, attributions, strict=True)]
    reproduce = run.reproduce(options.config)
    document = summary(results, attributions, metrics, run.simulated, reproduce)
    text = summary_table(attributions, metrics, run.simulated)
    if "pool luck" in reproduce:
        text += f"\nPool luck: {reproduce['pool luck']}."
    text += "".join(f"\n{line}" for line in (*notice_lines(results), *(f"Note: {note}." for note in notes)))
    if not options.no_report:
        from bot.reporting import report_files

        progress("writing the report")
        directory = options.out or Path("runs") / run_id(run.settings.contract.id, reproduce)
        files = report_files(run, results, attributions, metrics, reproduce)
        write_run(
            directory,
            results,
            attributions,
            metrics,
            simulated=run.simulated,
            reproduce=reproduce,
            files=files,
            replace=options.out is None,
        )
        document = {**document, "directory": str(directory)}
        text += f"\nreport: {directory / 'report.html'}"
    return Outcome(text, document)


def parity(options: Namespace) -> Outcome:
    """Run every engine on every strategy and compare fills, postings and marks with ==."""
    if options.journal is not None:
        from bot.app.journals import journal_parity

        return journal_parity(options)
    from backtests.parity import compare
    from bot.config_settings import BACKTRADER, COMPILED, REFERENCE
    from bot.run import able_engine, load_run, run_plan

    run = load_run(options.config)
    rows, refusals = [], []
    for number, plan in enumerate(run.plans, 1):
        engines = [REFERENCE, BACKTRADER, COMPILED]
        if why := able_engine(plan, COMPILED)[1]:
            engines.remove(COMPILED)
            refusals.append(why)
        progress(f"[{number}/{len(run.plans)}] {plan.strategy.name}: {', '.join(engines)}")
        results = [run_plan(plan, engine) for engine in engines]
        compare(results)
        first = results[0]
        rows.append(
            {
                "strategy": first.name,
                "engines": engines,
                "fills": len(first.fills),
                "postings": len(first.postings),
                "marks": len(first.marks),
            }
        )
    lines = [
        f"{row['strategy']}: {row['fills']} fills, {row['postings']} postings, {row['marks']} marks equal in "
        f"{len(row['engines'])} engines"
        for row in rows
    ]
    lines += [f"Note: {why}" for why in refusals]
    return Outcome("\n".join(lines), {"equal": True, "strategies": rows, "not_compared": refusals})


def check(options: Namespace) -> Outcome:
    """Read a configuration and everything it names; all problems are raised at once."""
    from bot.config import draft_settings
    from bot.feeds.join import is_live
    from bot.run import load_run, params_type

    settings = draft_settings(options.config, params_type).settings
    if settings is not None and is_live(settings):
        names = [entry.name for entry in settings.strategies]
        text = (
            f"{options.config}: no problems\n{len(names)} strategies: {', '.join(names)}\nlive sources: none was asked"
        )
        return Outcome(text, {"config": str(options.config), "problems": [], "strategies": names, "live": True})
    run = load_run(options.config)
    names = [plan.strategy.name for plan in run.plans]
    events = len(run.history.bars) + len(run.history.quotes)
    notes = [note for source in run.history.sources for note in source.notes] + list(run.notes)
    text = f"{options.config}: no problems\n{len(names)} strategies: {', '.join(names)}\n"
    text += f"{events} {run.history.kind}, {len(run.history.rates)} swap rates, {len(run.plans[0].blocks)} blocks"
    text += "\nSIMULATED PRICES" if run.simulated else ""
    text += "".join(f"\nnote: {note}" for note in notes)
    document = {"config": str(options.config), "problems": [], "strategies": names, "simulated_prices": run.simulated}
    document["notes"] = notes
    return Outcome(text, document)


def explain(options: Namespace) -> Outcome:
    """List every setting with value, unit, origin and meaning."""
    from bot.config import explain_settings, load_settings
    from bot.run import params_type

    rows = explain_settings(load_settings(options.config, params_type))
    return Outcome(columns([(r.path, f"{r.value} {r.unit}".rstrip(), r.origin, r.doc) for r in rows]), _rows(rows))


def _rows(rows: list[Any]) -> dict[str, Any]:
    return {"settings": [row._asdict() for row in rows]}
