"""The walk-forward of a configuration: every trial on every train window in processes, the choice, one stitched run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from backtests.output import btc_text
from backtests.plan import Plan
from backtests.sweep.measures import Runner
from backtests.sweep.space import Space, Trial, at_random, grid, spaces_of
from backtests.walk_forward import (
    EXPANDING,
    ROLLING,
    Interval,
    Scored,
    Window,
    between,
    days_of,
    interval_of,
    profits_sat,
    stitched,
    windows,
    with_params,
)
from bot.config_settings import REFERENCE
from bot.core.units import NS_PER_DAY
from bot.errors import ConfigError, Problem, StrategyError
from bot.history.fields import iso_utc
from bot.run import Run, load_run, run_plan
from bot.studies.many_runs import AHEAD, bounded, chosen, in_processes, runner, with_engine

MODES: Final = (ROLLING, EXPANDING)
SCORES: Final = ("net", "sharpe")
MOST_TOGETHER: Final = 64
"""Tasks of which a process is told at once."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What is asked for: days to train and test on, how windows move, what chooses; `draws` trials, 0: the grid."""

    train_days: int
    test_days: int
    mode: str
    score: str
    draws: int
    seed: int


class Step(NamedTuple):
    """One window: the trial chosen, its scores there, and what the stitched run made in the test."""

    window: Window
    trial: Trial
    train: Scored
    test_sat: int


@dataclass(frozen=True, slots=True)
class Walked:
    """One strategy walked forward: `daily_sat` and `configured_sat` are profits a day over the tests, in satoshi.

    The latter are those of the parameters as configured, in one run over the same time.
    """

    space: Space
    trials: int
    failed: int
    steps: tuple[Step, ...]
    daily_sat: tuple[int, ...]
    configured_sat: tuple[int, ...]
    interval: Interval

    @property
    def total_sat(self) -> int:
        """Profit of the stitched run."""
        return sum(self.daily_sat)


class Task(NamedTuple):
    """One trial on one window, with the parameters that it sets."""

    window: Window
    trial: Trial
    arguments: dict[str, Any]


