"""A snapshot says what the session holds, and looking changes nothing; bundled history drives the sessions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from backtests.plan import Plan
from backtests.reference import Feed
from bot.core.events import BTC, CONTRACT
from bot.core.units import NS_PER_S
from bot.paper.snapshot import SHOWN_EVENTS, Snapshot, snapshot
from bot.paper.track import MOST_POINTS, Track
from bot.run import Run, load_run
from bot.session import Session


@pytest.fixture(scope="module")
def run() -> Run:
    return load_run(Path("config.yaml"))


def played(plan: Plan, quotes: int) -> Iterator[Session]:
    """Yield the session after each of the first quotes."""
    session = plan.session()
    feed = Feed(session, plan.world())
    for quote in plan.history.quotes[:quotes]:
        feed.up_to(quote.time_ns)
        session.on_quote(quote)
        session.decide()
        yield session


def last(plan: Plan, quotes: int) -> Session:
    *_, session = played(plan, quotes)
    return session


def test_a_fresh_session_has_no_price_and_says_so(run: Run) -> None:
    seen = snapshot(run.plans[0].session(), simulated=True)
    assert (seen.price_sat, seen.bid_sat, seen.position_lots, seen.last_quote_ns, seen.height) == (0, 0, 0, 0, 0)
    assert seen.equity_sat == seen.start_equity_sat == 100 * 10**8
    assert seen.fair_sat is not None and seen.simulated


def test_a_short_shows_its_loans_band_and_blocks(run: Run) -> None:
    session = last(run.plans[0], 600)
    seen = snapshot(session, simulated=False)
    state, quote = session.state, run.history.quotes[599]
    assert seen.position_lots == session.exchange.position_lots(session.user) < 0
    assert seen.equity_sat == session.exchange.equity_sat(session.user) == session.marks[-1].equity_sat
    assert (seen.bid_sat, seen.ask_sat, seen.last_quote_ns) == (quote.bid_sat, quote.ask_sat, quote.time_ns)
    owed = [loan for loan in state.loans.values() if loan.borrower == session.user]
    assert sum(line.amount for line in seen.loans) == sum(loan.amount for loan in owed) == -seen.position_lots
    assert sum(line.loans for line in seen.loans) == len(owed) > len(seen.loans)  # alike ones are one line
    assert [line.end_ns for line in seen.loans] == sorted(line.end_ns for line in seen.loans)
    assert seen.fair_sat is not None and seen.low_sat == round(seen.fair_sat * 0.75)
    assert abs(seen.high_sat - seen.fair_sat * 1.25) <= 1
    assert seen.blocks[0].height == seen.height == session.view.blocks[-1].height
    assert (seen.next_retarget_height - seen.height) in range(1, 2_017)
    assert seen.next_retarget_height % 2_016 == 0
    assert len(seen.events) == SHOWN_EVENTS
    assert not seen.simulated


def test_the_band_is_shown_when_a_block_has_come_after_the_last_quote(run: Run) -> None:
    plan = run.plans[0]
    session = last(plan, 300)
    asked_ns = session.view.time_ns
    session.on_block(next(block for block in plan.blocks if block.time_ns > asked_ns))
    seen = snapshot(session, simulated=True)
    assert (seen.note, session.view.time_ns) == ("", asked_ns)
    assert seen.fair_sat is not None and seen.low_sat == round(seen.fair_sat * 0.75)


def test_dividends_of_blocks_are_those_that_were_paid(run: Run) -> None:
    """What ten blocks paid on one contract, against the rise of the index that the ledger pays by."""
    owner = next(plan for plan in run.plans if plan.strategy.name == "hold_long")
    session = last(owner, 500)
    before_index, before = session.state.index, snapshot(session, simulated=True).height
    *_, session = played(owner, 501)
    seen = snapshot(session, simulated=True)
    fresh = [line for line in seen.blocks if line.height > before]
    risen = (session.state.index - before_index) * session.settings.contract.lots_per_contract >> 20
    assert len(fresh) in range(1, 10)
    assert 0 <= risen - sum(line.dividend_sat for line in fresh) <= len(fresh)  # each is rounded down


def test_wallets_and_orders_are_those_of_the_exchange(run: Run) -> None:
    session = last(next(plan for plan in run.plans if plan.strategy.name == "own_and_lend"), 700)
    seen = snapshot(session, simulated=True)
    purses = session.state.accounts[session.user].purses
    for name, sat, lots in seen.wallets:
        assert sat == session.state.balance(purses[name][BTC])
        assert lots == session.state.balance(purses[name][CONTRACT])
    assert any(line.lent for line in seen.loans)
    live = [order for order in session.state.live if order.command.user == session.user]
    assert [line.id for line in seen.orders] == [order.id for order in live]


def test_looking_changes_no_posting_and_no_decision(run: Run) -> None:
    plain = last(run.plans[0], 300)
    looked = None
    for session in played(run.plans[0], 300):
        snapshot(session, simulated=True)
        looked = session
    assert looked is not None
    assert looked.state.ledger.postings() == plain.state.ledger.postings()
    assert looked.state.fills == plain.state.fills and looked.marks == plain.marks


@pytest.mark.parametrize("kind", [ZeroDivisionError, SystemExit])
def test_a_band_that_fails_leaves_a_note(run: Run, kind: type[BaseException]) -> None:
    from dataclasses import replace

    session = last(run.plans[0], 10)

    def broken(view: object, params: object) -> tuple[float, float]:
        raise kind("of my own making")

    session.strategy = replace(session.strategy, band=broken)
    seen = snapshot(session, simulated=True)
    assert (seen.low_sat, seen.high_sat) == (0, 0)
    assert f"{kind.__name__}: of my own making" in seen.note


def test_the_document_is_json_that_javascript_can_hold(run: Run) -> None:
    seen = snapshot(last(run.plans[0], 200), simulated=True)
    document = json.loads(json.dumps(seen.document(), allow_nan=False))
    assert document["time_ms"] == seen.time_ns // 10**6
    assert document["loans"][0]["end_ms"] == seen.loans[0].end_ns // 10**6

    def numbers(value: object) -> Iterator[float]:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                yield from numbers(each)
        elif isinstance(value, int | float):
            yield value

    assert max(map(abs, numbers(document))) < 2**53


def at(seen: Snapshot, time_ns: int) -> Snapshot:
    from dataclasses import replace

    return replace(seen, time_ns=time_ns)


def test_a_track_stays_within_its_bound_and_keeps_first_and_newest(run: Run) -> None:
    seen = snapshot(last(run.plans[0], 3), simulated=True)
    track = Track()
    for second in range(50_000):
        track.add(at(seen, seen.time_ns + second * NS_PER_S))
        assert len(track.points) <= MOST_POINTS
    times = [point[0] for point in track.points]
    assert times == sorted(set(times))
    assert times[0] == seen.time_ns // 10**6 and times[-1] == seen.time_ns // 10**6 + 49_999_000
    assert len(track.points) > MOST_POINTS // 4
