"""The examples of docs/engines.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def test_the_examples_of_the_page_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(examples) == 4
    names: dict[str, Any] = {"__name__": __name__}  # the second goes on from the first
    for number, example in enumerate(examples, 1):
        exec(compile(example, f"engines.md example {number}", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d+\.\d %", printed[0])
    assert re.fullmatch(r"[1-9]\d* trades closed", printed[1])
    assert re.fullmatch(r"[1-9]\d* fills", printed[2])
    trials = [line.split() for line in printed[3:]]
    assert [entry for entry, _, _ in trials] == ["0.15", "0.25", "0.35"]
    assert len({equity for _, _, equity in trials}) == 3


def test_every_link_of_the_page_leads_somewhere() -> None:
    page = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert links
    for link in links:
        assert (ROOT / "docs" / link).exists(), link
