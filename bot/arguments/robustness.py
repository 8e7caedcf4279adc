"""Arguments of the commands that ask how far a result can be trusted."""

from __future__ import annotations

from typing import Any

from bot.arguments.parts import command, config, whole


def add(commands: Any) -> None:
    """Add bias."""
    bias = command(
        commands,
        "bias",
        "change everything that lies in the future and name the first decision that moves",
        "fairhash bias config.yaml --cuts 8",
    )
    config(bias, optional=True)
    _common(bias)
    bias.add_argument("--cuts", type=whole, default=8, help="instants after which everything is changed; default: 8")


def _common(parser: Any) -> None:
    parser.add_argument("--strategy", metavar="NAME", help="only this one of the configuration; default: all")
    parser.add_argument("--seed", type=whole, default=1, help="the same seed gives the same result; default: 1")
    parser.add_argument("--workers", type=whole, help="processes at work; default: one for each core")
