"""What commands of many runs share: which strategies, how many processes, and results in the order of the tasks.

Each process reads the configuration for itself: nothing is copied to it but a task, nothing comes back but a result.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from bot.config_settings import COMPILED, REFERENCE
from bot.errors import ConfigError, FairhashError, Problem, UnsupportedError

if TYPE_CHECKING:
    from backtests.brief import Brief
    from backtests.plan import Plan
    from backtests.result import RunResult
    from backtests.sweep.measures import Runner
    from bot.run import Run

Task = TypeVar("Task")
Result = TypeVar("Result")

AHEAD = 4
"""Tasks that wait for each process, so that none stands idle and few results wait to be taken."""


def chosen(run: Run, name: str | None) -> tuple[Plan, ...]:
    """Return the plans of the strategies called `name`, all of them for None; raises ConfigError for another name."""
    plans = tuple(plan for plan in run.plans if name in (None, plan.strategy.name))
    if not plans:
        known = ", ".join(plan.strategy.name for plan in run.plans)
        raise ConfigError([Problem("--strategy", f"no strategy is called {name!r}", f"the configuration has {known}")])
    return plans


def bounded(option: str, value: int, low: int, high: int) -> int:
    """Return `value` if it lies within the bounds; raises ConfigError that names the option."""
    if not low <= value <= high:
        raise ConfigError([Problem(option, f"{value} is not between {low} and {high}", f"for example {low}")])
    return value


def workers_of(asked: int | None) -> int:
    """Return how many processes to use: as asked, else one for each core that this process may use."""
    if asked is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return bounded("--workers", asked, 1, 1024)


def with_engine(run: Run, plans: Sequence[Plan], asked: str | None, runs: int) -> tuple[Run, str]:
    """Return `run` with the engine for so many runs of `plans`, and in words which it is, and why no faster one.

    `asked` is the engine that the command line names; None: the configuration's. Machine code that all strategies share
    is made here if it never was, in a process of its own: that takes a gigabyte, which no worker then takes besides.
    """
    from bot.run import engine_for

    engine, why = engine_for(plans, asked or run.settings.config.run.engine, runs)
    if engine == COMPILED and not _is_made():
        list(in_processes(_make, (0,), 1))
    return replace(run, engine=engine), f"{engine} engine" + (f": {why}" if why else "")


def _is_made() -> bool:
    from backtests import compiled_engine

    return compiled_engine.is_made()


def _make(_: int) -> None:
    from backtests.compiled_engine.strategy import course

    course()


def runner(engine: str, market: Plan) -> Runner:
    """Return what runs plans on the history of `market`; an engine that prepares a history does it here.

    What is beyond the compiled engine's bounds, a market or a parameter, is run by the reference engine: the rows are
    the same.
    """
    from backtests.sweep.measures import Runner
    from backtests.sweep.timeline import Timeline
    from bot.run import run_by, run_plan

    if engine != COMPILED:
        return Runner(partial(run_plan, engine=engine))
    from backtests import compiled_engine

    by_reference = partial(run_plan, engine=REFERENCE)
    try:
        prepared = compiled_engine.prepare(market)
    except UnsupportedError:
        return Runner(by_reference)
    settings = market.settings
    timeline = Timeline(prepared.columns.known_ns, settings.start_ns, market.end_ns, settings.contract.end_ns)
    brief = partial(compiled_engine.run_brief, prepared=prepared, samples=timeline.samples)

    def run(plan: Plan) -> RunResult | Brief:
        try:
            return run_by(brief, plan)
        except UnsupportedError:
            return by_reference(plan)  # type: ignore[no-any-return]  # run_plan returns what its engine does

    return Runner(run, timeline, partial(compiled_engine.make, prepared=prepared))


def in_processes(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    *,
    start: Callable[..., None] | None = None,
    start_with: tuple[Any, ...] = (),
    fresh: bool = False,
    together: int = 1,
) -> Iterator[Result]:
    """Yield `work(task)` for every task in order, done by `workers` processes; what one raises is raised here.

    So many tasks as `together` says are handed out at once: to hand one out takes as long as a short run.
    Processes are started anew, not forked, so that none inherits what another thread holds. `start(*start_with)`
    prepares each of them. With `fresh` every task has a process of its own, in which nothing was imported before it.
    Whatever ends it early, an interrupt or a task that failed, ends the processes too: a strategy may never end.
    """
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(
        min(workers, -(-len(tasks) // together)) or 1,  # rounded up
        multiprocessing.get_context("spawn"),
        _prepare,
        (start, start_with),
        max_tasks_per_child=1 if fresh else None,
    ) as pool:
        waiting: list[Future[list[Result]]] = []
        try:
            for at in range(0, len(tasks), together):
                waiting.append(pool.submit(_each, work, tasks[at : at + together]))
                if len(waiting) >= workers * AHEAD:
                    yield from waiting.pop(0).result()
            while waiting:
                yield from waiting.pop(0).result()
        except BrokenProcessPool as error:
            what = "a process at work ended without an answer: it was killed, or lacked memory, or a strategy ended it"
            raise FairhashError(f"{what}; try fewer --workers") from error
        except BaseException:
            for process in multiprocessing.active_children():
                if process not in others:
                    process.kill()
            pool.shutdown(cancel_futures=True)  # waits: a pool that is still ending when Python does says so, at length
            raise


def _each(work: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    return [work(task) for task in tasks]


def _prepare(start: Callable[..., None] | None, start_with: tuple[Any, ...]) -> None:
    sys.stdout = sys.stderr  # what a strategy prints is no part of the result
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one is interrupted too, and says so
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    if start is not None:
        start(*start_with)


def _end_with(parent: Any) -> None:
    """End this process when the one that started it has ended, however that was: nobody waits for it any more."""
    parent.join()
    os._exit(1)
