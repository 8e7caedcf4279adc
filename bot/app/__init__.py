"""The only place that wires parts together: one function for each command, each returning text and a document."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from bot.app import exchange, figures, journals, live, paper, project, robustness, runs, sweep, value
from bot.app.outcome import Outcome

COMMANDS: dict[tuple[str, str | None], Callable[[Namespace], Outcome]] = {
    ("backtest", None): runs.backtest,
    ("paper", None): paper.paper,
    ("status", None): journals.status,
    ("orders", None): journals.orders,
    ("positions", None): journals.positions,
    **{(name, None): journals.turn for name in ("halt", "reduce", "flatten", "resume")},
    ("journal", "show"): journals.show,
    ("journal", "verify"): journals.verify,
    ("journal", "replay"): journals.replay,
    ("journal", "export"): journals.export,
    ("journal", "accept"): journals.accept,
    ("journal", "forget"): journals.forget,
    ("exchange", None): exchange.exchange,
    ("parity", None): runs.parity,
    ("check", None): runs.check,
    ("explain", None): runs.explain,
    ("bias", None): robustness.bias,
    ("montecarlo", None): robustness.montecarlo,
    ("walk-forward", None): robustness.walk_forward,
    ("sweep", None): sweep.sweep,
    ("record", None): live.record,
    ("new-strategy", None): project.new_strategy,
    ("docs", None): project.docs,
    ("validate-model", None): value.validate_model,
    ("price", None): value.price,
    ("chain", "verify"): figures.chain_verify,
    ("chain", "import"): figures.chain_import,
    ("history", "check"): figures.history_check,
    ("history", "simulate"): figures.history_simulate,
    ("history", "resample"): figures.history_resample,
}
