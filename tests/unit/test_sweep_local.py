"""What a dead worker leaves behind, case by case: nothing is lost, nothing is done twice without need."""

from __future__ import annotations

from collections import deque
from ctypes import c_longlong
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import Any

import pytest

from backtests.sweep.local import Local, _Worker, block_size, blocks_of
from backtests.sweep.space import Trial
from bot.errors import HistoryError

TRIALS = tuple(Trial(number, 0, ()) for number in range(5))


@dataclass
class Dead:
    exitcode: int = -9

    def join(self) -> None:
        pass


def buried(
    pool: Local, left: tuple[Trial, ...], simulates: bool = False, reached: int = 0, answered: int = 0
) -> tuple[list[Any], list[Any]]:
    ours, _ = Pipe()
    process: Any = Dead()
    worker = _Worker(process, ours, c_longlong(reached), answered, 3, deque(left), simulates, busy=True)
    pool._workers.append(worker)
    work: deque[Any] = deque()
    rows = list(pool._bury(worker, work))
    assert worker not in pool._workers
    return rows, list(work)


@pytest.fixture
def pool() -> Local:
    nothing: Any = None
    return Local(nothing, 1)


def test_what_it_had_left_is_given_to_another(pool: Local) -> None:
    assert buried(pool, TRIALS[2:]) == ([], [(3, TRIALS[2:])])


def test_a_trial_in_which_two_died_is_a_row_and_the_rest_goes_on(pool: Local) -> None:
    buried(pool, TRIALS[2:])
    (row,), work = buried(pool, TRIALS[2:])
    assert (row.trial, row.market) == (2, 3) and row.error.endswith("exit code -9")
    assert work == [(3, TRIALS[3:])]
    assert buried(pool, TRIALS[4:]) == ([], [(3, TRIALS[4:])]), "others have chances of their own"
    assert len(buried(pool, TRIALS[4:])[0]) == 1


def test_the_trial_that_it_was_at_is_blamed_and_not_those_whose_rows_went_with_it(pool: Local) -> None:
    """It had sent two rows of its block, made two more, and was at the fifth trial when it died."""
    assert buried(pool, TRIALS[2:], reached=4, answered=2) == ([], [(3, TRIALS[2:])])
    (row,), work = buried(pool, TRIALS[2:], reached=2)  # the same trial, in another block
    assert row.trial == 4 and work == [(3, TRIALS[2:4])]


def test_one_that_dies_after_its_last_trial_is_not_followed_for_ever(pool: Local) -> None:
    """Something that a trial began may end the process each time before its rows are sent."""
    assert buried(pool, TRIALS[3:], reached=2) == ([], [(3, TRIALS[3:])])
    (row,), work = buried(pool, TRIALS[3:], reached=2)
    assert row.trial == 4 and work == [(3, TRIALS[3:4])]


def test_one_that_had_answered_all_leaves_nothing(pool: Local) -> None:
    """Not even a market without trials, which would be simulated and written over the configured one."""
    assert buried(pool, ()) == ([], []) == buried(pool, ())


def test_a_market_is_simulated_again_once(pool: Local) -> None:
    assert buried(pool, (), simulates=True) == ([], [(3, ())])
    with pytest.raises(HistoryError, match="--seeds: market 3: 2 worker processes died in it"):
        buried(pool, (), simulates=True)


def test_blocks_hold_every_trial_once_and_keep_all_workers_busy() -> None:
    assert list(blocks_of([(0, TRIALS), (7, TRIALS[:1])], 2)) == [
        (0, TRIALS[:2]),
        (0, TRIALS[2:4]),
        (0, TRIALS[4:]),
        (7, TRIALS[:1]),
    ]
    assert [block_size(count, 2) for count in (0, 1, 8, 40, 10_000)] == [1, 1, 1, 5, 64]
