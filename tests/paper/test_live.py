"""All of it together: live sources on loopback feed a session, and the page shows what it does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.app.paper import refuse_other_chain, trade_live
from bot.cli import main
from bot.config import load_settings
from bot.core.events import Block, Quote
from bot.core.units import NS_PER_S
from bot.errors import ConfigError, JournalError
from bot.feeds.errors import ClockLeapError
from bot.feeds.join import make_feed
from bot.paper.dashboard import open_page
from bot.paper.journal import Journal
from bot.paper.snapshot import snapshot
from bot.replaying import agree, replayed
from bot.run import load_run, params_type
from tests.feeds.chains import ManualClock, time_of
from tests.feeds.fake_exchange import FakeExchange
from tests.feeds.fake_sources import FakeCore
from tests.feeds.test_record import CONTRACT, FIRST, RAWS


def test_a_strategy_trades_on_live_sources_and_the_page_shows_it(tmp_path: Path) -> None:
    async def act() -> tuple[Any, dict[str, Any], str]:
        node, exchange = FakeCore(RAWS[:12]), FakeExchange()
        node.first_height, node.chain = FIRST, "main"
        node_url = await node.start()
        await exchange.start()
        terms = CONTRACT.replace("2014-09-15T00:00:00Z", "2014-07-25T22:00:00Z")
        (tmp_path / "contract.yaml").write_text(terms)
        (tmp_path / "live.yaml").write_text(
            "contract: contract.yaml\nchain: bitcoin-core\n"
            f"blocks: {{url: {node_url}, confirmations: 2, poll: 1 min}}\n"
            "feed: ccxt\nccxt: {exchange: bitfinex, symbol: TH1/BTC, poll: 5 min, stale_after: 1 d}\n"
            "dashboard: {port: 0, refresh: 100 ms}\nstrategies: [{use: hold_long}]\n"
        )
        settings = load_settings(tmp_path / "live.yaml", params_type)
        clock = ManualClock((time_of(RAWS[11]) + 1) * NS_PER_S)

        def move() -> None:
            node.raws = [raw for raw in RAWS if time_of(raw) <= clock.now // NS_PER_S]

        clock.on_sleep = move
        options = {**exchange.options(), "milliseconds": lambda: None}  # the machine's clock is not in 2014
        feed = make_feed(settings, clock, lambda kind, text: None, {}, **options)
        await feed.start(None)
        run = load_run(tmp_path / "live.yaml", live_epochs=[(epoch.start_s, epoch.bits) for epoch in feed.epochs])
        session = run.plans[0].session()
        page, url = await open_page(
            settings.config, "live", lambda: [snapshot(session, feed.simulated)], lambda: clock.now
        )
        events = feed.events(None)
        async for event in events:
            if isinstance(event, Block):
                session.on_block(event)
                if event.height == FIRST + 40:
                    break
            else:
                assert isinstance(event, Quote)
                session.on_quote(event)
                session.decide()
        await events.aclose()
        session.check()
        async with aiohttp.ClientSession() as http:
            shown = await (await http.get(url + "state")).json()
            health = await (await http.get(url + "health")).text()
        await page.stop()
        await exchange.stop()
        await node.stop()
        return session, shown, health

    session, shown, health = asyncio.run(act())
    (seen,) = shown["strategies"]
    assert seen["position_lots"] > 0 and seen["height"] == FIRST + 40
    assert seen["blocks"][0]["dividend_sat"] >= 0 and sum(line["dividend_sat"] for line in seen["blocks"]) > 0
    assert seen["simulated"] is False
    assert any(line["kind"] == "fill" for line in seen["events"])
    assert seen["equity_sat"] == session.exchange.equity_sat(session.user)
    assert '"status":"ok"' in health


ROOT = Path(__file__).parents[2]


def write_config(directory: Path, port: int, sources: str = "chain: bitcoin-core\nfeed: ccxt\n") -> Path:
    terms = CONTRACT.replace("2014-09-15T00:00:00Z", "2014-07-25T22:00:00Z")
    (directory / "contract.yaml").write_text(terms)
    (directory / "live.yaml").write_text(
        f"contract: contract.yaml\n{sources}"
        f"blocks: {{url: 'http://127.0.0.1:{port}', confirmations: 2, poll: 1 min}}\n"
        "ccxt: {exchange: bitfinex, symbol: TH1/BTC, poll: 5 min, stale_after: 1 d}\n"
        "risk: {max_quote_age: 1 h}\n"  # the clock that a test moves leaps between a quote and its reader
        "dashboard: {port: 0}\nstrategies: [{use: hold_long}, {use: fair_value_band}]\n"
    )
    return directory / "live.yaml"


def options_in(directory: Path, speed: int | None = None) -> Namespace:
    place = {"config": directory / "live.yaml", "journal": directory / "a.journal"}
    return Namespace(**place, speed=speed, json=True, venue="direct", accept_chain=False)


def trade(
    directory: Path, port: int, first: int, last: int, how: signal.Signals, wrong_s: Mapping[int, int] | None = None
) -> Any:
    """Run the daemon from when the chain's tip is RAWS[first] until RAWS[last] is there, then send it a signal.

    `wrong_s` tells how many seconds its clock is ahead of the world's from RAWS[number] on, or behind: below 0.
    """

    async def act() -> Any:
        node, exchange = FakeCore(RAWS[: first + 1]), FakeExchange()
        node.first_height, node.chain = FIRST, "main"
        await node.start(port)
        await exchange.start()
        exchange.funding = {"fTH1": "[[0.01,30,1,7.5]]", "fBTC": "[]"}
        settings_of_clock = {0: 0, **(wrong_s or {})}
        ahead_ns = settings_of_clock[0] * NS_PER_S
        clock = ManualClock((time_of(RAWS[first]) + 1) * NS_PER_S + ahead_ns)

        def move() -> None:
            nonlocal ahead_ns
            node.raws = [raw for raw in RAWS if time_of(raw) <= (clock.now - ahead_ns) // NS_PER_S]
            now_ns = settings_of_clock[max(at for at in settings_of_clock if at < len(node.raws))] * NS_PER_S
            clock.now += now_ns - ahead_ns
            clock.leap_ns += now_ns - ahead_ns
            ahead_ns = now_ns
            if len(node.raws) > last:
                os.kill(os.getpid(), how)

        clock.on_sleep = move
        settings = load_settings(directory / "live.yaml", params_type)
        options = {**exchange.options(), "milliseconds": lambda: None}
        try:
            return await trade_live(settings, options_in(directory), clock, **options)
        finally:
            await exchange.stop()
            await node.stop()

    return asyncio.run(act())


CHILD = """
import signal, sys
from pathlib import Path
from tests.paper.test_live import trade
trade(Path(sys.argv[1]), int(sys.argv[2]), 11, 24, signal.SIGKILL)
"""


def test_the_daemon_trades_live_is_killed_and_books_every_block_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    write_config(tmp_path, port)
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(port)]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert child.returncode == -signal.SIGKILL, child.stderr
    ended = trade(tmp_path, port, 30, 44, signal.SIGTERM)
    assert ended.ended_by == "SIGTERM"
    journal = Journal(tmp_path / "a.journal")
    result = replayed(journal)
    heights = [entry.content().height for entry in journal.entries(2) if entry.kind == "Block"]
    begun = [tuple(epoch) for epoch in ended.daemon.head["past_epochs"]]
    refuse_other_chain(journal, [*begun, (begun[-1][0] + 1, begun[-1][1])])  # another epoch has come
    with pytest.raises(JournalError, match="other difficulty epochs"):
        refuse_other_chain(journal, [*begun[:-1], (begun[-1][0], begun[-1][1] - 1)])
    journal.close()
    assert len(begun) == FIRST // 2016 + 1, "the bundled figures know later ones"
    assert heights == list(range(FIRST + 11, heights[-1] + 1))  # those of the time between included
    assert FIRST + 29 <= heights[-1] <= FIRST + 44
    assert any(one.fills for one in result.results)
    agree(result)


@pytest.mark.parametrize(
    ("sources", "speed", "told"),
    [
        ("chain: bundled\nfeed: ccxt\n", None, "live.yaml:2: chain: bundled brings no new blocks"),
        ("chain: bitcoin-core\n", None, "feed: history brings no quotes"),
        ("chain: bitcoin-core\nfeed: ccxt\n", 0, "--speed: live sources pass at their own"),
    ],
)
def test_half_live_sources_and_a_speed_are_refused(tmp_path: Path, sources: str, speed: int | None, told: str) -> None:
    settings = load_settings(write_config(tmp_path, 1, sources), params_type)
    with pytest.raises(ConfigError, match=told):
        asyncio.run(trade_live(settings, options_in(tmp_path, speed), ManualClock(0)))


@pytest.mark.parametrize(
    "swap",
    [
        "{source: funding_book, poll: 1 min}",
        "{source: stated, schedule: [{from: 2014-07-01T00:00:00Z, rate: 1 %/day, available: 7.5 contracts}]}",
    ],
)
def test_a_strategy_sells_short_at_live_swap_rates_and_everybody_is_told_their_source(
    tmp_path: Path, swap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = write_config(tmp_path, port)
    shorts = "strategies: [{use: hold_short, params: {size: 5 contracts}}]"
    config.write_text(config.read_text().partition("strategies:")[0] + f"swap: {swap}\n{shorts}\n")
    ended = trade(tmp_path, port, 11, 24, signal.SIGTERM)
    (desk,) = ended.daemon.desks.values()
    assert desk.session.exchange.position_lots("hold_short") == -500
    assert {loan.rate_ppb_day for loan in desk.session.state.loans.values()} == {10_000_000}
    source = "of the funding book of bitfinex" if "funding_book" in swap else "stated in the configuration"
    place = ["--journal", str(tmp_path / "a.journal")]
    assert main(["status", *place]) == 0
    shown = capsys.readouterr().out
    lots = 750 if "book" in swap else 250  # the book was told again since
    assert f"swap rate 1.0000 %/day, {lots} lots to borrow" in shown and f"swap rates {source}" in shown
    assert main(["explain", str(config), "--json"]) == 0
    rows = {row["path"]: row["value"] for row in json.loads(capsys.readouterr().out)["settings"]}
    assert rows["swap.source"] == ("funding_book" if "book" in swap else "stated")
    journal = Journal(tmp_path / "a.journal")
    agree(replayed(journal))
    journal.close()


STARTED = """
import sys
from bot import cli
from bot.app import paper
live, sources = paper.trade_live, {"urls": {"api": {"public": sys.argv[1], "private": sys.argv[1]}}}
paper.trade_live = lambda settings, options, clock: live(settings, options, clock, **sources)
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_while_a_source_does_not_answer_it_ends_in_order(tmp_path: Path, how: signal.Signals) -> None:
    """An exchange that takes the connection and says nothing: the start waits for it, and can be ended."""
    with socket.socket() as exchange:
        exchange.bind(("127.0.0.1", 0))
        exchange.listen()
        exchange.settimeout(60)
        config, journal = write_config(tmp_path, 1), tmp_path / "a.journal"
        url = f"http://127.0.0.1:{exchange.getsockname()[1]}"
        command = [sys.executable, "-c", STARTED, url, "paper", str(config), "--journal", str(journal), "--json"]
        daemon = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            asked, _ = exchange.accept()
            daemon.send_signal(how)
            out, error = daemon.communicate(timeout=60)
        finally:
            daemon.kill()
            daemon.communicate()
        asked.close()
    assert daemon.returncode == 0, error
    assert json.loads(out) == {"ended_by": how.name, "traded": False}
    Journal(journal).close()  # nobody has it any more


def test_a_clock_that_leaps_years_ahead_stops_the_daemon_before_anything_is_booked(tmp_path: Path) -> None:
    """The contract would have ended, which no later start could take back."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    write_config(tmp_path, port)
    with pytest.raises(ClockLeapError, match="our clock leapt 315360000 s ahead"):
        trade(tmp_path, port, 11, 45, signal.SIGKILL, {24: 3_650 * 86_400})
    ended = trade(tmp_path, port, 30, 44, signal.SIGTERM)  # the clock is right again, and it goes on
    assert all(not desk.session.state.expired for desk in ended.daemon.desks.values())
    journal = Journal(tmp_path / "a.journal")
    times = [entry.time_ns for entry in journal.entries(2)]
    journal.close()
    assert times == sorted(times) and times[-1] < (time_of(RAWS[-1]) + 3_600) * NS_PER_S
