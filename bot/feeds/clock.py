"""Time as the feeds need it: given by the caller, so that a test moves it and only `bot.app` reads a real one."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """UTC in nanoseconds since 1970, and a way to let it pass."""

    def now_ns(self) -> int:
        """Return the present time."""
        ...

    def leapt_ns(self) -> int:
        """Return how far it has leapt ahead, since it was made, of the time that really passed; below 0: back."""
        ...

    async def sleep_ns(self, duration_ns: int) -> None:
        """Return once `duration_ns` have passed."""
        ...
