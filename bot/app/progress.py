"""How far a long piece of work is: done, rate and time left, on standard error. Reads a clock, as only bot.app may."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic
from typing import Final

_EVERY_S: Final = 0.2
_EVERY_LINE_S: Final = 10.0
"""A log that is no terminal gets a line this often."""


class Progress:
    """Counts `total` pieces of work called `noun`; those found done already do not count for the rate."""

    def __init__(self, total: int, noun: str, clock: Callable[[], float] = monotonic) -> None:
        self._total = total
        self._noun = noun
        self._clock = clock
        self._done = self._new = 0
        self._began_s = clock()
        self._shown_s = self._began_s
        self._is_terminal = sys.stderr.isatty()

    def step(self, is_new: bool, remark: str = "") -> None:
        """Count one piece; show where things stand if that was not shown for a while."""
        if is_new and not self._new:
            self._began_s = self._clock()  # what was found done took no time, what prepared the work is not its rate
        self._done += 1
        self._new += is_new
        now_s = self._clock()
        if now_s - self._shown_s >= (_EVERY_S if self._is_terminal else _EVERY_LINE_S):
            self._shown_s = now_s
            self._show(now_s, remark)

    def finish(self, remark: str = "") -> None:
        """Show where things stand for the last time, on a line that stays."""
        self._show(self._clock(), remark)
        if self._is_terminal:
            print(file=sys.stderr, flush=True)

    def text(self, now_s: float, remark: str = "") -> str:
        """Return where things stand in words."""
        passed_s = now_s - self._began_s
        counted = f"[{self._done}/{self._total} {self._noun}]"
        parts = []
        if self._new > 1 and passed_s > 0:
            rate = (self._new - 1) / passed_s  # the first one marks the beginning
            parts.append(f"{rate:.1f}/s")
            if self._done < self._total:
                parts.append(f"{_span((self._total - self._done) / rate)} left")
        return " ".join([counted, ", ".join([*parts, *([remark] if remark else [])])]).rstrip()

    def _show(self, now_s: float, remark: str) -> None:
        text = self.text(now_s, remark)
        if self._is_terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


def _span(seconds: float) -> str:
    """Return a length of time as a person says it, rounded up to the second."""
    whole = int(seconds) + 1
    if whole < 90:
        return f"{whole} s"
    minutes = -(-whole // 60)  # rounded up
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
