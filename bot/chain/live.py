"""Headers as they arrive: one verified line of them that grows, and is replaced only by a branch with more work.

Pure: what asks a node or a server for headers is in `bot.feeds`. Nothing counts before `bot.chain.headers` has
verified it together with all it is linked to, from the first block of an epoch on, so that every retarget
inside the line is recomputed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from bot.chain import headers
from bot.chain.difficulty import BLOCKS_PER_EPOCH, subsidy_sat, target_from_bits
from bot.chain.network import Network
from bot.chain.ondisk import refuse
from bot.core.events import Block
from bot.core.units import NS_PER_S

MAX_FUTURE_S: Final = 2 * 60 * 60
"""MAX_FUTURE_BLOCK_TIME of `src/chain.h`: nodes refuse a header further ahead of their clock."""
KEPT_EPOCHS: Final = 2
"""Whole epochs that stay in the line: the rule that ends one needs its first block."""


def header_hash(raw: bytes) -> str:
    """Return the hash of a raw 80-byte header in hexadecimal, in the usual (reversed) order."""
    return hashlib.sha256(hashlib.sha256(raw).digest()).digest()[::-1].hex()


def previous_hash(raw: bytes) -> str:
    """Return the hash of the header that a raw one follows, in the same form."""
    return raw[4:36][::-1].hex()


def work(bits: int, network: Network) -> int:
    """Return the hashes expected for one block: floor(2^256 / (target + 1)), as GetBlockProof of chain.cpp."""
    return (1 << 256) // (target_from_bits(bits, max_target=network.max_target) + 1)


class HeaderLine:
    """Verified headers from `first_height` on, without gaps; `name` is their source's, for messages."""

    __slots__ = ("_hashes", "_heights", "_line", "_raws", "effective_s", "name", "network")

    def __init__(self, network: Network, name: str, first_height: int, raws: Sequence[bytes], now_s: int) -> None:
        """Start from `raws`, the first of which begins an epoch. Raises ChainError as `extend` does.

        That the first one's bits are right must be known from elsewhere; block 0 must be the network's own.
        """
        if first_height % BLOCKS_PER_EPOCH:
            raise ValueError(f"the line begins at height {first_height}, which begins no epoch")
        self.network = network
        self.name = name
        self._keep(self._verified(first_height, list(raws), now_s), list(raws))
        if first_height == 0 and self._hashes[0] != network.genesis_hash:
            what = f"block 0 is {self._hashes[0]}, not {network.genesis_hash} of {network.name}"
            raise refuse(name, what, "this is another network's source: mend chain.network or chain.url")

    @property
    def first_height(self) -> int:
        """Height of the first header kept."""
        return self._line.first_height

    @property
    def tip_height(self) -> int:
        """Height of the last header."""
        return self._line.first_height + len(self._raws) - 1

    @property
    def tip_hash(self) -> str:
        """Hash of the last header, in the usual order."""
        return self._hashes[-1]

    @property
    def tip_time_s(self) -> int:
        """Header time of the last header."""
        return self._line.times_s[-1]

    def hash_at(self, height: int) -> str | None:
        """Return the hash at `height`, or None outside the line."""
        index = height - self.first_height
        return self._hashes[index] if 0 <= index < len(self._hashes) else None

    def height_of(self, hash_hex: str) -> int | None:
        """Return the height of a hash, or None if it is not in the line."""
        return self._heights.get(hash_hex)

    def bits_at(self, height: int) -> int:
        """Return the bits at `height`, which must be in the line."""
        return self._line.bits[height - self.first_height]

    def time_s_at(self, height: int) -> int:
        """Return the header time at `height`, which must be in the line."""
        return self._line.times_s[height - self.first_height]

    def raw_at(self, height: int) -> bytes:
        """Return the raw header at `height`, which must be in the line."""
        return self._raws[height - self.first_height]

    def block(self, height: int, fees_sat: int) -> Block:
        """Return the block at `height`, above `first_height`; its times are those of the chain, not of its arrival.

        See bot.chain.chain for the effective time; the running maximum starts at the line's first header.
        """
        index = height - self.first_height
        bits, time_s, before_s = self._line.bits[index], self.effective_s[index], self.effective_s[index - 1]
        return Block(
            time_ns=time_s * NS_PER_S,
            height=height,
            header_time_s=self._line.times_s[index],
            interval_s=time_s - before_s,
            bits=bits,
            target=target_from_bits(bits, max_target=self.network.max_target),
            subsidy_sat=subsidy_sat(height, self.network.halving_blocks),
            fees_sat=fees_sat,
        )

    def extend(self, raws: Sequence[bytes], now_s: int) -> None:
        """Take in the headers that follow the last one; all or none.

        Raises ChainError for a header that `bot.chain.headers.verify` refuses, or of a time more than two hours
        after `now_s`.
        """
        every = [*self._raws, *raws]
        line = self._verified(self.first_height, every, now_s)
        begins = (self.first_height + len(every) - 1) // BLOCKS_PER_EPOCH * BLOCKS_PER_EPOCH
        spare = max(0, begins - (KEPT_EPOCHS - 1) * BLOCKS_PER_EPOCH - self.first_height)
        if spare:
            every = every[spare:]
            line = self._verified(self.first_height + spare, every, now_s)
        self._keep(line, every)

    def replace(self, fork_height: int, raws: Sequence[bytes], now_s: int) -> int:
        """Replace all above `fork_height`, which stays, by a branch with more work; return how many headers went.

        A branch with no more work than what it would replace changes nothing and returns 0: that is the rule of every
        node (the first seen stays). Raises ChainError as `extend` does.
        """
        kept = self._raws[: fork_height + 1 - self.first_height]
        line = self._verified(self.first_height, [*kept, *raws], now_s)
        old, new = (sum(work(bits, self.network) for bits in part.bits[len(kept) :]) for part in (self._line, line))
        if new <= old:
            return 0
        gone = len(self._raws) - len(kept)
        self._keep(line, [*kept, *raws])
        return gone

    def _verified(self, first_height: int, raws: list[bytes], now_s: int) -> headers.Headers:
        network = self.network
        line = headers.verify(b"".join(raws), first_height, self.name, network.max_target, network.retargets)
        latest_s = max(line.times_s)
        if latest_s > now_s + MAX_FUTURE_S:
            what = f"time {latest_s} s is more than {MAX_FUTURE_S} s after our clock"
            raise refuse(self.name, f"{what}, {now_s} s", "check this machine's clock; else the source lies")
        return line

    def _keep(self, line: headers.Headers, raws: list[bytes]) -> None:
        self._line = line
        self._raws = raws
        self._hashes = [header_hash(raw) for raw in raws]
        self._heights = {text: line.first_height + index for index, text in enumerate(self._hashes)}
        self.effective_s = list(accumulate(line.times_s, max))
