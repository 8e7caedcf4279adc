"""Walk-forward: parameters are chosen on one stretch of time and judged on the next, as they would have been in life.

The result is one run over all test stretches in a row, in which the parameters change where a new choice is made:
positions, loans and margin go on, so that every cost of a change is in it. Train runs begin flat, with the deposit, and
end at the mark. Nothing of a train run is later than its end: it is the configured plan, cut (`between`).
Source: Pardo, The Evaluation and Optimization of Trading Strategies, 2nd ed. 2008, ch. 11.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from typing import Any, Final, NamedTuple

from backtests.plan import Plan
from backtests.result import RunResult
from bot.chain.difficulty import BLOCKS_PER_EPOCH
from bot.core.events import BTC, CONTRACT, SwapRate
from bot.core.units import NS_PER_DAY
from bot.errors import StrategyError
from bot.session import Decide, Strategy
from strategies.view import NEVER, Target, View

ROLLING: Final = "rolling"
EXPANDING: Final = "expanding"
SAMPLES: Final = 2_000


class Window(NamedTuple):
    """Parameters are chosen on [train_ns, test_ns] and used on (test_ns, end_ns]."""

    train_ns: int
    test_ns: int
    end_ns: int


def windows(start_ns: int, end_ns: int, train_days: int, test_days: int, mode: str) -> list[Window]:
    """Return the windows of a run in order, the last test maybe shorter; none where the run is no longer than a train.

    `rolling` trains on the last `train_days`, `expanding` on everything since the start.
    """
    found = []
    test_ns = start_ns + train_days * NS_PER_DAY
    while test_ns < end_ns:
        train_ns = start_ns if mode == EXPANDING else test_ns - train_days * NS_PER_DAY
        found.append(Window(train_ns, test_ns, min(test_ns + test_days * NS_PER_DAY, end_ns)))
        test_ns += test_days * NS_PER_DAY
    return found


def between(plan: Plan, start_ns: int, end_ns: int) -> Plan:
    """Return the part of `plan` from `start_ns` to `end_ns`: a fresh account, and what was known of the chain by then.

    The swap rates in force at the start are given at the start. Postings are not kept, debug mode is off.
    """
    begun = [b for b in plan.blocks if b.time_ns <= start_ns and b.height % BLOCKS_PER_EPOCH == 0]
    known = [*plan.past_epochs, *((block.header_time_s, block.bits) for block in begun)]
    settings = replace(plan.settings, start_ns=start_ns, observe=False, debug=False, keep_moves=False)
    history = replace(plan.history, rates=_rates_from(plan.history.rates, start_ns))
    return replace(plan, settings=settings, past_epochs=known, history=history, end_ns=end_ns)


def _rates_from(rates: list[SwapRate], start_ns: int) -> list[SwapRate]:
    """Return the rates from `start_ns` on, those in force then first."""
    at = bisect_right(rates, start_ns, key=lambda rate: rate.time_ns)
    latest = {rate.asset: rate for rate in rates[:at]}
    return [latest[asset]._replace(time_ns=start_ns) for asset in (BTC, CONTRACT) if asset in latest] + rates[at:]


def with_params(plan: Plan, arguments: dict[str, Any]) -> Plan:
    """Return `plan` with some parameters of its strategy changed; raises StrategyError if they do not go together."""
    strategy = plan.strategy
    params = replace(strategy.params, **arguments)
    for conflict in getattr(params, "cross_check", tuple)():
        raise StrategyError(f"{strategy.name}: {conflict.key}: {conflict.what}")
    return replace(plan, strategy=replace(strategy, params=params))


@dataclass(frozen=True, slots=True)
class Schedule:
    """Parameters with the instants from which they are used, rising; each is used until the next."""

    decide: Decide
    from_ns: tuple[int, ...]
    params: tuple[Any, ...]


def scheduled(view: View, schedule: Schedule) -> Target:
    """Return what the strategy answers with the parameters in force; it wakes at the latest when they change."""
    at = max(bisect_right(schedule.from_ns, view.time_ns) - 1, 0)
    target = schedule.decide(view, schedule.params[at])
    change_ns = schedule.from_ns[at + 1] if at + 1 < len(schedule.from_ns) else NEVER
    if type(target) is not Target or target.wake is None or target.wake.at_ns <= change_ns:
        return target
    return target._replace(wake=target.wake._replace(at_ns=change_ns))


class Scored(NamedTuple):
    """What parameters made of a train window: profit in satoshi and Sharpe ratio as `backtests.metrics` has it.

    `error` says what failed; then nothing else is known.
    """

    net_sat: int = 0
    sharpe_year: float | None = None
    error: str = ""


def stitched(plan: Plan, found: Sequence[Window], params: Sequence[Any]) -> Plan:
    """Return the run over all tests in a row, `params` of each window used in its own test."""
    strategy = plan.strategy
    schedule = Schedule(strategy.decide, tuple(window.test_ns for window in found), tuple(params))
    whole = between(plan, found[0].test_ns, found[-1].end_ns)
    return replace(whole, strategy=Strategy(strategy.name, scheduled, schedule))


def profits_sat(result: RunResult, edges_ns: Sequence[int]) -> list[int]:
    """Return the change of equity between every two instants that follow each other, in satoshi.

    Equity at an instant is that of the last mark by then, the deposit before any.
    """
    times = [mark.time_ns for mark in result.marks]
    levels = []
    for edge_ns in edges_ns:
        at = bisect_right(times, edge_ns) - 1
        levels.append(result.marks[at].equity_sat if at >= 0 else result.start_equity_sat)
    return [after - before for before, after in pairwise(levels)]


def days_of(start_ns: int, end_ns: int) -> list[int]:
    """Return `start_ns`, every full day after it, and `end_ns`."""
    return [*range(start_ns, end_ns, NS_PER_DAY), end_ns]


class Interval(NamedTuple):
    """A 95 % interval of a total in satoshi, and the share of resampled totals below zero."""

    low_sat: float
    high_sat: float
    loss_share: float
    block_days: int


def interval_of(daily_sat: Sequence[int], seed: int) -> Interval:
    """Return the stationary-bootstrap interval of the total of daily profits: blocks keep what days do to each other.

    Blocks begin anywhere, wrap around, and have geometric lengths of mean ceil(n^(1/3)) (Politis and Romano, The
    Stationary Bootstrap, JASA 89, 1994); percentiles of 2,000 totals. It takes every day to be of one kind, which a
    contract's life is not quite: it is the least doubt there is.
    """
    count = len(daily_sat)
    block_days = math.ceil(round(count ** (1 / 3), 9))
    draw = Random(seed)  # noqa: S311 - a repeatable resample, no secret
    totals = []
    for _ in range(SAMPLES):
        total, at = 0, draw.randrange(count)
        for _ in range(count):
            total += daily_sat[at]
            at = draw.randrange(count) if draw.random() * block_days < 1.0 else (at + 1) % count
        totals.append(total)
    totals.sort()
    low, high = totals[round(0.025 * (SAMPLES - 1))], totals[round(0.975 * (SAMPLES - 1))]
    return Interval(low, high, sum(total < 0 for total in totals) / SAMPLES, block_days)
