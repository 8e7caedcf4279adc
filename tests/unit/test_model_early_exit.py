"""Early exit of a short: closed forms of its limits, convergence, and Monte Carlo by two independent routes.

MODEL.md and its reference values hold no figure of an early exit: what stands here was computed by other means.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.model.deterministic import value_c3
from bot.model.domain import ModelError
from bot.model.early_exit import EarlyExit, Premium, early_exit, smooth_values
from bot.model.quadrature import NORMAL_NODES
from bot.model.reproducible import Floats
from bot.model.schedule import EPOCH_S

DAYS = 91
SWAP = 0.01
COST = 0.012
FIFTEEN_DAYS = Premium(0.05, math.log(2.0) / 15.0, 0.05)
GROWTH = 0.08  # a retarget


def straight(days: int = DAYS) -> list[float]:
    """Return the value when difficulty stands still: one unit of dividends a day."""
    return [float(left) for left in range(days, -1, -1)]


def normal_mean(power: int) -> float:
    return sum(weight * x**power for x, weight in NORMAL_NODES)


def test_the_nodes_are_exact_for_normal_moments() -> None:
    """E n^2k = (2k - 1)!!, up to degree 30; against numpy's own nodes too."""
    for k in range(16):
        assert normal_mean(2 * k) == pytest.approx(math.prod(range(1, 2 * k, 2)), rel=2e-14)
    nodes, weights = np.polynomial.hermite_e.hermegauss(16)
    ours = sorted(NORMAL_NODES)
    assert [x for x, _ in ours] == pytest.approx(list(nodes), rel=1e-13)
    assert [w for _, w in ours] == pytest.approx(list(weights / weights.sum()), rel=1e-11)


def test_the_step_is_the_exact_law_of_the_process() -> None:
    keep, sd = FIFTEEN_DAYS.step(15.0)
    assert keep == pytest.approx(0.5, rel=1e-14)
    assert sd == pytest.approx(0.05 * math.sqrt(15.0 * (1.0 - 0.25) / (2.0 * math.log(2.0))), rel=1e-14)
    assert Premium(0.0, 0.0, 0.05).step(4.0) == (1.0, 0.1)
    for reversion in (4.9e-5, 5.1e-5):  # either side of where the series ends, against expm1
        exact = 0.05 * math.sqrt(-math.expm1(-2.0 * reversion) / (2.0 * reversion))
        assert Premium(0.0, reversion, 0.05).step(1.0)[1] == pytest.approx(exact, rel=1e-13)


