"""The chain's part of a recording: raw headers as they were fed, and the figures made of them that a backtest reads."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

from bot.chain import headers, ondisk
from bot.chain.bundle import cut, write
from bot.chain.difficulty import BLOCKS_PER_EPOCH
from bot.chain.live import HeaderLine
from bot.chain.network import Network
from bot.chain.ondisk import Epoch, Source
from bot.chain.verify import verify_contents
from bot.core.events import Block
from bot.core.units import NS_PER_S

FIGURES: Final = "chain"
_PATTERN: Final = "headers-*.bin"


class HeaderFile:
    """`headers-<first height>.bin` in a recording's directory: appended to, never rewritten, durable block by block.

    A header that was cut off by a crash is dropped: whoever follows the chain feeds it again.
    """

    def __init__(self, directory: Path, network: Network) -> None:
        """Take up the file of a recording that was begun, or none. Raises ChainError for a damaged one."""
        self._directory = directory
        self._network = network
        self._path: Path | None = next(iter(sorted(directory.glob(_PATTERN))), None)
        self._known: headers.Headers | None = None
        self.dropped_bytes = 0
        if self._path is not None:
            size = self._path.stat().st_size
            self.dropped_bytes = size % headers.HEADER_BYTES
            if self.dropped_bytes:
                os.truncate(self._path, size - self.dropped_bytes)
            self._known = self._read()

    def _read(self) -> headers.Headers:
        assert self._path is not None, "begin() first"
        text, network = self._path.stem.partition("-")[2], self._network
        if not re.fullmatch("[0-9]{1,9}", text):
            raise ondisk.refuse(str(self._path), "its name states no height", "call it headers-<first height>.bin")
        raw = ondisk.read_regular(self._path, "restore it, or record into another directory")
        return headers.verify(raw, int(text), str(self._path), network.max_target, network.retargets)

    def last_block(self) -> Block | None:
        """Return the last block recorded, as far as its header tells: what a follower goes on behind."""
        known = self._known
        if known is None:
            return None
        height = known.first_height + len(known.times_s) - 1
        time_s = known.times_s[-1]
        return Block(time_s * NS_PER_S, height, time_s, 0, known.bits[-1], 0, 0, 0)

    @property
    def last_hash(self) -> str:
        """The hash of that block; nothing where none was recorded."""
        return "" if self._known is None else self._known.last_hash

    def begin(self, line: HeaderLine, fed_height: int) -> None:
        """Begin the file with all up to `fed_height`, the last block that counts as fed, unless it was begun before."""
        if self._path is None:
            raws = b"".join(line.raw_at(height) for height in range(line.first_height, fed_height + 1))
            self._path = self._directory / f"headers-{line.first_height}.bin"
            part = self._directory / f".{self._path.name}.part"
            part.write_bytes(raws)
            part.replace(self._path)

    def add(self, raw: bytes) -> None:
        """Append one header, durably."""
        assert self._path is not None, "begin() first"
        with self._path.open("ab") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())

    def write_figures(self, epochs: Sequence[Epoch], source: str) -> Path | None:
        """Write the figures of all blocks but the last and return their directory; None while there are too few.

        The last one is what shows that none is missing before it. `epochs` are those known when the follower began.
        """
        known = self._read()
        effective_s = list(accumulate(known.times_s, max))
        # The first block must be a new maximum, so that nothing before it has its time.
        first = next((i for i in range(1, len(effective_s)) if effective_s[i] > effective_s[i - 1]), 0)
        if not first or effective_s[-1] <= effective_s[first]:
            return None
        times = cut(known, effective_s[first - 1] + 1, effective_s[-1])
        every = [epoch for epoch in epochs if epoch.first_height <= known.first_height]
        for height in range(
            known.first_height + BLOCKS_PER_EPOCH, known.first_height + len(effective_s), BLOCKS_PER_EPOCH
        ):
            index = height - known.first_height
            every.append(Epoch(height // BLOCKS_PER_EPOCH, height, known.times_s[index], True, known.bits[index]))
        figures = {
            ondisk.BLOCKS: ondisk.render_blocks(times),
            ondisk.EPOCHS: ondisk.render_epochs(every),
            ondisk.FEES: ondisk.render_fees(()),
            ondisk.PROVENANCE: _provenance(Path(known.name).name, known, source),
        }
        sources = tuple(Source(name, hashlib.sha256(raw).hexdigest()) for name, raw in figures.items())
        out = self._directory / FIGURES
        verify_contents(figures, sources, out)
        write(out, {**figures, ondisk.SUMS: ondisk.render_sums(figures)})
        return out


def _provenance(name: str, known: headers.Headers, source: str) -> bytes:
    last = known.first_height + len(known.times_s) - 1
    lines = [
        "Figures of the Bitcoin block chain, recorded by `fairhash record`; bot/chain/ondisk.py describes their form.",
        f"Source: {source}. Fees are not recorded.",
        f"Made from headers {known.first_height}..{last} of {name} (sha256 {known.sha256}), all verified.",
        f"Hash of the last header: {known.last_hash}",
    ]
    return ("\n".join(lines) + "\n").encode("ascii", "replace")
