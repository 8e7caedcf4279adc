"""Answers of strategies that cannot be followed: each is refused by name, time and fault, never worked around."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.cli import main

ROOT = Path(__file__).parents[2]
HEAD = """\
from dataclasses import dataclass
from strategies.view import Target, Wake
@dataclass(frozen=True)
class Params:
    pass
def band(view, params):
    return 0.0, 0.0
def decide(view, params):
    return Target(0)
"""


@pytest.mark.parametrize(
    ("name", "old", "new", "cause"),
    [
        ("ans_limit", "return Target(0)", "return Target(9, limit_price_sat=-5)", "limit_price_sat"),
        ("ans_wake", "return Target(0)", "return Target(9, wake=5)", "wake"),
        ("ans_raise", "return Target(0)", "return 1 / 0", "ZeroDivisionError: division by zero ({dir}/ans_raise.py:9)"),
        ("ans_exit", "return Target(0)", "raise SystemExit(0)", "SystemExit: 0 ({dir}/ans_exit.py:9)"),
        ("ans_band_nan", "return 0.0, 0.0", "return float('nan'), 0.0", "its band: ValueError"),
        ("ans_band_none", "return 0.0, 0.0", "return None", "its band: TypeError"),
        ("ans_band_raise", "return 0.0, 0.0", "return 1 / 0", "its band: ZeroDivisionError"),
    ],
)
def test_a_bad_answer_names_strategy_time_and_cause(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    old: str,
    new: str,
    cause: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert old in HEAD
    (tmp_path / f"{name}.py").write_text(HEAD.replace(old, new))
    (tmp_path / "c.yaml").write_text(
        f"contract: {ROOT}/contracts/TH1BTC-2014Q4.yaml\n"
        f"history: {{market: {ROOT}/backtests/history/TH1BTC-2014Q4-quotes.csv}}\n"
        f"run: {{end: 2014-09-15T02:00:00Z}}\nstrategies: [{{use: {name}}}]\n"
    )
    assert main(["backtest", "c.yaml", "--out", "out"]) == 7
    error = capsys.readouterr().err
    assert f"{name} at 2014-09-15T00:00:00Z: " in error and cause.format(dir=tmp_path) in error, error
