"""Carry and sensitivities: reference rows C1-C4, B4a, B4e, and the limits in which the formulas must meet."""

from __future__ import annotations

import math
import random

import pytest

from bot.model.annuity import phi
from bot.model.carry import (
    break_even_borrow,
    break_even_borrow_c2,
    continuous_per_day,
    lender_discount_per_day,
    long_discount_per_day,
    short_discount_per_day,
    value_short_entry_notional,
    value_short_random_rate,
    value_short_rolled,
    variance_shape,
)
from bot.model.deterministic import value_c2, value_c3
from bot.model.domain import ModelError
from bot.model.quadrature import integral
from bot.model.sensitivities import sensitivities_c2

S0_DAY = 0.020458524432912236  # row A2: BTC per day of 1 TH/s
GAMMA = math.log(1.15) / 30
T = 90.0


def near(value: float, rel: float = 1e-9) -> object:
    return pytest.approx(value, rel=rel, abs=0.0)


# Reference rows; their rates are continuous


def test_c1_long_financed_at_three_basis_points_a_day() -> None:
    assert value_c2(S0_DAY, GAMMA, T, 0.0003) == near(1.4852694131653967, 1e-13)


def test_c2_short_pays_one_per_cent_a_day() -> None:
    assert value_c2(S0_DAY, GAMMA, T, -0.01) == near(2.3641563376823163, 1e-13)


def test_c3_borrow_rate_at_which_a_short_at_2_breaks_even() -> None:
    assert break_even_borrow_c2(2.0, S0_DAY, GAMMA, T) == near(0.006471710749375822, 1e-12)
    general = break_even_borrow(2.0, lambda rate: value_c2(S0_DAY, GAMMA, T, rate))
    assert general == near(0.006471710749375822, 1e-12)


def test_c4_short_rolls_his_loan() -> None:
    terms = [(10.0, 0.01), (20.0, 0.004), (60.0, 0.002)]
    assert value_short_rolled(S0_DAY, GAMMA, terms) == near(1.8201296000347464, 1e-13)


def test_b4_sensitivities_at_five_basis_points() -> None:
    greeks = sensitivities_c2(S0_DAY, GAMMA, T, 0.0005)
    assert greeks.per_growth == near(-61.172644542812236, 1e-13)
    assert greeks.per_discount == greeks.per_growth
    assert greeks.per_day_of_term == near(-0.01285989830846391, 1e-13)


# Limits and identities


def test_simple_daily_rates_become_continuous() -> None:
    assert continuous_per_day(10_000_000) == math.log1p(0.01)
    assert long_discount_per_day(574_000) == math.log1p(0.000574)
    assert short_discount_per_day(10_000_000, 574_000) == math.log1p(0.000574) - math.log1p(0.01)
    lender = lender_discount_per_day(574_000, 10_000_000, 150_000)
    assert lender == near(math.log1p(0.000574) - 0.85 * math.log1p(0.01), 1e-14)
    with pytest.raises(ModelError, match="rate_ppb_day"):
        continuous_per_day(-1_000_000_000)


def test_a_rolled_loan_at_one_rate_is_one_loan() -> None:
    for splits in ([90.0], [30.0, 60.0], [1.0] * 90):
        value = value_short_rolled(S0_DAY, GAMMA, [(days, 0.01) for days in splits])
        assert value == near(2.3641563376823163, 1e-12)
    assert value_short_rolled(S0_DAY, GAMMA, []) == 0.0
    with pytest.raises(ModelError, match="terms"):
        value_short_rolled(S0_DAY, GAMMA, [(-1.0, 0.01)])


def test_rolled_loan_against_a_march_through_time() -> None:
    """Backwards from expiry, P(t) = s dt + e^{rho dt} P(t + dt): the short's account, step by step."""
    steps, value = 90_000, 0.0
    dt = T / steps
    for i in reversed(range(steps)):
        t = (i + 0.5) * dt
        rho = 0.01 if t < 10 else 0.004 if t < 30 else 0.002
        value = S0_DAY * math.exp(-GAMMA * t) * dt * math.exp(rho * dt / 2) + math.exp(rho * dt) * value
    assert value == near(1.8201296000347464, 1e-8)


def test_entry_notional_short_has_no_price_when_interest_eats_it_all() -> None:
    assert value_short_entry_notional(1.2, 0.0, T) == 1.2
    assert value_short_entry_notional(1.2, 0.005, 100.0) == near(2.4, 1e-14)
    assert value_short_entry_notional(1.2, 0.01, 100.0) == math.inf
    assert value_short_entry_notional(1.2, -0.01, 100.0) == near(0.6, 1e-14)
    with pytest.raises(ModelError):
        value_short_entry_notional(1.2, 0.01, -1.0)


def test_random_rate_without_noise_at_its_mean_is_a_fixed_rate() -> None:
    for reversion in (0.0, 1e-9, 0.1, 5.0):
        value = value_short_random_rate(S0_DAY, GAMMA, T, 0.01, 0.01, reversion, 0.0)
        assert value == near(2.3641563376823163, 1e-12)


