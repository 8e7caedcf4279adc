"""Somebody else trades on the strategy's account, and on the same exchange: our books follow, and say so."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from requests.exceptions import ConnectionError as LostError

from backtests.plan import Plan
from bot.core.events import BTC, CONTRACT, Bar, Quote
from bot.core.invariants import check
from bot.core.order import (
    DEPOSIT,
    EXCHANGE,
    TRADING,
    WALLETS,
    CancelOffer,
    CancelOrder,
    Command,
    Deposit,
    PlaceOffer,
    PlaceOrder,
    Transfer,
)
from bot.core.state import State
from bot.daemon import BY_LAG, BY_OPERATOR, Daemon
from bot.desk import BY_MIRROR
from bot.errors import UnknownOutcomeError, UnsupportedError, VenueAwayError
from bot.paper.bitfinex.protocol import Request
from bot.paper.entries import ADOPT, HALT, SKIP, Control
from bot.paper.journal import Journal
from bot.replaying import agree, replayed
from bot.venues.ccxt_client import client
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.followed import FollowedMarket
from bot.venues.in_process import ADDRESS, Carry, mount
from bot.venues.report import expected
from strategies.view import Target, View
from tests.bitfinex import counted
from tests.parity.test_paper import begin, crash
from tests.parity.test_served import SECRET, USER, KilledError, Road, Served, fits, protocol_plan

BEN = "ben"


def meddle(draw: Random, served: Served) -> None:
    """Do something on the exchange behind the daemon's back: on the strategy's account, or on another one."""
    state = served.service.exchange.state
    if state.expired:
        return
    now, user = state.time_ns, draw.choice((USER, USER, BEN))
    command = draw.choice((_order, _order, _cancel, _transfer, _lend))(draw, state, user, now)
    if command is not None:
        served.service.submit(command)


def _order(draw: Random, state: State, user: str, now: int) -> Command:
    wallet, lots = draw.choice((EXCHANGE, TRADING)), draw.choice((-9, -3, -1, 1, 3, 9))
    tick = state.contract.tick_sat
    price = draw.choice((0, 0, max(state.mark_sat * draw.choice((99, 100, 101)) // 100 // tick, 1) * tick))
    used = [order.command.cid for order in state.orders.values() if order.command.user == user]
    cid = draw.choice((-state.next_id, max(used, default=0) + 1))  # the one that the strategy would choose next
    return PlaceOrder(now, user, cid, wallet, lots, price, active_ns=now)


def _cancel(draw: Random, state: State, user: str, now: int) -> Command | None:
    mine = [order for order in state.live if order.is_live and order.command.user == user]
    return CancelOrder(now, user, draw.choice(mine).id) if mine else None


def _transfer(draw: Random, state: State, user: str, now: int) -> Command | None:
    source, target = draw.sample(WALLETS, 2)
    asset = draw.choice((BTC, CONTRACT))
    free = state.free(state.accounts[user], source, asset)
    return Transfer(now, user, source, target, asset, draw.randint(1, free)) if free > 0 else None


def _lend(draw: Random, state: State, user: str, now: int) -> Command | None:
    mine = [offer for pool in state.offers for offer in pool if offer.lender == user]
    if mine and draw.random() < 0.5:
        return CancelOffer(now, user, mine[0].id)
    asset = draw.choice((BTC, CONTRACT))
    free = state.free(state.accounts[user], DEPOSIT, asset)
    rate = draw.choice((1_000, state.contract.lending.max_rate_ppb_day))
    days = state.contract.lending.min_term_days
    return PlaceOffer(now, user, asset, draw.randint(1, free), rate, days) if free > 0 else None


class Follower:
    """The daemon on a served exchange, from a journal that it goes on with."""

    def __init__(self, path: Path, plan: Plan, text: str, road: Carry) -> None:
        self.journal = begin(path, plan, text)
        self.daemon = Daemon(self.journal)
        self.daemon.recover()
        made = counted(client(ADDRESS, "key", SECRET, limited=False))
        mount(made, road)
        venue = CcxtVenue(made, plan.settings.contract)
        self.market = FollowedMarket(made, venue.ask, self.daemon.last)
        self.daemon.stand_at({USER: venue}, self.market.has_moved_on)
        self.desk = self.daemon.desks[USER]

    def step(self) -> bool:
        """Take in what was shown; return whether anything was decided on."""
        taken = self.market.take()
        self.daemon.follow(taken)
        return any(isinstance(event, Quote | Bar) for event in taken)

    def agrees(self, served: Served) -> None:
        """Check that our books of the account are the exchange's, fills included."""
        state, theirs = self.desk.session.state, served.service.exchange.state
        if state.expired:
            return
        account = state.accounts[USER]
        assert expected(state, account) == expected(theirs, theirs.accounts[USER])
        assert min(account.reserved) >= 0 and min(account.offered) >= 0
        ours, its = ([f for f in one.fills if f.user == USER] for one in (state, theirs))
        assert [(f.time_ns, f.size_lots, f.price_sat, f.fee_sat) for f in ours] == [
            (f.time_ns, f.size_lots, f.price_sat, f.fee_sat) for f in its
        ]
        check(state, 0, every_order=False)


