"""The only place that wires parts together: one function for each command, each returning text and a document."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from bot.app import exchange, figures, project, runs, value
from bot.app.outcome import Outcome

COMMANDS: dict[tuple[str, str | None], Callable[[Namespace], Outcome]] = {
    ("backtest", None): runs.backtest,
    ("exchange", None): exchange.exchange,
    ("parity", None): runs.parity,
    ("check", None): runs.check,
    ("explain", None): runs.explain,
    ("new-strategy", None): project.new_strategy,
    ("docs", None): project.docs,
    ("validate-model", None): value.validate_model,
    ("price", None): value.price,
    ("chain", "verify"): figures.chain_verify,
    ("chain", "import"): figures.chain_import,
    ("history", "check"): figures.history_check,
    ("history", "simulate"): figures.history_simulate,
}
