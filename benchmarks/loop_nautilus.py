"""nautilus_trader from quote to order, run by its own Python: `python loop_nautilus.py quotes.txt`. Prints JSON.

Each line of the file is [time in ns, bid, size, ask, size, fair value], figures as text. A line is parsed, made a
QuoteTick, shown to the simulated venue and to the data engine; the strategy of benchmarks/wide_awake.py (one contract
or none, in turn) is asked, and its order goes through risk and execution engine to that venue, which fills it at once,
as a sandbox run has it. There is no journal, and neither fair value, dividends nor loans are reckoned.
"""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

ENTRY, LEAVE, PATIENCE_NS = 0.25, 0.05, 600 * 10**9


def world() -> tuple[Any, Any, Any, Any]:
    """Return kernel, venue, strategy and instrument, started and wired as BacktestEngine does it."""
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig, SimulatedExchange
    from nautilus_trader.backtest.execution_client import BacktestExecClient
    from nautilus_trader.backtest.models import FillModel, MakerTakerFeeModel
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.model.currencies import BTC
    from nautilus_trader.model.enums import AccountType, OmsType
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money

    instrument, coin = contract()
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    kernel = engine.kernel
    clock = kernel.clock
    venue = SimulatedExchange(
        venue=Venue("PAPER"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        starting_balances=[Money(10_000, BTC), Money(0, coin)],
        base_currency=None,
        default_leverage=Decimal(4),
        leverages={},
        modules=[],
        portfolio=kernel.portfolio,
        msgbus=kernel.msgbus,
        cache=kernel.cache,
        clock=clock,
        fill_model=FillModel(),
        fee_model=MakerTakerFeeModel(),
        use_message_queue=False,
    )
    client = BacktestExecClient(venue, kernel.msgbus, kernel.cache, clock)
    kernel.exec_engine.register_client(client)
    venue.register_client(client)
    kernel.cache.add_instrument(instrument)
    venue.add_instrument(instrument)
    client.start()
    strategy = awake(instrument)
    engine.add_strategy(strategy)
    venue.initialize_account()
    kernel.data_engine.start()
    kernel.risk_engine.start()
    kernel.exec_engine.start()
    strategy.start()
    return kernel, venue, strategy, instrument


def contract() -> tuple[Any, Any]:
    """Return TH1/BTC as an instrument, and TH1."""
    from nautilus_trader.model.currencies import BTC
    from nautilus_trader.model.enums import CurrencyType
    from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
    from nautilus_trader.model.instruments import CurrencyPair
    from nautilus_trader.model.objects import Currency, Price, Quantity

    coin = Currency("TH1", 2, 0, "TH1", CurrencyType.CRYPTO)
    made = CurrencyPair(
        instrument_id=InstrumentId(Symbol("TH1BTC"), Venue("PAPER")),
        raw_symbol=Symbol("TH1BTC"),
        base_currency=coin,
        quote_currency=BTC,
        price_precision=4,
        size_precision=2,
        price_increment=Price.from_str("0.0001"),
        size_increment=Quantity.from_str("0.01"),
        margin_init=Decimal("0.25"),
        margin_maint=Decimal("0.125"),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.002"),
        ts_event=0,
        ts_init=0,
    )
    return made, coin


def awake(instrument: Any) -> Any:
    """Return the strategy of benchmarks/wide_awake.py: it looks at price and fair value, and wants 0 or 1 in turn."""
    from nautilus_trader.model.enums import OrderSide
    from nautilus_trader.trading.strategy import Strategy

    class Awake(Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.fair = 1.0
            self.banded = 0.0
            self.orders = 0

        def on_start(self) -> None:
            self.subscribe_quote_ticks(instrument.id)

        def on_quote_tick(self, tick: Any) -> None:
            edge = (float(tick.bid_price) + float(tick.ask_price)) / 2 / self.fair - 1.0
            held = float(self.portfolio.net_position(instrument.id))
            if edge < -ENTRY:
                self.banded = 1.0
            elif edge > ENTRY:
                self.banded = -1.0
            elif abs(edge) < LEAVE:
                self.banded = 0.0
            want = float(tick.ts_event // PATIENCE_NS % 2)
            if want != held and not self.cache.orders_open_count(instrument_id=instrument.id):
                side = OrderSide.BUY if want > held else OrderSide.SELL
                quantity = instrument.make_qty(abs(want - held))
                self.submit_order(self.order_factory.market(instrument.id, side, quantity))
                self.orders += 1

    return Awake()


def latencies(lines: list[str]) -> tuple[list[int], int]:
    """Return the nanoseconds of each quote, and the orders that were filled."""
    from nautilus_trader.model.data import QuoteTick
    from nautilus_trader.model.objects import Price, Quantity

    kernel, venue, strategy, instrument = world()
    name, clock, process = instrument.id, kernel.clock, kernel.data_engine.process
    found = []
    for line in lines:
        began = time.perf_counter_ns()
        at, bid, bid_size, ask, ask_size, fair = json.loads(line)
        prices = Price.from_str(bid), Price.from_str(ask)
        sizes = Quantity.from_str(bid_size), Quantity.from_str(ask_size)
        tick = QuoteTick(name, *prices, *sizes, at, at)
        clock.set_time(at)
        strategy.clock.set_time(at)
        strategy.fair = float(fair)
        venue.process_quote_tick(tick)
        process(tick)
        found.append(time.perf_counter_ns() - began)
    filled = sum(order.is_closed and order.filled_qty > 0 for order in kernel.cache.orders())
    return found, filled


def main() -> None:
    """Print the latencies of a quote, in microseconds."""
    import gc

    import nautilus_trader

    lines = Path(sys.argv[1]).read_text().splitlines()
    gc.collect()
    gc.freeze()
    found, filled = latencies(lines)
    kept = sorted(found[len(found) // 10 :])  # the first ones warm up
    quantiles = {name: kept[int(share * (len(kept) - 1))] / 1_000 for name, share in (("p50", 0.5), ("p99", 0.99))}
    print(json.dumps({"version": nautilus_trader.__version__, "quotes": len(kept), "filled": filled, **quantiles}))


if __name__ == "__main__":
    main()
