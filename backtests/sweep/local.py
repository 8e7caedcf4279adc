"""Worker processes on this machine, started afresh (never forked: what they need comes through a pipe or a file).

Each worker is told one block of work at a time and answers with rows as they come, those of a few milliseconds at
once: a message takes as long as a short trial. A worker that dies costs nothing but time: its rows are here already but
for those of the last moment, which are made again; the trial that it died in, of which a word of memory tells that it
shares with us, is given to another once more, and only then called failed.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ctypes import c_longlong
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Any, Final

from backtests.sweep.job import Bench, Job
from backtests.sweep.limit import ENDED_BY, too_long
from backtests.sweep.markets import is_kept, keep
from backtests.sweep.measures import WORKER_DIED, Row
from backtests.sweep.run import Work
from backtests.sweep.space import Trial
from bot.errors import FairhashError, HistoryError, Problem

_LARGEST_BLOCK: Final = 64
_CHANCES: Final = 2
_TOGETHER_S: Final = 0.02
"""Rows that are made within so many seconds travel together. It is all that the clock decides here."""


@dataclass(slots=True)
class _Worker:
    """A process and what it was told to do: `left` are the trials of its block that it has not answered.

    `reached` holds the place in the block of the trial that it is at, `answered` counts those whose rows are here.
    """

    process: BaseProcess
    pipe: Connection
    reached: Any
    answered: int = 0
    market: int = 0
    left: deque[Trial] = field(default_factory=deque)
    simulates: bool = False
    busy: bool = False


class Local:
    """So many worker processes. Use it as a context: at its end they are gone."""

    def __init__(self, job: Job, workers: int) -> None:
        self._job = job
        self._pickled = pickle.dumps(job)
        self._count = workers
        self._workers: list[_Worker] = []
        self._deaths: dict[tuple[int, int], int] = {}

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.pipe.close()
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
        self._workers.clear()

    def pids(self) -> list[int]:
        """Return the process ids of the workers."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def prepare(self, seeds: Sequence[int]) -> Iterator[int]:
        """Simulate the markets of these seeds that are not kept yet; yield each seed when its market is kept."""
        directory = self._job.directory
        assert directory is not None
        for answer in self._answers(deque((seed, ()) for seed in seeds if not is_kept(directory, seed))):
            if isinstance(answer, str):
                raise not_simulated(answer)
            assert isinstance(answer, int)
            yield answer

    def run(self, asked: Sequence[Work]) -> Iterator[Row]:
        """Yield a row for each trial on each market, in the order in which they are done."""
        size = block_size(sum(len(trials) for _, trials in asked), self._count)
        for answer in self._answers(deque(blocks_of(asked, size))):
            assert isinstance(answer, Row)
            yield answer

    def _answers(self, work: deque[Work]) -> Iterator[Row | int | str]:
        """Yield what the workers answer until all `work` is done; a market without trials is to be simulated."""
        while work or any(worker.busy for worker in self._workers):
            while work and (worker := self._idle()) is not None:
                self._give(worker, work.popleft())
            for ready in wait([worker.pipe for worker in self._workers if worker.busy]):
                worker = next(one for one in self._workers if one.pipe is ready)
                try:
                    answer = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    yield from self._bury(worker, work)
                    continue
                if isinstance(answer, list):
                    for row in answer:
                        worker.left.popleft()
                        worker.answered += 1
                        yield row
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    worker.busy = False
                    if answer is not None:
                        yield answer

    def _idle(self) -> _Worker | None:
        """Return a worker with nothing to do, a new one while there are fewer than wanted, else None."""
        for worker in self._workers:
            if not worker.busy:
                return worker
        if len(self._workers) == self._count:
            return None
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        reached = context.RawValue(c_longlong, 0)
        process = context.Process(target=serve, args=(theirs, self._pickled, reached), daemon=True)
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours, reached))
        return self._workers[-1]

    def _give(self, worker: _Worker, work: Work) -> None:
        worker.market, worker.left = work[0], deque(work[1])
        worker.simulates, worker.busy = not work[1], True
        worker.answered = worker.reached.value = 0
        with suppress(BrokenPipeError, ConnectionResetError):  # it died idle, as reading its pipe will say
            worker.pipe.send(work)

    def _bury(self, worker: _Worker, work: deque[Work]) -> Iterator[Row]:
        """Put back what a dead worker had left; a trial in which two died gets a row that says so."""
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        if not worker.left and not worker.simulates:
            return  # it had answered all, and only not said so
        done = worker.reached.value - worker.answered  # trials that it was past, and whose rows went with it
        place = min(done, len(worker.left) - 1)
        key = (worker.market, -1 if worker.simulates else worker.left[place].number)
        self._deaths[key] = self._deaths.get(key, 0) + 1
        if worker.process.exitcode == -ENDED_BY and self._job.trial_s is not None and worker.left:
            yield self._failed(worker, place, too_long(self._job.trial_s))
        elif self._deaths[key] >= _CHANCES:
            how = f"{_CHANCES} worker processes died in it, the last with exit code {worker.process.exitcode}"
            if worker.simulates:
                raise not_simulated(f"market {worker.market}: {how}")
            yield self._failed(worker, place, f"{WORKER_DIED}: {how}")
        if worker.left or worker.simulates:
            work.appendleft((worker.market, tuple(worker.left)))

    def _failed(self, worker: _Worker, place: int, error: str) -> Row:
        """Return the row of a trial that a worker died in, and take it off what it had left."""
        number = worker.left[place].number
        del worker.left[place]
        return Row(number, worker.market, error=error)


