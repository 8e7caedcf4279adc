"""The usual measures of a run, each with its formula and source; None where a measure has no value.

Returns are taken between samples of equity: r_i = (E_i - F_i) / E_(i-1) - 1, F_i the user's deposits less
withdrawals in between. More marks than `MAX_SAMPLES` are first sampled hourly, then daily (last mark of the
UTC hour or day); the result says which. The periods of a year are 365.25 days / median spacing of samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from backtests.attribution import Attribution, Flow
from backtests.result import RunResult
from bot.core.events import Mark
from bot.core.units import NS_PER_DAY, NS_PER_S, notional_sat

MAX_SAMPLES: Final = 5_000
NS_PER_HOUR: Final = 3_600 * NS_PER_S
NS_PER_YEAR: Final = 365.25 * NS_PER_DAY


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall: `depth_sat` >= 0 from the peak, as `depth_frac` of it (None if the peak was <= 0).

    `recovered_ns` is the first time at or above the peak again, None if that never came.
    """

    depth_sat: int
    depth_frac: float | None
    peak_ns: int
    trough_ns: int
    recovered_ns: int | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """All measures of one run; fractions are of 1, not per cent. `sampling` says how equity was sampled."""

    return_frac: float | None
    sampling: str
    samples: int
    periods_per_year: float | None
    volatility_year: float | None
    sharpe_year: float | None
    sortino_year: float | None
    drawdown: Drawdown | None
    turnover: float | None
    exposure_frac: float | None
    in_market_frac: float | None
    hit_rate: float | None
    profit_factor: float | None
    trades: int
    closed_trades: int
    mean_holding_ns: int | None


def measure(result: RunResult, attribution: Attribution) -> Metrics:
    """Return every measure of `result`, whose profit `attribution` has split."""
    curve = [(mark.time_ns, mark.equity_sat) for mark in result.marks]
    if not curve or curve[0][0] > result.start_ns:
        curve.insert(0, (result.start_ns, result.start_equity_sat))
    sampled, sampling = sample(curve)
    returns = period_returns(sampled, attribution.other_flows)
    periods = periods_per_year([time_ns for time_ns, _ in sampled])
    closed = [trade for trade in attribution.trades if trade.closed_ns is not None]
    profits = [trade.split.total_sat for trade in closed]
    held = [trade.closed_ns - trade.opened_ns for trade in closed if trade.closed_ns is not None]
    exposure, in_market, mean_equity_sat = _occupation(result)
    start_sat = attribution.start_equity_sat
    return Metrics(
        return_frac=attribution.split.total_sat / start_sat if start_sat > 0 else None,
        sampling=sampling,
        samples=len(sampled),
        periods_per_year=periods,
        volatility_year=volatility(returns, periods),
        sharpe_year=sharpe(returns, periods),
        sortino_year=sortino(returns, periods),
        drawdown=max_drawdown(curve, attribution.other_flows),
        turnover=turnover(result, mean_equity_sat),
        exposure_frac=exposure,
        in_market_frac=in_market,
        hit_rate=hit_rate(profits),
        profit_factor=profit_factor(profits),
        trades=len(attribution.trades),
        closed_trades=len(closed),
        mean_holding_ns=sum(held) // len(held) if held else None,  # rounded down to a nanosecond
    )


def sample(curve: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, int]], str]:
    """Return (time_ns, equity_sat) points, `MAX_SAMPLES` at most unless daily, and their step's name.

    The first point is kept, so that the first return is not lost.
    """
    for step_ns, name in ((1, "every mark"), (NS_PER_HOUR, "hourly")):
        points = _last_of_each(curve, step_ns)
        if len(points) <= MAX_SAMPLES:
            return points, name
    return _last_of_each(curve, NS_PER_DAY), "daily"


