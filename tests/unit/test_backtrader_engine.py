"""backtrader's own analyzers, observers and strategies work on the core, and what the core lacks is refused by name."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import backtrader as bt
import pytest

from backtests import backtrader_engine, reference
from backtests.backtrader_engine.feed import UNIX_EPOCH_DAY
from backtests.parity import compare
from backtests.plan import Plan
from backtests.result import RunResult
from bot.core.events import BTC, CONTRACT
from bot.core.order import DEPOSIT, EXCHANGE, PlaceOffer, Rejection, Transfer
from bot.core.units import NS_PER_DAY
from bot.errors import UnsupportedError
from tests.parity.histories import START_NS, random_plan, squeezed_plan


def busy_plan(kind: str = "bars", use: str = "moody") -> Plan:
    """Return a plan in which several positions are opened and closed."""
    for seed in range(500):
        plan = random_plan(seed, kind, use, debug=False)
        result = reference.run(plan)
        if closings(result) >= 3 and plan.end_ns >= result.contract.end_ns and len(result.marks) > 30:
            return plan
    raise AssertionError("no seed gives a busy plan")


def closings(result: RunResult) -> int:
    """Count how often the position came back to nothing or changed its side, expiry included."""
    held = closed = 0
    for fill in result.fills:
        after = held + fill.size_lots
        closed += held != 0 and (after == 0 or (after > 0) != (held > 0))
        held = after
    return closed + (held != 0 and result.end_ns >= result.contract.end_ns)


def calm_plan() -> Plan:
    """Return 400 calm minute bars with plenty of volume and loans, and no strategy that disturbs."""
    plan = squeezed_plan(3)
    rules = replace(plan.settings.rules, participation_ppm=1_000_000, half_spread_ppm=0)
    terms = replace(plan.settings.contract, maker_fee_ppm=1_000, taker_fee_ppm=2_000, lots_per_contract=100)
    return replace(plan, settings=replace(plan.settings, contract=terms, deposit_sat=10**9, rules=rules))


def run_own(strategy: type[bt.Strategy], plan: Plan | None = None, **params: Any) -> tuple[Any, Any]:
    """Run a bt.Strategy on the core and return it and its broker."""
    engine = backtrader_engine.cerebro(plan or calm_plan(), strategy, **params)
    (found,) = engine.run()
    return found, engine.broker


# Analyzers and observers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bars", "quotes"])
def test_analyzers_agree_with_our_numbers(kind: str) -> None:
    plan = busy_plan(kind)
    engine = backtrader_engine.cerebro(plan, stdstats=True)
    for analyzer in (
        bt.analyzers.TradeAnalyzer,
        bt.analyzers.DrawDown,
        bt.analyzers.Returns,
        bt.analyzers.Transactions,
    ):
        engine.addanalyzer(analyzer)
    engine.addanalyzer(bt.analyzers.TimeReturn, timeframe=bt.TimeFrame.NoTimeFrame)
    engine.addanalyzer(bt.analyzers.SharpeRatio, timeframe=bt.TimeFrame.Days)
    (strategy,) = engine.run()
    result = engine.broker.result()
    found = {name: analyzer.get_analysis() for name, analyzer in strategy.analyzers.getitems()}

    trades = found["tradeanalyzer"]
    assert trades.total.closed == closings(result)
    assert trades.total.get("open", 0) == 0
    start, final = result.start_equity_sat, result.marks[-1].equity_sat
    assert engine.broker.getvalue() == final
    assert found["returns"]["rtot"] == pytest.approx(math.log(final / start))
    assert list(found["timereturn"].values())[-1] == pytest.approx(final / start - 1.0)

    peak, worst = start, 0.0
    for mark in result.marks:
        peak = max(peak, mark.equity_sat)
        worst = max(worst, 100.0 * (peak - mark.equity_sat) / peak)
    assert found["drawdown"].max.drawdown == pytest.approx(worst)

    bought = sum(row[0] for rows in found["transactions"].values() for row in rows)
    assert bought == 0, "the expiry's closing transaction is one of them"
    fees = sum(trade.commission for trades in strategy._trades.values() for many in trades.values() for trade in many)
    assert fees == sum(fill.fee_sat for fill in result.fills)


def test_observers_see_every_mark_and_the_end() -> None:
    plan = busy_plan()
    engine = backtrader_engine.cerebro(plan, stdstats=True)
    (strategy,) = engine.run()
    values = list(strategy.observers.broker.lines.value.get(size=len(strategy)))
    marks = engine.broker.result().marks
    seen = [mark.equity_sat for mark in marks]
    assert values[: len(seen) - 1] == seen[:-1]
    assert values[-1] == seen[-1]
    assert len(values) == len(plan.history.bars) + 1


def test_settings_of_cerebro_do_not_change_the_result() -> None:
    plan = busy_plan()
    expected = reference.run(plan)
    for options in ({"runonce": False}, {"preload": False}, {"exactbars": 1}, {"exactbars": -1}, {"quicknotify": True}):
        engine = backtrader_engine.cerebro(plan)
        engine.run(**options)
        compare([expected, engine.broker.result()])


def test_an_indicator_of_the_users_leaves_the_result_alone() -> None:
    plan = busy_plan()
    engine = backtrader_engine.cerebro(plan)
    engine.addindicator(bt.indicators.SMA, period=10)
    engine.run()
    compare([reference.run(plan), engine.broker.result()])


def test_a_cerebro_can_run_twice() -> None:
    plan = busy_plan()
    engine = backtrader_engine.cerebro(plan)
    engine.run()
    first = engine.broker.result()
    engine.run()
    compare([first, engine.broker.result()])


def test_the_feed_has_a_line_for_each_event_and_one_for_the_end() -> None:
    plan = busy_plan("quotes")
    engine = backtrader_engine.cerebro(plan)
    engine.run()
    data = engine.datas[0]
    quotes = [quote for quote in plan.history.quotes if quote.time_ns <= plan.end_ns]
    assert list(data.close.array)[:-1] == [(quote.bid_sat + quote.ask_sat) // 2 for quote in quotes]
    assert list(data.datetime.array)[:-1] == [UNIX_EPOCH_DAY + quote.time_ns / NS_PER_DAY for quote in quotes]
    assert data.close.array[-1] == 0.0, "the contract has expired"


def test_days_are_backtraders_days() -> None:
    assert bt.num2date(UNIX_EPOCH_DAY + START_NS / NS_PER_DAY).isoformat() == "2014-09-15T00:00:00"


# A strategy of one's own -----------------------------------------------------------------------------------------


class Script(bt.Strategy):  # type: ignore[misc]
    """Does at each line what `steps` says, and keeps what it is told."""

    params = (("steps", None),)

    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []
        self.trades: list[Any] = []
        self.values: list[int] = []
        self.sent: dict[int, Any] = {}

    def notify_order(self, order: Any) -> None:
        """Note an order's status."""
        self.told.append((len(self), order.getstatusname()))
        self.last = order

    def notify_trade(self, trade: Any) -> None:
        """Note a closed trade."""
        if trade.isclosed:
            self.trades.append(trade)

    def next(self) -> None:
        """Do this line's step."""
        self.values.append(self.broker.getvalue())
        step = self.p.steps.get(len(self))
        if step is not None:
            self.sent[len(self)] = step(self)


