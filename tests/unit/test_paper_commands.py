"""The commands around a paper run, on its file while no daemon runs: what they print, and how they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.cli import main
from bot.paper.journal import head_path

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a week of the bundled history and return the journal."""
    place = tmp_path_factory.mktemp("paper")
    (place / "c.yaml").write_text(
        f"contract: {ROOT}/contracts/TH1BTC-2014Q4.yaml\n"
        f"history:\n  market: {ROOT}/backtests/history/TH1BTC-2014Q4-quotes.csv\n"
        f"  swap_rates: {ROOT}/backtests/history/TH1BTC-2014Q4-swap-rates.csv\n"
        "run: {end: 2014-09-22T00:00:00Z}\n"
        "value: {model: trailing}\n"  # by which own_and_lend buys
        "strategies: [{use: hold_short}, {use: own_and_lend}]\n"
    )
    path = place / "runs" / "a.journal"
    path.parent.mkdir()
    assert main(["paper", str(place / "c.yaml"), "--speed", "max", "--journal", str(path)]) == 0
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == code
    printed = capsys.readouterr()
    return printed.out if code == 0 else printed.err


def test_status_orders_and_positions_call_prices_simulated(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = said(capsys, "status", "--journal", str(journal))
    assert status.startswith("SIMULATED PRICES\n2014-09-22T00:00:00Z  TH1BTC-2014Q4  price ")
    assert "hold_short    active  -1000 lots" in status
    assert "no order may still trade" in said(capsys, "orders", "--journal", str(journal))
    positions = json.loads(said(capsys, "positions", "--json", "--journal", str(journal)))
    short, owner = positions["positions"]
    assert short["margin_lots"] == -1000 and sum(loan["amount"] for loan in short["loans"]) == 1000
    assert owner["owned_lots"] == 1000 and positions["simulated_prices"]
    text = said(capsys, "positions", "--journal", str(journal))
    assert text.startswith("SIMULATED PRICES") and "-1000 lots" in text


def test_the_journal_is_shown_verified_replayed_and_exported(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = said(capsys, "journal", "show", "--last", "2", "--journal", str(journal)).splitlines()
    assert len(shown) == 2 and "  Quote  [1411344000000000000," in shown[-1]
    document = json.loads(said(capsys, "journal", "verify", "--json", "--journal", str(journal)))
    replayed = json.loads(said(capsys, "journal", "replay", "--json", "--journal", str(journal)))
    assert replayed["entries"] == document["entries"] > 400
    out = tmp_path / "entries.jsonl"
    assert f"{document['entries']} entries written" in said(
        capsys, "journal", "export", "--out", str(out), "--journal", str(journal)
    )
    entries = [json.loads(line) for line in out.read_text().splitlines()]
    assert entries[0]["kind"] == "Head" and entries[-1]["hash"] == document["hash"]
    assert "is there already" in said(capsys, "journal", "export", "--out", str(out), "--journal", str(journal), code=8)


def test_the_only_journal_in_runs_needs_no_name(
    journal: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(journal.parents[1])
    assert "hold_short" in said(capsys, "status")
    other = journal.with_name("b.journal")
    other.touch()
    assert "holds 2 journals" in said(capsys, "status", code=9)
    other.unlink()
    monkeypatch.chdir(journal.parent)
    assert "runs: holds no journal" in said(capsys, "status", code=9)
    assert "is not there" in said(capsys, "parity", "--journal", "nowhere.journal", code=9)


def test_a_journal_that_was_restored_by_hand_can_be_accepted(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / journal.name
    copy.write_bytes(journal.read_bytes())
    assert "lacks a.journal.head" in said(capsys, "status", "--journal", str(copy), code=9)
    assert "every hash fits" in said(capsys, "journal", "accept", "--journal", str(copy))
    assert head_path(copy).exists() and "hold_short" in said(capsys, "status", "--journal", str(copy))


def test_turning_a_strategy_is_kept_and_an_unknown_one_is_named(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = said(capsys, "halt", "nobody", "--journal", str(journal), code=9)
    assert "has no strategy nobody (it has hold_short, own_and_lend)" in refused
    said(capsys, "flatten", "hold_short", "--reason", "enough", "--journal", str(journal))
    assert "flat    -1000 lots" in (text := said(capsys, "status", "--journal", str(journal)))
    assert "operator: enough" in text
    orders = said(capsys, "orders", "--journal", str(journal))
    assert "+1000 lots" in orders and "market" in orders, "it waits for the next quote"
    assert "1 controls" in said(capsys, "parity", "--journal", str(journal))
