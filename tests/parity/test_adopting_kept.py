"""What a venue decided otherwise, and checkpoints: a start from one comes to what a whole replay does."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from backtests.plan import Plan
from bot.app.remote import SHOWN
from bot.cli import main
from bot.core.contract import Contract
from bot.core.events import BTC
from bot.core.order import TRADING, Deposit
from bot.core.units import NS_PER_DAY
from bot.daemon import Daemon
from bot.facts import facts_of
from bot.paper.bitfinex.protocol import Request
from bot.paper.entries import ADOPT, ALL_VENUES, HALT, HEAD, Control, head_text
from bot.paper.journal import Journal
from bot.venues.adopt import Adoption, written
from bot.venues.ccxt_client import client
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.followed import FollowedMarket
from bot.venues.in_process import ADDRESS, Carry, mount
from bot.venues.report import OrderLine, TradeLine, expected
from bot.verifying import TOLD, verify
from tests.bitfinex import counted
from tests.checkpoints import often, plainly
from tests.parity.test_adopting import BEN, meddle
from tests.parity.test_paper import begin, crash, feed_of, rest_of
from tests.parity.test_served import SECRET, USER, KilledError, Served, fits, protocol_plan

"""The client takes the milliseconds of the clock, which may stand still, or go back, between two requests in here."""


def standing(daemon: Daemon) -> dict[str, Any]:
    """Return all that recovery must bring back, of the only strategy."""
    desk = daemon.desks[USER]
    session = desk.session
    state = plainly(session.state)
    state["notices"] = [notice for notice in state["notices"] if notice.kind not in TOLD]
    return {
        "state": state,
        "trader": (session.trader.last_cid, session.trader.mode),
        "peak": session.peak_sat,
        "equity": session.view.equity_sat,
        "agreed": desk.agreed,
    }


def alike(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Assert that two standings are alike, and show what is not."""
    for name in wanted["state"]:
        assert (name, found["state"][name]) == (name, wanted["state"][name])
    assert found == wanted


def attached(daemon: Daemon, carry: Carry, contract: Contract) -> FollowedMarket:
    """Let a daemon trade on an exchange, and return the market to follow."""
    made = counted(client(ADDRESS, "key", SECRET, limited=False))
    mount(made, carry)
    venue = CcxtVenue(made, contract)
    market = FollowedMarket(made, venue.ask, daemon.last)
    daemon.stand_at({USER: venue}, market.has_moved_on)
    return market


class Meddled:
    """A daemon that trades on an exchange where somebody else trades on its account, and that is killed and restarted.

    Now and then it stays away while the market goes on.
    """

    def __init__(self, directory: Path, plan: Plan, text: str, seed: int, kind: str) -> None:
        self.plan, self.text = plan, text
        self.draw = Random(f"{seed}:{kind}:kept")
        self.path = directory / f"{seed}.journal"
        self.served = Served(directory / f"{seed}.exchange", plan, text, led=False)
        self.served.service.submit(Deposit(plan.settings.start_ns, BEN, BTC, plan.settings.deposit_sat))
        self.seen: Counter[str] = Counter()

    def start(self) -> None:
        self.journal = begin(self.path, self.plan, self.text)
        self.daemon = Daemon(self.journal)
        self.daemon.recover()
        assert self.daemon.checkpoints is not None
        self.seen["gone on from a checkpoint"] += bool(self.daemon.checkpoints.resumed_at)
        assert self.daemon.checkpoints.distrusted == ""

    def run(self) -> None:
        """Go on until the market ends."""
        self.start()
        while True:
            market = attached(self.daemon, self.served.carry, self.plan.settings.contract)
            for _ in range(self.draw.randint(3, 12)):
                for _ in range(self.draw.choice((1, 1, 1, 4))):
                    self.served.market.go_on()
                self.daemon.follow(market.take())
                if self.draw.random() < 0.5:
                    meddle(self.draw, self.served)
            self.last = before = standing(self.daemon)
            crash(self.journal)
            self.start()
            alike(standing(self.daemon), before)
            self.seen["restarts"] += 1
            if self.daemon.time_ns >= self.plan.end_ns:
                return


