"""One strategy on one account of one exchange: what every engine drives, so that all of them settle alike.

An engine feeds it the world's events in the order of bot.core.events and asks for a decision after each market event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Final, NamedTuple, Protocol

from bot.core.contract import Contract
from bot.core.events import BTC, RANK_DATA, RANK_OPEN, RANK_TERMS, Bar, Block, Mark, Quote, SwapRate
from bot.core.exchange import Exchange
from bot.core.invariants import check, check_margin
from bot.core.margin import standing
from bot.core.order import Deposit
from bot.core.state import MarketRules
from bot.core.units import NS_PER_S, PPM, ceil_div, sat_from_float_half_even
from bot.errors import StrategyError, cause
from bot.history.fields import iso_utc
from bot.model.fair_value import FairValue
from bot.trader import RiskLimits, Trader
from strategies.view import NEVER, Target, View, Wake, target_fault

Decide = Callable[[View, Any], Target]
Band = Callable[[View, Any], tuple[float, float]]
AWAKE: Final = Target(0)
"""Stands for an answer that is not known: without a wake, the strategy is asked."""
SLEEPLESS: Final = Wake(inf, -inf, 0)
"""What a target without a wake comes to."""


class World(Protocol):
    """What happens besides the market: `next_ns` is when the next event comes, `rate_ns` the next swap rate."""

    next_ns: int
    rate_ns: int

    def up_to(self, time_ns: int) -> None:
        """Feed the session every event at or before `time_ns`."""
        ...


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy ready to run: its name in the configuration, its function and parameters, its band for plots."""

    name: str
    decide: Decide
    params: Any
    band: Band | None = None


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session needs besides the strategy; `observe` records fair values for plots, `debug` checks all events."""

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
        "_sound",
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
        self.state.rank = RANK_TERMS  # the money is there before all else that happens at the start
        self._account = self.state.accounts[self.user]
        self.view = View(self.exchange, self.user, value)
        self.trader = Trader(self.state, self._account, self.exchange.submit, settings.limits)
        self.marks: list[Mark] = []
        self.observations: list[tuple[int, int, int, int]] = []
        self._peak_sat = settings.deposit_sat
        self._floor_ppm = PPM - settings.limits.max_drawdown_ppm
        self._last: Decided | None = None
        self._sound: Target | None = None  # the last target that was checked; most answers repeat it
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
            self.check(marked=True)

    def on_bar_open(self, bar: Bar) -> None:
        """Take in a bar's open; market orders placed before it are matched."""
        if bar.time_ns - self._last_market_ns > self.settings.limits.stale_after_ns:
            self._tell_gap(bar.time_ns)
        self.exchange.on_bar_open(bar)
        if self.settings.debug:
            self.check(marked=True)

    def on_bar_close(self, bar: Bar) -> None:
        """Take in a closed bar; resting limit orders are matched."""
        self.exchange.on_bar_close(bar)
        self._last_market_ns = bar.close_ns
        self.view.see_bar(bar.volume_lots)
        if self.settings.debug:
            self.check(marked=True)

    def _tell_gap(self, time_ns: int) -> None:
        if self._last_market_ns:
            gap_s = (time_ns - self._last_market_ns) // NS_PER_S  # rounded down
            self.exchange.reach(time_ns, 0)
            self.state.notify(self.user, "gap", f"no market data for {gap_s} s; nothing was filled meanwhile")

    # The decision -------------------------------------------------------------------------------------------

    def decide(self) -> None:
        """Mark the account, check the drawdown, ask the strategy, take the next step to its target."""
        if self.state.expired:
            return
        view = self.view
        equity = self.mark()
        if equity > self._peak_sat:
            self._peak_sat = equity
        elif equity < self._floor_sat() and not self.trader.halted:
            self.trader.halt(f"equity {equity} sat is more than the allowed drawdown below {self.peak_sat()} sat")
        last = self._last
        if last is not None and not self.settings.debug and last.is_asleep(view, self._situation()):
            target = last.target
        else:
            target = self._ask()
        if self.settings.observe:
            self._observe()
        self.trader.follow(view, target)

    def peak_sat(self) -> int:
        """Return the highest equity so far, in satoshi."""
        return self._peak_sat

    def mark(self) -> int:
        """Record the account's worth at the mark, for those who decide themselves, and return it in satoshi."""
        state, view = self.state, self.view
        worth = standing(state, self._account)
        view.time_ns = now = state.time_ns
        view.equity_sat = equity = worth.equity_sat(state.mark_sat, now)
        self.marks.append(Mark(now, state.mark_sat, worth.lots, equity))
        return equity

    def coast(self, bars: Sequence[Bar], at: int, world: World) -> int:
        """Take in bars from `bars[at]` on while little moves but the mark; return the index of the first one left.

        Equal to the world's events, on_bar_open, on_bar_close and decide for each bar. It stops where an order could
        trade, a loan change or terms step: before what falls due, at a gap, once a decision was acted on, and at once
        while an order lives or in debug mode. Blocks it takes in, for they move no mark; so it does swap rates, unless
        he offers loans that the market could take at them.
        """
        state, view, account, trader = self.state, self.view, self._account, self.trader
        if self._is_eventful():
            return at
        stop_ns = self.exchange.next_due_ns()
        if any(account.offered):
            stop_ns = min(world.rate_ns, stop_ns)
        stale_ns, before_ns = self.settings.limits.stale_after_ns, self._last_market_ns
        worth = standing(state, account)
        peak_sat, floor_sat, observes = self._peak_sat, self._floor_sat(), self.settings.observe
        target = self._sleeping_target() or AWAKE
        low_edge, high_edge, asleep_until_ns = target.wake or SLEEPLESS
        add_mark, new_tuple = self.marks.append, tuple.__new__  # twice as fast as calling Mark
        value_sat, mark_sat, untold = self.value.value_sat, state.mark_sat, 0
        for index in range(at, len(bars)):
            time_ns, close_ns, open_sat, _, _, price_sat, volume_lots = bars[index]
            if close_ns >= stop_ns or not 0 <= time_ns - before_ns <= stale_ns:
                break
            if worth.owed is not None and (time_ns > before_ns or not worth.is_safe(state, open_sat, time_ns)):
                break  # the open may call or liquidate; across a pause, what was earned in it must be counted first
            if close_ns >= world.next_ns:
                rate_ns = world.rate_ns
                world.up_to(close_ns)
                worth = standing(state, account)
                if world.rate_ns != rate_ns:
                    asleep_until_ns = 0  # a new swap rate always wakes
            equity_sat = worth.equity_sat(price_sat, close_ns)
            at += 1
            if equity_sat < floor_sat or (worth.owed is not None and not worth.is_safe(state, price_sat, close_ns)):
                self._tell(before_ns, mark_sat, untold + 1)  # and the open, which no order waited for
                untold = 0
                self.on_bar_close(bars[index])
                self.decide()
                break
            before_ns, mark_sat, untold = close_ns, price_sat, untold + 2
            add_mark(new_tuple(Mark, (close_ns, price_sat, worth.lots, equity_sat)))
            if equity_sat > peak_sat:
                self._peak_sat = peak_sat = equity_sat
                floor_sat = self._floor_sat()
            asleep = False
            if close_ns < asleep_until_ns:
                fair = value_sat(close_ns)
                asleep = low_edge <= (price_sat / fair - 1.0 if fair > 0.0 else inf) <= high_edge  # View.edge, inlined
            if asleep and not observes:
                continue
            self._tell(close_ns, price_sat, untold)
            untold = 0
            view.equity_sat = equity_sat
            view.see_bar(volume_lots)
            if not asleep:
                target = self._ask()
                low_edge, high_edge, asleep_until_ns = target.wake or SLEEPLESS
            if observes:
                self._observe()
            if not trader.is_idle(target):
                trader.follow(view, target)
                break
        if untold:
            self._tell(before_ns, mark_sat, untold)
        return at

    def _is_eventful(self) -> bool:
        """Return whether more than the mark may move at the next bar, or every event must be checked."""
        account = self._account
        watched = account.called or account.liquidating or account.overdue
        return watched or self.state.expired or bool(self.state.live) or self.settings.debug

    def _tell(self, time_ns: int, mark_sat: int, events: int) -> None:
        """Let the exchange and the view know of bars that were taken in: nobody asked for them one by one."""
        state = self.state
        state.event += events
        state.mark_sat = mark_sat
        self._last_market_ns = self.view.time_ns = time_ns
        if state.time_ns <= time_ns:  # a block may have come since
            state.time_ns, state.rank = time_ns, RANK_DATA

    def _sleeping_target(self) -> Target | None:
        """Return the last target if it stands until its wake, is reached, and the situation is still the same."""
        last = self._last
        if last is None or last.situation != self._situation() or not self.trader.is_idle(last.target):
            return None
        return last.target

    def _floor_sat(self) -> int:
        """Return the least equity that is no drawdown to halt at: 0 once halted, or without such a limit."""
        return 0 if self.trader.halted else ceil_div(self._peak_sat * self._floor_ppm, PPM)

    def _ask(self) -> Target:
        """Return the strategy's answer. Raises StrategyError if it fails or is not a target."""
        view, strategy = self.view, self.strategy
        try:
            target = strategy.decide(view, strategy.params)
        except (Exception, SystemExit, GeneratorExit) as error:  # ending the program would look like success
            raise StrategyError(f"{self._at()}: {cause(error)}") from error
        if type(target) is not Target or target != self._sound:
            fault = "not a Target" if type(target) is not Target else target_fault(target, self.settings.contract)
            if fault:
                raise StrategyError(f"{self._at()}: answered {target!r}: {fault}")
            self._sound = target
        if self.settings.debug:
            self._check_decision(target)
        self._last = Decided(target, self._situation()) if target.wake is not None else None
        return target

    def _at(self) -> str:
        return f"{self.user} at {iso_utc(self.view.time_ns)}"

    def _observe(self) -> None:
        view = self.view
        try:
            low, high = self.strategy.band(view, self.strategy.params) if self.strategy.band else (0.0, 0.0)
            low_sat, high_sat = sat_from_float_half_even(low), sat_from_float_half_even(high)
        except (Exception, SystemExit, GeneratorExit) as error:
            raise StrategyError(f"{self._at()}: its band: {cause(error)}") from error
        fair = sat_from_float_half_even(view.fair_value_sat)
        self.observations.append((view.time_ns, fair, low_sat, high_sat))

    # Debug mode ---------------------------------------------------------------------------------------------

    def check(self, marked: bool = False) -> None:
        """Check every invariant, right after a mark the margins too; raises InvariantError."""
        check(self.state, self._checked_moves, every_order=False)
        if marked and not self.state.expired:
            check_margin(self.state)
        self._checked_moves = len(self.state.ledger.moves)

    def _check_decision(self, target: Target) -> None:
        """Name a strategy that answers differently when asked twice, or that would have moved in its sleep."""
        view = self.view
        again = self.strategy.decide(view, self.strategy.params)
        if again != target:
            raise StrategyError(f"{self._at()}: answered {target} and then {again} to one view")
        situation = self._situation()
        last = self._last
        if last is not None and last.is_asleep(view, situation) and target[:-1] != last.target[:-1]:
            moved = f"moved from {last.target} to {target}"
            raise StrategyError(f"{self._at()}: asleep until {last.target.wake}, {moved}")

    def _situation(self) -> tuple[object, ...]:
        state = self.state
        return (state.changes, state.conditions, self.trader.halted)

    # The end ------------------------------------------------------------------------------------------------

    def finish(self, end_ns: int) -> None:
        """Bring the session to `end_ns`: expiry if it lies before, everything accrued posted, one last mark."""
        state = self.state
        self.exchange.reach(end_ns, RANK_OPEN)
        self.exchange.settle()
        worth = standing(state, self._account)
        equity = worth.equity_sat(state.mark_sat, state.time_ns)
        self.marks.append(Mark(state.time_ns, state.mark_sat, worth.lots, equity))
        self.check()


class Decided(NamedTuple):
    """A past decision and the situation it was made in."""

    target: Target
    situation: tuple[object, ...]

    def is_asleep(self, view: View, situation: tuple[object, ...]) -> bool:
        """Whether nothing has happened that the target's wake names."""
        wake = self.target.wake
        if wake is None or situation != self.situation or (wake.at_ns != NEVER and view.time_ns >= wake.at_ns):
            return False
        return wake.low_edge <= view.edge <= wake.high_edge
