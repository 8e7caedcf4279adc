"""A configuration over many simulated worlds: chain, market and pool luck of each drawn from a seed of its own.

Every world is made in the process that runs it, from the configuration read once there, and forgotten after it; a task
is a number, a result a row. All strategies see the same worlds, so that they can be compared run by run.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from backtests.montecarlo import Risk, Row, Sampled, risk_of, row_of, sampled_days
from backtests.output import btc_text
from backtests.plan import Plan
from bot.chain.chain import Chain
from bot.chain.difficulty import difficulty_float
from bot.core.accrual import block_income_sat, pool_fee_sat
from bot.core.contract import PRO_RATA, Contract
from bot.core.events import Block
from bot.core.units import NS_PER_DAY, PPM
from bot.errors import ConfigError, HistoryError, Problem, StrategyError
from bot.history.chain_path import simulate_chain
from bot.history.series import BARS, History
from bot.history.simulate import RATES_NS, STEP_NS, simulate
from bot.model.growth import growth_model
from bot.model.knowledge import path_model
from bot.model.path_growth import PathGrowth
from bot.run import Run, able_engine, load_run, run_plan
from bot.studies.many_runs import bounded, chosen, in_processes

MARKET: Final = "market"
DIFFICULTY: Final = "difficulty"
LUCK: Final = "luck"
VARIED: Final = (MARKET, DIFFICULTY, LUCK)
DEFAULT_MODEL: Final = "anchored"
"""Draws difficulty where the configuration's own model forecasts no distribution."""
LEAST_RUNS: Final = 2
MOST_RUNS: Final = 100_000
BAR_STEPS = 12
"""Steps inside a simulated bar, for its high and low."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is run: `varied` are the parts of a world that differ from run to run, `notes` what a reader must know."""

    config: Path
    names: tuple[str, ...]
    runs: int
    seed: int
    varied: tuple[str, ...]
    model: str
    notes: tuple[str, ...]
    engine: str


class World(NamedTuple):
    """A simulated world: its seeds of market, chain and luck (0: as configured), and what happens in it."""

    seeds: tuple[int, int, int]
    contract: Contract
    chain: Chain
    blocks: list[Block]
    history: History


class Result(NamedTuple):
    """What one run leaves: for each strategy a row and its equity day by day; price and difficulty day by day."""

    rows: tuple[Row, ...]
    equity_sat: tuple[array[int], ...]
    price_sat: array[int]
    difficulty: array[float]
    refused: str
    """Why the engine that was wanted did not run one of them and the reference engine did; "" if it ran all."""


def experiment_of(run: Run, config: Path, name: str | None, runs: int, seed: int, varied: Sequence[str]) -> Experiment:
    """Return what to run; raises ConfigError for options that cannot be."""
    bounded("--runs", runs, LEAST_RUNS, MOST_RUNS)
    bounded("--seed", seed, 0, 2**63 - 1)
    names = tuple(plan.strategy.name for plan in chosen(run, name))
    basis, notes, kept = run.settings.contract.payout.basis, [], [part for part in VARIED if part in varied]
    if LUCK in kept and basis != PRO_RATA:
        kept.remove(LUCK)
        notes.append(f"no pool luck: payout by {basis} has none")
    if not kept:
        what = f"leaves nothing to vary: payout by {basis} has no luck"
        raise ConfigError([Problem("--vary", what, f"vary {MARKET} or {DIFFICULTY}")])
    if MARKET not in kept and DIFFICULTY in kept:
        notes.append("one market seed throughout; prices follow the difficulty of each run")
    if DIFFICULTY not in kept:
        notes.append("blocks and difficulty as they were")
    model = run.settings.config.value.growth
    drawn = model if path_model(growth_model(model)) else DEFAULT_MODEL
    return Experiment(config, names, runs, seed, tuple(kept), drawn, tuple(notes), run.engine)


def carry_out(experiment: Experiment, workers: int, progress: Callable[[str], None]) -> list[Result]:
    """Return the result of every run in order; the number of workers changes nothing but the time it takes."""
    progress(f"{experiment.runs} simulated worlds, {len(experiment.names)} strategies, {workers} processes")
    results: list[Result] = []
    tasks = range(experiment.runs)
    for result in in_processes(_run, tasks, workers, start=_prepare, start_with=(experiment,)):
        results.append(result)
        if len(results) * 10 // experiment.runs > (len(results) - 1) * 10 // experiment.runs:  # rounded down: tenths
            progress(f"{len(results)} of {experiment.runs} runs done")
    if refused := [result.refused for result in results if result.refused]:
        progress(f"{len(refused)} of {len(results)} worlds were not for the {experiment.engine} engine: {refused[0]}")
    return results


def risks(results: Sequence[Result], names: Sequence[str], seed: int) -> list[Risk]:
    """Return the risk of each strategy over the results of an experiment."""
    found = []
    for at in range(len(names)):
        rows = [result.rows[at] for result in results]
        found.append(risk_of([row.profit_sat for row in rows], [row.liquidations > 0 for row in rows], seed))
    return found


_AT_WORK: list[tuple[Experiment, Run]] = []
"""The experiment of this process and its configuration, read once."""


def _prepare(experiment: Experiment) -> None:
    _AT_WORK[:] = [(experiment, load_run(experiment.config, experiment.engine))]


