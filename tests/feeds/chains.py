"""Small chains with real proof of work at regtest's difficulty, and a clock that a test moves."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

from bot.chain.network import REGTEST

BITS = 0x207FFFFF
GENESIS = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3"
    "888a51323a9fb8aa4b1e5e4adae5494dffff7f2002000000"
)
START_S = 1_296_688_602


def digest(raw: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(raw).digest()).digest()


def mine(before: bytes, time_s: int, salt: int = 0, bits: int = BITS) -> bytes:
    """Return a header on top of `before` whose hash meets the target: a few tries."""
    # Bits that a test forges need not encode a target that can be met.
    target = (bits & 0x7FFFFF) << 232 if bits >> 24 == 0x20 and bits & 0x7FFFFF else REGTEST.max_target
    for nonce in range(1 << 20):
        root = hashlib.sha256(struct.pack("<qq", time_s, salt)).digest()
        raw = struct.pack("<I", 0x20000000) + digest(before) + root + struct.pack("<III", time_s, bits, nonce)
        if int.from_bytes(digest(raw), "little") <= target:
            return raw
    raise AssertionError("no nonce found")


def chain(length: int, onto: Sequence[bytes] = (GENESIS,), salt: int = 0, step_s: int = 600) -> list[bytes]:
    """Return `onto` and `length` headers more, ten minutes apart."""
    raws = list(onto)
    time_s = struct.unpack("<I", raws[-1][68:72])[0]
    for _ in range(length):
        time_s += step_s
        raws.append(mine(raws[-1], time_s, salt))
    return raws


def time_of(raw: bytes) -> int:
    return int(struct.unpack("<I", raw[68:72])[0])


class ManualClock:
    """Time stands still but for `sleep_ns`, which moves it and lets `on_sleep` change the world."""

    def __init__(self, now_ns: int) -> None:
        self.now = now_ns
        self.leap_ns = 0
        self.slept: list[int] = []
        self.on_sleep = lambda: None

    def now_ns(self) -> int:
        return self.now

    def leapt_ns(self) -> int:
        return self.leap_ns

    async def sleep_ns(self, duration_ns: int) -> None:
        self.slept.append(duration_ns)
        self.now += duration_ns
        self.on_sleep()
