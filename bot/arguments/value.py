"""Arguments of the commands on the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bot.arguments.parts import command


def add(commands: Any) -> None:
    """Add price and validate-model."""
    price = command(
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
    validate = command(
        commands,
        "validate-model",
        "score every model of difficulty, walking forward over all retargets since 2012",
        "fairhash validate-model --plot reliability.svg",
    )
    validate.add_argument("--chain", type=Path, help="directory of chain figures; default: the bundled ones")
    validate.add_argument("--plot", type=Path, metavar="FILE", help="write the reliability plot as SVG")
