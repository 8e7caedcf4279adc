"""What a backtrader user would write for the same strategy: its own broker, floats, fair value as a line of the feed.

`python benchmarks/plain_backtrader.py ROWS.csv` is the whole script; nothing of ours is imported. Its numbers differ from ours
on purpose: it leaves out what backtrader's broker cannot do (loans, a finite pool, shares of a bar's volume, margin
steps, liquidation, expiry). With `full` it has commission, slippage, dividends (add_cash at every block) and
interest (a CommissionInfo); without, commission only.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import backtrader as bt

LOTS_PER_CONTRACT: Final = 100
MOST_CONTRACTS: Final = 50
CASH_BTC: Final = 10.0
FEE: Final = 0.002
HALF_SPREAD: Final = 0.005


class Row(NamedTuple):
    """One bar as a backtrader user holds it: days since year 1, bitcoin per contract, volume in contracts.

    Beside it what the model says, what one contract earned during the bar, and the swap rate per day.
    """

    day: float
    open: float
    high: float
    low: float
    close: float
    volume: float
    fair: float
    dividend: float
    rate: float


class Bars(bt.feed.DataBase):  # type: ignore[misc]  # backtrader ships no types
    """The rows as a feed, from memory: the fastest feed that a user would write."""

    lines = ("fair", "dividend", "rate")
    params = (("rows", ()),)

    def start(self) -> None:
        """Begin with the first row."""
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
        lines.rate[0] = row.rate
        return True


class Swap(bt.CommissionInfo):  # type: ignore[misc]
    """Commission, and the swap rate of a short, a day at a time, as backtrader counts it."""

    def _get_credit_interest(self, data: Any, size: float, price: float, days: int, dt0: Any, dt1: Any) -> float:
        return float(days * data.rate[0] * abs(size) * data.close[0])


class Band(bt.Strategy):  # type: ignore[misc]
    """The fair-value band of strategies.fair_value_band."""

    params = (("entry", 0.25), ("exit", 0.05), ("size", 0.5), ("tolerance", 0.2), ("dividends", True))

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
            target = self._grown(position, self._wanted(price))
        elif edge > self.p.entry:
            target = self._grown(position, -self._wanted(price))
        elif (position > 0 and edge > -self.p.exit) or (position < 0 and edge < self.p.exit):
            target = 0
        else:
            return
        if target != position:
            self.order_target_size(target=target)

    def _wanted(self, price: float) -> float:
        contracts = int(self.p.size * self.broker.getvalue() / price * LOTS_PER_CONTRACT) / LOTS_PER_CONTRACT
        return min(contracts, MOST_CONTRACTS)

    def _grown(self, position: float, wanted: float) -> float:
        if position * wanted > 0 and abs(position) >= (1.0 - self.p.tolerance) * abs(wanted):
            return position
        return wanted


def cerebro(rows: Sequence[Row], *, full: bool, observers: bool) -> Any:
    """Return a Cerebro on backtrader's own broker; `observers` is backtrader's default (cash, value, trades)."""
    engine = bt.Cerebro(stdstats=observers)
    engine.adddata(Bars(rows=rows))
    engine.addstrategy(Band, dividends=full)
    engine.broker.setcash(CASH_BTC)
    if full:
        # `interest` only has to be other than zero for backtrader to ask the CommissionInfo.
        engine.broker.addcommissioninfo(Swap(commission=FEE, stocklike=True, interest=0.01))
        engine.broker.set_slippage_perc(HALF_SPREAD)
    else:
        engine.broker.setcommission(commission=FEE)
    return engine


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a CSV file whose columns are those of Row."""
    with path.open(encoding="ascii", newline="") as lines:
        reader = csv.reader(lines)
        next(reader)
        return [Row(*map(float, values)) for values in reader]


def main(path: str) -> None:
    """Run the script on a file and print what it ended with."""
    engine = cerebro(read_rows(Path(path)), full=True, observers=True)
    engine.run()
    print(f"{engine.broker.getvalue():.8f} BTC")


if __name__ == "__main__":
    main(sys.argv[1])
