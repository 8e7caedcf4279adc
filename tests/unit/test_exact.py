"""A sum of an array is math.fsum's, to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests.exact import fsum

REAL = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
SMALL = st.floats(min_value=-2.0, max_value=2.0, allow_subnormal=False)


@settings(max_examples=400, deadline=None)
@given(st.lists(REAL | SMALL, max_size=40))
def test_of_any_values(values: list[float]) -> None:
    assert fsum(np.array(values)) == math.fsum(values)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3_000), st.sampled_from([1e-160, 1e-149, 1e-12, 1e-3, 1.0, 1e9, 1e14]))
def test_of_returns_and_squares(seed: int, count: int, scale: float) -> None:
    """Signs mixed, and of many sizes: what is cancelled leaves the last bits alone."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=count) * scale * 10.0 ** draw.integers(-9, 1, count)
    for one in (values, np.concatenate((values, -values[::-1], values[:1])), values * values):
        assert fsum(one) == math.fsum(one.tolist())


@pytest.mark.parametrize(
    "values", [[], [0.0], [-0.0, 0.0], [5e-324, -5e-324, 5e-324], [1.0, 2**-53, 2**-105], [0.5] * 9]
)
def test_of_edges(values: list[float]) -> None:
    assert fsum(np.array(values)) == math.fsum(values)


def test_halves_are_rounded_to_even_once() -> None:
    half = 2.0**-53
    assert fsum(np.array([1.0, half])) == 1.0
    assert fsum(np.array([1.0, half, 2.0**-150])) == 1.0 + 2 * half, "what is far below decides"
    assert math.isnan(fsum(np.array([1.0, math.nan])))
