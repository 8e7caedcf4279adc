"""The daemon as a command: recover, go on with the feed at its pace, answer the console, end in order."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from bot.app.outcome import Outcome


def paper(options: Namespace) -> Outcome:
    """Trade every strategy on the paper exchange until the feed ends or somebody ends it."""
    import asyncio

    from bot.app.running import Running
    from bot.run import load_run

    run = load_run(options.config)
    path = options.journal or Path("runs") / f"{run.settings.contract.id}.journal"
    if options.journal is None:
        path.parent.mkdir(exist_ok=True)
    running = Running(run, options.config, path, replay_feed(run), options.speed, options.json)
    try:
        asyncio.run(running.run())
    finally:
        running.close()
    return Outcome(running.text(), running.document())


def replay_feed(run: Any) -> Any:
    """Return the feed that replays a run's history."""
    from bot.paper.feed import ReplayFeed

    sources = [(Path(source.path).name, source.sha256) for source in run.history.sources]
    sources += [(source.name, source.sha256) for source in run.chain.sources]
    name = "replay of " + ", ".join(f"{name} {sha256[:12]}" for name, sha256 in sources)
    plan = run.plans[0]
    market = run.history.quotes or run.history.bars
    return ReplayFeed(name, run.simulated, market, run.history.rates, plan.blocks, plan.settings.start_ns, plan.end_ns)
