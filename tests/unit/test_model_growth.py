"""Growth models: chosen by name, fed by the past alone, the same to the last bit on every machine."""

from __future__ import annotations

import math

import pytest

from bot.errors import ConfigError
from bot.model.domain import ModelError
from bot.model.growth import Ewma, Flat, Trailing, forecast, growth_model, log_ratio, reproducible_step
from bot.model.schedule import EPOCH_S, LN4, step_of_growth

RATIOS = [0.01, 0.05, -0.02, 0.11, 0.08]


@pytest.mark.parametrize(
    ("name", "model"),
    [("flat", Flat()), ("trailing(6)", Trailing(6)), ("ewma(6)", Ewma(6)), ("trailing(1000)", Trailing(1000))],
)
def test_models_are_found_by_their_own_name(name: str, model: object) -> None:
    found = growth_model(name)
    assert found == model
    assert found.name == name


BAD_NAMES = (
    *("", "Flat", "flat(3)", "flat\n", "trailing", "trailing(0)", "trailing(06)", "trailing(1001)", "trailing(6) "),
    *("trailing(\uff16)", "ewma(-1)", "ewma(2.5)"),  # the first has a full-width six
)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_other_names_are_refused_where_they_stand(name: str) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml:14: .* is not a growth model \(choose flat, trailing"):
        growth_model(name, "config.yaml:14")


def test_flat_needs_no_past() -> None:
    assert forecast(Flat(), []) == 0.0
    assert forecast(Flat(), RATIOS) == 0.0


def test_trailing_is_the_mean_of_the_last_n() -> None:
    assert forecast(Trailing(2), RATIOS) == pytest.approx(0.095, rel=1e-15)
    assert forecast(Trailing(5), RATIOS) == pytest.approx(0.046, rel=1e-15)


def test_ewma_weighs_recent_retargets_more() -> None:
    keep = 1 / 3  # span 2
    weights = [keep**i for i in range(5)]
    by_hand = sum(w * x for w, x in zip(weights, reversed(RATIOS), strict=True)) / sum(weights)
    assert forecast(Ewma(2), RATIOS) == pytest.approx(by_hand, rel=1e-14)
    assert forecast(Ewma(1), RATIOS) == 0.08
    assert forecast(Ewma(9), [0.03]) == pytest.approx(0.03, rel=1e-15)


def test_ewma_does_not_depend_on_how_much_history_is_given() -> None:
    long = [math.sin(i) / 10 for i in range(300)]
    assert forecast(Ewma(6), long) == forecast(Ewma(6), long[-120:])


@pytest.mark.parametrize("model", [Trailing(6), Ewma(6)])
def test_too_short_a_past_is_refused_saying_what_is_missing(model: Trailing | Ewma) -> None:
    with pytest.raises(ModelError, match=r"past_epochs: 0 past retargets are known, .*\(6\) needs \d.*epochs or more"):
        forecast(model, [])


def test_logarithms_are_the_nearest_float() -> None:
    assert log_ratio(4, 1) == LN4
    assert log_ratio(1, 4) == -LN4
    assert log_ratio(7, 7) == 0.0
    before, after = 0x1824DBE9, 0x181FB893  # mantissas of epochs 159 and 160
    assert log_ratio(before & 0xFFFFFF, after & 0xFFFFFF).hex() == "0x1.33730b242500ap-3"
    assert log_ratio(before & 0xFFFFFF, after & 0xFFFFFF) == pytest.approx(
        math.log((before & 0xFFFFFF) / (after & 0xFFFFFF)), rel=1e-14
    )


@pytest.mark.parametrize("growth", [0.0, 0.06, -0.3, LN4, 2.0, -2.0, 700.0, -700.0])
def test_the_reproducible_step_is_the_step(growth: float) -> None:
    exact, plain = reproducible_step(growth), step_of_growth(growth)
    assert exact.length_s == pytest.approx(plain.length_s, rel=1e-15)
    assert exact.decay == pytest.approx(plain.decay, rel=1e-15)
    if growth == 0.0:
        assert exact == (EPOCH_S, 1.0)


@pytest.mark.parametrize("growth", [math.nan, math.inf, 701.0])
def test_a_model_that_answers_nonsense_is_stopped(growth: float) -> None:
    with pytest.raises(ModelError, match="growth_per_retarget"):
        reproducible_step(growth)
