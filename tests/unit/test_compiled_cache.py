"""Machine code is kept in the user's cache: safe for two processes at once, a package not to be written, a change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from numba.core.codegen import CPUCodeLibrary

from backtests.compiled_engine import cache, strategy

ROOT = Path(__file__).parents[2]
STRATEGY = """
from dataclasses import dataclass
from strategies.table import table
from strategies.view import Target, View

STEP = 10

@dataclass(frozen=True)
class Params:
    share: float = 0.5

@table
def more(params, number):
    return [number + 0.25]

def wanted(view):
    return view.lots_for(0.5) // STEP * STEP

def decide(view: View, params: Params) -> Target:
    return Target(wanted(view) + int(more(params, 3)[0]))
"""
RUN = """
import hashlib
from dataclasses import replace
from backtests import compiled_engine
from bot.session import Strategy
from tests.parity.histories import random_plan
import mine
plan = random_plan(3, "bars", "hold_long", debug=False)
plan = replace(plan, settings=replace(plan.settings, observe=False), strategy=Strategy("m", mine.decide, mine.Params()))
result = compiled_engine.run(plan)
print(hashlib.sha256(repr((result.marks, result.fills)).encode()).hexdigest())
"""


ASK = """
from dataclasses import replace
from backtests import compiled_engine
from bot.session import Strategy
from tests.parity.histories import random_plan
import mine
plan = random_plan(3, "bars", "hold_long", debug=False)
print(compiled_engine.lacks(replace(plan, strategy=Strategy("m", mine.decide, mine.Params()))))
"""


def start(directory: Path, place: Path, script: str = RUN) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(place), "PYTHONPATH": f"{ROOT}{os.pathsep}{directory}"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "-W", "error", "-c", script]
    return subprocess.Popen(command, env=environment, cwd=directory, stdout=subprocess.PIPE, text=True)


def result_of(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return said.strip()


def code(place: Path) -> dict[Path, int]:
    """Return the files of a strategy's machine code and when they were written."""
    return {path: path.stat().st_mtime_ns for path in place.rglob("*answer*.nbc")}


def bring_course(place: Path) -> None:
    """Have the code that all strategies share there: making it takes half a minute."""
    strategy.course()
    name = cache.digest((), strategy.COURSE)
    shutil.copytree(cache.home() / name, place / "fairhash" / "machine-code" / name)


def files(directory: Path) -> set[Path]:
    return {path for path in directory.rglob("*") if "__pycache__" not in path.parts or path.suffix != ".pyc"}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(STRATEGY, encoding="utf-8")
    return tmp_path


def test_processes_that_start_at_once_share_and_a_change_is_seen(work: Path) -> None:
    place = work / "cache"
    bring_course(place)
    before = files(ROOT / "backtests") | files(ROOT / "bot") | files(ROOT / "strategies")
    both = [start(work, place), start(work, place)]
    first, second = map(result_of, both)
    assert first == second
    kept = code(place)
    assert len(kept) == 1  # one strategy, one place
    assert result_of(start(work, place)) == first
    assert code(place) == kept  # taken as it was, not made anew
    assert files(ROOT / "backtests") | files(ROOT / "bot") | files(ROOT / "strategies") == before

    (work / "mine.py").write_text(STRATEGY.replace("STEP = 10", "STEP = 4"), encoding="utf-8")
    second = result_of(start(work, place))
    assert second != first
    assert len(code(place)) == 2

    (work / "mine.py").write_text(STRATEGY.replace("number + 0.25", "number + 9.25"), encoding="utf-8")
    assert len({first, second, result_of(start(work, place))}) == 3, "a table computes something else"


def short(number: int) -> int:
    return number


def long(number: int) -> int:
    found = number
    for k in range(10):
        found += number // (k + 1) + (number if number > k else k) * int(number / 3.0)
    return found


def test_threads_that_compile_at_once_leave_numba_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    before = dict(vars(CPUCodeLibrary))
    together = Barrier(2)

    def made(function: Any) -> Any:
        together.wait(60)
        return strategy._made(function, (0,), f"{function.__name__:0>32}", ())

    for _ in range(3):
        with ThreadPoolExecutor(2) as threads:
            first, second = threads.map(made, (short, long))
        assert (first.entry_point(3), second.entry_point(3)) == (3, long(3))
        assert dict(vars(CPUCodeLibrary)) == before


def test_without_a_place_to_keep_it_machine_code_is_made_anew(work: Path) -> None:
    (work / "no-directory").write_text("", encoding="utf-8")
    assert result_of(start(work, work / "no-directory", ASK)) == "None"


def test_the_versions_used_last_are_kept_and_nothing_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_KEPT", 3)
    (tmp_path / "somebody else's").mkdir()
    names = [f"{number:032x}" for number in range(5)]
    for age, name in enumerate(names):
        with cache.kept_in(tmp_path / name) as keeps:
            assert keeps
        os.utime(tmp_path / name, (age, age))
    with cache.kept_in(tmp_path / names[2]):
        pass  # used again, and so the newest
    os.utime(tmp_path / names[2], (9, 9))
    with cache.kept_in(tmp_path / ("e" * 32)):
        pass
    left = {path.name for path in tmp_path.iterdir() if len(path.name) == 32}
    assert left == {"e" * 32, names[2], names[4]}
    assert (tmp_path / "somebody else's").is_dir()
