"""Arguments of the command that records live sources."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bot.arguments.parts import command, config, whole


def add(commands: Any) -> None:
    """Add record."""
    record = command(
        commands,
        "record",
        "store what live sources deliver as history that a backtest can run",
        "fairhash record live.yaml --out recorded",
    )
    config(record)
    record.add_argument("--out", type=Path, required=True, help="directory; a recording that is there is gone on with")
    record.add_argument("--seconds", type=_seconds, help="stop after this many seconds; default: when stopped")


def _seconds(text: str) -> int:
    seconds = whole(text)
    if not 0 < seconds <= 10**9:
        raise argparse.ArgumentTypeError(f"{seconds} is not between 1 and 1000000000")
    return seconds
