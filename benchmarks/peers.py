"""Other backtesters on the same bars, run by their own Python: `python peers.py rows.csv`. Prints one JSON object.

Each runs the fair-value band of plain_backtrader.py with fees of 0.2 %; neither knows dividends, swap loans or margin
calls, so they have less to do. CPU seconds, the least of three rounds, after a first one that compiles.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import pandas as pd

ENTRY, LEAVE, FEE = 0.25, 0.05, 0.002


def measured(run: Callable[[], Any]) -> dict[str, float]:
    """Return the CPU seconds of the fastest of three runs after a first, and the trades that it made."""
    trades = int(run())
    seconds = []
    for _ in range(3):
        before = time.process_time()
        run()
        seconds.append(time.process_time() - before)
    return {"seconds": min(seconds), "trades": trades}


def vectorbt_signals(rows: pd.DataFrame) -> Callable[[], Any]:
    """Return a run of from_signals: the signals are computed in it, as a user must."""
    import vectorbt

    def run() -> Any:
        edge = rows["close"] / rows["fair"] - 1.0
        return vectorbt.Portfolio.from_signals(
            rows["close"],
            entries=edge < -ENTRY,
            exits=edge > -LEAVE,
            short_entries=edge > ENTRY,
            short_exits=edge < LEAVE,
            size=1.0,
            fees=FEE,
            init_cash=1e3,
        ).trades.count()

    return run


def vectorbt_order_function(rows: pd.DataFrame) -> Callable[[], Any]:
    """Return a run of from_order_func, which decides bar by bar in machine code."""
    import vectorbt
    from numba import njit
    from vectorbt.portfolio import nb

    fair = rows["fair"].to_numpy()

    @njit  # type: ignore[untyped-decorator]
    def order(context: Any, fair: Any, entry: float, leave: float, fee: float) -> Any:
        edge = context.close[context.i, 0] / fair[context.i] - 1.0
        position = context.position_now
        target = position
        if edge < -entry:
            target = max(position, 1.0)
        elif edge > entry:
            target = min(position, -1.0)
        elif (position > 0 and edge > -leave) or (position < 0 and edge < leave):
            target = 0.0
        if target == position:
            return nb.order_nothing_nb()
        return nb.order_nb(target - position, context.close[context.i, 0], fees=fee)

    def run() -> Any:
        return vectorbt.Portfolio.from_order_func(
            rows["close"], order, fair, ENTRY, LEAVE, FEE, init_cash=1e3
        ).trades.count()

    return run


def backtesting_py(rows: pd.DataFrame) -> Callable[[], Any]:
    """Return a run of backtesting.py."""
    import backtesting

    class Band(backtesting.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fair = self.I(lambda: rows["fair"].to_numpy(), plot=False)

        def next(self) -> None:
            edge = self.data.Close[-1] / self.fair[-1] - 1.0
            size = self.position.size
            if edge < -ENTRY and size <= 0:
                self.position.close()
                self.buy(size=1)
            elif edge > ENTRY and size >= 0:
                self.position.close()
                self.sell(size=1)
            elif (size > 0 and edge > -LEAVE) or (size < 0 and edge < LEAVE):
                self.position.close()

    titled = rows.rename(columns=str.title)
    return lambda: backtesting.Backtest(titled, Band, cash=1e3, commission=FEE, finalize_trades=True).run()["# Trades"]


def main() -> None:
    """Print CPU seconds and trades by name."""
    import warnings

    warnings.simplefilter("ignore")
    rows = pd.read_csv(sys.argv[1])
    rows.index = pd.date_range("2014-09-15", periods=len(rows), freq="min")
    found: dict[str, dict[str, float]] = {}
    for make in (vectorbt_signals, vectorbt_order_function, backtesting_py):
        found[make.__name__] = measured(make(rows))
    print(json.dumps({"bars": len(rows), "runs": found}))


if __name__ == "__main__":
    main()
