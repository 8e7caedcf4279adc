"""Arguments of the daemon and of the commands on its journal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bot.arguments.parts import command, config


def speed(text: str) -> int:
    """Return how many seconds of history pass in one: 0 stands for `max`."""
    if text == "max":
        return 0
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 10**9:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is neither max nor a whole number between 1 and 1000000000")
    return int(text)


def add(commands: Any) -> None:
    """Add paper."""
    run = command(
        commands,
        "paper",
        "trade every strategy of a configuration on the paper exchange; start it again to go on",
        "fairhash paper config.yaml --speed 3600\n  fairhash paper config.yaml --speed max",
    )
    config(run, optional=True)
    journal(run, "default: runs/<contract>.journal")
    run.add_argument(
        "--speed", type=speed, default=1, help="seconds of history that pass in one, or max; default: 1", metavar="N"
    )


def journal(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the journal's file."""
    parser.add_argument("--journal", type=Path, metavar="FILE", help=default)
