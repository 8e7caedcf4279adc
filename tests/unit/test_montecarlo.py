"""`fairhash montecarlo`: risk by hand-computed samples, worlds that vary in what they should, bytes that repeat."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from backtests.montecarlo.risk import risk_of, share_of
from bot.cli import main
from bot.errors import HistoryError
from bot.run import Run, load_run
from bot.studies.montecarlo import VARIED, Experiment, experiment_of, run_in, world_of

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "contracts/TH1BTC-2014Q4.yaml"
CONFIG = """\
contract: {contract}
history:
  market: {root}/backtests/history/TH1BTC-2014Q4-{kind}.csv
  swap_rates: {root}/backtests/history/TH1BTC-2014Q4-swap-rates.csv
run: {{start: 2014-09-15T00:00:00Z, end: 2014-09-22T00:00:00Z}}
strategies:
  - use: hold_short
  - use: own_and_lend
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.format(root=ROOT, contract=CONTRACT, kind="quotes"))
    return path


@pytest.fixture
def pro_rata(tmp_path: Path) -> Path:
    """A configuration whose contract pays by the pool's own blocks."""
    contract = tmp_path / "contract.yaml"
    pool = "basis: pro_rata\n  pool: {hash_power: 3500 TH/s, luck_seed: 7}"
    contract.write_text(CONTRACT.read_text().replace("basis: pps", pool))
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.format(root=ROOT, contract=contract, kind="quotes"))
    return path


# Risk -----------------------------------------------------------------------------------------------------------


def test_var_and_shortfall_of_a_hundred_known_losses() -> None:
    risk = risk_of([-loss for loss in range(1, 101)], [False] * 100, seed=1)
    assert (risk.var_95.value, risk.var_99.value) == (95.0, 99.0)
    assert risk.shortfall_95.value == (96 + 97 + 98 + 99 + 100) / 5
    assert risk.shortfall_99.value == 100.0
    assert (risk.mean.value, risk.median.value, risk.loss.value) == (-50.5, -50.5, 1.0)
    assert (risk.least_sat, risk.greatest_sat) == (-100, -1)
    assert risk.mean.high - risk.mean.value == pytest.approx(1.959964 * math.sqrt(100 * 101 / 12) / 10, rel=1e-6)


def test_a_run_that_the_tail_cuts_counts_in_part() -> None:
    """Of 30 runs 5 % are one and a half: the worst one whole, the next one half."""
    risk = risk_of([-loss for loss in range(1, 31)], [True] * 3 + [False] * 27, seed=1)
    assert risk.shortfall_95.value == pytest.approx((30 + 29 / 2) / 1.5)
    assert risk.var_95.value == 29.0, "28 of 30 are 93 %, 29 are 97 %"
    assert risk.shortfall_99.value == 30.0 == risk.var_99.value
    assert risk.liquidation.value == 0.1


def test_wilsons_interval_is_that_of_his_formula() -> None:
    # Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17, 1998, table I.
    assert share_of(81, 263)[1:] == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert share_of(15, 148)[1:] == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert share_of(0, 20)[1:] == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert share_of(1, 29)[1:] == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_error_bars_hold_the_truth_about_as_often_as_they_say() -> None:
    """100 experiments of 400 normal runs: a 95 % interval misses in some 5 of them."""
    draws = np.random.RandomState(5)
    truth = {"mean": 0.0, "median": 0.0, "var_95": 1.6449e6, "shortfall_95": 2.0627e6}
    missed = dict.fromkeys(truth, 0)
    for seed in range(100):
        risk = risk_of([round(value * 1e6) for value in draws.standard_normal(400)], [False] * 400, seed)
        for name, value in truth.items():
            _, low, high = getattr(risk, name)
            missed[name] += not low <= value <= high
    assert all(count <= 14 for count in missed.values()), missed
    assert sum(missed.values()) >= 4, "intervals that never miss are too wide"


def test_the_bootstrap_repeats_with_its_seed() -> None:
    values = [17 * n % 101 - 50 for n in range(90)]
    assert risk_of(values, [False] * 90, 4) == risk_of(values, [False] * 90, 4)
    assert risk_of(values, [False] * 90, 4).var_95 != risk_of(values, [False] * 90, 5).var_95


