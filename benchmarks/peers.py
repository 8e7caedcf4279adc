"""Other backtesters on the same bars, run by their own Python: `python peers.py rows.csv`, one question a line.

Each runs the fair-value band of plain_backtrader.py with fees of 0.2 % and one contract a trade; none knows dividends,
swap loans or dated margins, so they have less to do. It prints the trades of all as one JSON object, after a first run
that compiles; then for each name read a line with the CPU seconds of a run, what could be prepared prepared before.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

ENTRY, LEAVE, FEE = 0.25, 0.05, 0.002
MINUTE_NS = 60_000_000_000
TICK = 1e-4
CASH = 1e3

Run = Callable[[], Any]
"""One backtest; returns the orders or trades that it made."""


def wanted(position: Any, edge: Any) -> Any:
    """Return the position, in contracts, that the band wants; asked at every bar, in Python or compiled by numba."""
    if edge < -ENTRY:
        return max(position, 1)
    if edge > ENTRY:
        return min(position, -1)
    if (position > 0 and edge > -LEAVE) or (position < 0 and edge < LEAVE):
        return 0
    return position


def vectorbt_signals(rows: pd.DataFrame) -> Callable[[], Run]:
    """Return runs of from_signals: the signals are computed in it, as a user must."""
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
            init_cash=CASH,
        ).trades.count()

    return lambda: run


def vectorbt_order_function(rows: pd.DataFrame) -> Callable[[], Run]:
    """Return runs of from_order_func, which decides bar by bar in machine code."""
    import vectorbt
    from numba import njit
    from vectorbt.portfolio import nb

    fair, wants = rows["fair"].to_numpy(), njit(wanted)

    @njit  # type: ignore[untyped-decorator]
    def order(context: Any, fair: Any, fee: float) -> Any:
        position = context.position_now
        target = wants(position, context.close[context.i, 0] / fair[context.i] - 1.0)
        if target == position:
            return nb.order_nothing_nb()
        return nb.order_nb(target - position, context.close[context.i, 0], fees=fee)

    def run() -> Any:
        return vectorbt.Portfolio.from_order_func(rows["close"], order, fair, FEE, init_cash=CASH).trades.count()

    return lambda: run


def backtesting_py(rows: pd.DataFrame) -> Callable[[], Run]:
    """Return runs of backtesting.py."""
    import backtesting

    class Band(backtesting.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fair = self.I(lambda: rows["fair"].to_numpy(), plot=False)

        def next(self) -> None:
            size = self.position.size
            target = wanted(size, self.data.Close[-1] / self.fair[-1] - 1.0)
            if target == size:
                return
            self.position.close()
            if target > 0:
                self.buy(size=1)
            elif target < 0:
                self.sell(size=1)

    titled = rows.rename(columns=str.title)
    titled.index = pd.date_range("2014-09-15", periods=len(rows), freq="min")
    return lambda: (
        lambda: backtesting.Backtest(titled, Band, cash=CASH, commission=FEE, finalize_trades=True).run()["# Trades"]
    )


def hftbacktest(rows: pd.DataFrame) -> Callable[[], Run]:
    """Return runs of hftbacktest on the faster of its books; a bar is a bid and an ask one tick off its close."""
    import hftbacktest as hft
    from numba import njit

    fair, ticks = rows["fair"].to_numpy(), np.round(rows["close"].to_numpy() / TICK)
    times = (np.arange(len(rows)) + 1) * MINUTE_NS
    events = np.zeros(4 * len(rows), hft.event_dtype)
    for side, (kind, off) in enumerate(((hft.BUY_EVENT, -1), (hft.SELL_EVENT, 1))):
        prices = (ticks + off) * TICK
        before = np.concatenate((prices[:1], prices[:-1]))
        for stage, (level, size) in enumerate(((before, 0.0), (prices, 100.0))):  # the old level goes, the new comes
            part = events[2 * stage + side :: 4]
            part["ev"] = hft.DEPTH_EVENT | hft.EXCH_EVENT | hft.LOCAL_EVENT | kind
            part["exch_ts"] = part["local_ts"] = times
            part["px"], part["qty"] = level, size
    minute, market, kept, wants = MINUTE_NS, hft.MARKET, hft.GTC, njit(wanted)

    @njit  # type: ignore[untyped-decorator]
    def band(book: Any, fair: Any) -> int:
        bar = orders = 0
        going = book.elapse(minute) == 0
        while going:
            depth, position = book.depth(0), book.position(0)
            target = wants(position, (depth.best_bid + depth.best_ask) / 2.0 / fair[bar] - 1.0)
            if target != position:
                orders += 1
                book.clear_inactive_orders(0)
                if target > position:
                    book.submit_buy_order(0, orders, depth.best_ask, target - position, kept, market, False)
                else:
                    book.submit_sell_order(0, orders, depth.best_bid, position - target, kept, market, False)
            bar += 1
            going = book.elapse(minute) == 0
        return orders

    def fresh() -> Run:
        asset = hft.BacktestAsset().data([events]).linear_asset(1.0).constant_order_latency(0, 0)
        asset = asset.risk_adverse_queue_model().no_partial_fill_exchange().trading_value_fee_model(FEE, FEE)
        asset = asset.tick_size(TICK).lot_size(0.01).roi_lb(0.0).roi_ub(float(ticks.max() * TICK * 1.2))
        book = hft.ROIVectorMarketDepthBacktest([asset])
        return lambda: band(book, fair)

    return fresh


def nautilus_trader(rows: pd.DataFrame) -> Callable[[], Run]:
    """Return runs of nautilus_trader's engine on bars, without logs and without its analysis at the end."""
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig, StrategyConfig
    from nautilus_trader.model.currencies import BTC
    from nautilus_trader.model.data import Bar, BarType
    from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money, Price, Quantity
    from nautilus_trader.trading.strategy import Strategy

    venue, instrument = Venue("SIM"), _nautilus_pair()
    pair, kind = instrument.id, BarType.from_str("THX/BTC.SIM-1-MINUTE-LAST-EXTERNAL")
    bars = []
    for at, row in enumerate(zip(rows["open"], rows["high"], rows["low"], rows["close"], strict=True), 1):
        prices = [Price(price, 4) for price in row]
        bars.append(Bar(kind, *prices, Quantity(100, 2), at * MINUTE_NS, at * MINUTE_NS))
    fair = rows["fair"].tolist()

    class Band(Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(StrategyConfig())
            self.bar = self.orders = 0

        def on_start(self) -> None:
            self.subscribe_bars(kind)

        def on_bar(self, bar: Any) -> None:
            position = self.portfolio.net_position(pair)
            target = wanted(position, float(bar.close) / fair[self.bar] - 1.0)
            self.bar += 1
            if target != position:
                self.orders += 1
                side = OrderSide.BUY if target > position else OrderSide.SELL
                self.submit_order(self.order_factory.market(pair, side, Quantity(abs(target - position), 2)))

    def fresh() -> Run:
        config = BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False)
        engine, strategy = BacktestEngine(config), Band()
        engine.add_venue(venue, OmsType.NETTING, AccountType.MARGIN, [Money(CASH, BTC)], base_currency=BTC)
        engine.add_instrument(instrument)
        engine.add_data(bars)
        engine.add_strategy(strategy)

        def run() -> int:
            engine.run()
            return int(strategy.orders)

        return run

    return fresh


