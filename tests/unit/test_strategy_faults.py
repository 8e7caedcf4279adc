"""Strategies of the user's own: every way in which one can be wrong is named with the strategy and the cause."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.cli import main

ROOT = Path(__file__).parents[2]
HEAD = """\
from dataclasses import dataclass
from bot.fields import Fraction, setting
from strategies.view import Target
@dataclass(frozen=True)
class Params:
    a: float = setting(Fraction(), default="0.3", doc="x")
def decide(view, params):
    return Target(0)
"""


def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    code: str,
    *flags: str,
    is_there: bool = True,
) -> tuple[int, str, str]:
    """Run the strategy module `code` from the working directory; return exit code and what was printed."""
    monkeypatch.chdir(tmp_path)
    if is_there:
        (tmp_path / f"{name}.py").write_text(code)
    config = tmp_path / "c.yaml"
    config.write_text(
        f"contract: {ROOT}/contracts/TH1BTC-2014Q4.yaml\n"
        f"history: {{market: {ROOT}/backtests/history/TH1BTC-2014Q4-quotes.csv}}\n"
        "run: {end: 2014-09-15T02:00:00Z}\n"
        f"strategies: [{{use: {name}}}]\n"
    )
    code_out = main(["backtest", str(config), "--no-report", *flags])
    printed = capsys.readouterr()
    return code_out, printed.out, printed.err


def test_a_module_in_the_working_directory_is_found_whatever_started_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, monkeypatch, capsys, "own_module_a", HEAD)[0] == 0


@pytest.mark.parametrize(
    ("name", "code", "cause"),
    [
        ("bad_syntax", "x = (\n", "SyntaxError: '(' was never closed ({dir}/bad_syntax.py:1)"),
        (
            "bad_import",
            "import nonexistent_module_x\n",
            "No module named 'nonexistent_module_x' ({dir}/bad_import.py:1)",
        ),
        ("bad_raise", "\nraise RuntimeError('at import')\n", "RuntimeError: at import ({dir}/bad_raise.py:2)"),
        ("bad_exit", "import sys\nsys.exit(0)\n", "SystemExit: 0 ({dir}/bad_exit.py:2)"),
        ("bad_default", HEAD.replace('"0.3"', '"abc"'), "'abc' is not a fraction ({dir}/bad_default.py:6)"),
        ("bad_field", HEAD.replace("    a:", "    b: int\n    a:"), "Params.b is not a setting and has no default"),
        (
            "bad_check",
            HEAD.replace("def decide", "    def cross_check(self):\n        raise RuntimeError('boom')\ndef decide"),
            "Params of 'bad_check' failed: RuntimeError: boom ({dir}/bad_check.py:8)",
        ),
    ],
)
def test_a_module_that_cannot_be_used_is_refused_with_line_and_cause(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    code: str,
    cause: str,
) -> None:
    exit_code, _, error = run(tmp_path, monkeypatch, capsys, name, code)
    assert exit_code == 2 and "c.yaml:4: strategies[0]" in error and cause.format(dir=tmp_path) in error, error
    assert "Traceback" not in error


def test_a_misspelt_name_gets_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = run(tmp_path, monkeypatch, capsys, "fair-value", "", is_there=False)[2]
    assert "no strategy 'fair-value' (did you mean fair_value_band?)" in error and f"found from {tmp_path}" in error


def test_a_strategy_cannot_end_the_program_as_if_it_had_succeeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = HEAD.replace("return Target(0)", "raise SystemExit(0)")
    exit_code, printed, error = run(tmp_path, monkeypatch, capsys, "exits", code)
    assert exit_code == 7 and "exits" in error and "SystemExit: 0" in error and "exits.py:8" in error and not printed


def test_what_a_strategy_prints_does_not_spoil_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = HEAD.replace("return Target(0)", "print('noise'); return Target(0)")
    exit_code, printed, error = run(tmp_path, monkeypatch, capsys, "prints", code, "--json")
    assert exit_code == 0 and json.loads(printed)["simulated_prices"] and "noise" in error


def test_a_changed_strategy_is_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(run(tmp_path, monkeypatch, capsys, "hashed", HEAD, "--json")[1])
    from bot.run import sha256

    assert document["reproduce"]["strategy hashed sha256"] == sha256((tmp_path / "hashed.py").read_bytes())


@pytest.mark.parametrize("name", ["__init__", "__x__"])
def test_a_new_strategy_has_a_name_that_can_be_used(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-strategy", name, "--dir", str(tmp_path)]) == 2
    assert "is not a module name" in capsys.readouterr().err