# Limits with a closed form -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.02, 0.05])
def test_without_reversion_noise_and_cost_it_is_the_instantaneous_carry_rule(decay: float) -> None:
    """V that decays at one rate for ever: leave where z/(1+z) < rho V/s, which is the same every day.

    Over a step of a day, s is V_i - V_{i+1} and the interest is rho times the mean of V_i and V_{i+1}. The tail that a
    finite list leaves out is cut off far away, at e^-20.
    """
    steps = round(20 / decay)
    values = [math.exp(-decay * day) for day in range(steps)] + [0.0]
    found = early_exit(values, 1.0, Premium(0.0, 0.0, 0.0), SWAP, 0.0)
    carry = SWAP * (1.0 + math.exp(-decay)) / 2.0 / (1.0 - math.exp(-decay))  # rho V / s
    assert found.leave_below[0] == pytest.approx(carry / (1.0 - carry), abs=1e-3)
    assert found.leave_below[steps // 4] == pytest.approx(carry / (1.0 - carry), abs=1e-3)


def test_where_value_falls_in_a_straight_line_half_the_instantaneous_premium_is_enough() -> None:
    """The days to come are better than today: over the whole rest, z V must pay rho (1 + z) V T/2."""
    found = early_exit(straight(), 1.0, Premium(0.0, 0.0, 0.0), SWAP, 0.0)
    for day in (0, 40, 80):
        carry = SWAP * (DAYS - day) / 2.0
        assert found.leave_below[day] == pytest.approx(carry / (1.0 - carry), abs=0.01)


def test_whom_leaving_costs_a_fortune_never_leaves_and_gains_the_bare_carry() -> None:
    """Held to expiry: z V falls to 0 whatever the noise, less interest on V (1 + E z), mean and half-life known."""
    found = early_exit(straight(), 1.0, FIFTEEN_DAYS, SWAP, 1e5)
    assert max(found.leave_below) < -0.999  # the price would have to be nothing
    owed = 0.0
    for day in range(DAYS):
        for at, left in ((day, DAYS - day), (day + 1, DAYS - day - 1)):
            owed += SWAP / 2.0 * left * (1.05 + 0.45 * 0.5 ** (at / 15.0))
    assert found.worth_at(0, 0.5) * DAYS == pytest.approx(0.5 * DAYS - owed, rel=1e-7)


def test_at_the_end_the_premium_no_longer_moves_anything() -> None:
    """On the last day: gain z V less half a day's interest on V (1 + z), whatever the premium does overnight."""
    for premium in (FIFTEEN_DAYS, Premium(1.0, 3.0, 0.5)):
        found = early_exit(straight(), 1.0, premium, SWAP, COST)
        for z in (0.1, 0.5, 2.0):
            assert found.worth_at(-1, z) == pytest.approx(z - SWAP / 2.0 * (1.0 + z), rel=1e-12)
        edge = SWAP / 2.0 - COST  # z - SWAP/2 (1 + z) = -COST (1 + z)
        assert found.leave_below[-1] == pytest.approx(edge / (1.0 - edge), abs=1e-12)


def test_where_interest_eats_every_premium_one_leaves_at_any() -> None:
    found = early_exit(straight(), 1.0, Premium(0.0, 0.01, 0.02), 0.08, 0.001)
    assert found.leave_below[0] == math.inf
    assert found.open_above(0.001, 0.0)[0] == math.inf
    assert math.isfinite(found.leave_below[-1])


def test_recalls_without_reversion_or_noise_are_a_chance_of_stopping_each_day() -> None:
    """By recursion on one premium: (1 - p) of the shorts go on, p pay the cost of tomorrow's price."""
    recall, z = 0.1, 1.0
    found = early_exit(straight(), 1.0, Premium(0.0, 0.0, 0.0), 0.0, COST, recall_per_day=recall)
    p = 1.0 - math.exp(-recall)
    worth = 0.0
    for left in range(1, DAYS + 1):
        tomorrow = COST * (left - 1) * (1.0 + z)
        worth = z + (1.0 - p) * worth - p * tomorrow
    assert found.worth_at(0, z) * DAYS == pytest.approx(worth, rel=1e-9)


# Shape -------------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    half_life=st.floats(2.0, 200.0),
    mean=st.floats(-0.3, 0.5),
    volatility=st.floats(0.01, 0.15),
    swap=st.floats(0.0, 0.03),
    cost=st.floats(0.0, 0.05),
    recall=st.floats(0.0, 0.3),
)
def test_one_boundary_parts_leaving_from_holding(
    half_life: float, mean: float, volatility: float, swap: float, cost: float, recall: float
) -> None:
    """Below it leaving is best at every node, above it at none; opening needs more; more costs, more premium."""
    premium = Premium(mean, math.log(2.0) / half_life, volatility)
    values = smooth_values(GROWTH, 40, 1.0)
    found = early_exit(values, 1.0, premium, swap, cost, recall, nodes=301)
    dearer = early_exit(values, 1.0, premium, swap + 0.005, cost, recall, nodes=301)
    for step in range(40):
        gain = found.worth[step] + cost * (1.0 + found.grid)
        assert gain.min() >= -1e-12
        assert (gain[found.grid > found.leave_below[step]] > 0.0).all()
        assert (gain[(found.grid < found.leave_below[step]) & (found.grid > -0.5)] <= 1e-12).all()
    assert (found.open_above(cost, 0.05) >= found.leave_below).all()
    assert (found.open_above(cost, 0.10) >= found.open_above(cost, 0.05)).all()
    assert (dearer.leave_below >= found.leave_below - 1e-9).all()
    assert (dearer.worth <= found.worth + 1e-12).all()


def test_the_smooth_value_is_the_integral_of_growing_payouts() -> None:
    """V(tau) = (e^{gamma tau} - 1) / gamma; a straight line without growth."""
    gamma = GROWTH * math.exp(GROWTH) * 86_400 / EPOCH_S
    values = smooth_values(GROWTH, DAYS, 1.0)
    for left in (1, 30, DAYS):
        assert values[DAYS - left] == pytest.approx(math.expm1(gamma * left) / gamma, rel=1e-5)
    assert smooth_values(0.0, DAYS, 1.0) == straight()


