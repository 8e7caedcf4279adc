"""Arguments of the daemon and of the commands on its journal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bot.arguments.parts import command, config, group, whole


def speed(text: str) -> int:
    """Return how many seconds of history pass in one: 0 stands for `max`."""
    if text == "max":
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 10 or not 1 <= int(text) <= 10**9:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is neither max nor a whole number between 1 and 1000000000")
    return int(text)


def add(commands: Any) -> None:
    """Add paper, what looks at it, what turns its strategies, and journal."""
    run = command(
        commands,
        "paper",
        "trade every strategy of a configuration on the paper exchange; start it again to go on",
        "fairhash paper config.yaml --speed 3600\n  fairhash paper config.yaml --speed max\n"
        "  fairhash paper config.yaml --venue ccxt --exchange http://127.0.0.1:8014 --keys FILE",
    )
    config(run, optional=True)
    _journal(run, "where everything is kept; default: runs/<contract>.journal")
    run.add_argument(
        "--speed",
        type=speed,
        metavar="N",
        help="seconds of history that pass in one, or max; default: 3600; live sources take none",
    )
    run.add_argument(
        "--venue",
        choices=("direct", "ccxt"),
        default="direct",
        help="how orders reach the exchange: by a call, or through the ccxt client; the same postings; default: direct",
    )
    run.add_argument(
        "--exchange",
        metavar="URL",
        help="with --venue ccxt: trade on the exchange served there and follow its market; default: in-process",
    )
    run.add_argument(
        "--keys",
        type=Path,
        help="private file with a line user:key:secret for each strategy; default: the lines in FAIRHASH_VENUE_KEYS",
    )
    run.add_argument(
        "--accept-chain",
        action="store_true",
        help="live: go on though blocks whose dividends were paid have left the chain; what was paid stays paid",
    )
    for name, summary in (
        ("status", "say how a paper run stands: price, fair value, and every strategy's mode, position and worth"),
        ("orders", "list the orders of a paper run that may still trade"),
        ("positions", "list what the strategies of a paper run own, owe, lend and have borrowed"),
    ):
        _journal(command(commands, name, summary, f"fairhash {name} --journal runs/TH1BTC-2014Q4.journal"))
    for name, summary in (
        ("halt", "stop strategies: they are not asked, their orders are cancelled, their positions held"),
        ("reduce", "let strategies only make their positions smaller"),
        ("flatten", "stop strategies and close their positions"),
        ("resume", "let strategies trade again"),
    ):
        turn = command(commands, name, f"{summary}; kept over a restart", f'fairhash {name} hold_short --reason "why"')
        turn.add_argument("strategies", nargs="*", metavar="STRATEGY", help="default: all of them")
        turn.add_argument("--reason", default="", help="kept in the journal")
        _journal(turn)
    _journals(commands)


def _journals(commands: Any) -> None:
    actions = group(commands, "journal", "look at the journal of a paper run, check it, replay it")
    show = command(actions, "show", "list entries", "fairhash journal show --last 20")
    show.add_argument("--first", type=whole, default=0, help="the first one; default: so that the last ones are shown")
    show.add_argument("--last", type=whole, default=20, help="how many; default: 20")
    _journal(show)
    verify = command(
        actions,
        "verify",
        "check every entry against the hash chain, carry all out again, and hold the checkpoint against that",
        "fairhash journal verify",
    )
    _journal(verify)
    replay = command(
        actions, "replay", "carry everything out again and say what it comes to", "fairhash journal replay"
    )
    _journal(replay)
    export = command(
        actions, "export", "write all entries as JSON, one a line", "fairhash journal export --out entries.jsonl"
    )
    export.add_argument("--out", type=Path, required=True, help="a file that is not there yet")
    _journal(export)
    accept = command(
        actions,
        "accept",
        "take the end of a journal as the right one, after its file was restored by hand",
        "fairhash journal accept --journal restored.journal",
    )
    _journal(accept)
    forget = command(
        actions,
        "forget",
        "drop the checkpoint and what is kept with it; the next start makes them anew from the entries",
        "fairhash journal forget",
    )
    _journal(forget)


def _journal(parser: argparse.ArgumentParser, text: str = "default: the one in runs/") -> None:
    parser.add_argument("--journal", type=Path, metavar="FILE", help=text)