def not_simulated(why: str) -> HistoryError:
    """Return the error that a market could not be simulated."""
    return HistoryError([Problem("--seeds", why, "mend that, or leave --seeds out")])


def block_size(trials: int, workers: int, largest: int = _LARGEST_BLOCK) -> int:
    """Return how many trials a worker is given at once: few enough that all are busy to the end."""
    return max(1, min(largest, trials // (workers * 4)))  # rounded down


def blocks_of(asked: Sequence[Work], size: int) -> Iterator[Work]:
    """Yield the work in blocks of at most `size` trials, market by market."""
    for market, trials in asked:
        for at in range(0, len(trials), size):
            yield market, trials[at : at + size]


def serve(pipe: Connection, pickled: bytes, reached: Any) -> None:
    """Answer work until the pipe is closed: the life of a worker process. `reached` tells which trial it is at."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the one that asks decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    bench = Bench(pickle.loads(pickled))  # noqa: S301 - from the process that started this one
    while True:
        try:
            market, trials = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            for answer in _done(bench, market, trials, reached):
                pipe.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            return
        except Exception as error:  # noqa: BLE001 - told to the process that asked, which raises it
            pipe.send(RuntimeError(f"worker: {type(error).__name__}: {error}"))


def _end_with(parent: Any) -> None:
    """End this process when the one that started it was killed: a trial may never look at the pipe again."""
    parent.join()
    os._exit(1)


def _done(bench: Bench, market: int, trials: tuple[Trial, ...], reached: Any) -> Iterator[Any]:
    if trials:
        yield from _rows(bench, market, trials, reached)
        yield None
        return
    assert bench.job.directory is not None
    try:
        keep(bench.job.simulate(market), bench.job.directory, market)
    except FairhashError as error:
        yield f"market {market}: {error}"
    else:
        yield market


def _rows(bench: Bench, market: int, trials: tuple[Trial, ...], reached: Any) -> Iterator[list[Row]]:
    """Yield the rows of a block, those of a moment together."""
    rows: list[Row] = []
    began_s = monotonic()
    for place, row in enumerate(bench.rows(market, trials), 1):
        rows.append(row)
        reached.value = place
        now_s = monotonic()
        if now_s - began_s >= _TOGETHER_S or place == len(trials):
            yield rows
            rows, began_s = [], now_s
