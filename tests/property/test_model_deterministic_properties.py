"""What must hold for every contract: monotony, limits and identities of the deterministic values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.model.annuity import lambert_w, phi, phi2, phi_inverse
from bot.model.deterministic import (
    growth_per_day,
    growth_per_retarget,
    implied_growth_c3,
    value_c2,
    value_c3,
    value_full_epochs,
)
from bot.model.schedule import EPOCH_S, LN4

DAY = 86_400.0
growths = st.floats(-1.0, LN4)
risings = st.floats(0.0, LN4)
terms = st.floats(3_600.0, 400 * DAY)
elapseds = st.floats(0.0, 30 * DAY)
rates = st.floats(-0.05, 0.05)
QUICK = settings(max_examples=150, deadline=None)


@QUICK
@given(risings, risings, terms, elapseds, rates)
def test_value_falls_with_growth(a: float, b: float, term: float, elapsed: float, rate: float) -> None:
    low, high = sorted((a, b))
    slow = value_c3(1.0, low, term, elapsed_s=elapsed, discount_per_day=rate)
    fast = value_c3(1.0, high, term, elapsed_s=elapsed, discount_per_day=rate)
    assert fast <= slow * (1 + 1e-13)


@QUICK
@given(growths, terms, elapseds, rates, rates)
def test_value_falls_with_the_discount_rate(x: float, term: float, elapsed: float, a: float, b: float) -> None:
    low, high = sorted((a, b))
    dear = value_c3(1.0, x, term, elapsed_s=elapsed, discount_per_day=low)
    cheap = value_c3(1.0, x, term, elapsed_s=elapsed, discount_per_day=high)
    assert 0.0 < cheap <= dear * (1 + 1e-13)


@QUICK
@given(growths, terms, elapseds, rates)
def test_the_closed_form_of_steady_growth_is_the_sum_of_its_stretches(
    x: float, term: float, elapsed: float, rate: float
) -> None:
    one_by_one = [x] * (int(term / (EPOCH_S * math.exp(-x))) + 3)
    summed = value_c3(1.0, one_by_one, term, elapsed_s=elapsed, discount_per_day=rate)
    assert value_c3(1.0, x, term, elapsed_s=elapsed, discount_per_day=rate) == pytest.approx(summed, rel=1e-13, abs=0)


@pytest.mark.parametrize("growth", [0.0, 1e-9, LN4, -LN4, 0.05])
@pytest.mark.parametrize("days", [1e-6, 90.0, 3_650.0])
@pytest.mark.parametrize("rate", [0.0, 0.01, -0.02, 1.0])
def test_the_closed_form_holds_at_its_edges_and_hands_over_beyond(growth: float, days: float, rate: float) -> None:
    """Growth 0 and at the clamp, rate that cancels growth or not, terms of a tenth of a second and of ten years."""
    many = [growth] * 4_000
    for cancelled in (rate, -growth * DAY / (EPOCH_S * math.exp(-growth))):
        value = value_c3(1.0, growth, days * DAY, elapsed_s=5 * DAY, discount_per_day=cancelled)
        summed = value_c3(1.0, many, days * DAY, elapsed_s=5 * DAY, discount_per_day=cancelled)
        assert value == pytest.approx(summed, rel=1e-12, abs=0)


@QUICK
@given(growths, terms, terms, elapseds, rates)
def test_value_grows_with_the_term(x: float, a: float, b: float, elapsed: float, rate: float) -> None:
    short, long = sorted((a, b))
    less = value_c3(1.0, x, short, elapsed_s=elapsed, discount_per_day=rate)
    assert 0.0 < less <= value_c3(1.0, x, long, elapsed_s=elapsed, discount_per_day=rate) * (1 + 1e-13)


@QUICK
@given(growths, st.lists(st.floats(0.0, 200 * DAY), min_size=3, max_size=3), elapseds, rates)
def test_windows_add_up(x: float, times: list[float], elapsed: float, rate: float) -> None:
    a, b, c = sorted(times)
    parts = [
        value_c3(1.0, x, high, elapsed_s=elapsed, discount_per_day=rate, from_s=low)
        for low, high in ((0.0, a), (a, b), (b, c))
    ]
    whole = value_c3(1.0, x, c, elapsed_s=elapsed, discount_per_day=rate)
    assert math.fsum(parts) == pytest.approx(whole, rel=1e-11, abs=1e-9)


@QUICK
@given(growths, terms, elapseds, st.integers(0, 2_000_000))
def test_a_halving_costs_something_and_at_most_half_for_each(
    x: float, term: float, elapsed: float, height: int
) -> None:
    full = value_c3(1.0, x, term, elapsed_s=elapsed)
    halved = value_c3(1.0, x, term, elapsed_s=elapsed, height=height)
    blocks = 2016 * (2 + term / (EPOCH_S * math.exp(-x)))  # all that can be found in the term
    halvings = (height + 1 + blocks) // 210_000 - (height + 1) // 210_000
    assert full * 0.5**halvings * (1 - 1e-12) <= halved <= full * (1 + 1e-12)


@QUICK
@given(growths, st.integers(1, 40))
def test_full_epochs_have_a_closed_form(x: float, epochs: int) -> None:
    length = EPOCH_S * math.exp(-x)
    stepped = value_c3(1.0, x, epochs * length)
    assert value_full_epochs(1.0, x, epochs) == pytest.approx(stepped, rel=1e-12)


@QUICK
@given(st.floats(1e-7, 0.5), st.integers(1, 40))
def test_smooth_growth_is_the_limit_of_small_steps(x: float, epochs: int) -> None:
    """Over whole epochs C3 / C2 = x / (1 - e^{-x}), which is 1 + x/2 for small steps."""
    days = epochs * EPOCH_S * math.exp(-x) / DAY
    smooth = value_c2(1.0, growth_per_day(x), days)
    stepped = value_full_epochs(1.0 / DAY, x, epochs)
    assert stepped / smooth == pytest.approx(x / -math.expm1(-x), rel=1e-12)
    assert abs(stepped / smooth - 1.0) <= 0.6 * x


@QUICK
@given(st.floats(-0.15, 1.0), st.floats(20 * DAY, 200 * DAY), st.floats(0.0, 9 * DAY), rates)
def test_the_growth_that_a_price_implies_gives_that_price(x: float, term: float, elapsed: float, rate: float) -> None:
    price = value_c3(1.0, x, term, elapsed_s=elapsed, discount_per_day=rate)
    implied = implied_growth_c3(price, 1.0, term, elapsed_s=elapsed, discount_per_day=rate)
    assert value_c3(1.0, implied, term, elapsed_s=elapsed, discount_per_day=rate) == pytest.approx(price, rel=1e-11)


@QUICK
@given(st.floats(-0.36, 1e6).filter(lambda z: z != 0.0))
def test_lambert_w_solves_its_equation(z: float) -> None:
    w = lambert_w(z)
    assert w * math.exp(w) == pytest.approx(z, rel=3e-14, abs=5e-324)


@QUICK
@given(st.floats(-0.9, 1.38))
def test_growth_converts_back_and_forth(x: float) -> None:
    assert growth_per_retarget(growth_per_day(x)) == pytest.approx(x, rel=1e-13, abs=1e-300)


@QUICK
@given(st.floats(-2.0, 2.0), st.floats(1e-6, 300.0))
def test_phi_and_its_slope_and_inverse_belong_together(rate: float, term: float) -> None:
    value = phi(rate, term)
    bits = 1e-15 * (2 + abs(rate * term))  # one bit of the rate moves phi by that much
    assert phi(phi_inverse(value, term), term) == pytest.approx(value, rel=4 * bits)
    # integration by parts: int e^{-au} = T e^{-aT} + a int u e^{-au}
    assert value == pytest.approx(term * math.exp(-rate * term) + rate * phi2(rate, term), rel=1e-12)
