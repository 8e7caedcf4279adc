"""The pages and schemas that are generated from the code, so that they cannot be out of date unnoticed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import strategies
from bot import schema
from bot.arguments import build_parser
from bot.errors import FairhashError

CLI_PAGE = Path("docs/cli.md")
_CLI_TITLE = "# Command line\n\n*Made by `fairhash docs` from the parser; do not edit.*\n"


class OutdatedError(FairhashError):
    """A generated page differs from what the code would make now."""


def remake(root: Path, check_only: bool = False) -> list[Path]:
    """Write every generated page below `root` that differs and return them; with `check_only` raise instead."""
    changed = []
    for path, text in pages().items():
        file = root / path
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            continue
        changed.append(path)
        if not check_only:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    if changed and check_only:
        raise OutdatedError(f"out of date: {', '.join(map(str, changed))}; run `fairhash docs`")
    return changed


def pages() -> dict[Path, str]:
    """Return path and text of every generated page."""
    params = {name: strategies.load(name).params_type for name in strategies.BUNDLED}
    made = {Path(path): text for path, text in schema.published(params).items()}
    return {**made, CLI_PAGE: cli_page()}


def cli_page() -> str:
    """Return the reference of every command as Markdown, the same whatever Python's version makes of `--help`."""
    parts = [_CLI_TITLE]
    for name, parser in _commands(build_parser(), "fairhash"):
        parts.append(f"## {name}\n\n{parser.description}\n")
        rows = [f"| {_names(action)} | {action.help} |" for action in parser._actions if _is_option(action)]
        if rows:
            parts.append("\n".join(["| argument | meaning |", "|---|---|", *rows]) + "\n")
        if parser.epilog:
            parts.append(f"```\n{parser.epilog.rstrip()}\n```\n")
    return "\n".join(parts)


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                yield from _commands(below, f"{name} {word}")


def _is_option(action: argparse.Action) -> bool:
    return not isinstance(action, argparse._SubParsersAction | argparse._HelpAction | argparse._VersionAction)


def _names(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{(action.dest).upper()}`"
    value = "" if action.nargs == 0 else f" {'|'.join(action.choices) if action.choices else action.dest.upper()}"
    return f"`{', '.join(action.option_strings)}{value}`".replace("|", "\\|")