# Worlds ---------------------------------------------------------------------------------------------------------


def experiment(run: Run, path: Path, *varied: str) -> Experiment:
    return experiment_of(run, path, "hold_short", 10, 1, varied)


def test_each_part_varies_alone(pro_rata: Path) -> None:
    run = load_run(pro_rata)
    for part in VARIED:
        chosen = experiment(run, pro_rata, part)
        one, two = (world_of(chosen, run, number) for number in (1, 2))
        assert (one.history.quotes != two.history.quotes) is (part != "luck"), "prices follow difficulty"
        assert (one.history.rates != two.history.rates) is (part == "market")
        assert (one.blocks != two.blocks) is (part == "difficulty")
        assert (one.contract != two.contract) is (part == "luck")
        again = world_of(chosen, run, 1)
        assert (one.seeds, one.history, one.blocks, one.contract) == (
            again.seeds,
            again.history,
            again.blocks,
            again.contract,
        )
        rows = [run_in(world, chosen, run, number).rows[0] for number, world in ((1, one), (2, two))]
        assert rows[0].profit_sat != rows[1].profit_sat
    assert world_of(experiment(run, pro_rata, "luck"), run, 3).history is run.history


def test_liquidations_are_counted() -> None:
    path = ROOT / "examples/financed.yaml"
    run = load_run(path)
    chosen = experiment_of(run, path, "financed", 2, 1, ("market",))
    (row,) = run_in(world_of(chosen, run, 0), chosen, run, 0).rows
    assert row.liquidations > 0 and row.margin_calls > 0 and row.profit_sat < 0 < row.drawdown_sat


def test_the_engine_changes_no_row_of_a_world() -> None:
    path = ROOT / "examples/financed.yaml"
    run = load_run(path, "reference")
    chosen = experiment_of(run, path, "financed", 2, 1, ("market", "difficulty"))
    world = world_of(chosen, run, 1)
    assert run_in(world, chosen, run, 1) == run_in(world, chosen, replace(run, engine="compiled"), 1)


