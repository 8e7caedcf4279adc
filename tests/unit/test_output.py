"""The files of a run: whole or absent, the same bytes every time, units and simulation named."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from backtests import output
from backtests.attribution import attribute
from backtests.metrics import measure
from backtests.output import OutputError, btc_text, directory_names, summary_table, write_run
from backtests.result import RunResult
from bot.core.contract import Contract, Lending, Payout
from bot.core.events import Fill, Mark, Notice, Posting
from bot.core.units import NS_PER_S

START_NS = 1_410_739_200 * NS_PER_S
CONTRACT = Contract(
    id="TH1BTC-2014Q4",
    symbol="TH1BTC",
    asset="TH1",
    kind="dividend_term",
    hash_rate_hs=10**12,
    lots_per_contract=100,
    tick_sat=1,
    tranche_lots=10_000,
    start_ns=START_NS,
    end_ns=START_NS + 100,
    payout=Payout("pps", 30_000, False, 0, 0),
    margin=(),
    collateral=(),
    margin_call_ppm=1_500_000,
    lending=Lending(2, 30, 150_000, 7_500_000, "mark"),
    maker_fee_ppm=1_000,
    taker_fee_ppm=2_000,
)


def result(name: str) -> RunResult:
    """One strategy that buys a contract at 210 on a mark of 200 and sees it rise to 300."""
    lines = [
        (1, 0, "deposit", "bob/exchange/BTC", 10_000),
        (1, 0, "deposit", "world/outside/BTC", -10_000),
        (2, 20, "trade", "bob/position/TH1", 100),
        (2, 20, "trade", "market/exchange/TH1", -100),
        (2, 20, "trade", "bob/position/BTC", -210),
        (2, 20, "trade", "market/exchange/BTC", 210),
        (2, 20, "fee", "bob/trading/BTC", -2),
        (2, 20, "fee", "venue/fees/BTC", 2),
    ]
    return RunResult(
        name=name,
        engine="reference",
        user="bob",
        contract=CONTRACT,
        start_ns=START_NS,
        end_ns=START_NS + 100,
        start_equity_sat=10_000,
        fills=[
            Fill(START_NS + 20, 7, "bob", "trading", 100, 210, 2, 200, False),
            Fill(START_NS + 21, 8, "market", "trading", -100, 210, 0, 200, True),
        ],
        postings=[Posting(t, START_NS + at, kind, account, amount) for t, at, kind, account, amount in lines],
        marks=[Mark(START_NS + 10, 200, 0, 10_000), Mark(START_NS + 100, 300, 100, 10_088)],
        notices=[Notice(START_NS + 50, "bob", "margin_call", "near")],
        observations=[],
        final_balances={"bob/exchange/BTC": 10_000, "bob/position/TH1": 100, "bob/position/BTC": -210}
        | {"bob/trading/BTC": -2},
    )


def write(directory: Path, *names: str, **options: object) -> Path:
    results = [result(name) for name in names or ("band",)]
    attributions = [attribute(one) for one in results]
    metrics = [measure(one, two) for one, two in zip(results, attributions, strict=True)]
    chosen = {"simulated": True, "reproduce": {"config hash": "abc"}} | options
    return write_run(directory, results, attributions, metrics, **chosen)  # type: ignore[arg-type]


def content(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_files_of_a_run(tmp_path: Path) -> None:
    """Each strategy has its three tables; the summary names every file with its hash."""
    run = write(tmp_path / "runs" / "1", "band", "hold", files={"report.html": b"<p>"})
    files = content(run)
    tables = {f"{name}/{table}.csv" for name in ("band", "hold") for table in ("fills", "postings", "equity")}
    assert set(files) == tables | {"report.html", "summary.json"}
    summary = json.loads(files["summary.json"])
    named = {name: entry["sha256"] for name, entry in summary["files"].items()}
    del files["summary.json"]
    assert named == {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["1"]


def test_tables_have_units_times_and_the_mark(tmp_path: Path) -> None:
    """The comment line says that prices are simulated, the header gives units, rows give ISO and nanoseconds."""
    run = write(tmp_path / "1")
    fills = (run / "band" / "fills.csv").read_text().splitlines()
    assert "SIMULATED PRICES" in fills[0] and fills[0].startswith('# "band: fills"')
    assert fills[1] == "time_utc,time_ns,order_id,wallet,size_lots,price_sat,fee_sat,mark_sat,liquidity"
    assert fills[2:] == [f"2014-09-15T00:00:00.00000002Z,{START_NS + 20},7,trading,100,210,2,200,taker"]
    rows = list(csv.DictReader((run / "band" / "postings.csv").read_text().splitlines()[1:]))
    assert sum(int(row["amount_sat_or_lots"]) for row in rows) == 0
    assert len(rows) == 8
    equity = list(csv.DictReader((run / "band" / "equity.csv").read_text().splitlines()[1:]))
    assert equity[-1]["equity_sat"] == "10088"
    recorded = write(tmp_path / "2", simulated=False)
    assert "SIMULATED" not in (recorded / "band" / "fills.csv").read_text()


def test_summary_says_what_the_profit_is(tmp_path: Path) -> None:
    """Parts, measures, notices and the mark of simulation stand in summary.json as numbers with units."""
    summary = json.loads((write(tmp_path / "1") / "summary.json").read_text())
    assert summary["simulated_prices"] is True
    assert summary["reproduce"] == {"config hash": "abc"}
    (one,) = summary["strategies"]
    assert one["net_sat"] == 88 == sum(one["profit"].values())
    assert one["profit"]["slippage_sat"] == -10 and one["profit"]["fees_sat"] == -2
    assert one["notices"] == {"margin_call": 1}
    assert (one["fills"], one["directory"]) == (1, "band")


def test_same_run_same_bytes(tmp_path: Path) -> None:
    """Two runs of the same inputs are equal byte by byte, and writing one again changes nothing."""
    first, second = write(tmp_path / "1"), write(tmp_path / "2")
    assert content(first) == content(second)
    before = (first / "summary.json").stat().st_mtime_ns
    write(first)
    assert (first / "summary.json").stat().st_mtime_ns == before


def test_another_run_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    """A different run in the same place is refused with the remedy; `replace` puts the new one there, whole."""
    run = write(tmp_path / "1", "band")
    before = content(run)
    with pytest.raises(OutputError, match=r"holds another run .*--out"):
        write(run, "hold")
    assert content(run) == before
    write(run, "hold", replace=True)
    assert "hold/fills.csv" in content(run) and "band/fills.csv" not in content(run)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_what_is_no_run_is_never_replaced(tmp_path: Path) -> None:
    """A directory of the user's own is refused even with `replace`, and so is a link to a run."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="is not a run of fairhash"):
        write(tmp_path / "mine", replace=True)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    run = write(tmp_path / "1")
    (tmp_path / "link").symlink_to(run)
    with pytest.raises(OutputError, match="is not a run of fairhash"):
        write(tmp_path / "link", "hold", replace=True)


