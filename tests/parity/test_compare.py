"""`compare` finds every planted difference and names it: a check that could not fail would be worth nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backtests import reference
from backtests.parity import COMPARED, compare
from backtests.result import RunResult
from bot.errors import ParityError
from tests.parity.histories import random_plan


@pytest.fixture(scope="module")
def result() -> RunResult:
    """Return a result with fills, postings, marks, notices and observations."""
    for seed in range(500):
        found = reference.run(random_plan(seed, "bars", "moody", debug=False))
        if all(getattr(found, name) for name in COMPARED) and len(found.fills) > 3:
            return found
    raise AssertionError("no seed gives a result with something in every list")


def altered(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, str):
        return value + "?"
    return not value if isinstance(value, bool) else value + 1


def test_equal_results_agree(result: RunResult) -> None:
    compare([result, replace(result, engine="copy"), replace(result, engine="third")])


@pytest.mark.parametrize("name", COMPARED)
def test_every_field_of_every_row_counts(result: RunResult, name: str) -> None:
    rows = getattr(result, name)
    for index in {0, len(rows) // 2, len(rows) - 1}:
        for field in rows[index]._fields:
            ours = getattr(rows[index], field)
            planted = list(rows)
            planted[index] = rows[index]._replace(**{field: altered(ours)})
            with pytest.raises(ParityError) as caught:
                compare([result, replace(result, engine="planted", **{name: planted})])
            text = str(caught.value)
            assert f"{result.engine} and planted disagree at {name}[{index}].{field}" in text
            assert f"{ours!r} and {altered(ours)!r}" in text


@pytest.mark.parametrize("name", COMPARED)
def test_a_missing_row_counts(result: RunResult, name: str) -> None:
    rows = getattr(result, name)
    for shorter in (rows[:-1], []):
        with pytest.raises(ParityError) as caught:
            compare([result, replace(result, engine="short", **{name: shorter})])
        assert f"disagree at {name}[{len(shorter)}]: " in str(caught.value)
        assert str(caught.value).endswith(" and nothing")


def test_only_the_first_difference_is_named(result: RunResult) -> None:
    planted = [fill._replace(fee_sat=fill.fee_sat + 1) for fill in result.fills]
    with pytest.raises(ParityError, match=r"fills\[0\]\.fee_sat"):
        compare([result, replace(result, engine="planted", fills=planted, postings=[])])


def test_a_later_engine_is_compared_too(result: RunResult) -> None:
    with pytest.raises(ParityError, match="third"):
        compare([result, result, replace(result, engine="third", marks=result.marks[1:])])


def test_results_of_different_plans_are_not_compared(result: RunResult) -> None:
    with pytest.raises(ValueError, match="different plans"):
        compare([result, replace(result, name="another")])
