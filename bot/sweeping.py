"""What a sweep needs, gathered from a configured run; and the files it leaves."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from pathlib import Path

from backtests.sweep import markets
from backtests.sweep.job import Job, Swept
from backtests.sweep.space import Space
from bot.history import simulate
from bot.run import Run, run_plan


def job_of(run: Run, spaces: tuple[Space, ...], directory: Path | None) -> Job:
    """Return the job of sweeping `spaces`, markets' tables in `directory`."""
    plan = run.plans[0]
    swept = {space.strategy: tuple(axis.field for axis in space.axes) for space in spaces}
    return Job(
        settings=replace(plan.settings, observe=False, keep_moves=False),
        growth=plan.growth,
        past_epochs=plan.past_epochs,
        blocks=plan.blocks,
        end_ns=plan.end_ns,
        sources=run.history.sources,
        strategies=tuple(
            Swept(entry.name, entry.use, _arguments(entry.params), swept.get(index, ()))
            for index, entry in enumerate(run.settings.strategies)
        ),
        run=partial(run_plan, engine=run.engine),
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
