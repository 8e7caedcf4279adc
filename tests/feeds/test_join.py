"""One stream of both sources: time always rises, every block comes, a slow reader gets the newest quote."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.chain.chain import load as load_chain
from bot.config import load_settings
from bot.core.events import Bar, Block, Quote
from bot.core.units import NS_PER_S
from bot.errors import ConfigError
from bot.feeds.errors import RefusedAccessError, StaleError, UnreachableError
from bot.feeds.http import JsonHttp
from bot.feeds.join import MOST_WAITING, LiveFeed, is_live, make_feed
from bot.feeds.login import VARIABLE, Login
from bot.run import load_run, params_type
from tests.feeds.chains import ManualClock

T0 = 1_800_000_000 * NS_PER_S


class Source:
    """Yields what it was given, then waits for ever or raises."""

    name = "source"

    def __init__(self, events: list[Any], error: Exception | None = None) -> None:
        self.given, self.error, self.closed = list(events), error, 0
        self.taken = 0

    async def start(self, last: Any = None, last_hash: str = "", accept: bool = False) -> None:
        self.last = last

    async def close(self) -> None:
        self.closed += 1

    async def _all(self) -> AsyncIterator[Any]:
        for event in self.given:
            self.taken += 1
            yield event
            await asyncio.sleep(0)
        if self.error:
            raise self.error
        await asyncio.get_running_loop().create_future()

    events = blocks = _all


def quote(time_ns: int, bid_sat: int = 70) -> Quote:
    return Quote(time_ns, bid_sat, 1, bid_sat + 1, 1)


def block(height: int) -> Block:
    return Block(5, height, 5, 600, 0x1D00FFFF, 1, 50 * 10**8, 0)


def feed(quotes: list[Quote], blocks: list[Block], end_ns: int = 1 << 62, error: Exception | None = None) -> LiveFeed:
    clock = ManualClock(T0)
    return LiveFeed("x", Source(quotes), Source(blocks, error), clock, end_ns)  # type: ignore[arg-type]


async def take(live: LiveFeed, count: int, after: Any = None) -> list[Any]:
    events = live.events(after)
    found = [await asyncio.wait_for(anext(events), 5) for _ in range(count)]
    await events.aclose()
    return found


def test_a_block_takes_effect_when_it_arrives_and_time_always_rises() -> None:
    live = feed([quote(T0), quote(T0 - 5)], [block(1), block(2)])
    found = asyncio.run(take(live, 3))
    assert [event.time_ns for event in found] == sorted({event.time_ns for event in found})
    assert [event.height for event in found if isinstance(event, Block)] == [1, 2]
    assert all(event.header_time_s == 5 for event in found if isinstance(event, Block))


@pytest.mark.parametrize(
    "after",
    [quote(T0 + NS_PER_S), Bar(T0, T0 + NS_PER_S, 1, 1, 1, 1, 1), block(7)._replace(time_ns=T0 + NS_PER_S)],
    ids=["quote", "bar", "block"],
)
def test_what_follows_is_newer_than_what_was_taken_in_though_the_clock_went_back(after: Any) -> None:
    live = feed([quote(T0)], [])
    if not isinstance(after, Block):
        with pytest.raises(ValueError, match=r"start\(last_block\) first"):
            asyncio.run(take(live, 1, after))  # blocks could be left out in silence
        asyncio.run(live.start(None))
    (found,) = asyncio.run(take(live, 1, after))
    assert found == quote(T0 + NS_PER_S + 1)
    assert live.blocks.last == (after if isinstance(after, Block) else None)  # type: ignore[union-attr]


def test_a_slow_reader_gets_every_block_and_the_newest_quote() -> None:
    async def act() -> None:
        live = feed([quote(T0 + i, 70 + i) for i in range(50)], [block(i) for i in range(3 * MOST_WAITING)])
        events = live.events(None)
        first = await anext(events)
        for _ in range(300):
            await asyncio.sleep(0)
        assert live.blocks.taken <= MOST_WAITING + 2  # type: ignore[union-attr]  # catching up waits
        found = [first] + [await asyncio.wait_for(anext(events), 5) for _ in range(3 * MOST_WAITING)]
        await events.aclose()
        assert [e.height for e in found if isinstance(e, Block)] == list(range(3 * MOST_WAITING))
        assert [e.bid_sat for e in found if isinstance(e, Quote)][-1] == 70 + 49

    asyncio.run(act())


def test_a_source_that_fails_ends_the_feed_by_name_after_what_had_come() -> None:
    async def act() -> None:
        live = feed([quote(T0)], [block(1)], error=StaleError("node", "no block"))
        events = live.events(None)
        kinds = {type(await asyncio.wait_for(anext(events), 5)) for _ in range(2)}
        assert kinds == {Quote, Block}
        with pytest.raises(StaleError, match="node: no block"):
            await asyncio.wait_for(anext(events), 5)
        assert live.market.closed == live.blocks.closed == 1  # type: ignore[union-attr]

    asyncio.run(act())


def test_the_feed_ends_with_the_first_event_at_the_contracts_end() -> None:
    async def act() -> list[Any]:
        live = feed([quote(T0 + i) for i in range(10)], [], end_ns=T0 + 4)
        return [event.time_ns async for event in live.events(None)]

    times = asyncio.run(act())
    assert times[-1] >= T0 + 4
    assert all(time_ns < T0 + 4 for time_ns in times[:-1])


LIVE = """contract: {contract}
chain: esplora
feed: ccxt
ccxt: {{exchange: bitfinex, symbol: TH1/BTC}}
blocks: {{url: "http://127.0.0.1:1"}}
strategies: [{{use: hold_long}}]
"""


def settings_of(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "config.yaml"
    path.write_text(text.format(contract=Path("contracts/TH1BTC-2014Q4.yaml").resolve()))
    return load_settings(path, params_type)


def test_settings_make_a_feed_that_says_what_it_is(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, LIVE)
    assert is_live(settings)
    live = make_feed(settings, ManualClock(T0), lambda kind, text: None, {})
    assert live.name == "live quotes of bitfinex TH1/BTC, blocks of esplora at http://127.0.0.1:1"
    assert live.epochs[-1].number == 473 and not live.simulated
    elsewhere = LIVE.replace("TH1/BTC}}", 'TH1/BTC, url: "http://127.0.0.1:1", simulated: true}}')
    simulated = make_feed(settings_of(tmp_path, elsewhere), ManualClock(T0), lambda kind, text: None, {})
    assert simulated.simulated and "TH1/BTC at http://127.0.0.1:1," in simulated.name
    plain = settings_of(tmp_path, LIVE.replace("esplora", "bundled").replace("feed: ccxt", "feed: history"))
    assert not is_live(plain)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("chain: esplora", "chain: esplor"), "config.yaml:2: chain: '.*esplor' cannot be read"),
        (('blocks: {{url: "http://127.0.0.1:1"}}\n', ""), "config.yaml:2: chain: esplora needs a server to ask"),
        (("ccxt: {{exchange: bitfinex, symbol: TH1/BTC}}\n", ""), "config.yaml:3: feed: ccxt needs a market to ask"),
        (("TH1/BTC", "TH1/USD"), "config.yaml:4: ccxt.symbol: 'TH1/USD' is not a market in bitcoin"),
        (
            ("http://127.0.0.1:1", "http://user:secret@host"),
            "config.yaml:5: blocks.url: .* is not an address without user",
        ),
        (("http://127.0.0.1:1", "file:///etc/passwd"), "config.yaml:5: blocks.url"),
        (("TH1/BTC}}", 'TH1/BTC, url: "http://127.0.0.1:1"}}'), "config.yaml:4: ccxt.url: .*simulated is not said"),
        (("TH1/BTC}}", "TH1/BTC, unit: 0 contracts}}"), "config.yaml:4: ccxt.unit: .*a unit of 0 contracts"),
        (
            ("TH1/BTC}}", "TH1/BTC, max_jump: 501}}"),
            "config.yaml:4: ccxt.max_jump: '501' is not a whole number between",
        ),
        (("TH1/BTC}}", "TH1/BTC, poll: 3 min}}"), "config.yaml:4: ccxt.poll: .*stale before it is asked"),
        (("strategies", "dashboard: {{host: 0.0.0.0}}\nstrategies"), "config.yaml:6: dashboard.host: .*no password"),
    ],
)
def test_what_does_not_go_together_is_refused_with_its_line(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        settings_of(tmp_path, LIVE.replace(*change))


def test_listening_to_other_machines_must_be_said(tmp_path: Path) -> None:
    text = LIVE.replace("strategies", "dashboard: {{host: 0.0.0.0, allow_remote: true}}\nstrategies")
    assert settings_of(tmp_path, text).config.dashboard.host == "0.0.0.0"


def test_a_backtest_refuses_live_sources_instead_of_leaving_them_out(tmp_path: Path) -> None:
    settings_of(tmp_path, LIVE)
    with pytest.raises(ConfigError) as found:
        load_run(tmp_path / "config.yaml")
    lines = str(found.value).splitlines()
    assert [line.partition(" (")[0].rpartition("config.yaml:")[2] for line in lines] == [
        "2: chain: esplora gives blocks only as they come",
        "3: feed: ccxt gives quotes only as they come",
    ]
    settings_of(tmp_path, LIVE.replace("esplora", "bundled").replace("feed: ccxt", "feed: history"))
    with pytest.raises(ConfigError, match=r"config\.yaml:1: history\.market is not given"):
        load_run(tmp_path / "config.yaml")


def test_the_daemon_does_not_trade_on_bars(tmp_path: Path) -> None:
    settings_of(tmp_path, LIVE.replace("TH1/BTC}}", "TH1/BTC, take: bars}}"))
    with pytest.raises(ConfigError, match=r"config\.yaml:4: ccxt\.take: bars are known only when they are over"):
        load_run(tmp_path / "config.yaml", live_epochs=[(0, 0x1D00FFFF)])


def test_a_live_run_begins_with_the_epochs_known_and_nothing_else(tmp_path: Path) -> None:
    settings_of(tmp_path, LIVE)
    epochs = [(epoch.start_s, epoch.bits) for epoch in load_chain().epochs[:157]]
    run = load_run(tmp_path / "config.yaml", live_epochs=epochs)
    assert (run.history.quotes, run.plans[0].blocks, run.simulated) == ([], (), False)
    assert run.plans[0].session().value.difficulty == pytest.approx(19_729_645_940.577, rel=1e-6)


# The login --------------------------------------------------------------------------------------------------


def private(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "login"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_login_comes_from_the_environment_or_a_private_file(tmp_path: Path) -> None:
    path = private(tmp_path, "__cookie__:0a1b:2c\n")
    assert Login(path, {}).read() == ("__cookie__", "0a1b:2c")
    assert Login(path, {VARIABLE: "user:pass"}).read() == ("user", "pass")
    assert Login(None, {}).read() is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_login_that_others_may_read_is_refused_without_showing_it(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path, "user:secret", mode)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    with pytest.raises(ConfigError, match=rf"mode {mode:04o} lets others than its owner read it \(chmod 600") as found:
        Login(path, {}).read()
    assert "secret" not in str(found.value)


@pytest.mark.parametrize(
    "text", ["", "secret", "user:", ":secret", "user:secret\nmore", "user:sécret", "u:" + "s" * 2000]
)
def test_a_login_that_is_none_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    for login in (Login(private(tmp_path, text), {}), Login(None, {VARIABLE: text})):
        with pytest.raises(ConfigError) as found:
            login.read()
        assert "cret" not in str(found.value) and "sss" not in str(found.value)
        assert "cret" not in repr(login)


def test_a_login_that_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nothing"):
        with pytest.raises(ConfigError):
            Login(path, {}).read()


def test_a_new_cookie_is_taken_after_the_node_was_started_again(tmp_path: Path) -> None:
    """The old one is refused once, as a failure that passes; an unchanged one is refused for good."""
    path = private(tmp_path, "__cookie__:old")
    wanted = ["Basic X19jb29raWVfXzpuZXc="]  # __cookie__:new

    async def answer(request: web.Request) -> web.Response:
        good = request.headers.get("Authorization") in wanted
        return web.json_response({}) if good else web.Response(status=401)

    async def act() -> None:
        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        http = JsonHttp("node", f"http://127.0.0.1:{runner.addresses[0][1]}", NS_PER_S, Login(path, {}).read)
        with pytest.raises(RefusedAccessError):
            await http.get("/")
        with pytest.raises(RefusedAccessError) as found:
            await http.get("/")
        assert "old" not in str(found.value)
        # Opened with the old one; by the time it is refused the node has written a new one.
        original = http._refused

        async def refused(status: int, where: str) -> None:
            path.write_text("__cookie__:new")
            await original(status, where)

        http._refused = refused  # type: ignore[method-assign]
        with pytest.raises(UnreachableError, match="has changed meanwhile"):
            await http.get("/")
        assert await http.get("/") == {}
        await http.close()
        await runner.cleanup()

    asyncio.run(act())
