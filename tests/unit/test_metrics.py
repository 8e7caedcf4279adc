"""Measures against numbers worked out by hand, and None where there is no number."""

from __future__ import annotations

import dataclasses
import math
import statistics

import pytest

from backtests.attribution import Attribution, Flow, Split, Trade
from backtests.metrics import (
    MAX_SAMPLES,
    NS_PER_HOUR,
    Drawdown,
    hit_rate,
    max_drawdown,
    measure,
    period_returns,
    periods_per_year,
    profit_factor,
    sample,
    sharpe,
    sortino,
    volatility,
)
from backtests.result import RunResult
from bot.core.contract import Contract, Lending, Payout
from bot.core.events import Fill, Mark
from bot.core.units import NS_PER_DAY

CONTRACT = Contract(
    id="T",
    symbol="TH1BTC",
    asset="TH1",
    kind="dividend_term",
    hash_rate_hs=10**12,
    lots_per_contract=100,
    tick_sat=1,
    tranche_lots=10_000,
    start_ns=0,
    end_ns=NS_PER_DAY,
    payout=Payout("pps", 30_000, False, 0, 0),
    margin=(),
    collateral=(),
    margin_call_ppm=1_500_000,
    lending=Lending(2, 30, 150_000, 7_500_000, "mark"),
    maker_fee_ppm=1_000,
    taker_fee_ppm=2_000,
)


def run(marks: list[Mark], fills: list[Fill] | None = None, start_sat: int = 1_000) -> RunResult:
    end_ns = marks[-1].time_ns if marks else 0
    return RunResult("s", "test", "s", CONTRACT, 0, end_ns, start_sat, fills or [], [], marks, [], [], {})


def profit(net_sat: int, start_sat: int = 1_000, trades: tuple[Trade, ...] = ()) -> Attribution:
    return Attribution("s", start_sat, start_sat + net_sat, (), Split(net_sat), Split(), trades)


def trade(number: int, opened_ns: int, closed_ns: int | None, net_sat: int) -> Trade:
    return Trade(number, 1, opened_ns, closed_ns, "trade", 1, 1, 1, Split(net_sat))


def test_sharpe_sortino_and_volatility_by_hand() -> None:
    """Returns of 10 %, -10 % and 30 %: mean 10 %, deviation 20 %, downside sqrt(0.01/3)."""
    returns = [0.1, -0.1, 0.3]
    assert volatility(returns, 4.0) == pytest.approx(0.4)
    assert sharpe(returns, 4.0) == pytest.approx(1.0)
    assert sortino(returns, 4.0) == pytest.approx(0.1 / math.sqrt(0.01 / 3) * 2)
    assert volatility(returns, 1.0) == pytest.approx(statistics.stdev(returns))


@pytest.mark.parametrize("returns", [None, [], [0.1]])
def test_too_short_a_series_has_no_ratio(returns: list[float] | None) -> None:
    """Fewer than two returns, or equity at or below zero, give None and never a NaN."""
    assert volatility(returns, 4.0) is sharpe(returns, 4.0) is sortino(returns, 4.0) is None


def test_flat_series_has_no_ratio() -> None:
    """Equity that never moves has volatility 0 and no ratio; equity that never falls has no Sortino."""
    assert volatility([0.0, 0.0], 4.0) == 0.0
    assert sharpe([0.0, 0.0], 4.0) is None
    assert sortino([0.1, 0.2], 4.0) is None


def test_periods_come_from_the_median_spacing() -> None:
    """Hours with one long gap are hours; a year has 8,766 of them."""
    times = [0, NS_PER_HOUR, 2 * NS_PER_HOUR, 50 * NS_PER_HOUR, 51 * NS_PER_HOUR]
    assert periods_per_year(times) == pytest.approx(8_766)
    assert periods_per_year([5, 5]) is None


def test_flows_are_not_returns() -> None:
    """A deposit of 500 between two marks is taken out of the return of its period."""
    curve = [(0, 1_000), (10, 1_600), (20, 1_600)]
    assert period_returns(curve, [Flow(5, 500)]) == pytest.approx([0.1, 0.0])
    assert period_returns([(0, 1_000), (1, 0), (2, 5)], []) is None


