"""One strategy on one account of one exchange: what every engine drives, so that all of them settle alike.

An engine feeds it the world's events in the order of bot.core.events and asks for a decision after each market event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from bot.core.contract import Contract
from bot.core.events import BTC, RANK_DATA, RANK_OPEN, RANK_TERMS, Bar, Block, Mark, Quote, SwapRate, World
from bot.core.exchange import Exchange
from bot.core.invariants import InvariantError, check, check_margin, check_shares
from bot.core.margin import standing
from bot.core.order import Deposit
from bot.core.replay import TwinExchange
from bot.core.state import MarketRules
from bot.core.units import NS_PER_S, PPM, ceil_div, sat_from_float_half_even
from bot.errors import StrategyError, cause
from bot.history.fields import iso_utc
from bot.model.fair_value import FairValue
from bot.trader import ACTIVE, RiskLimits, Trader
from strategies.view import AWAKE, NEVER, SLEEPLESS, Decided, Target, View, exposure_of, keeps, target_fault, weighs

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
    """What a session needs besides the strategy; `observe` records fair values for plots, `debug` checks all events.
    `keep_moves` and `keep_marks` False drop what only results need, so that a daemon's memory does not grow."""

    contract: Contract
    rules: MarketRules
    limits: RiskLimits
    start_ns: int
    deposit_sat: int
    observe: bool = False
    debug: bool = False
    keep_moves: bool = True
    keep_marks: bool = True