def test_random_rate_without_noise_follows_its_pull() -> None:
    """rho(u) = mean + (rho0 - mean) e^{-k u}, integrated by brute force."""
    k, mean, now, steps = 0.08, 0.003, 0.02, 40_000
    dt, value, exponent = T / steps, 0.0, 0.0
    for i in range(steps):
        u = (i + 0.5) * dt
        rho = mean + (now - mean) * math.exp(-k * u)
        value += S0_DAY * math.exp(-GAMMA * u + exponent + rho * dt / 2) * dt
        exponent += rho * dt
    assert value_short_random_rate(S0_DAY, GAMMA, T, now, mean, k, 0.0) == near(value, 1e-8)


def test_risk_of_the_rate_raises_the_value_to_a_short() -> None:
    values = [value_short_random_rate(S0_DAY, GAMMA, T, 0.01, 0.01, 0.1, s) for s in (0.0, 0.001, 0.003)]
    assert values[0] < values[1] < values[2]


def test_random_rate_against_simulated_rates() -> None:
    """8,000 antithetic Vasicek paths in daily steps, exact transition; agreement within 4 standard errors."""
    k, mean, now, sigma, days = 0.1, 0.006, 0.01, 0.002, 30
    rng = random.Random(2014)
    keep, spread = math.exp(-k), sigma * math.sqrt((1 - math.exp(-2 * k)) / (2 * k))
    totals = []
    for _ in range(4_000):
        noise = [rng.gauss(0.0, 1.0) for _ in range(days)]
        pair = 0.0
        for sign in (1.0, -1.0):
            rho, exponent = now, 0.0
            for shock in noise:
                after = mean + (rho - mean) * keep + sign * spread * shock
                exponent += (rho + after) / 2  # trapezoid: error of order k^2 / 12 of the day's change
                rho = after
            pair += math.exp(exponent) / 2
        totals.append(pair)
    average = sum(totals) / len(totals)
    error = math.sqrt(sum((x - average) ** 2 for x in totals)) / len(totals)
    b = phi(k, days)
    variance = sigma**2 * days**3 * variance_shape(k * days)
    exact = math.exp(b * now + (days - b) * mean + variance / 2)
    assert abs(average - exact) < 4 * error + 2e-4


@pytest.mark.parametrize("y", [0.0, 1e-8, 0.1, 0.5, 0.99999, 1.0, 3.0, 50.0])
def test_variance_of_the_integrated_rate_against_quadrature(y: float) -> None:
    """g(y) = int_0^1 ((1 - e^{-y (1 - v)}) / y)^2 dv, the variance of int rho at sigma = u = 1."""
    assert variance_shape(y) == near(integral(lambda v: phi(y, 1.0 - v) ** 2, 0.0, 1.0), 1e-12)


def test_break_even_of_the_stepped_value() -> None:
    s0 = S0_DAY / 86_400

    def value(rate: float) -> float:
        return value_c3(s0, 0.06, T * 86_400, discount_per_day=rate)

    assert value(-break_even_borrow(2.0, value)) == near(2.0, 1e-12)
    assert break_even_borrow(1.2, value) < 0.0
    for price in (0.0, -1.0, math.nan):
        with pytest.raises(ModelError, match="price"):
            break_even_borrow(price, value)
        with pytest.raises(ModelError):
            break_even_borrow_c2(price, S0_DAY, GAMMA, T)


@pytest.mark.parametrize("rate", [-GAMMA, -0.01, 0.0, 0.0005])
def test_sensitivities_against_central_differences(rate: float) -> None:
    greeks = sensitivities_c2(S0_DAY, GAMMA, T, rate, 0.03)
    h = 1e-6
    growth = (value_c2(S0_DAY, GAMMA + h, T, rate) - value_c2(S0_DAY, GAMMA - h, T, rate)) / (2 * h)
    assert greeks.per_growth == near(growth, 1e-8)
    assert greeks.per_short_rate == near(-growth, 1e-8)
    by_term = (value_c2(S0_DAY, GAMMA, T + h, rate) - value_c2(S0_DAY, GAMMA, T - h, rate)) / (2 * h)
    assert greeks.per_day_of_term == near(-by_term, 1e-7)
    on_path = (
        value_c2(S0_DAY * math.exp(-GAMMA * h), GAMMA, T - h, rate)
        - value_c2(S0_DAY * math.exp(GAMMA * h), GAMMA, T + h, rate)
    ) / (2 * h)
    assert greeks.per_day_on_path == near(on_path, 1e-7)
    gross = S0_DAY / 0.97
    by_fee = (value_c2(gross * (0.97 - h), GAMMA, T, rate) - value_c2(gross * (0.97 + h), GAMMA, T, rate)) / (2 * h)
    assert greeks.per_fee == near(by_fee, 1e-7)
    assert greeks.per_log_difficulty == -greeks.value
    assert greeks.per_log_reward == greeks.value
    assert greeks.value == value_c2(S0_DAY, GAMMA, T, rate)


def test_sensitivities_refuse_a_fee_that_leaves_nothing() -> None:
    with pytest.raises(ModelError, match="fee"):
        sensitivities_c2(S0_DAY, GAMMA, T, fee=1.0)