def test_damaged_run_is_written_again(tmp_path: Path) -> None:
    """A run of which a file was lost is made whole by the same run."""
    run = write(tmp_path / "1")
    before = content(run)
    (run / "band" / "fills.csv").unlink()
    assert content(write(run)) == before


@pytest.mark.parametrize("failing", range(1, 5))
def test_no_half_run_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    """Whichever file cannot be written, nothing of the run is left and the old one still stands."""
    old = content(write(tmp_path / "old", "band"))
    real, count = Path.write_bytes, 0

    def full(path: Path, body: bytes) -> int:
        nonlocal count
        count += 1
        if count == failing:
            raise OSError(28, "No space left on device")
        return real(path, body)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write(tmp_path / "new")
    count = 0
    with pytest.raises(OutputError, match="No space left on device"):
        write(tmp_path / "old", "hold", replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert content(tmp_path / "old") == old


def test_old_run_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the last rename fails, the run that was moved aside is put back."""
    run = write(tmp_path / "1", "band")
    before, real = content(run), Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(5, "Input/output error")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OutputError, match="Input/output error"):
        write(run, "hold", replace=True)
    assert content(run) == before
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "A", "a-2"], ["a", "A-2", "a-2-2"]),
        (["../../etc", ".hidden", "", "名"], ["etc", "hidden", "strategy", "strategy-2"]),
        (["a/b c"], ["a-b-c"]),
    ],
)
def test_directory_names_are_safe_and_unique(names: list[str], expected: list[str]) -> None:
    """No name leaves the run's directory, hides, or meets another where letter case does not count."""
    assert directory_names(names) == expected


def test_btc_has_eight_decimals() -> None:
    """Signs, zero and single satoshi."""
    assert [btc_text(value, plus=True) for value in (0, 1, -1, 10**8)] == [
        "0.00000000",
        "+0.00000001",
        "-0.00000001",
        "+1.00000000",
    ]


def test_table_is_aligned_and_marked() -> None:
    """All rows are as long as the header, amounts are whole, and simulated prices are called so."""
    results = [result("band"), dataclasses.replace(result("a longer name\x1b[31m"))]
    attributions = [attribute(one) for one in results]
    metrics = [measure(one, two) for one, two in zip(results, attributions, strict=True)]
    lines = summary_table(attributions, metrics, simulated=True).splitlines()
    assert lines[0] == output.SIMULATED
    assert len({len(line) for line in lines[1:5]}) == 1
    assert lines[1].split()[:3] == ["strategy", "net", "price"]
    assert lines[3].split()[:3] == ["band", "+0.00000088", "+0.00000100"]
    assert "\x1b" not in lines[4]
    assert "every mark" in lines[-1]
    assert output.SIMULATED not in summary_table(attributions, metrics, simulated=False)


def test_names_with_commas_stay_one_cell(tmp_path: Path) -> None:
    """An owner whose name has a comma and quotes is read back as he was written."""
    text = output.postings_csv(
        dataclasses.replace(result("x"), postings=[Posting(1, 0, "deposit", 'a,"b"/exchange/BTC', 1)]), False
    ).decode()
    (row,) = csv.DictReader(text.splitlines()[1:])
    assert (row["account"], row["amount_sat_or_lots"]) == ('a,"b"/exchange/BTC', "1")
