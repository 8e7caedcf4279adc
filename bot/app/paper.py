"""The daemon as a command: recover, go on with the feed at its pace, answer the console, end in order."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bot.app.ending import until_told
from bot.app.outcome import Outcome
from bot.core.events import BTC, CONTRACT, Block, SwapRate
from bot.feed_settings import CCXT

if TYPE_CHECKING:
    from bot.app.remote import Served
    from bot.app.running import Running
    from bot.config import Settings
    from bot.feeds.clock import Clock
    from bot.paper.journal import Journal

DEFAULT_SPEED: Final = 3600
"""Seconds of a history that pass in one."""


def paper(options: Namespace) -> Outcome:
    """Trade every strategy on the paper exchange until the feed ends or somebody ends it."""
    import asyncio

    from bot.app.live import WallClock
    from bot.config import load_settings
    from bot.feeds.join import is_live
    from bot.run import params_type

    settings = load_settings(options.config, params_type)
    _refuse_mixed(options, is_live(settings))
    work = trade_live(settings, options, WallClock()) if is_live(settings) else _replay(settings, options)
    running = asyncio.run(until_told(work))
    if isinstance(running, str):
        text = f"ended by {running} before it traded; start it again to go on"
        return Outcome(text, {"ended_by": running, "traded": False})
    return Outcome(running.text(), running.document())


async def _replay(settings: Settings, options: Namespace) -> Running:
    """Trade on the configured history; return what has ended."""
    from bot.app.running import Running
    from bot.run import load_run

    load = partial(load_run, options.config)
    run = load()
    exchange: Served | None = None
    if options.exchange is not None:
        from bot.app.remote import SHOWN, served

        exchange = served(options.exchange, options.keys, [entry.name for entry in run.settings.strategies])
    feed = replay_feed(run)
    if exchange is not None:
        feed.name = SHOWN + feed.name
    journal = _journal(settings, options)
    speed = DEFAULT_SPEED if options.speed is None else options.speed
    running = Running(run, load, journal, feed, speed, options.json, options.venue, exchange=exchange)
    try:
        await running.run()
    finally:
        running.close()
    return running


def _refuse_mixed(options: Namespace, live: bool) -> None:
    """Refuse options that do not go together with a served exchange."""
    from bot.errors import ConfigError, Problem

    problems = []
    if options.exchange is not None:
        if options.venue != "ccxt":
            problems.append(Problem("--exchange", "orders go there through ccxt only", "add --venue ccxt"))
        if options.speed is not None:
            problems.append(Problem("--speed", "the exchange's market is the pace", "give it to fairhash exchange"))
        if live:
            what = "the exchange's market is followed, and the configuration names live sources"
            problems.append(Problem("--exchange", what, "take the history that the exchange replays"))
    elif options.keys is not None:
        problems.append(Problem("--keys", "there is nobody to show keys to", "add --exchange URL"))
    if problems:
        raise ConfigError(problems)


async def trade_live(settings: Settings, options: Namespace, clock: Clock, **ccxt: Any) -> Running:
    """Trade on live sources; return what has ended. `ccxt` are further options for ccxt, as tests need them."""
    from bot.app.running import Running
    from bot.app.voice import Voice
    from bot.feeds.join import make_feed
    from bot.run import load_run

    _refuse_half_live(settings, options)

    def tell(kind: str, text: str) -> None:
        voice.say(kind, clock.now_ns(), text=text)

    feed = make_feed(settings, clock, tell, os.environ, **ccxt)
    voice = Voice(feed.simulated, options.json)
    try:
        journal = _journal(settings, options)  # ours from here on: nobody else books what the chain is asked for
        try:
            if settings.config.swap is not None:
                feed.remember(last_rates(journal))
            last, last_hash = _last_block(journal)
            await feed.start(last, last_hash, options.accept_chain)
            epochs = [(epoch.start_s, epoch.bits) for epoch in feed.epochs]
            refuse_other_chain(journal, epochs)
            load = partial(load_run, options.config, live_epochs=epochs)
            run = load()
        except BaseException:
            journal.close()
            raise
        running = Running(run, load, journal, feed, None, options.json, options.venue, clock.now_ns, feed.proof)
        try:
            if last is not None and feed.proof(last) != last_hash and options.accept_chain:
                running.accept_chain(last.height, feed.proof(last))
            await running.run()
        finally:
            running.close()
    finally:
        await feed.close()
    return running


def _refuse_half_live(settings: Settings, options: Namespace) -> None:
    """Refuse to trade on quotes without blocks, which pay no dividends, on blocks without quotes, or at a speed."""
    from bot.errors import ConfigError, Problem

    config = settings.config
    remedy = "take both feed: ccxt and chain: bitcoin-core or esplora, or neither for a replay"
    problems = []
    if config.live_chain is None:
        what = f"chain: {config.chain or 'bundled'} brings no new blocks, and with a live market nothing would be paid"
        problems.append(Problem(settings.origins.get("chain", str(settings.path)), what, remedy))
    if config.feed != CCXT:
        what = f"feed: {config.feed} brings no quotes to go with live blocks"
        problems.append(Problem(settings.origins.get("feed", str(settings.path)), what, remedy))
    if options.speed is not None:
        problems.append(Problem("--speed", "live sources pass at their own", "leave it out"))
    if problems:
        raise ConfigError(problems)


def _last_block(journal: Journal) -> tuple[Block | None, str]:
    """Return the last block that was booked and its hash, as far as they are known."""
    from bot.paper.entries import NOTE, Control

    noted = ""
    for content in _newest_first(journal, Block.__name__, Control.__name__):
        if isinstance(content, Block):
            return content, noted
        if isinstance(content, Control) and content.action == NOTE:
            noted = content.text
    return None, ""


def last_rates(journal: Journal) -> list[SwapRate]:
    """Return the last swap rate of each asset that was taken in."""
    found: dict[int, SwapRate] = {}
    for rate in _newest_first(journal, SwapRate.__name__):
        found.setdefault(rate.asset, rate)
        if len(found) == len((BTC, CONTRACT)):
            break
    return list(found.values())


def _newest_first(journal: Journal, *kinds: str) -> Iterator[Any]:
    """Yield what the entries of these kinds say, the newest first."""
    end = journal.sequence
    while end > 1:
        first = max(end - 999, 2)
        yield from (entry.content() for entry in reversed(list(journal.entries(first, end))) if entry.kind in kinds)
        end = first - 1


def refuse_other_chain(journal: Journal, epochs: Sequence[tuple[int, int]]) -> None:
    """Raise JournalError if a journal was begun with other difficulty epochs than these, the later ones left out."""
    from bot.errors import JournalError, Problem
    from bot.facts import read_head

    if journal.sequence:
        begun = [(start_s, bits) for start_s, bits in read_head(journal)["past_epochs"]]
        if list(epochs[: len(begun)]) != begun:
            what = "was begun with other difficulty epochs than those of the configured chain"
            raise JournalError([Problem(str(journal.path), what, "ask the chain that it was begun on")])


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
