"""What ends or reports a daemon that does nothing any more: for hangs that no exception can interrupt.

Code in C that holds the interpreter lets no signal handler of Python's run. Two things still see it: the kernel, which
counts processor time (`Fuse`), and systemd, which waits to be told that the daemon lives (`notify`). Either ends the
process; the next start finds which strategy was being asked, and after the second time halts it (bot.paper.asking).
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from typing import Final

from bot.core.units import NS_PER_S, ceil_div

ANSWERS: Final = 10
"""How many times the longest answer allowed may pass, in processor time, before the process is ended."""
LEAST_S: Final = 30
"""Never sooner: our own work in C, such as a copy of a large journal, is to end first."""


class Fuse:
    """Ends the process by SIGXCPU once it has computed for a while without coming back to renew this.

    A process that is stopped, waits or sleeps computes nothing, and is left alone.
    """

    def __init__(self, max_answer_ns: int) -> None:
        self.seconds = max(ceil_div(ANSWERS * max_answer_ns, NS_PER_S), LEAST_S)
        self._before = resource.getrlimit(resource.RLIMIT_CPU)

    def renew(self) -> None:
        """Allow so many seconds of processor time from now on."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft, hard = int(used.ru_utime + used.ru_stime) + 1 + self.seconds, self._before[1]  # rounded up
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))

    def remove(self) -> None:
        """Let the limit be what it was."""
        resource.setrlimit(resource.RLIMIT_CPU, self._before)


def notify(text: str) -> None:
    """Tell systemd `READY=1`, `WATCHDOG=1` or `STOPPING=1`, if it started this process: see sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith(("/", "@")):
        name = "\0" + address[1:] if address[0] == "@" else address  # an abstract name
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:  # nobody listens
            sender.setblocking(False)
            sender.sendto(text.encode(), name)
