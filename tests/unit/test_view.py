"""What a strategy sees: each property of the view from an exchange and a value model with plain numbers."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import cast

import pytest

from bot.core.contract import MarginStep
from bot.core.events import BTC, CONTRACT
from bot.core.units import NS_PER_DAY, PPB, SAT_PER_BTC
from bot.model.fair_value import FairValue
from strategies.view import View
from tests.ledgers import END_NS, PERCENT_DAY, RULES, START_NS, Scene, block_paying, terms

COIN = SAT_PER_BTC
TWO = 2 * COIN


class Sheet:
    """A value of 100,000 satoshi; a long pays ten days' rate on it, a short twenty, a lender gets thirty."""

    difficulty = 3.5
    growth_per_retarget = 0.07

    def __init__(self, value: float = 100_000.0) -> None:
        self.value = value

    def value_sat(self, time_ns: int) -> float:
        return self.value

    def value_quantile_sat(self, time_ns: int, probability: float) -> float:
        return self.value * probability

    def value_to_long(self, time_ns: int, btc_ppb_day: int) -> float:
        return self.value * (1.0 - 10 * btc_ppb_day / PPB)

    def value_to_short(self, time_ns: int, contract_ppb_day: int) -> float:
        return self.value * (1.0 - 20 * contract_ppb_day / PPB)

    def value_to_lender(self, time_ns: int, btc_ppb_day: int, contract_ppb_day: int) -> float:
        return self.value * (1.0 - 10 * btc_ppb_day / PPB + 30 * contract_ppb_day / PPB)


def view_of(scene: Scene, value: float = 100_000.0) -> View:
    return View(scene.exchange, "ann", cast(FairValue, Sheet(value)), 5_000)


def traded(participation_ppm: int = 100_000) -> Scene:
    """Bitcoin at 0.05 %/day, contracts at 1 %/day, a quote of 1.98 and 2.02 BTC; Ann has 5 BTC."""
    scene = Scene(rules=dataclasses.replace(RULES, participation_ppm=participation_ppm)).at(hour=1).funded()
    scene.deposit("ann", 5 * COIN)
    scene.quote(198_000_000, 202_000_000)
    return scene


def test_each_worth_is_at_its_own_rate_of_today() -> None:
    scene = traded()
    view = view_of(scene)
    assert (view.swap_rate_ppb_day(BTC), view.swap_rate_ppb_day(CONTRACT)) == (500_000, 10_000_000)
    assert view.fair_value_sat == 100_000.0
    assert view.fair_long_sat == pytest.approx(99_500.0)  # ten days at 0.05 %
    assert view.fair_short_sat == pytest.approx(80_000.0)  # twenty days at 1 %
    assert view.fair_lender_sat == pytest.approx(130_000.0)  # thirty days at 1 %, nothing borrowed
    scene.at(hour=2).rate(BTC, PERCENT_DAY, 10**12)
    scene.rate(CONTRACT, 0, 0)
    assert view.fair_long_sat == pytest.approx(90_000.0)
    assert view.fair_short_sat == pytest.approx(100_000.0)


def test_the_value_model_is_asked_for_difficulty_growth_and_quantiles() -> None:
    view = view_of(traded())
    assert view.difficulty == 3.5
    assert view.growth_per_retarget == 0.07
    assert view.fair_quantile_sat(0.25) == 25_000.0


def test_of_a_bar_only_our_share_is_shown_and_its_prices_are_assumed() -> None:
    """A tenth of 1,999 lots, rounded down; half a spread of 0.5 % either side of 2 BTC."""
    view = view_of(traded())
    view.see_bar(1_999)
    assert (view.bid_size_lots, view.ask_size_lots) == (199, 199)
    assert (view.price_sat, view.bid_sat, view.ask_sat) == (TWO, 199_000_000, 201_000_000)


def test_a_quote_is_shown_whole() -> None:
    view = view_of(traded())
    view.see_quote(198_000_000, 70, 202_000_000, 90)
    assert (view.price_sat, view.bid_sat, view.ask_sat) == (TWO, 198_000_000, 202_000_000)
    assert (view.bid_size_lots, view.ask_size_lots) == (70, 90)


def test_the_initial_margin_is_the_initial_one_and_follows_its_dated_steps() -> None:
    steps = (MarginStep(START_NS, 250_000, 125_000), MarginStep(START_NS + NS_PER_DAY, 400_000, 200_000))
    scene = Scene(terms(margin=steps)).at(hour=1)
    scene.deposit("ann", COIN)
    view = view_of(scene)
    assert view.initial_margin_ppm == 250_000
    scene.at(day=1).reach()
    assert view.initial_margin_ppm == 400_000


def test_the_edge_is_price_over_value_less_one() -> None:
    scene = traded()
    assert view_of(scene, 1.6 * COIN).edge == pytest.approx(0.25)
    assert view_of(scene, 2.5 * COIN).edge == pytest.approx(-0.2)
    assert view_of(scene, 0.0).edge == float("inf")


def test_the_account_is_seen_as_it_stands() -> None:
    """50 lots at 2.02 BTC and 0.2 %: 101,000,000 + 202,000; then 30 lots short on margin against 1 BTC."""
    scene = traded()
    view = view_of(scene)
    scene.order("ann", 50, wallet="exchange")
    scene.quote(198_000_000, 202_000_000)
    assert (view.position_lots, view.wallet(), view.wallet("exchange", CONTRACT)) == (50, 398_798_000, 50)
    scene.transfer("ann", "exchange", "trading", BTC, COIN)
    scene.order("ann", -80)
    scene.quote(198_000_000, 202_000_000)
    assert view.position_lots == -30
    assert view.wallet("trading") == COIN - 316_800  # 0.2 % of 80 lots at 1.98 BTC
    assert view.borrowable(CONTRACT) == 10_000 - 80  # of the tranche, 80 are lent already


def test_sizes_are_rounded_down_and_nothing_is_sized_on_nothing() -> None:
    scene = traded()
    view = view_of(scene)
    assert view.lots_of(Decimal("1.239")) == 123
    assert view.lots_for(0.5) == 0  # no equity
    view.equity_sat = 5 * COIN
    assert view.lots_for(0.5) == 125
    assert view.lots_for(0.503) == 125
    scene.state.mark_sat = 0
    assert view.lots_for(0.5) == 0


def test_the_time_left_is_counted_to_expiry() -> None:
    assert view_of(traded()).to_expiry_ns == END_NS - START_NS - 3_600 * 10**9


def test_the_last_day_of_blocks_is_seen_and_cannot_be_changed() -> None:
    scene = traded()
    view = view_of(scene)
    blocks = [block_paying(scene.state.contract, 1_000, START_NS + i, 320_000 + i) for i in range(150)]
    view.see_blocks(blocks[:100])
    view.see_blocks(blocks[100:])
    assert view.blocks == tuple(blocks[-144:])
