"""Long seeded walks: every refusal, posting and notice occurs; replay is equal; SQL agrees; no order of a set matters.

The walks are the same on every machine and in every run.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from bot.core.events import RANK_STRATEGY, Posting
from bot.core.exchange import Exchange
from bot.core.order import REJECTIONS
from tests.ledgers import START_NS, snapshot
from tests.sql_checker import breaches
from tests.walk import STEPS, Walk, WatchedInterest

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
SEEDS = (*range(18), 25)  # 25 is one in which collateral is sold, which is rare
LENGTH = 300

POSTINGS = {"issue", "deposit", "withdrawal", "transfer", "block", "dividend", "loan", "repay", "interest"}
POSTINGS |= {"trade", "fee", "collateral", "claim", "deficit", "expiry"}
NOTICES = {"recall", "cover", "liquidation", "margin_call", "cancelled", "collateral", "deficit"}
REASONS = {"CANCELLED_BY_USER", "NO_FUNDING", "NOT_ENOUGH_BALANCE", "NOT_ENOUGH_MARGIN", "NOTHING_TO_REDUCE"}
REASONS |= {"WOULD_TAKE", "SELF_TRADE", "LIQUIDATING", "EXPIRED"}


class Seeded:
    """Draws from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.random.randrange(len(choices))]


def walked(seed: int, length: int = LENGTH) -> Walk:
    """Return a walk of `length` steps."""
    walk = Walk(Seeded(seed))
    steps = [step for weight, step in STEPS for _ in range(weight)]
    for _ in range(length):
        walk.draw.pick(steps)(walk)
    return walk


@pytest.fixture(scope="module")
def walks() -> list[Walk]:
    with WatchedInterest() as watch:
        found = [walked(seed) for seed in SEEDS]
    assert watch.calls > 100
    return found


def test_every_rejection_posting_notice_and_reason_occurs(walks: list[Walk]) -> None:
    assert set().union(*(walk.codes for walk in walks)) == set(REJECTIONS)
    assert {move.kind for walk in walks for move in walk.state.ledger.moves} == POSTINGS
    assert {notice.kind for walk in walks for notice in walk.state.notices} == NOTICES
    assert {order.reason for walk in walks for order in walk.state.orders.values()} - {""} == REASONS
    assert any(walk.state.expired for walk in walks)


def test_replay_of_what_was_accepted_gives_an_equal_state_and_equal_postings(walks: list[Walk]) -> None:
    """Invariant 10. The state that is compared holds every move, fill, notice, order, loan and offer."""
    for walk in walks:
        again = walk.replayed()
        assert snapshot(again.state) == snapshot(walk.state)
        assert again.state.ledger.postings() == walk.state.ledger.postings()


def test_a_ledger_that_keeps_no_moves_has_the_same_balances(walks: list[Walk]) -> None:
    for walk in walks[:4]:
        exchange = Exchange(walk.contract, walk.rules, START_NS, keep_moves=False)
        for name, event in walk.journal:
            getattr(exchange, name)(event)
        assert exchange.state.ledger.moves == []
        exchange.reach(walk.state.time_ns, RANK_STRATEGY)
        assert exchange.state.ledger.balances == walk.state.ledger.balances


def _breaches(walk: Walk, postings: list[Posting]) -> list[str]:
    contract = walk.contract
    return breaches(postings, contract.tranche_lots, contract.payout.fee_ppm, contract.lending.venue_cut_ppm)


def test_the_checker_in_sql_agrees(walks: list[Walk]) -> None:
    """Invariant 13."""
    for walk in walks:
        assert _breaches(walk, walk.state.ledger.postings()) == []


def test_the_checker_in_sql_sees_what_is_wrong(walks: list[Walk]) -> None:
    """A checker that cannot fail checks nothing: each tampered ledger breaks a rule by name."""
    walk = next(walk for walk in walks if walk.state.expired)
    good = walk.state.ledger.postings()

    def tampered(kind: str, account: str, by: int, both: bool = False) -> str:
        lines = list(good)
        at = next(i for i, p in enumerate(lines) if p.kind == kind and p.account == account)
        lines[at] = lines[at]._replace(amount=lines[at].amount + by)
        if both:
            other = next(
                i for i, p in enumerate(lines) if p.transaction == lines[at].transaction and p.account != account
            )
            lines[other] = lines[other]._replace(amount=lines[other].amount - by)
        return " | ".join(_breaches(walk, lines))

    assert "of a transaction sum to zero" in tampered("deposit", "ann/exchange/BTC", 1)
    assert "all accounts of an asset" in tampered("deposit", "ann/exchange/BTC", 1)
    assert "the pool's fee" in tampered("block", "venue/pool_fee/BTC", 1)
    assert "issued once" in tampered("issue", "world/issuance/TH1", -1, both=True)
    assert "ever overdrawn" in tampered("deposit", "ann/exchange/BTC", -(10**12), both=True)
    late = [*good[:-2], *(line._replace(time_ns=0) for line in good[-2:])]
    assert "never fall" in " | ".join(_breaches(walk, late))


_HASHED = """
import hashlib, sys
from tests.property.test_core_walk import walked
walk = walked(3, 150)
text = repr([*walk.state.ledger.postings(), *walk.state.fills, *walk.state.notices, sorted(walk.codes)])
print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_nothing_depends_on_the_order_of_a_set_or_the_seed_of_hashes() -> None:
    hashes = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", _HASHED]
        run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        hashes.add(run.stdout)
    assert len(hashes) == 1
