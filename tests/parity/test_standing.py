"""The shortcuts by which marks are cheap give what the rules give when asked one by one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.accrual import INTEREST_DENOMINATOR
from bot.core.events import CONTRACT
from bot.core.margin import Standing, loan_value_sat, margin_equity_sat, requirement_sat, standing
from bot.core.units import NS_PER_S, PPM
from tests.ledgers import PERCENT_DAY, Scene


def short_seller() -> tuple[Scene, Standing]:
    """Return an exchange on which Sam has sold 60 lots short at 0.5 BTC, out of three loans, and how he stands."""
    scene = Scene().at(hour=1)
    scene.deposit("sam", 10**8, "trading")
    scene.quote(50_000_000, 50_000_000)
    for minute in (1, 2, 3):
        scene.at(hour=1, minute=minute).rate(CONTRACT, PERCENT_DAY // 2 * minute, 20)
        scene.order("sam", -20)
        scene.at(hour=1, minute=minute, second=30).quote(50_000_000, 50_000_000)
    assert len(scene.loans("sam")) == 3
    assert scene.lots("sam") == -60
    return scene, standing(scene.state, scene.account("sam"))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(40_000_000, 220_000_000),  # mark
            st.integers(0, 4_000),  # seconds
            st.sampled_from((10_000, 125_000, 400_000)),  # maintenance
        ),
        min_size=2,
        max_size=12,
    )
)
def test_a_short_that_is_called_safe_is_safe(steps: list[tuple[int, int, int]]) -> None:
    scene, worth = short_seller()
    state, account = scene.state, scene.account("sam")
    now_ns = state.time_ns
    for mark_sat, seconds, maintenance_ppm in steps:
        now_ns += seconds * NS_PER_S
        state.mark_sat, state.maintenance_ppm = mark_sat, maintenance_ppm
        per_contract = state.contract.lots_per_contract
        required = requirement_sat(account.margin_lots(state.ledger), mark_sat, per_contract, maintenance_ppm)
        equity = margin_equity_sat(state, account, now_ns)
        expected = equity >= required and equity * PPM >= required * state.contract.margin_call_ppm
        assert worth.is_safe(state, mark_sat, now_ns) == expected


@settings(max_examples=60, deadline=None)
@given(mark_sat=st.integers(1, 10**9), seconds=st.integers(0, 10**6))
def test_interest_of_all_loans_is_the_sum_of_each_rounded_once(mark_sat: int, seconds: int) -> None:
    """Contract loans bear interest on their exact share of the mark: at most half a satoshi a loan off its notional."""
    scene, worth = short_seller()
    state = scene.state
    state.mark_sat = mark_sat
    now_s = state.time_ns // NS_PER_S + seconds
    rows = scene.loans("sam")
    exact = sum(loan_value_sat(state, r) * r.rate_ppb_day * (now_s - r.paid_to_s) + r.carry for r in rows)
    rounding = sum(r.rate_ppb_day * (now_s - r.paid_to_s) for r in rows)
    assert worth.owed is not None
    due = worth.owed.due_sat(mark_sat, now_s) * INTEREST_DENOMINATOR
    assert exact - rounding - INTEREST_DENOMINATOR <= due <= exact + rounding
