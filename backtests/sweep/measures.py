"""A run as one row: the measures of backtests.metrics, from arrays of marks, in a fraction of the time.

Whole numbers stay whole and floats go through the same functions, so a row equals what a backtest prints to the last
bit; only finding the samples and the deepest fall among a hundred thousand marks is left to numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from backtests.metrics import MAX_SAMPLES, NS_PER_HOUR, period_returns, periods_per_year, sharpe
from backtests.result import RunResult
from backtests.sweep.markets import CONFIGURED
from bot.core.events import Fill, Mark, Notice
from bot.core.units import NS_PER_DAY

Integers = npt.NDArray[np.int64]

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


class Brief(Protocol):
    """What a row is made of, which an engine may return instead of a whole result.

    The arrays are those of the marks before the last one, in time order.
    """

    @property
    def user(self) -> str:
        """The strategy's owner name."""
        ...

    @property
    def start_equity_sat(self) -> int:
        """The deposit."""
        ...

    @property
    def fills(self) -> list[Fill]:
        """All fills."""
        ...

    @property
    def notices(self) -> list[Notice]:
        """All notices."""
        ...

    @property
    def last(self) -> Mark:
        """The mark at the end."""
        ...

    @property
    def time_ns(self) -> Any:
        """Times of marks."""
        ...

    @property
    def position_lots(self) -> Any:
        """Positions at marks."""
        ...

    @property
    def equity_sat(self) -> Any:
        """Equity at marks."""
        ...


@dataclass(frozen=True, slots=True)
class _Marks:
    """What a run left, all of its marks in the arrays."""

    user: str
    start_equity_sat: int
    fills: list[Fill]
    notices: list[Notice]
    time_ns: Integers
    position_lots: Integers
    equity_sat: Integers


def _marks_of(result: RunResult | Brief) -> _Marks:
    if isinstance(result, RunResult):
        marks = np.array(list(result.marks), dtype=np.int64)
        columns = [np.ascontiguousarray(marks[:, column]) for column in (0, 2, 3)]
    else:
        last = result.last
        columns = [
            np.append(result.time_ns, last.time_ns),
            np.append(result.position_lots, last.position_lots),
            np.append(result.equity_sat, last.equity_sat),
        ]
    return _Marks(result.user, result.start_equity_sat, result.fills, result.notices, *columns)


def measured(result: RunResult | Brief, start_ns: int, trial: int, market: int) -> Row:
    """Return the row of a run that began at `start_ns`. Its profit is final equity - deposit: nothing else flows."""
    return _measured(_marks_of(result), start_ns, trial, market)


def _measured(brief: _Marks, start_ns: int, trial: int, market: int) -> Row:
    start_sat = brief.start_equity_sat
    times, equity = brief.time_ns, brief.equity_sat
    if times[0] > start_ns:
        times = np.concatenate(([start_ns], times))
        equity = np.concatenate(([start_sat], equity))
    net_sat = int(equity[-1]) - start_sat
    sampled = _samples(times, equity)
    depth_sat, depth_frac = _fall(equity)
    return Row(
        trial=trial,
        market=market,
        net_sat=net_sat,
        return_frac=net_sat / start_sat if start_sat > 0 else 0.0,
        sharpe_year=sharpe(period_returns(sampled, ()), periods_per_year([time_ns for time_ns, _ in sampled])),
        drawdown_sat=depth_sat,
        drawdown_frac=depth_frac,
        trades=_trades(brief),
        liquidated=any(notice.kind == "liquidation" and notice.user == brief.user for notice in brief.notices),
        daily_sat=(start_sat, *equity[_lasts(times, NS_PER_DAY)].tolist()) if market == CONFIGURED else (),
    )


def _samples(times: Integers, equity: Integers) -> list[tuple[int, int]]:
    """Return the points that backtests.metrics.sample takes: every mark, else the last of each hour, or day."""
    for step_ns in (1, NS_PER_HOUR, NS_PER_DAY):
        lasts = _lasts(times, step_ns)
        first = lasts[:0] if lasts[0] == 0 else [0]
        if len(lasts) + len(first) <= MAX_SAMPLES or step_ns == NS_PER_DAY:
            break
    chosen = np.concatenate((first, lasts)).astype(np.intp)
    return list(zip(times[chosen].tolist(), equity[chosen].tolist(), strict=True))


def _lasts(times: Integers, step_ns: int) -> npt.NDArray[np.intp]:
    """Return the index of the last of the times in each step, rounded down: UTC hours or days."""
    steps = times // step_ns
    return np.append(np.flatnonzero(steps[1:] != steps[:-1]), len(times) - 1)


def _fall(equity: Integers) -> tuple[int, float | None]:
    """Return the deepest fall from a peak before it in satoshi, and as a fraction of that peak."""
    peaks = np.maximum.accumulate(equity)
    falls = peaks - equity
    at = int(np.argmax(falls))
    depth_sat, peak_sat = int(falls[at]), int(peaks[at])
    if depth_sat == 0:
        return 0, 0.0
    return depth_sat, depth_sat / peak_sat if peak_sat > 0 else None


def _trades(brief: _Marks) -> int:
    """Return how often a position was opened, from flat or by turning its sign, as backtests.attribution counts.

    Fills say so. Only collateral that the venue sold changes a position without one before expiry; marks tell of it.
    """
    fills = [(fill.time_ns, fill.size_lots) for fill in brief.fills if fill.user == brief.user]
    if any(notice.kind == "collateral" and notice.user == brief.user for notice in brief.notices):
        fills = _with_sold(fills, list(zip(brief.time_ns.tolist(), brief.position_lots.tolist(), strict=True)))
    held = count = 0
    for _, lots in fills:
        after = held + lots
        count += after != 0 and (held == 0 or (held < 0) != (after < 0))
        held = after
    return count


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
