"""How much of the best is luck: against the figures that the papers print, and against small cases done by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from backtests.luck import (
    block_length,
    expected_best_sharpe,
    independent_trials,
    luck_of_best,
    moments,
    probabilistic_sharpe,
    reality_check,
    sharpe_ratio,
    stationary_bootstrap,
)


def test_the_worked_example_of_the_deflated_sharpe_ratio() -> None:
    """Bailey and López de Prado 2014: 5 years of days, SR 2.5 a year, skewness -3, kurtosis 10, variance 1/2 a year."""
    daily = 2.5 / math.sqrt(250)
    for trials, benchmark, deflated in ((100, 0.1132, 0.9004), (46, None, 0.9505)):
        expected = expected_best_sharpe(0.5 / 250, trials)
        if benchmark is not None:
            assert expected == pytest.approx(benchmark, abs=5e-5)
        found = probabilistic_sharpe(daily, expected, 1250, -3.0, 10.0)
        assert found == pytest.approx(deflated, abs=5e-5), trials


def test_the_best_of_so_many_normal_draws_is_where_the_formula_puts_it() -> None:
    draws = np.random.default_rng(1).standard_normal((20_000, 50)).max(axis=1)
    assert expected_best_sharpe(1.0, 50) == pytest.approx(draws.mean(), abs=0.04)  # an approximation


def test_nothing_was_chosen_from_one_trial() -> None:
    assert expected_best_sharpe(1.0, 1) == 0.0
    assert luck_of_best(np.array([[1.0, 2.0, 0.0]]), 0, block=1.0, seed=1).deflated is None


def test_trials_that_surely_lose_do_not_raise_the_hurdle() -> None:
    generator = np.random.default_rng(3)
    noise = generator.normal(0.0, 1.0, (20, 50))
    losers = generator.normal(-9.0, 1.0, (20, 50))
    hurdles = [
        luck_of_best(family, 0, block=1.0, seed=1).expected_sharpe for family in (noise, np.vstack([noise, losers]))
    ]
    assert hurdles[0] < hurdles[1] < 1.35 * hurdles[0]  # twice as many trials, and no more than that


def test_moments_by_hand() -> None:
    # -1, -1, 2: variance 2, third moment 2, fourth 6
    assert moments([-1.0, -1.0, 2.0]) == (pytest.approx(2 / 2**1.5), pytest.approx(6 / 4))
    assert moments([5.0, 5.0]) == (0.0, 3.0)
    assert sharpe_ratio([1.0, 3.0]) == pytest.approx(2 / math.sqrt(2))
    assert sharpe_ratio([0.0, 0.0]) == 0.0


def test_equal_trials_are_one_and_unrelated_ones_are_all() -> None:
    one = [1.0, -1.0, 1.0, -1.0]
    other = [1.0, 1.0, -1.0, -1.0]
    assert independent_trials(np.array([one, one, one])) == pytest.approx(1.0)
    assert independent_trials(np.array([one, other])) == pytest.approx(2.0)
    # three rows, correlations 1, 0, 0: rho = 1/3, so 1/3 + 2/3 x 3
    assert independent_trials(np.array([one, one, other])) == pytest.approx(1 / 3 + 2)
    assert independent_trials(np.array([one, [0.0] * 4])) == 2.0


def exact_p_value(profits: np.ndarray) -> float:
    """Return the p-value over all resamplings that independent draws can make: n^n of them, each as likely."""
    n = profits.shape[1]
    means = profits.mean(axis=1)
    samples = list(itertools.product(range(n), repeat=n))
    found = sum((profits[:, list(one)].mean(axis=1) - means).max() >= means.max() - 1e-12 for one in samples)
    return found / len(samples)


def test_reality_check_by_hand() -> None:
    # One trial, profits 0 and 1, mean 1/2. Resamples: 00, 01, 10, 11; mean* - mean: -1/2, 0, 0, 1/2. One in four.
    profits = np.array([[0.0, 1.0]])
    assert exact_p_value(profits) == 0.25
    assert reality_check(profits, block=1.0, seed=7, draws=20_000) == pytest.approx(0.25, abs=0.01)


def test_reality_check_is_the_share_of_all_resamplings() -> None:
    profits = np.array([[1.0, -0.5, 2.0, 0.3, -0.1], [0.2, 0.1, -0.4, 0.9, 0.0], [-1.0, 1.5, 0.4, 0.4, 0.2]])
    exact = exact_p_value(profits)
    found = reality_check(profits, block=1.0, seed=3, draws=20_000)
    assert 0.02 < exact < 0.5
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))


def test_more_worthless_trials_make_the_same_best_less_convincing() -> None:
    generator = np.random.default_rng(5)
    good = generator.normal(0.0, 1.0, (1, 100))
    good += 0.25 - good.mean()
    noise = generator.normal(0.0, 1.0, (200, 100))
    alone = luck_of_best(good, 0, block=1.0, seed=1)
    among = luck_of_best(np.vstack([good, noise]), 0, block=1.0, seed=1)
    assert alone.p_value < 0.02 and among.p_value > 0.2
    assert among.deflated is not None and among.deflated < 0.7


def test_the_check_holds_its_size() -> None:
    """Of worthless families about one in ten is called significant at 10 %, and blocks do not change that for noise."""
    generator = np.random.default_rng(11)
    for block in (1.0, 4.0):
        values = [reality_check(generator.normal(0, 1, (8, 60)), block=block, seed=i, draws=200) for i in range(120)]
        assert 0.03 < np.mean([value <= 0.1 for value in values]) < 0.19


def test_blocks_have_their_mean_length_and_every_period_is_as_likely() -> None:
    length, block = 50, 5.0
    breaks, counts = 0, np.zeros(length)
    for drawn in stationary_bootstrap(length, block, 4_000, seed=2):
        steps = np.diff(drawn) % length
        breaks += int((steps != 1).sum())
        counts += np.bincount(drawn, minlength=length)
    expected = 4_000 * (length - 1) / block * (1 - 1 / length)  # a new block may begin right where the old one went on
    assert breaks == pytest.approx(expected, rel=0.02)
    assert counts.min() > 0.8 * counts.mean() and counts.max() < 1.2 * counts.mean()


def test_serial_correlation_needs_blocks() -> None:
    """Long swings look like skill to a bootstrap of single days, and not to one of weeks."""
    swings = np.repeat([1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0], 10)[None, :]
    single, weeks = (reality_check(swings, block=block, seed=1, draws=4_000) for block in (1.0, 10.0))
    assert single < 0.03 < 0.12 < weeks
    assert block_length(91) == 4.0 and block_length(1) == 1.0


def test_the_same_seed_gives_the_same_answer_however_large_the_table() -> None:
    profits = np.random.default_rng(0).normal(0.05, 1, (30, 40))
    assert reality_check(profits, block=3.0, seed=9) == reality_check(profits, block=3.0, seed=9)
