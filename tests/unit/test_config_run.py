"""The configuration of a run: what the shipped one says, and all problems of all its files at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.config import Settings, explain_settings, load_settings
from bot.contract_file import load_contract
from bot.errors import ConfigError, FairhashError
from bot.fields import Fraction, setting

ROOT = Path(__file__).parents[2]
DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    entry_band: float = setting(Fraction(), default="0.25", low="0", high="5", doc="Enter beyond this.")
    exit_band: float = setting(Fraction(), default="0.05", low="0", high="5", doc="Leave within this.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """A strategy without parameters."""


STRATEGIES = ("fair_value_band", "carry_aware_band", "early_exit_short", "hold_long", "hold_short", "own_and_lend")


def resolve(use: str) -> type[Any]:
    if use not in STRATEGIES:
        raise FairhashError(f"there is no strategy {use!r}")
    return Band if use == "fair_value_band" else Nothing


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the shipped configuration and contract, and history files that exist."""
    monkeypatch.chdir(tmp_path)
    for name in ("config.yaml", "contracts/TH1BTC-2014Q4.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    history = tmp_path / "backtests" / "history"
    history.mkdir(parents=True)
    for name in ("quotes", "swap-rates"):
        (history / f"TH1BTC-2014Q4-{name}.csv").touch()
    return tmp_path


def change(file: str, *changes: tuple[str, str]) -> None:
    text = Path(file).read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    Path(file).write_text(text, encoding="utf-8")


def load() -> Settings:
    return load_settings("config.yaml", resolve)


def refused() -> list[str]:
    with pytest.raises(ConfigError) as error:
        load()
    return str(error.value).split("\n")


def line(file: str, text: str) -> str:
    """Return `file:line` of the only line with `text`."""
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    (number,) = [
        index for index, content in enumerate(lines, 1) if text in content and "#" not in content.split(text)[0]
    ]
    return f"{file}:{number}"


def test_the_shipped_configuration_says_what_it_says(project: Path) -> None:
    settings = load()
    config = settings.config
    assert settings.contract == load_contract("contracts/TH1BTC-2014Q4.yaml")
    assert (settings.start_ns, settings.end_ns) == (settings.contract.start_ns, settings.contract.end_ns)
    assert (config.chain, config.run.engine, config.run.debug) == (None, "auto", False)
    assert config.history.market == Path("backtests/history/TH1BTC-2014Q4-quotes.csv")
    assert config.account.deposit_sat == 100 * 10**8
    assert (config.fills.latency_ns, config.fills.participation_ppm, config.fills.touch_fills) == (0, 100_000, False)
    assert (config.fills.loan_term_days, settings.borrow_demand) == (2, (0, 2_000))
    assert config.value.growth == "anchored"
    assert (settings.max_position_lots, settings.max_order_lots, config.risk.max_drawdown_ppm) == (
        5_000,
        1_000,
        300_000,
    )
    assert settings.max_price_sat == 10 * 10**8
    assert tuple(strategy.name for strategy in settings.strategies) == STRATEGIES
    assert settings.strategies[0].params == Band(entry_band=0.25, exit_band=0.05)


def test_the_shipped_configuration_is_the_default_wherever_it_has_one(project: Path) -> None:
    shipped = load()
    Path("config.yaml").write_text(
        "contract: contracts/TH1BTC-2014Q4.yaml\n"
        "history:\n"
        "  market: backtests/history/TH1BTC-2014Q4-quotes.csv\n"
        "strategies: [{use: fair_value_band}, {use: hold_long, name: other}]\n"
    )
    least = load()
    for section in ("chain", "account", "fills", "value", "risk"):
        assert getattr(least.config, section) == getattr(shipped.config, section)
    assert (least.start_ns, least.end_ns) == (shipped.start_ns, shipped.end_ns)
    assert least.config.history.swap_rates is None
    assert [(strategy.name, strategy.params) for strategy in least.strategies] == [
        ("fair_value_band", Band()),
        ("other", Nothing()),
    ]


def test_a_strategy_of_ones_own_is_called_by_the_last_part_of_its_path(project: Path) -> None:
    change("config.yaml", ("use: hold_short", "use: my.package.band"), ("use: hold_long", "use: my.module:Momentum"))
    names = [strategy.name for strategy in load_settings("config.yaml", lambda _use: Band).strategies]
    assert names == ["fair_value_band", "carry_aware_band", "early_exit_short", "Momentum", "band", "own_and_lend"]


def test_problems_of_configuration_parameters_and_contract_come_together(project: Path) -> None:
    change(
        "config.yaml",
        ("deposit: 100 BTC", "deposit: 100"),
        ("touch_fills: false", "touch_fills: no"),
        ("  depth_levels: 5", "  depth_levels: 010"),
        ("latency: 0 s", "latency: 12:30:00"),
        ("participation: 10 %", "participation: 10"),
        ("max_order: 10 contracts", "maxorder: 10 contracts"),
        ("entry_band: 0.25", "entry_band: abc"),
        ("use: hold_long", "use: hold_lang"),
        ("model: anchored", "model: !!python/object/apply:os.getcwd []"),
    )
    change(
        "contracts/TH1BTC-2014Q4.yaml",
        ("tick: 0.0001 BTC", "tick: 0.0001"),
        ("2014-11-03T00:00:00Z, initial: 60 %", "2014-11-31T00:00:00Z, initial: 60 %"),
    )
    config, contract = "config.yaml", "contracts/TH1BTC-2014Q4.yaml"
    tag = line(config, "!!python")
    assert refused() == [
        f"{line(config, 'deposit')}: account.deposit: '100' is not an amount of bitcoin between 0.00000001 BTC and "
        "21000000 BTC: it has no unit (write it like 100 BTC; units: BTC, mBTC, sat)",
        f"{line(config, 'latency')}: fills.latency: '12:30:00' is not a length of time between 0 s and 1 d "
        "(write it like 6 h)",
        f"{line(config, 'participation')}: fills.participation: '10' is not a share between 0.01 % and 100 % "
        "(did you mean 10 %?)",
        f"{line(config, 'touch_fills')}: fills.touch_fills: 'no' is not true or false (write true or false)",
        f"{line(config, 'depth_levels')}: fills.depth_levels: '010' is not a whole number between 0 and 1000 "
        "(write plain digits, like 6)",
        f"{tag}: the tag 'tag:yaml.org,2002:python/object/apply:os.getcwd' is not allowed (write the plain value)",
        f"{tag}: value.model: expected one of trailing, ewma, flat, anchored, damped, ar1, found a list "
        "(for example anchored)",
        f"{line(config, 'maxorder')}: risk: unknown key 'maxorder' (did you mean max_order?)",
        f"{line(config, 'entry_band')}: strategies[0].params.entry_band: 'abc' is not a fraction between 0 and 5 "
        "(write it like 0.25)",
        f"{line(config, 'hold_lang')}: strategies[3].use: there is no strategy 'hold_lang'",
        f"{line(contract, '2014-11-31')}: margin.steps[3].from: '2014-11-31T00:00:00Z' is not a time in UTC: "
        "there is no such date or time (for example 2014-09-15T00:00:00Z)",
        f"{line(contract, 'tick')}: trading.tick: '0.0001' is not an amount of bitcoin of at least 0.00000001 BTC: "
        "it has no unit (write it like 100 BTC; units: BTC, mBTC, sat)",
    ]


CONFLICTS = {
    "a start outside the term": (
        ("start: 2014-09-15T00:00:00Z", "start: 2014-09-14"),
        "run.start: 2014-09-14T00:00:00Z is not within the contract's term, "
        "2014-09-15T00:00:00Z to 2014-12-15T00:00:00Z",
    ),
    "an end before the start": (
        ("end: 2014-12-15T00:00:00Z", "end: 2014-09-15"),
        "run.end: 2014-09-15T00:00:00Z is not after the start 2014-09-15T00:00:00Z and by the term's end "
        "2014-12-15T00:00:00Z",
    ),
    "a loan term that the contract does not know": (
        ("loan_term: 2 d", "loan_term: 31 d"),
        "fills.loan_term: 31 d is not between the contract's 2 and 30 d",
    ),
    "a size finer than a lot": (
        ("max_position: 50 contracts", "max_position: 0.005 contracts"),
        "risk.max_position: 0.005 contracts is not a whole number of lots of 0.01 contracts",
    ),
    "no position at all": (
        ("max_position: 50 contracts", "max_position: 0 contracts"),
        "risk.max_position: 0 contracts would let nothing be traded (for example 10 contracts)",
    ),
    "two strategies of one name": (
        ("- use: hold_short", "- use: hold_long"),
        "strategies[4]: another strategy is called 'hold_long' too (give it another name)",
    ),
    "a strategy that is called like an account of the exchange": (
        ("- use: hold_short", "- use: hold_short\n    name: market"),
        "strategies[4].name: 'market' is the name of an account of the exchange",
    ),
    "a module of one's own without a usable name": (
        ("- use: hold_short", "- use: my.module:_strategy"),
        "strategies[4].use: '_strategy' cannot be a name (add for example `name: my_band`)",
    ),
    "a history that is not there": (
        ("quotes.csv", "quotes.txt"),
        "history.market: 'backtests/history/TH1BTC-2014Q4-quotes.txt' cannot be read: No such file or directory "
        "(see docs/history.md)",
    ),
    "a history that is a directory": (
        ("backtests/history/TH1BTC-2014Q4-swap-rates.csv", "backtests"),
        "history.swap_rates: 'backtests' is not a file",
    ),
    "a chain that is a file": (("chain: bundled", "chain: config.yaml"), "chain: 'config.yaml' is not a directory"),
    "a contract that is not there": (
        ("contracts/TH1BTC-2014Q4.yaml", "contracts/none.yaml"),
        "'contracts/none.yaml' cannot be read: No such file or directory (name a readable YAML file)",
    ),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_what_does_not_go_together_is_told_with_its_line(case: str, project: Path) -> None:
    (old, new), message = CONFLICTS[case]
    change("config.yaml", (old, new))
    assert re.fullmatch(r"config\.yaml:\d+: " + re.escape(message), refused()[0])


def test_a_history_that_is_a_pipe_does_not_block(project: Path) -> None:
    os.mkfifo("pipe")
    change("config.yaml", ("backtests/history/TH1BTC-2014Q4-quotes.csv", "pipe"))
    assert refused() == [f"{line('config.yaml', 'market: pipe')}: history.market: 'pipe' is not a file"]


def test_paths_are_relative_to_the_file_they_are_written_in(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    settings = load_settings("../config.yaml", resolve)
    assert settings.config.history.market == Path("../backtests/history/TH1BTC-2014Q4-quotes.csv")


def test_explain_names_the_line_of_every_value_that_is_written(project: Path) -> None:
    change("config.yaml", ("  debug: false\n", ""))
    rows = {row.path: row for row in explain_settings(load())}
    assert rows["account.deposit"][1:4] == ("100", "BTC", line("config.yaml", "deposit:"))
    assert rows["run.debug"][1:4] == ("false", "", "default")
    assert rows["strategies[0].params.exit_band"][1:4] == ("0.05", "", line("config.yaml", "exit_band:"))
    assert rows["contract.lending.max_rate"][1:4] == ("5", "%/day", line("contracts/TH1BTC-2014Q4.yaml", "max_rate:"))
    assert rows["contract.margin.steps[1].initial"].value == "40"
    assert all(row.doc and row.origin != "set in code" for row in rows.values())


def test_reading_a_configuration_imports_nothing_slow() -> None:
    slow = {"pandas", "numpy", "pyarrow", "structlog", "backtrader", "strategies", "difflib"}
    code = f"import sys; import bot.config; print(sorted({slow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
