"""A configured run, ready for the engines: settings, contract, chain, history and one plan for each strategy."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import strategies
from backtests.plan import Plan
from bot import __version__
from bot.chain.chain import Chain
from bot.chain.chain import load as load_chain
from bot.chain.network import MAINNET, NETWORKS
from bot.config import Settings, draft_settings
from bot.config_settings import AUTO, COMPILED, REFERENCE
from bot.core.contract import FPPS, PRO_RATA, Contract
from bot.core.events import Block
from bot.core.state import MarketRules
from bot.errors import (
    ChainError,
    ConfigError,
    HistoryError,
    InputError,
    Problem,
    StrategyError,
    UnsupportedError,
    cause,
)
from bot.feed_settings import BARS, HISTORY
from bot.history.fields import iso_utc
from bot.history.load import load as load_history
from bot.history.series import NO_HISTORY, History
from bot.model.domain import ModelError
from bot.model.fees import MeanFee, days_before
from bot.model.growth import PATH_NAMES, growth_model
from bot.session import SessionSettings, Strategy
from bot.trader import RiskLimits

_MARKET = "history.market"

Ran = TypeVar("Ran")


@dataclass(frozen=True, slots=True)
class Run:
    """All that a run needs, read and checked."""

    settings: Settings
    chain: Chain
    history: History
    engine: str
    plans: tuple[Plan, ...]
    documents: dict[str, bytes]
    """The configuration and the contract as they were when the run was made ready."""
    notes: tuple[str, ...] = ()
    """What a reader of its results must know: how much of the run its history leaves out."""

    @property
    def simulated(self) -> bool:
        """Whether any of its prices or rates are simulated."""
        return self.history.simulated

    def reproduce(self, config_path: Path) -> dict[str, str]:
        """Return what makes this run again: command, version, engine and the SHA-256 of every input."""
        sources = {f"{source.kind} sha256": source.sha256 for source in self.history.sources}
        sources |= {f"chain {source.name} sha256": source.sha256 for source in self.chain.sources}
        luck = {}
        if self.settings.contract.payout.basis == PRO_RATA:
            seed = self.settings.contract.payout.luck_seed
            luck = {"pool luck": f"drawn with seed {seed}: which blocks the pool found is not known"}
        return {
            "command": f"fairhash backtest {config_path.name} --engine {self.engine}",
            "fairhash": __version__,
            "engine": self.engine,
            "config sha256": sha256(self.documents["config.yaml"]),
            "contract sha256": sha256(self.documents["contract.yaml"]),
            **sources,
            **luck,
            **{f"strategy {plan.strategy.name} sha256": code_sha256(plan.strategy.decide) for plan in self.plans},
            **{f"note {number}": note for number, note in enumerate(self.notes, 1)},
        }


def sha256(content: bytes) -> str:
    """Return the SHA-256 of `content` as hexadecimal text."""
    return hashlib.sha256(content).hexdigest()


def code_sha256(decide: Any) -> str:
    """Return the SHA-256 of the file that a strategy's function was read from, or why there is none."""
    module = sys.modules.get(getattr(decide, "__module__", ""))
    path = Path(getattr(module, "__file__", None) or "")
    return sha256(path.read_bytes()) if path.is_file() else "not known: its code is in no file"


def run_id(contract_id: str, reproduce: dict[str, str]) -> str:
    """Return a name that the same inputs always give: contract and the first 12 digits of a hash over all of them."""
    digest = hashlib.sha256(json.dumps(reproduce, sort_keys=True).encode()).hexdigest()
    return f"{contract_id}-{digest[:12]}"


def params_type(use: str) -> type[Any]:
    """Return the parameter class of the strategy that `use` names."""
    return strategies.load(use).params_type


