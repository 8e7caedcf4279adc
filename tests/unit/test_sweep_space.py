"""Ranges in the configuration, and the trials that they make: exact, bounded, refused with file and line."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests.sweep.space import MOST_TRIALS, Axis, Space, at_random, grid, spaces_of
from bot.config import load_settings
from bot.errors import ConfigError
from bot.fields import Duration, Fraction, Integer, Money, Range, Size, declared_settings, parse, ranges_of, setting
from bot.fields.nodes import Mapping, Scalar
from bot.run import params_type
from tests.sweeps import ROOT

HEAD = f"""\
contract: {ROOT}/contracts/TH1BTC-2014Q4.yaml
history:
  market: {ROOT}/backtests/history/TH1BTC-2014Q4-quotes.csv
strategies:
"""


def spaces(tmp_path: Path, text: str) -> tuple[Space, ...]:
    path = tmp_path / "c.yaml"
    path.write_text(HEAD + text)
    return spaces_of(load_settings(path, params_type).strategies, str(path))


def problems(tmp_path: Path, sweep: str, use: str = "fair_value_band") -> list[str]:
    with pytest.raises(ConfigError) as refused:
        spaces(tmp_path, f"  - use: {use}\n    sweep:\n{sweep}")
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in refused.value.problems]


def shown(axis: Axis) -> list[str]:
    return [axis.show(value) for value in axis.grid()]


def test_a_grid_has_exact_values_in_the_parameter_s_own_unit(tmp_path: Path) -> None:
    band, carry, hold = spaces(
        tmp_path,
        """\
  - use: fair_value_band
    sweep:
      entry_band: {from: 0.05, to: 0.5, points: 10}
      exit_band: {from: 1 %, to: 16 %, scale: log}
      go_short: {values: [true, false]}
  - use: carry_aware_band
    sweep:
      horizon: {from: 1 d, to: 30 d, points: 3}
      margin: {from: 0, to: 1, points: 4}
      exit_margin: {values: [0.1, -0.3]}
  - use: hold_long
    sweep: {size: {from: 1 contract, to: 10 contracts, points: 4}}
