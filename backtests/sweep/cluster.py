"""The workers of a Dask cluster: the same blocks of the same work, wherever they run. Imports dask distributed.

What every task needs (the job, the tables of a market) is itself the result of a task, so the scheduler makes it again
when the worker that held it is gone, and gives that worker's blocks to others: losing a worker loses nothing.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from backtests.sweep.job import Bench, Job, Row
from backtests.sweep.local import block_size, blocks_of
from backtests.sweep.markets import CONFIGURED, Market, kept
from backtests.sweep.run import Work
from backtests.sweep.space import Trial
from bot.errors import UnsupportedError


class Cluster:
    """The workers of the scheduler at `address`. Use it as a context: at its end nothing of it is left there."""

    def __init__(self, job: Job, address: str, timeout_s: float = 10.0) -> None:
        """Connect. Raises UnsupportedError where no scheduler answers."""
        from distributed import Client

        assert job.directory is not None
        self._address = address
        try:
            self._client = Client(address, timeout=timeout_s, set_as_default=False)
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
        from distributed import as_completed

        for seed in seeds:
            self._markets[seed] = self._client.submit(_simulated, self._job, seed, pure=False)
        numbers = {self._markets[seed].key: seed for seed in seeds}
        for future in as_completed([self._markets[seed] for seed in seeds]):
            future.result()
            yield numbers[future.key]

    def run(self, asked: Sequence[Work]) -> Iterator[Row]:
        """Yield a row for each trial on each market, in the order in which blocks are done.

        A block in which worker after worker dies is run trial by trial, to find the one that kills them.
        """
        from distributed import KilledWorker, as_completed

        cores = max(1, sum(self._client.nthreads().values()))
        size = block_size(sum(len(trials) for _, trials in asked), cores)
        waiting = {self._submit(work): work for work in blocks_of(asked, size)}
        done = as_completed(list(waiting))
        for future in done:
            market, trials = waiting.pop(future)
            if future.status in ("cancelled", "lost"):
                what = f"--cluster {self._address}: the scheduler is gone; start again when it is back"
                raise UnsupportedError(f"{what}: nothing that was done is lost")
            error = future.exception()
            if error is None:
                yield from future.result()
            elif not isinstance(error, KilledWorker):
                raise error
            elif len(trials) == 1:
                yield Row(trials[0].number, market, error="WorkerDied: worker after worker died in it")
            else:
                again = {self._submit((market, (trial,))): (market, (trial,)) for trial in trials}
                waiting |= again
                done.update(list(again))

    def _submit(self, work: Work) -> Any:
        market, trials = work
        return self._client.submit(_rows, self._job, self._markets[market], market, trials, pure=False)


_here = threading.local()
"""The bench of each thread that runs blocks: a worker process may have several."""


def _rows(pickled: bytes, market: Market, number: int, trials: tuple[Trial, ...]) -> list[Row]:
    return list(_bench(pickled).rows(number, trials, market))


def _simulated(pickled: bytes, seed: int) -> Market:
    return _bench(pickled).job.simulate(seed)


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
