"""What can be typed: every command with its arguments, examples and exit codes. docs/cli.md is made from it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from bot import __version__

EXIT_CODES = """exit codes:
  0  done
  1  something else that you can mend; the message says what
  2  the command line, the configuration or a contract was refused
  3  market history was refused
  4  chain data fails verification
  5  the engine lacks what was asked for
  6  two engines disagree
  7  a strategy failed
  8  the results could not be written
  130  interrupted
  143  terminated
"""


def _whole(text: str) -> int:
    """Return a whole number written in plain ASCII digits: `int` would also take `1_0` and digits of other scripts."""
    if not re.fullmatch("-?[0-9]{1,30}", text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number in plain digits")
    return int(text)


class _Help(argparse.RawDescriptionHelpFormatter):
    """Keeps examples as they were written."""


def _config(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    if optional:
        parser.add_argument("config", nargs="?", default="config.yaml", type=Path, help="default: config.yaml")
    else:
        parser.add_argument("config", type=Path, help="the YAML file of the run")


def _command(commands: Any, name: str, summary: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary, epilog=f"example:\n  {example}", formatter_class=_Help
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    return parser


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(
        prog="fairhash",
        description="Values and trades hash-power contracts: exact to the satoshi, honest about the past.",
        epilog="examples:\n  fairhash backtest config.yaml\n  fairhash explain config.yaml\n"
        "  fairhash parity config.yaml\n\n" + EXIT_CODES,
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"fairhash {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = _command(
        commands, "backtest", "run every strategy of a configuration over its history", "fairhash backtest config.yaml"
    )
    _config(run, optional=True)
    run.add_argument("--engine", choices=("reference", "backtrader"), help="default: as configured")
    run.add_argument("--out", type=Path, help="directory for the results; default: runs/<id>")
    run.add_argument("--no-report", action="store_true", help="print the summary only and write nothing")
    run.add_argument("--debug", action="store_true", help="check every invariant after every event (slower)")
    run.add_argument("--log", action="store_true", help="log fills and notices to stderr, stamped by the run's clock")

    parity = _command(
        commands, "parity", "run every engine and compare all postings with ==", "fairhash parity config.yaml"
    )
    _config(parity, optional=True)
    check = _command(
        commands,
        "check",
        "name every problem of a configuration at once, then those of its history",
        "fairhash check config.yaml",
    )
    _config(check, optional=True)
    explain = _command(
        commands, "explain", "list every setting with value, unit and origin", "fairhash explain config.yaml"
    )
    _config(explain, optional=True)
    new = _command(commands, "new-strategy", "write a strategy module to start from", "fairhash new-strategy my_idea")
    new.add_argument("name", help="a Python module name, as in my_idea")
    new.add_argument("--dir", type=Path, default=Path("strategies"), help="default: strategies")
    docs = _command(commands, "docs", "remake the generated reference pages and schemas", "fairhash docs --check")
    docs.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    _model(commands)
    _chain(commands)
    _history(commands)
    return parser


def _model(commands: Any) -> None:
    price = _command(
        commands,
        "price",
        "value a contract at one moment: to a long, a short and a lender, with quantiles, implied growth and schedule",
        "fairhash price --at 2014-09-15 --price 2 --swap-rate 1\n"
        "  fairhash price --at 2014-08-28 --price 2 --swap-rate 1 --growth 15    (the table of the 2014 article)",
    )
    price.add_argument(
        "contract",
        nargs="?",
        type=Path,
        default=Path("contracts/TH1BTC-2014Q4.yaml"),
        help="the contract's YAML; default: contracts/TH1BTC-2014Q4.yaml",
    )
    price.add_argument("--at", help="moment of the valuation, UTC, as in 2014-10-01T12:00:00Z; default: start of term")
    price.add_argument("--price", help="market price of one contract in BTC; default: none")
    price.add_argument("--swap-rate", default="1", help="borrowing contracts, %% a day; default: 1, its 2014 level")
    price.add_argument(
        "--btc-rate", default="0.0574", help="borrowing bitcoin, %% a day; default: 0.0574, its 2014 mean"
    )
    price.add_argument("--growth", help="of difficulty, %% in 30 days, instead of a forecast")
    price.add_argument("--model", choices=("anchored", "damped", "ar1"), default="anchored", help="default: anchored")
    price.add_argument("--chain", type=Path, help="directory of chain figures; default: the bundled ones")
    price.add_argument("--plot", type=Path, metavar="FILE", help="write an SVG: fan of difficulty, value, growth")
    validate = _command(
        commands,
        "validate-model",
        "score every model of difficulty, walking forward over all retargets since 2012",
        "fairhash validate-model --plot reliability.svg",
    )
    validate.add_argument("--chain", type=Path, help="directory of chain figures; default: the bundled ones")
    validate.add_argument("--plot", type=Path, metavar="FILE", help="write the reliability plot as SVG")


def _group(commands: Any, name: str, summary: str) -> Any:
    parser = commands.add_parser(name, help=summary, description=summary, formatter_class=_Help)
    return parser.add_subparsers(dest="action", metavar="ACTION", required=True)


def _chain(commands: Any) -> None:
    actions = _group(commands, "chain", "import and verify block-chain figures")
    verify = _command(
        actions, "verify", "recompute every retarget from the figures of a directory", "fairhash chain verify"
    )
    verify.add_argument("directory", nargs="?", type=Path, help="default: the bundled figures")
    take = _command(
        actions,
        "import",
        "verify raw block headers and make figures of them",
        "fairhash chain import headers.bin --first-height 312480 --epochs epochs.csv --fees fees.csv --out figures",
    )
    take.add_argument("headers", type=Path, help="raw 80-byte headers, one after the other")
    take.add_argument("--first-height", type=_whole, required=True, help="height of the first header")
    take.add_argument("--epochs", type=Path, required=True, help="CSV of all difficulty epochs")
    take.add_argument("--fees", type=Path, help="CSV of daily transaction fees")
    take.add_argument("--from", dest="first_day", default="2014-08-01", help="first day kept, UTC; default: 2014-08-01")
    take.add_argument("--to", dest="last_day", default="2014-12-31", help="last day kept, UTC; default: 2014-12-31")
    take.add_argument("--out", type=Path, required=True, help="directory for the figures")


def _history(commands: Any) -> None:
    actions = _group(commands, "history", "check and simulate market history")
    check = _command(
        actions,
        "check",
        "check a file of bars, quotes or swap rates",
        "fairhash history check quotes.csv --contract contracts/TH1BTC-2014Q4.yaml",
    )
    check.add_argument("file", type=Path, help="CSV, gzipped CSV or Parquet")
    check.add_argument("--contract", type=Path, default=Path("contracts/TH1BTC-2014Q4.yaml"), help="its contract")
    make = _command(
        actions,
        "simulate",
        "make a seeded, simulated market (no real TH1BTC prices survive)",
        "fairhash history simulate --contract contracts/TH1BTC-2014Q4.yaml --seed 7 --interval 1h --out my-history",
    )
    make.add_argument("--contract", type=Path, default=Path("contracts/TH1BTC-2014Q4.yaml"), help="its contract")
    make.add_argument("--seed", type=_whole, required=True, help="the same seed gives the same bytes on every machine")
    make.add_argument("--interval", default="1h", help="whole minutes between quotes, as in 1h or 15min; default: 1h")
    make.add_argument("--out", type=Path, required=True, help="directory for the three files")
