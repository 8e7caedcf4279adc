"""The simulated market: equal on every machine, labelled, plausible, and blind to the future."""

from __future__ import annotations

import hashlib
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import pytest

from bot.chain.chain import Chain
from bot.chain.chain import load as load_chain
from bot.contract_file import load_contract
from bot.core.contract import Contract
from bot.core.events import BTC, CONTRACT
from bot.core.units import NS_PER_DAY, NS_PER_S
from bot.errors import HistoryError, OutputError
from bot.history.draws import Draws, decay, exp, log
from bot.history.load import load
from bot.history.market import Lenders, Premium
from bot.history.resample import bars_to_longer
from bot.history.settings import Settings
from bot.history.simulate import Simulation, interval_ns_of, simulate
from bot.history.write import simulation_files, write_simulation
from tests.contracts import END_NS, START_NS, th1

BUNDLED = Path(__file__).parents[2] / "backtests" / "history"
HOUR_NS = 3_600 * NS_PER_S
GOLDEN_SHA256 = {
    "TH1BTC-2014Q4-quotes.csv": "bfd78f05599ebe6bb9c7ef59e981681ffd4a970b93c83a58562b7afc80fbb85f",
    "TH1BTC-2014Q4-bars.csv": "011d0bace307f5fe1def52f8387ccf51a3e50b0a2cda977619b85e248b9da7e6",
    "TH1BTC-2014Q4-swap-rates.csv": "3c9c814cc2c193b5dbd817557cfb829befd1889fe7d8ac1dc54c9deffe221e5c",
}


@pytest.fixture(scope="module")
def chain() -> Chain:
    return load_chain()


@pytest.fixture(scope="module")
def whole(chain: Chain) -> Simulation:
    return simulate(th1(), chain, seed=2014)


def short(days: int = 3) -> Contract:
    return th1(end_ns=START_NS + days * NS_PER_DAY)


def test_a_short_simulation_has_a_golden_digest(chain: Chain) -> None:
    files = simulation_files(simulate(short(), chain, seed=7, interval_ns=HOUR_NS))
    digests = {name: hashlib.sha256(text.encode("ascii")).hexdigest() for name, text in files.items()}
    assert digests == GOLDEN_SHA256


def test_two_simulations_are_equal_and_another_seed_is_another_market(chain: Chain) -> None:
    first, again = (simulate(short(), chain, seed=7) for _ in range(2))
    assert simulation_files(first) == simulation_files(again)
    other = simulate(short(), chain, seed=8)
    assert other.quotes != first.quotes and other.rates != first.rates


def test_the_bundled_files_are_what_their_command_makes(chain: Chain) -> None:
    contract = load_contract(BUNDLED.parents[1] / "contracts" / "TH1BTC-2014Q4.yaml")
    for name, text in simulation_files(simulate(contract, chain, seed=2014)).items():
        assert (BUNDLED / name).read_bytes() == text.encode("ascii"), f"{name} is not what seed 2014 gives now"


def test_the_bundled_files_load_as_simulated_with_quotes_at_every_full_hour(whole: Simulation) -> None:
    contract = th1()
    names = [BUNDLED / name for name in simulation_files(whole)]
    history = load(names[0], names[2], contract)
    assert history.simulated and all(source.simulated for source in history.sources)
    assert [quote.time_ns for quote in history.quotes] == list(range(START_NS, END_NS, HOUR_NS))
    assert history.quotes == whole.quotes and history.rates == whole.rates
    bars = load(names[1], None, contract)
    assert bars.bars == whole.bars and len(bars.bars) == 91 * 24
    assert not any(source.gaps or source.duplicates for source in history.sources + bars.sources)


def test_every_file_says_that_it_is_simulated_how_and_from_what(whole: Simulation) -> None:
    for text in simulation_files(whole).values():
        head = [line for line in text.splitlines() if line.startswith("#")]
        assert head[0] == "# simulated: true"
        options = "--contract contracts/TH1BTC-2014Q4.yaml --seed 2014 --interval 1h --out DIR"
        assert f"# command: fairhash history simulate {options}" in head
        assert "# seed: 2014" in head and "# generator: fairhash bot.history.simulate 1" in head
        assert any(re.fullmatch("# chain-sha256: [0-9a-f]{64}", line) for line in head)
        assert "# settings.swap_rate_day: 0.01" in head
    tuned = simulate(short(1), load_chain(), seed=1, settings=Settings(swing_sd=0.0))
    assert "# command: none" in simulation_files(tuned)["TH1BTC-2014Q4-quotes.csv"]


def test_minutes_and_hours_show_one_path(chain: Chain) -> None:
    hours = simulate(short(), chain, seed=5)
    minutes = simulate(short(), chain, seed=5, interval_ns=60 * NS_PER_S)
    assert len(minutes.quotes) == 3 * 24 * 60
    assert minutes.quotes[::60] == hours.quotes
    assert bars_to_longer(minutes.bars, HOUR_NS) == hours.bars
    assert minutes.rates == hours.rates


