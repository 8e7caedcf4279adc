"""freqtrade from candle to signal, run by its own Python: `python loop_freqtrade.py quotes.txt`. Prints JSON.

freqtrade hears no quotes: it asks for candles and looks at all it holds whenever a new one has come. So each line is
parsed and becomes the last of 500 one-minute candles, the strategy's methods are run over them as FreqtradeBot.process
does (`_analyze_ticker_internal`), and the signals to enter and to leave are read. No order is made: that would need an
exchange to answer, and is left out in its favour, as are fair value, dividends, loans and a database.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

CANDLES, ENTRY, LEAVE = 500, 0.25, 0.05
PAIR = "TH1/BTC"


def banded() -> Any:
    """Return the fair-value band, long only, as a strategy without an exchange."""
    from freqtrade.data.dataprovider import DataProvider
    from freqtrade.enums import CandleType, RunMode
    from freqtrade.strategy import IStrategy

    class Band(IStrategy):  # type: ignore[misc]
        INTERFACE_VERSION = 3
        timeframe = "1m"
        stoploss = -0.99
        minimal_roi = {"0": 100}  # noqa: RUF012 - freqtrade's own form
        process_only_new_candles = False  # every one is new, though all end now

        def populate_indicators(self, dataframe: Any, metadata: Any) -> Any:
            dataframe["edge"] = dataframe["close"] / dataframe["fair"] - 1.0
            return dataframe

        def populate_entry_trend(self, dataframe: Any, metadata: Any) -> Any:
            dataframe.loc[dataframe["edge"] < -ENTRY, "enter_long"] = 1
            return dataframe

        def populate_exit_trend(self, dataframe: Any, metadata: Any) -> Any:
            dataframe.loc[dataframe["edge"] > -LEAVE, "exit_long"] = 1
            return dataframe

    settings = {
        "timeframe": "1m",
        "stake_currency": "BTC",
        "runmode": RunMode.DRY_RUN,
        "candle_type_def": CandleType.SPOT,
        "trading_mode": "spot",
        "exchange": {"name": "bitfinex", "pair_whitelist": [PAIR]},
        "dry_run": True,
    }
    strategy = Band(settings)
    strategy.dp = DataProvider(settings, None)
    return strategy


def latencies(lines: list[str]) -> tuple[list[int], int]:
    """Return the nanoseconds of each candle after the first 500, and how many signals were read."""
    strategy = banded()
    now = pd.Timestamp.now("UTC").floor("min")  # it does not act on old candles
    dates = pd.date_range(end=now, periods=CANDLES, freq="min")
    closes, fairs = [], []
    found, signals = [], 0
    for line in lines:
        began = time.perf_counter_ns()
        _, bid, _, ask, _, fair = json.loads(line)
        closes.append((float(bid) + float(ask)) / 2)
        fairs.append(float(fair))
        if len(closes) < CANDLES:
            continue
        close = pd.Series(closes[-CANDLES:])
        prices = dict.fromkeys(("open", "high", "low", "close"), close)
        candles = pd.DataFrame({"date": dates, **prices, "volume": 1.0, "fair": fairs[-CANDLES:]})
        seen = strategy._analyze_ticker_internal(candles, {"pair": PAIR})
        enter = strategy.get_entry_signal(PAIR, "1m", seen)
        leave = strategy.get_exit_signal(PAIR, "1m", seen)
        found.append(time.perf_counter_ns() - began)
        signals += bool(enter[0]) or bool(leave[1])
    return found, signals


def main() -> None:
    """Print the latencies of a candle, in microseconds."""
    import logging

    import freqtrade

    logging.disable(logging.CRITICAL)
    found, signals = latencies(Path(sys.argv[1]).read_text().splitlines()[: CANDLES + 1_500])
    kept = sorted(found[len(found) // 10 :])  # the first ones warm up
    quantiles = {name: kept[int(share * (len(kept) - 1))] / 1_000 for name, share in (("p50", 0.5), ("p99", 0.99))}
    print(json.dumps({"version": freqtrade.__version__, "quotes": len(kept), "signals": signals, **quantiles}))


if __name__ == "__main__":
    main()
