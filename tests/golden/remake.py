"""Writes summaries.json anew from the program as it is; run it only when the rules were meant to change."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

from bot.cli import main

ROOT = Path(__file__).parents[2]
CONFIGS = ("config.yaml", "examples/financed.yaml", "examples/hourly-bars.yaml")


def summary(config: str) -> dict[str, dict[str, int]]:
    """Return net profit, its parts and the number of fills of every strategy of a configuration."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = main(["backtest", str(ROOT / config), "--no-report", "--json"])
    if code:
        raise SystemExit(code)
    strategies = json.loads(printed.getvalue())["strategies"]
    return {row["name"]: {**row["profit"], "net_sat": row["net_sat"], "fills": row["fills"]} for row in strategies}


if __name__ == "__main__":
    made = {config: summary(config) for config in CONFIGS}
    Path(__file__).with_name("summaries.json").write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
