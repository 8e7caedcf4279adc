"""History for any input: what is written loads back, what is damaged is refused by name, the future never matters."""

from __future__ import annotations

import gzip
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.chain.chain import Chain
from bot.chain.chain import load as load_chain
from bot.core.events import BTC, CONTRACT, Bar, Quote, SwapRate
from bot.core.units import NS_PER_DAY, NS_PER_S
from bot.errors import HistoryError
from bot.history.check import check
from bot.history.fields import FieldError, iso_utc, price_sat, time_fields
from bot.history.load import load_market, load_rates
from bot.history.resample import bars_to_longer, quotes_to_bars
from bot.history.settings import Settings
from bot.history.simulate import rows_of, simulate
from bot.history.write import bars_csv, quotes_csv, rates_csv
from tests.contracts import END_NS, START_NS, th1

MINUTE_NS = 60 * NS_PER_S
HOUR_NS = 60 * MINUTE_NS
VOUCHED = {"simulated": "true", "accept-spikes": "true"}
times_ns = st.integers(START_NS, END_NS)
prices = st.integers(1, 10**12)
sizes = st.integers(0, 10**9)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def chain() -> Chain:
    return load_chain()


@st.composite
def bar_lists(draw: st.DrawFn) -> list[Bar]:
    hours = sorted(draw(st.sets(st.integers(0, 60), min_size=1, max_size=30)))
    bars = []
    for hour in hours:
        low, first, last, high = sorted(draw(st.tuples(prices, prices, prices, prices)))
        if draw(st.booleans()):
            first, last = last, first
        open_ns = START_NS + hour * HOUR_NS
        bars.append(Bar(open_ns, open_ns + HOUR_NS, first, high, low, last, draw(sizes)))
    return bars


@st.composite
def quote_lists(draw: st.DrawFn) -> list[Quote]:
    quotes = []
    for time_ns in sorted(draw(st.sets(times_ns, min_size=1, max_size=30))):
        bid, ask = sorted(draw(st.tuples(prices, prices)))
        quotes.append(Quote(time_ns, bid, draw(sizes) + 1, ask, draw(sizes) + 1))
    return quotes


@st.composite
def rate_lists(draw: st.DrawFn) -> list[SwapRate]:
    keys = sorted(draw(st.sets(st.tuples(times_ns, st.sampled_from((BTC, CONTRACT))), min_size=1, max_size=30)))
    rates = st.integers(0, 10**9 - 1)
    return [SwapRate(time_ns, asset, draw(rates), draw(sizes)) for time_ns, asset in keys]


@quick
@given(bars=bar_lists(), lots=st.sampled_from((1, 8, 100, 1000)), packed=st.booleans())
def test_bars_written_load_back_the_same(folder: Path, bars: list[Bar], lots: int, packed: bool) -> None:
    contract = th1(lots_per_contract=lots)
    path = folder / ("bars.csv.gz" if packed else "bars.csv")
    content = bars_csv(bars, contract, VOUCHED).encode("ascii")
    path.write_bytes(gzip.compress(content, compresslevel=1) if packed else content)
    assert load_market(path, contract).bars == bars


@quick
@given(quotes=quote_lists())
def test_quotes_written_load_back_the_same(folder: Path, quotes: list[Quote]) -> None:
    path = folder / "quotes.csv"
    path.write_text(quotes_csv(quotes, th1(), VOUCHED), encoding="ascii")
    assert load_market(path, th1()).quotes == quotes


@quick
@given(rates=rate_lists())
def test_rates_written_load_back_the_same(folder: Path, rates: list[SwapRate]) -> None:
    path = folder / "rates.csv"
    path.write_text(rates_csv(rates, th1(), {}), encoding="ascii")
    assert load_rates(path, th1()).rates == rates


@given(text=st.from_regex(r"[0-9]{0,5}\.?[0-9]{0,10}", fullmatch=True) | st.text(max_size=8))
@settings(max_examples=300, deadline=None)
def test_a_price_is_read_exactly_or_not_at_all(text: str) -> None:
    plain = re.fullmatch(r"(0|[1-9][0-9]*)(\.[0-9]+)?", text, re.ASCII)
    exact = Decimal(text) * 10**8 if plain else Decimal(0)
    if 0 < exact <= 21_000_000 * 10**8 and exact == int(exact):
        assert price_sat(text) == int(exact)
    else:
        with pytest.raises(FieldError):
            price_sat(text)


@given(time_ns=times_ns)
def test_a_time_printed_reads_back(time_ns: int) -> None:
    text = iso_utc(time_ns)
    assert time_fields(text).parse(text) == time_ns
    assert time_fields(str(time_ns)).parse(str(time_ns)) == time_ns


def base_files() -> dict[str, bytes]:
    bars = [Bar(START_NS + i * HOUR_NS, START_NS + (i + 1) * HOUR_NS, 200, 210, 190, 205, 3) for i in range(5)]
    quotes = [Quote(START_NS + i * HOUR_NS, 190_000_000, 3, 210_000_000, 4) for i in range(5)]
    rates = [SwapRate(START_NS + i * HOUR_NS, i % 2, 10_000_000, i) for i in range(5)]
    return {
        "bars.csv": bars_csv(bars, th1(), {"simulated": "true"}).encode("ascii"),
        "quotes.csv": quotes_csv(quotes, th1(), {"interval": "1h"}).encode("ascii"),
        "rates.csv": rates_csv(rates, th1(), {}).encode("ascii"),
    }


