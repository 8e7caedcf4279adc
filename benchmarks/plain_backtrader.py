"""What a backtrader user would write for the same strategy: its own broker, floats, fair value as a line of the feed.

Two variants: `full` has commission, slippage, dividends (add_cash at every block) and interest (a CommissionInfo); `fees` has
commission only. Both leave out what backtrader's broker cannot do: loans, a finite pool, margin steps, liquidation, expiry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import backtrader as bt

from backtests.plan import Plan
from benchmarks.series import LOTS_PER_CONTRACT, fair_values
from bot.core.accrual import block_income_sat
from bot.core.units import NS_PER_DAY, PPB, PPM, SAT_PER_BTC

UNIX_EPOCH_ORDINAL = 719_163  # date(1970, 1, 1).toordinal(): backtrader counts days from year 1


class Row(NamedTuple):
    """One bar as a backtrader user holds it: days, bitcoin per contract, and what one contract earned in it."""

    day: float
    open: float
    high: float
    low: float
    close: float
    volume: float
    fair: float
    dividend: float
    rate_per_day: float


class Bars(bt.feed.DataBase):  # type: ignore[misc]  # backtrader ships no types
    """The rows as a feed, from memory: the fastest feed that a user could write."""

    lines = ("fair", "dividend", "rate")
    params = (("rows", ()),)

    def start(self) -> None:
        """Rewind."""
        super().start()
        self._rows = iter(self.p.rows)

    def _load(self) -> bool:
        row = next(self._rows, None)
        if row is None:
            return False
        lines = self.lines
        lines.datetime[0] = row.day
        lines.open[0] = row.open
        lines.high[0] = row.high
        lines.low[0] = row.low
        lines.close[0] = row.close
        lines.volume[0] = row.volume
        lines.openinterest[0] = 0.0
        lines.fair[0] = row.fair
        lines.dividend[0] = row.dividend
        lines.rate[0] = row.rate_per_day
        return True


class Swap(bt.CommissionInfo):  # type: ignore[misc]
    """Commission and the swap rate of a short, a day at a time, as backtrader counts it."""

    def _get_credit_interest(self, data: Any, size: float, price: float, days: int, dt0: Any, dt1: Any) -> float:
        return float(days * data.rate[0] * abs(size) * data.close[0])


class Band(bt.Strategy):  # type: ignore[misc]
    """The fair-value band of strategies.fair_value_band."""

    params = (("entry", 0.25), ("exit", 0.05), ("size", 0.5), ("dividends", True))

    def next(self) -> None:
        """Collect dividends, then trade the band."""
        position = self.position.size
        if self.p.dividends and position:
            dividend = self.data.dividend[0]
            if dividend:
                self.broker.add_cash(position * dividend)
        price, fair = self.data.close[0], self.data.fair[0]
        edge = price / fair - 1.0 if fair > 0.0 else float("inf")
        if edge < -self.p.entry:
            target = max(position, self._wanted(price))
        elif edge > self.p.entry:
            target = min(position, -self._wanted(price))
        elif (position > 0 and edge > -self.p.exit) or (position < 0 and edge < self.p.exit):
            target = 0
        else:
            return
        if target != position:
            self.order_target_size(target=target)

    def _wanted(self, price: float) -> float:
        return int(self.p.size * self.broker.getvalue() / price * LOTS_PER_CONTRACT) / LOTS_PER_CONTRACT


def rows_of(plan: Plan) -> list[Row]:
    """Return the plan's bars with fair value, dividends and rates laid beside them, as a user would prepare them."""
    bars = plan.history.bars
    rows: list[Row] = []
    block_at = rate_at = 0
    rate_ppb_day = 0
    for bar, fair_sat in zip(bars, fair_values([b.close_ns for b in bars], plan.blocks), strict=True):
        dividend_sat = 0.0
        while block_at < len(plan.blocks) and plan.blocks[block_at].time_ns <= bar.close_ns:
            dividend_sat += _dividend_sat(plan, block_at)
            block_at += 1
        while rate_at < len(plan.history.rates) and plan.history.rates[rate_at].time_ns <= bar.close_ns:
            if plan.history.rates[rate_at].asset:
                rate_ppb_day = plan.history.rates[rate_at].rate_ppb_day
            rate_at += 1
        prices = (bar.open_sat, bar.high_sat, bar.low_sat, bar.close_sat)
        rows.append(
            Row(
                UNIX_EPOCH_ORDINAL + bar.close_ns / NS_PER_DAY,
                *(price / SAT_PER_BTC for price in prices),
                bar.volume_lots / LOTS_PER_CONTRACT,
                fair_sat / SAT_PER_BTC,
                dividend_sat / SAT_PER_BTC,
                rate_ppb_day / PPB,
            )
        )
    return rows


def _dividend_sat(plan: Plan, at: int) -> float:
    terms = plan.settings.contract
    income = block_income_sat(terms, plan.blocks[at])
    return income * (1 - terms.payout.fee_ppm / PPM) * terms.lots_per_contract / terms.tranche_lots


def cerebro(plan: Plan, rows: Sequence[Row], full: bool) -> Any:
    """Return a Cerebro on backtrader's own broker with the strategy and nothing that would slow it down."""
    terms = plan.settings.contract
    engine = bt.Cerebro(stdstats=False)
    engine.adddata(Bars(rows=rows))
    engine.addstrategy(Band, dividends=full)
    engine.broker.setcash(plan.settings.deposit_sat / SAT_PER_BTC)
    fee = terms.taker_fee_ppm / PPM
    if full:
        # `interest` only has to be other than zero for backtrader to ask the CommissionInfo.
        engine.broker.addcommissioninfo(Swap(commission=fee, stocklike=True, interest=0.01))
        engine.broker.set_slippage_perc(plan.settings.rules.half_spread_ppm / PPM)
    else:
        engine.broker.setcommission(commission=fee)
    return engine
