"""The daemon as a user runs it: a process of its own, a real node in regtest, quotes of a server on loopback."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from bot.core.events import Block
from bot.feeds.errors import UnreachableError
from bot.paper.console import ask
from bot.paper.journal import Journal
from bot.replaying import agree, replayed
from tests.feeds.fake_exchange import FakeExchange
from tests.feeds.regtest import PASSWORD, bcoin, mine, needs_node, rpc

ROOT = Path(__file__).parents[2]
pytestmark = needs_node

TERMS = """\
schema_version: 1
id: REGTEST
symbol: TH1BTC
asset: TH1
kind: dividend_term
size: 1 H/s
quote: BTC
tranche: 100 contracts
term: {{start: {start}, end: {end}}}
payout: {{basis: pps, pool_fee: 3 %, hashes_per_difficulty: exact, entitlement: block_time}}
margin:
  call: 150 %
  steps: [{{from: {start}, initial: 25 %, maintenance: 12.5 %}}]
collateral: [{{from: {start}, contract_counts: true}}]
lending: {{shortest: 2 d, longest: 30 d, venue_cut: 15 %, max_rate: 5 %/day, accrual: mark}}
trading: {{maker_fee: 0.10 %, taker_fee: 0.20 %, tick: 0.0001 BTC, lot: 0.01 contracts, max_price: 10 BTC}}
"""


def iso(days: int) -> str:
    return time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() + days * 86_400))


class World:
    """One node, one exchange, one daemon at a time."""

    def __init__(self, directory: Path, node: str, exchange: FakeExchange, url: str) -> None:
        self.directory, self.node, self.exchange = directory, node, exchange
        self.journal = directory / "a.journal"
        (directory / "contract.yaml").write_text(TERMS.format(start=iso(-1), end=iso(30)))
        login = directory / "login"
        login.write_text(f"x:{PASSWORD}")
        login.chmod(0o600)
        (directory / "live.yaml").write_text(
            "contract: contract.yaml\nchain: bitcoin-core\nfeed: ccxt\n"
            f"blocks: {{url: '{node}', network: regtest, login_file: login, confirmations: 2, poll: 100 ms}}\n"
            f"ccxt: {{exchange: bitfinex, symbol: TH1/BTC, url: '{url}', simulated: true, poll: 100 ms, repeat: 1 s}}\n"
            "value: {model: flat}\ndashboard: {port: 0}\n"
            "strategies: [{use: hold_long}, {use: fair_value_band}]\n"
        )

    @contextmanager
    def daemon(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the daemon; whatever happens, it is ended."""
        with (self.directory / "log").open("ab") as log:
            words = [sys.executable, "-m", "bot", "paper", str(self.directory / "live.yaml"), "--json"]
            words += ["--journal", str(self.journal), *options]
            process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait(20)

    def heights(self) -> list[int]:
        """Return the heights of the blocks in the journal as they stand in the file, whoever owns it now."""
        if not self.journal.exists():
            return []
        journal = Journal(self.journal)
        try:
            return [entry.content().height for entry in journal.entries(2) if entry.kind == "Block"]  # type: ignore[union-attr]
        finally:
            journal.close()

    def log(self) -> str:
        return (self.directory / "log").read_text()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(90):
            while not holds():
                await asyncio.sleep(0.05)

    async def status(self) -> dict[str, Any]:
        """Ask the running daemon how it stands; while none listens, nothing."""
        reply = await asyncio.to_thread(ask, self.journal, {"do": "status"})
        return {} if reply is None else reply

    async def until_status(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(90):
            while not holds(shown := await self.status()):
                await asyncio.sleep(0.05)
        return shown

    async def until_height(self, height: int) -> None:
        await self.until_status(lambda shown: shown.get("height", 0) >= height)


@asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    exchange = FakeExchange(bid=("1.4", "12.5"), ask=("1.41", "12.5"))
    url = await exchange.start()
    try:
        with bcoin(directory / "node") as node:
            yield World(directory, node, exchange, url)
    finally:
        await exchange.stop()


def play(directory: Path, act: Callable[[World], Awaitable[None]]) -> None:
    (directory / "node").mkdir()

    async def run() -> None:
        async with world(directory) as here:
            await act(here)

    asyncio.run(run())


async def started(here: World) -> None:
    """Wait until the node answers; leave it with a tip of now, so that the next block pays for seconds, not years."""
    async with asyncio.timeout(90):
        while True:
            try:
                await mine(here.node, 5)
                return
            except UnreachableError:
                await asyncio.sleep(0.2)


async def mine_slowly(here: World, count: int) -> None:
    """Mine blocks of different seconds: one of the same second pays nothing."""
    for _ in range(count):
        second = int(time.time())
        while int(time.time()) == second:
            await asyncio.sleep(0.02)
        await mine(here.node, 1)


async def times_of(here: World, last: int) -> list[int]:
    """Return the header times of all blocks up to `last`, as the node tells them."""
    found = []
    for height in range(last + 1):
        name = await rpc(here.node, "getblockhash", height)
        found.append((await rpc(here.node, "getblockheader", name, True))["time"])
    return found


def has_position(shown: dict[str, Any]) -> bool:
    return "strategies" in shown and all(one["position_lots"] > 0 for one in shown["strategies"])


def test_blocks_mined_while_the_daemon_runs_are_paid_once_and_a_kill_loses_and_doubles_none(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        await started(here)
        with here.daemon() as first:
            await here.until(lambda: '"page"' in here.log())
            await mine(here.node, 2)  # the first that it is fed: it trades from now on
            shown = await here.until_status(has_position)
            await mine_slowly(here, 2)
            await here.until_height(shown["height"] + 2)
            first.send_signal(signal.SIGKILL)
            await asyncio.to_thread(first.wait, 20)
        killed_at = here.heights()
        await mine_slowly(here, 2)  # nobody is there
        with here.daemon() as second:
            await here.until_height(killed_at[-1] + 2)
            await mine_slowly(here, 1)
            await here.until_height(killed_at[-1] + 3)
            second.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(second.wait, 20) == 0, here.log()
        first_height, last = killed_at[0], killed_at[-1] + 3
        assert here.heights() == list(range(first_height, last + 1))
        await check_dividends(here)

    play(tmp_path, act)


def test_a_branch_that_replaces_the_nodes_tip_is_followed_and_told(tmp_path: Path) -> None:
    async def act(here: World) -> None:
        await started(here)
        with here.daemon() as daemon:
            await here.until(lambda: '"page"' in here.log())
            tip = (await mine(here.node, 3))[-1]  # it waits for a second confirmation
            shown = await here.until_status(has_position)
            await rpc(here.node, "invalidateblock", tip)
            await mine_slowly(here, 2)
            await here.until_height(shown["height"] + 1)
            daemon.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(daemon.wait, 20) == 0, here.log()
        assert "1 blocks above 7 were replaced by 2: none of them had counted yet" in here.log()
        await check_dividends(here)  # what the node says now

    play(tmp_path, act)


@pytest.mark.parametrize("is_running", [True, False])
def test_a_branch_without_blocks_that_were_paid_stops_the_daemon_by_name(tmp_path: Path, is_running: bool) -> None:
    async def act(here: World) -> None:
        await started(here)
        with here.daemon() as daemon:
            await here.until(lambda: '"page"' in here.log())
            mined = await mine(here.node, 4)
            await here.until_height(8)
            if not is_running:
                daemon.kill()
                await asyncio.to_thread(daemon.wait, 20)
            await rpc(here.node, "invalidateblock", mined[1])
            await mine(here.node, 6)  # some in the same second as those they replace
            if is_running:
                assert await asyncio.to_thread(daemon.wait, 20) == 10, here.log()
        with here.daemon() as again:  # as a service manager would: it does not go on in silence
            assert await asyncio.to_thread(again.wait, 20) == 10, here.log()
        assert "whose dividend was booked, is no longer on the best chain" in here.log()
        assert ("2 blocks above 6, whose dividends were booked, left the best chain" in here.log()) is is_running
        assert here.heights() == [5, 6, 7, 8]
        if is_running:
            return
        with here.daemon("--accept-chain") as accepting:  # a person has looked
            await here.until_height(11)  # of the branch's 12, one waits
            accepting.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(accepting.wait, 20) == 0, here.log()
        assert '"chain_accepted"' in here.log()
        with here.daemon() as usual:  # and from then on it is as usual
            await mine(here.node, 1)
            await here.until_status(lambda shown: shown.get("height") == 12 and shown["price_sat"] > 0)
            usual.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(usual.wait, 20) == 0, here.log()
        assert here.heights() == list(range(5, 13))
        journal = Journal(here.journal)
        agree(replayed(journal))
        journal.close()

    play(tmp_path, act)


async def check_dividends(here: World) -> None:
    """Hold every dividend that was posted against one reckoned here from what the node says of its blocks."""
    journal = Journal(here.journal)
    run = replayed(journal)
    agree(run)
    journal.close()
    times = await times_of(here, max(here.heights()))
    effective = [max(times[: height + 1]) for height in range(len(times))]
    for result in run.results:
        paid = sum(p.amount for p in result.postings if p.kind == "dividend" and p.account.startswith(result.user))
        due = Fraction(0)
        for _, block in run.happenings:
            if isinstance(block, Block):
                held = sum(fill.size_lots for fill in result.fills if fill.time_ns < block.time_ns)
                seconds = effective[block.height] - effective[block.height - 1]
                hashes = held * seconds * Fraction(97, 100) / 100
                due += hashes * 50 * 10**8 * (0x7FFFFF << 232) / 2**256
        assert due > 0 and abs(paid - due) <= len(run.happenings), (paid, float(due))
