"""Arguments of fairhash sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bot.arguments.parts import command, config, decimal, whole


def add(commands: Any) -> None:
    """Add sweep."""
    sweep = command(
        commands,
        "sweep",
        "try many values of a strategy's parameters, on one market or many, and say how much of the best is luck",
        "fairhash sweep examples/sweep.yaml --grid\n  fairhash sweep examples/sweep.yaml --optuna 200 --seeds 20",
    )
    config(sweep, optional=True)
    how = sweep.add_mutually_exclusive_group(required=True)
    how.add_argument("--grid", action="store_true", help="every combination of the values in the sweep sections")
    how.add_argument("--random", type=whole, metavar="N", help="N combinations of each strategy, drawn at random")
    how.add_argument("--optuna", type=whole, metavar="N", help="N of each strategy where Optuna expects the most")
    sweep.add_argument("--seed", type=whole, default=1, help="seed of --random and --optuna; default: 1")
    sweep.add_argument(
        "--seeds", type=whole, default=0, metavar="N", help="run each on N simulated markets too, of seeds 1 to N"
    )
    where = sweep.add_mutually_exclusive_group()
    where.add_argument("--workers", type=whole, metavar="N", help="processes here; default: one for each core")
    where.add_argument("--cluster", metavar="ADDRESS", help="run on the Dask scheduler at this address")
    sweep.add_argument(
        "--engine", choices=("auto", "reference", "compiled", "backtrader"), help="default: as configured"
    )
    sweep.add_argument(
        "--trial-seconds", type=decimal, metavar="S", help="give up a trial that takes longer; default: no limit"
    )
    sweep.add_argument("--retry", action="store_true", help="run again what took too long, or whose worker died")
    sweep.add_argument("--out", type=Path, help="directory for the results; default: runs/sweep-<id>")
