"""A daemon and the exchange it trades on, both killed at any request, on a bad road: no order lost, none doubled.

Nothing is left to chance but what a seed draws. The exchange's market is led, so that timing is deterministic: both
journals must come to what the backtest engine makes of the same events, byte for byte, whatever was killed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from backtests.plan import Plan
from bot.core.events import BTC
from bot.core.order import Deposit
from bot.daemon import Daemon
from bot.errors import JournalError, UnknownOutcomeError, VenueAwayError
from bot.exchange_parity import agree as agree_with_exchange
from bot.exchange_parity import head_of_exchange
from bot.facts import facts_of, loaded_strategies
from bot.paper.bitfinex.protocol import Flood, Protocol, Request
from bot.paper.entries import Control
from bot.paper.journal import Journal
from bot.paper.keys import parse_keys
from bot.paper.led import LedMarket
from bot.paper.service import Service
from bot.paper.told import Told
from bot.replaying import agree, replayed
from bot.venues.ccxt_client import client
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.followed import FollowedMarket
from bot.venues.in_process import ADDRESS, carrier, mount
from tests.bitfinex import counted
from tests.exchange.faults import FaultyRoad
from tests.parity.test_paper import begin, crash, feed_of, paper_plan

SECRET = "moody-secret-of-sixteen"
USER = "moods"


class KilledError(BaseException):
    """Stands for SIGKILL: it passes through everything."""


class Served:
    """The exchange of a plan on a journal; `restart` is a kill of it and a start."""

    def __init__(self, path: Path, plan: Plan, text: str, led: bool = True) -> None:
        self.path, self.plan, self.text, self.led = path, plan, text, led
        self.open()

    def open(self) -> None:
        plan, terms = self.plan, self.plan.settings
        facts = {"feed": "random", "simulated_prices": True, "run": facts_of([plan], self.text, "random")}
        self.service = Service.open(self.path, terms.contract, terms.rules, terms.start_ns, facts)
        # Nobody pulls the plug here; tests/crash does.
        self.service.journal._connection.execute("PRAGMA synchronous = OFF")
        self.market = LedMarket(self.service, feed_of(plan), plan.end_ns)
        self.market.begin()
        if USER not in self.service.exchange.state.accounts:
            self.service.submit(Deposit(self.service.exchange.state.time_ns, USER, BTC, terms.deposit_sat))
        keys = parse_keys(f"{USER}:key:{SECRET}".encode(), "test")
        flood = Flood(per_second=10**6, burst=10**9)  # time stands still in here
        told = Told(self.service, self.market.go_on if self.led else None)
        self.carry = carrier(Protocol(self.service, self.service.tape, keys, flood, told))

    def restart(self) -> None:
        crash(self.service.journal)
        self.open()


class Road:
    """To a served exchange, through whatever faults; with a seeded chance the daemon is killed on the way."""

    def __init__(self, served: Served, seed: int, chance: float, kills: float) -> None:
        self.faulty = FaultyRoad(lambda request: served.carry(request), served.restart, seed, chance)
        self.random, self.kills = Random(f"{seed}:kills"), kills
        self.journal: Journal

    def __call__(self, request: Request) -> tuple[int, bytes]:
        drawn = self.random.random() if "/auth/" in request.path else 1.0
        if drawn < self.kills / 2:
            self.kill()
        answer = self.faulty(request)
        if drawn < self.kills:
            self.kill()
        return answer

    def kill(self) -> None:
        self.journal.forget()  # a context manager still runs, which no killed process does
        raise KilledError


def trade(daemon: Daemon, market: FollowedMarket, end_ns: int) -> None:
    """Follow the exchange until the end."""
    while daemon.time_ns < end_ns:
        daemon.follow(market.take())


def run(directory: Path, plan: Plan, text: str, seed: int, chance: float, kills: float) -> Counter[str]:
    """Let daemon and exchange run to the end of the plan; return what went wrong on the way."""
    served = Served(directory / f"{seed}.exchange", plan, text)
    road = Road(served, seed, chance, kills)
    happened: Counter[str] = road.faulty.happened
    while True:
        journal = begin(directory / f"{seed}.journal", plan, text)
        road.journal = journal
        daemon = Daemon(journal)
        daemon.recover()
        made = counted(client(ADDRESS, "key", SECRET, limited=False))
        mount(made, road)
        venue = CcxtVenue(made, plan.settings.contract)
        market = FollowedMarket(made, venue.ask, daemon.last)
        daemon.stand_at({USER: venue}, market.has_moved_on)
        try:
            trade(daemon, market, plan.end_ns)
        except KilledError:
            happened["daemon killed"] += 1
            crash(journal)
            continue
        except (VenueAwayError, UnknownOutcomeError):
            happened["away"] += 1
            journal.close()
            continue
        journal.close()
        served.service.close()
        happened["unknown outcomes"] += venue.reconciled
        return happened


def protocol_plan(seed: int, kind: str) -> tuple[Plan, str]:
    """Return a random plan that the protocol can carry: sizes in 8 decimals, prices of 5 digits, no latency."""
    plan, text = paper_plan(seed, kind)
    limits = replace(plan.settings.limits, latency_ns=0)
    text = text.replace("use: tests.moods", f"use: tests.careful_moods\n    name: {USER}")
    return replace(plan, settings=replace(plan.settings, limits=limits), strategy=loaded_strategies(text)[0]), text


def fits(plan: Plan) -> bool:
    return 10**8 % plan.settings.contract.lots_per_contract == 0


def outcome(directory: Path, seed: int) -> tuple[int, list[Any]]:
    """Hold both journals against the engine; return the fills and the controls of the daemon's."""
    journal = Journal(directory / f"{seed}.journal")
    try:
        run = replayed(journal)
    except JournalError as error:
        assert "no market event" in str(error)
        return 0, []
    finally:
        journal.close()
    controls = [content for _, content in run.happenings if isinstance(content, Control)]
    if not controls:
        agree(run)
    journal = Journal(directory / f"{seed}.exchange")
    try:
        head = head_of_exchange(journal)
        assert head is not None
        (theirs,) = agree_with_exchange(journal, head)
    finally:
        journal.close()
    if not controls:
        assert len(theirs.fills) == len(run.results[0].fills)
    return len(theirs.fills), controls


@pytest.mark.parametrize("kind", ["bars", "quotes"])
def test_on_a_good_road_everything_is_as_foreseen(tmp_path: Path, kind: str) -> None:
    fills = ran = 0
    for seed in range(10):
        plan, text = protocol_plan(seed, kind)
        if fits(plan):
            run(tmp_path, plan, text, seed, 0.0, 0.0)
            more, controls = outcome(tmp_path, seed)
            assert controls == []
            fills, ran = fills + more, ran + 1
    assert ran > 5 and fills > 5, (ran, fills)


@pytest.mark.parametrize("kind", ["bars", "quotes"])
def test_kills_and_faults_lose_nothing_and_double_nothing(tmp_path: Path, kind: str) -> None:
    fills = ran = 0
    happened: Counter[str] = Counter()
    for seed in range(10):
        plan, text = protocol_plan(seed, kind)
        if fits(plan):
            happened += run(tmp_path, plan, text, seed, 0.08, 0.02)
            more, controls = outcome(tmp_path, seed)
            assert controls == [], controls
            fills, ran = fills + more, ran + 1
    assert ran > 5 and fills > 5, (ran, fills)
    assert happened["daemon killed"] > 10 and happened["restarted_after"] > 3, happened
