"""docs/accounting.md says what the core does: its tables are those of the code, what it names exists."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

from bot.core import events
from bot.core.order import REJECTIONS
from tests.property.test_core_walk import POSTINGS, REASONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "accounting.md").read_text(encoding="utf-8")


def table(name: str) -> list[str]:
    """Return the rows of the page's table that is marked as taken from the code."""
    found = re.search(rf"<!-- {name}: .*? -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert found, f"no table of {name}"
    return found.group(1).splitlines()[2:]


def test_the_rejections_are_those_of_the_code_in_order_of_precedence() -> None:
    rows = [f"| {place} | `{code}` | {meaning} |" for place, (code, meaning) in enumerate(REJECTIONS.items(), start=1)]
    assert table("rejections") == rows, "put these rows into docs/accounting.md:\n" + "\n".join(rows)


def test_the_order_at_equal_times_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| (\d) +\| ([A-Z]+) +\| (.*?) +\|$", events.__doc__ or "", re.MULTILINE)
    assert table("ranks") == [f"| {rank} | {name} | {text} |" for rank, name, text in rows]
    assert [getattr(events, f"RANK_{name}") for _, name, _ in rows] == list(range(10))


def test_every_kind_of_posting_and_every_reason_is_told() -> None:
    kinds = PAGE[PAGE.index("Kinds of postings") :].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", kinds)) == POSTINGS
    reasons = PAGE[PAGE.index("can still end early") :].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", reasons)) == REASONS


def test_every_function_and_file_that_the_page_names_exists() -> None:
    names = re.findall(r"`((?:\w+\.)+\w+)`", PAGE)
    files = [name for name in re.findall(r"`([\w/.]+)`", PAGE) if name.startswith(("tests/", "bot/"))]
    assert len(names) > 20
    assert len(files) > 10
    for name in names:
        parts = name.removeprefix("bot.core.").split(".")
        found: object = importlib.import_module(f"bot.core.{parts[0]}")
        for part in parts[1:]:
            found = getattr(found, part)
    for file in files:
        assert (ROOT / file).exists(), file


def test_every_invariant_is_numbered_and_has_a_place() -> None:
    rows = re.findall(r"^\| (\d+) \| .* \| .*`.*` \|$", PAGE[PAGE.index("## Invariants") :], re.MULTILINE)
    assert [int(number) for number in rows] == list(range(1, 14))


@pytest.mark.parametrize(("module", "examples"), [("units", 5), ("accrual", 3), ("contract", 1)])
def test_the_examples_in_docstrings_are_right(module: str, examples: int) -> None:
    outcome = doctest.testmod(importlib.import_module(f"bot.core.{module}"))
    assert outcome.failed == 0
    assert outcome.attempted >= examples
