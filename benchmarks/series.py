"""The seeded series that the benchmarks run on: a contract, its blocks, its bars and swap rates. Not 2014's market.

130,000 minute bars and some 13,000 blocks span one term of the contract. The price swings around the model's value,
so that a fair-value strategy trades both ways many times. `random.Random` is the same on every machine and version of
Python.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from backtests.plan import Plan
from bot.chain.difficulty import BLOCKS_PER_EPOCH, bits_from_target, target_from_bits
from bot.chain.network import MAINNET
from bot.core.contract import MARK, PPS, CollateralStep, Contract, Lending, MarginStep, Payout
from bot.core.events import BTC, CONTRACT, Bar, Block, SwapRate
from bot.core.state import MarketRules
from bot.core.units import NS_PER_DAY, NS_PER_S, PPM, SAT_PER_BTC
from bot.history.series import History
from bot.model.fair_value import FairValue
from bot.model.growth import Trailing
from bot.session import SessionSettings, Strategy
from bot.trader import RiskLimits

MINUTE_NS = 60 * NS_PER_S
HOUR_NS = 60 * MINUTE_NS
MINUTE_BARS = 130_000
HOURLY_BARS = 2_160
SEED = 2014
START_NS = 1_410_739_200 * NS_PER_S  # 2014-09-15T00:00:00Z
END_NS = START_NS + 91 * NS_PER_DAY
TICK_SAT = 10_000
LOTS_PER_CONTRACT = 100
PAST_EPOCHS = 140
FIRST_HEIGHT = PAST_EPOCHS * BLOCKS_PER_EPOCH
SUBSIDY_SAT = 25 * SAT_PER_BTC
GROWTH_PER_EPOCH = 1.06
EPOCH_S = BLOCKS_PER_EPOCH * 600
DEPOSIT_SAT = 10 * SAT_PER_BTC


def contract() -> Contract:
    """Return a contract of 1 TH/s over 91 days, like TH1BTC."""
    day = NS_PER_DAY
    steps = (MarginStep(START_NS, 250_000, 125_000), MarginStep(START_NS + 35 * day, 400_000, 200_000))
    return Contract(
        id="BENCHMARK",
        symbol="THBTC",
        asset="TH",
        kind="dividend_term",
        hash_rate_hs=10**12,
        lots_per_contract=LOTS_PER_CONTRACT,
        tick_sat=TICK_SAT,
        tranche_lots=3_500 * LOTS_PER_CONTRACT,
        start_ns=START_NS,
        end_ns=END_NS,
        payout=Payout(PPS, 30_000, exact_hashes=False, pool_hs=3_500 * 10**12, luck_seed=0),
        margin=steps,
        collateral=(CollateralStep(START_NS, contract_counts=False),),
        margin_call_ppm=1_500_000,
        lending=Lending(2, 30, 150_000, 20_000_000, MARK),
        maker_fee_ppm=1_000,
        taker_fee_ppm=2_000,
    )


def past_epochs() -> list[tuple[int, int]]:
    """Return (start in seconds, bits) of the epochs before the first block of the series, from genesis on."""
    first_s = START_NS // NS_PER_S - PAST_EPOCHS * EPOCH_S
    starts = [MAINNET.genesis_time_s, *(first_s + i * EPOCH_S for i in range(1, PAST_EPOCHS))]
    return [(start_s, bits_from_target(_target(i - PAST_EPOCHS))) for i, start_s in enumerate(starts)]


def _target(epoch: int) -> int:
    base = target_from_bits(0x182E1C58)
    target = int(base / GROWTH_PER_EPOCH**epoch)
    return target_from_bits(bits_from_target(target))


def blocks() -> list[Block]:
    """Return the blocks of the term: one every ten minutes on average, an epoch beginning with the first."""
    draw = random.Random(SEED)
    found: list[Block] = []
    time_s, height = START_NS // NS_PER_S, FIRST_HEIGHT
    while True:
        interval_s = max(1, round(draw.expovariate(1 / 600)))
        time_s += interval_s
        if time_s * NS_PER_S > END_NS:
            return found
        target = _target((height - FIRST_HEIGHT) // BLOCKS_PER_EPOCH)
        bits = bits_from_target(target)
        fees_sat = draw.randrange(SAT_PER_BTC // 5)
        found.append(Block(time_s * NS_PER_S, height, time_s, interval_s, bits, target, SUBSIDY_SAT, fees_sat))
        height += 1


def fair_values(times_ns: Sequence[int], chain: Sequence[Block]) -> Iterator[float]:
    """Yield the model's value in satoshi per contract at each time, from the blocks before it only."""
    value = FairValue(contract(), past_epochs(), Trailing(6))
    at = 0
    for time_ns in times_ns:
        while at < len(chain) and chain[at].time_ns <= time_ns:
            value.on_block(chain[at])
            at += 1
        yield value.value_sat(time_ns)


def bars(count: int, interval_ns: int, chain: Sequence[Block]) -> list[Bar]:
    """Return `count` bars whose price swings around the model's value by some 30 %."""
    draw = random.Random(SEED + 1)
    times = [START_NS + i * interval_ns for i in range(count + 1)]
    noise, prices = 0.0, []
    for time_ns, fair in zip(times, fair_values(times, chain), strict=True):
        noise = 0.99 * noise + draw.gauss(0.0, 0.003)
        premium = 0.3 * math.sin((time_ns - START_NS) / (10 * NS_PER_DAY) * math.tau) + noise
        prices.append(max(_on_tick(fair * math.exp(premium)), TICK_SAT))
    rows = []
    for i in range(count):
        opened, closed = prices[i], prices[i + 1]
        high = max(opened, closed) + TICK_SAT * draw.randrange(3)
        low = max(min(opened, closed) - TICK_SAT * draw.randrange(3), TICK_SAT)
        rows.append(Bar(times[i], times[i + 1], opened, high, low, closed, draw.randrange(50, 3_000)))
    return rows


def _on_tick(price_sat: float) -> int:
    return round(price_sat / TICK_SAT) * TICK_SAT


def swap_rates() -> list[SwapRate]:
    """Return hourly rates: about 0.1 % a day for contracts and 0.06 % for bitcoin, with plenty of both."""
    draw = random.Random(SEED + 2)
    rows: list[SwapRate] = []
    for time_ns in range(START_NS, END_NS, HOUR_NS):
        rows.append(SwapRate(time_ns, BTC, draw.randrange(500_000, 700_000), 10_000 * SAT_PER_BTC))
        rows.append(SwapRate(time_ns, CONTRACT, draw.randrange(800_000, 1_200_000), 2_000 * LOTS_PER_CONTRACT))
    return rows


def settings() -> SessionSettings:
    """Return the settings of a benchmark session: nothing is observed, nothing is checked."""
    limits = RiskLimits(
        max_position_lots=5_000, max_order_lots=5_000, max_drawdown_ppm=PPM, stale_after_ns=NS_PER_DAY, latency_ns=0
    )
    return SessionSettings(contract(), MarketRules(), limits, START_NS, DEPOSIT_SAT)


def fair_value_band() -> Strategy:
    """Return the strategy that every engine of the benchmarks runs."""
    from strategies.fair_value_band import Params, decide

    return Strategy("fair_value_band", decide, Params())


def plan(count: int = MINUTE_BARS, interval_ns: int = MINUTE_NS) -> Plan:
    """Return the plan of `count` bars."""
    chain = blocks()
    history = History(bars(count, interval_ns, chain), [], swap_rates(), True, ())
    return Plan(settings(), fair_value_band(), Trailing(6), past_epochs(), chain, history, END_NS)
