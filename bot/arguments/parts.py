"""What the parsers of all commands share."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any


def whole(text: str) -> int:
    """Return a whole number written in plain ASCII digits: `int` would also take `1_0` and digits of other scripts."""
    if not re.fullmatch("-?[0-9]{1,30}", text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number in plain digits")
    return int(text)


def decimal(text: str) -> float:
    """Return a number written in plain ASCII digits, with a point or without: `float` would also take `nan`."""
    if not re.fullmatch("-?[0-9]{1,30}([.][0-9]{1,30})?", text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number in plain digits")
    return float(text)


class Help(argparse.RawDescriptionHelpFormatter):
    """Keeps examples as they were written."""


def config(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """Add the configuration file."""
    if optional:
        parser.add_argument("config", nargs="?", default="config.yaml", type=Path, help="default: config.yaml")
    else:
        parser.add_argument("config", type=Path, help="the YAML file of the run")


def command(commands: Any, name: str, summary: str, example: str) -> argparse.ArgumentParser:
    """Add a command with its summary, example and --json."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary, epilog=f"example:\n  {example}", formatter_class=Help
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    return parser


def group(commands: Any, name: str, summary: str) -> Any:
    """Add a command that has actions; return where they are added."""
    parser = commands.add_parser(name, help=summary, description=summary, formatter_class=Help)
    return parser.add_subparsers(dest="action", metavar="ACTION", required=True)
