"""The entries before a checkpoint, checked while the process serves: a start from a checkpoint has not read them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from bot.paper.journal import Journal

AT_ONCE: Final = 200
PAUSE_S: Final = 0.005
"""Half a millisecond of reading, then others have their turn: 100,000 entries take some three seconds."""

T = TypeVar("T")


async def beside(work: Coroutine[Any, Any, T], journal: Journal, last: int) -> T:
    """Return what `work` comes to; meanwhile the entries up to `last` are checked against the hash chain.

    Raises JournalError, after `work` was cancelled, at the first entry that was changed.
    """
    task, reading = asyncio.ensure_future(work), asyncio.create_task(_reread(journal, last))

    def read(done: asyncio.Task[None]) -> None:
        if not done.cancelled() and done.exception() is not None:
            task.cancel()

    reading.add_done_callback(read)
    try:
        return await task
    except asyncio.CancelledError:
        if reading.done():
            reading.result()  # raises what was wrong with the journal
        raise
    finally:
        reading.cancel()


async def _reread(journal: Journal, last: int) -> None:
    for first in range(1, last + 1, AT_ONCE):
        for _ in journal.entries(first, min(first + AT_ONCE - 1, last)):
            pass
        await asyncio.sleep(PAUSE_S)