@pytest.mark.parametrize("kind", ["bars", "quotes"])
def test_adoptions_survive_kills_checkpoints_and_verification(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    often(monkeypatch, every=9, kept=2)
    seen: Counter[str] = Counter()
    for seed in range(16):
        plan, text = protocol_plan(seed, kind)
        if not fits(plan):
            continue
        run = Meddled(tmp_path, plan, text, seed, kind)
        run.run()
        crash(run.journal)
        run.served.service.close()
        seen += run.seen
        journal = Journal(run.path)
        contents = [entry.content() for entry in journal.entries(2)]
        seen["adoptions"] += sum(isinstance(one, Control) and one.action == ADOPT for one in contents)
        seen["verified checkpoints"] += bool(verify(journal).checkpoint)
        whole = Daemon(journal, whole=True)
        whole.recover()
        alike(standing(whole), run.last)
        theirs = run.served.service.exchange.state
        if not theirs.expired:
            ours = whole.desks[USER].session.state
            assert expected(ours, ours.accounts[USER]).wallets
        journal.close()
    print(seen)
    assert seen["adoptions"] > 20 and seen["gone on from a checkpoint"] > 20, seen


def test_what_the_file_has_as_over_may_be_taken_back_and_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often(monkeypatch, every=4, kept=1)
    taken_back = 0
    for seed in range(40):
        plan, text = protocol_plan(seed, "quotes")
        if not fits(plan):
            continue
        journal = begin(tmp_path / f"{seed}.journal", plan, text)
        daemon = Daemon(journal)
        daemon.recover()
        events = rest_of(feed_of(plan), None)
        for event in events[: len(events) // 2]:
            daemon.take_in([event])
        desk = daemon.desks[USER]
        state = desk.session.state
        stored = desk.session.state.fills.stored  # type: ignore[attr-defined]
        if stored < 2 or state.expired:
            continue
        taken_back += 1
        first = next(order for order in state.orders.values() if not order.is_live and not order.forced).command
        theirs = expected(state, state.accounts[USER])
        again = OrderLine(first.cid, TRADING, 7, 7, 0, False, False)
        otherwise = theirs._replace(orders=sorted([*theirs.orders, again]))
        trade = TradeLine(1, state.time_ns, first.cid, TRADING, 7, state.mark_sat, 0, False)
        with journal.group():
            adoption = written(Adoption(stored - 2, 0, otherwise, [trade]))
            desk._journal(ADOPT, adoption)
            desk._take_over(adoption)
        assert len(state.fills) == stored - 1
        (opened,) = [order for order in state.live if order.command.cid == first.cid]
        assert opened.is_live and state.by_cid[(USER, first.cid, state.time_ns // NS_PER_DAY)] == opened.id
        for event in events[len(events) // 2 :]:
            daemon.take_in([event])
        before = standing(daemon)
        crash(journal)
        journal = Journal(tmp_path / f"{seed}.journal")
        for whole in (False, True):
            recovered = Daemon(journal, whole=whole)
            recovered.recover()
            alike(standing(recovered), before)
        verify(journal)
        journal.close()
    assert taken_back > 3


def test_a_forgotten_decision_that_comes_out_otherwise_meets_its_own_orders(tmp_path: Path) -> None:
    reused = later = 0
    for seed, kind in product(range(6), ("bars", "quotes")):
        plan, text = protocol_plan(seed, kind)
        if not fits(plan):
            continue
        other = re.sub(r"seed: (\d+)", lambda found: f"seed: {int(found[1]) + 1}", text)
        other = re.sub(r"lots: (\d+)", lambda found: f"lots: {int(found[1]) // 2 + 1}", other)
        served = Served(tmp_path / f"{seed}-{kind}.exchange", plan, text)
        sent: list[Request] = []
        journals: list[Journal] = []

        def carry(
            request: Request, served: Served = served, sent: list[Request] = sent, journals: list[Journal] = journals
        ) -> tuple[int, bytes]:
            answer = served.carry(request)
            if "/w/order/submit" in request.path:
                sent.append(request)
                if len(sent) == 1:
                    journals[-1].forget()
                    raise KilledError  # it is on the exchange, and nobody knows
            return answer

        path = tmp_path / f"{seed}-{kind}.journal"
        for is_again in (False, True):
            journal = begin(path, plan, text)
            journals.append(journal)
            daemon = Daemon(journal)
            daemon.recover()
            if is_again:
                daemon.reload(other, plan.settings.limits)
            market = attached(daemon, carry, plan.settings.contract)
            try:
                while daemon.time_ns < plan.end_ns:
                    daemon.follow(market.take())
            except KilledError:
                pass
            else:
                said = [
                    notice.text for notice in daemon.desks[USER].session.state.notices if "CID_REUSED" in notice.text
                ]
                assert len(said) <= 1, "the cid is not tried again"
                reused += len(said)
                later += len(sent) > 1
            crash(journal)
        served.service.close()
        journal = Journal(path)
        verify(journal)
        journal.close()
    assert reused > 1 and later > 1, (reused, later)


def test_who_is_halted_while_the_venue_is_away_is_halted_there_once_it_is_back(tmp_path: Path) -> None:
    halted = 0
    for seed, kind in product(range(12), ("bars", "quotes")):
        plan, text = protocol_plan(seed, kind)
        if not fits(plan):
            continue
        served = Served(tmp_path / f"{seed}-{kind}.exchange", plan, text)
        journal = begin(tmp_path / f"{seed}-{kind}.journal", plan, text)
        theirs = served.service.exchange.state
        daemon = Daemon(journal)
        daemon.recover()
        market = attached(daemon, served.carry, plan.settings.contract)
        while daemon.time_ns < plan.end_ns and not any(one.command.price_sat for one in theirs.live):
            daemon.follow(market.take())
        if daemon.time_ns >= plan.end_ns:
            continue
        halted += 1
        away = Daemon(journal, away=True)
        away.recover()
        before = journal.sequence
        away.control([USER], HALT, "operator", "the market looks odd")
        assert journal.sequence == before + 1, "nothing is said to be cancelled that is not"
        assert any(order.is_live for order in theirs.live)
        market = attached(away, served.carry, plan.settings.contract)
        while away.time_ns < plan.end_ns and any(one.is_live and not one.forced for one in theirs.live):
            away.follow(market.take())
        contents = [entry.content() for entry in journal.entries(before + 1)]
        assert not any(isinstance(one, Control) and one.action == ADOPT for one in contents)
        journal.close()
        served.service.close()
    assert halted > 2


def test_a_halt_from_outside_waits_for_the_served_exchange(tmp_path: Path) -> None:
    """`fairhash halt` while no daemon runs: the orders stand on an exchange that is not asked here."""
    halted = 0
    for seed in range(12):
        plan, text = protocol_plan(seed, "quotes")
        if not fits(plan):
            continue
        path = tmp_path / f"{seed}.journal"
        journal = Journal(path)
        head = facts_of([plan], text, SHOWN + "random")
        journal.append(HEAD, ALL_VENUES, plan.settings.start_ns, head_text(head))
        journal.commit()
        served = Served(tmp_path / f"{seed}.exchange", plan, text)
        theirs = served.service.exchange.state
        daemon = Daemon(journal)
        market = attached(daemon, served.carry, plan.settings.contract)
        while daemon.time_ns < plan.end_ns and not any(one.command.price_sat for one in theirs.live):
            daemon.follow(market.take())
        before = journal.sequence
        journal.close()
        served.service.close()
        if daemon.time_ns >= plan.end_ns:
            continue
        halted += 1
        assert main(["halt", USER, "--journal", str(path)]) == 0
        journal = Journal(path)
        kinds = [entry.kind for entry in journal.entries(before + 1)]
        journal.close()
        assert kinds == ["Control"], "no cancellation that nobody was sent"
    assert halted > 1