def test_own_strategy_settles_in_the_ledger() -> None:
    steps = {
        2: lambda s: s.sell(size=30),
        5: lambda s: s.buy(size=50),
        9: lambda s: s.close(),
    }
    strategy, broker = run_own(Script, steps=steps)
    result = broker.result()
    assert [(fill.size_lots, fill.wallet) for fill in result.fills] == [
        (-30, "trading"),  # sold short, with borrowed contracts
        (50, "trading"),  # bought back, the rest with borrowed bitcoin
        (-20, "trading"),
    ]
    assert [status for _, status in strategy.told[:3]] == ["Submitted", "Accepted", "Completed"]
    assert strategy.told[0][0] == 3, "what was sent on line 2 is reported on line 3, where it filled"
    assert strategy.values == [mark.equity_sat for mark in result.marks]
    assert {posting.kind for posting in result.postings} >= {"loan", "trade", "fee", "repay", "interest"}
    balances: dict[str, int] = {}
    for posting in result.postings:
        balances[posting.account] = balances.get(posting.account, 0) + posting.amount
    assert {name: amount for name, amount in balances.items() if amount} == {
        name: amount for name, amount in result.final_balances.items() if amount
    }
    broker.session.check()


def test_trades_carry_our_fees_and_prices() -> None:
    strategy, broker = run_own(Script, steps={2: lambda s: s.buy(size=100), 6: lambda s: s.sell(size=100)})
    bought, sold = broker.result().fills
    (trade,) = strategy.trades
    per_contract = broker.plan.settings.contract.lots_per_contract
    assert trade.pnl == pytest.approx(100 * (sold.price_sat - bought.price_sat) / per_contract)
    assert trade.commission == bought.fee_sat + sold.fee_sat
    assert broker.getposition(None).size == 0


