"""From target to ledger: risk limits, halts, gaps, and what debug mode names."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from backtests import reference
from backtests.plan import Plan
from backtests.result import RunResult
from bot.core import settlement
from bot.core.accrual import pool_fee_sat
from bot.core.events import CONTRACT, Quote, SwapRate
from bot.core.invariants import InvariantError
from bot.core.order import EXCHANGE, TRADING, Command, Rejection
from bot.core.units import NS_PER_S, SAT_PER_BTC
from bot.daemon import is_strategys
from bot.errors import StrategyError
from bot.run import load_run
from bot.session import Strategy
from strategies.view import Target, View, Wake

ROOT = Path(__file__).parents[2]
HOUR_NS = 3600 * NS_PER_S


@cache
def plan_of_the_repository() -> Plan:
    return load_run(ROOT / "config.yaml").plans[0]


def run(
    decide: Callable[[View, Any], Target], prices_btc: list[float], *, swap_rates: bool = True, **limits: int
) -> RunResult:
    """Run a strategy in debug mode on hourly quotes 1 % wide around the prices; a price of 0 is a gap."""
    plan = plan_of_the_repository()
    start = plan.settings.start_ns
    quotes = [
        Quote(start + hour * HOUR_NS, tick(price * 0.995), 2_000, tick(price * 1.005), 2_000)
        for hour, price in enumerate(prices_btc)
        if price
    ]
    settings = replace(plan.settings, debug=True, limits=replace(plan.settings.limits, **limits))
    return reference.run(
        replace(
            plan,
            settings=settings,
            strategy=Strategy("test", decide, None),
            history=replace(plan.history, quotes=quotes, rates=plan.history.rates if swap_rates else []),
            end_ns=start + len(prices_btc) * HOUR_NS,
        )
    )


def tick(price_btc: float) -> int:
    return round(price_btc * 10_000) * 10_000


def kinds(result: RunResult) -> list[str]:
    return [notice.kind for notice in result.notices]


def test_a_target_is_cut_to_the_largest_position_in_orders_of_the_largest_size() -> None:
    result = run(lambda view, _: Target(5_000), [1.0] * 12, max_position_lots=1_000, max_order_lots=300)
    assert [fill.size_lots for fill in result.fills] == [300, 300, 300, 100]
    assert result.marks[-1].position_lots == 1_000


def test_a_drawdown_closes_the_position_and_stops_for_good() -> None:
    result = run(lambda view, _: Target(5_000), [2.0] * 8 + [0.4] * 8 + [2.0] * 4, max_drawdown_ppm=200_000)
    halt = next(notice for notice in result.notices if notice.kind == "halt")
    later = [fill for fill in result.fills if fill.time_ns > halt.time_ns]
    assert later and all(fill.size_lots < 0 for fill in later)
    assert result.marks[-1].position_lots == 0


def test_nothing_fills_in_a_gap_and_it_is_told() -> None:
    prices = [1.0] * 3 + [0.0] * 12 + [1.0] * 3
    result = run(lambda view, _: Target(100 * len(view.blocks)), prices, stale_after_ns=6 * HOUR_NS)
    start = result.start_ns
    assert not [fill for fill in result.fills if start + 2 * HOUR_NS < fill.time_ns < start + 15 * HOUR_NS]
    assert kinds(result).count("gap") == 1


def test_a_short_turns_long_by_way_of_flat() -> None:
    def turn(view: View, _: object) -> Target:
        return Target(-300 if view.time_ns < view.contract.start_ns + 4 * HOUR_NS else 300)

    result = run(turn, [1.0] * 10)
    assert [(fill.wallet, fill.size_lots) for fill in result.fills] == [
        (TRADING, -300),
        (TRADING, 300),
        (EXCHANGE, 300),
    ]
    assert result.orders[1].reduce_only


def test_a_limit_order_waits_and_is_filled_at_its_price() -> None:
    result = run(lambda view, _: Target(200, limit_price_sat=tick(0.9)), [1.0, 1.0, 0.89, 1.0])
    assert [(fill.size_lots, fill.price_sat, fill.maker) for fill in result.fills] == [(200, tick(0.9), True)]


def test_owned_contracts_are_lent_and_brought_back_to_be_sold() -> None:
    def lend_then_leave(view: View, _: object) -> Target:
        hours = (view.time_ns - view.contract.start_ns) // HOUR_NS
        return Target(500, lend_lots=500) if hours < 10 else Target(0)

    result = run(lend_then_leave, [1.5] * 70)
    lent = sum(
        posting.amount for posting in result.postings if posting.account == "test/lent/TH1" and posting.amount > 0
    )
    earned = sum(p.amount for p in result.postings if p.kind == "interest" and p.account.startswith("test/"))
    assert lent == 500 and earned > 0
    assert result.marks[-1].position_lots == 0  # two days later, when the loan has ended


@pytest.mark.parametrize(
    "answer",
    [
        None,
        100,
        Target(1.5),  # type: ignore[arg-type]
        Target(True),
        Target(100, limit_price_sat=-1),
        Target(100, limit_price_sat=12_345),
        Target(100, lend_lots=-1),
        Target(100, lend_rate_ppb_day=-5),
        Target(100, financed="no"),  # type: ignore[arg-type]
        Target(100, wake=(0.0,)),  # type: ignore[arg-type]
        Target(100, wake=Wake(float("nan"), 1.0)),
        Target(100, wake=Wake(0.0, 1.0, high_exposure=float("nan"))),
        Target(100, wake=Wake(0.0, 1.0, on_rates=1)),  # type: ignore[arg-type]
    ],
)
def test_an_answer_that_is_no_target_is_named(answer: Any) -> None:
    with pytest.raises(StrategyError, match=r"test at \S+: answered"):
        run(lambda view, _: answer, [1.0] * 2)


def test_a_strategy_that_keeps_state_is_named_in_debug_mode() -> None:
    asked: list[int] = []

    def moody(view: View, _: object) -> Target:
        asked.append(view.time_ns)
        return Target(len(asked))

    with pytest.raises(StrategyError, match="to one view"):
        run(moody, [1.0] * 3)


def test_a_strategy_that_moves_in_its_sleep_is_named_in_debug_mode() -> None:
    def sleepwalker(view: View, _: object) -> Target:
        late = view.time_ns > view.contract.start_ns + 2 * HOUR_NS
        return Target(100 if late else 0, wake=Wake(-9.0, 9.0))

    with pytest.raises(StrategyError, match="asleep until"):
        run(sleepwalker, [1.0] * 6, swap_rates=False)  # a new rate would be a reason to wake


@pytest.mark.parametrize(("on_rates", "wanted"), [(True, [0, 100, 200, 300, 400, 500]), (False, [0])])
def test_a_sleeper_is_woken_by_new_supply_at_the_same_rate_unless_it_says_not(
    on_rates: bool, wanted: list[int]
) -> None:
    """Otherwise who waits for contracts to borrow sleeps on when they come."""
    seen: list[int] = []

    def waits_for_lenders(view: View, _: object) -> Target:
        seen.append(view.borrowable())
        return Target(0, wake=Wake(-9.0, 9.0, on_rates=on_rates))

    plan = plan_of_the_repository()
    start = plan.settings.start_ns
    rates = [SwapRate(start + hour * HOUR_NS, CONTRACT, 10**7, 100 * hour) for hour in range(6)]
    quotes = [Quote(start + hour * HOUR_NS, tick(1.0), 100, tick(1.01), 100) for hour in range(6)]
    history = replace(plan.history, quotes=quotes, rates=rates)
    reference.run(replace(plan, strategy=Strategy("test", waits_for_lenders, None), history=history))
    assert seen == wanted


def test_a_sleeper_is_woken_when_its_exposure_leaves_what_it_sleeps_in() -> None:
    """One contract at about a tenth of all there is: asked again bought, twice at half the price, at three times."""
    seen: list[tuple[int, float]] = []

    def holds_one(view: View, _: object) -> Target:
        seen.append((view.price_sat, view.exposure))
        return Target(100, wake=Wake(-9.0, 9.0, low_exposure=0.06, high_exposure=0.2, on_rates=False))

    plan = plan_of_the_repository()
    start, prices = plan.settings.start_ns, [1.0, 1.0, 0.9, 0.5, 0.5, 1.1, 3.0]
    quotes = [Quote(start + k * HOUR_NS, tick(p), 2_000, tick(p), 2_000) for k, p in enumerate(prices)]
    plan = replace(plan, settings=replace(plan.settings, deposit_sat=10 * SAT_PER_BTC))
    plan = replace(plan, strategy=Strategy("test", holds_one, None), history=replace(plan.history, quotes=quotes))
    reference.run(replace(plan, end_ns=start + len(prices) * HOUR_NS))
    assert [price for price, _ in seen] == [tick(p) for p in (1.0, 1.0, 0.5, 0.5, 3.0)]
    assert [exposure for _, exposure in seen] == pytest.approx([0.0, 0.1, 0.5 / 9.5, 0.5 / 9.5, 3.0 / 12.0], rel=0.01)


def pays_himself(view: View, _: Any) -> Target:
    view._state.ledger.balances["test/exchange/BTC"] += 1
    view._state.ledger.balances["world/outside/BTC"] -= 1
    return Target(0)


def forgets_his_loans(view: View, _: Any) -> Target:
    for loan in view._state.loans.values():
        loan.rate_ppb_day = 0
    return Target(-100)


def lowers_his_margin(view: View, _: Any) -> Target:
    view._state.maintenance_ppm = 0
    return Target(100)


@pytest.mark.parametrize(
    ("decide", "what"), [(pays_himself, "balances"), (forgets_his_loans, "loans"), (lowers_his_margin, "maintenance")]
)
def test_a_strategy_that_reaches_into_the_exchange_is_named(decide: Any, what: str) -> None:
    with pytest.raises(StrategyError, match=f"test at 2014-09-15T.*: changed the exchange.*invariant 10: {what}"):
        run(decide, [1.0] * 6)


def test_a_rule_that_depends_on_more_than_its_inputs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the pool's fee is one satoshi higher every other time that it is asked."""
    calls = itertools.count()
    monkeypatch.setattr(settlement, "pool_fee_sat", lambda income, ppm: pool_fee_sat(income, ppm) + next(calls) % 2)
    with pytest.raises(InvariantError, match="invariant 10"):
        run(lambda view, _: Target(0), [1.0] * 6)


def test_a_watchdog_tells_a_strategy_from_our_own_code() -> None:
    """What it interrupts must be the strategy's, or of a library in its hands; never a posting half made."""
    seen: list[bool] = []

    def asked(view: View, _: Any) -> Target:
        seen.append(is_strategys(sys._getframe()))
        max([1], key=lambda _: seen.append(is_strategys(sys._getframe())) or 0)  # as a library would call
        return Target(1)

    plan = replace(plan_of_the_repository(), strategy=Strategy("asked", asked, None))
    session = plan.session()
    submit = session.trader.submit

    def submitted(command: Command) -> int | Rejection:
        seen.append(is_strategys(sys._getframe()))
        return submit(command)

    session.trader.submit = submitted
    session.on_quote(Quote(plan.settings.start_ns, tick(0.0199), 100, tick(0.02), 100))
    session.decide()
    assert seen[:2] == [True, True] and len(seen) > 2 and not any(seen[2:])
