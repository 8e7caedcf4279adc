"""Fees to come: the fitted process, what they are worth over a term, and that only days that are over are known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests import reference
from bot.chain.chain import load
from bot.contract_file import load_contract
from bot.core.contract import FPPS, PPS, PRO_RATA
from bot.core.events import Block
from bot.core.units import NS_PER_DAY
from bot.model.fair_value import FairValue
from bot.model.fees import FeeDays, FeeForecast, days_before, fitted
from bot.model.growth import growth_model
from bot.model.schedule import Stretch
from bot.run import fees_before, load_run

ROOT = Path(__file__).parents[2]
CHAIN = load()
CONTRACT = load_contract(ROOT / "contracts/TH1BTC-2014Q4.yaml")
DAY_S = 86_400.0
FORECAST = FeeForecast(log_mean=16.0, persistence=0.6, shock_sd=0.3, last_log=16.5, last_day=16_000)


def paying(basis: str, past: tuple[tuple[int, float], ...] = ()) -> FairValue:
    contract = replace(CONTRACT, payout=replace(CONTRACT.payout, basis=basis, pool_hs=3500 * 10**12))
    epochs = [(epoch.start_s, epoch.bits) for epoch in CHAIN.epochs_known_at(contract.start_ns)]
    return FairValue(contract, epochs, growth_model("trailing(6)"), past_fees=past)


def known_days() -> tuple[tuple[int, float], ...]:
    return days_before(CHAIN.blocks, CONTRACT.start_ns)


def test_the_expectation_is_that_of_simulated_days() -> None:
    draw = np.random.default_rng(4)
    logs = np.full(400_000, FORECAST.last_log)
    for expected in FORECAST.expected_sat(5):
        logs = 16.0 + 0.6 * (logs - 16.0) + 0.3 * draw.standard_normal(len(logs))
        assert np.exp(logs).mean() == pytest.approx(expected, rel=3e-3)
    far = FORECAST.expected_sat(200)[-1]
    assert far == pytest.approx(math.exp(16.0 + 0.3**2 / (2 * (1 - 0.36))), rel=1e-13)


def test_the_formula_of_the_model_document_to_1e_12() -> None:
    for n, fee in enumerate(FORECAST.expected_sat(40), 1):
        power = 0.6**n
        exponent = 16.0 + power * 0.5 + 0.09 * (1 - power**2) / (2 * (1 - 0.36))
        assert fee == pytest.approx(math.exp(exponent), rel=1e-12)


def test_the_fit_finds_what_was_put_in_and_refuses_to_guess() -> None:
    draw = np.random.default_rng(9)
    found = []
    for _ in range(300):
        logs = [16.0]
        for _ in range(59):
            logs.append(16.0 + 0.5 * (logs[-1] - 16.0) + 0.2 * draw.standard_normal())
        found.append(fitted([(day, math.exp(x)) for day, x in enumerate(logs)]))
    fits = [fit for fit in found if fit is not None]
    assert np.mean([fit.log_mean for fit in fits]) == pytest.approx(16.0, abs=0.01)
    assert np.mean([fit.persistence for fit in fits]) == pytest.approx(0.5 - (1 + 3 * 0.5) / 60, abs=0.03)  # Kendall
    assert np.mean([fit.shock_sd for fit in fits]) == pytest.approx(0.2, abs=0.005)
    assert fitted([(day, 1e7) for day in range(14)]) is None
    assert fitted([(day, 0.0 if day == 7 else 1e7) for day in range(30)]) is None
    steady = fitted([(day, 1e7) for day in range(30)])
    assert steady is not None
    assert steady.expected_sat(30) == pytest.approx([1e7] * 30, rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.0, 40.0), st.floats(0.01, 90.0), st.floats(0.0, 3.0), st.integers(0, 86_399))
def test_the_level_is_a_mean_of_the_days_it_covers(from_days: float, days: float, growth: float, second: int) -> None:
    at_ns = 16_001 * NS_PER_DAY + second * 10**9
    path = [Stretch(n * 14 * DAY_S, (n + 1) * 14 * DAY_S, math.exp(-growth * n), 0) for n in range(10)]
    level = FORECAST.level_sat(path, from_days * DAY_S, (from_days + days) * DAY_S, at_ns)
    first = int(second / DAY_S + from_days)
    covered = FORECAST.expected_sat(int(second / DAY_S + from_days + days) + 1)[first:]
    assert min(covered) * (1 - 1e-12) <= level <= max(covered) * (1 + 1e-12)


def test_the_level_by_hand_and_at_its_edges() -> None:
    first, second, *_ = FORECAST.expected_sat(2)
    at_ns = 16_001 * NS_PER_DAY  # the day after the last one known begins
    whole = [Stretch(0.0, 9 * DAY_S, 1.0, 0)]
    assert FORECAST.level_sat(whole, 0.0, 2 * DAY_S, at_ns) == pytest.approx((first + second) / 2, rel=1e-14)
    cheap = [Stretch(0.0, DAY_S, 1.0, 0), Stretch(DAY_S, 9 * DAY_S, 0.5, 0)]
    assert FORECAST.level_sat(cheap, 0.0, 2 * DAY_S, at_ns) == pytest.approx((first + second / 2) / 1.5, rel=1e-14)
    assert FORECAST.level_sat(whole, 0.0, 0.0, at_ns) == first  # nothing left: no division by 0
    assert FORECAST.level_sat(whole, 0.0, 1e-6, at_ns) == pytest.approx(first, rel=1e-12)


def test_a_dear_day_moves_the_value_for_as_long_as_dear_days_last() -> None:
    """The mean of the last 144 blocks would carry one dear day to expiry."""
    past = tuple((day, 1e7 * (1.3 if day % 2 else 1.0)) for day in range(16_300, 16_330))
    plain = paying(PPS).value_sat(CONTRACT.start_ns)
    calm, dear = paying(FPPS, past), paying(FPPS, (*past[:-1], (past[-1][0], 4e7)))
    assert calm.value_sat(CONTRACT.start_ns) > plain
    rise = (dear.value_sat(CONTRACT.start_ns) - calm.value_sat(CONTRACT.start_ns)) / plain
    assert 0.0 < rise < 0.2 * (4e7 - 1e7) / 25e8


def test_fees_before_the_run_are_known_at_its_start_and_pro_rata_blocks_carry_fees() -> None:
    now, days = CONTRACT.start_ns, known_days()
    assert len(days) == 45
    assert days[-1][0] == now // NS_PER_DAY - 1
    plain = paying(PPS, days).value_sat(now)
    for basis in (FPPS, PRO_RATA):  # a pool that shares its blocks shares their fees, and the exchange pays them
        value = paying(basis, days)
        assert value.value_sat(now) == pytest.approx(plain * (1 + value.expected_fees_sat / 25e8), rel=1e-12)
        assert 0.002 < value.expected_fees_sat / 25e8 < 0.004
        assert value.payout_rate_sat_s > paying(PPS).payout_rate_sat_s


def test_old_figures_are_not_taken_for_the_fees_of_today() -> None:
    contract = replace(CONTRACT, payout=replace(CONTRACT.payout, basis=FPPS))
    assert fees_before(CHAIN, CONTRACT, CONTRACT.start_ns) == ()  # pps pays none
    assert fees_before(CHAIN, contract, CONTRACT.start_ns) == known_days()
    assert fees_before(CHAIN, contract, CONTRACT.start_ns + 3000 * NS_PER_DAY) == ()


def test_days_are_learned_when_they_are_over() -> None:
    days, blocks = FeeDays(known_days()), CHAIN.blocks_between(CONTRACT.start_ns, CONTRACT.end_ns)
    today = 0
    for block in blocks:
        day = block.time_ns // NS_PER_DAY
        assert days.learn(block) == (0 < today < day)
        today = day
        assert days.forecast is not None
        assert days.forecast.last_day == today - 1


def dearer(block: Block, cut_ns: int) -> Block:
    return block if block.time_ns <= cut_ns else block._replace(fees_sat=block.fees_sat * 7 + 10**8)


@pytest.mark.parametrize("basis", [FPPS, PRO_RATA])
def test_later_fees_move_no_earlier_value_and_later_ones_they_do(basis: str) -> None:
    days, blocks = known_days(), CHAIN.blocks_between(CONTRACT.start_ns, CONTRACT.end_ns)[:4_000]
    cut_ns = CONTRACT.start_ns + 13 * NS_PER_DAY + 7 * 10**9
    one, other = paying(basis, days), paying(basis, days)
    later = False
    for block in blocks:
        one.on_block(block)
        other.on_block(dearer(block, cut_ns))
        same = one.value_sat(block.time_ns) == other.value_sat(block.time_ns)
        assert same or block.time_ns > cut_ns
        later = later or not same
    assert later


def test_a_run_values_with_the_fees_known_before_it(tmp_path: Path) -> None:
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    terms = (ROOT / "contracts/TH1BTC-2014Q4.yaml").read_text(encoding="utf-8")
    (tmp_path / "fpps.yaml").write_text(terms.replace("basis: pps", "basis: fpps"), encoding="utf-8")
    text = text.replace("contracts/TH1BTC-2014Q4.yaml", "fpps.yaml").replace("backtests/", f"{ROOT}/backtests/")
    (tmp_path / "config.yaml").write_text(text.replace("2014-12-15", "2014-09-17"), encoding="utf-8")
    run = load_run(tmp_path / "config.yaml", observe=True)
    assert run.plans[0].past_fees == known_days()
    fair = [seen.fair_sat for seen in reference.run(run.plans[0]).observations]
    without = [seen.fair_sat for seen in reference.run(replace(run.plans[0], past_fees=())).observations]
    assert fair[0] > without[0]  # before the first block, without them, fees were not known at all


@pytest.mark.parametrize(("horizon", "missed", "last_missed"), [(7, 0.08, 0.155), (30, 0.09, 0.155), (60, 0.11, 0.19)])
def test_walking_forward_it_beats_the_last_day_as_the_record_says(
    horizon: int, missed: float, last_missed: float
) -> None:
    seen = FeeDays()
    fees = [seen.days[-1][1] for block in CHAIN.blocks if seen.learn(block)]
    assert len(fees) == 152  # August to December 2014, the last day is not over
    own, last = [], []
    for known in range(20, len(fees) - horizon):
        forecast = fitted(list(enumerate(fees[:known])))
        assert forecast is not None
        came = np.mean(fees[known : known + horizon])
        own.append(np.mean(forecast.expected_sat(horizon)) / came - 1)
        last.append(fees[known - 1] / came - 1)
    assert np.mean(np.abs(own)) == pytest.approx(missed, abs=0.005)
    assert np.mean(np.abs(last)) == pytest.approx(last_missed, abs=0.005)
