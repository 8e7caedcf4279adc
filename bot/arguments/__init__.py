"""What can be typed: every command with its arguments, examples and exit codes. docs/cli.md is made from it."""

from __future__ import annotations

import argparse

from bot import __version__
from bot.arguments import exchange, figures, live, paper, project, robustness, runs, sweep, value
from bot.arguments.parts import Help

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
  9  the journal was refused, or could not be written
  10  a live source failed for good
  11  a venue refuses, or what became of an order is not known
  20  biased: a decision depends on what came after it
  130  interrupted
  143  terminated
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(
        prog="fairhash",
        description="Values and trades hash-power contracts: exact to the satoshi, honest about the past.",
        epilog="examples:\n  fairhash backtest config.yaml\n  fairhash explain config.yaml\n"
        "  fairhash parity config.yaml\n\n" + EXIT_CODES,
        formatter_class=Help,
    )
    parser.add_argument("--version", action="version", version=f"fairhash {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    for part in (runs, paper, project, value, figures, sweep, robustness, live, exchange):
        part.add(commands)
    return parser
