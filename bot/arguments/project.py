"""Arguments of the commands for who works on strategies or on fairhash itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bot.arguments.parts import command


def add(commands: Any) -> None:
    """Add new-strategy and docs."""
    new = command(commands, "new-strategy", "write a strategy module to start from", "fairhash new-strategy my_idea")
    new.add_argument("name", help="a Python module name, as in my_idea")
    new.add_argument("--dir", type=Path, default=Path("strategies"), help="default: strategies")
    docs = command(commands, "docs", "remake the generated reference pages and schemas", "fairhash docs --check")
    docs.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
