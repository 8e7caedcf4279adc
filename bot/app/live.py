"""The recorder as a command, and the one real clock that live feeds get."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from typing import Any

from bot.app.outcome import Outcome, progress
from bot.core.units import NS_PER_S, ceil_div


class WallClock:
    """The machine's UTC clock; what runs on through every setting of it is the time since boot, sleep included."""

    def __init__(self) -> None:
        self._ahead_ns = self._of_boot_ns()

    @staticmethod
    def _of_boot_ns() -> int:
        steady = time.CLOCK_BOOTTIME if hasattr(time, "CLOCK_BOOTTIME") else time.CLOCK_MONOTONIC
        return time.time_ns() - time.clock_gettime_ns(steady)

    def leapt_ns(self) -> int:
        """Return how far the clock was set ahead since this was made."""
        return self._of_boot_ns() - self._ahead_ns

    def now_ns(self) -> int:
        """Return the present time."""
        return time.time_ns()

    async def sleep_ns(self, duration_ns: int) -> None:
        """Return once `duration_ns` have passed."""
        import asyncio  # a backtest need not wait for it

        await asyncio.sleep(duration_ns / NS_PER_S)


def record(options: Namespace) -> Outcome:
    """Record what a configuration's live sources deliver until stopped, or for a time."""
    import asyncio

    from bot.chain.network import NETWORKS
    from bot.config import load_settings
    from bot.errors import ConfigError, Problem
    from bot.feeds.join import is_live, make_feed
    from bot.feeds.record import Recorder
    from bot.run import params_type

    settings = load_settings(options.config, params_type)
    if not is_live(settings):
        what = "names no live source: feed: history, chain: figures"
        raise ConfigError([Problem(str(options.config), what, "set feed: ccxt or chain: esplora; see docs/feeds.md")])
    feed = make_feed(settings, WallClock(), _tell, os.environ)
    comments = {
        "simulated": "true" if feed.simulated else "false",
        "contract": settings.contract.id,
        "generator": "fairhash record 1",
    }
    comments["source"] = feed.name
    network = NETWORKS[settings.config.blocks.network if settings.config.blocks else "bitcoin"]
    market = settings.config.ccxt
    kind = market.take if market is not None else "quotes"
    if market is not None:
        comments["interval"] = f"{ceil_div(market.longest_silence_ns, NS_PER_S)} s"
    recorder = Recorder(options.out, settings.contract, comments, network, kind)
    for told in recorder.told:
        progress(told)
    try:
        asyncio.run(_record(feed, recorder, options.seconds))
    finally:
        recorder.close()
    counts = {kind: recorder.rows, "blocks": recorder.blocks, "swap_rates": recorder.rates}
    rates = f" and {recorder.rates} swap rates" if feed.swaps is not None else ""
    text = f"recorded {recorder.rows} {kind}, {recorder.blocks} blocks{rates} of {feed.name} in {options.out}"
    return Outcome(text, {**counts, "directory": str(options.out)})


async def _record(feed: Any, recorder: Any, seconds: int | None) -> None:
    """Record until SIGINT, SIGTERM, the contract's end or `seconds`; what came is durable."""
    import asyncio
    import contextlib
    import signal

    here = asyncio.current_task()
    assert here is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, here.cancel)
    if seconds is not None:
        loop.call_later(seconds, here.cancel)
    events = None
    with contextlib.suppress(asyncio.CancelledError):  # being stopped is how a recording ends
        try:
            await feed.start(recorder.headers.last_block(), recorder.headers.last_hash)
            recorder.begin(feed)
            progress(f"recording {feed.name}; stop with Ctrl-C")
            events = feed.events(_Before(recorder.last_ns) if recorder.last_ns else None)
            async for event in events:
                recorder.add(event)
        finally:
            if events is not None:
                await events.aclose()
            await feed.close()


class _Before:
    """Stands for the last event of a recording: only its time is known."""

    def __init__(self, time_ns: int) -> None:
        self.time_ns = time_ns


def _tell(kind: str, text: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(f"{stamp} {kind}: {text}", file=sys.stderr, flush=True)
