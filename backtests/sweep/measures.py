"""A run as one row: the measures of backtests.metrics, from a few samples of equity, in a fraction of the time.

Whole numbers stay whole, and floats go through the same operations in the same order, so a row equals what a backtest
prints to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final

import numpy as np

from backtests.brief import Brief, Integers, ResultInBrief
from backtests.exact import fsum
from backtests.metrics import period_returns, sharpe
from backtests.plan import Plan
from backtests.result import RunResult
from backtests.sweep.markets import CONFIGURED
from backtests.sweep.timeline import Sampling, Timeline, sampling_of

TIMED_OUT: Final = "TimedOut"
WORKER_DIED: Final = "WorkerDied"
CIRCUMSTANCES: Final = (TIMED_OUT, WORKER_DIED)
"""What a row's error begins with where another time, or another machine, may do better."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one trial did on one market (`market`: 0 the configured one, else the seed of a simulated one).

    Amounts are satoshi. `net_sat` is what `fairhash backtest` prints for the same parameters; `sharpe_year` is
    annualised as there (risk-free rate 0, square root of the samples a year). `drawdown_frac` is a fraction of the
    peak. `trades` counts positions opened. `daily_sat` is the equity at the end of each UTC day, the deposit first;
    only of the configured market. `error` says what failed; then nothing else is known.
    """

    trial: int
    market: int
    error: str = ""
    net_sat: int = 0
    return_frac: float = 0.0
    sharpe_year: float | None = None
    drawdown_sat: int = 0
    drawdown_frac: float | None = None
    trades: int = 0
    liquidated: bool = False
    daily_sat: tuple[int, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return Row, _values(self)  # what another process is sent: half of what pickle does by itself


_values: Final[Callable[[Row], tuple[Any, ...]]] = attrgetter(*(field.name for field in fields(Row)))


@dataclass(frozen=True, slots=True)
class Runner:
    """What runs plans on one history and makes rows of them.

    `timeline` is of that history, for an engine's briefs. `make` makes what the run of a plan takes and later runs will
    find made: it may be called before.
    """

    run: Callable[[Plan], RunResult | Brief]
    timeline: Timeline | None = None
    make: Callable[[Plan], object] | None = None

    def row(self, plan: Plan, trial: int = 0, market: int = CONFIGURED) -> Row:
        """Return the row of one plan."""
        return measured(self.run(plan), plan.settings.start_ns, trial, market, self.timeline)


def measured(
    result: RunResult | Brief, start_ns: int, trial: int, market: int, timeline: Timeline | None = None
) -> Row:
    """Return the row of a run that began at `start_ns`. Its profit is final equity - deposit: nothing else flows.

    `timeline` is that of the history, where many runs on it are measured.
    """
    brief = ResultInBrief(result) if isinstance(result, RunResult) else result
    start_sat, last, times_ns = brief.start_equity_sat, brief.last, brief.time_ns
    if timeline is None:
        sampling = sampling_of(times_ns, last.time_ns, start_ns)
    else:
        sampling = timeline.sampling(len(times_ns), last.time_ns)
    sampled = _sampled(brief, sampling)
    net_sat = last.equity_sat - start_sat
    depth_sat, peak_sat = brief.fall
    told = brief.told
    return Row(
        trial=trial,
        market=market,
        net_sat=net_sat,
        return_frac=net_sat / start_sat if start_sat > 0 else 0.0,
        sharpe_year=_sharpe(sampled, sampling.periods),
        drawdown_sat=depth_sat,
        drawdown_frac=_fraction(depth_sat, peak_sat),
        trades=_trades(brief, told),
        liquidated="liquidation" in told,
        daily_sat=(start_sat, *sampled[sampling.days].tolist()) if market == CONFIGURED else (),
    )


def _sampled(brief: Brief, sampling: Sampling) -> Integers:
    """Return the samples of equity: those that the run was asked for, or out of all its marks if it ended otherwise."""
    was_asked = brief.samples is sampling.events
    marks = brief.sampled_sat if was_asked else brief.equity_sat[sampling.events]
    start, last = (brief.start_equity_sat,), (brief.last.equity_sat,)
    return np.concatenate((start, marks, last) if sampling.is_late else (marks, last))


def _sharpe(sampled: Integers, periods: float | None) -> float | None:
    """Return what backtests.metrics.sharpe does of these samples, to the last bit."""
    if len(sampled) < 3 or periods is None or int(sampled[:-1].min()) <= 0:
        return None
    if max(int(sampled.max()), -int(sampled[-1])) > _EXACT_SAT:
        return sharpe(period_returns(list(enumerate(sampled.tolist())), ()), periods)
    returns = sampled[1:] / sampled[:-1] - 1.0
    mean = fsum(returns) / len(returns)
    apart = returns - mean
    deviation = math.sqrt(fsum(apart * apart) / (len(returns) - 1))
    return mean / deviation * math.sqrt(periods) if deviation > 0 else None


_EXACT_SAT: Final = 1 << 53
"""Up to here every whole number is a float, and the quotient of two is rounded as Python rounds it."""


def _fraction(depth_sat: int, peak_sat: int) -> float | None:
    """Return a fall as a fraction of the peak before it."""
    if depth_sat == 0:
        return 0.0
    return depth_sat / peak_sat if peak_sat > 0 else None


def _trades(brief: Brief, told: frozenset[str]) -> int:
    """Return how often a position was opened, from flat or by turning its sign, as backtests.attribution counts.

    Fills say so. Only collateral that the venue sold changes a position without one before expiry; marks tell of it.
    """
    sizes = brief.sizes
    lots = sizes[:, 1]
    if "collateral" in told:
        last = brief.last
        marks = [*zip(brief.time_ns.tolist(), brief.position_lots.tolist(), strict=True)]
        sold = _with_sold(list(map(tuple, sizes.tolist())), [*marks, (last.time_ns, last.position_lots)])
        lots = np.array([size for _, size in sold], np.int64)
    side = np.sign(lots.cumsum())
    before = np.concatenate(((0,), side[:-1]))
    return int(np.count_nonzero((side != 0) & (side != before)))


def _with_sold(fills: list[tuple[int, int]], marks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the fills with what marks show to have been sold besides them.

    Fills at a mark's own instant come before it (a quote) or after it (the next bar's open): whichever fits.
    """
    found: list[tuple[int, int]] = []
    held = at = 0
    for time_ns, lots in marks:
        while at < len(fills) and (fills[at][0] < time_ns or (fills[at][0] == time_ns and held != lots)):
            held += fills[at][1]
            found.append(fills[at])
            at += 1
        if held != lots:
            found.append((time_ns, lots - held))
            held = lots
    return found + fills[at:]