def walk(
    config: Path,
    name: str | None,
    asked: Walk,
    workers: int,
    progress: Callable[[str], None],
    engine: str | None = None,
) -> tuple[Run, list[Walked]]:
    """Return the configured run, and the walk of every strategy with a sweep section, or of the one called `name`.

    Raises ConfigError for windows that do not fit the run and where no strategy says what may vary.
    """
    run = load_run(config, REFERENCE)  # until it is known how many runs there are
    found = _windows(run, asked)
    named = [plan.strategy.name for plan in chosen(run, name)]
    spaces = [space for space in spaces_of(run.settings.strategies, str(config)) if space.name in named]
    if not spaces:
        what = f"{name!r} has no sweep section, so there is nothing to choose"
        raise ConfigError([Problem("--strategy", what, "add one, as in examples/sweep.yaml")])
    trials = list(at_random(spaces, asked.draws, asked.seed) if asked.draws else grid(spaces))
    by_place = {space.strategy: space for space in spaces}
    tasks = [Task(w, trial, by_place[trial.strategy].arguments(trial.values)) for w in found for trial in trials]
    trained_ns = sum(window.test_ns - window.train_ns for window in found)
    whole = trained_ns * len(trials) // (run.settings.end_ns - run.settings.start_ns)  # rounded down
    plans = [run.plans[space.strategy] for space in spaces]
    run, by = with_engine(run, plans, engine, whole)
    progress(f"{len(found)} windows, {len(trials)} trials in each: {len(tasks)} runs, {workers} processes, {by}")
    together = max(1, min(MOST_TOGETHER, len(tasks) // (workers * AHEAD)))  # rounded down
    rows = list(in_processes(_run, tasks, workers, start=_prepare, start_with=(config, run.engine), together=together))
    walked = []
    for space in spaces:
        mine = [(task, row) for task, row in zip(tasks, rows, strict=True) if task.trial.strategy == space.strategy]
        walked.append(_walked(run.plans[space.strategy], space, found, mine, asked))
    return run, walked


def _windows(run: Run, asked: Walk) -> list[Window]:
    start_ns, end_ns = run.settings.start_ns, run.settings.end_ns
    days = (end_ns - start_ns) // NS_PER_DAY  # rounded down
    bounded("--test", asked.test_days, 1, max(days - 1, 1))
    bounded("--train", asked.train_days, 1, max(days - 1, 1))
    found = windows(start_ns, end_ns, asked.train_days, asked.test_days, asked.mode)
    if not found:
        raise ConfigError([Problem("--train", f"the run has {days} days, which leaves none to test", "train on fewer")])
    return found


_AT_WORK: list[Run] = []
"""The configuration of this process, read once."""


def _prepare(config: Path, engine: str) -> None:
    _AT_WORK[:] = [load_run(config, engine)]
    _part.cache_clear()


@lru_cache(maxsize=2)
def _part(window: Window) -> tuple[Plan, Runner]:
    """Return the plan of a train window, and what runs its trials: tasks come window by window.

    All strategies of a configuration share it: they differ in nothing else.
    """
    (run,) = _AT_WORK
    part = between(run.plans[0], window.train_ns, window.test_ns)
    return part, runner(run.engine, part)


def _run(task: Task) -> Scored:
    (run,) = _AT_WORK
    part, by = _part(task.window)
    return score_of(replace(part, strategy=run.plans[task.trial.strategy].strategy), by, task.arguments)


def score_of(part: Plan, runner: Runner, arguments: dict[str, Any]) -> Scored:
    """Return what parameters do on the train window that `part` is; where they fail, how."""
    try:
        row = runner.row(with_params(part, arguments))
    except StrategyError as error:
        return Scored(error=str(error))
    return Scored(row.net_sat, row.sharpe_year)


def best_of(found: Sequence[tuple[Trial, Scored]], score: str) -> tuple[Trial, Scored]:
    """Return the trial with the highest score, the first of equals; raises StrategyError if all of them failed.

    Equity that never moves has no Sharpe ratio: it counts as 0, what nothing earns.
    """

    def reached(pair: tuple[Trial, Scored]) -> float:
        value = pair[1].net_sat if score == "net" else pair[1].sharpe_year
        return 0.0 if value is None else value

    sound = [pair for pair in found if not pair[1].error]
    if not sound:
        raise StrategyError(f"every trial failed, the first with: {found[0][1].error}")
    return max(sound, key=reached)


def _walked(plan: Plan, space: Space, found: Sequence[Window], made: list[tuple[Task, Scored]], asked: Walk) -> Walked:
    picked = [
        best_of([(task.trial, row) for task, row in made if task.window == window], asked.score) for window in found
    ]
    params = [with_params(plan, space.arguments(trial.values)).strategy.params for trial, _ in picked]
    # Parameters change on the way, for which a strategy is asked in Python; all engines post the same.
    result = run_plan(stitched(plan, found, params), REFERENCE)
    configured = run_plan(between(plan, found[0].test_ns, found[-1].end_ns), REFERENCE)
    days = days_of(found[0].test_ns, found[-1].end_ns)
    tests = profits_sat(result, [found[0].test_ns, *(window.end_ns for window in found)])
    daily = tuple(profits_sat(result, days))
    return Walked(
        space,
        len(made) // len(found),  # exact: every window has all of them
        sum(bool(row.error) for _, row in made),
        tuple(Step(w, t, row, test) for w, (t, row), test in zip(found, picked, tests, strict=True)),
        daily,
        tuple(profits_sat(configured, days)),
        interval_of(daily, asked.seed),
    )


def days(from_ns: int, to_ns: int) -> float:
    """Return a stretch in days."""
    return (to_ns - from_ns) / NS_PER_DAY


def per_day_sat(walked: Walked) -> tuple[float, float]:
    """Return profit a day of the choices in their train windows (mean), and of the stitched run."""
    inside = [step.train.net_sat / days(step.window.train_ns, step.window.test_ns) for step in walked.steps]
    first, last = walked.steps[0].window, walked.steps[-1].window
    return sum(inside) / len(inside), walked.total_sat / days(first.test_ns, last.end_ns)


def as_text(walked: Sequence[Walked], asked: Walk, simulated: bool) -> str:
    """Return every walk for a person: its windows, the stitched result, its interval."""
    lines = ["SIMULATED PRICES"] if simulated else []
    for one in walked:
        lines.append(
            f"{one.space.name}: {len(one.steps)} {asked.mode} windows, train {asked.train_days} d, "
            f"test {asked.test_days} d, {one.trials} trials each, chosen by {asked.score}"
        )
        lines += _table([_HEADS, *(_step_cells(one.space, step) for step in one.steps)])
        inside, outside = per_day_sat(one)
        interval, total = one.interval, days(one.steps[0].window.test_ns, one.steps[-1].window.end_ns)
        low, high = btc_text(round(interval.low_sat), plus=True), btc_text(round(interval.high_sat), plus=True)
        lines.append(
            f"out of sample, stitched: {btc_text(one.total_sat, plus=True)} BTC in {total:g} d, "
            f"95 % interval [{low}, {high}], below 0 in {interval.loss_share:.0%} of the samples "
            f"(stationary bootstrap of days, blocks of {interval.block_days} d)"
        )
        kept = f"{outside / inside:.0%} of it is left" if inside > 0 else "the train windows earned nothing to keep"
        each = [btc_text(round(value), plus=True) for value in (inside, outside)]
        lines.append(f"a day: {each[0]} BTC in sample, {each[1]} out of sample: {kept}")
        lines.append(f"with the parameters as configured: {btc_text(sum(one.configured_sat), plus=True)} BTC")
        lines += [f"{one.failed} runs failed and were not chosen"] if one.failed else []
    return "\n".join(lines)


_HEADS: Final = ("train from", "test from", "until", "chosen", "in sample, BTC", "out of sample, BTC")


def _step_cells(space: Space, step: Step) -> tuple[str, ...]:
    times = (iso_utc(time_ns)[:16].replace("T", " ") for time_ns in step.window)
    params = ", ".join(f"{key} {value}" for key, value in space.shown(step.trial.values).items())
    return (*times, params, btc_text(step.train.net_sat, plus=True), btc_text(step.test_sat, plus=True))


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def as_document(walked: Sequence[Walked], asked: Walk, run: Run, config: Path) -> dict[str, Any]:
    """Return every walk for a program; amounts in satoshi."""
    return {
        "simulated_prices": run.simulated,
        "mode": asked.mode,
        "train_days": asked.train_days,
        "test_days": asked.test_days,
        "score": asked.score,
        "seed": asked.seed,
        "strategies": [_described(one) for one in walked],
        "reproduce": {name: text for name, text in run.reproduce(config).items() if name != "command"},
    }


def _described(one: Walked) -> dict[str, Any]:
    inside, outside = per_day_sat(one)
    return {
        "name": one.space.name,
        "trials": one.trials,
        "failed": one.failed,
        "windows": [
            {
                "train_from_utc": iso_utc(step.window.train_ns),
                "test_from_utc": iso_utc(step.window.test_ns),
                "until_utc": iso_utc(step.window.end_ns),
                "params": one.space.shown(step.trial.values),
                "in_sample_sat": step.train.net_sat,
                "in_sample_sharpe_year": step.train.sharpe_year,
                "out_of_sample_sat": step.test_sat,
            }
            for step in one.steps
        ],
        "out_of_sample_sat": one.total_sat,
        "out_of_sample_interval_sat": [one.interval.low_sat, one.interval.high_sat],
        "out_of_sample_loss_share": one.interval.loss_share,
        "block_days": one.interval.block_days,
        "in_sample_sat_day": inside,
        "out_of_sample_sat_day": outside,
        "configured_sat": sum(one.configured_sat),
        "daily_sat": one.daily_sat,
    }