@pytest.mark.parametrize("led", [True, False], ids=["led", "by itself"])
@pytest.mark.parametrize("kind", ["bars", "quotes"])
def test_our_books_are_the_venues_after_every_decision_and_again_after_a_restart(
    tmp_path: Path, kind: str, led: bool
) -> None:
    seen: Counter[str] = Counter()
    for seed in range(9):
        plan, text = protocol_plan(seed, kind)
        if not fits(plan):
            continue
        draw = Random(f"{seed}:meddler")
        served = Served(tmp_path / f"{seed}.exchange", plan, text, led)
        served.service.submit(Deposit(plan.settings.start_ns, BEN, BTC, plan.settings.deposit_sat))
        road = Road(served, seed, chance=0.04, kills=0.02)
        path = tmp_path / f"{seed}.journal"
        one: Follower | None = None
        while one is None or one.daemon.time_ns < plan.end_ns:
            try:
                one = one or Follower(path, plan, text, road)
                road.journal = one.journal
                if one.step():
                    one.agrees(served)
            except (KilledError, VenueAwayError, UnknownOutcomeError):
                crash(road.journal)
                one, _ = None, seen.update(["killed"])
            if draw.random() < 0.5:
                meddle(draw, served)
            if not led and draw.random() < 0.7:
                served.market.go_on()
        crash(one.journal)
        served.service.close()
        seen.update(recovered(path, one.desk.session.state))
    assert seen[ADOPT] > 10 and seen["killed"] > 10, seen


def recovered(path: Path, state: State) -> list[str]:
    """Hold what a journal comes to against what it was when its daemon ended; return the controls in it."""
    journal = Journal(path)
    daemon = Daemon(journal)
    daemon.recover()
    found = daemon.desks[USER].session
    if not found.state.expired:
        assert expected(found.state, found.state.accounts[USER]) == expected(state, state.accounts[USER])
    again = replayed(journal)
    actions = [content.action for _, content in again.happenings if isinstance(content, Control)]
    if ADOPT in actions:
        with pytest.raises(UnsupportedError, match="the venue decided otherwise than was foreseen"):
            agree(again)
    journal.close()
    return actions


def test_a_market_that_moves_on_by_itself_is_caught_up_with_and_a_stale_account_is_not_traded_on(
    tmp_path: Path,
) -> None:
    drawn = [protocol_plan(seed, "quotes") for seed in range(20)]
    plan, text = max((one for one in drawn if fits(one[0])), key=lambda one: len(one[0].history.quotes))
    served = Served(tmp_path / "x.exchange", plan, text, led=False)
    asked: list[str] = []
    decided: list[int] = []
    late = [False]

    def carry(request: Request) -> tuple[int, bytes]:
        asked.append(request.path)
        if late[0] and request.path.endswith("r/wallets"):
            served.market.go_on()  # while the account is being read
        return served.carry(request)

    one = Follower(tmp_path / "a.journal", plan, text, carry)
    journal, daemon = one.journal, one.daemon
    session = daemon.desks[USER].session
    answer = session.strategy.decide

    def decide(view: View, params: Any) -> Target:
        decided.append(view.time_ns)
        return answer(view, params)

    session.strategy = replace(session.strategy, decide=decide)
    for _ in range(4):
        served.market.go_on()
    one.step()
    assert len(decided) == 1, "only at the newest quote"
    served.market.go_on()
    state = served.service.exchange.state
    served.service.submit(Deposit(state.time_ns, USER, BTC, 1))
    late[0] = True
    asked.clear()
    one.step()
    late[0] = False
    assert len(decided) == 1 and not any("/w/" in path for path in asked)
    one.step()
    assert len(decided) == 2, "and on again, one satoshi richer"
    account = daemon.desks[USER].session.state.accounts[USER]
    assert expected(daemon.desks[USER].session.state, account) == expected(state, state.accounts[USER])
    crash(journal)
    served.service.close()
    journal = Journal(tmp_path / "a.journal")
    found = replayed(journal)
    journal.close()
    said = [(venue, content.action, content.by) for venue, content in found.happenings if isinstance(content, Control)]
    passed = ("", SKIP, BY_LAG)
    assert said == [passed, passed, passed, (USER, SKIP, BY_MIRROR), (USER, ADOPT, BY_MIRROR)]


def test_a_halt_holds_though_the_venue_is_away_and_its_orders_are_cancelled_when_it_is_back(tmp_path: Path) -> None:
    drawn = [protocol_plan(seed, "quotes") for seed in range(20)]
    plan, text = max((one for one in drawn if fits(one[0])), key=lambda one: len(one[0].history.quotes))
    served = Served(tmp_path / "x.exchange", plan, text)
    away = [False]

    def road(request: Request) -> tuple[int, bytes]:
        if away[0]:
            raise LostError("connection refused")
        return served.carry(request)

    one = Follower(tmp_path / "a.journal", plan, text, road)
    one.step()
    state = one.desk.session.state
    order = PlaceOrder(state.time_ns, USER, 7, EXCHANGE, 1, state.contract.tick_sat, active_ns=state.time_ns)
    assert isinstance(one.desk.session.trader.submit(order), int)
    away[0] = True
    one.daemon.control([USER], HALT, BY_OPERATOR, "a test")
    assert one.desk.session.trader.mode == "halted"
    assert "what halt asks for is done when it answers" in state.notices[-1].text
    before = one.journal.sequence
    with pytest.raises(VenueAwayError):
        one.step()
    assert one.journal.sequence == before, "nothing of the step is kept"
    away[0] = False
    one.journal.close()
    one = Follower(tmp_path / "a.journal", plan, text, road)
    assert one.desk.session.trader.mode == "halted"
    one.step()
    theirs = served.service.exchange.state
    assert not [live for live in theirs.live if live.is_live and live.command.user == USER]
    one.agrees(served)
    one.journal.close()
    served.service.close()
