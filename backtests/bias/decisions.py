"""What a strategy decides, recorded while it runs, and the first decision in which two runs differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from backtests.plan import Plan
from backtests.result import RunResult
from bot.core.order import PlaceOrder
from bot.errors import StrategyError
from strategies.view import Target, View

FAILED: Final = "failure"
VENUES_CID: Final = 0
"""What the venue's own orders (liquidation, cover) have; the trader counts from 1."""


class Decision(NamedTuple):
    """One thing a strategy did at `time_ns`: `what` is target, order or failure; `said` names it in full."""

    time_ns: int
    what: str
    said: str


class Moved(NamedTuple):
    """The first decision that differs: when, and what was decided in either run (None: nothing)."""

    time_ns: int
    before: Decision | None
    after: Decision | None


def decisions_of(plan: Plan, run: Callable[[Plan], RunResult]) -> list[Decision]:
    """Return every target that the plan's strategy answers and every order sent for it, in the order of time.

    `run` carries a plan out; it must ask the strategy in Python, as the reference engine does. A strategy that fails
    ends the list with its failure.
    """
    decide = plan.strategy.decide
    asked: list[tuple[int, Target]] = []

    def recorded(view: View, params: Any) -> Target:
        target = decide(view, params)
        asked.append((view.time_ns, target))
        return target

    orders: list[PlaceOrder] = []
    failed: list[Decision] = []
    try:
        result = run(replace(plan, strategy=replace(plan.strategy, decide=recorded)))
        orders = [order for order in result.orders if order.user == result.user and order.cid != VENUES_CID]
    except StrategyError as error:
        failed = [Decision(asked[-1][0] if asked else plan.settings.start_ns, FAILED, str(error))]
    made = [Decision(time_ns, "target", _target_text(target)) for time_ns, target in asked]
    made += [Decision(order.time_ns, "order", _order_text(order)) for order in orders]
    made.sort(key=lambda decision: decision.time_ns)  # stable: the target before the orders that follow from it
    return made + failed


def first_moved(before: Sequence[Decision], after: Sequence[Decision], until_ns: int) -> Moved | None:
    """Return the first decision up to `until_ns` in which two runs differ, or None if they decided alike."""
    ours = [decision for decision in before if decision.time_ns <= until_ns]
    theirs = [decision for decision in after if decision.time_ns <= until_ns]
    for our, their in zip(ours, theirs, strict=False):
        if our != their:
            return Moved(min(our.time_ns, their.time_ns), our, their)
    if len(ours) == len(theirs):
        return None
    shorter = min(len(ours), len(theirs))
    our_next, their_next = (rows[shorter] if len(rows) > shorter else None for rows in (ours, theirs))
    only = our_next or their_next
    assert only is not None
    return Moved(only.time_ns, our_next, their_next)


def _target_text(target: Target) -> str:
    """Return a target without its wake, which says when to ask and not what to do."""
    if type(target) is not Target:
        return repr(target)
    position, limit_sat, financed, lent, rate, _ = target
    parts = [f"position {position} lots"]
    parts += [f"limit {limit_sat} sat"] if limit_sat else []
    parts += ["financed"] if financed else []
    parts += [f"lend {lent} lots at {rate} ppb/day"] if lent else []
    return ", ".join(parts)


def _order_text(order: PlaceOrder) -> str:
    side = "buy" if order.size_lots > 0 else "sell"
    price = f"limit {order.price_sat} sat" if order.price_sat else "at market"
    flags = "".join(f", {name}" for name in ("post_only", "reduce_only", "close") if getattr(order, name))
    return f"{side} {abs(order.size_lots)} lots {price}, {order.wallet} wallet{flags}"
