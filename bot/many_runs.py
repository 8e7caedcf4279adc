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
from typing import TYPE_CHECKING, Any, TypeVar

from bot.errors import ConfigError, FairhashError, Problem

if TYPE_CHECKING:
    from backtests.plan import Plan
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


def in_processes(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    *,
    start: Callable[..., None] | None = None,
    start_with: tuple[Any, ...] = (),
    fresh: bool = False,
) -> Iterator[Result]:
    """Yield `work(task)` for every task in order, done by `workers` processes; what one raises is raised here.

    Processes are started anew, not forked, so that none inherits what another thread holds. `start(*start_with)`
    prepares each of them. With `fresh` every task has a process of its own, in which nothing was imported before it.
    """
    with ProcessPoolExecutor(
        min(workers, len(tasks)) or 1,
        multiprocessing.get_context("spawn"),
        _prepare,
        (start, start_with),
        max_tasks_per_child=1 if fresh else None,
    ) as pool:
        waiting: list[Future[Result]] = []
        try:
            for task in tasks:
                waiting.append(pool.submit(work, task))
                if len(waiting) >= workers * AHEAD:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        except BrokenProcessPool as error:
            what = "a process at work ended without an answer: it was killed, or lacked memory, or a strategy ended it"
            raise FairhashError(f"{what}; try fewer --workers") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


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
