"""A check report says everything about a file and raises nothing; resampled bars are exact and complete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.core.events import Bar, Quote
from bot.core.units import NS_PER_S
from bot.errors import HistoryError
from bot.history.check import check
from bot.history.resample import bars_to_longer, quotes_to_bars
from tests.contracts import START_NS, th1

HOUR_NS = 3_600 * NS_PER_S
DAY_NS = 24 * HOUR_NS


def csv(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "market.csv"
    path.write_text("\n".join(rows) + "\n", encoding="ascii")
    return path


def test_a_good_file_is_described_with_its_gaps_and_oddities(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "# simulated: true",
        "time,bid,bid_size,ask,ask_size",
        "2014-12-14T22:00:00Z,1,0.001,2,1",
        "2014-12-14T22:00:00Z,1,0.001,2,1",
        "2014-12-14T22:00:10Z,1,1,2,1",
        "2014-12-14T22:00:20Z,1,1,2,1",
        "2014-12-15T00:00:00Z,1,1,2,1",
    )
    report = check(path, th1())
    assert report.ok and report.refused == 0
    assert (report.rows, report.duplicates, report.after_expiry) == (4, 1, 1)
    assert report.as_dict()["gaps"] == [{"from": "2014-12-14T22:00:20Z", "to": "2014-12-15T00:00:00Z", "missing": 717}]
    text = report.to_text()
    for part in (
        "quotes, SIMULATED prices",
        "rows      4, 2014-12-14T22:00:00Z to 2014-12-15T00:00:00Z",
        "interval  10 s (the most common spacing)",
        "1 rows at or after expiry",
        "1 identical rows ignored",
        "2 sizes rounded down",
        "717 rows missing",
    ):
        assert part in text, text
    assert text.endswith("\nok")
    assert json.loads(json.dumps(report.as_dict()))["sha256"] == report.sha256


def test_a_bad_file_is_reported_and_not_raised(tmp_path: Path) -> None:
    rows = [f"2014-09-15T{hour:02}:00:00Z,TH1,x,1" for hour in range(24)]
    report = check(csv(tmp_path, "time,asset,rate_per_day,available", *rows), th1())
    assert not report.ok and report.refused == 24 and len(report.problems) == 21
    assert report.kind == "swap rates" and report.as_dict()["first"] is None
    assert report.to_text().endswith("refused: 24 problems")
    absent = check(tmp_path / "absent.csv", th1())
    assert absent.refused == 1 and absent.to_text().startswith(f"{tmp_path / 'absent.csv'}: unknown kind")


def test_spikes_are_listed_with_line_time_and_prices(tmp_path: Path) -> None:
    rows = [f"2014-09-15T{hour:02}:00:00Z,{1000 ** (hour % 2)},1,{2000 ** (hour % 2)},1" for hour in range(24)]
    report = check(csv(tmp_path, "time,bid,bid_size,ask,ask_size", *rows), th1())
    assert report.refused == 12 and len(report.spikes) == 12
    assert report.spikes[0] == (3, START_NS + HOUR_NS, 10**8, 2000 * 10**8)
    assert "and 2 spikes more" in report.to_text()


def test_unknown_header_names_all_three_kinds(tmp_path: Path) -> None:
    report = check(csv(tmp_path, "a,b", "1,2"), th1())
    assert "time,asset,rate_per_day,available" in report.to_text()


def bar(hour: int, price: int, high: int = 0, low: int = 0, volume: int = 1) -> Bar:
    open_ns = START_NS + hour * HOUR_NS
    return Bar(open_ns, open_ns + HOUR_NS, price, high or price, low or price, price + 1, volume)


def test_longer_bars_take_first_open_last_close_extremes_and_summed_volume() -> None:
    bars = [bar(0, 10, high=30), bar(1, 20, low=5), bar(2, 15, volume=4), bar(3, 12)]
    assert bars_to_longer(bars, 2 * HOUR_NS) == [
        Bar(START_NS, START_NS + 2 * HOUR_NS, 10, 30, 5, 21, 2),
        Bar(START_NS + 2 * HOUR_NS, START_NS + 4 * HOUR_NS, 15, 15, 12, 13, 5),
    ]
    assert bars_to_longer(bars, HOUR_NS) == bars
    assert bars_to_longer([], HOUR_NS) == []


@pytest.mark.parametrize("hours", [(1, 2, 3, 4), (0, 1, 3, 4, 5), (0, 1, 2), (0, 2, 3)])
def test_a_window_with_anything_missing_yields_no_bar(hours: tuple[int, ...]) -> None:
    assert bars_to_longer([bar(hour, 10) for hour in hours], 4 * HOUR_NS) == []


@pytest.mark.parametrize("interval_ns", [HOUR_NS // 2, HOUR_NS * 3 // 2, 0, -HOUR_NS])
def test_bars_are_made_longer_only_by_whole_multiples(interval_ns: int) -> None:
    with pytest.raises(HistoryError, match="not a whole multiple"):
        bars_to_longer([bar(0, 10)], interval_ns)


def test_bars_of_unequal_length_are_refused() -> None:
    with pytest.raises(HistoryError, match="bars of 3600 s and 7200 s"):
        bars_to_longer([bar(0, 10), bar(1, 10)._replace(close_ns=START_NS + 3 * HOUR_NS)], DAY_NS)


def quote(hour: int, bid: int, ask: int) -> Quote:
    return Quote(START_NS + hour * HOUR_NS, bid, 1, ask, 1)


def test_quotes_become_bars_of_the_mid_rounded_half_up_in_complete_windows_only() -> None:
    quotes = [quote(hour, 100 - hour, 101 + 2 * hour) for hour in (0, 1, 2, 3, 6)]
    first = Bar(START_NS, START_NS + 2 * HOUR_NS, 101, 101, 101, 101, 0)
    second = Bar(START_NS + 2 * HOUR_NS, START_NS + 4 * HOUR_NS, 102, 102, 102, 102, 0)
    assert quotes_to_bars(quotes, 2 * HOUR_NS) == [first, second], "the window of the silence has no bar"
    third = Bar(START_NS + 6 * HOUR_NS, START_NS + 8 * HOUR_NS, 104, 104, 104, 104, 0)
    until = quotes_to_bars(quotes, 2 * HOUR_NS, until_ns=START_NS + 8 * HOUR_NS)
    assert until == [first, second, third]
    assert quotes_to_bars(quotes[1:], 2 * HOUR_NS) == [second], "its beginning was not seen"
    assert quotes_to_bars([], HOUR_NS) == []
    with pytest.raises(HistoryError, match="not above 0"):
        quotes_to_bars(quotes, 0)