@pytest.mark.parametrize("elapsed_days", [0, 5, 10])
def test_a_value_that_falls_at_retargets_moves_the_boundaries_little(elapsed_days: int) -> None:
    """What the smooth value costs at 8 % a retarget, over a term: .005 of the premium to leave, .02 of that to open."""
    stepped = [
        value_c3(1.0, GROWTH, DAYS * 86_400.0, elapsed_s=elapsed_days * 86_400.0, from_s=day * 86_400.0)
        for day in range(DAYS)
    ]
    premium = Premium(0.0, math.log(2.0) / 30.0, 0.05)
    exact = early_exit([*stepped, 0.0], 1.0, premium, SWAP, 0.03, 0.1)
    smooth = early_exit(smooth_values(GROWTH, DAYS, 1.0), 1.0, premium, SWAP, 0.03, 0.1)
    assert np.abs(exact.leave_below - smooth.leave_below).max() < 0.005
    assert np.abs(exact.open_above(0.03, 0.05) - smooth.open_above(0.03, 0.05)).max() < 0.02


@pytest.mark.parametrize(
    ("premium", "swap", "recall"),
    [(FIFTEEN_DAYS, 0.01, 0.0), (Premium(0.1, 0.023, 0.02), 0.01, 0.1), (Premium(0.0, 0.046, 0.01), 0.01, 0.0)],
)
def test_a_finer_grid_and_more_points_find_the_same(premium: Premium, swap: float, recall: float) -> None:
    """The stated errors, .003 and .001, against MODEL's own grid: 1,201 nodes, 31 points of numpy, its own loop."""
    values = smooth_values(GROWTH, DAYS, 1.0)
    found = early_exit(values, 1.0, premium, swap, COST, recall)
    boundary, grid, worth = plain(values, premium, swap, recall)
    assert np.abs(found.leave_below - boundary).max() < 0.003
    there = np.linspace(-0.2, 2.0, 23)
    assert np.abs([found.worth_at(0, z) for z in there] - np.interp(there, grid, worth)).max() < 0.001


def plain(values: list[float], premium: Premium, swap: float, recall: float) -> tuple[Floats, Floats, Floats]:
    """Return boundary, grid and worth by the cost of getting rid of the short, least of now and later: 1,201 x 31."""
    grid = np.linspace(-1.0, 4.0, 1_201)
    nodes, weights = np.polynomial.hermite_e.hermegauss(31)
    weights /= weights.sum()
    k, sigma = premium.reversion_per_day, premium.volatility
    mean = premium.mean + math.exp(-k) * (grid - premium.mean)
    sd = sigma * math.sqrt(-math.expm1(-2.0 * k) / (2.0 * k))
    later_cost, boundary, p = np.zeros_like(grid), [], -math.expm1(-recall)
    for now, later in zip(values[-2::-1], values[:0:-1], strict=True):
        go_on = sum(w * np.interp(mean + sd * x, grid, later_cost) for x, w in zip(nodes, weights, strict=True))
        forced = later * mean + COST * later * (1.0 + mean)
        wait = swap / 2.0 * (now * (1.0 + grid) + later * (1.0 + mean)) + (1.0 - p) * go_on + p * forced
        leave = now * grid + COST * now * (1.0 + grid)
        last = int(np.flatnonzero(wait >= leave)[-1])
        gap = (leave - wait)[last : last + 2]
        boundary.append(grid[last] - gap[0] * (grid[1] - grid[0]) / (gap[1] - gap[0]))
        later_cost = np.minimum(wait, leave)
    return np.array(boundary[::-1]), grid, (values[0] * grid - later_cost) / values[0]


# Monte Carlo -------------------------------------------------------------------------------------------------------


def paths(premium: Premium, start: float, count: int, seed: int) -> Floats:
    """Return premiums (days + 1, count) by the exact law of a day."""
    draw = np.random.default_rng(seed)
    keep = math.exp(-premium.reversion_per_day)
    sd = premium.volatility * math.sqrt(-math.expm1(-2 * premium.reversion_per_day) / (2 * premium.reversion_per_day))
    z = np.empty((DAYS + 1, count))
    z[0] = start
    for day in range(DAYS):
        z[day + 1] = premium.mean + keep * (z[day] - premium.mean) + sd * draw.standard_normal(count)
    return z


def gains(values: list[float], z: Floats) -> Floats:
    """Return what the short earns each day (days, count): price fall, less dividends owed, less interest."""
    price = np.array(values)[:, None] * (1.0 + z)
    dividends = -np.diff(values)[:, None]
    return -np.diff(price, axis=0) - dividends - SWAP / 2.0 * (price[1:] + price[:-1])


