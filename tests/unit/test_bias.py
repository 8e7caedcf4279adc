"""`fairhash bias`: planted leaks are found and named, honest strategies are clean, changed inputs are sound inputs."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from backtests.bias import KINDS, Change
from backtests.bias.decisions import Decision, Moved, first_moved
from backtests.bias.files import chain_files, contract_file, history_files
from backtests.bias.future import (
    BLOCKS,
    DIFFICULTY,
    PRICES,
    SWAP_RATES,
    TERMS,
    other_blocks,
    other_history,
    other_terms,
)
from bot import strict_yaml
from bot.chain import ondisk
from bot.chain.chain import BUNDLED, build
from bot.chain.chain import load as load_chain
from bot.cli import main
from bot.contract_file import load_contract
from bot.core.units import NS_PER_DAY, NS_PER_S
from bot.history.load import load
from bot.history.series import History

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "contracts/TH1BTC-2014Q4.yaml"
QUOTES, BARS, RATES = (
    ROOT / f"backtests/history/TH1BTC-2014Q4-{kind}.csv" for kind in ("quotes", "bars", "swap-rates")
)

LEAKS = f"""
from dataclasses import dataclass
from pathlib import Path

from bot.chain.chain import load as load_chain
from bot.contract_file import load_contract
from bot.history.load import load as load_history
from strategies.view import Target

QUOTES = Path({str(QUOTES)!r})
HISTORY = load_history(QUOTES, Path({str(RATES)!r}), load_contract(Path({str(CONTRACT)!r})))
BLOCKS = load_chain().blocks


@dataclass(frozen=True)
class Params:
    pass


def one_quote_ahead():
    quotes = HISTORY.quotes

    def decide(view, params):
        ahead = next((quote for quote in quotes if quote.time_ns > view.time_ns), None)
        return Target(100 if ahead and ahead.bid_sat > view.bid_sat else 0)

    return decide


class closure:
    Params = Params
    decide = staticmethod(one_quote_ahead())


class file:
    Params = Params

    @staticmethod
    def decide(view, params):
        known = False
        for line in QUOTES.read_text().splitlines():
            if known:
                return Target(100 if float(line.split(",")[1]) * 1e8 > view.bid_sat else 0)
            known = line.startswith(stamp(view.time_ns))
        return Target(0)


def stamp(time_ns):
    from bot.history.fields import iso_utc

    return iso_utc(time_ns)


