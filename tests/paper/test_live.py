"""All of it together: live sources on loopback feed a session, and the page shows what it does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from bot.config import load_settings
from bot.core.events import Block, Quote
from bot.core.units import NS_PER_S
from bot.feeds.join import make_feed
from bot.paper.dashboard import open_page
from bot.paper.snapshot import snapshot
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
        run = load_run(tmp_path / "live.yaml", live_epochs=[(epoch.start_s, epoch.bits) for epoch in feed.epochs[:156]])
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