""",
    )
    assert shown(band.axes[0]) == ["0.05", "0.1", "0.15", "0.2", "0.25", "0.3", "0.35", "0.4", "0.45", "0.5"]
    assert band.axes[0].grid()[2] == 0.15, "the float that a configuration's 0.15 reads as"
    assert shown(band.axes[1]) == ["0.01", "0.02", "0.04", "0.08", "0.16"]
    assert shown(band.axes[2]) == ["true", "false"]
    assert shown(carry.axes[0]) == ["1 d", "372 h", "30 d"]
    assert shown(carry.axes[1]) == ["0", "0.33333", "0.66667", "1"]
    assert shown(carry.axes[2]) == ["0.1", "-0.3"], "in the order in which they are written"
    assert shown(hold.axes[0]) == ["1 contract", "4 contracts", "7 contracts", "10 contracts"]
    trials = list(grid((band, carry, hold)))
    assert len(trials) == 10 * 5 * 2 + 3 * 4 * 2 + 4
    assert [trial.number for trial in trials] == list(range(128))
    assert trials[1].values == (0.05, 0.01, False) and trials[100].values == (86_400 * 10**9, 0.0, 0.1)
    assert band.shown(trials[1].values) == {"entry_band": "0.05", "exit_band": "0.01", "go_short": "false"}
    assert carry.arguments(trials[100].values) == {"horizon_ns": 86_400 * 10**9, "margin": 0.0, "exit_margin": 0.1}


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ("      sise: {from: 1}", "c.yaml:7: strategies[0].sweep: unknown key 'sise' (did you mean size?)"),
        ("      size: {from: 0}", "c.yaml:7: strategies[0].sweep.size.to: it is missing (give from and to, or values)"),
        ("      size: {from: 2, to: 1}", "sweep.size.to: 1 is not above from, 2 (turn them round)"),
        ("      size: {from: 1, to: 1}", "to: 1 is not above from, 1 (a single value belongs into params)"),
        (
            "      size: {from: 1, to: 9}",
            "c.yaml:7: strategies[0].sweep.size.to: '9' is not a fraction between 0 and 4",
        ),
        ("      size: {from: 0, to: 1, scale: log}", "c.yaml:7: strategies[0].sweep.size.from: 0 is not above 0"),
        ("      size: {from: 0, to: 1, points: 1}", "size.points: '1' is not a whole number between 2 and 10000"),
        ("      size: {values: [1, 2, 1]}", "strategies[0].sweep.size.values[2]: 1 is there twice"),
        ("      size: {values: [1], from: 0, to: 1}", "strategies[0].sweep.size.values: they stand beside from and to"),
        ("      go_long: {from: true}", "strategies[0].sweep.go_long: unknown key 'from' (known: values)"),
        ("      go_long: {}", "strategies[0].sweep.go_long.values: it is missing (for example values: [true, false])"),
        ("      size: 3", "c.yaml:7: strategies[0].sweep.size: expected settings, found '3'"),
    ],
)
def test_a_wrong_range_is_refused_at_its_line(tmp_path: Path, sweep: str, expected: str) -> None:
    (problem,) = problems(tmp_path, sweep)
    assert expected in problem


def test_all_wrong_ranges_are_told_at_once_and_a_unit_is_demanded(tmp_path: Path) -> None:
    found = problems(tmp_path, "      horizon: {from: 1 d, to: 30}\n      margin: {values: [x]}", "carry_aware_band")
    assert len(found) == 2 and "it has no unit" in found[0] and "c.yaml:8" in found[1]


def test_the_ranges_of_the_page_and_of_the_example_are_accepted(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\nstrategies:\n(.*?)```", (ROOT / "docs" / "sweep.md").read_text(), flags=re.DOTALL)
    (space,) = spaces(tmp_path, block)
    assert space.size() == 5 * 4 * 5 * 3
    example = ROOT / "examples" / "sweep.yaml"
    made = spaces_of(load_settings(example, params_type).strategies, str(example))
    assert sum(space.size() for space in made) == 80 and "80 trials" in example.read_text()


def test_a_sweep_of_nothing_is_refused(tmp_path: Path) -> None:
    assert "it names no parameter" in problems(tmp_path, "      {}")[0]
    with pytest.raises(ConfigError, match=r"no strategy has a sweep section.*examples/sweep\.yaml"):
        spaces(tmp_path, "  - use: hold_long\n")


def test_a_grid_too_large_is_refused_before_it_is_made(tmp_path: Path) -> None:
    ranges = "".join(f"      {name}: {{from: 0, to: 1, points: 200}}\n" for name in ("entry_band", "exit_band", "size"))
    with pytest.raises(ConfigError, match=f"the grid has 8000000 trials, more than {MOST_TRIALS}"):
        list(grid(spaces(tmp_path, f"  - use: fair_value_band\n    sweep:\n{ranges}")))


def test_random_trials_are_those_of_their_seed_and_stay_in_range(tmp_path: Path) -> None:
    made = spaces(tmp_path, "  - use: hold_long\n    sweep: {size: {from: 1 contract, to: 3 contracts}}\n")
    one, same, other = (list(at_random(made, 50, seed)) for seed in (1, 1, 2))
    assert one == same and one != other and len(one) == 50
    values = [trial.values[0] for trial in one]
    assert all(Decimal(1) <= value <= Decimal(3) for value in values) and len(set(values)) > 45


KINDS = [
    (Fraction(), "0.001", "4"),
    (Duration(), "1 h", "365 d"),
    (Integer(), "1", "1000"),
    (Money(), "0.001 BTC", "100 BTC"),
    (Size(), "0.01 contracts", "50 contracts"),
]


def axis_of(kind: Any, low: str, high: str, scale: str, points: int = 7) -> Axis:
    from dataclasses import make_dataclass

    params = make_dataclass("Params", [("a", Any, setting(kind, doc="x", default=low))], frozen=True)
    entries = {"from": low, "to": high, "scale": scale, "points": str(points)}
    node = Mapping("f", 1, tuple((Scalar("f", 1, k, False), Scalar("f", 1, v, False)) for k, v in entries.items()))
    made = parse(Mapping("f", 1, ((Scalar("f", 1, "a", False), node),)), ranges_of(params))
    ((field, of),) = declared_settings(type(made))
    span = getattr(made, field.name)
    assert isinstance(span, Range)
    return Axis(field.name, of.key, span)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), st.sampled_from(["linear", "log"]), st.floats(0.0, 1.0), st.integers(2, 30))
def test_a_value_reads_back_from_what_is_shown_and_lies_where_it_was_asked_for(
    kind: tuple[Any, str, str], scale: str, place: float, points: int
) -> None:
    axis = axis_of(*kind, scale, points)
    for value in (axis.at(place), *axis.grid()):
        assert kind[0].read_text(axis.show(value)) == value
        assert axis.range.low <= value <= axis.range.high
    if not isinstance(kind[0], Integer):
        assert axis.place(axis.at(place)) == pytest.approx(place, abs=2e-3 if scale == "log" else 2e-5)
    assert axis.grid()[0] == axis.range.low and axis.grid()[-1] == axis.range.high
    assert list(axis.grid()) == sorted(set(axis.grid()))
