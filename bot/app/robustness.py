"""Commands that ask how far a result can be trusted: bias."""

from __future__ import annotations

from argparse import Namespace

from bot.app.outcome import Outcome, progress
from bot.errors import BIASED


def bias(options: Namespace) -> Outcome:
    """Change everything that lies in the future and name the first decision of each strategy that moves."""
    from bot import bias as checking
    from bot.many_runs import workers_of

    workers = workers_of(options.workers)
    verdict = checking.check(options.config, options.strategy, options.cuts, options.seed, workers, progress)
    return Outcome(
        checking.as_text(verdict), checking.as_document(verdict), exit_code=BIASED if verdict.findings else 0
    )