def test_limit_orders_rest_fill_and_are_cancelled() -> None:
    def low(strategy: Any) -> Any:
        return strategy.buy(size=5, exectype=bt.Order.Limit, price=1_000_000)

    def cancel(strategy: Any) -> Any:
        assert len(strategy.broker.get_orders_open()) == 1
        strategy.cancel(strategy.sent[2])
        return strategy.broker.cancel(strategy.sent[2])

    strategy, broker = run_own(Script, steps={2: low, 4: cancel})
    assert [status for _, status in strategy.told] == ["Submitted", "Accepted", "Canceled"]
    assert strategy.sent[4] is False, "it had ended"
    assert broker.get_orders_open() == []
    assert broker.result().fills == []
    assert broker.orderstatus(strategy.last) == bt.Order.Canceled


def test_partial_fills_are_reported_one_by_one() -> None:
    plan = calm_plan()
    bars = [bar._replace(volume_lots=40) for bar in plan.history.bars]
    plan = replace(plan, history=replace(plan.history, bars=bars))
    strategy, broker = run_own(Script, plan, steps={2: lambda s: s.buy(size=100)})
    assert [status for _, status in strategy.told] == ["Submitted", "Accepted", "Partial", "Partial", "Completed"]
    assert [fill.size_lots for fill in broker.result().fills] == [40, 40, 20]
    assert strategy.last.executed.size == 100
    assert len(strategy.last.executed.exbits) == 3


def test_orders_that_money_does_not_cover_are_margin_and_others_rejected() -> None:
    steps = {2: lambda s: s.buy(size=10**5), 4: lambda s: s.sell(size=5, reduce_only=True, wallet="trading")}
    strategy, broker = run_own(Script, steps=steps)
    assert [status for _, status in strategy.told] == ["Submitted", "Margin", "Submitted", "Rejected"]
    assert strategy.last.info.reason.startswith("NOTHING_TO_REDUCE")
    assert broker.result().fills == []


def test_liquidation_is_reported_as_an_order_of_the_venue() -> None:
    class Overreaching(Script):
        def notify_order(self, order: Any) -> None:
            super().notify_order(order)
            self.forced = [*getattr(self, "forced", []), order] if order.info.get("forced") else []

    for seed in range(40):
        plan = squeezed_plan(seed)
        lots = -plan.strategy.params.lots
        if lots > 0:
            strategy, broker = run_own(Overreaching, plan, steps={2: lambda s, lots=lots: s.sell(size=lots)})
            if any(notice.kind == "liquidation" for notice in broker.result().notices):
                break
    assert strategy.forced
    assert strategy.forced[-1].status == bt.Order.Completed
    assert broker.getposition(None).size == 0
    assert len(strategy.trades) == 1


def test_expiry_closes_the_trade_at_nothing() -> None:
    plan = calm_plan()
    end_ns = plan.settings.contract.end_ns
    strategy, broker = run_own(Script, replace(plan, end_ns=end_ns), steps={2: lambda s: s.buy(size=10)})
    (fill,) = broker.result().fills
    (trade,) = strategy.trades
    assert trade.pnl == pytest.approx(-10 * fill.price_sat / plan.settings.contract.lots_per_contract)
    assert strategy.last.info.expiry
    assert broker.result().marks[-1].position_lots == 0


def test_cash_value_and_position_are_the_ledgers() -> None:
    checked = []

    def look(strategy: Any) -> None:
        broker, state = strategy.broker, strategy.broker.session.state
        user = broker.session.user
        assert broker.getvalue() == broker.session.exchange.equity_sat(user)
        assert strategy.position.size == broker.session.exchange.position_lots(user) == 30
        assert broker.getcash() == sum(
            amount for name, amount in state.ledger.balances.items() if name.startswith(f"{user}/") and "/BTC" in name
        )
        assert broker.getvalue([strategy.data]) == broker.session.exchange.value_sat(30)
        checked.append(True)

    run_own(Script, steps={2: lambda s: s.buy(size=30), 6: look})
    assert checked


