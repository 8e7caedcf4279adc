"""Arguments of the commands on a configured run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bot.arguments.parts import command, config


def add(commands: Any) -> None:
    """Add backtest, parity, check and explain."""
    run = command(
        commands, "backtest", "run every strategy of a configuration over its history", "fairhash backtest config.yaml"
    )
    config(run, optional=True)
    run.add_argument("--engine", choices=("reference", "compiled", "backtrader"), help="default: as configured")
    run.add_argument("--out", type=Path, help="directory for the results; default: runs/<id>")
    run.add_argument("--no-report", action="store_true", help="print the summary only and write nothing")
    run.add_argument("--debug", action="store_true", help="check every invariant after every event (slower)")
    run.add_argument("--log", action="store_true", help="log fills and notices to stderr, stamped by the run's clock")

    parity = command(
        commands,
        "parity",
        "run every engine and compare all postings with ==",
        "fairhash parity config.yaml\n  fairhash parity --journal runs/TH1BTC-2014Q4.journal",
    )
    config(parity, optional=True)
    parity.add_argument("--journal", type=Path, metavar="FILE", help="compare a paper run instead: the file it wrote")
    check = command(
        commands,
        "check",
        "name every problem at once: of a configuration, its contract, its history and its chain figures",
        "fairhash check config.yaml",
    )
    config(check, optional=True)
    explain = command(
        commands, "explain", "list every setting with value, unit and origin", "fairhash explain config.yaml"
    )
    config(explain, optional=True)