def load_run(
    path: Path,
    engine: str | None = None,
    debug: bool = False,
    observe: bool = False,
    live_epochs: Sequence[tuple[int, int]] | None = None,
) -> Run:
    """Return the run that the configuration at `path` describes; `engine` and `debug` override it.

    `live_epochs`, (start in seconds, bits) of every difficulty epoch known now, make it the run of live sources: it has
    neither history nor blocks, which will come. Without them a configuration with live sources is refused.
    Raises ConfigError, HistoryError or ChainError, whichever fits the first problem, with the problems of all of them.
    """
    settings, history, chain = _read(path, live=live_epochs is not None)
    documents = {"config.yaml": path.read_bytes(), "contract.yaml": settings.config.contract.read_bytes()}
    contract, config = settings.contract, settings.config
    notes: tuple[str, ...] = ()
    blocks: Sequence[Block] = ()
    if live_epochs is None:
        notes = tuple(_uncovered(history, settings))
        if contract.payout.basis in (FPPS, PRO_RATA):
            chain.require_fees(settings.start_ns, settings.end_ns)
        live_epochs = [(epoch.start_s, epoch.bits) for epoch in chain.epochs_known_at(settings.start_ns)]
        blocks = chain.blocks_between(settings.start_ns, settings.end_ns)
    epochs = list(live_epochs)
    past_fees = fees_before(chain, contract, settings.start_ns)
    session = SessionSettings(
        contract=contract,
        rules=_market_rules(settings),
        limits=_limits(settings),
        start_ns=settings.start_ns,
        deposit_sat=config.account.deposit_sat,
        observe=observe,
        debug=debug or config.run.debug,
    )
    growth = growth_model(config.value.growth)
    network = NETWORKS[config.blocks.network] if config.live_chain and config.blocks else MAINNET
    plans = []
    for entry in settings.strategies:
        loaded = strategies.load(entry.use)
        strategy = Strategy(entry.name, loaded.decide, entry.params, loaded.band)
        plans.append(Plan(session, strategy, growth, epochs, blocks, history, settings.end_ns, past_fees, network))
    try:
        plans[0].value()
    except ModelError as error:
        key = "model" if config.value.model in PATH_NAMES else "retargets"
        remedy = "take value.model: flat" if key == "model" else "take fewer, or value.model: flat"
        origin = settings.origins.get(f"value.{key}", str(path))
        raise ConfigError([Problem(origin, f"value.{key}: {error.problems[0].what}", remedy)]) from error
    chosen = engine or config.run.engine
    if chosen == AUTO:
        chosen, _ = engine_for(plans, AUTO, len(plans))
    return Run(settings, chain, history, chosen, tuple(plans), documents, notes)


LEAST_COMPILED_EVENTS = 400_000
"""From so many market events on, over all strategies, machine code gains more than it takes to load: measured, equal at
270,000 for one strategy on minute bars."""
LEAST_UNMADE_EVENTS = 12_000_000
"""The same where machine code was never made on this machine: that takes half a minute, once."""


def engine_for(plans: Sequence[Plan], asked: str, runs: int) -> tuple[str, str]:
    """Return the engine for so many runs, each like one of `plans`, and why it is not the compiled one: "" if it is.

    `auto` takes the compiled one where its start-up pays; that a few short runs are done sooner without is no news: "".
    Where one of the strategies cannot be compiled the reference engine runs them all.
    """
    session, history = plans[0].settings, plans[0].history
    events = (len(history.bars) + len(history.quotes)) * runs
    if asked == AUTO and (events < LEAST_COMPILED_EVENTS or session.observe or session.debug):
        return REFERENCE, ""  # the last two look at every event
    if asked not in (AUTO, COMPILED):
        return asked, ""
    if asked == AUTO and events < LEAST_UNMADE_EVENTS and not _is_made():
        return REFERENCE, ""
    from backtests.compiled_engine import lacks

    whys = (_instead(plan, lacks(plan)) for plan in plans)
    return next((found for found in whys if found[1]), (COMPILED, ""))


def _is_made() -> bool:
    from backtests import compiled_engine

    return compiled_engine.is_made()


def _read(path: Path, live: bool) -> tuple[Settings, History, Chain]:
    """Return settings, history and chain; whatever is wrong with one, the others are read too, as far as they can be.

    The bundled figures are ours: a configuration that is wrong says nothing of them.
    """
    draft = draft_settings(path, params_type)
    problems = draft.problems or (_untradable(draft.settings, live) if draft.settings is not None else [])
    faults: list[InputError] = [ConfigError(problems)] if problems else []
    files, terms = draft.files, draft.terms
    history, chain = (NO_HISTORY if live else None), None
    if history is None and terms and terms.contract and terms.settings and _MARKET in files:
        most_sat = terms.settings.trading.max_price_sat
        try:
            history = load_history(files[_MARKET], files.get("history.swap_rates"), terms.contract, most_sat)
        except HistoryError as fault:
            faults.append(fault)
    if "chain" in files or not problems:
        try:
            chain = load_chain(files.get("chain"))
        except ChainError as fault:
            faults.append(fault)
    if faults or draft.settings is None or history is None or chain is None:
        raise type(faults[0])([problem for fault in faults for problem in fault.problems])
    return draft.settings, history, chain


def _untradable(settings: Settings, live: bool) -> list[Problem]:
    """Return which sources do not fit the run: live ones, which a backtest would leave out in silence, or bars live."""
    config, origins = settings.config, settings.origins
    if live:
        if config.ccxt is None or config.ccxt.take != BARS:
            return []
        what = "ccxt.take: bars are known only when they are over; the daemon trades on quotes"
        return [Problem(origins["ccxt.take"], what, "write take: quotes")]
    remedy = "a history takes chain: bundled or a directory, and feed: history; live sources: fairhash record"
    problems = []
    if config.live_chain is not None:
        problems.append(Problem(origins["chain"], f"chain: {config.live_chain} gives blocks only as they come", remedy))
    if config.feed != HISTORY:
        problems.append(Problem(origins["feed"], f"feed: {config.feed} gives quotes only as they come", remedy))
    if config.history.market is None and not problems:
        problems.append(Problem(f"{settings.path}:1", "history.market is not given", "name quotes or bars to run over"))
    return problems


