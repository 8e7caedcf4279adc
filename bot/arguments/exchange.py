"""Arguments of the paper exchange."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bot.arguments.parts import command, config, whole


def add(commands: Any) -> None:
    """Add exchange."""
    serve = command(
        commands,
        "exchange",
        "serve the paper exchange on this machine: Bitfinex v2, for an unmodified ccxt client",
        "fairhash exchange config.yaml --port 8014 --speed 3600",
    )
    config(serve, optional=True)
    serve.add_argument("--port", type=_port, default=0, help="default: any that is free")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on; default: 127.0.0.1")
    serve.add_argument("--expose", action="store_true", help="allow --host to be reachable from other machines")
    serve.add_argument("--journal", type=Path, help="file that keeps everything; default: runs/<contract>.exchange")
    serve.add_argument(
        "--speed",
        type=_speed,
        default=60,
        metavar="N",
        help="seconds of history that pass in one, or led: the market waits for a daemon that follows it; default: 60",
    )
    serve.add_argument(
        "--keys",
        type=Path,
        help="private file with lines of user:key:secret; default: FAIRHASH_EXCHANGE_KEYS, or one is made",
    )


def _port(text: str) -> int:
    return _bounded(text, 0, 65_535)


def _speed(text: str) -> int:
    """Return seconds that pass in one; 0 stands for `led`."""
    if text == "led":
        return 0
    return _bounded(text, 1, 1_000_000)


def _bounded(text: str, least: int, most: int) -> int:
    number = whole(text)
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{number} is not in {least}..{most}")
    return number
