"""Follows the best chain of a source and yields its blocks in order of height, each once, none left out.

**What counts.** A header counts when `bot.chain.live` has verified it, and its block is fed when `confirmations`
blocks, itself included, stand on it. A reorganisation above what was fed is told and otherwise costs nothing: no
dividend was booked. One that reaches below it stops the feed with DeepReorganisationError: dividends of blocks that no
longer exist were paid, and what to do about that is for a person to decide (docs/feeds.md).

**What is trusted.** The bits of the first epoch: for mainnet they are recomputed from the last epoch in the bundled
figures on, from the first and last header of every epoch since, each with its proof of work.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from bot.chain import headers
from bot.chain.difficulty import BLOCKS_PER_EPOCH, bits_from_target, next_target, target_from_bits
from bot.chain.live import HeaderLine, header_hash, previous_hash
from bot.chain.network import Network
from bot.chain.ondisk import Epoch
from bot.core.events import Block
from bot.core.units import NS_PER_S
from bot.errors import ChainError
from bot.feeds.clock import Clock
from bot.feeds.errors import AnswerError, DeepReorganisationError, StaleError, WrongChainError
from bot.feeds.patience import Answer, Patience, Tell, persist
from bot.feeds.source import BlockSource, Tip

DEEP_REMEDY: Final = "look at the chain; then wait, or start once with --accept-chain: docs/feeds.md, Reorganisations"
LOOK_BACK: Final = 10
"""Headers asked for at a time when looking for where two branches part."""


@dataclass(frozen=True, slots=True)
class FollowRules:
    """How to follow: ask every `poll_ns`, feed blocks `confirmations` deep.

    No new block for `stale_after_ns` is an error. `pays_fees`: whether dividends need the fees of blocks; those are
    the source's word.
    """

    poll_ns: int = 15 * NS_PER_S
    confirmations: int = 3
    stale_after_ns: int = 3 * 60 * 60 * NS_PER_S
    pays_fees: bool = False
    patience: Patience = field(default_factory=Patience)


class BlockFollower:
    """Follows one source. `known_epochs` are those of the bundled figures; none: the network's first one."""

    def __init__(
        self,
        source: BlockSource,
        network: Network,
        known_epochs: Sequence[Epoch],
        rules: FollowRules,
        clock: Clock,
        tell: Tell,
    ) -> None:
        self._source = source
        self._network = network
        self._rules = rules
        self._clock = clock
        self._tell = tell
        self._line: HeaderLine | None = None
        self._next = 0
        self._told: tuple[str, str] | None = None
        self.epochs: list[Epoch] = list(known_epochs) or [network.first_epoch]
        """The epochs known at the start, the present one last: what a model of difficulty begins with."""

    @property
    def line(self) -> HeaderLine:
        """The verified headers; only after `start`."""
        assert self._line is not None, "start() first"
        return self._line

    @property
    def fed_height(self) -> int:
        """Height of the last block that was fed, or counted as fed when it started."""
        return self._next - 1

    async def start(self, last: Block | None, last_hash: str = "", accept: bool = False) -> None:
        """Verify the chain up to where feeding begins: after `last`, the last block that was booked, or with the next.

        `last_hash` is its hash, if it was kept: another block may carry the same time and bits.
        `accept`: whether to go on behind it on a chain that has another block there.
        Raises DeepReorganisationError if `last` is no longer on the best chain, or another SourceError.
        """
        tip = await self._ask(self._source.tip)
        counted = last.height if last is not None else max(tip.height - self._rules.confirmations + 1, 0)
        if tip.height < counted:
            what = f"its last block is {tip.height}, but block {counted} was already booked"
            raise StaleError(self._source.name, what, "wait until it has caught up, or ask another")
        first = counted - counted % BLOCKS_PER_EPOCH
        await self._walk_epochs(first // BLOCKS_PER_EPOCH)
        self._line = await self._ask(partial(self._begin, first, min(self._source.batch, counted - first + 1)))
        while self._line.tip_height < counted:
            await self._ask(partial(self._extend, min(self._source.batch, counted - self._line.tip_height)))
        self._check_begin(first)
        await self._ask(self._check_age)
        self._next = counted + 1
        if last is not None and not accept:
            self._check_last(last, last_hash)

    async def blocks(self) -> AsyncIterator[Block]:
        """Yield blocks as they become deep enough, for ever. Raises a SourceError when patience is at its end."""
        while True:
            more = await self._ask(self._step)
            while self._next <= self.line.tip_height - self._rules.confirmations + 1:
                yield await self._block(self._next)
                self._next += 1
            if not more:
                await self._clock.sleep_ns(self._rules.poll_ns)

    async def close(self) -> None:
        """Close the source."""
        await self._source.close()

    # The beginning ------------------------------------------------------------------------------------------

    async def _walk_epochs(self, number: int) -> None:
        """Recompute the bits of every epoch from the last known one to epoch `number`, from two headers of each."""
        while self.epochs and self.epochs[-1].number < number:
            self.epochs.append(await self._ask(partial(self._epoch_after, self.epochs[-1])))
        self.epochs = [epoch for epoch in self.epochs if epoch.number <= number]  # the figures may be ahead of a source

    async def _begin(self, first: int, count: int) -> HeaderLine:
        raws = await self._headers(first, count)
        try:
            return HeaderLine(self._network, self._source.name, first, raws, self._now_s())
        except ChainError as error:
            raise AnswerError(self._source.name, _first(error)) from error

    async def _epoch_after(self, before: Epoch) -> Epoch:
        first, last = before.first_height, before.first_height + BLOCKS_PER_EPOCH - 1
        begin = self._proven((await self._headers(first, 1))[0], first)
        end, then = (self._proven(raw, last + i) for i, raw in enumerate(await self._headers(last, 2)))
        was = target_from_bits(before.bits, max_target=self._network.max_target)
        expected = was
        if self._network.retargets:
            expected = next_target(was, begin.times_s[0], end.times_s[0], self._network.max_target)
        for proven, due in ((begin, before.bits), (end, before.bits), (then, bits_from_target(expected))):
            if proven.bits[0] != due:
                what = f"block {proven.first_height} has bits {proven.bits[0]:#010x}, but {due:#010x} are due"
                raise AnswerError(self._source.name, what, "the source is on no chain that we know: ask another")
        return Epoch(before.number + 1, last + 1, then.times_s[0], True, then.bits[0])

    def _proven(self, raw: bytes, height: int) -> headers.Headers:
        """Return one header whose proof of work was checked."""
        try:
            return headers.verify(raw, height, self._source.name, self._network.max_target)
        except ChainError as error:
            raise AnswerError(self._source.name, _first(error)) from error

    async def _check_age(self) -> None:
        """Refuse a chain that has stood still for too long by our clock, or our clock: one of both is wrong."""
        tip = await self._source.tip()
        last = self._proven((await self._headers(tip.height, 1))[0], tip.height)
        self._check_stale(tip.height, last.times_s[0])

    def _check_begin(self, first: int) -> None:
        """Refuse a line whose first bits are not those that were recomputed."""
        bits = self.line.bits_at(first)
        epoch = next((e for e in reversed(self.epochs) if e.first_height == first), None)
        if epoch is not None and bits != epoch.bits:
            what = f"epoch at height {first} has bits {bits:#010x}, but {epoch.bits:#010x} are due"
            raise WrongChainError(self._source.name, what, "mend chain.network or chain.url")

    def _check_last(self, last: Block, last_hash: str) -> None:
        """Refuse a chain on which the last booked block is another one."""
        line = self.line
        found = line.hash_at(last.height)
        same = (line.time_s_at(last.height), line.bits_at(last.height)) == (last.header_time_s, last.bits)
        if (last_hash and last_hash != found) or not (last_hash or same):
            what = f"block {last.height}, whose dividend was booked, is no longer on the best chain"
            raise DeepReorganisationError(self._source.name, what, DEEP_REMEDY)

    # As it goes on ------------------------------------------------------------------------------------------

    async def _step(self) -> bool:
        """Take in what is new, at most a batch; return whether there is more."""
        tip = await self._source.tip()
        line = self.line
        if line.height_of(tip.hash_hex) is not None:  # where we are, or a server that is behind
            self._check_stale(line.tip_height, line.tip_time_s)
            return False
        if tip.height > line.tip_height:
            count = min(self._source.batch, tip.height - line.tip_height)
            if await self._extend(count):
                return tip.height > line.tip_height
        return await self._reorganise(tip)

    async def _extend(self, count: int) -> bool:
        """Take in the next `count` headers; return False, without effect, if they follow another block than ours."""
        line = self.line
        raws = await self._headers(line.tip_height + 1, count)
        if previous_hash(raws[0]) != line.tip_hash:
            return False
        try:
            line.extend(raws, self._now_s())
        except ChainError as error:
            raise AnswerError(self._source.name, _first(error)) from error
        return True

    async def _reorganise(self, tip: Tip) -> bool:
        """Take over the branch that ends in `tip` if it has more work; return whether it has."""
        line, fed = self.line, self._next - 1
        fork, branch = await self._fork(min(tip.height, line.tip_height))
        while fork + len(branch) < tip.height:
            at = fork + len(branch) + 1
            branch += await self._headers(at, min(self._source.batch, tip.height + 1 - at))
        try:
            gone = line.replace(fork, branch, self._now_s())
        except ChainError as error:
            raise AnswerError(self._source.name, _first(error)) from error
        if not gone:
            self._tell_once("other_branch", f"{self._source.name}: a branch from block {fork + 1} has no more work")
            self._check_stale(line.tip_height, line.tip_time_s)
            return False
        if fork < fed:
            what = f"{fed - fork} blocks above {fork}, whose dividends were booked, left the best chain ({gone} in all)"
            raise DeepReorganisationError(self._source.name, what, DEEP_REMEDY)
        text = f"{gone} blocks above {fork} were replaced by {len(branch)}: none of them had counted yet"
        self._tell("reorganisation", f"{self._source.name}: {text}")
        return True

    async def _fork(self, height: int) -> tuple[int, list[bytes]]:
        """Return the height of the last common block at or below `height`, and the source's headers above it."""
        line, branch = self.line, list[bytes]()
        while height >= line.first_height:
            first = max(height - LOOK_BACK + 1, line.first_height)
            page = await self._headers(first, height + 1 - first)
            for offset in range(len(page) - 1, -1, -1):
                if header_hash(page[offset]) == line.hash_at(first + offset):
                    return first + offset, page[offset + 1 :] + branch
            branch = page + branch
            height = first - 1
        what = f"none of the last {line.tip_height + 1 - line.first_height} blocks is on its chain"
        raise WrongChainError(self._source.name, what, "it is on another network or a chain of its own")

    async def _headers(self, first: int, count: int) -> list[bytes]:
        """Return exactly `count` headers."""
        raws = await self._source.headers(first, count)
        if len(raws) != count:
            raise AnswerError(self._source.name, f"{len(raws)} headers from {first} on, asked for {count}")
        return raws

    async def _block(self, height: int) -> Block:
        block = self.line.block(height, 0)
        if not self._rules.pays_fees:
            return block
        name = self.line.hash_at(height) or ""
        fees = await self._ask(partial(self._source.fees_sat, height, name, block.subsidy_sat))
        return block._replace(fees_sat=fees)

    def _check_stale(self, height: int, time_s: int) -> None:
        silent_ns = self._clock.now_ns() - time_s * NS_PER_S
        if silent_ns > self._rules.stale_after_ns:
            what = f"no block since number {height}, {silent_ns // NS_PER_S} s ago"  # rounded down
            allowed = f"allowed are {self._rules.stale_after_ns // NS_PER_S} s"
            raise StaleError(self._source.name, f"{what}; {allowed}", "is it cut off, or our clock wrong?")

    def _tell_once(self, kind: str, text: str) -> None:
        if self._told != (kind, text):
            self._told = (kind, text)
            self._tell(kind, text)

    def _now_s(self) -> int:
        return self._clock.now_ns() // NS_PER_S  # rounded down

    async def _ask(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        return await persist(ask, self._rules.patience, self._clock, self._tell)


def _first(error: ChainError) -> str:
    """Return the first problem in words."""
    problem = error.problems[0]
    return f"{problem.where}: {problem.what}"
