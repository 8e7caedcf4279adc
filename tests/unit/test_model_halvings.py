"""Halvings: hash power that falls with the reward, and payouts that halve at a date as random as the retargets."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bot.chain.chain import load
from bot.contract_file import load_contract
from bot.core.events import Block
from bot.core.units import NS_PER_S
from bot.model.domain import ModelError
from bot.model.fair_value import FairValue
from bot.model.growth import growth_model, log_ratio
from bot.model.halvings import HALVING_EPOCHS, halvings_felt, reward_steps
from bot.model.local_trend import ANCHORED, DAMPED
from bot.model.path_growth import PATH_MODELS, RETARGETS
from bot.model.paths import seen_growth
from bot.model.random_clock import paid_s, second_order, sobol_values
from bot.model.reproducible import Floats
from bot.model.schedule import EPOCH_S

DAY = 86_400.0
CHAIN = load()
CONTRACT = load_contract(Path(__file__).parents[2] / "contracts/TH1BTC-2014Q4.yaml")
IN_2024 = 416
"""The epoch that began on 10 April 2024; the halving of the 20th lies two thirds into it, at 416 2/3."""


@pytest.fixture(scope="module")
def ratios() -> Floats:
    return np.array([log_ratio(a.target, b.target) for a, b in pairwise(CHAIN.epochs)])


def test_a_halving_is_felt_once_and_in_proportion() -> None:
    felt = halvings_felt(np.arange(0.0, 450.0))
    assert (np.diff(felt) >= 0.0).all()
    assert felt[-1] == pytest.approx(4.0)
    steps = {k + 1: step for k, step in enumerate(np.diff(felt)) if step > 0.0}
    assert list(steps) == [105, 106, 209, 210, 313, 314, 417, 418]
    assert steps[105] == pytest.approx(105 - HALVING_EPOCHS)
    assert steps[313] == pytest.approx(0.5) == pytest.approx(steps[314])
    assert steps[417] == pytest.approx(1 / 3)
    assert float(halvings_felt(418)) == pytest.approx(4.0)


def test_past_drops_are_taken_out_and_coming_ones_expected() -> None:
    steady = np.full(60, 0.03)
    plain = ANCHORED.forecast(steady, 8)
    far = ANCHORED.forecast(steady, 8, 280)
    assert np.array_equal(plain.mean, far.mean)  # none in its past, none to come
    coming = ANCHORED.forecast(steady, 8, IN_2024)
    assert coming.mean - plain.mean == pytest.approx([-0.05, *[-0.15] * 7], abs=1e-12)
    dropped = steady.copy()
    dropped[-6] -= 0.05  # the retargets that began 417 and 418
    dropped[-5] -= 0.10
    after = ANCHORED.forecast(dropped, 8, 422)
    assert after.mean == pytest.approx(plain.mean, abs=1e-12)
    assert after.covariance == pytest.approx(plain.covariance, abs=1e-12)
    assert np.array_equal(DAMPED.forecast(steady, 8, IN_2024).mean, DAMPED.forecast(steady, 8).mean)


def test_origins_side_by_side_see_their_own_halvings(ratios: Floats) -> None:
    epochs = [200, 207, 209]
    together = ANCHORED.forecast(np.stack([ratios[k - 104 : k] for k in epochs]), 8, np.array(epochs, np.float64))
    for n, k in enumerate(epochs):
        alone = ANCHORED.forecast(ratios[k - 104 : k], 8, k)
        assert np.array_equal(alone.mean, together.mean[n])


def test_blocks_before_a_halving_do_not_talk_the_drop_away() -> None:
    """A pace as expected up to the halving leaves the forecast where it was; so does one as expected to the end."""
    model = PATH_MODELS["anchored"]
    path = model.forecast([0.03] * 104, IN_2024)
    before_drop = float(path.mean[0]) + 0.05
    for gaps, shown in ((700, 0.0), (1343, 0.0), (2015, 1 / 3)):
        seen = before_drop - 0.15 * shown
        seconds = EPOCH_S * 2015 / 2016 * gaps / 2015 * math.exp(-seen)  # a pace of `seen` so far
        seconds *= math.exp(seen_growth(gaps, seconds) - seen + 0.5 * before_drop * (1 - gaps / 2015))
        told = model.with_blocks_seen(path, IN_2024, gaps, seconds)
        assert told.mean == pytest.approx(path.mean, abs=2e-3), gaps
        if not shown:
            naive = model.with_blocks_seen(path, None, gaps, seconds)
            assert float(naive.mean[0]) > float(path.mean[0]) + 0.015  # what would go wrong
    assert ANCHORED.drop_unseen(IN_2024 - 1, 700) == ANCHORED.drop_unseen(IN_2024 + 1, 700) == 0.0
    assert ANCHORED.drop_unseen(IN_2024, 0) == DAMPED.drop_unseen(IN_2024, 700) == 0.0


def test_a_height_learned_late_brings_the_halving_into_the_forecast() -> None:
    known = CHAIN.epochs[IN_2024 - 104 : IN_2024 + 1]
    past = [(epoch.start_s, epoch.bits) for epoch in known]
    start_ns = known[-1].start_s * NS_PER_S
    terms = replace(CONTRACT, start_ns=start_ns, end_ns=start_ns + int(28 * DAY) * NS_PER_S)
    told = FairValue(terms, past, growth_model("anchored"), known[0].first_height)
    late = FairValue(terms, past, growth_model("anchored"))
    assert told.path is not None
    assert late.path is not None
    assert float(late.path.mean[1]) > float(told.path.mean[1])
    first = known[-1].first_height + 1
    block = Block(start_ns + 10**9, first, known[-1].start_s + 1, 1, known[-1].bits, 0, 625_000_000, 0)
    for value in (told, late):
        value.on_block(block)
    assert np.array_equal(late.path.mean, told.path.mean)
    assert late.value_sat(block.time_ns) == told.value_sat(block.time_ns)


def test_rewards_to_come_are_placed_in_epochs_and_fees_are_not_halved() -> None:
    assert reward_steps(IN_2024 * 2016, 0.0, 30) == ((pytest.approx(2 / 3), 0.5),)
    assert reward_steps(IN_2024 * 2016 - 2016, 0.0, 30) == ((pytest.approx(5 / 3), 0.5),)
    assert reward_steps(840_000, 0.0, 30) == ()
    assert reward_steps(839_999, 0.0, 30) == ()  # the next block is the halved one
    assert reward_steps(839_998, 0.0, 30)[0][0] == pytest.approx(2 / 3)
    ((_, factor),) = reward_steps(IN_2024 * 2016, 625e6, 30)
    assert factor == pytest.approx(0.75)
    assert [factor for _, factor in reward_steps(IN_2024 * 2016, 0.0, 250)] == [0.5, 0.25, 0.125]


def test_a_halved_payout_along_a_path_counts_by_hand() -> None:
    half_life = EPOCH_S / 2  # x = ln 2: the epoch takes half its time
    path = np.array([math.log(2.0), math.log(2.0)])
    halving = ((2 / 3, 0.5),)
    paid = float(paid_s(path, 20 * DAY, 0.0, rewards=halving))
    rest = (20 * DAY - half_life) / 2
    assert paid == pytest.approx(half_life * (2 / 3 + 1 / 6) + rest / 2, rel=1e-14)
    assert float(paid_s(path, 2 * DAY, 0.0, rewards=halving)) == pytest.approx(2 * DAY)  # before it
    second = float(paid_s(path, 20 * DAY, 0.0, rewards=((1.5, 0.5),)))
    assert second == pytest.approx(half_life + EPOCH_S / 4 + (20 * DAY - half_life - EPOCH_S / 2) / 4, rel=1e-14)
    overdue = float(paid_s(path, 20 * DAY, 10 * DAY, rewards=halving))  # retarget and halving both come now
    assert overdue == pytest.approx(20 * DAY / 4)
    assert float(paid_s(path, 20 * DAY, rewards=((7.0, 0.5),))) == float(paid_s(path, 20 * DAY))  # beyond the path


@pytest.mark.parametrize(("epoch", "days"), [(410, 182), (412, 91), (414, 91), (416, 91), (416, 28)])
def test_quantiles_across_a_halving_agree_with_sobol_paths(ratios: Floats, epoch: int, days: int) -> None:
    forecast = replace(ANCHORED.forecast(ratios[epoch - 104 : epoch], 20, epoch), scales=((1.0, 1.0),))
    rewards = reward_steps(epoch * 2016, 0.0, 20)
    fast, slow = (
        second_order(forecast, days * DAY, rewards=rewards),
        sobol_values(forecast, days * DAY, rewards=rewards),
    )
    assert float(fast.mean_s) == pytest.approx(np.mean(slow.values_s), rel=1e-3)
    assert float(fast.log_sd) == pytest.approx(np.log(slow.values_s).std(), rel=1e-2)
    for p in (0.01, 0.05, 0.5, 0.95, 0.99):
        assert float(fast.quantile_s(p)) == pytest.approx(slow.quantile_s(p), rel=5e-3)


def test_a_contract_across_the_halving_of_2024_is_as_unsure_as_its_paths(ratios: Floats) -> None:
    """28 days from 10 April 2024: the date of the halving alone widens what may be paid by a quarter."""
    known = CHAIN.epochs[: IN_2024 + 1]
    start_ns = known[-1].start_s * NS_PER_S
    terms = replace(CONTRACT, start_ns=start_ns, end_ns=start_ns + int(28 * DAY) * NS_PER_S)
    value = FairValue(terms, [(epoch.start_s, epoch.bits) for epoch in known], growth_model("anchored"))
    assert value.path is not None
    low, high = (value.value_quantile_sat(start_ns, p) / value.value_sat(start_ns) for p in (0.05, 0.95))
    plain = second_order(value.path, 28 * DAY)
    before = float((plain.quantile_s(0.95) - plain.quantile_s(0.05)) / plain.mean_s)
    assert 1.15 < (high - low) / before < 1.40
    path = replace(value.path, scales=((1.0, 1.0),))
    drawn = sobol_values(path, 28 * DAY, rewards=reward_steps(IN_2024 * 2016, 0.0, RETARGETS))
    assert value.value_sat(start_ns) == pytest.approx(drawn.values_s.mean() * value.payout_rate_sat_s, rel=1e-3)


@pytest.mark.parametrize("years", [2, 4])
def test_a_contract_of_years_is_forecast_to_its_end(years: int) -> None:
    """More retargets than 30, and a halving far beyond them: growth and reward go on as the paths do."""
    known = CHAIN.epochs[: 260 + 1]
    start_ns = known[-1].start_s * NS_PER_S
    terms = replace(CONTRACT, start_ns=start_ns, end_ns=start_ns + int(years * 365 * DAY) * NS_PER_S)
    value = FairValue(terms, [(epoch.start_s, epoch.bits) for epoch in known], growth_model("damped"))
    assert value.path is not None
    assert value.path.retargets > 26 * years
    rewards = reward_steps(260 * 2016, 0.0, value.path.retargets)
    drawn = sobol_values(value.path, years * 365 * DAY, log2_paths=12, rewards=rewards)
    assert value.value_sat(start_ns) == pytest.approx(drawn.values_s.mean() * value.payout_rate_sat_s, rel=5e-3)
    if years == 4:
        longer = replace(terms, end_ns=start_ns + int(6 * 365 * DAY) * NS_PER_S)
        with pytest.raises(ModelError, match="term: damped forecasts 200 retargets"):
            FairValue(longer, [(epoch.start_s, epoch.bits) for epoch in known], growth_model("damped"))