def test_amounts_beyond_64_bits_are_run_by_the_reference_engine(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a backtest too, and both say so."""
    wide, terms = tmp_path / "wide.yaml", CONTRACT.read_text()
    for narrow, large in (
        ("tranche: 100 ", "tranche: 30000 "),
        ("max_rate: 5 %", "max_rate: 0.1 %"),
        ("max_price: 10 ", "max_price: 3 "),
        ("call: 150 %", "call: 400 %"),
    ):
        assert narrow in terms
        terms = terms.replace(narrow, large)
    wide.write_text(terms)
    text = config.read_text().replace(str(CONTRACT), str(wide))
    lines = (line for line in text.splitlines() if "swap_rates" not in line and "- use" not in line)
    config.write_text("\n".join([*lines, "  - use: hold_long\n"]))
    said, files = [], []
    for engine in ("reference", "compiled"):
        out = tmp_path / engine
        arguments = ["montecarlo", str(config), "--runs", "2", "--workers", "1", "--engine", engine]
        assert main([*arguments, "--out", str(out)]) == 0
        files.append((out / "runs.csv").read_bytes())
        said.append(capsys.readouterr().err)
    profits = {row["profit_sat"] for row in csv.DictReader(files[0].decode().splitlines()[1:])}
    assert files[0] == files[1] and len(profits) == 2
    assert "2 of 2 worlds were not for the compiled engine: hold_long: " in said[1]
    assert "the compiled engine's integers reach" in said[1] and "not for" not in said[0]
    assert main(["backtest", str(config), "--no-report", "--engine", "compiled"]) == 0
    assert "the compiled engine's integers reach" in (told := capsys.readouterr().out)
    assert told.count("the reference engine runs it") == 1 and "--engine" not in told


def test_a_price_that_the_contract_does_not_believe_is_refused(config: Path, tmp_path: Path) -> None:
    contract = tmp_path / "low.yaml"
    contract.write_text(CONTRACT.read_text().replace("max_price: 10 BTC", "max_price: 2.3 BTC"))
    config.write_text(config.read_text().replace(str(CONTRACT), str(contract)))
    run = load_run(config)
    chosen = experiment(run, config, "market")
    with pytest.raises(HistoryError, match=r"simulated market, seed [0-9]+: 2\.[0-9]+ BTC is above max_price, 2\.3"):
        for number in range(12):
            world_of(chosen, run, number)


@pytest.mark.parametrize("kind", ["quotes", "bars"])
def test_a_world_looks_like_the_configured_one(config: Path, kind: str) -> None:
    config.write_text(config.read_text().replace("-quotes.csv", f"-{kind}.csv"))
    run = load_run(config)
    world = world_of(experiment(run, config, "market", "difficulty"), run, 4)
    assert [quote.time_ns for quote in world.history.quotes] == [quote.time_ns for quote in run.history.quotes]
    assert [bar[:2] for bar in world.history.bars] == [bar[:2] for bar in run.history.bars]
    wide = [bar for bar in world.history.bars if bar.high_sat > max(bar.open_sat, bar.close_sat)]
    assert len(wide) >= len(world.history.bars) / 2, "a bar has a high between its ends"
    assert [(r.time_ns, r.asset) for r in world.history.rates] == [(r.time_ns, r.asset) for r in run.history.rates]
    assert world.history.simulated and world.chain.epochs_known_at(run.settings.start_ns) == run.chain.epochs_known_at(
        run.settings.start_ns
    )


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {}
    for workers in ("1", "3"):
        out = tmp_path / f"out{workers}"
        arguments = ["montecarlo", str(config), "--runs", "5", "--seed", "9", "--workers", workers, "--out", str(out)]
        assert main(arguments) == 0
        made[workers] = {path.name: path.read_bytes() for path in out.iterdir()}
    assert made["1"] == made["3"]
    assert set(made["1"]) == {"report.html", "runs.csv", "runs.parquet", "summary.json", "config.yaml", "contract.yaml"}
    text = capsys.readouterr().out
    assert text.startswith("SIMULATED WORLDS: 5 runs, seed 9, varying market, difficulty")
    assert "no pool luck: payout by pps has none" in text and "rest on the worst 1 of them" in text
    rows = list(csv.DictReader(made["1"]["runs.csv"].decode().splitlines()[1:]))
    assert len(rows) == 10 and {row["strategy"] for row in rows} == {"hold_short", "own_and_lend"}
    parts = ("price", "dividends", "swap", "lending", "fees", "slippage", "expiry", "deficit")
    for row in rows:
        assert int(row["profit_sat"]) == sum(int(row[f"{part}_sat"]) for part in parts)
    table = parquet.read_table(tmp_path / "out1" / "runs.parquet").to_pylist()
    assert [{name: str(value) for name, value in row.items()} for row in table] == rows
    summary = json.loads(made["1"]["summary.json"])
    profits = [int(row["profit_sat"]) for row in rows if row["strategy"] == "hold_short"]
    assert summary["strategies"][0]["mean"][0] == pytest.approx(sum(profits) / 5)
    assert summary["simulated_prices"] is True and "--workers" not in summary["reproduce"]["command"]
    page = made["1"]["report.html"].decode()
    assert "SIMULATED WORLDS" in page and "://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in page and page.count("<svg") == 3


def test_the_document_says_that_it_is_simulated(pro_rata: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["montecarlo", str(pro_rata), "--runs", "3", "--strategy", "hold_short", "--vary", "luck"]
    assert main([*arguments, "--no-report", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["simulated_prices"] is True and document["varied"] == ["luck"]
    assert [one["name"] for one in document["strategies"]] == ["hold_short"]
    assert "blocks and difficulty as they were" in document["notes"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runs", "1"], "1 is not between 2 and 100000"),
        (["--vary", "luck"], "leaves nothing to vary: payout by pps has no luck"),
        (["--strategy", "none"], "no strategy is called 'none'"),
        (["--workers", "0"], "0 is not between 1 and 1024"),
    ],
)
def test_options_are_refused_with_their_bounds(
    config: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["montecarlo", str(config), "--no-report", *options]) == 2
    assert message in capsys.readouterr().err