class difficulty:
    Params = Params

    @staticmethod
    def decide(view, params):
        coming = next(b for b in BLOCKS if b.time_ns > view.time_ns and b.height % 2016 == 0)
        return Target(100 if coming.target < BLOCKS[0].target * 2 // 3 else 0)


class swap:
    Params = Params

    @staticmethod
    def decide(view, params):
        ahead = next((r for r in HISTORY.rates if r.time_ns > view.time_ns and r.asset == 1), None)
        return Target(100 if ahead and ahead.rate_ppb_day > view.swap_rate_ppb_day() else 0)


class terms:
    Params = Params

    @staticmethod
    def decide(view, params):
        coming = next((step for step in view.contract.margin if step.from_ns > view.time_ns), None)
        return Target(100 if coming and coming.initial_ppm > 390_000 else 0)


class delay:
    Params = Params

    @staticmethod
    def decide(view, params):
        coming = next(block for block in BLOCKS if block.time_ns > view.time_ns)
        return Target(100 if coming.time_ns - view.time_ns > 600 * 10**9 else 0)
"""

CONFIG = f"""\
contract: {CONTRACT}
history: {{market: {QUOTES}, swap_rates: {RATES}}}
run: {{start: 2014-09-15T00:00:00Z, end: 2014-09-17T00:00:00Z}}
strategies:
"""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to run in, from which the leaking strategies can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *__import__("sys").path])
    (tmp_path / "planted_leaks.py").write_text(LEAKS)
    return tmp_path


def config(*uses: str) -> str:
    Path("run.yaml").write_text(CONFIG + "".join(f"  - use: {use}\n" for use in uses))
    return "run.yaml"


def test_planted_leaks_are_found_with_their_time_and_the_input_that_moved_them(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = {
        "closure": PRICES,
        "file": PRICES,
        "difficulty": DIFFICULTY,
        "swap": SWAP_RATES,
        "terms": TERMS,
        "delay": BLOCKS,
    }
    path = config("fair_value_band", "carry_aware_band", *(f"planted_leaks:{name}" for name in planted))
    assert main(["bias", path, "--cuts", "1", "--json"]) == 20
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["biased"] and verdict["other_futures"] == 2
    found = {finding["strategy"]: finding for finding in verdict["findings"]}
    assert {name: finding["inputs"] for name, finding in found.items()} == {n: [kind] for n, kind in planted.items()}
    for finding in found.values():
        assert "2014-09-15" <= finding["time_utc"] <= finding["cut_utc"] and finding["before"] != finding["after"]
    assert found["closure"]["time_utc"] == found["closure"]["cut_utc"], "one quote ahead is seen at the cut itself"
    assert found["terms"]["time_utc"] == "2014-09-15T00:00:00Z", "a later margin was known from the start"


def test_bundled_strategies_are_clean_and_a_copy_of_the_history_is_told_of(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.csv").write_bytes(QUOTES.read_bytes())
    Path("copied.py").write_text(
        "import pyarrow\n" + LEAKS.replace(f"QUOTES = Path({str(QUOTES)!r})", "QUOTES = Path('mine.csv')")
    )
    shutil.copytree(BUNDLED, "figures")
    Path("fees.yaml").write_text(CONTRACT.read_text().replace("basis: pps", "basis: fpps"))
    uses = ("fair_value_band", "carry_aware_band", "hold_long", "hold_short", "own_and_lend", "copied:closure")
    path = Path(config(*uses))
    path.write_text(path.read_text().replace(str(CONTRACT), "fees.yaml") + "chain: figures\n")
    assert main(["bias", str(path), "--cuts", "1"]) == 0
    out = capsys.readouterr().out
    assert out.count("none of") == len(uses) and "figures" not in out
    assert "pyarrow was loaded, whose own readers" in out
    assert f"Note: {workplace / 'mine.csv'} was opened, which this check does not change." in out


def test_nothing_of_the_next_bar_is_known_at_the_close(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bar that opens at the instant of a decision is future, open included; forced orders are no decisions."""
    fields = ("open_sat", "close_sat", "volume_lots")
    classes = "".join(
        f"class {field}:\n    Params = Params\n    @staticmethod\n    def decide(view, params):\n"
        "        bar = next((bar for bar in HISTORY.bars if bar.time_ns >= view.time_ns), None)\n"
        f"        return Target(bar.{field} * 7919 // 10_000 % 991 if bar else 0)\n"
        for field in fields
    )
    Path("peek_bar.py").write_text(LEAKS.split("def one_quote_ahead")[0].replace(str(QUOTES), str(BARS)) + classes)
    path = Path(config(*(f"peek_bar:{field}" for field in fields), "hold_short"))
    path.write_text(path.read_text().replace(str(QUOTES), str(BARS)))
    assert main(["bias", str(path), "--cuts", "1"]) == 20
    out = capsys.readouterr().out
    assert all(f"{field}: BIASED" in out for field in fields) and "hold_short: none of" in out
    assert out.count("moved by prices\n") == 3


def test_a_strategy_that_differs_from_run_to_run_is_named(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("dice.py").write_text(
        "from dataclasses import dataclass\nfrom random import randrange\nfrom strategies.view import Target\n"
        "@dataclass(frozen=True)\nclass Params:\n    pass\n"
        "def decide(view, params):\n    return Target(randrange(10**9))\n"
    )
    assert main(["bias", config("dice"), "--cuts", "1"]) == 7
    assert "dice at 2014-09-15T00:00:00Z: decided differently in two runs of the same inputs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--cuts", "0"], "0 is not between 1 and 48"), (["--strategy", "x"], "the configuration has hold_long")],
)
def test_options_are_refused_with_their_bounds(
    workplace: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["bias", config("hold_long"), *options]) == 2
    assert message in capsys.readouterr().err


# The changed inputs ---------------------------------------------------------------------------------------------


def history(market: Path) -> History:
    return load(market, RATES, load_contract(CONTRACT))


