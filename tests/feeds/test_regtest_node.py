"""The block source on a real node program, mining as it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from bot.chain.network import REGTEST
from bot.core.units import NS_PER_S
from bot.feeds.bitcoin_core import BitcoinCore
from bot.feeds.blocks import BlockFollower, FollowRules
from bot.feeds.errors import DeepReorganisationError, RefusedAccessError, UnreachableError
from bot.feeds.http import JsonHttp
from bot.feeds.patience import Patience
from tests.feeds.regtest import NOBODY, bcoin, free_port, needs_node, rpc

pytestmark = needs_node


class WallClock:
    """A node's blocks carry real times."""

    def now_ns(self) -> int:
        return time.time_ns()

    def leapt_ns(self) -> int:
        return 0

    async def sleep_ns(self, duration_ns: int) -> None:
        await asyncio.sleep(duration_ns / 1e9)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bcoin(tmp_path_factory.mktemp("bcoin")) as address:
        yield address


def follower(url: str, told: list[str], password: str = "secret", confirmations: int = 2) -> BlockFollower:
    source = BitcoinCore(JsonHttp("bcoin", url, 10 * NS_PER_S, lambda: ("x", password)), REGTEST)
    year_ns = 365 * 86_400 * NS_PER_S
    rules = FollowRules(NS_PER_S // 10, confirmations, 40 * year_ns, patience=Patience(100, NS_PER_S // 10, NS_PER_S))
    return BlockFollower(source, REGTEST, (), rules, WallClock(), lambda kind, text: told.append(kind))


def test_blocks_of_a_real_node_are_verified_fed_and_reorganised(url: str) -> None:
    async def act() -> None:
        told: list[str] = []
        miner = follower(url, told)
        await miner.start(None)  # waits until the node has started
        blocks = miner.blocks()
        mined = await rpc(url, "generatetoaddress", 5, NOBODY)
        heights = [(await asyncio.wait_for(anext(blocks), 30)) for _ in range(4)]
        assert [block.height for block in heights] == [1, 2, 3, 4]  # the fifth has one confirmation only
        assert [miner.line.hash_at(height) for height in range(1, 6)] == mined
        assert heights[0].subsidy_sat == 50 * 10**8
        # A branch with more work takes the place of the block that had not counted.
        told.clear()
        await rpc(url, "invalidateblock", mined[4])
        replaced = await rpc(url, "generatetoaddress", 3, NOBODY)
        assert [(await asyncio.wait_for(anext(blocks), 30)).height for _ in range(2)] == [5, 6]
        assert [miner.line.hash_at(height) for height in (5, 6, 7)] == replaced
        assert told == ["reorganisation"]
        # And one that reaches below what was fed stops by name.
        await rpc(url, "invalidateblock", mined[1])
        await rpc(url, "generatetoaddress", 8, NOBODY)
        with pytest.raises(DeepReorganisationError, match="above 1, whose dividends were booked"):
            await asyncio.wait_for(anext(blocks), 30)
        await miner.close()

    asyncio.run(act())


def test_an_outage_is_caught_up_from_the_last_booked_block(url: str) -> None:
    async def act() -> None:
        told: list[str] = []
        first = follower(url, told)
        await first.start(None)
        await rpc(url, "generatetoaddress", 1, NOBODY)
        last = await asyncio.wait_for(anext(first.blocks()), 30)
        await first.close()
        await rpc(url, "generatetoaddress", 30, NOBODY)
        again = follower(url, told)
        await again.start(last)
        blocks = again.blocks()
        heights = [(await asyncio.wait_for(anext(blocks), 30)).height for _ in range(30)]
        assert heights == list(range(last.height + 1, last.height + 31))
        await again.close()

    asyncio.run(act())


def test_a_wrong_password_is_refused_at_once(url: str) -> None:
    async def act() -> None:
        miner = follower(url, [], password="wrong")
        with pytest.raises(RefusedAccessError):
            await miner.start(None)
        await miner.close()

    asyncio.run(act())


def test_a_node_that_was_stopped_is_unreachable() -> None:
    async def act() -> None:
        source = BitcoinCore(
            JsonHttp("bcoin", f"http://127.0.0.1:{free_port()}", NS_PER_S, lambda: ("x", "y")), REGTEST
        )
        with pytest.raises(UnreachableError):
            await source.tip()
        await source.close()

    asyncio.run(act())