class Session:
    """Exchange, model, strategy and trader of one run."""

    __slots__ = (
        "_account",
        "_checked_moves",
        "_floor_ppm",
        "_last",
        "_peak_sat",
        "_sound",
        "exchange",
        "last_market_ns",
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
        venue = TwinExchange if settings.debug else Exchange
        self.exchange = venue(settings.contract, settings.rules, settings.start_ns, settings.keep_moves)
        self.state = self.exchange.state
        self.exchange.submit(Deposit(settings.start_ns, self.user, BTC, settings.deposit_sat))
        self.state.rank = RANK_TERMS  # the money is there before all else that happens at the start
        self._account = self.state.accounts[self.user]
        self.view = View(self.exchange, self.user, value, settings.limits.max_position_lots)
        self.trader = Trader(self.state, self._account, self.exchange.submit, settings.limits)
        self.marks: list[Mark] = []
        self.observations: list[tuple[int, int, int, int]] = []
        self._peak_sat = settings.deposit_sat
        self._floor_ppm = PPM - settings.limits.max_drawdown_ppm
        self._last: Decided | None = None
        self._sound: Target | None = None  # the last target that was checked; most answers repeat it
        self.last_market_ns = 0  # time of the last quote or closed bar
        self._checked_moves = 0
        if settings.debug:
            self.check()

    # The world ----------------------------------------------------------------------------------------------

    def on_block(self, block: Block) -> None:
        """Take in a block: dividend, difficulty."""
        self.exchange.on_block(block)
        self.value.on_block(block)
        self.view.see_blocks((block,))
        if self.settings.debug:
            self.check()

    def on_swap_rate(self, row: SwapRate) -> None:
        """Take in a swap-rate row."""
        self.exchange.on_swap_rate(row)
        if self.settings.debug:
            self.check()

    def on_quote(self, quote: Quote) -> None:
        """Take in a quote; orders placed before it are matched."""
        if quote.time_ns - self.last_market_ns > self.settings.limits.stale_after_ns:
            self._tell_gap(quote.time_ns)
        self.exchange.on_quote(quote)
        self.last_market_ns = quote.time_ns
        self.view.see_quote(quote.bid_sat, quote.bid_size_lots, quote.ask_sat, quote.ask_size_lots)
        if self.settings.debug:
            self.check(marked=True)

    def on_bar_open(self, bar: Bar) -> None:
        """Take in a bar's open; market orders placed before it are matched."""
        if bar.time_ns - self.last_market_ns > self.settings.limits.stale_after_ns:
            self._tell_gap(bar.time_ns)
        self.exchange.on_bar_open(bar)
        if self.settings.debug:
            self.check(marked=True)

    def on_bar_close(self, bar: Bar) -> None:
        """Take in a closed bar; resting limit orders are matched."""
        self.exchange.on_bar_close(bar)
        self.last_market_ns = bar.close_ns
        self.view.see_bar(bar.volume_lots)
        if self.settings.debug:
            self.check(marked=True)

    def _tell_gap(self, time_ns: int) -> None:
        if self.last_market_ns:
            gap_s = (time_ns - self.last_market_ns) // NS_PER_S  # rounded down
            self.exchange.reach(time_ns, 0)
            self.state.notify(self.user, "gap", "no market data for {} s; nothing was filled meanwhile", gap_s)

    @property
    def peak_sat(self) -> int:
        """Highest equity so far, which the drawdown is measured from."""
        return self._peak_sat

    # The decision -------------------------------------------------------------------------------------------

    def decide(self) -> None:
        """Mark the account, check the drawdown, ask the strategy, take the next step to its target."""
        if not self.state.expired:
            self.watch()
            self.act()

    def watch(self) -> None:
        """Mark the account and check the drawdown: what happens at every market event, whoever decides."""
        equity = self.mark()
        if equity > self._peak_sat:
            self._peak_sat = equity
        elif equity < self._floor_sat() and not self.trader.halted:
            self.trader.halt("equity {} sat is more than the allowed drawdown below {} sat", equity, self.peak_sat)

    def act(self) -> None:
        """Ask the strategy, unless it sleeps or is stopped, and take the next step to its target."""
        view, last, debug = self.view, self._last, self.settings.debug
        sleeps = last is not None and not debug and last.is_asleep(view, self._situation(last.target))
        target = last.target if last is not None and sleeps else self._ask()
        if self.settings.observe:
            self._observe()
        self.trader.follow(view, target)

    def turn(self, mode: str, reason: str) -> None:
        """Change what the strategy may do to one of bot.trader.MODES; active again, its drawdown starts from now."""
        self.trader.turn(mode, reason)
        if mode == ACTIVE:
            self._peak_sat = max(self.view.equity_sat, 1)

    def obey(self) -> None:
        """Carry out at once what a turn to `halted` or `flat` asks for, without waiting for the next market event."""
        if self.trader.is_stopped and not self.state.expired:
            self.trader.follow(self.view, AWAKE)

    def reload(self, params: Any, limits: RiskLimits) -> None:
        """Go on with other parameters and limits; a strategy that sleeps is woken by the next market event."""
        self.strategy = replace(self.strategy, params=params)
        self.settings = replace(self.settings, limits=limits)
        self.trader.limits = limits
        self.view.most_lots = limits.max_position_lots
        self._floor_ppm = PPM - limits.max_drawdown_ppm
        self._last = None

    def mark(self) -> int:
        """Record the account's worth at the mark, for those who decide themselves, and return it in satoshi."""
        state, view = self.state, self.view
        worth = standing(state, self._account)
        view.time_ns = now = state.time_ns
        view.equity_sat = equity = worth.equity_sat(state.mark_sat, now)
        if self.settings.keep_marks:
            self.marks.append(Mark(now, state.mark_sat, worth.lots, equity))
        return equity

    def coast(self, bars: Sequence[Bar], at: int, world: World) -> int:
        """Take in bars from `bars[at]` on while little moves but the mark; return the index of the first one left.

        Equal to the world's events, on_bar_open, on_bar_close and decide for each bar. It stops where more could
        change: before what falls due, at gaps, at swap rates while he offers loans, once a decision was acted on, and
        at once while an order lives, a target is not reached, or in debug mode.
        """
        if self._is_eventful() or self._is_still_to_follow():
            return at
        state, view, account, trader = self.state, self.view, self._account, self.trader
        stop_ns = min(self.exchange.next_due_ns(), world.rate_ns if any(account.offered) else NEVER)
        stale_ns, before_ns = self.settings.limits.stale_after_ns, self.last_market_ns
        worth = standing(state, account)
        peak_sat, floor_sat, observes = self._peak_sat, self._floor_sat(), self.settings.observe
        low_edge, high_edge, asleep_until_ns, *_ = wake = (self._sleeping_target() or AWAKE).wake or SLEEPLESS
        add_mark, new_tuple = self.marks.append, tuple.__new__  # twice as fast as calling Mark
        mark_sat, untold, line_ns, line_sat, slope = state.mark_sat, 0, 0, 0.0, 0.0
        for index in range(at, len(bars)):
            time_ns, close_ns, open_sat, _, _, price_sat, volume_lots = bars[index]
            if close_ns >= stop_ns or not 0 <= time_ns - before_ns <= stale_ns:
                break
            owes = worth.owed is not None
            if owes and (time_ns > before_ns or not worth.is_safe(state, open_sat, time_ns)):
                break  # the open may call or liquidate; across a pause, what was earned in it must be counted first
            if close_ns >= world.next_ns:
                rate_ns, growth = world.rate_ns, self.value.growth_per_retarget
                world.up_to(close_ns)
                worth, line_ns = standing(state, account), 0
                if (wake.on_rates and world.rate_ns != rate_ns) or self.value.growth_per_retarget != growth:
                    asleep_until_ns = 0
            equity_sat = worth.equity_sat(price_sat, close_ns)
            at += 1
            if equity_sat < floor_sat or (owes and not worth.is_safe(state, price_sat, close_ns)):
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
                if close_ns >= line_ns:
                    line_ns, line_sat, slope = self.value.line(close_ns)
                fair = line_sat + slope * (line_ns - close_ns)  # FairValue.value_sat, inlined
                asleep = low_edge <= (price_sat / fair - 1.0 if fair > 0.0 else inf) <= high_edge  # View.edge, inlined
                if asleep and weighs(wake):
                    per_contract = state.contract.lots_per_contract
                    asleep = keeps(wake, exposure_of(worth.lots, price_sat, equity_sat, per_contract))
            if asleep and not observes:
                continue
            self._tell(close_ns, price_sat, untold)
            untold = 0
            view.equity_sat = equity_sat
            view.see_bar(volume_lots)
            target = None if asleep else self._ask()
            if observes:
                self._observe()
            if target is not None:
                low_edge, high_edge, asleep_until_ns, *_ = wake = target.wake or SLEEPLESS
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
        self.last_market_ns = self.view.time_ns = time_ns
        if state.time_ns <= time_ns:  # a block may have come since
            state.time_ns, state.rank = time_ns, RANK_DATA

    def _sleeping_target(self) -> Target | None:
        """Return the last target if it stands until its wake, and the situation is still the same."""
        last = self._last
        return last.target if last is not None and last.situation == self._situation(last.target) else None

    def _is_still_to_follow(self) -> bool:
        """Return whether the strategy may sleep on a target that is not reached: each event takes a step towards it."""
        target = self._sleeping_target()
        return target is not None and not self.trader.is_idle(target)

    def _floor_sat(self) -> int:
        """Return the least equity that is no drawdown to halt at: 0 once halted, or without such a limit."""
        return 0 if self.trader.halted else ceil_div(self._peak_sat * self._floor_ppm, PPM)

    def _ask(self) -> Target:
        """Return the strategy's answer. Raises StrategyError if it fails or is not a target."""
        view, strategy = self.view, self.strategy
        if self.trader.is_stopped:
            self._last = None
            return AWAKE
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
        self._last = Decided(target, self._situation(target)) if target.wake is not None else None
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
        self.observations.append((view.time_ns, sat_from_float_half_even(view.fair_value_sat), low_sat, high_sat))

    # Debug mode ---------------------------------------------------------------------------------------------

    def check(self, marked: bool = False, at_end: bool = False) -> None:
        """Check every invariant, right after a mark the margins too, at the end all orders; raises InvariantError."""
        check(self.state, self._checked_moves, every_order=False)
        if self.settings.debug:  # at the end of any other run, 30,000 blocks would take as long as a tenth of it
            check_shares(self.state, self._checked_moves)
        if isinstance(self.exchange, TwinExchange):
            self.exchange.compare(whole=at_end)
        if marked and not self.state.expired:
            check_margin(self.state)
        self._checked_moves = len(self.state.ledger.moves)

    def _check_decision(self, target: Target) -> None:
        """Name a strategy that answers differently when asked twice, meddles, or would have moved in its sleep."""
        view = self.view
        again = self.strategy.decide(view, self.strategy.params)
        if again != target:
            raise StrategyError(f"{self._at()}: answered {target} and then {again} to one view")
        assert isinstance(self.exchange, TwinExchange)
        try:
            self.exchange.compare()
        except InvariantError as error:
            raise StrategyError(f"{self._at()}: changed the exchange while it was asked: {error}") from error
        last = self._last
        sleeps = last is not None and last.is_asleep(view, self._situation(last.target))
        if last is not None and sleeps and target[:-1] != last.target[:-1]:
            moved = f"moved from {last.target} to {target}"
            raise StrategyError(f"{self._at()}: asleep until {last.target.wake}, {moved}")

    def _situation(self, target: Target) -> tuple[object, ...]:
        """Return what would wake one who answered `target` whenever it changes."""
        state = self.state
        rate_rows = state.rate_rows if target.wake is None or target.wake.on_rates else 0
        return (state.changes, state.conditions, rate_rows, self.value.growth_per_retarget, self.trader.mode)

    # The end ------------------------------------------------------------------------------------------------

    def finish(self, end_ns: int) -> None:
        """Bring the session to `end_ns`: expiry if it lies before, everything accrued posted, one last mark."""
        state = self.state
        self.exchange.reach(end_ns, RANK_OPEN)
        self.exchange.settle()
        worth, now = standing(state, self._account), state.time_ns
        self.marks.append(Mark(now, state.mark_sat, worth.lots, worth.equity_sat(state.mark_sat, now)))
        self.check(at_end=True)


ASKING = (Session._ask.__code__, Session._observe.__code__)
"""The code that calls into a strategy: what a watchdog looks for above the frame that it finds."""
