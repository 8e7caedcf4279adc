"""Every risk limit, one at a time: what it holds up, what it lets pass, and that it says so once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backtests import compiled_engine, reference
from backtests.result import RunResult
from bot.core.events import Quote
from bot.core.order import PlaceOrder
from bot.session import Strategy
from strategies import hold_long
from strategies.view import Target, View
from tests.unit.test_session import HOUR_NS, plan_of_the_repository, run, tick


def to_and_fro(view: View, params: Any) -> Target:
    """Want ten lots, and then none, in turn."""
    return Target(10 if view.position_lots <= 0 else 0)


def orders_of(result: RunResult) -> list[PlaceOrder]:
    return [order for order in result.orders if order.user == "test"]


def told(result: RunResult) -> list[str]:
    return [notice.text for notice in result.notices if notice.kind == "limited"]


def sold(result: RunResult) -> int:
    return -sum(fill.size_lots for fill in result.fills if fill.user == "test")


def test_no_more_orders_than_allowed_go_out_in_any_hour() -> None:
    plan = plan_of_the_repository()
    start = plan.settings.start_ns
    quotes = [Quote(start + i * HOUR_NS // 6, tick(0.995), 2_000, tick(1.005), 2_000) for i in range(40)]
    for most in (2, 5):
        settings = replace(plan.settings, debug=True, limits=replace(plan.settings.limits, max_orders_hour=most))
        history = replace(plan.history, quotes=quotes)
        strategy = Strategy("test", to_and_fro, None)
        result = reference.run(replace(plan, settings=settings, strategy=strategy, history=history))
        times = [order.time_ns for order in orders_of(result)]
        in_an_hour = [sum(at <= other < at + HOUR_NS for other in times) for at in times]
        assert max(in_an_hour) == most and len(times) >= most * 6
        assert told(result)[0] == f"{most} orders went out within an hour"


def test_an_order_beyond_the_collar_waits() -> None:
    wide = run(to_and_fro, [1.0, 1.0, 1.0], collar_ppm=4_000)  # the quotes are 1 % wide: half of it is 0.5 %
    assert not orders_of(wide)
    assert len(told(wide)) == 1 and "beyond the collar of 4000 ppm" in told(wide)[0]
    assert orders_of(run(to_and_fro, [1.0, 1.0, 1.0], collar_ppm=6_000))


def test_what_is_borrowed_stays_within_its_share_of_equity() -> None:
    free = run(lambda view, _: Target(-4_000), [1.0] * 40)
    held = run(lambda view, _: Target(-4_000), [1.0] * 40, max_borrow_ppm=100_000)
    assert sold(free) > 2_000
    assert 900 < sold(held) <= 1_000, "a tenth of 100 BTC at a price of 1 BTC: ten contracts, a little less for slack"


def test_without_blocks_nothing_is_opened_and_all_may_be_closed() -> None:
    def buy_leave_buy(view: View, params: Any) -> Target:
        hours = (view.time_ns - view.start_ns) // HOUR_NS
        return Target(50 if hours < 5 or hours >= 8 else 0)

    plan = plan_of_the_repository()
    start = plan.settings.start_ns
    limits = replace(plan.settings.limits, max_block_age_ns=3 * HOUR_NS)
    result = reference.run(
        replace(
            plan,
            blocks=[block for block in plan.blocks if block.time_ns <= start + 3 * HOUR_NS],
            settings=replace(plan.settings, limits=limits, debug=True),
            strategy=Strategy("test", buy_leave_buy, None),
            end_ns=start + 14 * HOUR_NS,
        )
    )
    assert {fill.size_lots > 0 for fill in result.fills} == {True, False}
    assert sold(result) == 0, "bought while blocks came, sold without, and not bought again"
    assert len(told(result)) == 1 and "the last block is" in told(result)[0]


@pytest.mark.parametrize("engine", [reference, compiled_engine])
@pytest.mark.parametrize("until_h", [0, 1])
def test_a_run_without_any_block_does_not_speak_of_the_last_one(engine: Any, until_h: int) -> None:
    plan = plan_of_the_repository()
    start = plan.settings.start_ns
    limits = replace(plan.settings.limits, max_block_age_ns=3 * HOUR_NS)
    blocks = [block for block in plan.blocks if block.time_ns <= start + until_h * HOUR_NS]
    quotes = [Quote(start + 4 * HOUR_NS, tick(0.995), 2_000, tick(1.005), 2_000)]
    strategy = replace(plan.strategy, name="test", decide=hold_long.decide, params=hold_long.Params())
    settings = replace(plan.settings, limits=limits)
    history = replace(plan.history, quotes=quotes)
    given = replace(plan, blocks=blocks, settings=settings, strategy=strategy, history=history)
    result = engine.run(replace(given, end_ns=start + 5 * HOUR_NS))
    if blocks:
        said = f"the last block is {(quotes[0].time_ns - blocks[-1].time_ns) // 10**9} s old"
    else:
        said = "no block has come since the run began 14400 s ago"
    assert not result.fills and told(result) == [said]


@pytest.mark.parametrize(("name", "tight"), [("max_orders_hour", 1), ("collar_ppm", 5_100), ("max_borrow_ppm", 1)])
def test_no_limit_holds_up_what_is_to_be_flat(name: str, tight: int) -> None:
    """A drawdown closes the position whatever the other limits say: a stop that does not stop is none."""
    limits = {"max_drawdown_ppm": 20_000, "max_order_lots": 500, name: tight}
    result = run(lambda view, _: Target(2_000), [1.0] * 8 + [0.5] * 8, **limits)
    assert any(notice.kind == "halt" for notice in result.notices)
    assert result.fills and sold(result) == 0
