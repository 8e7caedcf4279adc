"""Commands on a daemon's journal: through its console while it runs, on the file itself while it does not."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.app.outcome import Outcome, columns, progress

if TYPE_CHECKING:
    from bot.daemon import Daemon
    from bot.paper.journal import Journal


@contextmanager
def readable(path: Path) -> Iterator[Journal]:
    """Give the journal at `path`, or a copy of it while a daemon owns it. Raises JournalError if there is none."""
    from bot.errors import JournalError, Problem
    from bot.paper import console
    from bot.paper.journal import Journal

    if not path.exists():
        raise JournalError([Problem(str(path), "is not there", "name the file that `fairhash paper` wrote")])
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / path.name
        if console.ask(path, {"do": "copy", "to": str(copy)}) is not None:
            path = copy
        journal = Journal(path, is_copy=path is copy)
        try:
            yield journal
        finally:
            journal.close()


def journal_parity(options: Namespace) -> Outcome:
    """Replay a paper run, and run its strategies anew on its events: the postings must be equal."""
    from bot.replaying import agree, replayed

    with readable(options.journal) as journal:
        progress(f"replaying {journal.sequence} entries")
        run = replayed(journal)
        progress("running the strategies on the same events")
        engine = agree(run)
    rows = [
        {"strategy": one.name, "fills": len(one.fills), "postings": len(one.postings), "marks": len(one.marks)}
        for one in run.results
    ]
    lines = [f"{r['strategy']}: {r['fills']} fills, {r['postings']} postings, {r['marks']} marks equal" for r in rows]
    text = "\n".join([f"paper run and {engine} engine, {len(run.happenings)} events and controls:", *lines])
    return Outcome(text, {"engines": ["paper", engine], "equal": True, "controls": run.controls, "strategies": rows})


def carry_out(daemon: Daemon, request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request asks and return the reply."""
    return daemon.status()


def status_text(status: dict[str, Any], simulated: bool) -> str:
    """Return a status as a table."""
    from backtests.output import SIMULATED, btc_text

    rows: list[tuple[str, ...]] = [("strategy", "mode", "position (lots)", "equity (BTC)", "orders", "loans", "fills")]
    for one in status["strategies"]:
        counts = (str(one["orders"]), str(one["loans"]), str(one["fills"]))
        rows += [(one["name"], one["mode"], f"{one['position_lots']:+d}", btc_text(one["equity_sat"]), *counts)]
    top = f"{status['time_utc']}  {status['contract']}  price {btc_text(status['price_sat'])} BTC"
    top += f"  fair value {btc_text(status['fair_sat'])} BTC  {status['events']} events"
    return "\n".join([*([SIMULATED] if simulated else []), top, columns(rows)])