@pytest.mark.parametrize("rises", [True, False])
@pytest.mark.parametrize("market", [QUOTES, BARS], ids=["quotes", "bars"])
def test_history_files_read_back_as_the_other_history(market: Path, rises: bool, tmp_path: Path) -> None:
    contract, plain = load_contract(CONTRACT), history(market)
    change = Change(contract.start_ns + 40 * NS_PER_DAY + 1800 * NS_PER_S, 5, rises)
    other = other_history(plain, change, contract.tick_sat)
    files = history_files(plain, contract, change)
    assert list(files) == [str(market), str(RATES)]
    paths = [tmp_path / Path(name).name for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.write_bytes(content)
    again = load(*paths, contract)
    assert (again.quotes, again.bars, again.rates) == (other.quotes, other.bars, other.rates)
    assert again.simulated
    known = [row for row in plain.quotes if row.time_ns <= change.cut_ns]
    assert again.quotes[: len(known)] == known and (
        market == BARS or again.quotes[len(known)] != plain.quotes[len(known)]
    )
    moved = [(row, now) for row, now in zip(plain.rates, again.rates, strict=True) if row.time_ns > change.cut_ns]
    assert all((now.rate_ppb_day > row.rate_ppb_day) is rises for row, now in moved if row.rate_ppb_day)


@pytest.mark.parametrize("suffix", [".csv.gz", ".parquet"])
def test_history_files_keep_the_form_that_their_suffix_promises(suffix: str, tmp_path: Path) -> None:
    contract, plain = load_contract(CONTRACT), history(QUOTES)
    path = tmp_path / f"quotes{suffix}"
    renamed = replace(plain, sources=(replace(plain.sources[0], path=str(path)),))
    change = Change(contract.start_ns + NS_PER_DAY)
    for name, content in history_files(renamed, contract, change).items():
        Path(name).write_bytes(content)
    assert load(path, None, contract).quotes == other_history(renamed, change, contract.tick_sat).quotes


@pytest.mark.parametrize("rises", [True, False])
def test_chain_files_read_back_as_the_other_blocks(rises: bool) -> None:
    chain = load_chain()
    change = Change(1_411_000_000 * NS_PER_S, 9, rises)
    files = chain_files(chain, change)
    assert set(files) == {*ondisk.FILES, ondisk.SUMS}
    sums = dict(reversed(line.split("  ")) for line in files[ondisk.SUMS].decode().splitlines())
    assert all(hashlib.sha256(files[name]).hexdigest() == digest for name, digest in sums.items())
    again = build(
        ondisk.parse_blocks(files[ondisk.BLOCKS], "blocks"),
        ondisk.parse_epochs(files[ondisk.EPOCHS], "epochs"),
        ondisk.parse_fees(files[ondisk.FEES], "fees"),
        (),
        "changed",
    )
    known = [block for block in chain.blocks if block.time_ns <= change.cut_ns]
    assert again.blocks[: len(known)] == known, "what was known stays, fees included"
    later, before = again.blocks[len(known) :], chain.blocks[len(known) :]
    assert all(block.time_ns > change.cut_ns for block in later)
    other = other_blocks(chain.blocks, change)
    assert [b._replace(fees_sat=0) for b in again.blocks] == [b._replace(fees_sat=0) for b in other]
    retargeted = [(new, old) for new, old in zip(later, before, strict=True) if new.bits != old.bits]
    assert len(retargeted) > 10_000 and all((new.target < old.target) is rises for new, old in retargeted)
    assert sum(new.time_ns != old.time_ns for new, old in zip(later, before, strict=True)) > 10_000
    assert again.epochs[-1].bits != chain.epochs[-1].bits
    assert (BUNDLED / ondisk.EPOCHS).read_bytes() != files[ondisk.EPOCHS]


@pytest.mark.parametrize("rises", [True, False])
def test_the_contract_reads_back_as_the_other_terms(rises: bool, tmp_path: Path) -> None:
    contract = load_contract(CONTRACT)
    change = Change(contract.start_ns + 36 * NS_PER_DAY, 1, rises)
    path = tmp_path / "contract.yaml"
    path.write_bytes(contract_file(strict_yaml.load(CONTRACT), contract, change))
    assert load_contract(path) == other_terms(contract, change) != contract


def test_only_the_kinds_that_are_asked_for_change() -> None:
    contract, plain, blocks = load_contract(CONTRACT), history(QUOTES), load_chain().blocks
    for kind in KINDS:
        change = Change(contract.start_ns + 30 * NS_PER_DAY, kinds=(kind,))
        other = other_history(plain, change, contract.tick_sat)
        now = other_blocks(blocks, change)
        assert (other.quotes != plain.quotes) is (kind == PRICES)
        assert (other.rates != plain.rates) is (kind == SWAP_RATES)
        assert ([b.time_ns for b in now] != [b.time_ns for b in blocks]) is (kind == BLOCKS)
        assert ([b.bits for b in now] != [b.bits for b in blocks]) is (kind == DIFFICULTY)
        assert (other_terms(contract, change) != contract) is (kind == TERMS)


def test_the_first_difference_is_the_one_that_is_named() -> None:
    one, two, other = Decision(1, "target", "a"), Decision(2, "order", "b"), Decision(2, "order", "c")
    assert first_moved([one, two], [one, two], 9) is None
    assert first_moved([one, two], [one, other], 9) == Moved(2, two, other)
    assert first_moved([one, two], [one, other], 1) is None, "what comes after the cut may differ"
    assert first_moved([one, two], [one], 9) == Moved(2, two, None)
    assert first_moved([one], [one, two], 9) == Moved(2, None, two)