def test_long_series_are_sampled_hourly_then_daily() -> None:
    """What is kept is the last mark of the hour or the day, and the first of all."""
    minutes = [(k * 60_000_000_000, k) for k in range(MAX_SAMPLES + 1)]
    points, name = sample(minutes)
    assert name == "hourly"
    assert points[:3] == [(0, 0), (59 * 60_000_000_000, 59), (119 * 60_000_000_000, 119)]
    hours = [(k * NS_PER_HOUR, k) for k in range(MAX_SAMPLES + 1)]
    points, name = sample(hours)
    assert name == "daily"
    assert points[1] == (23 * NS_PER_HOUR, 23)
    assert sample(hours[:-1])[1] == "every mark"
    assert sample([]) == ([], "every mark")


def test_drawdown_finds_the_deepest_fall_and_its_recovery() -> None:
    """Of falls by 10 and 30 the second counts; it is over when the peak of 120 is reached again."""
    curve = [(0, 100), (1, 90), (2, 120), (3, 110), (4, 90), (5, 119), (6, 120), (7, 110)]
    assert max_drawdown(curve) == Drawdown(30, 0.25, 2, 4, 6)
    assert max_drawdown(curve[:6]) == Drawdown(30, 0.25, 2, 4, None)
    assert max_drawdown([(0, 1), (1, 2)]) is None
    assert max_drawdown([]) is None


def test_drawdown_is_not_a_withdrawal() -> None:
    """Money taken out is no loss; a loss below zero has no fraction."""
    assert max_drawdown([(0, 100), (10, 50)], [Flow(5, -50)]) is None
    assert max_drawdown([(0, 0), (1, -5)]) == Drawdown(5, None, 0, 1, None)


def test_hits_and_profit_factor() -> None:
    """Two of four trades gain, zero is no hit; gains 30 against losses 20."""
    assert hit_rate([10, 20, 0, -20]) == 0.5
    assert profit_factor([10, 20, 0, -20]) == 1.5
    assert profit_factor([10]) is None
    assert profit_factor([]) is hit_rate([]) is None


def test_measures_of_a_run() -> None:
    """Half of the time in the market with a quarter of equity: exposure 1/8; turnover 500/1000."""
    hour = NS_PER_HOUR
    marks = [Mark(0, 250, 0, 1_000), Mark(hour, 250, 100, 1_000), Mark(2 * hour, 250, 0, 1_000)]
    fills = [
        Fill(1, 1, "s", "trading", 100, 250, 0, 250, False),
        Fill(hour + 1, 2, "s", "trading", -100, 250, 0, 250, False),
        Fill(2, 3, "other", "trading", 100, 250, 0, 250, False),
    ]
    trades = (trade(1, 0, 10, 5), trade(2, 20, 51, -1), trade(3, 60, None, 7))
    metrics = measure(run(marks, fills), profit(11, trades=trades))
    assert metrics.return_frac == pytest.approx(0.011)
    assert metrics.in_market_frac == 0.5
    assert metrics.exposure_frac == pytest.approx(0.125)
    assert metrics.turnover == pytest.approx(0.5)
    assert (metrics.trades, metrics.closed_trades, metrics.hit_rate, metrics.profit_factor) == (3, 2, 0.5, 5.0)
    assert metrics.mean_holding_ns == 20  # (10 + 31) / 2, rounded down
    assert (metrics.sampling, metrics.samples, metrics.periods_per_year) == ("every mark", 3, 8_766.0)


@pytest.mark.parametrize("marks", [[], [Mark(0, 1, 0, 1_000)], [Mark(5, 1, 0, 0), Mark(9, 1, 0, 0)]])
def test_degenerate_runs_have_none_not_nan(marks: list[Mark]) -> None:
    """No mark, one mark, or nothing left: every measure is a finite number or None."""
    metrics = measure(run(marks, start_sat=0), profit(0, start_sat=0))
    for value in dataclasses.asdict(metrics).values():
        assert not isinstance(value, float) or math.isfinite(value)
    assert metrics.return_frac is metrics.sharpe_year is metrics.turnover is None
