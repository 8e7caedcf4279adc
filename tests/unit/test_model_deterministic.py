"""Values C1, C2, C3 and the growth that a price implies: reference rows B1-B12 and every edge."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import pytest

from bot.model.annuity import exp_or_inf, lambert_w, phi, phi2, phi_inverse
from bot.model.deterministic import (
    growth_per_day,
    growth_per_retarget,
    implied_growth_c1,
    implied_growth_c2,
    implied_growth_c3,
    value_c1,
    value_c2,
    value_c3,
    value_full_epochs,
)
from bot.model.domain import ModelError
from bot.model.root import falling_root
from bot.model.schedule import EPOCH_S, LN4

DAY = 86_400.0
S0_DAY = 0.020458524432912236  # row A2: BTC per day of 1 TH/s
S0 = S0_DAY / DAY
GAMMA = math.log(1.15) / 30
T = 90.0
X = 0.06137032091153853  # row B6


def near(value: float, rel: float = 1e-9) -> object:
    return pytest.approx(value, rel=rel, abs=0.0)


# Reference rows


def test_b1_c1_steps_once_a_month() -> None:
    assert value_c1(S0_DAY * 30, 0.15, 3) == near(1.6115438811331813, 1e-14)


def test_b2_c1_growth_implied_by_a_price_of_2() -> None:
    assert implied_growth_c1(2.0, S0_DAY * 30, 3) == near(-0.07737507373875573, 1e-13)


def test_b30_c2_smooth_growth() -> None:
    assert value_c2(S0_DAY, GAMMA, T) == near(1.5039958105028555, 1e-14)


def test_b5_c2_growth_implied_by_a_price_of_2() -> None:
    gamma = implied_growth_c2(2.0, S0_DAY, T)
    assert gamma == near(-0.001812979336870534, 1e-12)
    assert math.expm1(30 * gamma) == near(-0.05293673289834652, 1e-12)


def test_b6_c3_growth_per_retarget_of_monthly_growth() -> None:
    assert growth_per_retarget(GAMMA) == near(X, 1e-14)


def test_b7_c3_retarget_steps() -> None:
    assert value_c3(S0, X, T * DAY) == near(1.5498240272202917, 1e-14)


def test_b9_six_full_epochs() -> None:
    closed = value_full_epochs(S0, X, 6)
    assert closed == near(1.3946554139972447, 1e-14)
    assert value_c3(S0, X, 6 * EPOCH_S * math.exp(-X)) == near(closed, 1e-13)


def test_b10_c3_growth_implied_by_a_price_of_2() -> None:
    assert implied_growth_c3(2.0, S0, T * DAY) == near(-0.030862827935082555, 1e-12)


def test_b11_c3_against_a_simulation_that_counts_hashes() -> None:
    """Blocks found one by one at their expected times by growing hash power, retargets by the 2,015-interval rule."""
    hashes_per_s = 2016 * GAMMA / DAY / math.expm1(X)  # in D0 K: epoch 0 then takes c e^{-x}
    rate, now, difficulty, paid, times = GAMMA / DAY, 0.0, 1.0, 0.0, [0.0]
    while now < T * DAY:
        found = math.log(math.exp(rate * now) + difficulty * rate / hashes_per_s) / rate
        paid += S0 / difficulty * (min(found, T * DAY) - now)
        now = found
        if len(times) == 2016:
            difficulty *= 1_209_600 / (times[-1] - times[0])
            times = []
        times.append(now)
    assert paid == near(1.5498424622865983, 1e-11)
    assert value_c3(S0, X, T * DAY) == near(1.5498424622865983, 1.2e-5)


def test_b12_halving_inside_an_epoch() -> None:
    s0 = 1e15 * 6.25 / (86388558925171.015625 * 2**32)  # 1 PH/s at epoch 416, before the halving of 2024
    value = value_c3(s0, 0.02, T * DAY, height=838_656)
    assert value == near(0.06863536430157316, 1e-14)


# Lambert W, phi and their inverses


def decimal_w_residual(w: float, z: float) -> float:
    """w e^w / z - 1 in 60 digits."""
    with localcontext(prec=60):
        return float(Decimal(w) * Decimal(w).exp() / Decimal(z) - 1)


@pytest.mark.parametrize("z", [1e-300, 1e-12, 0.01, 0.1, 0.5, 1.0, math.e, 10.0, 1e3, 1e10, 1e100, 1e300])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_lambert_w_meets_its_equation_to_1e_14(z: float, sign: float) -> None:
    if sign < 0.0 and z > 0.36:
        z = 0.36 * z / (1 + z)
    w = lambert_w(sign * z)
    assert abs(decimal_w_residual(w, sign * z)) <= 1e-14 * abs(1 + w)  # d ln z / d ln w = 1 + w
    assert w >= -1.0


def test_lambert_w_at_its_branch_point_and_below() -> None:
    assert lambert_w(-0.36787944117144233) == pytest.approx(-1.0, abs=2e-8)
    assert lambert_w(-0.3678) == near(-0.97936071495783052, 1e-12)  # 60 digits
    assert lambert_w(0.0) == 0.0
    with pytest.raises(ModelError, match="w e\\^w"):
        lambert_w(-0.368)
    with pytest.raises(ModelError):
        lambert_w(math.nan)


@pytest.mark.parametrize("x", [-0.99, -0.5, -1e-9, 0.0, 1e-12, 0.02, 0.3, LN4, 5.0])
def test_growth_per_retarget_and_per_day_are_inverse(x: float) -> None:
    assert growth_per_retarget(growth_per_day(x)) == pytest.approx(x, rel=1e-12, abs=1e-18)


def test_no_steady_epoch_is_slower_than_the_branch_point() -> None:
    slowest = -1 / (math.e * EPOCH_S / DAY)
    assert growth_per_retarget(slowest * 0.999999) > -1.0
    with pytest.raises(ModelError):
        growth_per_retarget(slowest * 1.000001)


@pytest.mark.parametrize(
    "y", [-700.0, -1.0, -1.0001e-3, -0.9999e-3, -1e-9, -0.0, 1e-300, 0.9999e-3, 1.0001e-3, 0.5, 40.0]
)
def test_phi_against_sixty_digits(y: float) -> None:
    rate = y / T
    with localcontext(prec=60):
        a = Decimal(rate)
        exact = (1 - (-a * Decimal(T)).exp()) / a if rate and abs(y) > 1e-30 else Decimal(T)
    assert phi(rate, T) == near(float(exact), 2e-15 * max(1.0, abs(y)))


@pytest.mark.parametrize("y", [-50.0, -1.0001, -0.9999, -1e-6, 0.0, 1e-6, 0.5, 0.9999, 1.0001, 30.0])
def test_phi2_against_sixty_digits(y: float) -> None:
    rate = y / T
    with localcontext(prec=60):
        a, term = Decimal(rate), Decimal(T)
        exact = (1 - (1 + a * term) * (-a * term).exp()) / (a * a) if rate else term * term / 2
    assert phi2(rate, T) == near(float(exact), 4e-15 * max(1.0, abs(y)))


def test_exponentials_do_not_overflow() -> None:
    assert phi(-10.0, T) == math.inf
    assert phi2(-10.0, T) == math.inf
    assert phi(10.0, 1e6) == 0.1
    assert exp_or_inf(710.0) == math.inf
    assert value_c2(S0_DAY, -10.0, T) == math.inf


@pytest.mark.parametrize("rate", [-0.5, -0.01, -1e-9, 1e-6, 0.01, 1.0, 50.0])
def test_phi_inverse_undoes_phi(rate: float) -> None:
    assert phi(phi_inverse(phi(rate, T), T), T) == near(phi(rate, T), 1e-14)


def test_phi_inverse_refuses_what_no_rate_explains() -> None:
    for value, term in ((0.0, T), (-1.0, T), (math.inf, T), (math.nan, T), (1.0, 0.0), (1.0, -1.0)):
        with pytest.raises(ModelError):
            phi_inverse(value, term)


def test_falling_root_resolves_to_the_last_bit() -> None:
    root = falling_root(lambda x: 2.0 - x * x, 0.0, 0.0, 2.0)
    assert abs(root - math.sqrt(2.0)) <= math.ulp(1.5)


# C1, C2, C3 at their edges


def test_c1_discount_and_growth_are_interchangeable() -> None:
    assert value_c1(1.0, 0.15, 3, 0.02) == near(value_c1(1.0, 1.15 * 1.02 - 1, 3), 1e-14)
    assert implied_growth_c1(value_c1(1.0, 0.15, 5, 0.02), 1.0, 5, 0.02) == near(0.15, 1e-12)
    assert value_c1(1.0, 0.15, 0) == 0.0


@pytest.mark.parametrize("price", [1.0, 0.5, -1.0, math.inf, math.nan])
def test_c1_refuses_a_price_that_no_growth_explains(price: float) -> None:
    with pytest.raises(ModelError, match="first period"):
        implied_growth_c1(price, 1.0, 3)


def test_c1_growth_implied_just_above_the_first_payout_and_far_above() -> None:
    assert implied_growth_c1(1.0 + 1e-9, 1.0, 3) == near(1e9, 1e-6)
    assert implied_growth_c1(1e12, 1.0, 3) == near(-1 + 1e-6, 1e-9)


def test_c2_price_fixes_only_growth_plus_discount() -> None:
    price = value_c2(S0_DAY, GAMMA, T, 0.001)
    assert implied_growth_c2(price, S0_DAY, T, 0.001) == near(GAMMA, 1e-12)
    assert implied_growth_c2(price, S0_DAY, T) == near(GAMMA + 0.001, 1e-12)


def test_nothing_left_is_worth_nothing() -> None:
    assert value_c2(S0_DAY, GAMMA, 0.0) == 0.0
    assert value_c3(S0, X, 0.0) == 0.0
    assert value_c3(S0, X, 5.0, from_s=5.0) == 0.0
    assert value_full_epochs(S0, X, 0) == 0.0


def test_c3_flat_is_payout_times_time() -> None:
    assert value_c3(S0, 0.0, T * DAY) == near(S0_DAY * T, 1e-14)
    assert value_c3(S0, 1e-18, T * DAY) == near(S0_DAY * T, 1e-14)
    assert value_full_epochs(S0, 0.0, 6) == near(S0 * EPOCH_S * 6, 1e-15)
    assert value_full_epochs(S0, 1e-18, 6) == near(S0 * EPOCH_S * 6, 1e-15)


def test_c3_discount_equal_and_opposite_to_growth_of_rate() -> None:
    """r = 0 is the limit of small r from both sides."""
    plain = value_c3(S0, X, T * DAY)
    for rate in (1e-18, -1e-18, 1e-12, -1e-12):
        assert value_c3(S0, X, T * DAY, discount_per_day=rate) == near(plain, 1e-10)


def test_c3_epoch_about_to_end_and_overdue() -> None:
    length = EPOCH_S * math.exp(-X)
    at_the_end = value_c3(S0, X, T * DAY, elapsed_s=length)
    assert at_the_end == near(value_c3(S0 * math.exp(-X), X, T * DAY), 1e-12)
    assert value_c3(S0, X, T * DAY, elapsed_s=length * (1 - 1e-12)) == near(at_the_end, 1e-11)
    assert value_c3(S0, X, T * DAY, elapsed_s=3 * length) == near(at_the_end, 1e-14)


def test_c3_step_is_clamped_but_time_is_not() -> None:
    """x = 3 makes an epoch of c e^-3 seconds, after which the payout falls by 4, not by e^3."""
    length = EPOCH_S * math.exp(-3.0)
    assert value_c3(1.0, 3.0, 3 * length) == near(length * (1 + 1 / 4 + 1 / 16), 1e-14)
    length = EPOCH_S * math.exp(3.0)
    assert value_c3(1.0, -3.0, 2 * length) == near(length * 5, 1e-14)


def test_c3_extreme_growth_ends() -> None:
    assert 0.0 < value_c3(1.0, 700.0, T * DAY) < 1e-200
    assert value_c3(1.0, -700.0, T * DAY) == T * DAY
    for growth in (701.0, math.nan, math.inf):
        with pytest.raises(ModelError, match="growth_per_retarget"):
            value_c3(1.0, growth, T * DAY)


def test_c3_takes_one_growth_for_each_retarget() -> None:
    assert value_c3(S0, [X] * 8, T * DAY) == near(value_c3(S0, X, T * DAY), 1e-14)
    first, second = EPOCH_S * math.exp(-0.1), EPOCH_S * math.exp(0.2)
    expected = first + second * math.exp(-0.1) + DAY * math.exp(0.1)
    assert value_c3(1.0, (0.1, -0.2, 0.0), first + second + DAY) == near(expected, 1e-13)
    with pytest.raises(ModelError, match="end before the contract"):
        value_c3(1.0, (0.1, -0.2), first + second + DAY)


def test_c3_window_in_the_future_is_a_difference() -> None:
    for low, high in ((10.0, 40.0), (0.0, 13.1), (13.0, 13.2), (80.0, 90.0)):
        whole = value_c3(S0, X, high * DAY, discount_per_day=0.001)
        before = value_c3(S0, X, low * DAY, discount_per_day=0.001)
        window = value_c3(S0, X, high * DAY, discount_per_day=0.001, from_s=low * DAY)
        assert window == near(whole - before, 1e-11)


@pytest.mark.parametrize("height", [838_656, 839_000, 839_998])
def test_halving_ahead_is_never_expected_before_now(height: int) -> None:
    """Overdue by time, the halving is expected now; once mined, the rate passed in is the halved one already."""
    late = EPOCH_S * 0.9
    ahead = value_c3(1.0, 0.0, DAY, elapsed_s=late, height=height)
    assert ahead == near(DAY / 2, 1e-14)
    assert value_c3(1.0, 0.0, DAY, elapsed_s=late, height=839_999) == near(DAY, 1e-14)


def test_halving_at_the_border_of_two_epochs() -> None:
    """Block 1,260,000 is both a retarget and a halving (6 x 210,000 = 625 x 2016)."""
    value = value_c3(1.0, 0.0, 2 * EPOCH_S, height=1_260_000 - 2016)
    assert value == near(EPOCH_S * 1.5, 1e-14)
    assert value_c3(1.0, 0.0, EPOCH_S, height=1_260_000) == near(EPOCH_S, 1e-14)


def test_c3_implied_growth_on_both_sides_of_zero() -> None:
    for x in (-0.2, -0.03, -1e-6, 0.0, 1e-9, 0.08, 1.0):
        price = value_c3(S0, x, T * DAY, elapsed_s=4e5, discount_per_day=0.002)
        implied = implied_growth_c3(price, S0, T * DAY, elapsed_s=4e5, discount_per_day=0.002)
        assert implied == pytest.approx(x, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("price", [100.0, 1e-9, 0.0, math.nan])
def test_c3_refuses_a_price_that_no_growth_explains_and_names_the_range(price: float) -> None:
    with pytest.raises(ModelError, match=r"is outside 0\.\d+.*\.\.\d"):
        implied_growth_c3(price, S0, T * DAY)


@pytest.mark.parametrize("times", [(-1.0, 0.0, 0.0), (1.0, -1.0, 0.0), (1.0, 0.0, -1.0), (math.nan, 0.0, 0.0)])
def test_c3_refuses_times_that_cannot_be(times: tuple[float, float, float]) -> None:
    term, elapsed, window = times
    with pytest.raises(ModelError):
        value_c3(1.0, 0.0, term, elapsed_s=elapsed, from_s=window)
