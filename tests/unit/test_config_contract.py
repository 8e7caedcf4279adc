"""The contract document: TH1BTC as dated facts say, and everything that does not fit together refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.contract_file import load_contract, read_contract
from bot.core.contract import CollateralStep, Lending, MarginStep, Payout
from bot.errors import ConfigError
from bot.fields import Timestamp

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "contracts" / "TH1BTC-2014Q4.yaml"


def at(day: str) -> int:
    return int(Timestamp().read_text(f"2014-{day}"))


def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *changes: tuple[str, str]) -> list[str]:
    monkeypatch.chdir(tmp_path)
    text = SHIPPED.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    Path("c.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_contract("c.yaml")
    return str(error.value).split("\n")


def test_th1btc_says_what_the_dated_facts_say() -> None:
    contract = load_contract(SHIPPED)
    assert (contract.hash_rate_hs, contract.tranche_lots, contract.lots_per_contract) == (10**12, 10_000, 100)
    assert (contract.start_ns, contract.end_ns) == (at("09-15"), at("12-15"))
    assert contract.payout == Payout(basis="pps", fee_ppm=30_000, exact_hashes=False, pool_hs=0, luck_seed=0)
    assert contract.margin == tuple(
        MarginStep(at(day), initial * 10_000, int(maintenance * 10_000))
        for day, initial, maintenance in (
            *(("09-15", 25, 12.5), ("10-20", 40, 20), ("10-27", 50, 25), ("11-03", 60, 30), ("11-10", 70, 35)),
            *(("11-17", 80, 40), ("11-24", 90, 45), ("12-01", 100, 50), ("12-03", 100, 60), ("12-05", 100, 70)),
            *(("12-07", 100, 80), ("12-09", 100, 90)),
        )
    )
    assert contract.collateral == (CollateralStep(at("09-15"), True), CollateralStep(at("10-20"), False))
    assert contract.margin_call_ppm == 1_500_000
    assert contract.lending == Lending(2, 30, 150_000, 50_000_000, "mark")
    assert (contract.maker_fee_ppm, contract.taker_fee_ppm, contract.tick_sat) == (1_000, 2_000, 10_000)


@pytest.mark.parametrize("name", ["config.yaml", "contracts/TH1BTC-2014Q4.yaml"])
def test_every_key_of_the_shipped_documents_has_a_comment(name: str) -> None:
    """A comment stands directly above its key, or above the first of a few keys that belong together."""
    commented = False
    for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("#"):
            commented = True
        elif not line.strip():
            commented = False
        elif not line.endswith(":"):
            shares = re.match(r" +(end|longest|lot|taker_fee|params): | +- ", line)
            assert commented or shares, f"line {number} has no comment: {line}"
            commented = False


CONFLICTS = {
    "a term that ends before it starts": (
        ("end: 2014-12-15T00:00:00Z", "end: 2014-09-15T00:00:00Z"),
        "term.end: it is not after the start 2014-09-15T00:00:00Z (end it later)",
    ),
    "a maintenance margin above the initial one": (
        ("initial: 40 %, maintenance: 20 %", "initial: 40 %, maintenance: 41 %"),
        "margin.steps[1].maintenance: it is above the initial margin of 40 % (lower it)",
    ),
    "margin steps out of order": (
        ("from: 2014-10-27T00:00:00Z", "from: 2014-10-20T00:00:00Z"),
        "margin.steps[2].from: it is not after the step before it, 2014-10-20T00:00:00Z (sort the steps)",
    ),
    "margin that begins after the start": (
        ("from: 2014-09-15T00:00:00Z, initial", "from: 2014-09-16T00:00:00Z, initial"),
        "margin.steps[0].from: it is after the start of the term, 2014-09-15T00:00:00Z (write 2014-09-15T00:00:00Z)",
    ),
    "a collateral rule that begins after the start": (
        ("from: 2014-09-15T00:00:00Z, contract", "from: 2014-09-16T00:00:00Z, contract"),
        "collateral[0].from: it is after the start of the term, 2014-09-15T00:00:00Z (write 2014-09-15T00:00:00Z)",
    ),
    "collateral steps out of order": (
        ("from: 2014-10-20T00:00:00Z, contract", "from: 2014-09-15T00:00:00Z, contract"),
        "collateral[1].from: it is not after the step before it, 2014-09-15T00:00:00Z (sort the steps)",
    ),
    "a lot that does not divide a contract": (
        ("lot: 0.01 contracts", "lot: 0.03 contracts"),
        "trading.lot: one contract is not a whole number of 0.03 contracts (e.g. 0.01 contracts)",
    ),
    "a tranche that is not whole lots": (
        ("tranche: 100 contracts", "tranche: 100.005 contracts"),
        "tranche: it is not a whole number of lots of 0.01 contracts",
    ),
    "a highest price that is not whole ticks": (
        ("max_price: 10 BTC", "max_price: 10.00005 BTC"),
        "trading.max_price: it is not a multiple of the tick 0.0001 BTC",
    ),
    "a highest price beyond 64 bits": (
        ("max_price: 10 BTC", "max_price: 19 BTC"),
        "trading.max_price: 19 BTC is above 18.44674407 BTC, where the tranche at the highest rate no longer fits "
        "64-bit arithmetic (lower it, the tranche or lending.max_rate)",
    ),
    "a tranche that 64 bits cannot count": (
        ("tranche: 100 contracts", "tranche: 1000000000000000000 contracts"),
        "tranche: it is more lots than 64 bits can count (make it smaller)",
    ),
    "terms of loans the wrong way round": (
        ("longest: 30 d", "longest: 1 d"),
        "lending.longest: it is below the shortest term of 2 d",
    ),
    "a term of loans that is not whole days": (
        ("longest: 30 d", "longest: 36 h"),
        "lending.longest: '36 h' is not a length of time between 1 d and 365 d, a multiple of 1 d (for example 1 d)",
    ),
    "pro rata without a pool": (
        ("basis: pps", "basis: pro_rata"),
        "payout.basis: 'pro_rata' needs the size of the pool (add pool: hash_power, luck_seed)",
    ),
    "a pool that is not used": (
        ("  basis: pps", "  pool: {hash_power: 3500 TH/s, luck_seed: 1}\n  basis: pps"),
        "payout.pool: it has no meaning for basis 'pps' (remove it, or use pro_rata)",
    ),
    "a kind of contract of a later day": (
        ("kind: dividend_term", "kind: perpetual"),
        "kind: 'perpetual' contracts are not supported yet (for now only dividend_term is)",
    ),
    "a payout basis of a later day": (
        ("basis: pps", "basis: pplns"),
        "payout.basis: 'pplns' is not one of pps, fpps, pro_rata: not supported yet (for example pps)",
    ),
    "a document of a later version": (
        ("schema_version: 1", "schema_version: 2"),
        "schema_version: '2' is not supported yet (this program reads version 1)",
    ),
    "a margin date that does not exist": (
        ("from: 2014-11-03T00:00:00Z", "from: 2014-11-31T00:00:00Z"),
        "margin.steps[3].from: '2014-11-31T00:00:00Z' is not a time in UTC: there is no such date or time "
        "(for example 2014-09-15T00:00:00Z)",
    ),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_what_does_not_fit_together_is_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change, message = CONFLICTS[case]
    (found,) = refused(tmp_path, monkeypatch, change)
    file, line, rest = found.split(":", 2)
    assert file == "c.yaml" and rest == f" {message}"
    written = Path("c.yaml").read_text(encoding="utf-8").splitlines()[int(line) - 1]
    key = re.split(r"[.\[]", message.split(":")[0])[-1]
    assert key in written or "contract" in written, "the line named is the line to change"


def test_a_pro_rata_pool_reaches_the_contract_with_its_seed(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    pool = "  basis: pro_rata\n  pool: {hash_power: 3500 TH/s, luck_seed: 20140915}"
    (tmp_path / "c.yaml").write_text(text.replace("  basis: pps", pool), encoding="utf-8")
    payout = load_contract(tmp_path / "c.yaml").payout
    assert payout == Payout("pro_rata", 30_000, False, 3_500 * 10**12, 20140915)


def test_independent_problems_come_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = refused(
        tmp_path,
        monkeypatch,
        ("size: 1 TH/s", "size: 1 TB/s"),
        ("initial: 40 %, maintenance: 20 %", "initial: 40 %, maintenance: 41 %"),
        ("lot: 0.01 contracts", "lot: 0.03 contracts"),
        ("accrual: mark", "accrual: marks"),
    )
    assert [message.split(": ", 2)[1:] for message in found] == [
        [
            "size",
            "'1 TB/s' is not a hash power of at least 1 H/s: 'TB/s' is not a unit of it "
            "(did you mean TH/s? units: H/s, kH/s, MH/s, GH/s, TH/s, PH/s, EH/s)",
        ],
        ["margin.steps[1].maintenance", "it is above the initial margin of 40 % (lower it)"],
        ["lending.accrual", "'marks' is not one of mark, entry_notional (did you mean mark?)"],
        ["trading.lot", "one contract is not a whole number of 0.03 contracts (e.g. 0.01 contracts)"],
    ]


def test_a_contract_with_a_problem_has_no_terms() -> None:
    reading = read_contract(ROOT / "config.yaml")
    assert reading.contract is None and reading.problems
