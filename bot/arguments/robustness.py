"""Arguments of the commands that ask how far a result can be trusted."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bot.arguments.parts import command, config, whole


def add(commands: Any) -> None:
    """Add bias, montecarlo and walk-forward."""
    bias = command(
        commands,
        "bias",
        "change everything that lies in the future and name the first decision that moves",
        "fairhash bias config.yaml --cuts 8",
    )
    config(bias, optional=True)
    _common(bias)
    bias.add_argument("--cuts", type=whole, default=8, help="instants after which everything is changed; default: 8")

    many = command(
        commands,
        "montecarlo",
        "run strategies over many simulated markets, difficulty paths and pool luck: profit, risk, error bars",
        "fairhash montecarlo config.yaml --runs 1000 --out risk",
    )
    config(many, optional=True)
    _common(many)
    _engine(many)
    many.add_argument("--runs", type=whole, default=200, help="how many simulated worlds; default: 200")
    many.add_argument(
        "--vary",
        type=_parts,
        default=("market", "difficulty", "luck"),
        metavar="PARTS",
        help="what differs from run to run: market,difficulty,luck (the default) or some of them",
    )
    many.add_argument("--out", type=Path, help="directory for the results; default: runs/<id>")
    many.add_argument("--no-report", action="store_true", help="print the table only and write nothing")

    forward = command(
        commands,
        "walk-forward",
        "choose parameters on one stretch of time, judge them on the next, and so on to the end",
        "fairhash walk-forward examples/sweep.yaml --train 28 --test 14 --plot walk.svg",
    )
    config(forward, optional=True)
    _common(forward)
    _engine(forward)
    forward.add_argument("--train", type=whole, default=28, metavar="DAYS", help="days to choose on; default: 28")
    forward.add_argument("--test", type=whole, default=14, metavar="DAYS", help="days to judge on; default: 14")
    forward.add_argument(
        "--mode",
        choices=("rolling", "expanding"),
        default="rolling",
        help="train on the last DAYS (rolling, the default) or on everything since the start (expanding)",
    )
    forward.add_argument("--score", choices=("net", "sharpe"), default="net", help="what chooses; default: net profit")
    forward.add_argument(
        "--random", type=whole, default=0, metavar="N", help="try N drawn combinations; default: the whole grid"
    )
    forward.add_argument("--plot", type=Path, metavar="FILE", help="write an SVG: stitched result, kept promises")


def _parts(text: str) -> tuple[str, ...]:
    """Return the parts of a world that a list with commas names."""
    parts = tuple(text.split(","))
    for part in parts:
        if part not in ("market", "difficulty", "luck"):
            raise argparse.ArgumentTypeError(f"{part[:40]!r} is none of market, difficulty, luck")
    return parts


def _engine(parser: Any) -> None:
    parser.add_argument(
        "--engine", choices=("auto", "reference", "compiled", "backtrader"), help="default: as configured"
    )


def _common(parser: Any) -> None:
    parser.add_argument("--strategy", metavar="NAME", help="only this one of the configuration; default: all")
    parser.add_argument("--seed", type=whole, default=1, help="the same seed gives the same result; default: 1")
    parser.add_argument("--workers", type=whole, help="processes at work; default: one for each core")