def fees_before(chain: Chain, contract: Contract, time_ns: int) -> tuple[MeanFee, ...]:
    """Return the mean fees of the days over by `time_ns`, as far as figures carry them; none if none are paid out."""
    if contract.payout.basis not in (FPPS, PRO_RATA):
        return ()
    known = (block for block in chain.blocks if chain.fees_from_ns <= block.time_ns < chain.fees_to_ns)
    return days_before(known, time_ns)


def _uncovered(history: History, settings: Settings) -> Iterator[str]:
    """Yield in words what part of the run has no market data at its ends; refuse a history with none inside it.

    Longer silences inside are told as gaps while the run goes on.
    """
    start_ns, end_ns, path = settings.start_ns, settings.end_ns, history.sources[0].path
    seen_ns = [quote.time_ns for quote in history.quotes if start_ns <= quote.time_ns <= end_ns]
    seen_ns += [bar.close_ns for bar in history.bars if start_ns <= bar.time_ns and bar.close_ns <= end_ns]
    if not seen_ns:
        what = f"has no {history.kind} from {iso_utc(start_ns)} to {iso_utc(end_ns)}, which is when the run is"
        raise HistoryError([Problem(path, what, "choose other dates in run:, or another history.market")])
    longest_ns = settings.config.fills.stale_after_ns
    if seen_ns[0] - start_ns > longest_ns:
        yield f"no market data from the start, {iso_utc(start_ns)}, until {iso_utc(seen_ns[0])}"
    if end_ns - seen_ns[-1] > longest_ns:
        yield f"no market data after {iso_utc(seen_ns[-1])}, though the run ends at {iso_utc(end_ns)}"


def _market_rules(settings: Settings) -> MarketRules:
    fills = settings.config.fills
    return MarketRules(
        participation_ppm=fills.participation_ppm,
        half_spread_ppm=fills.half_spread_ppm,
        depth_levels=fills.depth_levels,
        touch_fills=fills.touch_fills,
        loan_term_days=fills.loan_term_days,
        demand=settings.borrow_demand,
    )


def _limits(settings: Settings) -> RiskLimits:
    risk = settings.config.risk
    return RiskLimits(
        max_position_lots=settings.max_position_lots,
        max_order_lots=settings.max_order_lots,
        max_drawdown_ppm=risk.max_drawdown_ppm,
        stale_after_ns=settings.config.fills.stale_after_ns,
        latency_ns=settings.config.fills.latency_ns,
        max_answer_ns=risk.max_answer_ns,
        max_quote_age_ns=risk.max_quote_age_ns,
        max_block_age_ns=risk.max_block_age_ns,
        max_orders_hour=risk.max_orders_per_hour,
        collar_ppm=risk.price_collar_ppm,
        max_borrow_ppm=risk.max_borrow_ppm,
    )


def limits_of(run: Run) -> RiskLimits:
    """Return the limits that a run's configuration sets."""
    return _limits(run.settings)


def able_engine(plan: Plan, engine: str) -> tuple[str, str]:
    """Return the engine that runs `plan` where `engine` is wanted, and why it is another one: "" if it is not.

    What cannot be compiled, or is beyond 64 bits, is run by the reference engine, whose postings are equal.
    """
    if engine != COMPILED:
        return engine, ""
    from backtests.compiled_engine import refuses

    return _instead(plan, refuses(plan))


def _instead(plan: Plan, why: str | None) -> tuple[str, str]:
    return (COMPILED, "") if why is None else (REFERENCE, f"{plan.strategy.name}: {why} (the reference engine runs it)")


def run_plan(plan: Plan, engine: str) -> Any:
    """Return the result of one plan by the engine of that name; the module of an engine is imported here."""
    if engine == REFERENCE:
        from backtests import reference

        return run_by(reference.run, plan)
    if engine == "backtrader":
        from backtests import backtrader_engine

        return run_by(backtrader_engine.run, plan)
    if engine == COMPILED:
        from backtests import compiled_engine

        return run_by(compiled_engine.run, plan)
    raise UnsupportedError(f"there is no engine {engine!r}: take reference, compiled or backtrader")


def run_by(run: Callable[[Plan], Ran], plan: Plan) -> Ran:
    """Return what `run` makes of `plan`; a strategy that would end the program has failed: it looked like success."""
    try:
        return run(plan)
    except (SystemExit, GeneratorExit) as error:
        raise StrategyError(f"{plan.strategy.name}: {cause(error)}: a strategy cannot end the program") from error
