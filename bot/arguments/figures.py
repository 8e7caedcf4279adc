"""Arguments of the commands on chain figures and market history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bot.arguments.parts import command, group, whole


def add(commands: Any) -> None:
    """Add chain and history."""
    _chain(commands)
    _history(commands)


def _chain(commands: Any) -> None:
    actions = group(commands, "chain", "import and verify block-chain figures")
    verify = command(
        actions, "verify", "recompute every retarget from the figures of a directory", "fairhash chain verify"
    )
    verify.add_argument("directory", nargs="?", type=Path, help="default: the bundled figures")
    take = command(
        actions,
        "import",
        "verify raw block headers and make figures of them",
        "fairhash chain import headers.bin --first-height 312480 --epochs epochs.csv --fees fees.csv --out figures",
    )
    take.add_argument("headers", type=Path, help="raw 80-byte headers, one after the other")
    take.add_argument("--first-height", type=whole, required=True, help="height of the first header")
    take.add_argument("--epochs", type=Path, required=True, help="CSV of all difficulty epochs")
    take.add_argument("--fees", type=Path, help="CSV of daily transaction fees")
    take.add_argument("--from", dest="first_day", default="2014-08-01", help="first day kept, UTC; default: 2014-08-01")
    take.add_argument("--to", dest="last_day", default="2014-12-31", help="last day kept, UTC; default: 2014-12-31")
    take.add_argument("--out", type=Path, required=True, help="directory for the figures")


def _history(commands: Any) -> None:
    actions = group(commands, "history", "check, simulate and resample market history")
    check = command(
        actions,
        "check",
        "check a file of bars, quotes or swap rates",
        "fairhash history check quotes.csv --contract contracts/TH1BTC-2014Q4.yaml",
    )
    check.add_argument("file", type=Path, help="CSV, gzipped CSV or Parquet")
    check.add_argument("--contract", type=Path, default=Path("contracts/TH1BTC-2014Q4.yaml"), help="its contract")
    make = command(
        actions,
        "simulate",
        "make a seeded, simulated market (no real TH1BTC prices survive)",
        "fairhash history simulate --contract contracts/TH1BTC-2014Q4.yaml --seed 7 --interval 1h --out my-history",
    )
    make.add_argument("--contract", type=Path, default=Path("contracts/TH1BTC-2014Q4.yaml"), help="its contract")
    make.add_argument("--seed", type=whole, required=True, help="the same seed gives the same bytes on every machine")
    make.add_argument("--interval", default="1h", help="whole minutes between quotes, as in 1h or 15min; default: 1h")
    make.add_argument("--out", type=Path, required=True, help="directory for the three files")
    longer = command(
        actions,
        "resample",
        "make longer bars of bars or quotes",
        "fairhash history resample quotes.csv --interval 1d --out daily-bars.csv",
    )
    longer.add_argument("file", type=Path, help="CSV, gzipped CSV or Parquet")
    longer.add_argument("--contract", type=Path, default=Path("contracts/TH1BTC-2014Q4.yaml"), help="its contract")
    longer.add_argument("--interval", required=True, help="length of the bars, as in 1h, 1d or 15min")
    longer.add_argument("--out", type=Path, required=True, help="the file to write")
