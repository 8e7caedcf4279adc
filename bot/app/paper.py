"""The daemon as a command: recover, go on with the feed at its pace, answer the console, end in order."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.app.outcome import Outcome

if TYPE_CHECKING:
    from bot.app.running import Running
    from bot.config import Settings
    from bot.paper.journal import Journal


def paper(options: Namespace) -> Outcome:
    """Trade every strategy on the paper exchange until the feed ends or somebody ends it."""
    import asyncio

    from bot.config import load_settings
    from bot.run import params_type

    settings = load_settings(options.config, params_type)
    running = asyncio.run(_replay(settings, options))
    return Outcome(running.text(), running.document())


async def _replay(settings: Settings, options: Namespace) -> Running:
    """Trade on the configured history; return what has ended."""
    from bot.app.running import Running
    from bot.run import load_run

    load = partial(load_run, options.config)
    run = load()
    feed, journal = replay_feed(run), _journal(settings, options)
    running = Running(run, load, journal, feed, options.speed, options.json, options.venue)
    try:
        await running.run()
    finally:
        running.close()
    return running


def _journal(settings: Settings, options: Namespace) -> Journal:
    """Return the journal of a run, opened: this process owns it now."""
    from bot.paper.journal import Journal

    path = options.journal or Path("runs") / f"{settings.contract.id}.journal"
    if options.journal is None:
        path.parent.mkdir(exist_ok=True)
    return Journal(path)


def replay_feed(run: Any) -> Any:
    """Return the feed that replays a run's history."""
    from bot.paper.feed import ReplayFeed

    sources = [(Path(source.path).name, source.sha256) for source in run.history.sources]
    sources += [(source.name, source.sha256) for source in run.chain.sources]
    name = "replay of " + ", ".join(f"{name} {sha256[:12]}" for name, sha256 in sources)
    plan = run.plans[0]
    market = run.history.quotes or run.history.bars
    return ReplayFeed(name, run.simulated, market, run.history.rates, plan.blocks, plan.settings.start_ns, plan.end_ns)
