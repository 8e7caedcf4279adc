"""One strategy on one account of one exchange: what every engine drives, so that all of them settle alike.

An engine feeds it the world's events in the order of bot.core.events and asks for a decision after each market event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot.core.contract import Contract
from bot.core.events import BTC, RANK_OPEN, Bar, Block, Mark, Quote, SwapRate
from bot.core.exchange import Exchange
from bot.core.invariants import check
from bot.core.margin import total_equity_sat
from bot.core.order import Deposit
from bot.core.state import MarketRules
from bot.core.units import PPM, sat_from_float_half_even
from bot.errors import StrategyError
from bot.model.fair_value import FairValue
from bot.trader import RiskLimits, Trader
from strategies.view import NEVER, Target, View

Decide = Callable[[View, Any], Target]
Band = Callable[[View, Any], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy ready to run: its name in the configuration, its function and parameters, its band for plots."""

    name: str
    decide: Decide
    params: Any
    band: Band | None = None


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session needs besides the strategy. `observe` records fair values for plots, `debug` checks every event."""

    contract: Contract
    rules: MarketRules
    limits: RiskLimits
    start_ns: int
    deposit_sat: int
    observe: bool = False
    debug: bool = False
    keep_moves: bool = True


class Session:
    """Exchange, model, strategy and trader of one run."""

    __slots__ = (
        "_account",
        "_checked_moves",
        "_floor_ppm",
        "_last",
        "_last_market_ns",
        "_peak_sat",
        "exchange",
        "marks",
        "observations",
        "settings",
        "state",
        "strategy",
        "trader",
        "user",
        "value",
        "view",
    )

    def __init__(self, settings: SessionSettings, strategy: Strategy, value: FairValue) -> None:
        self.settings = settings
        self.strategy = strategy
        self.user = strategy.name
        self.value = value
        self.exchange = Exchange(settings.contract, settings.rules, settings.start_ns, settings.keep_moves)
        self.state = self.exchange.state
        self.exchange.submit(Deposit(settings.start_ns, self.user, BTC, settings.deposit_sat))
        self._account = self.state.accounts[self.user]
        self.view = View(self.exchange, self.user, value)
        self.trader = Trader(self.state, self._account, self.exchange.submit, settings.limits)
        self.marks: list[Mark] = []
        self.observations: list[tuple[int, int, int, int]] = []
        self._peak_sat = settings.deposit_sat
        self._floor_ppm = PPM - settings.limits.max_drawdown_ppm
        self._last: _Decided | None = None
        self._last_market_ns = 0
        self._checked_moves = 0

    # The world ----------------------------------------------------------------------------------------------

    def on_block(self, block: Block) -> None:
        """Take in a block: dividend, difficulty."""
        self.exchange.on_block(block)
        self.value.on_block(block)
        self.view.blocks.append(block)
        if self.settings.debug:
            self.check()

    def on_swap_rate(self, row: SwapRate) -> None:
        """Take in a swap-rate row."""
        self.exchange.on_swap_rate(row)
        if self.settings.debug:
            self.check()

    def on_quote(self, quote: Quote) -> None:
        """Take in a quote; orders placed before it are matched."""
        if quote.time_ns - self._last_market_ns > self.settings.limits.stale_after_ns:
            self._tell_gap(quote.time_ns)
        self.exchange.on_quote(quote)
        self._last_market_ns = quote.time_ns
        self.view.see_quote(quote.bid_sat, quote.bid_size_lots, quote.ask_sat, quote.ask_size_lots)
        if self.settings.debug:
            self.check()

    def on_bar_open(self, bar: Bar) -> None:
        """Take in a bar's open; market orders placed before it are matched."""
        if bar.time_ns - self._last_market_ns > self.settings.limits.stale_after_ns:
            self._tell_gap(bar.time_ns)
        self.exchange.on_bar_open(bar)
        if self.settings.debug:
            self.check()

    def on_bar_close(self, bar: Bar) -> None:
        """Take in a closed bar; resting limit orders are matched."""
        self.exchange.on_bar_close(bar)
        self._last_market_ns = bar.close_ns
        self.view.see_bar(bar.volume_lots)
        if self.settings.debug:
            self.check()

    def _tell_gap(self, time_ns: int) -> None:
        if self._last_market_ns:
            gap_s = (time_ns - self._last_market_ns) // 10**9
            self.exchange.reach(time_ns, 0)
            self.state.notify(self.user, "gap", f"no market data for {gap_s} s; nothing was filled meanwhile")

    # The decision -------------------------------------------------------------------------------------------

    def decide(self) -> None:
        """Mark the account, check the drawdown, ask the strategy, take the next step to its target."""
        state = self.state
        if state.expired:
            return
        view = self.view
        account = self._account
        view.time_ns = now = state.time_ns
        view.equity_sat = equity = total_equity_sat(state, account, now)
        lots = account.cached_spot_lots + account.cached_margin_lots
        self.marks.append(Mark(now, state.mark_sat, lots, equity))
        if equity > self._peak_sat:
            self._peak_sat = equity
        elif equity * PPM < self._peak_sat * self._floor_ppm and not self.trader.halted:
            self.trader.halt(f"equity {equity} sat is more than the allowed drawdown below {self._peak_sat} sat")
        try:
            target = self.strategy.decide(view, self.strategy.params)
        except Exception as error:
            raise StrategyError(f"{self.user} at {now} ns: {type(error).__name__}: {error}") from error
        if type(target) is not Target or type(target.position_lots) is not int:
            raise StrategyError(f"{self.user} at {now} ns: answered {target!r}, not a Target with whole lots")
        if self.settings.debug:
            self._check_decision(target)
        if self.settings.observe:
            self._observe()
        self.trader.follow(view, target)

    def _observe(self) -> None:
        view = self.view
        low, high = self.strategy.band(view, self.strategy.params) if self.strategy.band else (0.0, 0.0)
        values = (view.fair_value_sat, low, high)
        self.observations.append((view.time_ns, *map(sat_from_float_half_even, values)))

    # Debug mode ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Check every invariant; raises InvariantError."""
        check(self.state, self._checked_moves)
        self._checked_moves = len(self.state.ledger.moves)

    def _check_decision(self, target: Target) -> None:
        """Name a strategy that answers differently when asked twice, or that would have moved in its sleep."""
        view = self.view
        again = self.strategy.decide(view, self.strategy.params)
        if again != target:
            raise StrategyError(f"{self.user} at {view.time_ns} ns: answered {target} and then {again} to one view")
        situation = self._situation()
        last = self._last
        if last is not None and last.is_asleep(view, situation) and target[:-1] != last.target[:-1]:
            raise StrategyError(
                f"{self.user} at {view.time_ns} ns: asleep until {last.target.wake} but moved from {last.target} to {target}"
            )
        self._last = _Decided(target, situation)

    def _situation(self) -> tuple[object, ...]:
        state = self.state
        return (state.changes, tuple(state.market_rate_ppb_day), state.initial_ppm, self.trader.halted)

    # The end ------------------------------------------------------------------------------------------------

    def finish(self, end_ns: int) -> None:
        """Bring the session to `end_ns`: expiry if it lies before, everything accrued posted, one last mark."""
        state = self.state
        self.exchange.reach(end_ns, RANK_OPEN)
        self.exchange.settle()
        equity = total_equity_sat(state, self._account, state.time_ns)
        position = self.exchange.position_lots(self.user)
        self.marks.append(Mark(state.time_ns, state.mark_sat, position, equity))
        self.check()


@dataclass(frozen=True, slots=True)
class _Decided:
    """A past decision and the situation it was made in."""

    target: Target
    situation: tuple[object, ...]

    def is_asleep(self, view: View, situation: tuple[object, ...]) -> bool:
        """Whether nothing has happened that the target's wake names."""
        wake = self.target.wake
        if wake is None or situation != self.situation or (wake.at_ns != NEVER and view.time_ns >= wake.at_ns):
            return False
        return wake.low_edge <= view.edge <= wake.high_edge
