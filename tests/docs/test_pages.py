"""The documents say what the program does: generated pages are current, commands named in prose exist."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.arguments import build_parser
from bot.cli import main
from bot.pages import CLI_PAGE, OutdatedError, pages, remake

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("path", sorted(pages()), ids=str)
def test_generated_page_is_current(path: Path) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == pages()[path], "run `make docs`"


def test_docs_check_fails_on_an_old_page_and_docs_mends_it(tmp_path: Path) -> None:
    assert set(remake(tmp_path)) == set(pages())
    (tmp_path / CLI_PAGE).write_text("old")
    with pytest.raises(OutdatedError, match=r"docs/cli\.md"):
        remake(tmp_path, check_only=True)
    assert remake(tmp_path) == [CLI_PAGE]
    assert remake(tmp_path, check_only=True) == []


def commands(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                yield from commands(below, (*words, word))


@pytest.mark.parametrize("words", list(commands(build_parser())), ids=" ".join)
def test_every_command_has_help(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([*words, "--help"])
    assert done.value.code == 0 and "usage: fairhash" in capsys.readouterr().out


def code_of(text: str) -> Iterator[str]:
    """Yield what a document shows as code: in backquotes, in fences, indented."""
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]*)`", line)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_named_exist(document: Path) -> None:
    known = set(commands(build_parser()))
    for code in code_of(document.read_text(encoding="utf-8")):
        words = tuple(word for word in code.split()[1:] if re.fullmatch(r"[a-z]+(-[a-z]+)*", word))
        if code.startswith("fairhash ") and words:
            assert words[:1] in known or words[:2] in known, f"{document.name}: no command `{code}`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (document.parent / target).exists(), f"{document.name}: {target} does not exist"
