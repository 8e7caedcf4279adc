"""The compiled twin of Session.coast: events taken in while little moves but the mark, whole stretches at once."""

from __future__ import annotations

from typing import Any

from backtests.compiled_engine.answers import NOTHING
from backtests.compiled_engine.journey import DONE
from backtests.compiled_engine.passing import (
    is_long_safe,
    is_untold,
    is_without_gaps,
    kind_of,
    pass_by,
    passed_upto,
    sample,
    sleeps_through,
    walk,
)
from backtests.compiled_engine.shapes import compiles
from backtests.compiled_engine.steps import (
    ask,
    close_bar,
    feed,
    floor_sat,
    is_exposure_kept,
    is_same_situation,
    is_sound,
    mark,
    pass_blocks,
    see,
    take,
    take_sample,
    tell,
    weigh,
)
from backtests.compiled_engine.wide import quotient
from bot.core.accrual import dividend_sat
from bot.core.margin import Interest, Standing, standing
from bot.core.units import NS_PER_HOUR, notional_sat
from bot.trader import Trader, within
from strategies.view import NEVER, exposure_of


def is_eventful(run: Any) -> bool:
    """Return whether more than the mark may move at the next event: see Session."""
    account = run.account
    watched = account.called or account.liquidating or account.overdue
    return watched or run.state.expired or len(run.state.live) > 0


def is_still_to_follow(run: Any) -> bool:
    """Return whether the strategy may sleep on a target that is not reached: see Session."""
    return run.last.has_wake and is_same_situation(run) and not run.trader.is_idle(run.last)


def leap(run: Any, at: int) -> int:
    """Take in events from `at` on while little moves but the mark; return the first one left: see Session.coast."""
    columns, state, trader = run.columns, run.state, run.trader
    is_bars, count = run.given.is_bars, run.given.events
    if is_eventful(run) or is_still_to_follow(run):
        return at
    stop_ns, stale_ns = stops_ns(run), trader.limits.stale_after_ns
    worth = begun(run)
    owes, stopped, lends = run.owes, run.stopped, worth.lent is not None
    asleep_until_ns = sleeps_until_ns(run)
    margin = (NEVER, 0)  # the price down to which, and the time up to which, a long was found safe
    news_at = news_from(run)
    while at < count:
        if at >= run.tries_at and not lends and (stopped or asleep_until_ns > 0):
            at = pass_by(run, worth, at, stop_ns if stopped else min(stop_ns, asleep_until_ns))
            news_at = news_from(run)
            if at >= count:
                return at
        known_ns, mark_sat, before_ns = columns.known_ns[at], columns.mark_sat[at], run.last_market_ns
        opens_ns = columns.open_ns[at]
        if known_ns >= stop_ns or opens_ns < before_ns or opens_ns - before_ns > stale_ns:
            break
        is_safe = True
        if owes:
            low_sat = min(columns.open_sat[at], mark_sat)
            margin = safe_down_to(state, worth, low_sat, known_ns, margin)
            is_safe = low_sat >= margin[0] and known_ns <= margin[1]
            if is_bars and opens_ns > before_ns:
                break
        if not is_safe and is_bars and not worth.is_safe(state, columns.open_sat[at], opens_ns):
            break
        if at >= news_at:
            rates, growths = run.rates, columns.growths[run.blocks]
            hear(run, at)
            if (run.last.on_rates and run.rates != rates) or columns.growths[run.blocks] != growths:
                asleep_until_ns = 0
            margin, worth, news_at = (NEVER, 0), standing(state, run.account), news_from(run)
        equity = worth.equity_sat(mark_sat, known_ns)
        if equity < run.lowest_sat or (not is_safe and not worth.is_safe(state, mark_sat, known_ns)):
            meet(run, at)
            return at + 1
        tell(run, at, 1)
        run.looked += 1
        at += 1
        mark(run, at - 1, worth.lots, equity)
        if stopped or (known_ns < asleep_until_ns and is_kept(run, at - 1, worth.lots, equity)):
            continue
        run.seen.equity_sat = equity
        see(run, at - 1)
        answer = ask(run)
        if run.outcome != DONE:
            return at
        asleep_until_ns, run.tries_at = answer.at_ns if answer.has_wake else 0, at
        if not trader.is_idle(answer):
            trader.follow(run.seen, answer)
            return at
    return at


