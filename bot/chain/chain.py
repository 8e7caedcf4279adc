"""The chain as a run sees it: blocks in order of their effective time, and the difficulty epochs.

**The rule that orders blocks.** Header times are set by miners and run backwards in 6 % of gaps, so a block
takes effect at its *effective time*: the running maximum of the header times up to and including its own.
Blocks of one effective time stay in order of height. The rule needs only the past (a node that sees a block
can compute it), it never falls, and it agrees with the header time wherever that is a new maximum. The other
candidate, median-time-past (the median of the last eleven header times, which the protocol itself uses
for locktime), never falls either, but lags the header by about an hour, and so would move every dividend
past traders who already saw the block. A header time may lie up to two hours ahead of the world's clock; the
running maximum carries such an error on to the blocks behind it until the clock has caught up.

**Fees.** The source gives a UTC day's total fees, not a block's. Each block of the day (by header time) gets
floor(total / blocks), the day's last block the remainder too: sums over whole days are exact. A single
block's figure is therefore a mean over its whole day; it reveals that mean up to a day early, which is the
finest that daily figures allow; in 2014 fees were 0.33 % of the subsidy on average, 1.4 % on the dearest day.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, repeat
from operator import sub
from pathlib import Path
from typing import Final

from bot.chain import ondisk
from bot.chain.difficulty import subsidy_sat, target_from_bits
from bot.chain.ondisk import BlockTimes, Epoch, FeeDay, Source
from bot.core.events import Block
from bot.core.units import NS_PER_DAY, NS_PER_S, S_PER_DAY

__all__ = ["BUNDLED", "Block", "Chain", "Epoch", "Source", "build", "load"]

BUNDLED: Final = Path(__file__).parent / "figures"


@dataclass(frozen=True, slots=True)
class Chain:
    """Blocks, epochs and what is known of fees; all times in nanoseconds UTC.

    `blocks` are all blocks with from_ns <= time_ns < to_ns, by height; do not change the list. `epochs` are in
    order of height, `epoch_known_ns[i]` says when `epochs[i]` took effect. Blocks whose header time lies in
    [fees_from_ns, fees_to_ns) carry their fees, others 0 (see `require_fees`). `sources` are the files read.
    """

    epochs: tuple[Epoch, ...]
    blocks: list[Block]
    sources: tuple[Source, ...]
    from_ns: int
    to_ns: int
    fees_from_ns: int
    fees_to_ns: int
    epoch_known_ns: tuple[int, ...]

    def blocks_between(self, start_ns: int, end_ns: int) -> list[Block]:
        """Return the blocks with start_ns < time_ns <= end_ns, by height: those a holder since `start_ns` is paid.

        Raises ChainError when the range is reversed or reaches beyond [from_ns, to_ns).
        """
        if not self.from_ns - 1 <= start_ns <= end_ns < self.to_ns:
            what = f"blocks are wanted from {utc(start_ns)} to {utc(end_ns)}, known from {utc(self.from_ns)}"
            remedy = "choose dates inside that range, or import headers that cover yours: fairhash chain import"
            raise ondisk.refuse("chain", f"{what} until before {utc(self.to_ns)}", remedy)
        first = bisect_right(self.blocks, start_ns, key=_time_ns)
        return self.blocks[first : bisect_right(self.blocks, end_ns, lo=first, key=_time_ns)]

    def epochs_known_at(self, time_ns: int) -> tuple[Epoch, ...]:
        """Return the epochs that had begun at `time_ns`: an epoch is known once its first block took effect.

        Inside the range of `blocks` that is the block's effective time; elsewhere the running maximum of the
        epochs' start times, which can be up to two hours early.
        """
        return self.epochs[: bisect_right(self.epoch_known_ns, time_ns)]

    def require_fees(self, start_ns: int, end_ns: int) -> None:
        """Raise ChainError unless every block in (start_ns, end_ns] carries its fees, which some payouts need."""
        for block in self.blocks_between(start_ns, end_ns):
            if not self.fees_from_ns <= block.header_time_s * NS_PER_S < self.fees_to_ns:
                own, first, end = map(utc, (block.header_time_s * NS_PER_S, self.fees_from_ns, self.fees_to_ns))
                what = f"fees of block {block.height} of {own} are unknown; known are those from {first} until {end}"
                remedy = "choose dates inside that range, a payout without fees, or import daily fees"
                raise ondisk.refuse("chain", what, remedy)


def _time_ns(block: Block) -> int:
    return block.time_ns


def utc(time_ns: int) -> str:
    """Return a time in nanoseconds as ISO 8601 in UTC, to the second, rounded down."""
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def load(directory: Path | None = None) -> Chain:
    """Return the chain that the figures in `directory` describe; None takes the bundled ones.

    Every file must equal its digest in SHA256SUMS; the retarget rule is not recomputed here but by
    `bot.chain.verify.verify`. Raises ChainError for anything missing, changed or malformed.
    """
    directory = BUNDLED if directory is None else directory
    contents, sources = ondisk.read_checked(directory)
    return build(
        ondisk.parse_blocks(contents[ondisk.BLOCKS], str(directory / ondisk.BLOCKS)),
        ondisk.parse_epochs(contents[ondisk.EPOCHS], str(directory / ondisk.EPOCHS)),
        ondisk.parse_fees(contents[ondisk.FEES], str(directory / ondisk.FEES)),
        sources,
        str(directory),
    )


def build(
    times: BlockTimes, epochs: tuple[Epoch, ...], fees: tuple[FeeDay, ...], sources: tuple[Source, ...], where: str
) -> Chain:
    """Return the chain made of parsed figures; `where` names them in messages.

    Works column by column, so that 23,000 blocks cost a few hundredths of a second. Raises ChainError for bits
    that encode no target, and for a day whose blocks do not number what its fees were counted over.
    """
    count = len(times.times_s)
    effective_s = list(accumulate(times.times_s, max, initial=times.before_s))
    every_bits = {*times.bits, *(epoch.bits for epoch in epochs)}  # the epochs' too: no target of 0 gets past here
    target_of = {bits: target_from_bits(bits, where) for bits in every_bits}
    heights = range(times.first_height, times.first_height + count)
    own_s = effective_s[1:]
    columns = zip(
        [time_s * NS_PER_S for time_s in own_s],
        heights,
        times.times_s,
        map(sub, own_s, effective_s),
        times.bits,
        map(target_of.__getitem__, times.bits),
        _subsidies(heights),
        _block_fees(times.times_s, fees, where),
        strict=True,
    )
    blocks: list[Block] = list(map(tuple.__new__, repeat(Block), columns))  # Block._make without its Python frame
    return Chain(
        epochs=epochs,
        blocks=blocks,
        sources=sources,
        from_ns=times.from_s * NS_PER_S,
        to_ns=times.to_s * NS_PER_S,
        fees_from_ns=fees[0].day * NS_PER_DAY if fees else 0,
        fees_to_ns=(fees[-1].day + 1) * NS_PER_DAY if fees else 0,
        epoch_known_ns=_epoch_known_ns(epochs, blocks),
    )


def _subsidies(heights: range) -> list[int]:
    """Return the subsidy of each height in satoshi; mostly all are equal."""
    first = subsidy_sat(heights[0])
    return [first] * len(heights) if first == subsidy_sat(heights[-1]) else list(map(subsidy_sat, heights))


def _block_fees(times_s: list[int], fees: tuple[FeeDay, ...], where: str) -> list[int]:
    """Return each block's share of its day's fees in satoshi; 0 on days without figures."""
    days = [time_s // S_PER_DAY for time_s in times_s]  # floor: the UTC day
    counts = Counter(days)
    for day, blocks, _ in fees:
        if counts[day] != blocks:
            what = f"fees of {ondisk.day_text(day)} are those of {blocks} blocks, but {counts[day]} are known"
            raise ondisk.refuse(where, what, "import headers and fees of the same days")
    share = {day: fees_sat // blocks for day, blocks, fees_sat in fees if blocks}  # floor
    result = list(map(share.get, days, repeat(0)))
    last = dict(zip(days, range(len(days)), strict=True))  # later entries win
    for day, blocks, fees_sat in fees:
        if blocks:
            result[last[day]] += fees_sat - blocks * share[day]
    return result


def _epoch_known_ns(epochs: tuple[Epoch, ...], blocks: list[Block]) -> tuple[int, ...]:
    first, last = blocks[0].height, blocks[-1].height
    own = (
        blocks[epoch.first_height - first].time_ns if first <= epoch.first_height <= last else epoch.start_s * NS_PER_S
        for epoch in epochs
    )
    return tuple(accumulate(own, max))
