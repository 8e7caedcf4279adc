"""What the model's documentation says is computed: the pages and the examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("page", "examples"), [("fair-value.md", 35), ("other-contracts.md", 20)])
def test_every_number_of_the_pages_is_what_the_code_says(page: str, examples: int) -> None:
    outcome = doctest.testfile(str(PAGES / page), module_relative=False, encoding="utf-8")
    assert outcome.failed == 0
    assert outcome.attempted >= examples


@pytest.mark.parametrize(
    ("module", "examples"),
    [
        ("annuity", 4),
        ("carry", 2),
        ("deterministic", 5),
        ("domain", 2),
        ("futures", 1),
        ("growth", 2),
        ("halvings", 2),
        ("notes", 3),
        ("paths", 3),
        ("payout", 5),
        ("quadrature", 1),
        ("reproducible", 2),
        ("root", 1),
        ("scores", 3),
        ("uncertain_payout", 2),
    ],
)
def test_examples_in_docstrings(module: str, examples: int) -> None:
    outcome = doctest.testmod(importlib.import_module(f"bot.model.{module}"))
    assert outcome.failed == 0
    assert outcome.attempted >= examples
