"""What a sweep does with one trial on one market: run it, and keep a row of measures instead of its whole ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import strategies
from backtests.metrics import max_drawdown, period_returns, periods_per_year, sample, sharpe
from backtests.plan import Plan
from backtests.result import RunResult
from backtests.sweep.markets import CONFIGURED, Market, Simulated, kept
from backtests.sweep.space import Trial
from bot.chain.chain import Chain
from bot.core.events import Block
from bot.core.units import NS_PER_DAY
from bot.errors import StrategyError, cause
from bot.history.series import History, Source
from bot.model.growth import GrowthModel
from bot.session import SessionSettings, Strategy

RunPlan = Callable[[Plan], RunResult]
"""An engine. A sweep is given one from above and knows no other."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one trial did on one market (`market`: 0 the configured one, else the seed of a simulated one).

    Amounts are satoshi. `net_sat` is what `fairhash backtest` prints for the same parameters; `sharpe_year` is
    annualised as there (risk-free rate 0, square root of the samples a year). `drawdown_frac` is a fraction of the
    peak. `trades` counts positions opened. `daily_sat` is the equity at the end of each UTC day, the deposit first;
    only of the configured market. `error` says what failed; then nothing else is known.
    """

    trial: int
    market: int
    error: str = ""
    net_sat: int = 0
    return_frac: float = 0.0
    sharpe_year: float | None = None
    drawdown_sat: int = 0
    drawdown_frac: float | None = None
    trades: int = 0
    liquidated: bool = False
    daily_sat: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Swept:
    """A strategy of the configuration: what `use` names, its parameters as configured, the fields that trials set."""

    name: str
    use: str
    configured: dict[str, Any]
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """All that a process needs to run any trial on any market; it can be pickled and sent to another machine.

    `strategies` are all of the configuration, in its order. `directory` is where tables of markets are kept,
    None where they come another way. `simulated` says how markets other than the configured one are made.
    """

    settings: SessionSettings
    growth: GrowthModel
    past_epochs: Sequence[tuple[int, int]]
    blocks: Sequence[Block]
    end_ns: int
    sources: tuple[Source, ...]
    strategies: tuple[Swept, ...]
    run: RunPlan
    chain: Chain
    simulated: Simulated
    directory: Path | None = None

    def simulate(self, seed: int) -> Market:
        """Return the simulated market of one seed."""
        return self.simulated.market(self.settings.contract, self.chain, seed)


@dataclass(slots=True)
class Bench:
    """A process's own workplace: the plan without its strategy, of the configured market and of the last other one."""

    job: Job
    _plans: dict[int, Plan] = field(default_factory=dict)
    _loaded: dict[int, Any] = field(default_factory=dict)

    def rows(self, number: int, trials: tuple[Trial, ...], market: Market | None = None) -> Iterator[Row]:
        """Yield a row for each trial on one market, from its tables or else from its files."""
        for trial in trials:
            try:
                yield measured(self.job.run(self._plan(number, trial, market)), trial.number, number)
            except Exception as error:  # noqa: BLE001 - whatever fails in one trial is that trial's result, by name
                text = str(error) if isinstance(error, StrategyError) else cause(error)
                yield Row(trial.number, number, error=f"{type(error).__name__}: {text}"[:_LONGEST_ERROR])

    def _plan(self, number: int, trial: Trial, market: Market | None) -> Plan:
        plan = self._plans.get(number)
        if plan is None:
            plan = self._prepared(number, market)
            for other in [other for other in self._plans if other != CONFIGURED]:
                del self._plans[other]
            self._plans[number] = plan
        return replace(plan, strategy=self._strategy(trial))

    def _prepared(self, number: int, market: Market | None) -> Plan:
        """Return the plan of a market with no strategy yet: all that trials on it have in common."""
        job = self.job
        if market is None:
            assert job.directory is not None
            market = kept(job.directory, number, job.simulated.kind)
        simulated = number != CONFIGURED or any(source.simulated for source in job.sources)
        history: History = market.history(job.sources, simulated)
        nobody = Strategy("", _nothing, None)
        return Plan(job.settings, nobody, job.growth, job.past_epochs, job.blocks, history, job.end_ns)

    def _strategy(self, trial: Trial) -> Strategy:
        """Return the trial's strategy; raises StrategyError where its parameters do not go together."""
        of = self.job.strategies[trial.strategy]
        loaded = self._loaded.get(trial.strategy)
        if loaded is None:
            loaded = self._loaded[trial.strategy] = strategies.load(of.use)
        params = loaded.params_type(**{**of.configured, **dict(zip(of.fields, trial.values, strict=True))})
        for conflict in getattr(params, "cross_check", tuple)():
            raise StrategyError(f"{of.name}: {conflict.key}: {conflict.what}")
        return Strategy(of.name, loaded.decide, params)


_LONGEST_ERROR: Final = 1_000


def _nothing(view: object, params: object) -> Any:
    raise AssertionError("a plan without a strategy was run")


def measured(result: RunResult, trial: int, market: int) -> Row:
    """Return the row of a result. Its profit is final equity - deposit: nothing else comes in or goes out."""
    start_sat = result.start_equity_sat
    net_sat = result.marks[-1].equity_sat - start_sat
    curve = [(mark.time_ns, mark.equity_sat) for mark in result.marks]
    if curve[0][0] > result.start_ns:
        curve.insert(0, (result.start_ns, start_sat))
    sampled, _ = sample(curve)
    fall = max_drawdown(curve)
    return Row(
        trial=trial,
        market=market,
        net_sat=net_sat,
        return_frac=net_sat / start_sat if start_sat > 0 else 0.0,
        sharpe_year=sharpe(period_returns(sampled, ()), periods_per_year([time_ns for time_ns, _ in sampled])),
        drawdown_sat=fall.depth_sat if fall else 0,
        drawdown_frac=fall.depth_frac if fall else 0.0,
        trades=_trades(result),
        liquidated=any(notice.kind == "liquidation" and notice.user == result.user for notice in result.notices),
        daily_sat=_daily(curve, start_sat) if market == CONFIGURED else (),
    )


def _daily(curve: list[tuple[int, int]], start_sat: int) -> tuple[int, ...]:
    last = {time_ns // NS_PER_DAY: equity_sat for time_ns, equity_sat in curve}  # rounded down: UTC days
    return (start_sat, *last.values())


def _trades(result: RunResult) -> int:
    """Return how often a position was opened, from flat or by turning its sign, as backtests.attribution counts.

    Fills say so, and marks where a position ended without one (expiry, collateral sold).
    """
    fills = [fill for fill in result.fills if fill.user == result.user]
    held, at = [0], 0
    for mark in result.marks:
        while at < len(fills) and fills[at].time_ns <= mark.time_ns:  # the mark of an instant comes after its fills
            held.append(held[-1] + fills[at].size_lots)
            at += 1
        if mark.position_lots != held[-1]:
            held.append(mark.position_lots)
    return sum(after != 0 and (before == 0 or (before < 0) != (after < 0)) for before, after in pairwise(held))
