"""Ending in order: what runs until somebody tells it to stop, and was not to be ended in its midst."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def until_told(work: Coroutine[Any, Any, T]) -> T | str:
    """Return what `work` comes to, or the name of the signal, SIGTERM or SIGINT, that ended it.

    It is cancelled at its next wait; what it opened it must close. It may listen to the signals itself later on.
    """
    import asyncio  # a backtest need not wait for it
    import signal

    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    told: list[str] = []

    def end(name: str) -> None:
        told.append(name)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number.name)
    try:
        return await task
    except asyncio.CancelledError:
        if not told:
            raise
        return told[0]
