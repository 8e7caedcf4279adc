"""How long a trial may take, in two steps: an error raised in it, and the end of its process if that does not stop it.

The first stops whatever runs in Python, and its worker lives on. It cannot stop machine code or a call that waits:
then the system ends the process, by a signal that says why. How long that takes is all that a clock decides here: no
row depends on it but that of a trial that took too long.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from backtests.sweep.measures import TIMED_OUT

ENDED_BY: Final = signal.SIGALRM
"""What ends a process that does not stop; nothing else here uses it."""
GRACE_S: Final = 2.0
"""How long after its limit a trial is waited for to stop."""


class TooLongError(BaseException):
    """A trial reached its limit. No Exception: a strategy that catches those would go on."""


def too_long(limit_s: float) -> str:
    """Return the error of a trial that took longer than its limit."""
    return f"{TIMED_OUT}: the trial took longer than {limit_s:g} s"


Result = TypeVar("Result")

_LOCK: Final = threading.Lock()
_running = 0
"""How many trials with a limit run in the threads of this process."""


def within(limit_s: float | None, call: Callable[[], Result]) -> Result:
    """Return `call()`; raises TooLongError in it once it has taken `limit_s` seconds, None: never.

    With several threads the end of the process waits for the trial that began last: those before it, if they can be
    stopped, were. No context manager, since the error could strike between the end of its body and its exit.
    """
    if limit_s is None:
        return call()
    stopping = _Stopping(threading.get_ident())
    timer = threading.Timer(limit_s, stopping.strike)
    timer.daemon = True
    _arm(limit_s + GRACE_S)
    try:
        timer.start()
        return call()
    finally:
        try:
            timer.cancel()
            stopping.over()
        finally:
            _disarm()


class _Stopping:
    """The error that will be raised in one thread, unless what it is to stop is over."""

    def __init__(self, thread: int) -> None:
        self._thread = ctypes.c_ulong(thread)
        self._lock = threading.Lock()
        self._struck = self._over = False

    def strike(self) -> None:
        with self._lock:
            if not self._over:
                self._struck = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, ctypes.py_object(TooLongError))

    def over(self) -> None:
        """Strike no more, and take back a strike that has not been felt yet."""
        with self._lock:
            self._over = True
            if self._struck:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, None)


def _arm(after_s: float) -> None:
    global _running
    with _LOCK:
        _running += 1
        signal.setitimer(signal.ITIMER_REAL, after_s)


def _disarm() -> None:
    global _running
    with _LOCK:
        _running -= 1
        if not _running:
            signal.setitimer(signal.ITIMER_REAL, 0)