def _nautilus_pair() -> Any:
    """Return the contract as an instrument of nautilus_trader's."""
    from decimal import Decimal

    from nautilus_trader.model.currencies import BTC
    from nautilus_trader.model.enums import CurrencyType
    from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
    from nautilus_trader.model.instruments import CurrencyPair
    from nautilus_trader.model.objects import Currency, Price, Quantity

    return CurrencyPair(
        instrument_id=InstrumentId(Symbol("THX/BTC"), Venue("SIM")),
        raw_symbol=Symbol("THXBTC"),
        base_currency=Currency("THX", 8, 0, "THX", CurrencyType.CRYPTO),
        quote_currency=BTC,
        price_precision=4,
        size_precision=2,
        price_increment=Price.from_str("0.0001"),
        size_increment=Quantity.from_str("0.01"),
        margin_init=Decimal("0.1"),
        margin_maint=Decimal("0.05"),
        maker_fee=Decimal(str(FEE)),
        taker_fee=Decimal(str(FEE)),
        ts_event=0,
        ts_init=0,
    )


PEERS = (vectorbt_signals, vectorbt_order_function, backtesting_py, hftbacktest, nautilus_trader)


def main() -> None:
    """Print what the first runs traded, then answer each name with the CPU seconds of another."""
    import warnings

    warnings.simplefilter("ignore")
    rows = pd.read_csv(sys.argv[1])
    peers = {make.__name__: make(rows) for make in PEERS}
    print(json.dumps({name: int(fresh()()) for name, fresh in peers.items()}), flush=True)
    for line in sys.stdin:
        run = peers[line.strip()]()
        before = time.process_time()
        run()
        print(time.process_time() - before, flush=True)


if __name__ == "__main__":
    main()
