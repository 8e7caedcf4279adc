"""`fairhash price` and `fairhash validate-model` as typed: the article's table, documents, drawings, refusals."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bot.cli import main
from bot.drawing import Band, Line, Panel, svg

ROOT = Path(__file__).parents[2]
TH1 = str(ROOT / "contracts/TH1BTC-2014Q4.yaml")
SVG = "{http://www.w3.org/2000/svg}"


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["price", TH1, "--json", *words]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_one_command_reproduces_the_table_of_the_2014_article(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["price", TH1, "--at", "2014-08-28", "--price", "2", "--swap-rate", "1", "--growth", "15"]) == 0
    text = capsys.readouterr().out
    for number in ("1.611544", "-0.388456 BTC", "-7.7375 %", "+24.5 %", "23,844,670,039", "command line"):
        assert number in text, number


def test_the_document_agrees_with_itself(capsys: pytest.CaptureFixture[str]) -> None:
    said = asked(capsys, "--price", "2")
    assert said["value_to_long_btc"] < said["value_btc"] < said["value_to_lender_btc"] < said["value_to_short_btc"]
    quantiles = list(said["quantiles_btc"].values())
    assert quantiles == sorted(quantiles) and len(quantiles) == 7
    assert sum(part["paid_btc"] for part in said["schedule"]) == pytest.approx(said["value_btc"], rel=1e-12)
    low, high = said["no_trade_band_btc"]
    assert low < said["value_to_long_btc"] and high > said["value_to_short_btc"]
    assert said["price"]["article_2014"] is None
    even = said["price"]["break_even_borrow_per_day"]
    again = asked(capsys, "--price", "2", "--swap-rate", f"{100 * even:.7f}")
    assert again["value_to_short_btc"] == pytest.approx(2.0, abs=1e-6)


def test_retargets_before_the_term_are_in_the_schedule_and_the_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On 28 August one was expected on 1 September, 13 days before the first dividend."""
    file = tmp_path / "price.svg"
    said = asked(capsys, "--at", "2014-08-28", "--growth", "15", "--plot", str(file))
    first, second, third = said["schedule"][:3]
    assert first["from"] == said["at"] and first["to"][:10] == second["from"][:10] == "2014-09-01"
    assert second["to"] == third["from"] == "2014-09-15T00:00:00Z"
    assert first["difficulty"] < second["difficulty"] == third["difficulty"]
    assert first["paid_btc"] == second["paid_btc"] == 0.0 < third["paid_btc"]
    assert sum(part["paid_btc"] for part in said["schedule"]) == pytest.approx(said["value_btc"], rel=1e-12)
    difficulty = next(ElementTree.fromstring(file.read_text(encoding="utf-8")).iter(f"{SVG}polyline"))
    left, right = (float(point.split(",")[0]) for point in difficulty.attrib["points"].split()[:2])
    assert (right - left) / 676 * 109 == pytest.approx(4.97, abs=0.05)  # days to the first step, of 109 on the paper


def test_implied_growth_is_the_growth_that_gives_the_price(capsys: pytest.CaptureFixture[str]) -> None:
    said = asked(capsys, "--price", "1.2")
    gross = said["price"]["implied_growth_gross_per_30_days"]
    assert asked(capsys, "--growth", f"{100 * gross:.12f}")["value_btc"] == pytest.approx(1.2, rel=1e-9)
    net = said["price"]["implied_growth_net_per_30_days"]
    assert asked(capsys, "--growth", f"{100 * net:.12f}")["value_to_short_btc"] == pytest.approx(1.2, rel=1e-8)


def test_a_price_that_nothing_explains_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["price", TH1, "--price", "5000"]) == 0
    assert "none explains it" in capsys.readouterr().out
    assert asked(capsys, "--price", "5000")["price"]["implied_growth_gross_per_30_days"] is None


def test_sensitivities_are_what_a_change_does(capsys: pytest.CaptureFixture[str]) -> None:
    said = asked(capsys, "--growth", "15")
    changes = {s["name"]: s["change_btc"] for s in said["sensitivities"]}
    faster = asked(capsys, "--growth", "16.15")["value_btc"]  # 1.15 x 1.01
    assert changes["growth"] == pytest.approx(faster - said["value_btc"], rel=1e-6)
    later = asked(capsys, "--growth", "15", "--at", "2014-09-16")["value_btc"]
    assert changes["time"] == pytest.approx(later - said["value_btc"], rel=0.02)
    assert changes["difficulty"] == pytest.approx(-said["value_btc"] / 101, rel=1e-9)


