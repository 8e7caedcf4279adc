"""The backtrader engine: a Cerebro whose feed is our history and whose broker is the exact accounting core.

backtrader calls, for each line of the feed, `broker.next()` and then `strategy.next()`. A line is one market event,
known when it is complete: `next` of the broker takes in everything up to it (blocks, swap rates, the bar's open, where
what was decided on the line before can fill, its close), `next` of the strategy decides. That is the order of
bot.core.events with nothing left over, so cheat-on-open has no use here. One more line stands for the end of the run,
when the contract expires or is marked for the last time: backtrader's analyzers and observers see it too.

Amounts are satoshi, sizes lots, prices satoshi per contract. What backtrader's interface offers and the core lacks is
refused with UnsupportedError, by name.
"""

from __future__ import annotations

from typing import Any, Final

import backtrader as bt

from backtests.backtrader_engine.broker import CoreBroker, CoreStrategy
from backtests.backtrader_engine.feed import MarketFeed
from backtests.plan import Plan
from backtests.reference import paused_collector
from backtests.result import RunResult

__all__ = ["NAME", "CoreBroker", "CoreStrategy", "MarketFeed", "cerebro", "run"]

NAME: Final = "backtrader"


def run(plan: Plan) -> RunResult:
    """Return the result of one plan. Raises StrategyError if the strategy fails."""
    with paused_collector():
        engine = cerebro(plan)
        engine.run()
        return engine.broker.result()  # type: ignore[no-any-return]  # backtrader ships no types


def cerebro(plan: Plan, strategy: type[Any] | None = None, *, stdstats: bool = False, **params: Any) -> Any:
    """Return a Cerebro that runs `plan`, to which analyzers, observers and indicators can be added.

    `strategy` is a bt.Strategy of one's own, given `params`, which then trades in the plan's strategy's place (its
    orders pass the exchange's checks, not the plan's risk limits); None runs the plan's strategy. After
    `run()`, `broker.result()` is the RunResult.
    """
    engine = bt.Cerebro(stdstats=stdstats)
    engine.adddata(MarketFeed(plan), name=plan.settings.contract.symbol)
    engine.setbroker(CoreBroker(plan, marks_itself=strategy is not None))
    engine.addstrategy(strategy or CoreStrategy, **params)
    return engine