def test_longer_steps_give_another_path_with_rows_at_the_same_times(chain: Chain) -> None:
    minute, hour = 60 * NS_PER_S, HOUR_NS
    assert simulate(short(), chain, seed=5, step_ns=minute).quotes == simulate(short(), chain, seed=5).quotes
    usual, coarse = simulate(short(), chain, seed=5), simulate(short(), chain, seed=5, step_ns=hour)
    assert [q.time_ns for q in coarse.quotes] == [q.time_ns for q in usual.quotes] and coarse.quotes != usual.quotes
    assert [(r.time_ns, r.asset) for r in coarse.rates] == [(r.time_ns, r.asset) for r in usual.rates]
    assert "in steps of 3600 s" in coarse.comments["command"]


def test_premium_spread_and_rates_have_the_same_law_in_hours_as_in_minutes() -> None:
    """Moments over 40 seeds after ten days: exact laws do not know how long their steps are."""

    def after_ten_days(step_minutes: int) -> list[tuple[float, float]]:
        found = []
        for seed in range(40):
            step_days, settings = step_minutes / 1440, Settings()
            premium, lenders = Premium(settings, seed, step_days), Lenders(settings, short(), seed, step_days)
            for _ in range(10 * 1440 // step_minutes):
                premium.step(lenders.step())
            found.append((premium.log_premium, lenders.swap_rate_ppb_day() / 1e7))
        return found

    for coarse, fine in zip(*(zip(*after_ten_days(step), strict=True) for step in (60, 10)), strict=True):
        error = math.sqrt((stdev(coarse) ** 2 + stdev(fine) ** 2) / 40)
        assert abs(fmean(coarse) - fmean(fine)) < 4 * error
        assert 0.5 < stdev(coarse) / stdev(fine) < 2.0


@pytest.mark.parametrize("step_ns", [0, 1, 7 * 60 * NS_PER_S, 2 * HOUR_NS])
def test_a_step_that_does_not_fit_is_refused(chain: Chain, step_ns: int) -> None:
    with pytest.raises(HistoryError, match="not a whole number of minutes that divides interval and hour"):
        simulate(short(), chain, seed=1, step_ns=step_ns)


def test_later_blocks_never_change_earlier_rows(chain: Chain) -> None:
    contract = short(20)
    cut_ns = START_NS + 8 * NS_PER_DAY
    # As if every block after the cut had come 3 hours later and with other fees: retargets move with them.
    later = [
        block
        if block.time_ns <= cut_ns
        else block._replace(time_ns=block.time_ns + 3 * HOUR_NS, header_time_s=block.header_time_s + 10_800)
        for block in chain.blocks
    ]
    before = simulate(contract, chain, seed=3)
    after = simulate(contract, replace(chain, blocks=later), seed=3)
    assert [row for row in before.quotes if row.time_ns <= cut_ns] == [
        row for row in after.quotes if row.time_ns <= cut_ns
    ]
    assert [row for row in before.bars if row.close_ns <= cut_ns] == [
        row for row in after.bars if row.close_ns <= cut_ns
    ]
    assert before.quotes != after.quotes, "the change is felt later on"
    assert before.rates == after.rates


def test_the_market_looks_as_the_exchange_described_it(whole: Simulation) -> None:
    """Bounds are of the description, wide enough for any seed's luck; the plot was looked at besides."""
    quotes = whole.quotes
    assert 1.85e8 < quotes[0].bid_sat < quotes[0].ask_sat < 2.15e8, "near 2 BTC at launch"
    last = quotes[-1]
    assert last.bid_sat < 100_000, "worthless at expiry"
    assert all(quote.bid_sat % 10_000 == 0 and quote.ask_sat % 10_000 == 0 for quote in quotes)
    dear = [quote for quote in quotes if quote.bid_sat > 20_000_000]
    for quote in dear:
        spread = 2 * (quote.ask_sat - quote.bid_sat) / (quote.ask_sat + quote.bid_sat)
        assert 0.0099 < spread < 0.0312, "1 to 3 %, the tick apart"
    sizes = [quote.bid_size_lots for quote in quotes] + [quote.ask_size_lots for quote in quotes]
    assert min(sizes) >= 1 and max(sizes) <= 1_200 and 200 < sum(sizes) / len(sizes) < 400
    volume = sum(bar.volume_lots for bar in whole.bars) / 91 / 100
    assert 15 < volume < 35, "contracts a day, of 100 that exist"


def test_swap_rates_are_about_one_percent_with_squeezes_and_dry_pools(whole: Simulation) -> None:
    contract = [rate for rate in whole.rates if rate.asset == CONTRACT]
    bitcoin = [rate for rate in whole.rates if rate.asset == BTC]
    assert len(contract) == len(bitcoin) == 91 * 24
    rates = sorted(rate.rate_ppb_day for rate in contract)
    assert 7_000_000 < rates[len(rates) // 2] < 14_000_000, "median near 1 % a day"
    assert 20_000_000 < rates[-1] <= 50_000_000, "a few % in a squeeze, never above the cap"
    dry = sum(rate.available == 0 for rate in contract) / len(contract)
    assert 0.01 < dry < 0.35
    assert max(rate.available for rate in contract) <= 2_500
    mean = sum(rate.rate_ppb_day for rate in bitcoin) / len(bitcoin)
    assert 400_000 < mean < 850_000, "near 0.06 % a day"


def test_no_draw_of_another_part_moves_the_path(chain: Chain) -> None:
    plain = simulate(short(), chain, seed=9)
    busier = simulate(short(), chain, seed=9, settings=Settings(trades_per_day=500.0, btc_log_sd=0.6))
    assert busier.quotes == plain.quotes
    assert busier.bars != plain.bars and busier.rates != plain.rates


def test_it_is_the_same_in_a_process_with_another_hash_seed() -> None:
    code = (
        "from bot.history.draws import Draws, exp; d = Draws(1, 'x');"
        "print([d.normal().hex() for _ in range(3)], d.skewed().hex(), d.count(0.01), exp(0.1).hex())"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(BUNDLED.parents[1])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert answers == {
        "['-0x1.9be17a26e42c0p-2', '-0x1.34ce072fde688p-1', '0x1.c88ce5913d72cp+0'] "
        "0x1.4a9367f60cdd2p-2 5 0x1.1aec7b35a00d3p+0\n"
    }


def test_draws_have_the_moments_they_claim() -> None:
    draws = Draws(11, "moments")
    normals = [draws.normal() for _ in range(50_000)]
    mean = math.fsum(normals) / len(normals)
    variance = math.fsum(each * each for each in normals) / len(normals)
    fourth = math.fsum(each**4 for each in normals) / len(normals)
    assert abs(mean) < 0.02 and abs(variance - 1) < 0.03 and abs(fourth - 2.9) < 0.15
    skewed = [draws.skewed() for _ in range(20_000)]
    assert abs(math.fsum(skewed) / len(skewed) - 0.25) < 0.01 and 0 <= min(skewed) <= max(skewed) < 1
    counts = [draws.count(exp(-2.0)) for _ in range(20_000)]
    assert abs(sum(counts) / len(counts) - 2) < 0.06


@pytest.mark.parametrize("x", [-700.0, -1.5, -1e-9, 0.0, 1e-9, 0.65, 700.0])
def test_exponentials_agree_with_the_c_library_to_an_ulp_or_so(x: float) -> None:
    assert exp(x) == pytest.approx(math.exp(x), rel=4e-16)
    assert log(math.exp(x)) == pytest.approx(math.log(math.exp(x)), rel=4e-16, abs=1e-300)
    assert decay(3.0, 1.5) == pytest.approx(0.25, rel=4e-16)


@pytest.mark.parametrize(
    ("seed", "interval_ns", "what"),
    [
        (-1, HOUR_NS, "seed: -1"),
        (2**63, HOUR_NS, "seed"),
        (1, 90 * NS_PER_S, "90 s"),
        (1, 0, "interval"),
        (1, 2 * NS_PER_DAY, "172800 s"),
        (1, -HOUR_NS, "interval"),
    ],
)
def test_seed_and_interval_have_bounds(chain: Chain, seed: int, interval_ns: int, what: str) -> None:
    with pytest.raises(HistoryError, match=what):
        simulate(short(), chain, seed=seed, interval_ns=interval_ns)


def test_an_interval_is_written_with_its_unit() -> None:
    assert interval_ns_of("1h") == interval_ns_of("60 min") == interval_ns_of("3600s") == HOUR_NS
    for text in ("1", "h", "0h", "-1h", "1.5h", "1 week", "400d"):
        with pytest.raises(HistoryError, match=r"interval: .* is not a span"):
            interval_ns_of(text)


def test_settings_are_bounded_and_all_faults_told_at_once() -> None:
    with pytest.raises(HistoryError) as caught:
        Settings(swing_sd=-1.0, dry_chance=1.5, squeeze_days=math.nan)
    assert [problem.where for problem in caught.value.problems] == [
        "settings.swing_sd",
        "settings.dry_chance",
        "settings.squeeze_days",
    ]
    with pytest.raises(HistoryError, match="not within spread_low"):
        Settings(spread=0.5)


def test_files_are_written_whole_and_a_place_that_cannot_hold_them_is_refused(tmp_path: Path, chain: Chain) -> None:
    simulation = simulate(short(1), chain, seed=1, interval_ns=6 * HOUR_NS)
    paths = write_simulation(simulation, tmp_path / "new" / "place")
    assert sorted(path.name for path in (tmp_path / "new" / "place").iterdir()) == sorted(path.name for path in paths)
    assert [path.read_text(encoding="ascii") for path in paths] == list(simulation_files(simulation).values())
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(OutputError, match="cannot be written"):
        write_simulation(simulation, tmp_path / "file")


def test_an_interval_that_does_not_divide_the_term_leaves_no_half_bar(chain: Chain) -> None:
    simulation = simulate(short(1), chain, seed=1, interval_ns=7 * HOUR_NS)
    assert len(simulation.quotes) == 4 and len(simulation.bars) == 3
    assert simulation.bars[-1].close_ns == START_NS + 21 * HOUR_NS
    assert len(simulation.rates) == 2 * 4, "rates no more often than quotes"