@pytest.mark.parametrize("start", [0.15, 0.4])
def test_following_the_boundary_earns_what_the_programme_says(start: float) -> None:
    """100,000 paths that leave at the boundary: the mean of what they earn is J, within 3 standard errors + .001."""
    values = smooth_values(GROWTH, DAYS, 1.0)
    found = early_exit(values, 1.0, FIFTEEN_DAYS, SWAP, COST)
    z = paths(FIFTEEN_DAYS, start, 100_000, seed=1)
    earned, daily = np.zeros(z.shape[1]), gains(values, z)
    is_open = np.ones(z.shape[1], bool)
    for day in range(DAYS):
        leaves = is_open & (z[day] < found.leave_below[day])
        earned[leaves] -= COST * values[day] * (1.0 + z[day, leaves])
        is_open &= ~leaves
        earned[is_open] += daily[day, is_open]
    error = earned.std() / math.sqrt(len(earned)) / values[0]
    assert error < 0.001
    assert earned.mean() / values[0] == pytest.approx(found.worth_at(0, start), abs=3.0 * error + 0.001)


@pytest.mark.parametrize("start", [0.15, 0.4])
def test_least_squares_monte_carlo_finds_no_better_exit(start: float) -> None:
    """Longstaff & Schwartz 2001: the rule is regressed on 40,000 paths (cubic in z) and played on 100,000 others.

    A rule that is not the best one earns less than J, never more: between J - .004 V and J + 3 standard errors.
    """
    values = smooth_values(GROWTH, DAYS, 1.0)
    found = early_exit(values, 1.0, FIFTEEN_DAYS, SWAP, COST)
    learnt, played = paths(FIFTEEN_DAYS, start, 40_000, seed=2), paths(FIFTEEN_DAYS, start, 100_000, seed=3)
    won, daily_won = np.zeros(learnt.shape[1]), gains(values, learnt)
    fits = []
    for day in range(DAYS - 1, 0, -1):
        won = won + daily_won[day]
        fit = np.polynomial.Polynomial.fit(learnt[day], won, 3)
        leave = -COST * values[day] * (1.0 + learnt[day])
        won = np.where(leave > fit(learnt[day]), leave, won)
        fits.append(fit)
    earned, daily = gains(values, played)[0], gains(values, played)
    is_open = np.ones(played.shape[1], bool)
    for day, fit in enumerate(reversed(fits), start=1):
        leave = -COST * values[day] * (1.0 + played[day])
        leaves = is_open & (leave > fit(played[day]))
        earned[leaves] += leave[leaves]
        is_open &= ~leaves
        earned[is_open] += daily[day, is_open]
    error = earned.std() / math.sqrt(len(earned)) / values[0]
    best, reached = found.worth_at(0, start), earned.mean() / values[0]
    assert best - 0.004 < reached < best + 3.0 * error


# Refusals and reproducibility --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"values": [1.0, 0.5]}, "values: 2 values do not fall to 0"),
        ({"values": [1.0, 2.0, 0.0]}, "values: 3 values do not fall to 0"),
        ({"values": [0.0]}, "values: 1 values do not fall to 0"),
        ({"values": [math.nan, 0.0]}, "values: 2 values do not fall to 0"),
        ({"step_days": 0.0}, "step_days: 0.0 is outside"),
        ({"borrow_per_day": -0.01}, "borrow_per_day: -0.01 is outside"),
        ({"exit_cost": math.nan}, "exit_cost: nan is outside"),
        ({"recall_per_day": -1.0}, "recall_per_day: -1.0 is outside"),
        ({"nodes": 2}, "nodes: 2 is outside"),
    ],
)
def test_what_has_no_solution_is_refused_by_name(change: dict[str, object], named: str) -> None:
    given_: dict[str, object] = {
        "values": straight(),
        "step_days": 1.0,
        "premium": FIFTEEN_DAYS,
        "borrow_per_day": SWAP,
        "exit_cost": COST,
    }
    with pytest.raises(ModelError, match=named):
        early_exit(**{**given_, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mean", "reversion", "volatility"), [(-2.0, 0.1, 0.1), (0.0, -0.1, 0.1), (0.0, 0.1, math.inf)]
)
def test_a_premium_that_cannot_be_is_refused(mean: float, reversion: float, volatility: float) -> None:
    with pytest.raises(ModelError, match="premium"):
        Premium(mean, reversion, volatility)


def fingerprint(found: EarlyExit) -> str:
    return hashlib.sha256(found.leave_below.tobytes() + found.worth.tobytes()).hexdigest()


def test_the_solution_is_the_same_to_the_last_bit_everywhere() -> None:
    """Only + - * / sqrt in a written order: this fingerprint holds on every machine, or a decision could turn."""
    found = early_exit(smooth_values(GROWTH, DAYS, 1.0), 1.0, Premium(0.05, 0.046, 0.05), SWAP, COST, 0.1)
    assert fingerprint(found) == "ead50da24488357b9d7545b0bba4058f31dd89f2e78f72058246c85c4ce58104"
