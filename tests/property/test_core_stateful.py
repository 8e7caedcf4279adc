"""Several users, one exchange, everything that can happen: every invariant after every step.

`FAIRHASH_STEPS=1` prints how many steps were run, `FAIRHASH_MACHINES=n` runs n exchanges instead of 150.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.ledgers import snapshot
from tests.sql_checker import breaches
from tests.walk import Walk, WatchedInterest

T = TypeVar("T")

MACHINES = int(os.environ.get("FAIRHASH_MACHINES", "150"))
STEPS = {"steps": 0, "machines": 0}

if os.environ.get("FAIRHASH_STEPS"):
    atexit.register(lambda: print(f"\nstateful test of the core: {STEPS['steps']} steps in {STEPS['machines']} runs"))


class FromHypothesis:
    """Draws that Hypothesis can shrink."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def integer(self, low: int, high: int) -> int:
        return int(self.data.draw(st.integers(low, high)))

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.integer(0, len(choices) - 1)]


class ExchangeMachine(RuleBasedStateMachine):
    """Hypothesis chooses what happens next; `Walk` carries it out and checks it against its oracle."""

    @initialize(data=st.data())
    def begin(self, data: Any) -> None:
        self.watch = WatchedInterest()
        self.watch.__enter__()
        self.walk = Walk(FromHypothesis(data))

    def _step(self, data: Any, step: Callable[[Walk], None]) -> None:
        self.walk.draw = FromHypothesis(data)
        step(self.walk)

    @rule(data=st.data())
    def order(self, data: Any) -> None:
        self._step(data, Walk.order)

    @rule(data=st.data())
    def another_order(self, data: Any) -> None:
        self._step(data, Walk.order)

    @rule(data=st.data())
    def quote(self, data: Any) -> None:
        self._step(data, Walk.quote)

    @rule(data=st.data())
    def bar_edge(self, data: Any) -> None:
        self._step(data, Walk.bar_edge)

    @rule(data=st.data())
    def block(self, data: Any) -> None:
        self._step(data, Walk.block)

    @rule(data=st.data())
    def wait(self, data: Any) -> None:
        self._step(data, Walk.wait)

    @rule(data=st.data())
    def swap_rate(self, data: Any) -> None:
        self._step(data, Walk.swap_rate)

    @rule(data=st.data())
    def money(self, data: Any) -> None:
        step = FromHypothesis(data).pick((Walk.deposit, Walk.transfer, Walk.transfer, Walk.withdraw))
        self._step(data, step)

    @rule(data=st.data())
    def lend(self, data: Any) -> None:
        step = FromHypothesis(data).pick((Walk.offer, Walk.offer, Walk.cancel_offer, Walk.recall))
        self._step(data, step)

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        self._step(data, Walk.cancel)

    def teardown(self) -> None:
        if not hasattr(self, "walk"):
            return
        walk = self.walk
        self.watch.__exit__()
        for code in walk.codes:
            event(code)
        for kind in walk.oracle.kinds:
            event(kind)
        STEPS["steps"] += walk.steps
        STEPS["machines"] += 1
        assert snapshot(walk.replayed().state) == snapshot(walk.state), "replay differs"
        walk.finish()
        contract = walk.contract
        postings = walk.state.ledger.postings()
        assert not breaches(postings, contract.tranche_lots, contract.payout.fee_ppm, contract.lending.venue_cut_ppm)


TestExchange = ExchangeMachine.TestCase
TestExchange.settings = settings(
    max_examples=MACHINES,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