def begun(run: Any) -> Any:
    """Return what the account is worth as a leap begins, and note what stands still in it."""
    worth = standing(run.state, run.account)
    run.owes = worth.owed is not None
    run.moves = run.owes or worth.spot_lots != 0 or worth.margin_lots != 0
    run.stopped = run.trader.is_stopped and run.trader.is_idle(NOTHING)
    run.lowest_sat = floor_sat(run)
    run.tries_at = 0
    return worth


def is_kept(run: Any, at: int, lots: int, equity_sat: int) -> bool:
    """Return whether neither the edge at event `at` nor the exposure wakes the strategy."""
    columns, answer = run.columns, run.last
    if not answer.low_edge <= columns.edge[at] <= answer.high_edge:
        return False
    exposure = exposure_of(lots, columns.mark_sat[at], equity_sat, run.state.contract.lots_per_contract)
    return is_exposure_kept(answer, exposure)


def stops_ns(run: Any) -> int:
    """Return when more than the mark may move next: what falls due, or a swap rate that may take his offers."""
    due_ns = run.exchange.next_due_ns()
    if run.account.offered[0] or run.account.offered[1]:
        return min(run.columns.rate_ns[run.rates], due_ns)  # type: ignore[no-any-return]
    return due_ns  # type: ignore[no-any-return]


def sleeps_until_ns(run: Any) -> int:
    """Return until when the last answer sleeps, if it stands and names a wake; else 0."""
    last = run.last
    return last.at_ns if last.has_wake and is_same_situation(run) else 0


def news_from(run: Any) -> int:
    """Return the first event by which there is another block or swap rate."""
    return min(run.columns.rate_at[run.rates], run.columns.block_at[run.blocks])  # type: ignore[no-any-return]


def hear(run: Any, at: int) -> None:
    """Take in the blocks and swap rates that are known by event `at`."""
    if run.columns.rates_seen[at] != run.rates:
        feed(run, run.columns.known_ns[at])
    else:
        pass_blocks(run, run.columns.blocks_seen[at])


def meet(run: Any, at: int) -> None:
    """Take in an event at which the account is no longer safe, its bar's open, which no order waited for, included."""
    if run.given.is_bars:
        run.state.event += 1
        close_bar(run, at)
    else:
        take(run, at)


def safe_down_to(state: Any, worth: Any, low_sat: int, time_ns: int, known: tuple[int, int]) -> tuple[int, int]:
    """Return the price down to which, and the time up to which, a long is found safe: `known` while that is enough."""
    if (low_sat < known[0] or time_ns > known[1]) and worth.margin_lots >= 0:
        further = (low_sat - low_sat // 64, time_ns + NS_PER_HOUR)
        if is_long_safe(state, worth, further[0], further[1]):
            return further
    return known


ON_EVERY_BAR = (
    *(tell, is_long_safe, see, mark, weigh, take_sample, ask, is_sound, floor_sat, quotient, is_kept, is_exposure_kept),
    *(safe_down_to, is_without_gaps, sleeps_through, passed_upto, kind_of, is_untold, sample, walk, exposure_of),
    *(Standing.equity_sat, Standing.earn, Standing.is_safe, Interest.due_sat, notional_sat, dividend_sat),
    *(Trader.is_idle, Trader._allowed, within),
)
"""What is not called but written out in place in machine code."""

for _part in (
    is_eventful,
    is_still_to_follow,
    leap,
    begun,
    is_kept,
    stops_ns,
    sleeps_until_ns,
    news_from,
    hear,
    meet,
    safe_down_to,
):
    compiles(_part)
