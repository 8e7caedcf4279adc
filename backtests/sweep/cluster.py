"""The workers of a Dask cluster: the same blocks of the same work, wherever they run. Imports dask distributed.

What every task needs (the job, the tables of a market) is itself the result of a task, so the scheduler makes it again
when the worker that held it is gone, and gives that worker's blocks to others: losing a worker loses nothing.
"""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from backtests.sweep.job import Bench, Job
from backtests.sweep.local import block_size, blocks_of, not_simulated
from backtests.sweep.markets import CONFIGURED, Market, kept
from backtests.sweep.measures import WORKER_DIED, Row
from backtests.sweep.run import Work
from backtests.sweep.space import Trial
from bot.errors import FairhashError, UnsupportedError

_LARGEST_BLOCK: Final = 16
"""The rows of a block come all at once, and are all lost with their worker."""
CONNECT_S: Final = 10.0
"""How long a scheduler may take to answer."""


class Cluster:
    """The workers of the scheduler at `address`. Use it as a context: at its end nothing of it is left there."""

    def __init__(self, job: Job, address: str) -> None:
        """Connect. Raises UnsupportedError where no scheduler answers."""
        from distributed import Client

        assert job.directory is not None
        self._address, self._trial_s = address, job.trial_s
        for noisy in ("distributed.client", "distributed.utils"):  # tracebacks of what is raised anyway
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
        try:
            self._client = Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, ImportError) as error:
            text = " ".join(str(error).split())
            raise UnsupportedError(f"--cluster {address}: no Dask scheduler answers there: {text}") from error
        configured = kept(job.directory, CONFIGURED, job.simulated.kind)
        self._job = self._client.submit(_itself, pickle.dumps(job), pure=False)
        self._markets: dict[int, Any] = {CONFIGURED: self._client.submit(_itself, _whole(configured), pure=False)}

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def prepare(self, seeds: Sequence[int]) -> Iterator[int]:
        """Simulate markets on the cluster, where they stay; yield each seed when its market is there."""
        for seed in seeds:
            self._markets[seed] = self._client.submit(_simulated, self._job, seed, pure=False)
        numbers = {self._markets[seed]: seed for seed in seeds}
        with self._connected():
            for future in self._as_completed(list(numbers)):
                error = future.exception()  # the market itself stays where it is
                if error is not None:
                    raise not_simulated(f"market {numbers[future]}: {error}") from error
                yield numbers[future]

    def run(self, asked: Sequence[Work]) -> Iterator[Row]:
        """Yield a row for each trial on each market, in the order in which blocks are done.

        A block in which worker after worker dies is run trial by trial, to find the one that kills them; with a limit
        for trials, one of which may end its worker, all are run so from the start.
        """
        from distributed import KilledWorker

        with self._connected():
            cores = max(1, sum(self._client.nthreads().values()))
            count = sum(len(trials) for _, trials in asked)
            size = 1 if self._trial_s else block_size(count, cores, _LARGEST_BLOCK)
            waiting = {self._submit(work): work for work in blocks_of(asked, size)}
            done = self._as_completed(list(waiting))
            for future in done:
                market, trials = waiting.pop(future)
                try:
                    yield from future.result()
                except KilledWorker:
                    if len(trials) == 1:
                        yield Row(trials[0].number, market, error=self._killed())
                        continue
                    again = {self._submit((market, (trial,))): (market, (trial,)) for trial in trials}
                    waiting |= again
                    done.update(list(again))

    def _killed(self) -> str:
        """Return the error of a trial in which worker after worker died: of what, nobody is left to say."""
        text = f"{WORKER_DIED}: worker after worker died in it"
        return (
            f"{text}, or was ended since nothing else stopped it after {self._trial_s:g} s" if self._trial_s else text
        )

    def _as_completed(self, futures: list[Any]) -> Any:
        from distributed import as_completed

        return as_completed(futures, loop=self._client.loop)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Turn the loss of the scheduler into an error that says how to go on."""
        try:
            yield
        except (OSError, CancelledError) as error:
            what = f"--cluster {self._address}: the scheduler is gone ({type(error).__name__})"
            raise UnsupportedError(f"{what}; nothing done is lost: start again when it is back") from error

    def _submit(self, work: Work) -> Any:
        market, trials = work
        return self._client.submit(_rows, self._job, self._markets[market], market, trials, pure=False)


_here = threading.local()
"""The bench of each thread that runs blocks: a worker process may have several."""


def _rows(pickled: bytes, market: Market, number: int, trials: tuple[Trial, ...]) -> list[Row]:
    return list(_bench(pickled).rows(number, trials, market))


def _simulated(pickled: bytes, seed: int) -> Market:
    try:
        return _bench(pickled).job.simulate(seed)
    except FairhashError as error:
        raise RuntimeError(str(error)) from None  # an error with typed fields would not travel whole


def _bench(pickled: bytes) -> Bench:
    """Return this thread's bench for a job, made when the job is new to it."""
    if getattr(_here, "pickled", None) != pickled:
        _here.pickled, _here.bench = pickled, Bench(pickle.loads(pickled))  # noqa: S301 - from the client's own process
    bench: Bench = _here.bench
    return bench


def _itself(value: Any) -> Any:
    return value


def _whole(market: Market) -> Market:
    """Return a market whose tables are in memory, not in this machine's files."""
    return Market(market.kind, np.array(market.rows), np.array(market.rates))