BASES = base_files()
junk = st.binary(max_size=6) | st.sampled_from(
    [b"\n", b",", b"\r\n", b"\x00", b"NaN", b"-0", b"1e999", b"1_0", b"#", b"9" * 40, b"\xef\xbb\xbf", b"inf", b"."]
)
edits = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 40), junk), min_size=1, max_size=4)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(BASES)), edits=edits, packed=st.booleans(), late=st.booleans())
def test_no_damage_raises_anything_but_a_history_error(
    folder: Path, name: str, edits: list[tuple[int, int, bytes]], packed: bool, late: bool
) -> None:
    content = BASES[name]
    if packed and not late:
        content = gzip.compress(content, mtime=0)
    for at, length, text in edits:
        content = content[:at] + text + content[at + length :]
    if packed and late:
        content = gzip.compress(content, compresslevel=1)
    path = folder / (f"damaged-{name}.gz" if packed else f"damaged-{name}")
    path.write_bytes(content)
    loader = load_rates if name == "rates.csv" else load_market
    try:
        loaded = loader(path, th1())
    except HistoryError as fault:
        assert fault.problems and len(fault.problems) <= 21
        for problem in fault.problems:
            assert problem.where == str(path) or re.fullmatch(rf"{re.escape(str(path))}:[0-9]+", problem.where)
            assert str(problem).isprintable()
        assert not check(path, th1()).ok or "is not time," in str(fault)
        return
    assert check(path, th1()).ok
    rows = loaded.rates or getattr(loaded, "bars", None) or getattr(loaded, "quotes", None)
    assert rows and [row[0] for row in rows] == sorted(row[0] for row in rows)


@quick
@given(quotes=quote_lists(), keep=st.integers(1, 30))
def test_rows_that_follow_never_change_rows_before(folder: Path, quotes: list[Quote], keep: int) -> None:
    path = folder / "prefix.csv"
    comments = {**VOUCHED, "interval": "1 s"}
    path.write_text(quotes_csv(quotes[:keep], th1(), comments), encoding="ascii")
    assert load_market(path, th1()).quotes == quotes[:keep]
    step_ns = 6 * HOUR_NS
    known = [bar for bar in quotes_to_bars(quotes, step_ns) if bar.close_ns <= quotes[:keep][-1].time_ns]
    assert quotes_to_bars(quotes[:keep], step_ns) == known


@quick
@given(bars=bar_lists(), first=st.sampled_from((1, 2, 3)), second=st.sampled_from((1, 2, 4)))
def test_resampling_in_two_steps_or_one_gives_the_same_bars(bars: list[Bar], first: int, second: int) -> None:
    once = bars_to_longer(bars, first * second * HOUR_NS)
    assert bars_to_longer(bars_to_longer(bars, first * HOUR_NS), first * second * HOUR_NS) == once
    for bar in once:
        inside = [each for each in bars if bar.time_ns <= each.time_ns < bar.close_ns]
        assert len(inside) == first * second
        assert bar.volume_lots == sum(each.volume_lots for each in inside)
        assert bar.low_sat <= min(bar.open_sat, bar.close_sat) <= max(bar.open_sat, bar.close_sat) <= bar.high_sat


class Line:
    """A stand-in for the model: a straight line to 0, and a step down with every block."""

    def __init__(self) -> None:
        self.factor = 1.0

    def on_block(self, block: object) -> None:
        self.factor *= 0.99

    def value_sat(self, time_ns: int) -> float:
        return self.factor * max(END_NS - time_ns, 0) / (END_NS - START_NS) * 1e8


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), minutes=st.sampled_from((1, 7, 60)), days=st.integers(1, 2))
def test_any_seed_gives_a_market_that_loads_and_whose_book_is_never_crossed(seed: int, minutes: int, days: int) -> None:
    contract = th1(end_ns=START_NS + days * NS_PER_DAY // 4)
    quotes, bars, rates = rows_of(contract, Line(), [], seed, minutes * MINUTE_NS, Settings())
    assert all(0 < quote.bid_sat < quote.ask_sat and quote.bid_size_lots > 0 for quote in quotes)
    assert all(rate.available >= 0 and 0 < rate.rate_ppb_day <= 500_000_000 for rate in rates)
    assert all(before.close_ns == after.time_ns for before, after in pairwise(bars))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "quotes.csv"
        path.write_text(quotes_csv(quotes, contract, {}), encoding="ascii")
        assert load_market(path, contract).quotes == quotes


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), cut_minutes=st.integers(0, 3 * 1440), delay_s=st.integers(1, 100_000))
def test_later_blocks_never_change_earlier_simulated_rows(
    chain: Chain, seed: int, cut_minutes: int, delay_s: int
) -> None:
    # Around the retarget of 2014-09-25, which moves the model value by a tenth.
    start_ns = START_NS + 9 * NS_PER_DAY
    contract = th1(start_ns=start_ns, end_ns=start_ns + 3 * NS_PER_DAY)
    cut_ns = start_ns + cut_minutes * MINUTE_NS
    blocks = [
        block
        if block.time_ns <= cut_ns
        else block._replace(time_ns=block.time_ns + delay_s * NS_PER_S, header_time_s=block.header_time_s + delay_s)
        for block in chain.blocks
    ]
    plain = simulate(contract, chain, seed=seed)
    changed = simulate(contract, replace(chain, blocks=blocks), seed=seed)
    for rows, others in ((plain.quotes, changed.quotes), (plain.rates, changed.rates)):
        assert [row for row in rows if row[0] <= cut_ns] == [row for row in others if row[0] <= cut_ns]
    known = [bar for bar in plain.bars if bar.close_ns <= cut_ns]
    assert known == [bar for bar in changed.bars if bar.close_ns <= cut_ns]
