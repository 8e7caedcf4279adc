"""Loading history: what is read exactly, and that every fault of market data is refused with file:line."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core.contract import Contract
from bot.core.events import BTC, CONTRACT, Bar, Quote, SwapRate
from bot.core.units import NS_PER_S
from bot.errors import HistoryError
from bot.history.load import load, load_market, load_rates
from tests.contracts import START_NS, th1

T0 = START_NS
HOUR_NS = 3_600 * NS_PER_S
BARS = "time,open,high,low,close,volume"
QUOTES = "time,bid,bid_size,ask,ask_size"
RATES = "time,asset,rate_per_day,available"
GOOD_BAR = "2014-09-15T00:00:00Z,2,2.1,1.9,2.05,3"
NEXT_BAR = "2014-09-15T01:00:00Z,2.05,2.1,1.9,2,0.5"
GOOD_QUOTE = "2014-09-15T00:00:00Z,1.9,3,2.1,0.25"


def csv(tmp_path: Path, *rows: str, name: str = "market.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(("\n".join(rows) + "\n").encode("utf-8"))
    return path


def refusal(path: Path, contract: Contract | None = None) -> list[str]:
    with pytest.raises(HistoryError) as caught:
        load_market(path, contract or th1())
    return [str(problem) for problem in caught.value.problems]


def test_bars_are_read_to_the_satoshi_and_the_lot_and_are_known_at_their_close(tmp_path: Path) -> None:
    path = csv(tmp_path, "# simulated: true", BARS, GOOD_BAR, "2014-09-15T01:00:00Z,1.00000001,2,1.00000001,2,0")
    history = load_market(path, th1())
    assert history.bars == [
        Bar(T0, T0 + HOUR_NS, 200_000_000, 210_000_000, 190_000_000, 205_000_000, 300),
        Bar(T0 + HOUR_NS, T0 + 2 * HOUR_NS, 100_000_001, 200_000_000, 100_000_001, 200_000_000, 0),
    ]
    assert history.simulated and history.quotes == [] and history.kind == "bars"
    (source,) = history.sources
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (source.rows, source.first_ns, source.last_ns, source.interval_ns) == (2, T0, T0 + HOUR_NS, HOUR_NS)


def test_quotes_are_read_and_sizes_finer_than_a_lot_are_rounded_down_and_counted(tmp_path: Path) -> None:
    history = load_market(
        csv(tmp_path, QUOTES, "2014-09-15T00:00:00.5Z,1.9,3.019,2.1,0.25", "2014-09-15T00:00:01Z,1.9,0.009,2.1,1"),
        th1(),
    )
    assert history.quotes == [
        Quote(T0 + NS_PER_S // 2, 190_000_000, 301, 210_000_000, 25),
        Quote(T0 + NS_PER_S, 190_000_000, 0, 210_000_000, 100),
    ]
    assert not history.simulated
    assert history.sources[0].notes == ("2 sizes rounded down to whole units",)


def test_rates_of_both_assets_are_read_and_joined_to_the_market(tmp_path: Path) -> None:
    market = csv(tmp_path, QUOTES, GOOD_QUOTE)
    rates = csv(
        tmp_path,
        "# simulated: true",
        RATES,
        "2014-09-15T00:00:00Z,BTC,0.000574,12.5",
        "2014-09-15T00:00:00Z,TH1,0.01,0",
        "2014-09-15T01:00:00Z,TH1,0.010000001,2.5",
        name="rates.csv",
    )
    history = load(market, rates, th1())
    assert history.rates == [
        SwapRate(T0, BTC, 574_000, 1_250_000_000),
        SwapRate(T0, CONTRACT, 10_000_000, 0),
        SwapRate(T0 + HOUR_NS, CONTRACT, 10_000_001, 250),
    ]
    assert history.simulated, "one simulated source makes the history simulated"
    assert [source.kind for source in history.sources] == ["quotes", "swap rates"]
    again = history.with_rates(load_rates(rates, th1()))
    assert again == history, "rates are replaced, not added"


def test_problems_of_both_files_come_at_once(tmp_path: Path) -> None:
    market = csv(tmp_path, QUOTES, "2014-09-15T00:00:00Z,x,3,2.1,1")
    rates = csv(tmp_path, RATES, "2014-09-15T00:00:00Z,LTC,0.01,0", name="rates.csv")
    with pytest.raises(HistoryError) as caught:
        load(market, rates, th1())
    assert [problem.where for problem in caught.value.problems] == [f"{market}:2", f"{rates}:2"]


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("2014-09-15T00:00:00Z", T0),
        ("2014-09-15T00:00:00+00:00", T0),
        ("2014-09-15T00:00:00.000000001Z", T0 + 1),
        ("1410739200", T0),
        ("1410739200001", T0 + 1_000_000),
        ("1410739200000001", T0 + 1_000),
        ("1410739200000000001", T0 + 1),
    ],
)
def test_a_time_is_iso_utc_or_a_count_told_by_its_digits(tmp_path: Path, text: str, expected_ns: int) -> None:
    path = csv(tmp_path, QUOTES, GOOD_QUOTE.replace("2014-09-15T00:00:00Z", text))
    assert load_market(path, th1()).quotes[0].time_ns == expected_ns


@pytest.mark.parametrize(
    "text",
    [
        "2014-09-15T00:00:00",
        "2014-09-15 00:00:00Z",
        "2014-09-15T00:00:00+02:00",
        "2014-02-30T00:00:00Z",
        "2014-09-15T24:00:00Z",
        "2014-09-15T23:59:60Z",
        "2014-09-15",
        "1999-09-15T00:00:00Z",
        "2262-01-01T00:00:00Z",
        "141073920",
        "14107392000",
        "1410739200.5",
        "0000000001",
        "9999999999",
        "",
        "now",
        "-1410739200",
    ],
)
def test_any_other_time_is_refused(tmp_path: Path, text: str) -> None:
    path = csv(tmp_path, QUOTES, GOOD_QUOTE.replace("2014-09-15T00:00:00Z", text))
    (problem,) = refusal(path)
    assert problem.startswith(f"{path}:2: time: ")


def test_a_file_keeps_to_one_form_of_time(tmp_path: Path) -> None:
    row = GOOD_QUOTE.removeprefix("2014-09-15T00:00:00Z")
    path = csv(tmp_path, QUOTES, f"1410739200{row}", f"1410739200001{row}", f"2014-09-15T01:00:00Z{row}")
    assert [problem.split(": ")[0] for problem in refusal(path)] == [f"{path}:3", f"{path}:4"]


@pytest.mark.parametrize(
    ("price", "what"),
    [
        ("NaN", "not a plain decimal"),
        ("nan", "not a plain decimal"),
        ("inf", "not a plain decimal"),
        ("-inf", "not a plain decimal"),
        ("-0", "not a plain decimal"),
        ("+2", "not a plain decimal"),
        ("1e999", "not a plain decimal"),
        ("2e0", "not a plain decimal"),
        ("0x2", "not a plain decimal"),
        ("1_0", "not a plain decimal"),
        (" 2", "not a plain decimal"),
        ("02", "not a plain decimal"),
        (".5", "not a plain decimal"),
        ("2.", "not a plain decimal"),
        ('"2"', "not a plain decimal"),
        ("2\x00", "not a plain decimal"),
        ("", "not a plain decimal"),
        ("9" * 5000, "not a plain decimal"),
        ("-2", "not a plain decimal"),
        ("0", "not above 0"),
        ("0.00000000", "not above 0"),
        ("1.999999999", "finer than 1 satoshi"),
        ("21000000.00000001", "above 21000000 BTC"),
    ],
)
@pytest.mark.parametrize("column", [1, 2, 3, 4])
def test_a_price_that_is_not_a_plain_positive_decimal_is_refused(
    tmp_path: Path, column: int, price: str, what: str
) -> None:
    fields = GOOD_BAR.split(",")
    fields[column] = price
    path = csv(tmp_path, BARS, NEXT_BAR.replace("01:", "00:").replace("09-15", "09-14"), ",".join(fields))
    problems = refusal(path)
    name = BARS.split(",")[column]
    assert problems[0].startswith(f"{path}:3: {name}: ") and what in problems[0], problems
    assert len(problems[0]) < 400, "a huge field is not repeated in full"


def test_trailing_zeros_beyond_the_satoshi_are_exact_and_accepted(tmp_path: Path) -> None:
    path = csv(tmp_path, QUOTES, "2014-09-15T00:00:00Z,1.900000000000,3,2.1,1")
    assert load_market(path, th1()).quotes[0].bid_sat == 190_000_000


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("2014-09-15T00:00:00Z,2,1.99,1.9,1.95,3", "not both within low 1.9 and high 1.99"),
        ("2014-09-15T00:00:00Z,2,2.1,1.9,2.2,3", "not both within"),
        ("2014-09-15T00:00:00Z,2,2.1,2.05,2.1,3", "not both within"),
        ("2014-09-15T00:00:00Z,2,2.1,1.9,1.8,3", "not both within"),
        ("2014-09-15T00:00:00Z,2,2.1,1.9,2,-3", "volume: '-3'"),
        ("2014-09-15T00:00:00Z,2,2.1,1.9,2,1e3", "volume: '1e3'"),
        ("2014-09-15T00:00:00Z,2,2.1,1.9,2,1000000001", "above 1000000000"),
        ("2014-09-15T00:00:00Z,2,2.1,1.9,2", "row has 5 columns, not 6"),
        ("2014-09-15T00:00:00Z,2,2.1,1.9,2,3,4", "row has 7 columns, not 6"),
        ("", "row has 1 columns, not 6"),
        ("# late: comment", "comments stand before the header only"),
        (BARS, "time: 'time'"),
    ],
)
def test_a_bar_that_contradicts_itself_or_is_ragged_is_refused(tmp_path: Path, row: str, what: str) -> None:
    path = csv(tmp_path, "# interval: 1h", BARS, row)
    problems = refusal(path)
    assert problems[0].startswith(f"{path}:3: ") and what in problems[0], problems


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("2014-09-15T00:00:00Z,2.2,3,2.1,1", "bid 2.2 is above ask 2.1"),
        ("2014-09-15T00:00:00Z,2.1,0,2.1,1", "a size is 0"),
        ("2014-09-15T00:00:00Z,2.1,3,2.1,0", "a size is 0"),
        ("2014-09-15T00:00:00Z,2.1,3,2.1,0.001", "a size is 0"),
    ],
)
def test_a_crossed_or_emptily_locked_quote_is_refused(tmp_path: Path, row: str, what: str) -> None:
    (problem,) = refusal(csv(tmp_path, QUOTES, row))
    assert what in problem


def test_a_locked_quote_with_sizes_and_an_empty_side_of_an_open_one_are_accepted(tmp_path: Path) -> None:
    path = csv(tmp_path, QUOTES, "2014-09-15T00:00:00Z,2,1,2,1", "2014-09-15T00:00:01Z,2,0,2.1,0")
    assert len(load_market(path, th1()).quotes) == 2


@pytest.mark.parametrize(
    ("rate", "what"),
    [
        ("1", "not below 1"),
        ("1.5", "not below 1"),
        ("-0.01", "not a plain decimal"),
        ("0.0000000001", "finer than 1e-9"),
        ("1%", "not a plain decimal"),
        ("nan", "not a plain decimal"),
    ],
)
def test_a_rate_is_an_exact_fraction_below_one(tmp_path: Path, rate: str, what: str) -> None:
    path = csv(tmp_path, RATES, f"2014-09-15T00:00:00Z,TH1,{rate},1")
    with pytest.raises(HistoryError, match=what):
        load_rates(path, th1())


def test_an_unknown_asset_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = csv(tmp_path, RATES, "2014-09-15T00:00:00Z,TH,0.01,1")
    with pytest.raises(HistoryError, match=r":2: asset: 'TH' is neither BTC nor TH1 \(did you mean TH1\?\)"):
        load_rates(path, th1())


def test_identical_rows_are_ignored_and_counted_contradicting_ones_refused(tmp_path: Path) -> None:
    twice = csv(tmp_path, BARS, GOOD_BAR, GOOD_BAR, NEXT_BAR)
    history = load_market(twice, th1())
    assert len(history.bars) == 2
    assert history.sources[0].duplicates == 1 and "1 identical rows ignored" in history.sources[0].notes
    other = csv(tmp_path, BARS, GOOD_BAR, GOOD_BAR.replace(",3", ",4"), NEXT_BAR)
    assert refusal(other) == [f"{other}:3: contradicts line 2 of the same time (keep one)"]


def test_rates_contradict_only_within_one_asset(tmp_path: Path) -> None:
    rows = ["2014-09-15T00:00:00Z,BTC,0.001,1", "2014-09-15T00:00:00Z,TH1,0.01,1"]
    assert load_rates(csv(tmp_path, RATES, *rows, *rows), th1()).source.duplicates == 2
    with pytest.raises(HistoryError, match=":4: contradicts line 2"):
        load_rates(csv(tmp_path, RATES, *rows, "2014-09-15T00:00:00Z,BTC,0.002,1"), th1())


def test_rows_out_of_order_are_refused_and_do_not_move_the_clock_back(tmp_path: Path) -> None:
    path = csv(tmp_path, BARS, NEXT_BAR, GOOD_BAR, NEXT_BAR, GOOD_BAR.replace("00:00:00", "02:00:00"))
    assert refusal(path) == [f"{path}:3: time is before that of line 2 (sort the rows by time; it must not fall)"]


@pytest.mark.parametrize("stated", ["# interval: 1h", "# note: the most common spacing is an hour"])
def test_overlapping_bars_are_refused(tmp_path: Path, stated: str) -> None:
    rows = [GOOD_BAR.replace("T00:00", f"T{hour:02}:00") for hour in range(6)]
    rows.insert(2, GOOD_BAR.replace("T00:00", "T01:30"))
    path = csv(tmp_path, stated, BARS, *rows)
    assert [problem.partition(" after")[0] for problem in refusal(path)] == [
        f"{path}:5: bar opens 1800 s",
        f"{path}:6: bar opens 1800 s",
    ]


def test_the_interval_is_the_most_common_spacing_for_the_last_bar_too(tmp_path: Path) -> None:
    rows = [GOOD_BAR.replace("T00:00", f"T{hour:02}:00") for hour in (0, 3, 4, 5, 9)]
    history = load_market(csv(tmp_path, BARS, *rows), th1())
    assert {bar.close_ns - bar.time_ns for bar in history.bars} == {HOUR_NS}
    gaps = [(gap.from_ns - T0, gap.to_ns - T0, gap.missing) for gap in history.sources[0].gaps]
    assert gaps == [(HOUR_NS, 3 * HOUR_NS, 2), (6 * HOUR_NS, 9 * HOUR_NS, 3)]
    assert len(history.bars) == 5, "no fill is invented in a gap"


def test_a_stated_interval_rules_over_the_spacing(tmp_path: Path) -> None:
    rows = [GOOD_BAR.replace("T00:00", f"T{hour:02}:00") for hour in (0, 2, 4)]
    history = load_market(csv(tmp_path, "# interval: 3600 s", BARS, *rows), th1())
    assert history.bars[-1].close_ns - history.bars[-1].time_ns == HOUR_NS
    assert len(history.sources[0].gaps) == 2


def test_a_single_bar_must_state_its_length(tmp_path: Path) -> None:
    path = csv(tmp_path, BARS, GOOD_BAR)
    assert refusal(path) == [f"{path}:2: a single bar does not tell its length (state it: # interval: 3600 s)"]
    stated = csv(tmp_path, "# interval: 90 min", BARS, GOOD_BAR)
    assert load_market(stated, th1()).bars[0].close_ns == T0 + HOUR_NS * 3 // 2


def test_gaps_of_irregular_quotes_are_silences_of_ten_usual_spacings(tmp_path: Path) -> None:
    rows = [GOOD_QUOTE.replace("00:00:00", f"00:00:{second:02}") for second in (0, 1, 2, 4, 14, 25)]
    (gap,) = load_market(csv(tmp_path, QUOTES, *rows), th1()).sources[0].gaps
    assert (gap.from_ns, gap.to_ns, gap.missing) == (T0 + 14 * NS_PER_S, T0 + 25 * NS_PER_S, 10)
    stated = load_market(csv(tmp_path, "# interval: 1 s", QUOTES, *rows), th1())
    assert len(stated.sources[0].gaps) == 3


@pytest.mark.parametrize("spike", ["2000,2100,1900,2050", "0.002,0.0021,0.0019,0.00205", "2,2100,2,2"])
def test_a_thousandfold_spike_breaks_the_circuit_unless_the_file_vouches_for_it(tmp_path: Path, spike: str) -> None:
    rows = [GOOD_BAR, f"2014-09-15T01:00:00Z,{spike},1", GOOD_BAR.replace("T00", "T02")]
    path = csv(tmp_path, BARS, *rows)
    (problem,) = refusal(path)
    assert problem.startswith(f"{path}:3: price ") and "suspicious" in problem, "only the spike, not the return"
    vouched = load_market(csv(tmp_path, "# accept-spikes: true", BARS, *rows), th1())
    assert any("accepted by the file's own word" in note for note in vouched.sources[0].notes)
    assert refusal(csv(tmp_path, "# accept-spikes: false", BARS, *rows))


@pytest.mark.parametrize(
    ("quote", "suspicious"),
    [
        ("0.001,1,2.1,1", True),
        ("1.9,1,2100,1", True),
        ("1900,1,2100,1", True),
        ("0.0019,1,0.0021,1", True),
        ("0.01,1,2.1,1", False),
        ("1.9,1,900,1", False),
    ],
)
def test_each_side_of_the_book_is_held_against_itself(tmp_path: Path, quote: str, suspicious: bool) -> None:
    path = csv(tmp_path, QUOTES, GOOD_QUOTE, f"2014-09-15T00:00:01Z,{quote}", GOOD_QUOTE.replace("00Z", "02Z"))
    if suspicious:
        (problem,) = refusal(path)
        assert problem.startswith(f"{path}:3: price ")
    else:
        assert len(load_market(path, th1()).quotes) == 3


def test_the_slide_to_worthless_at_expiry_is_no_spike(tmp_path: Path) -> None:
    prices = ["0.0100", "0.0050", "0.0010", "0.0001"]
    rows = [f"2014-12-14T{hour + 20}:00:00Z,{price},{price},{price},{price},0" for hour, price in enumerate(prices)]
    assert len(load_market(csv(tmp_path, BARS, *rows), th1()).bars) == 4


def test_at_most_twenty_problems_are_told_and_the_rest_counted_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [f"2014-09-15T00:00:{second:02}Z,x,3,2.1,1" for second in range(30)]
    path = csv(tmp_path, QUOTES, *rows)
    problems = refusal(path)
    assert [problem.split(":")[-3].strip() for problem in problems[:20]] == [str(line) for line in range(2, 22)]
    assert problems[20:] == [f"{path}: and 10 problems more"]


def test_every_column_at_fault_is_named_at_once(tmp_path: Path) -> None:
    path = csv(tmp_path, QUOTES, "when,x,3,-1,y")
    assert [problem.split(": ")[1] for problem in refusal(path)] == ["time", "bid", "ask", "ask_size"]


def test_lots_need_not_be_hundredths(tmp_path: Path) -> None:
    path = csv(tmp_path, QUOTES, "2014-09-15T00:00:00Z,1.9,0.25,2.1,0.3")
    quote = load_market(path, th1(lots_per_contract=8)).quotes[0]
    assert (quote.bid_size_lots, quote.ask_size_lots) == (2, 2)


def test_a_history_holds_bars_or_quotes_never_both(tmp_path: Path) -> None:
    history = load_market(csv(tmp_path, QUOTES, GOOD_QUOTE), th1())
    with pytest.raises(ValueError, match="bars or quotes"):
        replace(history, quotes=[])
    with pytest.raises(ValueError, match="bars or quotes"):
        replace(history, bars=[Bar(0, 1, 1, 1, 1, 1, 0)])
