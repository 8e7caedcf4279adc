"""What is recorded is what a backtest runs: quotes by the day, a verified chain, whole after any crash."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.chain.chain import load as load_chain
from bot.config import load_settings
from bot.core.events import BTC, Block, Quote, SwapRate
from bot.core.events import CONTRACT as LOTS
from bot.core.units import NS_PER_S
from bot.errors import HistoryError, OutputError
from bot.feeds.join import LiveFeed, make_feed
from bot.feeds.record import Recorder
from bot.feeds.recorded_rates import RateFile
from bot.history.days import day_files
from bot.history.fields import iso_utc
from bot.history.load import load_market, load_rates
from bot.run import load_run, params_type, run_plan
from tests.feeds.chains import ManualClock, time_of
from tests.feeds.fake_exchange import FakeExchange
from tests.feeds.fake_sources import FakeCore

RAWS = [bytes.fromhex(line) for line in (Path(__file__).parent / "headers-312480.txt").read_text().split()]
FIRST = 312_480
"""Headers of Bitcoin's own chain, 25 and 26 July 2014: facts."""

CONTRACT = Path("contracts/TH1BTC-2014Q4.yaml").read_text()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A live configuration whose contract covers the hours of those headers."""
    head, _, rest = CONTRACT.partition("  steps:\n")
    tail = rest[rest.index("collateral:") :]
    steps = "  steps:\n    - {from: 2014-07-25T22:00:00Z, initial: 25 %, maintenance: 12.5 %}\n\n"
    terms = (head + steps + tail).replace("id: TH1BTC-2014Q4", "id: JULY")
    terms = terms.replace("2014-09-15T00:00:00Z", "2014-07-25T22:00:00Z")
    terms = terms.replace("2014-12-15T00:00:00Z", "2014-07-26T12:00:00Z")
    terms = terms.replace("  - {from: 2014-10-20T00:00:00Z, contract_counts: false}\n", "")
    (tmp_path / "july.yaml").write_text(terms)
    (tmp_path / "live.yaml").write_text(
        "contract: july.yaml\nchain: bitcoin-core\nfeed: ccxt\n"
        "ccxt: {exchange: bitfinex, symbol: TH1/BTC, poll: 5 min, stale_after: 1 d, repeat: 0 s}\n"
        "blocks: {url: URL, confirmations: 2, poll: 1 min}\n"
        "strategies: [{use: hold_long}]\n"
    )
    return tmp_path / "live.yaml"


@dataclass
class World:
    """The past, as it comes: blocks appear at their header's time, the price drifts."""

    node: FakeCore
    exchange: FakeExchange
    clock: ManualClock

    def move(self) -> None:
        now_s = self.clock.now // NS_PER_S
        seen = max(i for i, raw in enumerate(RAWS) if time_of(raw) <= now_s)
        self.node.raws = RAWS[: seen + 1]
        step = Decimal(now_s % 1_000) / 10_000
        self.exchange.bid = (f"{Decimal('0.7') + step}", "12.5")
        self.exchange.ask = (f"{Decimal('0.71') + step}", f"{1 + now_s % 7}")


def live(config: Path, act: Callable[[World, Callable[[], LiveFeed]], Awaitable[None]]) -> None:
    async def run() -> None:
        node, exchange = FakeCore(RAWS[:12]), FakeExchange()
        node.first_height, node.chain = FIRST, "main"
        url = await node.start()
        await exchange.start()
        config.write_text(config.read_text().replace("URL", url))
        clock = ManualClock((time_of(RAWS[11]) + 1) * NS_PER_S)
        world = World(node, exchange, clock)
        clock.on_sleep = world.move

        def feed() -> LiveFeed:
            # ccxt stamps books with the machine's clock, which is not in 2014: leave the stamps out.
            options = {**exchange.options(), "milliseconds": lambda: None}
            settings = load_settings(config, params_type)
            return make_feed(settings, clock, lambda kind, text: None, {}, **options)

        try:
            await act(world, feed)
        finally:
            await exchange.stop()
            await node.stop()

    asyncio.run(run())


async def record(feed: LiveFeed, recorder: Recorder, until: Callable[[Any], bool]) -> list[Any]:
    """Record until an event; return all that were recorded."""
    kept = []
    await feed.start(recorder.headers.last_block())
    recorder.begin(feed)
    events = feed.events(None)
    async for event in events:
        recorder.add(event)
        kept.append(event)
        if until(event):
            break
    await events.aclose()
    return kept