def test_the_moment_decides_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    early, late = asked(capsys, "--at", "2014-09-26"), asked(capsys, "--at", "2014-12-01T12:00:00+02:00")
    assert late["at"] == "2014-12-01T10:00:00Z"
    assert early["value_btc"] > late["value_btc"] > 0
    assert late["schedule"][-1]["to"] == "2014-12-15T00:00:00Z"
    assert early["inputs"][4]["value"] == "34,661,425,924"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--at", "yesterday"], "--at: 'yesterday' is not a time"),
        (["--at", "2014-12-15"], "--at: 2014-12-15T00:00:00Z is not before the contract's end"),
        (["--price", "two"], "--price: 'two' is not a number"),
        (["--price", "-2"], "--price: -2 is not between"),
        (["--price", "nan"], "--price: nan is not between"),
        (["--growth", "-100"], "--growth: -100 is not between"),
        (["--swap-rate", "1e9"], "--swap-rate: 1e9 is not between"),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_stands(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["price", TH1, *words]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--price", "2"], ["--growth", "10"], ["--at", "2014-12-14", "--model", "ar1"]])
def test_the_plot_is_an_svg_with_three_charts(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "price.svg"
    assert main(["price", TH1, *words, "--plot", str(file)]) == 0
    root = ElementTree.fromstring(file.read_text(encoding="utf-8"))
    text = {element.text for element in root.iter(f"{SVG}text")}
    assert {"Difficulty to expiry", "Dividends still to come", "Value against steady growth"} <= text
    assert len(list(root.iter(f"{SVG}polygon"))) == (0 if "--growth" in words else 6)
    assert "nan" not in file.read_text(encoding="utf-8")


def test_validate_model_prints_the_table_and_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "reliability.svg"
    assert main(["validate-model", "--plot", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "91 days, all, all origins, overlapping" in printed
    assert "anchored         387  0.0541  50.1  90.4  97.9" in printed
    assert ElementTree.fromstring(file.read_text(encoding="utf-8")).tag == f"{SVG}svg"
    assert main(["validate-model", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["rows"]) == 3 * 2 * 4 * 6
    assert {row["crps"] > 0 for row in document["rows"]} == {True}


def test_a_drawing_escapes_its_texts_and_stays_on_the_paper() -> None:
    line, band = Line([(0, 1), (1, 3)], "#000", "<a>"), Band([(0, 0), (1, 1)], [(0, 2), (1, 4)], "#111", 0.5)
    root = ElementTree.fromstring(svg("x & y", [Panel("<t>", "", "", [line], [band], marks=[(0.9, "m>")])], "n<"))
    texts = {element.text for element in root.iter(f"{SVG}text")}
    assert {"x & y", "<t>", "<a>", "m>", "n<"} <= texts
    for element in root.iter(f"{SVG}text"):
        assert 0 <= float(element.attrib["x"]) <= 760


def per_second(stretch: dict[str, Any]) -> float:
    begin, end = (datetime.fromisoformat(stretch[key]) for key in ("from", "to"))
    return float(stretch["paid_btc"]) / (end - begin).total_seconds()


def test_a_halving_inside_the_term_is_counted_in_what_a_price_implies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path(TH1).read_text(encoding="utf-8")
    text = text.replace("2014-09-15T00", "2024-03-01T00").replace("2014-12-15T00", "2024-06-01T00")
    for month, day in re.findall(r"2014-(1[0-2])-(\d\d)T00", text):
        text = text.replace(f"2014-{month}-{day}T00", f"2024-{int(month) - 6:02d}-{day}T00")
    contract = tmp_path / "2024.yaml"
    contract.write_text(text, encoding="utf-8")
    assert main(["price", str(contract), "--growth", "3", "--price", "0.00007", "--json"]) == 0
    given = json.loads(capsys.readouterr().out)
    before, after = given["schedule"][3:5]
    assert before["difficulty"] == after["difficulty"]  # one epoch, cut by the halving alone
    assert per_second(before) == pytest.approx(2 * per_second(after), rel=1e-6)
    implied = given["price"]["implied_growth_gross_per_30_days"]
    assert main(["price", str(contract), "--growth", f"{100 * implied:.12f}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value_btc"] == pytest.approx(0.00007, rel=1e-9)
