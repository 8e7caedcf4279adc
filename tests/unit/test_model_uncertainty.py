"""Stochastic difficulty: filter, fit, forecasts, random clock and scores against reference rows and each other."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bot.chain.chain import load
from bot.model import random_clock
from bot.model.domain import ModelError
from bot.model.growth import log_ratio
from bot.model.local_trend import ANCHORED, DAMPED, Parameters, Priors, extrapolated, filtered, fitted
from bot.model.paths import (
    LUCK_VARIANCE,
    PathForecast,
    digamma,
    full_epochs_mean_and_sd,
    retargets_within,
    seen_growth,
    trigamma,
    with_blocks_seen,
)
from bot.model.random_clock import Rewards, frozen_s, paid_s, second_order, sobol_values, standard_quantile
from bot.model.reproducible import Floats, cholesky, exp, log, log_one, solve_damped
from bot.model.rivals import ar1_forecast, ar1_path
from bot.model.scores import crps_ensemble, crps_log, crps_normal, diebold_mariano, pinball_log, two_sided_t
from bot.model.sobol import normal_quantile, sobol_points
from bot.model.uncertain_payout import margrabe, pool_luck_variance

DAY = 86_400.0
TERM = 90 * DAY
D9 = {
    0.01: 60.10031507232214,
    0.05: 65.14554502283323,
    0.50: 78.8966515010496,
    0.95: 94.94655652917,
    0.99: 102.20847363605296,
}


@pytest.fixture(scope="module")
def ratios() -> Floats:
    epochs = load().epochs
    return np.array([log_ratio(a.target, b.target) for a, b in pairwise(epochs)])


def launch(ratios: Floats) -> Floats:
    """Log-changes known on 15 September 2014, when epoch 159 had begun."""
    return ratios[:159]


def test_reference_d1_and_d2_mean_and_covariance_of_ar1() -> None:
    path = ar1_path(0.03, 0.6, 0.05, 0.08, 8)
    assert path.mean[6] == pytest.approx(0.28290048, rel=1e-12)
    assert path.covariance[2, 6] == pytest.approx(0.0272045184, rel=1e-12)


def test_reference_d3_and_d4_sums_over_full_epochs() -> None:
    mean, sd = full_epochs_mean_and_sd(ar1_path(0.03, 0.6, 0.05, 0.08, 8), 6)
    assert float(mean) == pytest.approx(5.179245594787731, rel=1e-12)
    assert float(sd) == pytest.approx(0.7160099468659574, rel=1e-12)


def test_reference_f1_and_f2_likelihood_and_forecast_of_the_damped_trend(ratios: Floats) -> None:
    given = Parameters(*(np.asarray(p) for p in (0.05, 0.85, 0.035, 0.015)))
    likelihood, state = filtered(ratios[140:159], given)
    assert float(likelihood) == pytest.approx(19.727780264079875, rel=1e-12)
    assert float(extrapolated(state, given, 3).mean[0]) == pytest.approx(0.08828125200447756, rel=1e-12)


@pytest.mark.parametrize(("probability", "days"), D9.items())
def test_reference_d9_quantiles_at_a_random_clock(probability: float, days: float) -> None:
    path = ar1_path(0.03, 0.6, 0.05, 0.08, retargets_within(TERM))
    fine = sobol_values(path, TERM, log2_paths=17).quantile_s(probability) / DAY
    assert fine == pytest.approx(days, rel=6e-4)  # 131,072 paths: as far as points reach in the tails
    assert float(second_order(path, TERM).quantile_s(probability)) / DAY == pytest.approx(days, rel=8e-3)
    assert smooth_quantile(path, probability, days * DAY) / DAY == pytest.approx(days, rel=1e-4)  # the row's own error


def smooth_quantile(path: PathForecast, probability: float, near_s: float) -> float:
    """Return the quantile of v by integrating the widest direction exactly, Sobol points for the others.

    v falls along that direction, so P(v < q | others) = Phi(-z(q)) with z found by bisection: a smooth integrand, where
    counting paths below q is not. One Newton step from `near_s`.
    """
    variances, axes = np.linalg.eigh(path.covariance)
    root = (axes * np.sqrt(np.maximum(variances, 0.0)))[:, ::-1]
    widest = root[:, 0] * np.sign(root[0, 0])
    others = path.mean + normal_quantile(sobol_points(13, path.retargets - 1)) @ root[:, 1:].T

    def below(value_s: float) -> float:
        low, high = np.full(len(others), -9.0), np.full(len(others), 9.0)
        for _ in range(40):
            middle = 0.5 * (low + high)
            above = paid_s(others + middle[:, None] * widest, TERM, 0.0, np.exp) > value_s
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return float(np.mean([0.5 * math.erfc(z / math.sqrt(2.0)) for z in low]))

    slope = (below(near_s * 1.001) - below(near_s * 0.999)) / (0.002 * near_s)
    return near_s + (probability - below(near_s)) / slope


def test_reference_g1_maintenance_with_suspension() -> None:
    assert margrabe(0.0163, 0.012, 0.35) == pytest.approx(0.004809761208132708, rel=1e-12)
    assert margrabe(0.0163, 0.012, 0.0) == pytest.approx(0.0043)
    assert margrabe(0.0, 0.012, 0.3) == 0.0
    assert margrabe(0.01, 0.0, 0.3) == 0.01
    draws = np.exp(0.35 * normal_quantile(sobol_points(16, 1)[:, 0]) - 0.5 * 0.35**2) * 0.0163
    assert np.maximum(draws - 0.012, 0.0).mean() == pytest.approx(margrabe(0.0163, 0.012, 0.35), rel=1e-4)


def test_reference_h1_and_h2_crps() -> None:
    assert crps_normal(0.1, 0.5, 0.42) == pytest.approx(0.19587224050677254, rel=1e-12)
    assert crps_ensemble((1.0, 2.0, 4.0, 7.0), 3.0) == 0.75


def test_pool_luck_of_2014_and_its_refusals() -> None:
    variance = pool_luck_variance(1.2225, 0.01, 25.0, 0.03, 1e12, 3.5e15)
    assert math.sqrt(variance - 0.01) == pytest.approx(0.092, abs=5e-4)
    with pytest.raises(ModelError, match="pool_hs"):
        pool_luck_variance(1.0, 0.0, 25.0, 0.03, 1e12, 0.0)


def test_reproducible_functions_are_as_exact_as_the_library() -> None:
    x = np.linspace(-40.0, 40.0, 20_001)
    assert np.max(np.abs(exp(x) / np.exp(x) - 1.0)) < 5e-16
    assert np.max(np.abs(log(np.exp(x)) - np.log(np.exp(x))) / np.maximum(1.0, np.abs(x))) < 3e-16
    assert np.isfinite(exp(np.array([-1e9, 1e9]))).all()
    assert [log_one(v) for v in np.exp(x).tolist()] == log(np.exp(x)).tolist()


def test_the_filter_in_place_is_the_filter_as_it_is_written_down(ratios: Floats) -> None:
    """To the last bit: a fair value one bit apart may one day turn a decision."""
    changes, points = ratios[-52:], [(0.02, 0.8, 0.03, 0.01), (-0.1, 0.3, 0.2, 0.004)]
    together, states = filtered(changes[None, :], Parameters(*np.array(points).T))
    for n, (m, rho, sw, se) in enumerate(points):
        level, growth, seen, squares, product, twos = 0.0, m, 0.0, 0.0, 1.0, 0
        p11, p12, p22 = LUCK_VARIANCE, 0.0, se * se / (1.0 - rho * rho)
        for k, change in enumerate(changes.tolist()):
            seen = seen + change
            level, growth = level + growth, (1.0 - rho) * m + rho * growth
            a, b, d = p11 + 2.0 * p12 + p22 + sw * sw, rho * (p12 + p22), rho * rho * p22 + se * se
            total, surprise = a + LUCK_VARIANCE, seen - level
            product, squares = product * total, squares + surprise * surprise / total
            if k % 16 == 15:
                product, exponent = math.frexp(product)
                twos += exponent
            one, two = a / total, b / total
            level, growth = level + one * surprise, growth + two * surprise
            p11, p12, p22 = a - one * a, b - one * b, d - two * b
        height = -0.5 * (52 * 1.8378770664093453 + (log_one(product) + twos * log_one(2.0)) + squares)
        alone, state = filtered(changes, Parameters(m, rho, sw, se))
        assert [float(alone), *map(float, state)] == [height, level - seen, growth, p11, p12, p22]
        assert [float(together[n]), *(float(part[n]) for part in states)] == [
            height,
            level - seen,
            growth,
            p11,
            p12,
            p22,
        ]


def test_cholesky_and_solve(ratios: Floats) -> None:
    matrix = DAMPED.forecast(launch(ratios), 10).covariance
    root = cholesky(matrix)
    assert np.allclose(root @ root.T, matrix, rtol=1e-13, atol=1e-16)
    right = np.arange(10.0)
    assert np.allclose(matrix @ solve_damped(matrix, right, np.zeros(10)), right, atol=1e-9)
    singular = np.array([[1.0, 1.0], [1.0, 1.0]])
    assert np.array_equal(cholesky(singular), [[1.0, 0.0], [1.0, 0.0]])


def test_gamma_functions() -> None:
    assert digamma(1) == pytest.approx(-0.5772156649015329, rel=1e-14)
    assert digamma(2015) == pytest.approx(math.log(2015) - 0.5 / 2015 - 1 / (12 * 2015**2), rel=1e-14)
    for n in (1, 5, 11, 12, 40):
        assert trigamma(n) == pytest.approx(math.pi**2 / 6 - math.fsum(1 / k**2 for k in range(1, n)), rel=1e-12)


def test_normal_quantile_inverts_the_distribution() -> None:
    p = np.array([1e-9, 1e-3, 0.05, 0.3, 0.5, 0.8, 0.999])
    back = [0.5 * math.erfc(-z / math.sqrt(2.0)) for z in normal_quantile(p)]
    assert back == pytest.approx(list(p), rel=1e-12)


def test_sobol_points_fill_every_dyadic_interval_once() -> None:
    points = sobol_points(8, 16)
    for column in points.T:
        assert sorted((column * 256).astype(int)) == list(range(256))
    pair = {(int(a * 16), int(b * 16)) for a, b in points[:, :2]}
    assert len(pair) == 256  # a (0, 8, 2)-net: one point in each cell of 16 x 16


def test_the_fit_is_a_maximum_and_does_not_depend_on_its_neighbours(ratios: Floats) -> None:
    windows = np.stack([ratios[k - 52 : k] for k in (104, 159, 300)])
    means = np.array([ratios[k - 104 : k].mean() for k in (104, 159, 300)])
    together = fitted(windows, means, Priors())
    for n in range(3):
        alone = fitted(windows[n], means[n], Priors())
        assert [float(p) for p in alone] == [float(p[n]) for p in together]
        assert posterior(windows[n], means[n], alone) >= max(
            posterior(windows[n], means[n], nearby(alone, i, step)) for i in range(4) for step in (-1e-3, 1e-3)
        )


def nearby(p: Parameters, which: int, step: float) -> Parameters:
    logit = math.log(p.persistence / (1.0 - p.persistence))
    free = [float(p.mean), logit, math.log(p.level_sd), math.log(p.growth_sd)]
    free[which] += step
    return Parameters(*map(np.asarray, (free[0], 1 / (1 + math.exp(-free[1])), math.exp(free[2]), math.exp(free[3]))))


def posterior(window: Floats, mean: float, p: Parameters, prior: Priors = Priors()) -> float:  # noqa: B008
    likelihood, _ = filtered(window, p)
    z = (
        (p.mean - mean) / prior.mean_sd,
        (math.log(p.persistence / (1 - p.persistence)) - prior.logit_rho) / prior.logit_rho_sd,
        math.log(p.level_sd / prior.level_sd) / prior.log_sd_sd,
        math.log(p.growth_sd / prior.growth_sd) / prior.log_sd_sd,
    )
    return float(likelihood) - 0.5 * math.fsum(float(x) ** 2 for x in z)


def test_the_closed_form_forecast_is_what_the_model_simulates() -> None:
    given = Parameters(*(np.asarray(p) for p in (0.02, 0.8, 0.04, 0.02)))
    _, state = filtered(np.array([0.05, 0.03, 0.08]), given)
    forecast = extrapolated(state, given, 6)
    draw = np.random.default_rng(3)
    count = 200_000
    root = np.linalg.cholesky(
        [
            [float(state.level_variance), float(state.covariance)],
            [float(state.covariance), float(state.growth_variance)],
        ]
    )
    level, growth = (root @ draw.standard_normal((2, count))) + np.array([[float(state.level)], [float(state.growth)]])
    seen = []
    for _ in range(6):
        level, growth = (
            level + growth + 0.04 * draw.standard_normal(count),
            0.2 * 0.02 + 0.8 * growth + 0.02 * draw.standard_normal(count),
        )
        seen.append(level + draw.standard_normal(count) / math.sqrt(2015))
    assert np.allclose(np.mean(seen, axis=1), forecast.mean, atol=2e-3)
    assert np.allclose(np.cov(seen), forecast.covariance, rtol=0.03, atol=2e-4)


def test_too_short_a_past_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="11 past retargets are known, anchored needs 12"):
        ANCHORED.forecast(np.zeros(11), 5)
    assert ANCHORED.forecast(np.zeros(12), 5).mean == pytest.approx(np.zeros(5), abs=1e-9)


def test_seen_gaps_pull_the_forecast_and_the_last_one_settles_it(ratios: Floats) -> None:
    before = DAMPED.forecast(launch(ratios), 8)
    none = with_blocks_seen(before, 0, 0.0)
    assert none is before
    fast = with_blocks_seen(before, 1008, 1008 * 450.0)  # 600/450: a third more power than needed
    assert before.mean[0] < fast.mean[0] < math.log(600 / 450) + 0.05
    assert (np.diagonal(fast.covariance) <= np.diagonal(before.covariance)).all()
    settled = with_blocks_seen(before, 2015, 1_209_600 * math.exp(-0.2))
    assert float(settled.mean[0]) == pytest.approx(0.2, abs=3e-4)
    assert float(settled.covariance[0, 0]) == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ModelError, match="gaps"):
        with_blocks_seen(before, 2016, 1e6)


def test_seen_growth_is_unbiased() -> None:
    draw = np.random.default_rng(5)
    spans = draw.gamma(200, 500.0, size=20_000)
    seen = [seen_growth(200, span) for span in spans]
    assert np.mean(seen) == pytest.approx(math.log(600 / 500), abs=2e-3)
    assert np.var(seen) == pytest.approx(trigamma(200), rel=0.05)


def test_payout_along_a_path_counts_by_hand() -> None:
    c = 1_209_600 * 2016 / 2015
    path = np.array([math.log(2.0), math.log(2.0)])  # doubles once, then stands
    assert float(paid_s(path, 20 * DAY)) == pytest.approx(c / 2 + (20 * DAY - c / 2) / 2, rel=1e-14)
    assert float(paid_s(path, 5 * DAY)) == pytest.approx(5 * DAY)
    overdue = float(paid_s(path, 20 * DAY, 10 * DAY))  # the retarget is overdue: it comes now
    assert overdue == pytest.approx(10 * DAY)
    leap = np.array([5.0, 5.0])  # difficulty at most quadruples, the epoch is as short as it was
    assert float(paid_s(leap, 20 * DAY)) == pytest.approx(
        c * math.exp(-5) + (20 * DAY - c * math.exp(-5)) / 4, rel=1e-12
    )


@pytest.mark.parametrize("days", [28, 91, 182])
@pytest.mark.parametrize("origin", [120, 159, 250, 400])
def test_second_order_agrees_with_sobol_paths(ratios: Floats, origin: int, days: int) -> None:
    term = days * DAY
    forecast = DAMPED.forecast(ratios[:origin], retargets_within(term))
    fast, slow = second_order(forecast, term), sobol_values(forecast, term)
    assert float(fast.mean_s) == pytest.approx(slow.mean_s, rel=1e-3)
    assert float(fast.log_sd) == pytest.approx(np.log(slow.values_s).std(), rel=1e-2)
    if days == 91:
        for p in (0.01, 0.05, 0.5, 0.95, 0.99):
            assert float(fast.quantile_s(p)) == pytest.approx(slow.quantile_s(p), rel=1e-2)


@pytest.mark.parametrize(
    ("growth", "rewards", "is_near"),
    [(0.06, (), True), (0.06, ((2.3, 0.5),), True), (0.06, ((20.0, 0.5),), True), (1.1, (), False)],
)
def test_retargets_beyond_the_term_are_left_out_of_the_law_to_the_last_bit(
    ratios: Floats, growth: float, rewards: Rewards, is_near: bool
) -> None:
    """Where difficulty trebles at each, more of them fit into a term than are looked at first."""
    path = ANCHORED.forecast(launch(ratios), 30)
    path = replace(path, mean=path.mean + (growth - 0.06) * np.arange(1.0, 31.0))
    elapsed = np.asarray(3 * DAY)
    whole, _ = random_clock._second_order(path, TERM, elapsed, DAY, rewards)
    _, is_whole = random_clock._second_order(path.first(retargets_within(TERM)), TERM, elapsed, DAY, rewards)
    law = second_order(path, TERM, 3 * DAY, DAY, rewards)
    assert is_whole == is_near and retargets_within(TERM) == 14
    assert (law.mean_s, law.log_mean, law.log_sd) == (whole.mean_s, whole.log_mean, whole.log_sd)


def test_the_frozen_clock_is_biased_and_a_good_control_variate() -> None:
    path = ar1_path(0.03, 0.6, 0.05, 0.08, retargets_within(TERM))
    few, many = sobol_values(path, TERM, log2_paths=9), sobol_values(path, TERM, log2_paths=17)
    assert 1.003 < float(frozen_s(path, TERM)) / many.mean_s < 1.007
    assert 200 < many.variance_ratio < 300
    assert few.mean_s == pytest.approx(many.mean_s, rel=3e-4)


def test_a_window_and_its_complement_make_the_whole() -> None:
    path = ar1_path(0.03, 0.6, 0.05, 0.08, retargets_within(TERM))
    whole, begin, end = (second_order(path, *a) for a in ((TERM,), (TERM / 3,), (TERM, 0.0, TERM / 3)))
    assert float(begin.mean_s + end.mean_s) == pytest.approx(float(whole.mean_s), rel=5e-4)


def test_ex_ante_value_at_launch_as_the_model_document_has_it(ratios: Floats) -> None:
    """MODEL 8: mean 1.040, 5-95 % [0.802, 1.316] BTC on 15 September 2014 from retargets up to the 13th."""
    term = 91 * DAY
    elapsed = 1_410_739_200 - 1_410_638_896
    law = second_order(DAMPED.forecast(launch(ratios), retargets_within(term)), term, float(elapsed))
    per_second = 1e12 * 25 * 0.97 / (29_829_733_124.04042 * 2**32)
    assert float(law.mean_s) * per_second == pytest.approx(1.040, abs=2e-3)
    assert float(law.quantile_s(0.05)) * per_second == pytest.approx(0.802, abs=3e-3)
    assert float(law.quantile_s(0.95)) * per_second == pytest.approx(1.316, abs=5e-3)


def test_mixture_scores_by_two_routes(ratios: Floats) -> None:
    term = 91 * DAY
    law = second_order(ANCHORED.forecast(launch(ratios), retargets_within(term)), term)
    levels = (np.arange(4_000) + 0.5) / 4_000
    members = [float(log(law.quantile_s(float(p)))) for p in levels]
    seen = np.asarray(float(law.log_mean) + 0.1)
    assert float(crps_log(law, seen)) == pytest.approx(crps_ensemble(members, float(seen)), rel=2e-3)
    mean_pinball = np.mean([pinball_log(law, seen, float(p)) for p in levels[::40]])
    assert 2.0 * mean_pinball == pytest.approx(float(crps_log(law, seen)), rel=2e-2)
    assert standard_quantile(0.5, law.scales) == 0.0
    assert float(law.probability_below(law.quantile_s(0.9))) == pytest.approx(0.9, abs=1e-9)


def test_diebold_mariano_knows_better_from_equal() -> None:
    draw = np.random.default_rng(1)
    noise = draw.standard_normal(400)
    better = diebold_mariano(np.abs(noise), np.abs(noise) + 0.2 + 0.1 * draw.standard_normal(400), 3)
    assert better.statistic < -10
    assert better.p_value < 1e-6
    pairs = np.abs(draw.standard_normal((2, 200, 100)))
    found = [diebold_mariano(first, second, 3).p_value < 0.05 for first, second in zip(*pairs, strict=True)]
    assert 0.01 < np.mean(found) < 0.10  # equals are told apart once in twenty, as they should be
    assert math.isnan(diebold_mariano(noise, noise, 3).statistic)
    assert math.isnan(diebold_mariano(noise[:5], noise[5:10], 3).p_value)
    assert two_sided_t(2.0, 10) == pytest.approx(0.07338803, rel=1e-6)
    assert two_sided_t(0.0, 7) == pytest.approx(1.0)


def test_diebold_mariano_by_hand() -> None:
    d = np.array([1.0, -0.5, 0.3, 0.8, -0.2, 0.4])
    about = d - d.mean()
    variance = (about @ about + 2 * 0.5 * (about[1:] @ about[:-1])) / 6
    factor = math.sqrt((6 + 1 - 4 + 2 * 1 / 6) / 6)
    expected = factor * d.mean() / math.sqrt(variance / 6)
    assert diebold_mariano(d, np.zeros(6), 1).statistic == pytest.approx(expected, rel=1e-12)


def test_ar1_fitted_to_real_retargets_is_a_path_with_a_law(ratios: Floats) -> None:
    path = ar1_forecast(launch(ratios), 5)
    assert path.retargets == 5
    assert (np.linalg.eigvalsh(path.covariance) > 0).all()
