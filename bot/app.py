"""The only place that wires parts together: one function for each command, each returning text and a document."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from bot.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command has to say, to people and to programs."""

    text: str
    document: Mapping[str, Any]

    def as_json(self) -> str:
        """Return the document as JSON; keys in their order, no NaN."""
        return json.dumps(self.document, indent=2, ensure_ascii=False, allow_nan=False)


def backtest(options: Namespace) -> Outcome:
    """Run every strategy, print the comparison, write the run's directory unless told not to."""
    from backtests.attribution import attribute
    from backtests.metrics import measure
    from backtests.output import notice_lines, refuse_place, summary, summary_table, write_run
    from bot.run import load_run, run_id, run_plan

    if options.out is not None and not options.no_report:
        refuse_place(options.out)  # not after the work is done
    run = load_run(options.config, options.engine, options.debug, observe=not options.no_report)
    results = []
    for number, plan in enumerate(run.plans, 1):
        _progress(f"[{number}/{len(run.plans)}] {plan.strategy.name} ({run.engine} engine)")
        results.append(run_plan(plan, run.engine))
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
    text += "".join(f"\n{line}" for line in (*notice_lines(results), *(f"Note: {note}." for note in run.notes)))
    if not options.no_report:
        from bot.reporting import report_files

        _progress("writing the report")
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
    from backtests.parity import compare
    from bot.run import load_run, run_plan

    run = load_run(options.config)
    engines = ("reference", "backtrader")
    rows = []
    for number, plan in enumerate(run.plans, 1):
        _progress(f"[{number}/{len(run.plans)}] {plan.strategy.name}: {' and '.join(engines)}")
        results = [run_plan(plan, engine) for engine in engines]
        compare(results)
        first = results[0]
        rows.append(
            {
                "strategy": first.name,
                "fills": len(first.fills),
                "postings": len(first.postings),
                "marks": len(first.marks),
            }
        )
    lines = [f"{r['strategy']}: {r['fills']} fills, {r['postings']} postings, {r['marks']} marks equal" for r in rows]
    return Outcome("\n".join(lines), {"engines": engines, "equal": True, "strategies": rows})


def check(options: Namespace) -> Outcome:
    """Read a configuration and everything it names; all problems are raised at once by kind of input."""
    from bot.run import load_run

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


def chain_verify(options: Namespace) -> Outcome:
    """Recompute every retarget from the figures."""
    from bot.chain.verify import verify

    report = verify(options.directory)
    return Outcome(report.to_text(), report.as_dict())


def chain_import(options: Namespace) -> Outcome:
    """Verify raw headers and write figures made of them."""
    from bot.chain.bundle import make

    first_day, last_day = _day("--from", options.first_day), _day("--to", options.last_day)
    if last_day < first_day:
        raise ConfigError([Problem("--to", f"{last_day} is before --from, {first_day}", "give a later day")])
    report = make(options.headers, options.first_height, options.epochs, options.fees, options.out, first_day, last_day)
    return Outcome(f"{options.out}: written\n{report.to_text()}", report.as_dict())


def _day(option: str, text: str) -> date:
    try:
        if len(text) != len("2014-08-01"):
            raise ValueError("ISO 8601 has other forms too; one is enough")
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError([Problem(option, f"{text!r} is not a day", "write 2014-08-01")]) from error


def history_check(options: Namespace) -> Outcome:
    """Say everything about a history file; raises HistoryError with its problems if it would be refused."""
    from bot.contract_file import load_contract
    from bot.errors import HistoryError
    from bot.history.check import check as check_file

    report = check_file(options.file, load_contract(options.contract))
    if not report.ok:
        raise HistoryError(list(report.problems))
    return Outcome(report.to_text(), report.as_dict())


def history_simulate(options: Namespace) -> Outcome:
    """Write a simulated market: quotes, bars and swap rates."""
    from bot.chain.chain import load as load_chain
    from bot.contract_file import load_contract
    from bot.history.simulate import interval_ns_of, simulate
    from bot.history.write import write_simulation

    contract = load_contract(options.contract)
    simulation = simulate(
        contract,
        load_chain(),
        seed=options.seed,
        interval_ns=interval_ns_of(options.interval),
        contract_path=str(options.contract),
    )
    paths = [str(path) for path in write_simulation(simulation, options.out)]
    return Outcome("SIMULATED PRICES\n" + "\n".join(paths), {"simulated_prices": True, "files": paths})


def new_strategy(options: Namespace) -> Outcome:
    """Write a strategy module to start from."""
    from bot.new_strategy import write_module

    path = write_module(options.dir, options.name)
    text = f"{path}: written\nuse it in a configuration with `use: {path.parent.name}.{path.stem}`"
    return Outcome(text, {"file": str(path)})


def docs(options: Namespace) -> Outcome:
    """Remake the generated pages, or with --check fail if one is out of date."""
    from bot.pages import remake

    if not Path("docs").is_dir() or not Path("bot").is_dir():
        raise ConfigError([Problem(str(Path.cwd()), "is not the repository, whose pages these are", "go there first")])
    changed = [str(path) for path in remake(Path(), check_only=options.check)]
    text = "\n".join(f"{path}: written" for path in changed) or "every generated page is up to date"
    return Outcome(text, {"changed": changed})


def validate_model(options: Namespace) -> Outcome:
    """Score every model of difficulty on every retarget since 2012, from bundled figures."""
    from bot import validating
    from bot.chain.chain import load as load_chain
    from bot.model.validation import validate

    epochs = load_chain(options.chain).epochs
    _progress(f"forecasting from {epochs[-1].number + 1} difficulty epochs")
    rows = validate(epochs)
    text = validating.table(rows)
    if options.plot:
        options.plot.write_text(validating.reliability_svg(rows), encoding="utf-8")
        text += f"\nplot: {options.plot}"
    return Outcome(text, validating.document(rows, len(epochs)))


def price(options: Namespace) -> Outcome:
    """Value a contract at one moment, from what was known then."""
    from bot import pricing, pricing_pages

    valuation = pricing.valuation(options)
    text = pricing_pages.as_text(valuation)
    if options.plot:
        options.plot.write_text(pricing_pages.as_svg(valuation), encoding="utf-8")
        text += f"\nplot: {options.plot}"
    return Outcome(text, pricing_pages.as_document(valuation))


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def columns(rows: list[tuple[str, ...]]) -> str:
    """Return rows as text in aligned columns, the last one ragged."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


COMMANDS: dict[tuple[str, str | None], Callable[[Namespace], Outcome]] = {
    ("backtest", None): backtest,
    ("parity", None): parity,
    ("check", None): check,
    ("explain", None): explain,
    ("new-strategy", None): new_strategy,
    ("docs", None): docs,
    ("validate-model", None): validate_model,
    ("price", None): price,
    ("chain", "verify"): chain_verify,
    ("chain", "import"): chain_import,
    ("history", "check"): history_check,
    ("history", "simulate"): history_simulate,
}
