"""Futures on averages, fixed-return notes and maintenance: against simulation, by hand, and at every edge."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.chain.chain import load
from bot.model.annuity import phi
from bot.model.domain import ModelError
from bot.model.futures import average_difficulty, average_hashprice, dollar_leg
from bot.model.growth import log_ratio
from bot.model.local_trend import ANCHORED, DAMPED
from bot.model.maintenance import value_after_maintenance
from bot.model.notes import Note
from bot.model.path_growth import expected_steps
from bot.model.paths import PathForecast
from bot.model.random_clock import paid_s, second_order
from bot.model.schedule import EPOCH_S
from bot.model.uncertain_payout import margrabe

DAY = 86_400.0
MONTH = 30 * DAY
QUICK = settings(max_examples=80, deadline=None)
RATIOS = np.array([log_ratio(a.target, b.target) for a, b in pairwise(load().epochs)])
PATH = DAMPED.forecast(RATIOS[:400], 14)
FLAT = PathForecast(np.zeros(14), np.zeros((14, 14)))


def drawn(paths: int = 40_000) -> np.ndarray:
    return np.random.default_rng(6).multivariate_normal(PATH.mean, PATH.covariance, paths)


# Average hashprice


def test_a_window_ahead_is_the_average_of_simulated_paths() -> None:
    ahead = average_hashprice(PATH, 0.0005, 12 * DAY, 42 * DAY, elapsed_s=3 * DAY)
    paths = drawn()
    average = 0.0005 * (paid_s(paths, 42 * DAY, 3 * DAY) - paid_s(paths, 12 * DAY, 3 * DAY)) / MONTH
    assert ahead.mean == pytest.approx(average.mean(), rel=1e-3)
    for p in (0.05, 0.5, 0.95):
        assert ahead.quantile(p) == pytest.approx(np.quantile(average, p), rel=4e-3)


def test_what_was_seen_of_a_window_is_fixed() -> None:
    begun = average_hashprice(PATH, 0.0005, 0.0, 10 * DAY, seen_s=20 * DAY, seen_average=0.0006)
    open_part = average_hashprice(PATH, 0.0005, 0.0, 10 * DAY)
    assert begun.mean == pytest.approx(0.0006 * 2 / 3 + open_part.mean / 3, rel=1e-14)
    spread = begun.quantile(0.95) - begun.quantile(0.05)
    assert spread == pytest.approx((open_part.quantile(0.95) - open_part.quantile(0.05)) / 3, rel=1e-12)


def test_a_window_that_ends_has_nothing_open_and_no_window_no_average() -> None:
    over = average_hashprice(PATH, 0.0005, 0.0, 0.0, seen_s=MONTH, seen_average=0.0006)
    assert over.mean == over.quantile(0.01) == over.quantile(0.99) == 0.0006
    nearly = average_hashprice(PATH, 0.0005, 0.0, 1e-2, seen_s=MONTH, seen_average=0.0006)
    assert nearly.mean == pytest.approx(0.0006, rel=1e-8)
    for words, at in (
        ((0.0, 0.0), {}),
        ((5.0, 1.0), {}),
        ((-1.0, 5.0), {}),
        ((1.0, 5.0), {"seen_s": 1.0}),
        ((0.0, math.nan), {}),
    ):
        with pytest.raises(ModelError):
            average_hashprice(PATH, 0.0005, *words, **at)


@QUICK
@given(st.floats(0.0, 60.0), st.floats(0.1, 60.0), st.floats(0.0, 20.0), st.floats(1e-6, 1e3))
def test_an_average_without_growth_is_the_index(begin: float, days: float, elapsed: float, index: float) -> None:
    found = average_hashprice(FLAT, index, begin * DAY, (begin + days) * DAY, elapsed_s=elapsed * DAY)
    assert found.mean == pytest.approx(index, rel=1e-9)
    assert found.quantile(0.3) == pytest.approx(index, rel=1e-6)


@QUICK
@given(st.floats(-0.3, 0.3), st.floats(0.0, 40.0), st.floats(1.0, 40.0))
def test_a_known_path_averages_as_its_steps_do(x: float, begin: float, days: float) -> None:
    path = PathForecast(x * np.arange(1.0, 31.0), np.zeros((30, 30)))
    low, high = begin * DAY, (begin + days) * DAY
    ends, total = 0.0, 0.0
    for j in range(31):
        start, ends = ends, ends + EPOCH_S * math.exp(-x)
        total += math.exp(-x * j) * max(min(ends, high) - max(start, low), 0.0)
    assert average_hashprice(path, 1.0, low, high).mean == pytest.approx(total / (high - low), rel=1e-6)


def test_two_half_windows_make_the_month() -> None:
    whole = average_hashprice(PATH, 1.0, 0.0, MONTH).mean
    halves = average_hashprice(PATH, 1.0, 0.0, MONTH / 2).mean, average_hashprice(PATH, 1.0, MONTH / 2, MONTH).mean
    assert sum(halves) / 2 == pytest.approx(whole, rel=3e-4)


def test_a_halving_inside_the_window_is_averaged_in() -> None:
    halved = average_hashprice(FLAT, 1.0, 0.0, 2 * EPOCH_S, rewards=((1.0, 0.5),))
    assert halved.mean == pytest.approx(0.75, rel=1e-9)


def test_the_dollar_leg_is_the_product_of_two_lognormals() -> None:
    draw = np.random.default_rng(2)
    shared, own = draw.standard_normal((2, 400_000))
    coin = 60_000 * np.exp(0.4 * shared - 0.08)
    hashprice = 0.0005 * np.exp(0.1 * (-0.5 * shared + math.sqrt(0.75) * own) - 0.005)
    assert dollar_leg(0.0005, 60_000.0, -0.5 * 0.4 * 0.1) == pytest.approx((coin * hashprice).mean(), rel=2e-3)
    assert dollar_leg(0.0005, 60_000.0) == pytest.approx(30.0)
    with pytest.raises(ModelError, match="forward_usd"):
        dollar_leg(0.0005, -1.0)


# Average difficulty over blocks


def test_mean_difficulty_counts_blocks_not_time() -> None:
    mean, sd = average_difficulty(PATH, 1e12, 1_000, 2_016 * 3)
    steps = np.exp(drawn(200_000))
    average = 1e12 * (1_016 + 2_016 * steps[:, 0] + 2_016 * steps[:, 1]) / (1_016 + 2 * 2_016)
    assert mean == pytest.approx(average.mean(), rel=1e-3)
    assert sd == pytest.approx(average.std(), rel=1e-2)
    assert average_difficulty(PATH, 1e12, 5, 2_016) == (1e12, 0.0)  # of the present epoch all is known
    seen = average_difficulty(PATH, 1e12, 0, 2_016, seen_blocks=2_016, seen_average=9e11)
    assert seen == (pytest.approx(9.5e11), 0.0)


def test_mean_difficulty_and_mean_hashprice_bend_opposite_ways() -> None:
    unsure = PathForecast(np.zeros(4), 0.04 * np.ones((4, 4)))
    mean, _ = average_difficulty(unsure, 1.0, 2_016, 2 * 2_016)
    hashprice = float(unsure.expected_decay()[0])
    assert mean == pytest.approx(math.exp(0.02))
    assert mean * hashprice > 1.0


def test_windows_that_cannot_be_are_refused() -> None:
    for words in ((1e12, 5, 5), (1e12, 5, 4), (1e12, -1, 4), (0.0, 0, 4), (1e12, 0, 2_016 * 16)):
        with pytest.raises(ModelError):
            average_difficulty(PATH, *words)  # type: ignore[arg-type]


# Notes


def test_a_note_is_its_payments_discounted() -> None:
    note = Note(5.0, 0.012, 30.0, 3)
    by_hand = 0.06 * (math.exp(-0.03) + math.exp(-0.06)) + 5.06 * math.exp(-0.09)
    assert note.value(0.0007, 0.0003) == pytest.approx(by_hand, rel=1e-14)
    assert note.value(0.001, 0.0, 45.0) == pytest.approx(0.06 * math.exp(-0.015) + 5.06 * math.exp(-0.045), rel=1e-14)
    assert note.value(0.001, 0.0, 90.0) == note.value(0.001, 0.0, 1e6) == 0.0
    assert note.value(-100.0) == math.inf


@QUICK
@given(st.floats(0.0, 0.5), st.floats(0.5, 60.0), st.integers(1, 40), st.floats(-0.01, 0.05), st.floats(0.0, 0.99))
def test_the_yield_gives_the_price(coupon: float, days: float, periods: int, rate: float, part: float) -> None:
    note = Note(1.0, coupon, days, periods)
    held = part * days * periods
    price = note.value(rate, 0.0, held)
    assert note.value(note.yield_per_day(price, held), 0.0, held) == pytest.approx(price, rel=1e-9)


def test_a_note_of_many_small_coupons_is_an_annuity() -> None:
    """Daily coupons of q: q phi(r, T) r / (e^r - 1), the last factor for the part of a day by which they lag."""
    note = Note(1.0, 0.001, 1.0, 365)
    annuity = 0.001 * phi(0.0005, 365.0) * 0.0005 / math.expm1(0.0005) + math.exp(-0.0005 * 365)
    assert note.value(0.0005) == pytest.approx(annuity, rel=1e-12)


@pytest.mark.parametrize("words", [(-1.0, 0.01, 30.0, 2), (1.0, -1.1, 30.0, 2), (1.0, 0.01, 0.0, 2), (1.0, 0.0, 30, 0)])
def test_what_is_no_note_is_refused(words: tuple[float, float, float, int]) -> None:
    with pytest.raises(ModelError):
        Note(*words)
    with pytest.raises(ModelError, match="price"):
        Note(1.0, 0.0, 30.0, 1).yield_per_day(0.0)


# Maintenance


def test_one_day_is_one_option() -> None:
    known = PathForecast(np.zeros(14), 0.35**2 * np.eye(14))
    first = value_after_maintenance(known, 0.0163, 0.012, DAY, suspends=True)
    assert first == pytest.approx(0.0043)  # of today nothing is open
    rise = np.exp(0.5 * 0.35**2)
    later = value_after_maintenance(known, 0.0163, 0.012, EPOCH_S + 2 * DAY, suspends=True, from_s=EPOCH_S + DAY)
    assert later == pytest.approx(margrabe(0.0163 * rise, 0.012, 0.35), rel=1e-12)
    paid_in_dollars = value_after_maintenance(FLAT, 0.0163, 0.012, DAY, suspends=True, maintenance_sd=0.5)
    assert paid_in_dollars == pytest.approx(margrabe(0.0163, 0.012, 0.5 * math.sqrt(0.5)), rel=1e-12)


def test_the_strip_is_what_simulated_days_leave() -> None:
    """Given the dates of the expected path, the payout of each epoch is lognormal."""
    value = value_after_maintenance(PATH, 0.01, 0.0095, 60 * DAY, suspends=True)
    steps = expected_steps(PATH)
    ends = np.cumsum([step.length_s for step in steps])
    decay = np.concatenate([np.ones((40_000, 1)), np.exp(-drawn())], axis=1)
    kept = np.zeros(40_000)
    for epoch, (start, end) in enumerate(pairwise([0.0, *np.minimum(ends, 60 * DAY)])):
        kept += np.maximum(0.01 * decay[:, epoch] - 0.0095, 0.0) * (end - start) / DAY
    assert value == pytest.approx(kept.mean(), rel=1e-2)


@QUICK
@given(st.floats(0.0, 0.03), st.floats(0.0, 0.2), st.floats(0.0, 90.0), st.floats(0.01, 60.0), st.floats(0.0, 13.0))
def test_the_right_to_switch_off_is_worth_something(
    maintenance: float, sd: float, begin: float, days: float, elapsed: float
) -> None:
    window = {"from_s": begin * DAY, "elapsed_s": elapsed * DAY, "maintenance_sd": sd}
    to_s = (begin + days) * DAY
    bare = value_after_maintenance(PATH, 0.01, maintenance, to_s, suspends=False, **window)
    option = value_after_maintenance(PATH, 0.01, maintenance, to_s, suspends=True, **window)
    free = value_after_maintenance(PATH, 0.01, 0.0, to_s, suspends=True, **window)
    assert option >= max(bare, 0.0) * (1 - 1e-12)
    assert option <= free * (1 + 1e-12)
    assert bare == pytest.approx(free - maintenance * days, abs=1e-9)


def test_maintenance_at_its_edges() -> None:
    whole = value_after_maintenance(PATH, 0.01, 0.0, 60 * DAY, suspends=False)
    exact = 0.01 / DAY * float(second_order(PATH, 60 * DAY).mean_s)
    assert 1.0 < whole / exact < 1.005  # expected dates: a little above the exact mean
    assert value_after_maintenance(PATH, 0.01, 0.02, 0.0, suspends=False) == 0.0
    assert value_after_maintenance(PATH, 0.0, 0.02, 60 * DAY, suspends=True) == 0.0
    assert value_after_maintenance(PATH, 0.01, 1e6, 60 * DAY, suspends=True) == pytest.approx(0.0, abs=1e-30)
    halved = value_after_maintenance(FLAT, 1.0, 0.6, 2 * EPOCH_S, suspends=True, rewards=((1.0, 0.5),))
    assert halved == pytest.approx(0.4 * EPOCH_S / DAY, rel=1e-12)  # after the halving it stands still
    for words in ((-1.0, 0.0, 1.0), (0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (1.0, 0.0, math.nan)):
        with pytest.raises(ModelError):
            value_after_maintenance(PATH, *words, suspends=True)


def test_fat_tails_reach_the_future_too() -> None:
    path = ANCHORED.forecast(RATIOS[:400], 14, 400)
    fat = average_hashprice(path, 1.0, 0.0, MONTH)
    thin = average_hashprice(PathForecast(path.mean, path.covariance), 1.0, 0.0, MONTH)
    assert fat.mean == thin.mean
    assert fat.quantile(0.99) - fat.quantile(0.01) > 1.1 * (thin.quantile(0.99) - thin.quantile(0.01))