def test_target_orders_and_sizers_count_in_lots() -> None:
    _, broker = run_own(Script, steps={2: lambda s: s.order_target_size(target=-12), 5: lambda s: s.buy()})
    assert [fill.size_lots for fill in broker.result().fills] == [-12, 1]


def test_contracts_can_be_lent_out_with_commands() -> None:
    def lend(strategy: Any) -> None:
        session = strategy.broker.session
        now, user = session.state.time_ns, session.user
        assert strategy.broker.command(Transfer(now, user, EXCHANGE, DEPOSIT, CONTRACT, 10)) == 0
        offer = strategy.broker.command(PlaceOffer(now, user, CONTRACT, 10, 5_000_000, 2))
        assert isinstance(offer, int)
        refused = strategy.broker.command(Transfer(now, user, EXCHANGE, DEPOSIT, BTC, 10**15))
        assert isinstance(refused, Rejection)

    plan = calm_plan()
    rules = replace(plan.settings.rules, demand=(0, 100))
    plan = replace(plan, settings=replace(plan.settings, rules=rules))
    _, broker = run_own(Script, plan, steps={2: lambda s: s.buy(size=10), 6: lend})
    assert any(p.kind == "loan" and p.account.startswith("market") for p in broker.result().postings)


# What the core lacks ---------------------------------------------------------------------------------------------


ORDERS: dict[str, dict[str, Any]] = {
    "order type Stop": {"exectype": bt.Order.Stop, "price": 1},
    "order type StopLimit": {"exectype": bt.Order.StopLimit, "price": 1, "plimit": 2},
    "order type StopTrail": {"exectype": bt.Order.StopTrail, "trailamount": 5},
    "order type Close": {"exectype": bt.Order.Close},
    "trailpercent in an order": {"trailpercent": 0.1},
    "valid in an order": {"valid": 5},
    "oco in an order": {"oco": object()},
    "transmit=False in an order": {"transmit": False},
    "size 1.5": {"size": 1.5},
    "price 10.25": {"exectype": bt.Order.Limit, "price": 10.25},
    "size nan": {"size": math.nan},
}


@pytest.mark.parametrize("name", ORDERS)
def test_orders_that_the_core_lacks_are_refused_by_name(name: str) -> None:
    options = {"size": 5, **ORDERS[name]}
    with pytest.raises(UnsupportedError) as caught:
        run_own(Script, steps={2: lambda s: s.buy(**options)})
    assert name in str(caught.value)


def test_brackets_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="transmit=False"):
        run_own(Script, steps={2: lambda s: s.buy_bracket(size=5, exectype=bt.Order.Market)})


@pytest.mark.parametrize(
    "method", ["setcash", "add_cash", "setcommission", "set_slippage_perc", "set_coc", "set_filler"]
)
def test_settings_of_backtraders_own_broker_are_refused_by_name(method: str) -> None:
    engine = backtrader_engine.cerebro(calm_plan())
    with pytest.raises(UnsupportedError, match=method):
        getattr(engine.broker, method)(1)


def test_ways_to_run_that_the_core_lacks_are_refused_by_name() -> None:
    plan = calm_plan()

    def refused(prepare: Any, name: str, **options: Any) -> None:
        engine = backtrader_engine.cerebro(plan)
        prepare(engine)
        with pytest.raises(UnsupportedError, match=name):
            engine.run(**options)

    refused(lambda e: e.adddata(backtrader_engine.MarketFeed(plan)), "several")
    refused(lambda e: e.resampledata(e.datas[0], timeframe=bt.TimeFrame.Minutes, compression=5), "several|resample")
    refused(lambda e: e.datas[0].addfilter(lambda data: False), "filters")
    refused(lambda e: e.addstrategy(backtrader_engine.CoreStrategy), "more than one strategy")
    refused(lambda e: e.optstrategy(Script, steps=[{}]), "optstrategy", maxcpus=1)
    refused(lambda e: e.add_order_history([]), "add_order_history")
    refused(lambda e: None, "set_coo", cheat_on_open=True)
    refused(lambda e: None, "cheat_on_open", cheat_on_open=True, broker_coo=False)