def _last_of_each(curve: Sequence[tuple[int, int]], step_ns: int) -> list[tuple[int, int]]:
    last = {point[0] // step_ns: point for point in curve}  # rounded down: UTC hours and days
    points = list(last.values())
    return points if not points or points[0] == curve[0] else [curve[0], *points]


def period_returns(curve: Sequence[tuple[int, int]], flows: Sequence[Flow]) -> list[float] | None:
    """Return r_i = (E_i - F_i) / E_(i-1) - 1, or None when equity was ever at or below zero.

    This is the time-weighted return of each period with flows at its end (Bacon, Practical Portfolio
    Performance Measurement and Attribution, 2nd ed. 2008).
    """
    if any(equity_sat <= 0 for _, equity_sat in curve[:-1]):
        return None
    returns, next_flow, before = [], 0, curve[0][1] if curve else 0
    for time_ns, equity_sat in curve[1:]:
        flow_sat = 0
        while next_flow < len(flows) and flows[next_flow].time_ns <= time_ns:
            flow_sat += flows[next_flow].amount_sat
            next_flow += 1
        returns.append((equity_sat - flow_sat) / before - 1.0)
        before = equity_sat
    return returns


def periods_per_year(times_ns: Sequence[int]) -> float | None:
    """Return 365.25 days / median spacing of `times_ns`, None for fewer than two distinct times."""
    gaps = [later - earlier for earlier, later in itertools.pairwise(times_ns) if later > earlier]
    return NS_PER_YEAR / median(gaps) if gaps else None


def _mean_and_deviation(returns: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (n - 1).

    fsum and a product are the same on every machine, and in numpy; a power is what the system's library makes of it.
    """
    mean = math.fsum(returns) / len(returns)
    apart = [value - mean for value in returns]
    return mean, math.sqrt(math.fsum(value * value for value in apart) / (len(returns) - 1))


def volatility(returns: Sequence[float] | None, periods: float | None) -> float | None:
    """Return the annualised volatility s x sqrt(periods), s the sample deviation of returns (n - 1).

    Hull, Options, Futures and Other Derivatives, "Estimating volatility from historical data".
    None for fewer than two returns.
    """
    if returns is None or len(returns) < 2 or periods is None:
        return None
    return _mean_and_deviation(returns)[1] * math.sqrt(periods)


def sharpe(returns: Sequence[float] | None, periods: float | None) -> float | None:
    """Return mean(r) / s x sqrt(periods), risk-free rate 0 (the numeraire is bitcoin itself).

    Sharpe, The Sharpe Ratio, Journal of Portfolio Management 21(1), 1994. The square root of time assumes
    uncorrelated returns (Lo, The Statistics of Sharpe Ratios, Financial Analysts Journal 58(4), 2002).
    None for fewer than two returns and for returns that do not vary.
    """
    if returns is None or len(returns) < 2 or periods is None:
        return None
    mean, deviation = _mean_and_deviation(returns)
    return mean / deviation * math.sqrt(periods) if deviation > 0 else None


def sortino(returns: Sequence[float] | None, periods: float | None) -> float | None:
    """Return mean(r) / sqrt(mean(min(r, 0)^2)) x sqrt(periods), target return 0.

    Sortino and Price, Performance Measurement in a Downside Risk Framework, Journal of Investing 3(3), 1994.
    None for fewer than two returns and when none was negative.
    """
    if returns is None or len(returns) < 2 or periods is None:
        return None
    downside = math.sqrt(math.fsum(min(value, 0.0) ** 2 for value in returns) / len(returns))
    return math.fsum(returns) / len(returns) / downside * math.sqrt(periods) if downside > 0 else None


def max_drawdown(curve: Sequence[tuple[int, int]], flows: Sequence[Flow] = ()) -> Drawdown | None:
    """Return max over t of (max over s <= t of E_s) - E_t flows taken out; None if it never fell.

    Magdon-Ismail and Atiya, Maximum Drawdown, Risk 17(10), 2004. The depth is the largest in satoshi; its
    fraction is of the peak before it.
    """
    flow_sat = next_flow = depth_sat = 0
    peak: tuple[int, int] | None = None
    worst: tuple[tuple[int, int], int] | None = None
    recovered_ns: int | None = None
    for time_ns, equity_sat in curve:
        while next_flow < len(flows) and flows[next_flow].time_ns <= time_ns:
            flow_sat += flows[next_flow].amount_sat
            next_flow += 1
        net_sat = equity_sat - flow_sat
        if peak is None or net_sat >= peak[1]:
            if worst is not None and recovered_ns is None and net_sat >= worst[0][1]:
                recovered_ns = time_ns
            peak = (time_ns, net_sat)
        elif peak[1] - net_sat > depth_sat:
            depth_sat, worst, recovered_ns = peak[1] - net_sat, (peak, time_ns), None
    if worst is None:
        return None
    (peak_ns, peak_sat), trough_ns = worst
    fraction = depth_sat / peak_sat if peak_sat > 0 else None
    return Drawdown(depth_sat, fraction, peak_ns, trough_ns, recovered_ns)


def _occupation(result: RunResult) -> tuple[float | None, float | None, float | None]:
    """Return exposure, time in the market and mean equity, each mark weighted with the time until the next.

    Exposure = sum |v| dt / sum E dt, v the position at the mark; time in the market = sum of dt
    with a position / sum of dt (the "Exposure Time" of backtesting.py). None where a denominator is not
    positive.
    """
    value_time = equity_time = held_ns = total_ns = 0
    lots_per_contract = result.contract.lots_per_contract
    before: Mark | None = None
    for mark in result.marks:
        if before is not None:
            span_ns = mark.time_ns - before.time_ns
            total_ns += span_ns
            equity_time += before.equity_sat * span_ns
            if before.position_lots:
                held_ns += span_ns
                value = notional_sat(before.position_lots, before.price_sat, lots_per_contract)
                value_time += abs(value) * span_ns
        before = mark
    if total_ns <= 0:
        return None, None, None
    exposure = value_time / equity_time if equity_time > 0 else None
    return exposure, held_ns / total_ns, equity_time / total_ns


def turnover(result: RunResult, mean_equity_sat: float | None) -> float | None:
    """Return (value bought + value sold) / time-weighted mean equity over the run, not annualised.

    Both sides are counted (funds report the smaller of purchases and sales: SEC Form N-1A,
    item 13). None without a positive mean equity.
    """
    if mean_equity_sat is None or mean_equity_sat <= 0:
        return None
    traded = 0
    for fill in result.fills:
        if fill.user == result.user:
            traded += notional_sat(abs(fill.size_lots), fill.price_sat, result.contract.lots_per_contract)
    return traded / mean_equity_sat


def hit_rate(profits_sat: Sequence[int]) -> float | None:
    """Return closed trades with profit > 0 / closed trades, all costs included; None without any.

    Kaufman, Trading Systems and Methods, 6th ed. 2019, "percentage of profitable trades".
    """
    return sum(profit > 0 for profit in profits_sat) / len(profits_sat) if profits_sat else None


def profit_factor(profits_sat: Sequence[int]) -> float | None:
    """Return the sum of gains / the sum of losses over closed trades; None when nothing was lost.

    Kaufman, Trading Systems and Methods, 6th ed. 2019, "profit factor".
    """
    lost = -sum(profit for profit in profits_sat if profit < 0)
    return sum(profit for profit in profits_sat if profit > 0) / lost if lost else None