def _run(number: int) -> Result:
    ((experiment, run),) = _AT_WORK
    try:
        return run_in(world_of(experiment, run, number), experiment, run, number)
    except StrategyError as error:
        raise StrategyError(f"run {number}: {error}") from error


def seed_of(experiment: Experiment, part: str, number: int) -> int:
    """Return the seed of one part of one world: 63 bits of a hash over the experiment's seed, part and number.

    A part that is not varied has the seed of world 0 throughout.
    """
    own = number if part in experiment.varied else 0
    digest = hashlib.sha256(f"{experiment.seed}/{part}/{own}".encode("ascii")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def world_of(experiment: Experiment, run: Run, number: int) -> World:
    """Return world `number` of the experiment: the same whoever asks, whenever."""
    contract, chain, history = run.settings.contract, run.chain, run.history
    start_ns, end_ns = run.settings.start_ns, run.settings.end_ns
    market_seed = difficulty_seed = luck_seed = 0
    if LUCK in experiment.varied:
        luck_seed = seed_of(experiment, LUCK, number)
        contract = replace(contract, payout=replace(contract.payout, luck_seed=luck_seed))
    if DIFFICULTY in experiment.varied:
        difficulty_seed = seed_of(experiment, DIFFICULTY, number)
        chain = simulate_chain(chain, start_ns, contract.end_ns, _model(experiment), difficulty_seed)
    if DIFFICULTY in experiment.varied or MARKET in experiment.varied:
        market_seed = seed_of(experiment, MARKET, number)
        history = _market(run, contract, chain, market_seed)
    blocks = chain.blocks_between(start_ns, end_ns)
    return World((market_seed, difficulty_seed, luck_seed), contract, chain, blocks, history)


def _model(experiment: Experiment) -> PathGrowth:
    model = path_model(growth_model(experiment.model))
    assert model is not None
    return model


def _market(run: Run, contract: Contract, chain: Chain, seed: int) -> History:
    """Return a simulated history of the configured kind and spacing, without swap rates where there are none."""
    interval_ns = run.history.sources[0].interval_ns
    if interval_ns % STEP_NS or not STEP_NS <= interval_ns <= NS_PER_DAY:
        interval_ns = RATES_NS
    made = simulate(contract, chain, seed=seed, interval_ns=interval_ns, step_ns=_step_ns(run, interval_ns))
    bars, quotes = (made.bars, []) if run.history.kind == BARS else ([], made.quotes)
    highest_sat = max([bar.high_sat for bar in bars] or [quote.ask_sat for quote in quotes])
    if highest_sat > run.settings.max_price_sat:
        what = f"{btc_text(highest_sat)} BTC is above max_price, {btc_text(run.settings.max_price_sat)} BTC"
        raise HistoryError([Problem(f"simulated market, seed {seed}", what, "raise trading.max_price in the contract")])
    return History(bars, quotes, made.rates if run.history.rates else [], simulated=True, sources=())


def _step_ns(run: Run, interval_ns: int) -> int:
    """Return the longest steps that the rows can be made in: a quote is one instant, a bar has a high and a low."""
    longest_ns = interval_ns // BAR_STEPS if run.history.kind == BARS else interval_ns  # rounded down
    fitting = (step for step in range(STEP_NS, min(longest_ns, RATES_NS) + 1, STEP_NS))
    return max((s for s in fitting if interval_ns % s == 0 and max(RATES_NS, interval_ns) % s == 0), default=STEP_NS)


def run_in(world: World, experiment: Experiment, run: Run, number: int) -> Result:
    """Return what the experiment's strategies make of a world."""
    payout_sat = sum(_paid_sat(world.contract, block) for block in world.blocks)
    paid_sat = payout_sat * world.contract.lots_per_contract // world.contract.tranche_lots  # rounded down
    first, last = world.blocks[0].target, world.blocks[-1].target
    rows: list[Row] = []
    sampled: list[Sampled] = []
    refused = ""
    for plan in run.plans:
        if plan.strategy.name in experiment.names:
            own = plan_in(world, plan)
            engine, why = able_engine(own, run.engine)
            refused = refused or why
            result = run_plan(own, engine)
            rows.append(row_of(result, number, world.seeds, paid_sat, first * PPM // last))  # rounded down
            sampled.append(sampled_days(result))
    difficulty = _daily_difficulty(world, run.settings.start_ns, run.settings.end_ns)
    return Result(tuple(rows), tuple(one.equity_sat for one in sampled), sampled[0].price_sat, difficulty, refused)


def plan_in(world: World, plan: Plan) -> Plan:
    """Return the plan of one strategy in a world."""
    start_ns = plan.settings.start_ns
    return replace(
        plan,
        settings=replace(plan.settings, contract=world.contract),
        past_epochs=[(epoch.start_s, epoch.bits) for epoch in world.chain.epochs_known_at(start_ns)],
        blocks=world.blocks,
        history=world.history,
    )


def _paid_sat(contract: Contract, block: Block) -> int:
    income_sat = block_income_sat(contract, block)
    return income_sat - pool_fee_sat(income_sat, contract.payout.fee_ppm)


def _daily_difficulty(world: World, start_ns: int, end_ns: int) -> array[float]:
    values, at, target = array("d"), 0, world.blocks[0].target
    for day_ns in range(start_ns, end_ns + 1, NS_PER_DAY):
        while at < len(world.blocks) and world.blocks[at].time_ns <= day_ns:
            target = world.blocks[at].target
            at += 1
        values.append(difficulty_float(target))
    return values
