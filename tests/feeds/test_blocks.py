"""Blocks of a live source: each once, in order, verified; every way to fail is named, and no gap is silent."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace as replace_fields
from typing import Any

import pytest
from aiohttp import web

from bot.chain.difficulty import bits_from_target, next_target, target_from_bits
from bot.chain.network import REGTEST
from bot.chain.ondisk import Epoch
from bot.core.events import Block
from bot.core.units import NS_PER_S
from bot.feeds.bitcoin_core import BitcoinCore
from bot.feeds.blocks import BlockFollower, FollowRules
from bot.feeds.errors import (
    AnswerError,
    DeepReorganisationError,
    RefusedAccessError,
    SourceError,
    StaleError,
    UnreachableError,
    WrongChainError,
)
from bot.feeds.esplora import Esplora
from bot.feeds.http import JsonHttp
from bot.feeds.patience import Patience
from tests.feeds.chains import ManualClock, chain, mine, time_of
from tests.feeds.fake_sources import FakeCore, FakeEsplora, FakeServer

SHARED = chain(30)
RULES = FollowRules(confirmations=2, patience=Patience(attempts=4))
Kind = tuple[type[FakeServer], Callable[[JsonHttp, Any], Any]]
KINDS: list[Kind] = [(FakeCore, BitcoinCore), (FakeEsplora, Esplora)]


@pytest.fixture(params=KINDS, ids=["bitcoin-core", "esplora"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param  # type: ignore[no-any-return]


class Scene:
    """A server, a follower on it, a clock, and what was told."""

    def __init__(self, server: FakeServer, source: Any, clock: ManualClock, rules: FollowRules) -> None:
        self.server, self.source, self.clock = server, source, clock
        self.told: list[tuple[str, str]] = []
        self.follower = BlockFollower(source, REGTEST, (), rules, clock, lambda *told: self.told.append(told))
        self._blocks = self.follower.blocks()

    async def take(self, count: int) -> list[int]:
        """Return the heights of the next blocks."""
        return [(await self.block()).height for _ in range(count)]

    async def block(self) -> Block:
        return await asyncio.wait_for(anext(self._blocks), 60)

    def grow(self, count: int, salt: int = 0) -> None:
        self.server.raws = chain(count, self.server.raws, salt)
        self.clock.now = max(self.clock.now, (time_of(self.server.raws[-1]) + 60) * NS_PER_S)

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]


def play(
    kind: Kind, act: Callable[[Scene], Awaitable[None]], rules: FollowRules = RULES, timeout_s: float = 5.0
) -> Scene:
    """Run `act` on a scene whose server has 30 blocks."""

    async def run() -> Scene:
        server = kind[0](SHARED)
        url = await server.start()
        source = kind[1](JsonHttp("source", url, int(timeout_s * NS_PER_S)), REGTEST)
        scene = Scene(server, source, ManualClock((time_of(SHARED[-1]) + 60) * NS_PER_S), rules)
        try:
            await act(scene)
        finally:
            await scene.follower.close()
            await server.stop()
        return scene

    return asyncio.run(run())


def test_blocks_come_once_in_order_when_deep_enough(kind: Kind) -> None:
    async def act(scene: Scene) -> None:
        await scene.follower.start(None)  # the tip is 30; 29 counts as past
        scene.grow(3)
        assert await scene.take(3) == [30, 31, 32]  # 33 has one confirmation only
        scene.clock.on_sleep = lambda: scene.grow(1)
        block = await scene.block()
        assert (block.height, block.header_time_s) == (33, time_of(scene.server.raws[33]))
        assert (block.interval_s, block.subsidy_sat, block.fees_sat) == (600, 50 * 10**8, 0)

    assert play(kind, act).told == []


def test_fees_are_taken_from_the_source_where_they_are_paid(kind: Kind) -> None:
    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.server.fees_sat = 12_345
        scene.grow(1)
        assert (await scene.block()).fees_sat == 12_345

    play(kind, act, FollowRules(confirmations=2, pays_fees=True))


def test_after_an_outage_every_block_is_caught_up_in_order(kind: Kind) -> None:
    """A day of silence: 250 blocks, more than two batches, from the block that was booked last."""

    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.grow(1)
        last = await scene.block()
        scene.grow(250)
        again = Scene(scene.server, scene.source, scene.clock, RULES)
        await again.follower.start(last)
        assert await again.take(250) == list(range(31, 281))

    play(kind, act)


def test_a_reorganisation_of_what_had_not_counted_is_told_and_followed(kind: Kind) -> None:
    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.grow(1)
        assert await scene.take(1) == [30]  # 31 waits for a second confirmation
        scene.server.raws = chain(3, SHARED, salt=9)  # another 31, and 32, 33 on it
        scene.clock.now += 3_600 * NS_PER_S
        block = await scene.block()
        assert (block.height, block.header_time_s) == (31, time_of(scene.server.raws[31]))
        assert scene.follower.line.raw_at(31) == scene.server.raws[31]
        assert await scene.take(1) == [32]

    assert play(kind, act).kinds() == ["reorganisation"]


def test_a_reorganisation_of_booked_blocks_stops_by_name(kind: Kind) -> None:
    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.grow(3)
        assert await scene.take(3) == [30, 31, 32]
        scene.server.raws = chain(5, SHARED, salt=9)
        with pytest.raises(DeepReorganisationError, match="2 blocks above 30, whose dividends were booked"):
            await scene.block()

    play(kind, act)


def test_a_reorganisation_during_an_outage_is_found_at_the_start(kind: Kind) -> None:
    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.grow(2)
        last = (await scene.block(), await scene.block())[1]
        scene.server.raws = chain(6, SHARED, salt=9, step_s=601)
        again = Scene(scene.server, scene.source, scene.clock, RULES)
        with pytest.raises(DeepReorganisationError, match="block 31, whose dividend was booked"):
            await again.follower.start(last)

    play(kind, act)


def test_a_reorganisation_to_a_block_of_the_same_second_is_found_by_the_hash(kind: Kind) -> None:
    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.grow(2)
        last = (await scene.block(), await scene.block())[1]
        booked = scene.follower.line.hash_at(last.height) or ""
        scene.server.raws = chain(6, SHARED, salt=9)
        again = Scene(scene.server, scene.source, scene.clock, RULES)
        with pytest.raises(DeepReorganisationError, match="block 31, whose dividend was booked"):
            await again.follower.start(last, booked)

    play(kind, act)


def test_a_clock_that_is_years_ahead_is_found_at_the_start(kind: Kind) -> None:
    """Nothing may be booked at such a time: the contract would have ended."""

    async def act(scene: Scene) -> None:
        scene.clock.now += 3_650 * 86_400 * NS_PER_S
        with pytest.raises(StaleError, match=r"no block since number 30, 3153\d+ s ago.*or our clock wrong"):
            await scene.follower.start(None)

    play(kind, act)


def test_a_branch_without_more_work_is_not_followed(kind: Kind) -> None:
    """A source that turns back, or a server of a pool of servers on another branch of equal length."""

    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.grow(2)
        assert await scene.take(2) == [30, 31]
        ours = scene.server.raws
        scene.server.raws = chain(2, SHARED, salt=9)

        def heal() -> None:
            if len(scene.clock.slept) == 2:  # after it was looked at once
                scene.server.raws = chain(1, ours)

        scene.clock.on_sleep = heal
        assert await scene.take(1) == [32]

    assert play(kind, act).kinds() == ["other_branch"]


def test_a_source_that_falls_behind_is_waited_for(kind: Kind) -> None:
    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.grow(2)
        assert await scene.take(2) == [30, 31]
        ahead = chain(1, scene.server.raws)
        scene.server.raws = scene.server.raws[:-2]

        def heal() -> None:
            if len(scene.clock.slept) == 2:
                scene.server.raws = ahead

        scene.clock.on_sleep = heal
        assert await scene.take(1) == [32]

    assert play(kind, act).told == []


def test_a_source_behind_what_was_booked_is_stale(kind: Kind) -> None:
    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.grow(2)
        last = (await scene.block(), await scene.block())[1]
        scene.server.raws = SHARED
        again = Scene(scene.server, scene.source, scene.clock, RULES)
        with pytest.raises(StaleError, match="its last block is 30, but block 31 was already booked"):
            await again.follower.start(last)

    play(kind, act)


def test_no_block_for_too_long_is_an_error_after_patience(kind: Kind) -> None:
    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.grow(1)
        assert await scene.take(1) == [30]
        with pytest.raises(StaleError, match="no block since number 31"):
            await scene.block()
        assert scene.clock.slept[-3:] == [NS_PER_S, 2 * NS_PER_S, 4 * NS_PER_S]  # four attempts, pauses double

    assert play(kind, act).kinds() == ["source_failed"] * 3


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


def test_a_source_that_lies_once_is_asked_again(kind: Kind) -> None:
    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.grow(2)
        honest = scene.server.raws
        # No proof of work, but a hash that its own server calls right: only verification finds it.
        forged = next(raw for raw in (flipped(honest[31], at) for at in range(36, 68)) if hash_is_high(raw))
        scene.server.raws = [*honest[:31], forged]

        def heal() -> None:
            scene.server.raws = honest

        scene.clock.on_sleep = heal
        assert await scene.take(2) == [30, 31]

    scene = play(kind, act)
    assert "no proof of work" in scene.told[0][1]


def hash_is_high(raw: bytes) -> bool:
    from tests.feeds.chains import digest

    return int.from_bytes(digest(raw), "little") > REGTEST.max_target


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (lambda raws: [*raws, mine(raws[-1], time_of(raws[-1]) - 7_200)], "is not above the median"),
        (lambda raws: [*raws, mine(raws[-1], time_of(raws[-1]) + 60 + 7_300)], "after our clock"),
        (lambda raws: [*raws, mine(raws[-1], time_of(raws[-1]) + 600, bits=0x207FFFFE)], "differ from"),
        (lambda raws: [*raws, mine(raws[-1], time_of(raws[-1]) + 600, bits=0x20000000)], "target of 0"),
        (lambda raws: [*raws, mine(raws[-1], time_of(raws[-1]) + 600, bits=0x217FFFFF)], "beyond 256 bits"),
    ],
    ids=["time falls", "time ahead", "bits change", "difficulty 0", "too easy"],
)
def test_a_header_that_breaks_a_rule_never_counts(kind: Kind, forge: Callable[..., Any], told: str) -> None:
    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.server.raws = forge(SHARED)
        with pytest.raises(AnswerError, match=told):
            await scene.block()

    play(kind, act)


def test_a_field_that_was_changed_on_the_way_is_found() -> None:
    """Esplora gives fields, of which we make the header: one that was changed hashes to something else."""

    async def act(scene: Scene) -> None:
        await scene.follower.start(None)
        scene.grow(12)

        def spoil(path: str, answer: Any) -> Any:
            if path.startswith("/blocks/") and isinstance(answer, list):
                answer[0]["timestamp"] += 1
            return answer

        scene.server.spoil = spoil
        with pytest.raises(AnswerError, match="hashes to"):
            await scene.block()

    play(KINDS[1], act)


async def hang(_: str, __: Any) -> Any:
    await asyncio.sleep(30)


def replace(answer: Any) -> Callable[[str, Any], Any]:
    return lambda of, _: answer() if callable(answer) else answer


BAD_ANSWERS = {
    "busy": (replace(lambda: web.Response(status=503)), UnreachableError, "HTTP 503"),
    "too many": (replace(lambda: web.Response(status=429)), UnreachableError, "HTTP 429"),
    "redirect": (
        replace(lambda: web.Response(status=301, headers={"Location": "/x"})),
        UnreachableError,
        "HTTP 301",
    ),
    "bad json": (replace(lambda: web.Response(text="{not json")), AnswerError, "not JSON|not a block hash"),
    "nan": (replace(lambda: web.Response(text='{"result": NaN}')), AnswerError, "not JSON|not a block hash"),
    "deep": (replace(lambda: web.Response(text="[" * 100_000)), AnswerError, "not JSON|not a block hash"),
    "not text": (replace(lambda: web.Response(body=b"\xff\xfe")), AnswerError, "not JSON|not ASCII"),
    "huge": (replace(lambda: web.Response(body=b" " * (5 * 2**20))), AnswerError, "longer than"),
    "object": (replace({}), AnswerError, "no result|not a block hash"),
    "list": (replace([]), AnswerError, "no result|not a block hash"),
    "text": (replace("text"), AnswerError, "no result|not a block hash"),
    "hangs": (hang, UnreachableError, "no whole answer within 0.3 s"),
}


@pytest.mark.parametrize(("spoil", "error", "told"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_every_bad_answer_has_a_name_and_bounded_retries(
    kind: Kind, spoil: Any, error: type[SourceError], told: str
) -> None:
    async def act(scene: Scene) -> None:
        scene.server.spoil = spoil
        with pytest.raises(error, match=told):
            await scene.follower.start(None)
        assert len(scene.server.asked) == 4

    assert play(kind, act, timeout_s=0.3).kinds() == ["source_failed"] * 3


def test_a_server_that_is_not_there_is_unreachable(kind: Kind) -> None:
    async def act(scene: Scene) -> None:
        await scene.server.stop()
        with pytest.raises(UnreachableError, match="is it running"):
            await scene.follower.start(None)

    play(kind, act)


@pytest.mark.parametrize(
    ("field", "value", "error", "told"),
    [
        ("difficulty", 0, AnswerError, "difficulty of 0"),
        ("chain", "main", WrongChainError, "'main', not 'regtest'"),
        ("blocks", -1, AnswerError, "not a whole number"),
        ("blocks", True, AnswerError, "not a whole number"),
        ("bestblockhash", "x" * 64, AnswerError, "not a block hash"),
    ],
)
def test_what_a_node_says_of_its_chain_is_checked(field: str, value: Any, error: type[SourceError], told: str) -> None:
    async def act(scene: Scene) -> None:
        def spoil(method: str, answer: Any) -> Any:
            if method == "getblockchaininfo":
                answer["result"][field] = value
            return answer

        scene.server.spoil = spoil
        with pytest.raises(error, match=told):
            await scene.follower.start(None)

    play(KINDS[0], act)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("difficulty", 0, "difficulty 0"),
        ("version", "1", "version"),
        ("nonce", 2**32, "nonce"),
        ("timestamp", 1.5, "timestamp"),
        ("merkle_root", None, "merkle_root"),
        ("height", 999, "height 999 where"),
    ],
)
def test_what_an_explorer_says_of_a_block_is_checked(field: str, value: Any, told: str) -> None:
    async def act(scene: Scene) -> None:
        def spoil(path: str, answer: Any) -> Any:
            if path.startswith("/blocks/"):
                answer[0][field] = value
            return answer

        scene.server.spoil = spoil
        with pytest.raises(AnswerError, match=told):
            await scene.follower.start(None)

    play(KINDS[1], act)


def test_another_network_is_refused_at_once(kind: Kind) -> None:
    foreign = chain(30, [mine(b"\0" * 80, time_of(SHARED[0]))])

    async def act(scene: Scene) -> None:
        scene.server.raws = foreign
        with pytest.raises(SourceError, match="block 0"):
            await scene.follower.start(None)

    play(kind, act)


def test_a_node_that_wants_another_password_is_asked_once() -> None:
    async def act(scene: Scene) -> None:
        scene.server.login = ("user", "right")  # type: ignore[attr-defined]
        with pytest.raises(RefusedAccessError, match="HTTP 401"):
            await scene.follower.start(None)

    assert play(KINDS[0], act).told == []


def test_headers_kept_are_bounded_and_the_line_goes_on_past_an_epoch() -> None:
    """4,100 blocks: the first epoch is dropped once a third has begun; regtest never retargets."""
    from bot.chain.live import HeaderLine

    raws = chain(4_100)
    line = HeaderLine(REGTEST, "line", 0, raws[:10], time_of(raws[-1]))
    for at in range(10, len(raws), 1_000):
        line.extend(raws[at : at + 1_000], time_of(raws[-1]))
    assert (line.first_height, line.tip_height) == (2_016, 4_100)
    assert line.height_of(line.tip_hash) == 4_100
    assert struct.unpack("<I", line.raw_at(4_000)[68:72])[0] == line.block(4_000, 0).header_time_s


EASY = replace_fields(REGTEST, retargets=True)


def retargeting(length: int) -> list[bytes]:
    """Return a chain on which the retarget rule holds: blocks come a little faster than every ten minutes."""
    raws = list(SHARED[:1])
    bits = 0x207FFFFF
    for height in range(1, length + 1):
        if height % 2_016 == 0:
            target = target_from_bits(bits, max_target=EASY.max_target)
            times = (time_of(raws[height - 2_016]), time_of(raws[height - 1]))
            bits = bits_from_target(next_target(target, *times, EASY.max_target))
        raws.append(mine(raws[-1], time_of(raws[-1]) + 540, bits=bits))
    return raws


def test_epochs_since_the_bundled_figures_are_recomputed_from_two_headers_each() -> None:
    raws = retargeting(4_040)
    known = Epoch(0, 0, time_of(raws[0]), True, 0x207FFFFF)
    rules = FollowRules(confirmations=2, patience=Patience(attempts=1))

    async def follow(raws: list[bytes], known: Epoch) -> list[Epoch]:
        server = FakeCore(raws)
        source = BitcoinCore(JsonHttp("source", await server.start(), 5 * NS_PER_S), EASY)
        clock = ManualClock((time_of(raws[-1]) + 60) * NS_PER_S)
        follower = BlockFollower(source, EASY, [known], rules, clock, lambda kind, text: None)
        try:
            await follower.start(None)
            assert follower.line.first_height == 4_032
            return follower.epochs
        finally:
            await follower.close()
            await server.stop()

    epochs = asyncio.run(follow(raws, known))
    assert [epoch.first_height for epoch in epochs] == [0, 2_016, 4_032]
    assert [epoch.bits for epoch in epochs] == [struct.unpack("<I", raws[h][72:76])[0] for h in (0, 2_016, 4_032)]
    assert epochs[1].bits != epochs[2].bits
    with pytest.raises(AnswerError, match="block 0 has bits 0x207fffff, but 0x207ffffe are due"):
        asyncio.run(follow(raws, known._replace(bits=0x207FFFFE)))
    wrong = [*raws[:2_016], *chain(2_030, raws[:2_016], step_s=540)]  # bits stay where a retarget was due
    with pytest.raises(AnswerError, match="block 2016 has bits 0x207fffff"):
        asyncio.run(follow(wrong, known))
