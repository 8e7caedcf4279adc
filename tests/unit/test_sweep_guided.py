"""The guided search: it looks where the best trials were, and asks the same again when it is told the same."""

from __future__ import annotations

from dataclasses import replace

from backtests.sweep.guided import BATCH, Guided
from backtests.sweep.space import Space
from bot.fields import Fraction
from tests.unit.test_sweep_space import axis_of

AXIS = axis_of(Fraction(), "0", "1", "linear")
SPACE = Space(2, "a", "a", (AXIS, replace(AXIS, key="b")))


def searched(count: int, fails: bool = False) -> list[tuple[float, ...]]:
    """Return what is asked when the score is highest at (0.8, 0.3); with `fails` the half below 0.5 fails."""
    search = Guided((SPACE,), count, seed=1)
    asked = []
    while trials := search.ask():
        assert len(trials) <= BATCH and all(trial.strategy == 2 for trial in trials)
        asked += [trial.values for trial in trials]
        search.tell(
            {
                trial.number: None
                if fails and trial.values[0] < 0.5
                else -abs(trial.values[0] - 0.8) - abs(trial.values[1] - 0.3)
                for trial in reversed(trials)  # the order in which they are told does not matter
            }
        )
    assert len(asked) == count == search.total
    return asked


def test_it_gathers_where_the_score_is_highest() -> None:
    asked = searched(120)
    distances = [abs(x - 0.8) + abs(y - 0.3) for x, y in asked]
    assert sum(distances[-40:]) < 0.5 * sum(distances[:40])


def test_the_same_answers_give_the_same_questions() -> None:
    assert searched(50) == searched(50)


def test_it_gathers_where_trials_do_not_fail_too() -> None:
    asked = searched(120, fails=True)
    assert sum(abs(x - 0.8) for x, _ in asked[-40:]) < 0.7 * sum(abs(x - 0.8) for x, _ in asked[:40])
