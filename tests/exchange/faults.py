"""A road to the exchange on which things go wrong: requests and replies are lost, late, cut, answered with 503."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from requests.exceptions import ConnectionError as LostError
from requests.exceptions import ReadTimeout

from bot.paper.bitfinex.protocol import Request

Carry = Callable[[Request], tuple[int, bytes]]
BUSY = b'["error",20060,"maintenance"]'


class FaultyRoad:
    """Carries requests, and with a seeded chance lets one of the faults happen; `restart` comes back from the journal.

    A late request arrives after others that were sent later, when its sender has long given up.
    """

    FAULTS = ("lost", "reply_lost", "late", "empty", "cut", "busy", "busy_after", "restarted", "restarted_after")

    def __init__(self, carry: Carry, restart: Callable[[], None], seed: int, chance: float) -> None:
        self.carry, self.restart, self.chance = carry, restart, chance
        self.random = Random(seed)
        self.happened: Counter[str] = Counter()
        self.late: list[Request] = []

    def __call__(self, request: Request) -> tuple[int, bytes]:
        if self.late and self.random.random() < 0.5:
            _, answer = self.carry(self.late.pop(0))
            self.happened[f"late: {answer[:14].decode()}"] += 1
        if "/auth/" not in request.path or self.random.random() >= self.chance:
            return self.carry(request)
        fault = self.random.choice(self.FAULTS)
        self.happened[fault] += 1
        return getattr(self, f"_{fault}")(request)

    def _lost(self, request: Request) -> tuple[int, bytes]:
        raise LostError("connection refused")

    def _reply_lost(self, request: Request) -> tuple[int, bytes]:
        self.carry(request)
        raise LostError("connection reset by peer")

    def _late(self, request: Request) -> tuple[int, bytes]:
        self.late.append(request)
        raise ReadTimeout("read timed out")

    def _empty(self, request: Request) -> tuple[int, bytes]:
        self.carry(request)
        return 200, b""

    def _cut(self, request: Request) -> tuple[int, bytes]:
        status, answer = self.carry(request)
        return status, answer[: len(answer) // 2]

    def _busy(self, request: Request) -> tuple[int, bytes]:
        return 503, BUSY

    def _busy_after(self, request: Request) -> tuple[int, bytes]:
        self.carry(request)
        return 503, b"<html>Service Unavailable</html>"

    def _restarted(self, request: Request) -> tuple[int, bytes]:
        self.restart()
        raise LostError("connection refused")

    def _restarted_after(self, request: Request) -> tuple[int, bytes]:
        self.carry(request)
        self.restart()
        raise LostError("connection reset by peer")
