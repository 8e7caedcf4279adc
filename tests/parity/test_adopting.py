"""Somebody else trades on the strategy's account, and on the same exchange: our books follow, and say so."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

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
from bot.daemon import BY_LAG, Daemon
from bot.desk import BY_MIRROR
from bot.errors import UnsupportedError
from bot.paper.bitfinex.protocol import Request
from bot.paper.entries import ADOPT, SKIP, Control
from bot.paper.journal import Journal
from bot.replaying import agree, replayed
from bot.venues.ccxt_client import client
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.followed import FollowedMarket
from bot.venues.in_process import ADDRESS, mount
from bot.venues.report import expected
from strategies.view import Target, View
from tests.parity.test_paper import begin, crash
from tests.parity.test_served import SECRET, USER, Served, fits, protocol_plan

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
    return PlaceOrder(
        now, user, draw.choice((-state.next_id, 10**6 + state.next_id)), wallet, lots, price, active_ns=now
    )


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


@pytest.mark.parametrize("kind", ["bars", "quotes"])
def test_our_books_are_the_venues_after_every_decision_and_again_after_a_restart(tmp_path: Path, kind: str) -> None:
    seen: Counter[str] = Counter()
    for seed in range(16):
        plan, text = protocol_plan(seed, kind)
        if not fits(plan):
            continue
        draw = Random(f"{seed}:meddler")
        served = Served(tmp_path / f"{seed}.exchange", plan, text)
        served.service.submit(Deposit(plan.settings.start_ns, BEN, BTC, plan.settings.deposit_sat))
        journal = begin(tmp_path / f"{seed}.journal", plan, text)
        daemon = Daemon(journal)
        made = client(ADDRESS, "key", SECRET, limited=False)
        mount(made, lambda request, served=served: served.carry(request))  # type: ignore[misc]
        venue = CcxtVenue(made, plan.settings.contract)
        market = FollowedMarket(made, venue.ask, None)
        daemon.stand_at({USER: venue}, market.has_moved_on)
        desk = daemon.desks[USER]
        while daemon.time_ns < plan.end_ns:
            daemon.follow(market.take())
            state, theirs = desk.session.state, served.service.exchange.state
            if not state.expired and isinstance(daemon.last, Quote | Bar):  # at a decision
                account = state.accounts[USER]
                assert expected(state, account) == expected(theirs, theirs.accounts[USER]), seed
                assert min(account.reserved) >= 0 and min(account.offered) >= 0
                ours, its = ([f for f in one.fills if f.user == USER] for one in (state, theirs))
                assert [(f.time_ns, f.size_lots, f.price_sat, f.fee_sat) for f in ours] == [
                    (f.time_ns, f.size_lots, f.price_sat, f.fee_sat) for f in its
                ], seed
                check(state, 0, every_order=False)
            if draw.random() < 0.5:
                meddle(draw, served)
        crash(journal)
        served.service.close()

        journal = Journal(tmp_path / f"{seed}.journal")
        recovered = Daemon(journal)
        recovered.recover()
        found = recovered.desks[USER].session
        assert found.trader.last_cid == desk.session.trader.last_cid
        if not found.state.expired:
            assert expected(found.state, found.state.accounts[USER]) == expected(state, state.accounts[USER])
        again = replayed(journal)
        actions = [content.action for _, content in again.happenings if isinstance(content, Control)]
        seen.update(actions)
        if ADOPT in actions:
            with pytest.raises(UnsupportedError, match="the venue decided otherwise than was foreseen"):
                agree(again)
        journal.close()
    assert seen[ADOPT] > 30, seen


def test_a_market_that_moves_on_by_itself_is_caught_up_with_and_a_stale_account_is_not_traded_on(
    tmp_path: Path,
) -> None:
    drawn = [protocol_plan(seed, "quotes") for seed in range(20)]
    plan, text = max((one for one in drawn if fits(one[0])), key=lambda one: len(one[0].history.quotes))
    served = Served(tmp_path / "x.exchange", plan, text, led=False)
    journal = begin(tmp_path / "a.journal", plan, text)
    daemon = Daemon(journal)
    asked: list[str] = []
    decided: list[int] = []
    late = [False]

    def carry(request: Request) -> tuple[int, bytes]:
        asked.append(request.path)
        if late[0] and request.path.endswith("r/wallets"):
            served.market.go_on()  # while the account is being read
        return served.carry(request)

    made = client(ADDRESS, "key", SECRET, limited=False)
    mount(made, carry)
    venue = CcxtVenue(made, plan.settings.contract)
    market = FollowedMarket(made, venue.ask, None)
    daemon.stand_at({USER: venue}, market.has_moved_on)
    session = daemon.desks[USER].session
    answer = session.strategy.decide

    def decide(view: View, params: Any) -> Target:
        decided.append(view.time_ns)
        return answer(view, params)

    session.strategy = replace(session.strategy, decide=decide)
    for _ in range(4):
        served.market.go_on()
    daemon.follow(market.take())
    assert len(decided) == 1, "only at the newest quote"
    served.market.go_on()
    state = served.service.exchange.state
    served.service.submit(Deposit(state.time_ns, USER, BTC, 1))
    late[0] = True
    asked.clear()
    daemon.follow(market.take())
    late[0] = False
    assert len(decided) == 1 and not any("/w/" in path for path in asked)
    daemon.follow(market.take())
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