def recorder_in(directory: Path, config: Path) -> Recorder:
    contract = load_settings(config, params_type).contract
    return Recorder(directory, contract, {"simulated": "false", "contract": contract.id, "source": "a test"})


def test_a_recording_loads_as_what_was_fed_and_a_backtest_runs_it(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "recorded"
    kept: list[Any] = []

    async def act(world: World, feed: Callable[[], LiveFeed]) -> None:
        recorder = recorder_in(out, config)
        kept.extend(
            await record(feed(), recorder, lambda event: isinstance(event, Block) and event.height >= FIRST + 46)
        )
        recorder.close()

    live(config, act)
    quotes = [event for event in kept if isinstance(event, Quote)]
    blocks = [event for event in kept if isinstance(event, Block)]
    times = [event.time_ns for event in kept]
    assert times == sorted(set(times))  # time always rises
    contract = load_settings(config, params_type).contract
    history = load_market(out, contract)
    assert history.quotes == quotes and not history.simulated
    assert [path.name for path in day_files(out, "JULY", "quotes")] == [
        "JULY-quotes-2014-07-25.csv",
        "JULY-quotes-2014-07-26.csv",
    ]
    assert [block.height for block in blocks] == list(range(FIRST + 11, FIRST + 47))
    chain = load_chain(out / "chain")
    stored = {block.height: block for block in chain.blocks}
    for block in blocks[:-1]:  # the last one shows that none is missing before it
        same = stored[block.height]._replace(time_ns=block.time_ns)
        assert same == block

    backtest = config.read_text().replace("chain: bitcoin-core", "chain: recorded/chain")
    backtest = backtest.replace("feed: ccxt", "feed: history")
    run = "history: {market: recorded}\nrun: {start: 2014-07-25T23:45:00Z, end: 2014-07-26T05:00:00Z}\n"
    (tmp_path / "backtest.yaml").write_text(backtest + run)
    loaded = load_run(tmp_path / "backtest.yaml")
    assert not loaded.simulated
    result = run_plan(loaded.plans[0], "reference")
    assert len(result.fills) > 0 and result.marks[-1].position_lots > 0
    paid = sum(posting.amount for posting in result.postings if posting.kind == "dividend" and posting.amount > 0)
    assert paid > 0


def test_a_recording_is_gone_on_with_after_a_stop(config: Path, tmp_path: Path) -> None:
    """Blocks that came while nobody recorded are caught up; quotes are not, and the gap is seen."""
    out = tmp_path / "recorded"
    first: list[Any] = []
    second: list[Any] = []

    async def act(world: World, feed: Callable[[], LiveFeed]) -> None:
        recorder = recorder_in(out, config)
        first.extend(
            await record(feed(), recorder, lambda event: isinstance(event, Block) and event.height >= FIRST + 15)
        )
        recorder.close()
        world.clock.now = time_of(RAWS[30]) * NS_PER_S
        world.move()
        recorder = recorder_in(out, config)
        assert recorder.told == []
        second.extend(
            await record(feed(), recorder, lambda event: isinstance(event, Block) and event.height >= FIRST + 40)
        )
        recorder.close()

    live(config, act)
    heights = [event.height for event in first + second if isinstance(event, Block)]
    assert heights == list(range(FIRST + 11, FIRST + 41))
    history = load_market(out, load_settings(config, params_type).contract)
    assert history.quotes == [event for event in first + second if isinstance(event, Quote)]
    stored = {block.height for block in load_chain(out / "chain").blocks}
    assert set(heights[:-1]) <= stored
    assert history.sources[0].gaps


def test_recorded_swap_rates_let_a_backtest_sell_short(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "recorded"
    live_text = config.read_text().replace("use: hold_long", "use: hold_short, params: {size: 1 contract}")
    config.write_text(live_text + "swap: {source: funding_book, poll: 5 min}\nfills: {loan_term: 2 d}\n")
    kept: list[Any] = []

    async def act(world: World, feed: Callable[[], LiveFeed]) -> None:
        world.exchange.funding = {"fTH1": "[[0.0101,30,1,7.5]]", "fBTC": "[[0.0006,2,1,100]]"}
        made = feed()
        assert made.name.endswith("swap rates of the funding book of bitfinex")
        recorder = recorder_in(out, config)
        kept.extend(await record(made, recorder, lambda event: isinstance(event, Block) and event.height >= FIRST + 46))
        recorder.close()

    live(config, act)
    rates = [event for event in kept if isinstance(event, SwapRate)]
    assert {rate[1:] for rate in rates} == {(LOTS, 10_100_000, 750), (BTC, 600_000, 100 * 10**8)}
    backtest = config.read_text().replace("chain: bitcoin-core", "chain: recorded/chain")
    backtest = backtest.replace("feed: ccxt", "feed: history").replace(
        "swap: {source: funding_book, poll: 5 min}\n", ""
    )
    run = "history: {market: recorded, swap_rates: recorded/JULY-swap-rates.csv}\n"
    run += f"run: {{start: {iso_utc(rates[0].time_ns // NS_PER_S * NS_PER_S)}, end: 2014-07-26T05:00:00Z}}\n"
    (tmp_path / "backtest.yaml").write_text(backtest + run)
    loaded = load_run(tmp_path / "backtest.yaml")
    assert loaded.history.rates == rates
    result = run_plan(loaded.plans[0], "reference")
    assert result.marks[-1].position_lots == -100 and any(p.kind == "interest" for p in result.postings)


def test_a_swap_rate_that_was_cut_off_anywhere_is_dropped_and_the_rest_kept(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("URL", "http://127.0.0.1:1"))
    contract = load_settings(config, params_type).contract
    path, start_ns = tmp_path / "JULY-swap-rates.csv", contract.start_ns
    kept = [SwapRate(start_ns, LOTS, 10**7, 700), SwapRate(start_ns + 1, BTC, 600_000, 10**10)]

    def write(rates: list[SwapRate]) -> int:
        file = RateFile(tmp_path, contract, {"simulated": "false", "interval": "60 s"})
        for rate in rates:
            file.add(rate)
        file.close()
        return file.dropped_bytes

    write(kept)
    whole = path.read_bytes()
    assert RateFile(tmp_path, contract, {}).last_ns == start_ns + 1
    assert load_rates(path, contract).rates == kept
    first_row, last_row = whole.index(b"2014-07-25T"), whole[:-1].rindex(b"\n") + 1
    for cut in range(last_row, len(whole)):
        path.write_bytes(whole[:cut])
        assert write(kept[1:]) == cut - last_row and path.read_bytes() == whole
    for cut in range(first_row + 1):
        path.write_bytes(whole[:cut])
        assert write(kept) == cut and path.read_bytes() == whole


def quotes(count: int, start_ns: int) -> Iterator[Quote]:
    for i in range(count):
        yield Quote(start_ns + i * 60 * NS_PER_S, 70_000_000 + i, 100 + i, 71_000_000 + i, 200)


def test_a_row_that_was_cut_off_anywhere_is_dropped_and_the_rest_kept(config: Path, tmp_path: Path) -> None:
    """A crash at every byte of the last row, and within the head of a new day's file."""
    config.write_text(config.read_text().replace("URL", "http://127.0.0.1:1"))
    contract = load_settings(config, params_type).contract
    out = tmp_path / "recorded"
    recorder = recorder_in(out, config)
    kept = list(quotes(5, contract.start_ns))
    for quote in kept:
        recorder.add(quote)
    recorder.close()
    path = day_files(out, "JULY", "quotes")[0]
    whole = path.read_bytes()
    last_row = whole[: whole.rstrip(b"\n").rfind(b"\n") + 1]
    for cut in range(len(last_row), len(whole)):
        path.write_bytes(whole[:cut])
        again = recorder_in(out, config)
        assert again.last_ns == kept[3].time_ns
        assert bool(again.told) == (cut > len(last_row))
        again.add(kept[4])
        again.close()
        assert path.read_bytes() == whole
    first_row = whole.index(b"2014-07-25T")
    for cut in range(first_row + 1):
        path.write_bytes(whole[:cut])
        again = recorder_in(out, config)
        assert (again.last_ns, len(again.told), path.exists()) == (0, 1, False)
        again.close()


def test_a_header_that_was_cut_off_is_dropped(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("URL", "http://127.0.0.1:1"))
    out = tmp_path / "recorded"
    out.mkdir()
    path = out / f"headers-{FIRST}.bin"
    for cut in (1, 40, 79):
        path.write_bytes(b"".join(RAWS[:20]) + RAWS[20][:cut])
        recorder = recorder_in(out, config)
        assert recorder.told == [f"dropped {cut} bytes of a header that was cut off"]
        last = recorder.headers.last_block()
        assert last is not None and (last.height, last.header_time_s) == (FIRST + 19, time_of(RAWS[19]))
        recorder.close()
        assert path.stat().st_size == 20 * 80


def test_the_command_records_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """As a process, from a node in regtest; SIGTERM ends it with 0 and what came is on the disk."""
    import signal

    from tests.feeds.chains import START_S, chain

    raws = chain(20, step_s=(int(time.time()) - START_S - 86_400) // 20)  # the last one is a day old

    async def act() -> tuple[int, str, str]:
        node = FakeCore(raws)
        url = await node.start()
        (tmp_path / "contract.yaml").write_text(CONTRACT.replace("2014-12-15T00:00:00Z", "2100-12-15T00:00:00Z"))
        (tmp_path / "live.yaml").write_text(
            "contract: contract.yaml\nchain: bitcoin-core\n"
            f"blocks: {{url: {url}, network: regtest, confirmations: 1, poll: 100 ms, stale_after: 365 d}}\n"
            "strategies: [{use: hold_long}]\n"
        )
        words = ["-m", "bot", "record", str(tmp_path / "live.yaml"), "--out", str(tmp_path / "out"), "--json"]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=pipe, stderr=pipe)
        assert process.stderr is not None
        said = ""
        while "stop with Ctrl-C" not in said:
            line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
            assert line, said
            said += line
        node.raws = chain(3, raws)
        while (
            not (tmp_path / "out/headers-0.bin").exists() or (tmp_path / "out/headers-0.bin").stat().st_size < 24 * 80
        ):
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 30)
        await node.stop()
        return process.returncode or 0, out.decode(), said + err.decode()

    code, out, said = asyncio.run(act())
    assert (code, json.loads(out)["blocks"]) == (0, 3), said
    assert (tmp_path / "out/headers-0.bin").read_bytes()[: 21 * 80] == b"".join(raws)


def test_two_recorders_in_one_place_are_refused(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("URL", "http://127.0.0.1:1"))
    recorder = recorder_in(tmp_path / "recorded", config)
    with pytest.raises(OutputError, match="another process records there"):
        recorder_in(tmp_path / "recorded", config)
    recorder.close()
    recorder_in(tmp_path / "recorded", config).close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_one_error_and_what_was_written_stays(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("URL", "http://127.0.0.1:1"))
    contract = load_settings(config, params_type).contract
    recorder = recorder_in(tmp_path / "recorded", config)
    first, *rest = quotes(3, contract.start_ns)
    recorder.add(first)
    recorder.sync()
    assert recorder._file is not None
    recorder._file.close()
    recorder._file = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115 - the recorder closes it
    with pytest.raises(OutputError, match="No space left"):
        recorder.add(rest[0])
    recorder._file.close()
    recorder._file = None
    recorder.close()
    assert load_market(tmp_path / "recorded", contract).quotes == [first]


def test_a_directory_without_a_recording_and_days_that_overlap_are_refused(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("URL", "http://127.0.0.1:1"))
    contract = load_settings(config, params_type).contract
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(HistoryError, match="has no file called JULY-quotes-YYYY-MM-DD"):
        load_market(empty, contract)
    out = tmp_path / "recorded"
    recorder = recorder_in(out, config)
    for quote in quotes(200, contract.start_ns):
        recorder.add(quote)
    recorder.close()
    early, late = day_files(out, "JULY", "quotes")
    swapped = early.read_bytes(), late.read_bytes()
    early.write_bytes(swapped[1])
    late.write_bytes(swapped[0])
    with pytest.raises(HistoryError, match=r"2014-07-26.csv:\d+: begins before .*2014-07-25.csv ends"):
        load_market(out, contract)


def test_quotes_are_durable_every_few_seconds(config: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Quotes are synced when sync_ns of their time have passed, and at a new day."""
    config.write_text(config.read_text().replace("URL", "http://127.0.0.1:1"))
    contract = load_settings(config, params_type).contract
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(handle))
    recorder = recorder_in(tmp_path / "recorded", config)
    for i, quote in enumerate(quotes(10, contract.start_ns)):
        recorder.add(quote._replace(time_ns=contract.start_ns + i * NS_PER_S))
    assert len(synced) == 1 + 2  # the new file's name, and at 0 s and 5 s
    recorder.close()
