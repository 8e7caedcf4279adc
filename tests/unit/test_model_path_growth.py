"""Path models behind the fair value: expectation, quantiles, pace of the epoch, and nothing from the future."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests import reference
from bot.chain.chain import Chain, load
from bot.contract_file import load_contract
from bot.core.contract import FPPS, PPS, PRO_RATA, Contract
from bot.core.events import Block
from bot.core.units import NS_PER_DAY, NS_PER_S, SAT_PER_BTC
from bot.model import path_growth
from bot.model.domain import ModelError
from bot.model.fair_value import FairValue
from bot.model.growth import PATH_NAMES, growth_model, log_ratio
from bot.model.knowledge import forecast_ahead
from bot.model.path_growth import PATH_MODELS, RETARGETS, expected_steps
from bot.model.random_clock import sobol_values
from bot.run import load_run
from bot.session import Strategy
from strategies.view import Target, View

ROOT = Path(__file__).parents[2]
CHAIN = load()
CONTRACT = load_contract(ROOT / "contracts/TH1BTC-2014Q4.yaml")


def fair(name: str, chain: Chain = CHAIN, contract: Contract = CONTRACT) -> FairValue:
    past = [(epoch.start_s, epoch.bits) for epoch in chain.epochs_known_at(contract.start_ns)]
    return FairValue(contract, past, growth_model(name))


def blocks() -> list[Block]:
    return CHAIN.blocks_between(CONTRACT.start_ns, CONTRACT.end_ns)


@pytest.mark.parametrize("name", PATH_NAMES)
def test_the_value_is_the_expected_payout(name: str) -> None:
    value, now = fair(name), CONTRACT.start_ns
    assert value.path is not None
    paths = sobol_values(
        value.path, (CONTRACT.end_ns - now) / NS_PER_S, (now - value.knowledge.epoch_start_ns) / NS_PER_S, log2_paths=15
    )
    assert value.value_sat(now) == pytest.approx(paths.mean_s * value.payout_rate_sat_s, rel=2e-3)
    for p in (0.05, 0.5, 0.95):
        wanted = paths.quantile_s(p) * value.payout_rate_sat_s
        tolerance = 0.06 if name == "anchored" else 0.01  # the Sobol paths are Gaussian, its tails are not
        assert value.value_quantile_sat(now, p) == pytest.approx(wanted, rel=tolerance)


def test_the_damped_trend_values_the_launch_as_the_model_document_does() -> None:
    value, now = fair("damped"), CONTRACT.start_ns
    assert value.value_sat(now) / SAT_PER_BTC == pytest.approx(1.040, abs=1.5e-3)
    assert value.value_quantile_sat(now, 0.05) / SAT_PER_BTC == pytest.approx(0.802, abs=2e-3)
    assert value.value_quantile_sat(now, 0.95) / SAT_PER_BTC == pytest.approx(1.316, abs=4e-3)
    assert value.value_to_short(now, 10_000_000) / SAT_PER_BTC == pytest.approx(1.59, abs=0.01)
    assert value.value_quantile_sat(now, 0.9999) < 2 * SAT_PER_BTC  # P(V >= 2) about 0


def test_steps_pay_what_is_expected_of_full_epochs() -> None:
    path = PATH_MODELS["anchored"].forecast([0.1, 0.08, 0.12] * 10)
    steps, decay = expected_steps(path), 1.0
    assert len(steps) == RETARGETS
    for step, expected in zip(steps, path.expected_decay(), strict=True):
        decay *= step.decay
        assert decay == pytest.approx(float(expected), rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    hours=st.integers(0, 91 * 24),
    levels=st.lists(st.floats(0.001, 0.999), min_size=2, max_size=6, unique=True),
    name=st.sampled_from(PATH_NAMES),
)
def test_quantiles_are_ordered_and_positive_until_expiry(hours: int, levels: list[float], name: str) -> None:
    value = fair(name)
    at_ns = CONTRACT.start_ns + hours * 3_600 * NS_PER_S
    quantiles = [value.value_quantile_sat(at_ns, p) for p in sorted(levels)]
    assert quantiles == sorted(quantiles)
    assert quantiles[0] > 0.0 if at_ns < CONTRACT.end_ns else quantiles[-1] == 0.0


@pytest.mark.parametrize(("basis", "years"), [(PPS, 0), (FPPS, 2)])
def test_the_answer_does_not_depend_on_what_was_asked_before(basis: str, years: int) -> None:
    """Beyond a halving the law counts with fees, which move daily: with those of its look, whenever it is asked for."""
    end_ns = CONTRACT.end_ns + years * 365 * NS_PER_DAY
    contract = replace(CONTRACT, end_ns=end_ns, payout=replace(CONTRACT.payout, basis=basis))
    known = blocks()[:2_982]  # since the last look the fees expected have changed
    asked, silent = fair("anchored", contract=contract), fair("anchored", contract=contract)
    for block in known:
        asked.on_block(block)
        silent.on_block(block)
        if block.height % 50 == 0:
            asked.value_quantile_sat(block.time_ns, 0.25)
            asked.value_sat(block.time_ns + 7)
    at_ns = known[-1].time_ns + NS_PER_DAY // 3
    assert asked.value_quantile_sat(at_ns, 0.1) == silent.value_quantile_sat(at_ns, 0.1)
    assert asked.value_sat(at_ns) == silent.value_sat(at_ns)


def test_pool_luck_widens_pro_rata_payouts_alone() -> None:
    """3,500 TH/s in 2014: luck of 0.08 to 0.09 BTC beside a path that is uncertain by 0.14."""
    luck = replace(CONTRACT, payout=replace(CONTRACT.payout, basis=PRO_RATA, pool_hs=3_500 * 10**12))
    plain, pooled, now = fair("damped"), fair("damped", contract=luck), CONTRACT.start_ns
    assert pooled.value_sat(now) == plain.value_sat(now)
    sd = [(v.value_quantile_sat(now, 0.84134) - v.value_quantile_sat(now, 0.15866)) / 2e8 for v in (plain, pooled)]
    assert math.sqrt(sd[1] ** 2 - sd[0] ** 2) == pytest.approx(math.sqrt(25 * 0.97 / 3_500 * 1.0405), rel=0.05)


def test_a_strategy_sees_the_quantiles(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    text = (ROOT / "config.yaml").read_text(encoding="utf-8").replace("model: trailing", "model: anchored")
    for name in ("contracts/", "backtests/"):
        text = text.replace(f" {name}", f" {ROOT}/{name}")
    config.write_text(text, encoding="utf-8")
    seen: list[tuple[float, float, float]] = []

    def decide(view: View, params: object) -> Target:
        seen.append((view.fair_quantile_sat(0.05), view.fair_value_sat, view.fair_quantile_sat(0.95)))
        return Target(0)

    plan = load_run(config).plans[0]
    end_ns = plan.settings.start_ns + 4 * NS_PER_DAY
    reference.run(replace(plan, strategy=Strategy("watch", decide, None), end_ns=end_ns))
    assert len(seen) > 90
    assert all(low < middle < high for low, middle, high in seen)


def test_fast_blocks_lower_the_value_and_narrow_it() -> None:
    slow, fast = fair("anchored"), fair("anchored")
    epoch = CHAIN.epochs_known_at(CONTRACT.start_ns)[-1]
    for value, gap_s in ((slow, 700), (fast, 500)):
        for n in range(288, 2_000, 144):
            at_ns = (epoch.start_s + n * gap_s) * NS_PER_S
            value.on_block(Block(at_ns, epoch.first_height + n, 0, 0, epoch.bits, epoch.target, 25 * 10**8, 0))
    now = (epoch.start_s + 2_016 * 700) * NS_PER_S
    assert fast.growth_per_retarget > 0.1 > 0.0 > slow.growth_per_retarget
    assert fast.value_sat(now) < slow.value_sat(now)
    assert slow.path is not None
    assert float(slow.path.covariance[0, 0]) < 1e-3


def test_each_day_pays_about_what_the_value_loses() -> None:
    value, now = fair("anchored"), CONTRACT.start_ns
    coming = value.coming(now)
    assert sum(c.paid_sat for c in coming) == pytest.approx(value.value_sat(now), rel=1e-12)
    assert all(a.to_ns == b.from_ns for a, b in pairwise(coming))
    assert coming[-1].to_ns == CONTRACT.end_ns
    assert value.coming(CONTRACT.end_ns) == []


def test_a_point_model_has_no_quantiles_and_says_which_has() -> None:
    with pytest.raises(ModelError, match=r"value.model: .* \(choose anchored, damped or ar1"):
        fair("flat").value_quantile_sat(CONTRACT.start_ns, 0.5)


def test_no_later_block_or_retarget_moves_an_earlier_value() -> None:
    cut = 6_000
    at = blocks()[cut].time_ns
    quicker = [b if n <= cut else b._replace(time_ns=at + (b.time_ns - at) // 2) for n, b in enumerate(blocks())]

    def seen(stream: list[Block]) -> list[tuple[float, float, float]]:
        value, rows = fair("anchored"), []
        for n, block in enumerate(stream):
            value.on_block(block)
            if n % 400 == 0:
                low, high = (value.value_quantile_sat(block.time_ns, p) for p in (0.05, 0.95))
                rows.append((value.value_sat(block.time_ns), low, high))
        return rows

    true, other = seen(blocks()), seen(quicker)
    known = cut // 400 + 1
    assert true[:known] == other[:known]
    assert all(a != b for a, b in zip(true[known:], other[known:], strict=True))  # and the change is felt at once


def test_forecasts_made_in_one_call_are_those_made_one_by_one() -> None:
    epochs = [(epoch.start_s, epoch.bits) for epoch in CHAIN.epochs_known_at(CONTRACT.start_ns)]
    path_growth._KEPT.clear()
    forecast_ahead(growth_model("anchored"), epochs, blocks(), CONTRACT.end_ns)
    ahead = dict(path_growth._KEPT)
    assert len(ahead) == 7  # the epoch in force at the start, and six retargets
    path_growth._KEPT.clear()
    value = fair("anchored")
    for block in blocks():
        value.on_block(block)
    assert ahead.keys() == path_growth._KEPT.keys()  # all that a run asks for, and nothing else
    for past, made in path_growth._KEPT.items():
        assert made.mean.tobytes() == ahead[past].mean.tobytes()
        assert made.covariance.tobytes() == ahead[past].covariance.tobytes()


def test_every_forecast_of_a_run_is_made_before_it() -> None:
    run = load_run(ROOT / "config.yaml")
    before = list(path_growth._KEPT.values())
    reference.run(run.plans[0])
    assert all(a is b for a, b in zip(before, path_growth._KEPT.values(), strict=True))


def test_a_refit_is_quick_enough_for_an_engine() -> None:
    ratios = [log_ratio(a.target, b.target) for a, b in pairwise(CHAIN.epochs)]
    PATH_MODELS["anchored"].forecast(ratios[100:250])
    spent = []
    for last in range(300, 305):
        begin = time.perf_counter()
        PATH_MODELS["anchored"].forecast(ratios[:last])
        spent.append(time.perf_counter() - begin)
    assert min(spent) < 0.150
    assert np.isfinite(spent).all()
