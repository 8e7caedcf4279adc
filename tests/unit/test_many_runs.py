"""Work in processes: results in the order of the tasks, errors as they were raised, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.errors import ConfigError, FairhashError, HistoryError, Problem
from bot.studies.many_runs import bounded, in_processes, workers_of

ROOT = Path(__file__).parents[2]


def slower_first(number: int) -> tuple[int, int]:
    time.sleep(0.05 if number == 0 else 0.0)
    return number, os.getpid()


def refusing(number: int) -> int:
    if number == 1:
        raise HistoryError([Problem("quotes.csv:7", "is no number", "mend it"), Problem("quotes.csv:9", "nor this")])
    return number


def ending(number: int) -> int:
    os._exit(3)


def test_results_come_in_the_order_of_the_tasks_from_other_processes() -> None:
    found = list(in_processes(slower_first, range(12), 2))
    assert [number for number, _ in found] == list(range(12))
    assert os.getpid() not in {pid for _, pid in found} and len({pid for _, pid in found}) <= 2


@pytest.mark.parametrize("together", [1, 5, 100])
def test_tasks_that_go_together_change_neither_results_nor_their_order(together: int) -> None:
    found = list(in_processes(slower_first, range(12), 2, together=together))
    assert [number for number, _ in found] == list(range(12))
    by = [pid for _, pid in found]
    assert all(len(set(by[at : at + together])) == 1 for at in range(0, 12, together))


def test_every_task_can_have_a_process_of_its_own() -> None:
    assert len({pid for _, pid in in_processes(slower_first, range(3), 2, fresh=True)}) == 3


def test_an_error_comes_out_with_all_its_problems() -> None:
    with pytest.raises(HistoryError) as caught:
        list(in_processes(refusing, range(3), 2))
    assert [str(problem) for problem in caught.value.problems] == [
        "quotes.csv:7: is no number (mend it)",
        "quotes.csv:9: nor this",
    ]
    assert caught.value.exit_code == 3


def test_a_process_that_ends_without_an_answer_is_told() -> None:
    with pytest.raises(FairhashError, match="a process at work ended without an answer"):
        list(in_processes(ending, range(2), 1))


def test_no_process_outlives_the_one_that_started_it() -> None:
    script = (
        "import os, time\nfrom tests.unit.test_many_runs import slower_first\n"
        "from bot.studies.many_runs import in_processes\n"
        "if __name__ == '__main__':\n    for number, pid in in_processes(slower_first, range(9), 1):\n"
        "        print(pid, flush=True)\n        time.sleep(60)\n"
    )
    path = f"{ROOT}:{ROOT / 'tests' / 'unit'}"
    started = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    started.kill()
    started.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
    started.stdout.close()


def test_numbers_out_of_bounds_are_refused_with_the_option() -> None:
    assert bounded("--runs", 3, 2, 9) == 3 and workers_of(2) == 2 and workers_of(None) >= 1
    with pytest.raises(ConfigError, match="--runs: 1 is not between 2 and 9"):
        bounded("--runs", 1, 2, 9)
    with pytest.raises(ConfigError, match="--workers: 0 is not between 1 and 1024"):
        workers_of(0)
