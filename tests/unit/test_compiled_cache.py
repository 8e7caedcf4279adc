"""Machine code is kept in the user's cache: safe for two processes at once, a package not to be written, a change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backtests.compiled_engine import cache, strategy

ROOT = Path(__file__).parents[2]
STRATEGY = """
from dataclasses import dataclass
from strategies.view import Target, View

STEP = 10

@dataclass(frozen=True)
class Params:
    share: float = 0.5

def wanted(view):
    return view.lots_for(0.5) // STEP * STEP

def decide(view: View, params: Params) -> Target:
    return Target(wanted(view))
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
    assert result_of(start(work, place)) != first
    assert len(code(place)) == 2


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
