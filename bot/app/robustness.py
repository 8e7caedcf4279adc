"""Commands that ask how far a result can be trusted: bias, montecarlo, walk-forward."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bot.app.outcome import Outcome, progress
from bot.errors import BIASED


def bias(options: Namespace) -> Outcome:
    """Change everything that lies in the future and name the first decision of each strategy that moves."""
    from bot.studies import bias as checking
    from bot.studies.many_runs import workers_of

    workers = workers_of(options.workers)
    verdict = checking.check(options.config, options.strategy, options.cuts, options.seed, workers, progress)
    return Outcome(
        checking.as_text(verdict), checking.as_document(verdict), exit_code=BIASED if verdict.findings else 0
    )


def montecarlo(options: Namespace) -> Outcome:
    """Run strategies over many simulated worlds; print the risk of each, write its directory unless told not to."""
    from backtests.output import refuse_place, write_whole
    from bot.config_settings import REFERENCE
    from bot.run import load_run, run_id
    from bot.studies import montecarlo as experimenting
    from bot.studies import montecarlo_pages as pages
    from bot.studies.many_runs import chosen as chosen_plans
    from bot.studies.many_runs import with_engine, workers_of

    if options.out is not None and not options.no_report:
        refuse_place(options.out)  # not after the work is done
    workers = workers_of(options.workers)
    run = load_run(options.config, REFERENCE)
    plans = chosen_plans(run, options.strategy)
    run, by = with_engine(run, plans, options.engine, len(plans))  # every world is prepared anew: one has to pay
    experiment = experimenting.experiment_of(
        run, options.config, options.strategy, options.runs, options.seed, options.vary
    )
    progress(by)
    results = experimenting.carry_out(experiment, workers, progress)
    risks = experimenting.risks(results, experiment.names, experiment.seed)
    text = pages.as_text(experiment, risks)
    chosen = f" --strategy {options.strategy}" if options.strategy else ""
    chosen += f" --engine {options.engine}" if options.engine else ""
    parts = ",".join(experiment.varied)
    command = f"fairhash montecarlo {options.config.name} --runs {options.runs} --seed {options.seed} --vary {parts}"
    reproduce = {**run.reproduce(options.config), "command": command + chosen}
    document = pages.as_document(experiment, risks, reproduce)
    if not options.no_report:
        progress("writing the report")
        directory = options.out or Path("runs") / f"montecarlo-{run_id(run.settings.contract.id, reproduce)}"
        files = pages.files_of(run, experiment, results, risks, reproduce)
        write_whole(directory, files, replace=options.out is None)
        document = {**document, "directory": str(directory)}
        text += f"\nreport: {directory / 'report.html'}"
    return Outcome(text, document)


def walk_forward(options: Namespace) -> Outcome:
    """Choose parameters in one window and judge them in the next; one stitched run over all tests."""
    from backtests.whole_file import refuse_file, write_file
    from bot.studies import walk_forward as walking
    from bot.studies.many_runs import bounded, workers_of

    if options.plot:
        refuse_file(options.plot)  # not after the work is done
    draws = bounded("--random", options.random, 0, 100_000)
    asked = walking.Walk(options.train, options.test, options.mode, options.score, draws, options.seed)
    run, walked = walking.walk(
        options.config, options.strategy, asked, workers_of(options.workers), progress, options.engine
    )
    text = walking.as_text(walked, asked, run.simulated)
    if options.plot:
        from bot.studies.walk_forward_plot import plot

        write_file(options.plot, plot(walked, run.simulated).encode())
        text += f"\nplot: {options.plot}"
    return Outcome(text, walking.as_document(walked, asked, run, options.config))
