"""The command sweep: many trials of a strategy's parameters, resumed where an earlier one was stopped."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bot.app.outcome import Outcome, columns, progress
from bot.errors import ConfigError, Problem, StrategyError

if TYPE_CHECKING:
    from backtests.sweep.cluster import Cluster
    from backtests.sweep.findings import Findings
    from backtests.sweep.local import Local
    from backtests.sweep.run import Search, Sweep
    from backtests.sweep.space import Space
    from bot.run import Run

MOST_SEEDS: Final = 10_000
MOST_WORKERS: Final = 512
LEAST_TRIAL_S: Final = 0.1
MOST_TRIAL_S: Final = 1_000_000


def sweep(options: Namespace) -> Outcome:
    """Run every trial that has no row yet, then write the table and the report; print the best and its luck."""
    from backtests.sweep.findings import findings_of
    from backtests.sweep.measures import CIRCUMSTANCES
    from backtests.sweep.rows import Rows, inputs_sha256
    from backtests.sweep.run import Sweep
    from backtests.sweep.space import spaces_of
    from bot.config_settings import REFERENCE
    from bot.run import load_run
    from bot.studies.many_runs import with_engine
    from bot.studies.sweep import inputs_of, write_sweep

    _check(options)
    run = load_run(options.config, REFERENCE)  # until it is known how many runs there are
    spaces = spaces_of(run.settings.strategies, str(options.config))
    search = _search(options, spaces)
    swept = [run.plans[space.strategy] for space in spaces]
    run, by = with_engine(run, swept, options.engine, search.total * (options.seeds + 1))
    progress(by)
    inputs = inputs_of(run, options.config, _search_words(options))
    directory = options.out or Path("runs") / f"sweep-{run.settings.contract.id}-{inputs_sha256(inputs)[:12]}"
    with Rows(directory, inputs, again=CIRCUMSTANCES if options.retry else ()) as rows:
        made = Sweep(search, range(options.seeds + 1), rows)
        _run(made, run, spaces, directory, options)
        found = findings_of(made, spaces, run.plans[0].settings.deposit_sat)
        if found.best is None:
            raise StrategyError(f"every trial failed, the first with: {found.standings[0].error}")
        document = write_sweep(directory, run, made, found, inputs, _command(options))
    return Outcome(_text(found, run, directory), {**document, "directory": str(directory)})


def _run(made: Sweep, run: Run, spaces: tuple[Space, ...], directory: Path, options: Namespace) -> None:
    """Run what is missing, telling how far it is; on an interrupt say how to go on."""
    from backtests.output import btc_text
    from bot.app.progress import Progress
    from bot.studies.sweep import kept_markets

    before = set(made.rows.found)
    shown = Progress(made.search.total * len(made.markets), "runs")
    best_sat: int | None = None
    try:
        with kept_markets(directory, run.history) as tables, _workers(run, spaces, tables, options) as workers:
            for event in made.run(workers):
                if isinstance(event, int):
                    progress(f"market {event} of {options.seeds} is simulated")
                    continue
                if not event.error:
                    best_sat = event.net_sat if best_sat is None else max(best_sat, event.net_sat)
                remark = "" if best_sat is None else f"best {btc_text(best_sat, plus=True)} BTC"
                shown.step((event.trial, event.market) not in before, remark)
        shown.finish()
    except KeyboardInterrupt:
        progress(f"\n{len(made.rows.found)} runs are kept in {directory}: the same command goes on from there")
        raise


def _workers(run: Run, spaces: tuple[Space, ...], tables: Path, options: Namespace) -> Local | Cluster:
    from bot.studies.sweep import job_of

    job = replace(job_of(run, spaces, tables), trial_s=options.trial_seconds)
    if options.cluster is not None:
        from backtests.sweep.cluster import Cluster

        return Cluster(job, options.cluster)
    from backtests.sweep.local import Local

    return Local(job, options.workers or _cores())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _search(options: Namespace, spaces: tuple[Space, ...]) -> Search:
    from backtests.sweep.run import Listed
    from backtests.sweep.space import at_random, grid

    if options.grid:
        return Listed(list(grid(spaces)))
    if options.random is not None:
        return Listed(list(at_random(spaces, options.random, options.seed)))
    from backtests.sweep.guided import Guided

    return Guided(spaces, options.optuna, options.seed)


def _search_words(options: Namespace) -> dict[str, str]:
    """Return what the search depends on; the number of workers and where they are is no part of it."""
    how = "grid" if options.grid else f"random {options.random}" if options.random else f"optuna {options.optuna}"
    if options.optuna:
        from importlib.metadata import version

        how += f" (optuna {version('optuna')})"
    seed = {} if options.grid else {"search seed": str(options.seed)}
    return {"search": how, **seed, "simulated markets": str(options.seeds)}


def _command(options: Namespace) -> str:
    """Return the command that makes this sweep again."""
    how = "--grid" if options.grid else f"--random {options.random}" if options.random else f"--optuna {options.optuna}"
    seed = "" if options.grid or options.seed == 1 else f" --seed {options.seed}"
    seeds = f" --seeds {options.seeds}" if options.seeds else ""
    engine = f" --engine {options.engine}" if options.engine else ""
    limit = f" --trial-seconds {options.trial_seconds:g}" if options.trial_seconds else ""
    return f"fairhash sweep {options.config.name} {how}{seed}{seeds}{engine}{limit}"


def _check(options: Namespace) -> None:
    """Refuse numbers that make no sense, all at once."""
    from backtests.sweep.space import MOST_TRIALS

    problems = []
    for name, value, low, high in (
        ("--random", options.random, 1, MOST_TRIALS),
        ("--optuna", options.optuna, 1, MOST_TRIALS),
        ("--seed", options.seed, 0, 2**32 - 1),
        ("--seeds", options.seeds, 0, MOST_SEEDS),
        ("--workers", options.workers, 1, MOST_WORKERS),
        ("--trial-seconds", options.trial_seconds, LEAST_TRIAL_S, MOST_TRIAL_S),
    ):
        if value is not None and not low <= value <= high:
            problems.append(Problem(name, f"{value} is not between {low} and {high}", "give another number"))
    if options.retry and options.optuna is not None:
        what = "a search by Optuna learned from what failed: later trials would be others"
        problems.append(Problem("--retry", what, "leave it out, or choose another --out"))
    if problems:
        raise ConfigError(problems)


def _text(found: Findings, run: Run, directory: Path) -> str:
    """Return the best trials as aligned text, how much of the first is luck, what failed, and where the report is."""
    from backtests.output import btc_text
    from backtests.sweep.findings import luck_words
    from backtests.sweep.measures import CIRCUMSTANCES
    from bot.studies.sweep import SHOWN

    heads = ["strategy", "net", "return", "Sharpe", "max drawdown", "trades", "liquidated", "parameters"]
    drawn_heads = [f"mean of {found.seeds} markets", "std error", "lost on"] if found.seeds else []
    table: list[tuple[str, ...]] = [(*heads[:2], *drawn_heads, *heads[2:])]
    for one in found.standings[:SHOWN]:
        if one.score is None:
            break
        row = one.row
        error_sat, share = one.standard_error, one.loss_share
        drawn = []
        if found.seeds:
            drawn.append(btc_text(round(one.score), plus=True))  # rounded half to even
            drawn.append("-" if error_sat is None else btc_text(round(error_sat)))
            drawn.append("-" if share is None else f"{share:.0%}")
        fall = f"{100 * row.drawdown_frac:.1f} %" if row.drawdown_frac is not None else btc_text(row.drawdown_sat)
        ratio = "-" if row.sharpe_year is None else f"{row.sharpe_year:.2f}"
        words = ", ".join(f"{key}: {value}" for key, value in one.shown.items())
        measures = [f"{row.return_frac:+.2%}", ratio, fall, str(row.trades), "yes" if row.liquidated else "no", words]
        table.append((one.space.name, btc_text(row.net_sat, plus=True), *drawn, *measures))
    lines = [columns(table)]
    lines.append("Amounts in BTC; net, Sharpe (annualised, as in a backtest) and the rest on the configured market.")
    lines.append(luck_words(found))
    if found.failed:
        lines.append(f"{len(found.failed)} of {len(found.standings)} trials failed, the first: {found.failed[0].error}")
        if any(one.error.startswith(CIRCUMSTANCES) for one in found.failed):
            lines.append("Some took too long, or their worker died: --retry runs those again.")
    lines.append(f"report: {directory / 'report.html'}")
    return "\n".join(["SIMULATED PRICES", *lines] if run.simulated or found.seeds else lines)
