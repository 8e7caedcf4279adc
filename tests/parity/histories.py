"""Random runs for engines to agree on: short, seeded, and full of what goes wrong.

Gaps, spikes, empty books and bars, dry pools and squeezes, blocks and rates at the instants of bars and of each other,
terms that step, expiry inside the history, latency, limits, financed longs, lent contracts, retargets; and calm
stretches, in which an engine may leap.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

import strategies
from backtests.plan import Plan
from bot.chain.difficulty import BLOCKS_PER_EPOCH, bits_from_target, target_from_bits
from bot.chain.network import MAINNET
from bot.core.contract import ENTRY_NOTIONAL, FPPS, MARK, PPS, PRO_RATA, CollateralStep, Contract, Lending, MarginStep
from bot.core.contract import Payout as PayoutRule
from bot.core.events import BTC, CONTRACT, Bar, Block, Quote, SwapRate
from bot.core.state import MarketRules
from bot.core.units import NS_PER_DAY, NS_PER_S, PPM, SAT_PER_BTC
from bot.history.series import History
from bot.model.fair_value import FairValue
from bot.model.growth import Flat, Trailing
from bot.session import SessionSettings, Strategy
from bot.trader import RiskLimits
from strategies.view import NEVER, Target, View, Wake
from tests.parity.moods import Nerves, Whim, skittish
from tests.parity.moods import decide as whimsical

START_NS = 1_410_739_200 * NS_PER_S
HOUR_NS = 3_600 * NS_PER_S
EPOCHS = 130
FIRST_HEIGHT = EPOCHS * BLOCKS_PER_EPOCH


@dataclass(frozen=True)
class Mind:
    """Parameters of `moody`: what it wants is drawn from its seed and the time, and from nothing else."""

    seed: int
    patience_ns: int
    lots: int


def moody(view: View, params: Mind) -> Target:
    """Return a target that changes at random, by market or limit order, owned, financed, lent out or short.

    By market order it sleeps until its next mood; a dear swap rate, which always wakes, drives it out of the market.
    """
    mood = view.time_ns // params.patience_ns
    draw = random.Random(f"{params.seed}:{mood}")
    lots = draw.choice((0, 1, -1)) * draw.randrange(1, params.lots)
    lent = draw.randrange(lots + 1) if lots > 0 and draw.random() < 0.5 else 0
    target = Target(lots, 0, draw.random() < 0.5, lent, draw.choice((0, 0, 9_000_000)))
    if draw.random() < 0.4:
        tick = view.contract.tick_sat
        wanted = view.price_sat * draw.randrange(980_000, 1_020_000) // PPM
        seen = min(max(lots, -view.bid_size_lots), view.ask_size_lots)
        return target._replace(position_lots=seen, lend_lots=0, limit_price_sat=max(wanted // tick * tick, tick))
    if view.swap_rate_ppb_day() > 11_000_000:
        target = Target(0)
    return target._replace(wake=Wake(-math.inf, math.inf, (mood + 1) * params.patience_ns))


def random_plan(seed: int, kind: str, use: str, debug: bool) -> Plan:
    """Return the plan of `seed`: `kind` is bars or quotes, `use` a bundled strategy or moody."""
    draw = random.Random(f"{seed}:{kind}:{use}")
    contract = _contract(draw)
    interval_ns = draw.choice((HOUR_NS // 4, HOUR_NS, 4 * HOUR_NS))
    count = draw.randrange(1, 120)
    launch_sat = _launch_sat(draw, contract)
    times = _times(draw, count, interval_ns)
    bars = _bars(draw, times, launch_sat, interval_ns, contract.tick_sat) if kind == "bars" else []
    quotes = _quotes(draw, times, launch_sat, contract.tick_sat) if kind == "quotes" else []
    last_ns = bars[-1].close_ns if bars else times[-1]
    end_ns = draw.choice((last_ns, last_ns + 1, contract.end_ns, contract.end_ns + NS_PER_DAY, last_ns - interval_ns))
    end_ns = max(end_ns, START_NS + 1)
    chain = _blocks(draw, times, end_ns)
    history = History(bars, quotes, _rates(draw, times, end_ns), True, ())
    growth = draw.choice((Flat(), Trailing(3)))
    return Plan(
        _settings(draw, contract, launch_sat, debug),
        _strategy(draw, use),
        growth,
        _past_epochs(),
        chain,
        history,
        end_ns,
        _past_fees(draw),
    )


def _past_fees(draw: random.Random) -> list[tuple[int, float]]:
    """Return what blocks paid in fees on some days before the run."""
    first = START_NS // NS_PER_DAY - draw.choice((0, 3, 60))
    return [(day, draw.uniform(1e6, 3e7)) for day in range(first, START_NS // NS_PER_DAY)]


def _contract(draw: random.Random) -> Contract:
    step_ns = START_NS + draw.randrange(1, 72) * HOUR_NS
    steps = (MarginStep(START_NS, 250_000, 125_000), MarginStep(step_ns, 600_000, draw.choice((300_000, 550_000))))
    owned = CollateralStep(START_NS, draw.random() < 0.5)
    return Contract(
        id="RANDOM",
        symbol="RANDOM",
        asset="TH",
        kind="dividend_term",
        hash_rate_hs=10**12,
        lots_per_contract=draw.choice((1, 7, 100)),
        tick_sat=draw.choice((1, 10_000)),
        tranche_lots=draw.choice((300, 10_000)),
        start_ns=START_NS,
        end_ns=START_NS + draw.randrange(12, 240) * HOUR_NS + draw.choice((0, 1)),
        payout=PayoutRule(draw.choice((PPS, FPPS, PRO_RATA)), 30_000, draw.random() < 0.5, 3_500 * 10**12, 1),
        margin=steps,
        collateral=(owned, CollateralStep(step_ns + draw.choice((0, HOUR_NS)), not owned.contract_counts)),
        margin_call_ppm=1_500_000,
        lending=Lending(2, 30, 150_000, 20_000_000, draw.choice((MARK, ENTRY_NOTIONAL))),
        maker_fee_ppm=draw.choice((0, 1_000)),
        taker_fee_ppm=draw.choice((0, 2_000)),
    )


def _launch_sat(draw: random.Random, contract: Contract) -> int:
    """Return a first price: from far below to far above what the contract is worth."""
    fair_sat = FairValue(contract, _past_epochs(), Flat()).value_sat(START_NS)
    return max(int(fair_sat * draw.choice((0.6, 0.9, 1.0, 1.2, 2.0))) // contract.tick_sat, 1) * contract.tick_sat


def _times(draw: random.Random, count: int, interval_ns: int) -> list[int]:
    """Return the times of market events: on a grid, with gaps of hours and of days."""
    times, now = [], START_NS + draw.choice((0, 0, interval_ns, NS_PER_S))
    for _ in range(count):
        times.append(now)
        now += interval_ns
        if draw.random() < 0.06:
            now += draw.choice((3 * HOUR_NS, 30 * HOUR_NS, 3 * NS_PER_DAY))
    return times


def _walk(draw: random.Random, price_sat: int, tick: int) -> int:
    move = draw.gauss(0.0, 0.02)
    if draw.random() < 0.03:
        move += draw.choice((-0.4, -0.15, 0.15, 0.5))
    return max(int(price_sat * (1.0 + move)) // tick * tick, tick)


def _bars(draw: random.Random, times: list[int], price: int, interval_ns: int, tick: int) -> list[Bar]:
    rows = []
    for time_ns in times:
        opened = _walk(draw, price, tick)
        price = _walk(draw, opened, tick)
        high = max(opened, price) + tick * draw.randrange(3)
        low = max(min(opened, price) - tick * draw.randrange(3), tick)
        volume = draw.choice((0, 3, 400, 4_000))
        rows.append(Bar(time_ns, time_ns + interval_ns, opened, high, low, price, volume))
    return rows


def _quotes(draw: random.Random, times: list[int], price: int, tick: int) -> list[Quote]:
    rows = []
    for time_ns in times:
        price = _walk(draw, price, tick)
        ask = price + tick * draw.randrange(1, 200)
        rows.append(Quote(time_ns, price, draw.choice((0, 1, 60, 900)), ask, draw.choice((0, 1, 60, 900))))
    return rows


def _past_epochs() -> list[tuple[int, int]]:
    first_s = START_NS // NS_PER_S - EPOCHS * 1_209_600
    starts = [MAINNET.genesis_time_s, *(first_s + i * 1_209_600 for i in range(1, EPOCHS))]
    return [(start_s, bits_from_target(_target(i - EPOCHS))) for i, start_s in enumerate(starts)]


def _target(epoch: int) -> int:
    return target_from_bits(bits_from_target(int(target_from_bits(0x182E1C58) / 1.05**epoch)))


def _instants(draw: random.Random, times: list[int], end_ns: int, count: int) -> list[int]:
    """Return sorted times up to the end, many of them exactly those of market events, midnights or each other."""
    marks = [*times, *(START_NS + day * NS_PER_DAY for day in range(4)), end_ns]
    found = []
    for _ in range(count):
        if draw.random() < 0.4:
            found.append(draw.choice(marks))
        else:
            found.append(START_NS + draw.randrange(max(times[-1] - START_NS, 1) + HOUR_NS) // NS_PER_S * NS_PER_S)
    return sorted(found + found[: count // 5])


def _blocks(draw: random.Random, times: list[int], end_ns: int) -> list[Block]:
    rows: list[Block] = []
    height = FIRST_HEIGHT - draw.choice((1, 12, 100))  # the next epoch begins within the run, or just after
    before_s = START_NS // NS_PER_S
    for time_ns in _instants(draw, times, end_ns, draw.choice((0, 6, 60))):
        if time_ns <= START_NS:
            continue  # what came before belongs to the epochs that are known
        target = _target(height // BLOCKS_PER_EPOCH - EPOCHS)
        time_s = time_ns // NS_PER_S
        interval_s, before_s = max(time_s - before_s, 0), max(time_s, before_s)
        bits = bits_from_target(target)
        rows.append(Block(time_ns, height, time_s, interval_s, bits, target, 25 * SAT_PER_BTC, draw.randrange(10**7)))
        height += 1
    return rows


def _rates(draw: random.Random, times: list[int], end_ns: int) -> list[SwapRate]:
    rows = [SwapRate(START_NS, BTC, 600_000, 1_000 * SAT_PER_BTC), SwapRate(START_NS, CONTRACT, 10_000_000, 5_000)]
    for time_ns in _instants(draw, times, end_ns, draw.choice((0, 0, 3, 25))):
        if draw.random() < 0.3:
            rows.append(SwapRate(time_ns, BTC, draw.randrange(1_000_000), draw.choice((0, 10**7, 10**11))))
        else:
            rate = draw.choice((0, 8_000_000, 12_000_000, 30_000_000))  # the last is a squeeze: above the venue's limit
            rows.append(SwapRate(time_ns, CONTRACT, rate, draw.choice((0, 50, 4_000))))
    return rows


def _settings(draw: random.Random, contract: Contract, launch_sat: int, debug: bool) -> SessionSettings:
    rules = MarketRules(
        participation_ppm=draw.choice((100_000, PPM)),
        half_spread_ppm=draw.choice((0, 5_000)),
        depth_levels=draw.choice((0, 5)),
        touch_fills=draw.random() < 0.5,
        loan_term_days=2,
        demand=draw.choice(((0, 0), (0, 200))),
    )
    limits = RiskLimits(
        max_position_lots=draw.choice((150, 100_000)),
        max_order_lots=draw.choice((40, 100_000)),
        max_drawdown_ppm=draw.choice((PPM, 300_000, 20_000)),
        stale_after_ns=draw.choice((2, 5)) * HOUR_NS,
        latency_ns=draw.choice((0, 0, 1, HOUR_NS)),
    )
    more = random.Random(f"{launch_sat}:{contract.end_ns}")  # of its own: the draws that follow stay what they were
    limits = replace(
        limits,
        max_block_age_ns=more.choice((NEVER, 5 * HOUR_NS, HOUR_NS)),
        max_orders_hour=more.choice((NEVER, 3, 1)),
        collar_ppm=more.choice((NEVER, 50_000, 5_000)),
        max_borrow_ppm=more.choice((NEVER, PPM, 100_000)),
    )
    deposit = launch_sat * draw.choice((1, 4, 40))  # small ones are soon at the limit of their margin
    return SessionSettings(contract, rules, limits, START_NS, deposit, observe=draw.random() < 0.3, debug=debug)


def _strategy(draw: random.Random, use: str) -> Strategy:
    if use == "moody":
        mind = Mind(draw.randrange(10**9), draw.choice((1, 5, 20)) * HOUR_NS, draw.choice((3, 100, 400)))
        return Strategy("moody", moody, mind)
    if use == "whimsical":
        whim = Whim(draw.randrange(10**9), draw.choice((1, 5, 20)) * HOUR_NS, draw.choice((3, 100, 400)), True)
        return Strategy("whimsical", whimsical, replace(whim, sleeps=draw.random() < 0.7))
    if use == "skittish":
        return Strategy("skittish", skittish, _nerves(draw))
    found: Any = strategies.load(use)
    return Strategy(use, found.decide, found.params_type(), found.band)


def _nerves(draw: random.Random) -> Nerves:
    rooms = draw.choice((0.01, 0.1, math.inf)), draw.choice((0.003, 0.03, 0.3))
    return Nerves(
        draw.randrange(10**9), draw.choice((3, 100, 400)), *rooms, draw.choice((3, 500)) * HOUR_NS, draw.random() < 0.5
    )


def without_wake(plan: Plan) -> Plan:
    """Return the plan with a strategy that never sleeps and answers the same otherwise."""
    inner = plan.strategy

    def decide(view: View, params: Any) -> Target:
        return inner.decide(view, params)._replace(wake=None)

    return replace(plan, strategy=replace(inner, decide=decide))


@dataclass(frozen=True)
class Stubborn:
    """Parameters of `stubborn`: what it holds, and whether it sleeps on it."""

    lots: int
    sleeps: bool


def stubborn(view: View, params: Stubborn) -> Target:
    """Return the same financed position for ever."""
    return Target(params.lots, financed=True, wake=Wake(-math.inf, math.inf) if params.sleeps else None)


def squeezed_plan(seed: int) -> Plan:
    """Return a plan of calm minute bars that drift against a position as large as margin allows.

    Margin call, liquidation and steps of terms come in the middle of stretches in which an engine may leap.
    """
    draw = random.Random(f"{seed}:squeezed")
    terms = _contract(draw)
    step_ns = START_NS + draw.randrange(30, 300) * 60 * NS_PER_S
    steps = (MarginStep(START_NS, 250_000, 125_000), MarginStep(step_ns, 300_000, draw.randrange(130_000, 240_000)))
    terms = replace(terms, margin=steps, end_ns=START_NS + 10 * NS_PER_DAY, tick_sat=100, tranche_lots=100_000)
    price_sat = 10_000_000
    lots = 10 * terms.lots_per_contract * draw.choice((-1, -1, 1))
    rows = []
    for minute in range(400):
        opened = price_sat
        drift = draw.choice((0.0002, 0.0005)) * (1 if lots < 0 else -1)
        price_sat = int(price_sat * (1 + drift + draw.gauss(0.0, 0.001))) // 100 * 100
        time_ns = START_NS + minute * 60 * NS_PER_S
        high, low = max(opened, price_sat), min(opened, price_sat)
        rows.append(Bar(time_ns, time_ns + 60 * NS_PER_S, opened, high, low, price_sat, 10**6))
    times = [bar.close_ns for bar in rows]
    plenty = [SwapRate(START_NS, BTC, 600_000, 10**12), SwapRate(START_NS, CONTRACT, 10_000_000, 100_000)]
    session = replace(
        _settings(draw, terms, price_sat, debug=False),
        limits=RiskLimits(100_000, 100_000, PPM, NS_PER_DAY),
        deposit_sat=int(10 * 10_000_000 * draw.choice((0.27, 0.3, 0.4))),
        observe=False,
    )
    strategy = Strategy("stubborn", stubborn, Stubborn(lots, draw.random() < 0.5))
    chain = _blocks(draw, times, times[-1])
    history = History(rows, [], plenty, True, ())
    return Plan(session, strategy, Flat(), _past_epochs(), chain, history, times[-1])


def calm_plan(seed: int, use: str) -> Plan:
    """Return a plan of thousands of minute bars or quotes, with a jump now and then: most of them can be passed by.

    There are pauses of an hour; margins, the drawdown's limit and the pool of loans may all give way.
    """
    draw = random.Random(f"{seed}:calm")
    terms = replace(_contract(draw), end_ns=START_NS + 10 * NS_PER_DAY, tick_sat=100)
    price_sat = first_sat = _launch_sat(draw, terms)
    bars, time_ns = [], START_NS
    for _ in range(draw.choice((300, 5_000))):
        opened, jump = price_sat, draw.gauss(0.0, 0.08) if draw.random() < 0.003 else 0.0
        price_sat = max(int(price_sat * math.exp(draw.gauss(0.0, 0.0007) + jump)) // 100 * 100, 100)
        high, low = max(opened, price_sat), min(opened, price_sat)
        bars.append(Bar(time_ns, time_ns + 60 * NS_PER_S, opened, high, low, price_sat, draw.choice((40, 10**6))))
        time_ns += 60 * NS_PER_S + (HOUR_NS if draw.random() < 0.001 else 0)
    times = [bar.close_ns for bar in bars]
    quotes = []
    if draw.random() < 0.3:
        quotes = [Quote(bar.close_ns, bar.close_sat, 500, bar.close_sat + 100, 500) for bar in bars]
    session = replace(_settings(draw, terms, first_sat, debug=False), observe=False)
    limits = replace(session.limits, stale_after_ns=draw.choice((1, 5)) * HOUR_NS // 2, max_orders_hour=NEVER)
    chain = _blocks(draw, times, times[-1])
    history = History([] if quotes else bars, quotes, _rates(draw, times, times[-1]), True, ())
    strategy = _strategy(draw, use)
    growth = draw.choice((Flat(), Trailing(3)))
    return Plan(replace(session, limits=limits), strategy, growth, _past_epochs(), chain, history, times[-1])
