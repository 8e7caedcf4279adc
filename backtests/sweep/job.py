"""What a sweep does with one trial on one market: run it, and keep a row of measures instead of its whole ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import strategies
from backtests.plan import Plan
from backtests.sweep.limit import TooLongError, too_long, within
from backtests.sweep.markets import CONFIGURED, Market, Simulated, kept
from backtests.sweep.measures import Row, Runner
from backtests.sweep.space import Trial
from bot.chain.chain import Chain
from bot.core.events import Block
from bot.errors import StrategyError, cause
from bot.history.series import History, Source
from bot.model.fees import MeanFee
from bot.model.growth import GrowthModel
from bot.session import SessionSettings, Strategy

Engine = Callable[[Plan], Runner]
"""What a sweep is given from above: from the plan of a market (without a strategy) to what runs plans on it.

An engine that can prepare a history does so in the first call, once for each process and market.
"""


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
    None where they come another way. `simulated` says how markets other than the configured one are made. `trial_s`
    is how many seconds of real time a trial may take, None: as long as it does; what is made once, a market or machine
    code, is not counted.
    """

    settings: SessionSettings
    growth: GrowthModel
    past_epochs: Sequence[tuple[int, int]]
    blocks: Sequence[Block]
    end_ns: int
    sources: tuple[Source, ...]
    strategies: tuple[Swept, ...]
    engine: Engine
    chain: Chain
    simulated: Simulated
    past_fees: Sequence[MeanFee] = ()
    directory: Path | None = None
    trial_s: float | None = None

    def simulate(self, seed: int) -> Market:
        """Return the simulated market of one seed."""
        return self.simulated.market(self.settings.contract, self.chain, seed)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A market: the plan of all trials on it, what runs them, and for which kinds of trials machine code was made."""

    plan: Plan
    runner: Runner
    made: set[tuple[Any, ...]] = field(default_factory=set)


@dataclass(slots=True)
class Bench:
    """A process's own workplace: the plan without its strategy, of the configured market and of the last other one."""

    job: Job
    _ready: dict[int, _Ready] = field(default_factory=dict)
    _loaded: dict[int, Any] = field(default_factory=dict)

    def rows(self, number: int, trials: tuple[Trial, ...], market: Market | None = None) -> Iterator[Row]:
        """Yield a row for each trial on one market, from its tables or else from its files."""
        for trial in trials:
            yield self._row(number, trial, market)

    def _row(self, number: int, trial: Trial, market: Market | None) -> Row:
        limit_s = self.job.trial_s
        try:
            ready = self.market(number, market)  # preparing it is no part of the trial's time
            if limit_s is not None:
                self._make(ready, trial, limit_s)  # nor is making its machine code
            return within(limit_s, partial(self._run, ready, trial, number))
        except TooLongError:
            assert limit_s is not None
            return Row(trial.number, number, error=too_long(limit_s))
        except Exception as error:  # noqa: BLE001 - whatever fails in one trial is that trial's result, by name
            text = str(error) if isinstance(error, StrategyError) else cause(error)
            return Row(trial.number, number, error=f"{type(error).__name__}: {text}"[:_LONGEST_ERROR])

    def _run(self, ready: _Ready, trial: Trial, number: int) -> Row:
        return ready.runner.row(replace(ready.plan, strategy=self.strategy(trial)), trial.number, number)

    def _make(self, ready: _Ready, trial: Trial, limit_s: float) -> None:
        """Make what the trial's run takes and others find made, once; to make its parameters is limited too."""
        kind = trial.strategy, *map(type, trial.values)
        if ready.runner.make is not None and kind not in ready.made:
            strategy = within(limit_s, partial(self.strategy, trial))
            ready.runner.make(replace(ready.plan, strategy=strategy))
            ready.made.add(kind)

    def market(self, number: int, market: Market | None) -> _Ready:
        """Return the plan of a market and what runs plans on it; kept are the configured one and the last other."""
        ready = self._ready.get(number)
        if ready is None:
            for other in [other for other in self._ready if other != CONFIGURED]:
                del self._ready[other]
            plan = self._prepared(number, market)
            ready = self._ready[number] = _Ready(plan, self.job.engine(plan))
        return ready

    def _prepared(self, number: int, market: Market | None) -> Plan:
        """Return the plan of a market with no strategy yet: all that trials on it have in common."""
        job = self.job
        if market is None:
            assert job.directory is not None
            market = kept(job.directory, number, job.simulated.kind)
        simulated = number != CONFIGURED or any(source.simulated for source in job.sources)
        history: History = market.history(job.sources, simulated)
        nobody = Strategy("", _nothing, None)
        return Plan(job.settings, nobody, job.growth, job.past_epochs, job.blocks, history, job.end_ns, job.past_fees)

    def strategy(self, trial: Trial) -> Strategy:
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
