"""What each bundled strategy decides, on views whose every number can be worked out on paper.

Unless a test says otherwise: fair value 1,000, the quote 10 below and 10 above the price, taker fee 0.2 %, 100 lots a
contract, equity 100,000, 20 days to expiry. Half of the equity at a price of 1,000 is 50 contracts, 5,000 lots.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from math import inf
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.contract import Contract
from bot.core.events import BTC, CONTRACT
from bot.core.units import NS_PER_DAY
from strategies import carry_aware_band, early_exit_short, fair_value_band, hold_long, hold_short, own_and_lend
from strategies.view import NEVER, Target, View, Wake, exposure_of, keeps
from tests.ledgers import PERCENT_DAY, TERMS


@dataclass
class Sheet:
    """A view as a sheet of numbers."""

    price_sat: int = 1_000
    half_spread_sat: int = 10
    fair_value_sat: float = 1_000.0
    fair_long_sat: float = 1_000.0
    fair_lender_sat: float = 1_000.0
    position_lots: int = 0
    equity_sat: int = 100_000
    most_lots: int = 100_000
    pool_lots: int = 10_000
    btc_ppb_day: int = 0
    contract_ppb_day: int = 0
    to_expiry_ns: int = 20 * NS_PER_DAY
    growth_per_retarget: float = 0.0
    contract: Contract = TERMS

    @property
    def bid_sat(self) -> int:
        return self.price_sat - self.half_spread_sat

    @property
    def ask_sat(self) -> int:
        return self.price_sat + self.half_spread_sat

    @property
    def edge(self) -> float:
        return self.price_sat / self.fair_value_sat - 1.0

    def swap_rate_ppb_day(self, asset: int = CONTRACT) -> int:
        return {BTC: self.btc_ppb_day, CONTRACT: self.contract_ppb_day}[asset]

    def borrowable(self, asset: int = CONTRACT) -> int:
        return self.pool_lots if asset == CONTRACT else 0

    def lots_of(self, contracts: Decimal) -> int:
        return int(contracts * 100)

    def lots_for(self, fraction: float) -> int:
        return int(fraction * self.equity_sat * 100 / self.price_sat)


def seen(sheet: Sheet) -> View:
    return cast(View, sheet)


# Fair-value band: enters beyond 25 %, leaves within 5 % of fair value -----------------------------------------------

BAND = fair_value_band.Params()


def band_target(price_sat: int, position_lots: int, params: fair_value_band.Params = BAND) -> Target:
    return fair_value_band.decide(seen(Sheet(price_sat=price_sat, position_lots=position_lots)), params)


@pytest.mark.parametrize(
    ("price_sat", "held", "wanted"),
    [
        (740, 0, 6_756),  # 26 % below: 50,000 satoshi at 740, rounded down
        (1_260, 0, -3_968),  # 26 % above: 50,000 satoshi at 1,260
        (740, -100, 6_756),  # from a short straight to a long
        (740, 5_500, 5_500),  # at least 80 % of 6,756 is left alone
        (740, 5_300, 6_756),  # less is topped up
        (760, 0, 0),  # 24 %: not yet
        (1_240, 0, 0),
        (940, 70, 70),  # a long waits until it is within 5 %
        (960, 70, 0),
        (1_100, 70, 0),  # or has crossed
        (1_060, -70, -70),
        (1_040, -70, 0),
        (900, -70, 0),
    ],
)
def test_the_fair_value_band_enters_outside_and_leaves_inside(price_sat: int, held: int, wanted: int) -> None:
    assert band_target(price_sat, held).position_lots == wanted


@pytest.mark.parametrize(
    ("held", "edges"),
    [(0, (-0.25, 0.25)), (70, (-0.25, -0.05)), (-70, (0.05, 0.25))],
)
def test_the_fair_value_band_sleeps_until_the_edge_leaves_its_band(held: int, edges: tuple[float, float]) -> None:
    price = 1_000 if held == 0 else 900 if held > 0 else 1_100
    assert band_target(price, held) == Target(held, wake=Wake(*edges, on_rates=False))
    assert Wake(*edges).at_ns == NEVER


@pytest.mark.parametrize(
    ("price_sat", "held", "wanted"),
    [
        (740, 4_000, Target(4_000, wake=Wake(-inf, -0.05, on_rates=False))),  # 80 % of the 5,000 that the limits allow
        (740, 3_999, Target(6_756)),  # less is topped up, as far as they allow
        (1_400, -4_000, Target(-4_000, wake=Wake(0.05, inf, on_rates=False))),
        (740, -4_000, Target(6_756)),
        (960, 4_000, Target(0)),
    ],
)
def test_a_position_that_is_full_is_left_alone_and_sleeps(price_sat: int, held: int, wanted: Target) -> None:
    sheet = Sheet(price_sat=price_sat, position_lots=held, most_lots=5_000)
    assert fair_value_band.decide(seen(sheet), BAND) == wanted


@given(
    held=st.integers(-6_000, 6_000),
    price=st.integers(300, 3_000),
    equity=st.integers(-1_000, 200_000),
    later_price=st.integers(300, 3_000),
    later_equity=st.integers(-1_000, 200_000),
    share=st.floats(0.0, 1.0),
)
def test_the_fair_value_band_wants_the_same_as_long_as_it_says_that_it_sleeps(
    held: int, price: int, equity: int, later_price: int, later_equity: int, share: float
) -> None:
    """Whatever price and equity do: while edge and exposure stay within the wake, it would have said the same."""
    sheet = Sheet(price_sat=price, position_lots=held, equity_sat=equity)
    said = fair_value_band.decide(seen(sheet), BAND)
    if said.wake is None or said.position_lots != held:
        return
    near_equity = equity + int(share * (later_equity - equity))  # near enough to be asleep, often
    for after in (Sheet(later_price, equity_sat=near_equity), Sheet(price, equity_sat=near_equity)):
        after.position_lots = held
        exposure = exposure_of(held, after.price_sat, after.equity_sat, 100)
        within_edges = said.wake.low_edge <= after.edge <= said.wake.high_edge
        if within_edges and keeps(said.wake, exposure):
            assert fair_value_band.decide(seen(after), BAND).position_lots == held


def test_a_side_that_is_off_is_never_entered_and_never_woken_for() -> None:
    no_long, no_short = replace(BAND, go_long=False), replace(BAND, go_short=False)
    assert band_target(740, 0, no_long) == Target(0, wake=Wake(-inf, 0.25, on_rates=False))
    assert band_target(1_260, 0, no_short) == Target(0, wake=Wake(-0.25, inf, on_rates=False))
    assert band_target(740, 0, no_short).position_lots == 6_756
    assert band_target(1_260, 0, no_long).position_lots == -3_968


def test_the_fair_value_bands_prices_are_a_quarter_either_side() -> None:
    assert fair_value_band.band(seen(Sheet()), BAND) == (750.0, 1_250.0)


# Carry-aware band: reversion 60 %, horizon 20 days, margin 5 %, exit -2 % --------------------------------------------

CARRY = carry_aware_band.Params()


def test_a_shorts_profit_is_its_decay_less_swap_and_a_round_trip() -> None:
    """Price 1,260, bid 1,250: 60 % of 250 is 12 % of the bid; swap 20 x 0.1 % = 2 %; 20/1,260 spread, two fees."""
    sheet = Sheet(price_sat=1_260, contract_ppb_day=PERCENT_DAY // 10)
    costs = 20 / 1_260 + 0.004
    assert carry_aware_band.round_trip(seen(sheet)) == pytest.approx(costs)
    assert carry_aware_band.expected_short_profit(seen(sheet), CARRY) == pytest.approx(0.12 - 0.02 - costs)
    sheet.to_expiry_ns = 5 * NS_PER_DAY  # it cannot be held, nor cost, longer than that
    assert carry_aware_band.expected_short_profit(seen(sheet), CARRY) == pytest.approx(0.12 - 0.005 - costs)


def test_a_longs_profit_is_its_financed_value_over_the_ask_less_one_fee() -> None:
    """1,111 / 1,010 is 1.1; the fee of the entry is 0.002."""
    assert carry_aware_band.expected_long_profit(seen(Sheet(fair_long_sat=1_111.0))) == pytest.approx(0.098)


@pytest.mark.parametrize(
    ("ppb_day", "wanted"),
    [
        (PERCENT_DAY // 10, -3_968),  # 12 - 2 - 1.99 = 8.01 %: more than 5 %
        (2_500_000, -3_968),  # 12 - 5 - 1.987 = 5.013 %: just more
        (2_510_000, 0),  # 12 - 5.02 - 1.987 = 4.993 %: just less
        (PERCENT_DAY, 0),  # 12 - 20 - 1.99: the swap eats the premium
    ],
)
def test_a_short_is_opened_only_where_the_premium_pays_the_swap(ppb_day: int, wanted: int) -> None:
    sheet = Sheet(price_sat=1_260, contract_ppb_day=ppb_day)
    assert carry_aware_band.decide(seen(sheet), CARRY) == Target(wanted)


def test_with_a_dry_pool_nothing_is_shorted_and_a_short_is_kept() -> None:
    sheet = Sheet(price_sat=1_260, pool_lots=0)
    assert carry_aware_band.decide(seen(sheet), CARRY) == Target(0)
    sheet.position_lots = -70
    assert carry_aware_band.decide(seen(sheet), CARRY) == Target(-70)


@pytest.mark.parametrize(
    ("fair_long_sat", "held", "wanted"),
    [
        (1_063.5, 0, 5_000),  # 1,063.5 / 1,010 - 1 - 0.2 % = 5.10 %
        (1_061.5, 0, 0),  # 4.90 %; 5.10 % if the fee were left out
        (1_061.5, 70, 70),
        (993.0, 70, 70),  # -1.88 %
        (991.0, 70, 0),  # -2.08 %; -1.88 % without the fee
        (991.0, 0, 0),
    ],
)
def test_a_long_is_opened_and_left_on_its_value_net_of_financing(fair_long_sat: float, held: int, wanted: int) -> None:
    sheet = Sheet(fair_long_sat=fair_long_sat, position_lots=held)
    assert carry_aware_band.decide(seen(sheet), CARRY) == Target(wanted)


@pytest.mark.parametrize(
    ("price_sat", "wanted"),
    [
        (1_020, -70),  # decay 0.6 x 10 / 1,010 = 0.59 %, spread 1.96 %, fees 0.4 %: -1.77 %
        (1_015, 0),  # decay 0.30 %, spread 1.97 %, fees 0.4 %: -2.07 %
    ],
)
def test_a_short_is_left_when_the_rest_of_the_premium_no_longer_pays(price_sat: int, wanted: int) -> None:
    sheet = Sheet(price_sat=price_sat, position_lots=-70, fair_long_sat=0.0)
    assert carry_aware_band.decide(seen(sheet), CARRY) == Target(wanted)


def test_the_carry_aware_bands_prices_are_where_the_profit_equals_the_margin() -> None:
    """Low 1,052 / 1.052. High 0.6 x 1,000 / (0.6 - demanded): margin 5 %, swap 2 %, spread 2 %, fees 0.4 %."""
    sheet = Sheet(fair_long_sat=1_052.0, contract_ppb_day=PERCENT_DAY // 10)
    low, high = carry_aware_band.band(seen(sheet), CARRY)
    assert low == pytest.approx(1_000.0)
    assert high == pytest.approx(600.0 / (0.6 - 0.094))
    # At a bid of `high` the decay is what is demanded: no profit beyond the margin is left.
    assert 0.6 * (high - 1_000.0) / high == pytest.approx(0.094)


def test_no_price_is_dear_enough_where_more_is_demanded_than_can_revert() -> None:
    sheet = Sheet(contract_ppb_day=3 * PERCENT_DAY)
    assert carry_aware_band.band(seen(sheet), CARRY)[1] == 0.0


# Early-exit short: half-life 30 days, cost 3 %, recall 0.1, margin 5 %; a tenth of the equity ------------------------

EXIT = early_exit_short.Params()


def test_an_early_exit_short_opens_above_holds_between_and_leaves_below_its_premiums() -> None:
    """Half a lot of premium either side of both boundaries; 10,000 satoshi of equity at 1,000 are 1,000 lots."""
    leave_below, open_above = early_exit_short.premiums(seen(Sheet(contract_ppb_day=PERCENT_DAY // 4)), EXIT)
    assert -0.1 < leave_below < open_above < 0.5
    low, high = round(1_000 * (1 + leave_below)), round(1_000 * (1 + open_above))

    def decided(price_sat: int, held: int) -> int:
        sheet = Sheet(price_sat=price_sat, position_lots=held, contract_ppb_day=PERCENT_DAY // 4)
        return early_exit_short.decide(seen(sheet), EXIT).position_lots

    assert decided(high + 1, 0) == -int(0.1 * 100_000 * 100 / (high + 1))
    assert decided(high + 1, -5_000) == -5_000  # larger is left alone
    assert decided(high - 1, 0) == 0
    assert decided(high - 1, -70) == -70
    assert decided(low + 1, -70) == -70
    assert decided(low - 1, -70) == 0
    assert decided(500, 70) == 0  # it holds no longs


def test_it_sleeps_between_its_premiums_until_the_next_day_to_expiry() -> None:
    sheet = Sheet(price_sat=1_050, contract_ppb_day=PERCENT_DAY // 4, to_expiry_ns=20 * NS_PER_DAY - 1)
    leave_below, open_above = early_exit_short.premiums(seen(sheet), EXIT)
    at_ns = TERMS.end_ns - 19 * NS_PER_DAY
    assert early_exit_short.decide(seen(sheet), EXIT) == Target(0, wake=Wake(-inf, open_above, at_ns))
    sheet.position_lots = -70
    assert early_exit_short.decide(seen(sheet), EXIT) == Target(-70, wake=Wake(leave_below, open_above, at_ns))
    sheet.price_sat = 1_900
    assert early_exit_short.decide(seen(sheet), EXIT).wake is None  # its size follows equity and price


def test_its_premiums_rise_with_swap_rate_recalls_and_margin_and_fall_towards_expiry() -> None:
    def premiums(params: early_exit_short.Params = EXIT, **sheet: object) -> tuple[float, float]:
        return early_exit_short.premiums(seen(replace(Sheet(contract_ppb_day=PERCENT_DAY // 2), **sheet)), params)

    leave, opened = premiums()
    assert premiums(contract_ppb_day=PERCENT_DAY)[0] > leave
    assert premiums(contract_ppb_day=PERCENT_DAY)[1] > opened
    assert premiums(replace(EXIT, recall=0.2))[1] > opened
    assert premiums(replace(EXIT, margin=0.1)) == (leave, pytest.approx(opened, abs=0.2))
    assert premiums(replace(EXIT, margin=0.1))[1] > opened
    assert premiums(to_expiry_ns=2 * NS_PER_DAY)[0] < leave
    assert premiums(to_expiry_ns=2 * NS_PER_DAY)[1] < opened
    assert premiums(growth_per_retarget=0.3)[0] < leave  # value falls sooner: so does what interest is paid on


def test_swap_rates_and_growth_count_to_the_nearest_twentieth_of_a_per_cent() -> None:
    def premiums(**sheet: object) -> tuple[float, float]:
        return early_exit_short.premiums(seen(replace(Sheet(contract_ppb_day=PERCENT_DAY), **sheet)), EXIT)

    assert premiums(contract_ppb_day=PERCENT_DAY + 249_000) == premiums()
    assert premiums(contract_ppb_day=PERCENT_DAY + 251_000) != premiums()
    assert premiums(growth_per_retarget=0.000249) == premiums()
    assert premiums(growth_per_retarget=0.000251) != premiums()


def test_its_band_is_the_price_above_which_it_opens_five_times_the_value_where_no_premium_is_enough() -> None:
    sheet = Sheet(contract_ppb_day=PERCENT_DAY // 4)
    assert early_exit_short.band(seen(sheet), EXIT) == (
        0.0,
        1_000.0 * (1.0 + early_exit_short.premiums(seen(sheet), EXIT)[1]),
    )
    assert early_exit_short.band(seen(Sheet(contract_ppb_day=20 * PERCENT_DAY)), EXIT) == (0.0, 5_000.0)


# Holders --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [0, 123, -50])
def test_holders_want_their_size_whatever_they_hold_and_never_wake(held: int) -> None:
    sheet = seen(Sheet(position_lots=held))
    size = Decimal("1.23")
    asleep = Wake(-inf, inf, on_rates=False)
    assert hold_long.decide(sheet, hold_long.Params(size=size)) == Target(123, wake=asleep)
    assert hold_long.decide(sheet, hold_long.Params(size=size, financed=True)) == Target(
        123, financed=True, wake=asleep
    )
    assert hold_short.decide(sheet, hold_short.Params(size=size)) == Target(-123, wake=asleep)


# Own and lend: at a margin of 5 % it buys above 1,060.5, at an exit margin of -10 % it sells below 891 ----------------

OWNER = own_and_lend.Params(margin=0.05, exit_margin=-0.1, size=Decimal("2"), lend=1.0)


@pytest.mark.parametrize(
    ("value_sat", "held", "wanted"),
    [
        (1_061.0, 0, 200),
        (1_060.0, 0, 0),
        (1_061.0, 150, 200),  # topped up
        (1_061.0, 250, 250),  # never sold down
        (1_000.0, 150, 150),
        (892.0, 150, 150),
        (890.0, 150, 0),
        (890.0, 0, 0),
    ],
)
def test_an_owner_buys_what_a_lender_gains_by(value_sat: float, held: int, wanted: int) -> None:
    sheet = Sheet(fair_lender_sat=value_sat, position_lots=held)
    assert own_and_lend.decide(seen(sheet), OWNER) == Target(wanted, lend_lots=wanted)


@pytest.mark.parametrize(("share", "lent"), [(0.0, 0), (0.25, 37), (0.5, 75), (1.0, 150)])
def test_an_owner_lends_his_share_of_what_he_holds_rounded_down(share: float, lent: int) -> None:
    sheet = Sheet(position_lots=150)
    assert own_and_lend.decide(seen(sheet), replace(OWNER, lend=share)) == Target(150, lend_lots=lent)


def test_an_owner_lends_his_share_of_what_he_is_about_to_buy() -> None:
    sheet = Sheet(fair_lender_sat=1_100.0)
    assert own_and_lend.decide(seen(sheet), replace(OWNER, lend=0.5)) == Target(200, lend_lots=100)
