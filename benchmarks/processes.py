"""Whole processes against each other: start-up, one backtest, and how much memory a long one takes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backtests.plan import Plan
from benchmarks import plain_backtrader
from benchmarks.measure import Ratio, child, ratio, rounds_of
from benchmarks.rows import rows_of, write_rows
from benchmarks.series import HOUR_NS, HOURLY_BARS, MINUTE_BARS, MINUTE_NS, SEED, bars, blocks, swap_rates
from bot.contract_file import load_contract
from bot.core.contract import Contract
from bot.history.write import bars_csv, rates_csv
from bot.run import load_run

ROOT = Path(__file__).parents[1]
MIB = 1 << 20
MOST_MIB = 300

CONFIG = """\
contract: {contract}
chain: bundled
history:
  market: bars.csv
  swap_rates: swap_rates.csv
run:
  start: 2014-09-15T00:00:00Z
  end: {end}
account:
  deposit: 10 BTC
value:
  model: {model}
strategies:
  - use: fair_value_band
"""
CLOSED, DEFAULT = "trailing", "anchored"
"""The plain script reads fair values from a file: C3 in closed form comes nearest; the default fits a forecast."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak memory of `fairhash backtest` on a history of `count` bars."""

    count: int
    peak_mib: float

    @property
    def is_met(self) -> bool:
        """Whether it stays below the bound."""
        return self.peak_mib < MOST_MIB


def fairhash() -> str:
    """Return the path of the `fairhash` command of this environment."""
    beside = Path(sys.executable).with_name("fairhash")
    found = str(beside) if beside.exists() else shutil.which("fairhash")
    if not found:
        raise SystemExit("benchmarks: there is no fairhash command: run `make bench`")
    return found


def process_ratios(rounds: int) -> tuple[list[Ratio], list[str]]:
    """Return the ratios of (c) and (d), in wall seconds, and the commands that were run."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        config, plan = prepare(directory, HOURLY_BARS, HOUR_NS)
        fitted = directory / "fitted.yaml"
        fitted.write_text(config.read_text().replace(f"model: {CLOSED}", f"model: {DEFAULT}"))
        rows = directory / "rows.csv"
        write_rows(rows_of(plan), rows)
        script = str(Path(plain_backtrader.__file__))
        commands = {
            "pass": [sys.executable, "-c", "pass"],
            "help": [fairhash(), "--help"],
            "backtest": [fairhash(), "backtest", str(config), "--no-report", "--engine", "reference"],
            "fitted": [fairhash(), "backtest", str(fitted), "--no-report", "--engine", "reference"],
            "script": [sys.executable, script, str(rows)],
        }
        for command in commands.values():
            child(command)  # byte code and file cache are warm before anything is measured

        def timed(command: list[str]) -> Callable[[], float]:
            return lambda: child(command).wall_s

        quick = rounds_of({name: timed(commands[name]) for name in ("pass", "help")}, 10 * rounds)
        slow = rounds_of({name: timed(commands[name]) for name in ("backtest", "fitted", "script")}, 2 * rounds)
    shown = [" ".join(command).replace(name, "DIR").replace(str(ROOT), ".") for command in commands.values()]
    return [
        ratio("fairhash --help / python -c pass", quick["help"], quick["pass"], 4.0, at_least=False),
        ratio(
            f"fairhash backtest / plain script, {HOURLY_BARS} hourly bars, {CLOSED}",
            slow["backtest"],
            slow["script"],
            1.0,
            at_least=False,
        ),
        ratio(f"the same, {DEFAULT}, which fits a forecast", slow["fitted"], slow["script"], at_least=False),
    ], shown


def memory() -> tuple[Memory, str]:
    """Return the peak memory of `fairhash backtest` on 130,000 minute bars from a CSV file, and the command."""
    with tempfile.TemporaryDirectory() as name:
        config, _ = prepare(Path(name), MINUTE_BARS, MINUTE_NS)
        command = [fairhash(), "backtest", str(config), "--no-report", "--engine", "reference"]
        peak = child(command).peak_bytes
    return Memory(MINUTE_BARS, peak / MIB), " ".join(command).replace(name, "DIR").replace(str(ROOT), ".")


def prepare(directory: Path, count: int, interval_ns: int) -> tuple[Path, Plan]:
    """Write a configuration and its history of `count` bars; return its path and the plan that it describes."""
    terms_path = ROOT / "contracts" / "TH1BTC-2014Q4.yaml"
    terms: Contract = load_contract(terms_path)
    comments = {"simulated": "true", "generator": "benchmarks", "seed": str(SEED)}
    (directory / "bars.csv").write_text(bars_csv(bars(count, interval_ns, blocks()), terms, comments))
    (directory / "swap_rates.csv").write_text(rates_csv(swap_rates(), terms, comments))
    config = directory / "config.yaml"
    contract = os.path.relpath(terms_path, directory)
    config.write_text(CONFIG.format(contract=contract, end="2014-12-15T00:00:00Z", model=CLOSED))
    (plan,) = load_run(config).plans
    return config, plan
