"""The compiled twin of Session.coast: events taken in while little moves but the mark, whole stretches at once."""

from __future__ import annotations

from math import inf
from typing import Any

from backtests.compiled_engine.answers import NOTHING
from backtests.compiled_engine.journey import DONE, STRETCH
from backtests.compiled_engine.shapes import compiles
from backtests.compiled_engine.steps import (
    ask,
    close_bar,
    feed,
    floor_sat,
    is_same_situation,
    is_sound,
    mark,
    pass_blocks,
    see,
    take,
)
from backtests.compiled_engine.wide import quotient
from bot.core.accrual import dividend_sat
from bot.core.events import RANK_DATA
from bot.core.margin import Interest, Standing, standing
from bot.core.units import NS_PER_HOUR, NS_PER_S, notional_sat
from bot.trader import Trader, within
from strategies.view import NEVER

SLACK_SAT = 8
"""More than all roundings of an equity together: what the bounds of a whole stretch keep away from a limit."""


def is_eventful(run: Any) -> bool:
    """Return whether more than the mark may move at the next event: see Session."""
    account = run.account
    watched = account.called or account.liquidating or account.overdue
    return watched or run.state.expired or len(run.state.live) > 0


def leap(run: Any, at: int) -> int:
    """Take in events from `at` on while little moves but the mark; return the first one left: see Session.coast."""
    columns, state, trader = run.columns, run.state, run.trader
    is_bars, count = run.given.is_bars, run.given.events
    if is_eventful(run):
        return at
    stop_ns, stale_ns = stops_ns(run), trader.limits.stale_after_ns
    worth = standing(state, run.account)
    owes = worth.owed is not None
    passes = run.given.equity_at == 0 and worth.lent is None
    lowest_sat = floor_sat(run)
    asleep_until_ns, band = sleep_of(run)
    stopped = trader.is_stopped and trader.is_idle(NOTHING)
    margin = (NEVER, 0)  # the price down to which, and the time up to which, a long was found safe
    news_at = news_from(run)
    tries, is_even, whole = passes, False, count // STRETCH * STRETCH
    while at < count:
        before_ns = run.last_market_ns
        if tries or at % STRETCH == 0:
            end = min((at // STRETCH + 1) * STRETCH, columns.rate_at[run.rates])
            until = (stop_ns, asleep_until_ns)
            is_quiet = passes and (stopped or asleep_until_ns > 0) and at + 1 < end <= whole
            can = is_quiet and can_pass(run, at, end, owes, until, band, stopped)
            if can and bounds_hold(run, worth, at, end, owes, lowest_sat):
                tell(run, end - 1, end - at)
                news_at, at = news_from(run), end
                run.passed += 1
                continue
            tries, is_even = False, at < whole and is_without_gaps(columns, at // STRETCH)
        known_ns, mark_sat = columns.known_ns[at], columns.mark_sat[at]
        opens_ns = before_ns if is_even else columns.open_ns[at]
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
            if run.rates != rates or columns.growths[run.blocks] != growths:
                asleep_until_ns, margin = 0, (NEVER, 0)  # a new swap rate and another growth always wake
            worth, news_at = standing(state, run.account), news_from(run)
        equity = worth.equity_sat(mark_sat, known_ns)
        if equity < lowest_sat or (not is_safe and not worth.is_safe(state, mark_sat, known_ns)):
            meet(run, at)
            return at + 1
        tell(run, at, 1)
        run.looked += 1
        at += 1
        mark(run, at - 1, worth.lots, equity)
        if equity > run.peak_sat:
            run.peak_sat = equity
            lowest_sat = floor_sat(run)
        if stopped:
            continue
        if known_ns < asleep_until_ns:
            fair_sat = columns.fair_sat[at - 1]
            if band[0] <= (mark_sat / fair_sat - 1.0 if fair_sat > 0.0 else inf) <= band[1]:  # View.edge, inlined
                continue
        run.seen.equity_sat = equity
        see(run, at - 1)
        answer = ask(run)
        if run.outcome != DONE:
            return at
        asleep_until_ns, band = (answer.at_ns if answer.has_wake else 0), (answer.low_edge, answer.high_edge)
        tries = passes
        if not trader.is_idle(answer):
            trader.follow(run.seen, answer)
            return at
    return at


def stops_ns(run: Any) -> int:
    """Return when more than the mark may move next: what falls due, or a swap rate that may take his offers."""
    due_ns = run.exchange.next_due_ns()
    if run.account.offered[0] or run.account.offered[1]:
        return min(run.columns.rate_ns[run.rates], due_ns)  # type: ignore[no-any-return]
    return due_ns  # type: ignore[no-any-return]


def sleep_of(run: Any) -> tuple[int, tuple[float, float]]:
    """Return until when, and between which edges, the last answer sleeps: it stands, is reached, and names a wake."""
    last = run.last
    if last.has_wake and is_same_situation(run) and run.trader.is_idle(last):
        return last.at_ns, (last.low_edge, last.high_edge)
    return 0, (inf, -inf)


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


def tell(run: Any, at: int, events: int) -> None:
    """Let the exchange know of events up to `at` that were taken in without it."""
    columns, state = run.columns, run.state
    if run.given.is_bars:
        state.event += 2 * events
    else:
        state.event += events
        state.bid_sat, state.ask_sat = columns.bid_sat[at], columns.ask_sat[at]
    state.mark_sat = columns.mark_sat[at]
    run.last_market_ns = run.seen.time_ns = columns.known_ns[at]
    if state.time_ns <= columns.known_ns[at]:  # a block may have come since
        state.time_ns, state.rank = columns.known_ns[at], RANK_DATA
    run.marked = at + 1


def is_without_gaps(columns: Any, stretch: int) -> bool:
    """Return whether each event of a stretch opens when the one before it was known."""
    return columns.stretch_shortest_gap_ns[stretch] == 0 and columns.stretch_longest_gap_ns[stretch] == 0  # type: ignore[no-any-return]


def can_pass(
    run: Any, at: int, end: int, owes: bool, until: tuple[int, int], band: tuple[float, float], stopped: bool
) -> bool:
    """Return whether nothing wakes the strategy in the stretch from `at` to `end`, and no gap or due time lies in it.

    Both lie in one stretch of the columns: what holds in all of that holds in a part. `until` is when something is due,
    and when the strategy awakes; `band` the edges it sleeps in.
    """
    columns = run.columns
    stretch, last = at // STRETCH, end - 1
    longest_ns, known_ns = columns.stretch_longest_gap_ns[stretch], columns.known_ns[last]
    if known_ns >= until[0]:
        return False
    if columns.stretch_shortest_gap_ns[stretch] < 0 or longest_ns > run.trader.limits.stale_after_ns:
        return False
    if owes and run.given.is_bars and longest_ns > 0:
        return False
    if stopped:
        return True
    return (  # type: ignore[no-any-return]
        known_ns < until[1]
        and band[0] <= columns.stretch_low_edge[stretch]
        and columns.stretch_high_edge[stretch] <= band[1]
        and columns.growths[columns.blocks_seen[last]] == columns.growths[run.blocks]
    )


def bounds_hold(run: Any, worth: Any, at: int, end: int, owes: bool, lowest_sat: int) -> bool:
    """Return whether a stretch can be passed by without a look at its events; if so its blocks are taken in.

    By bounds: equity stays above the drawdown's floor and below its peak, and margins hold at the worst price of the
    stretch, the last moment, and whichever end of the dividend index is the worse.
    """
    columns, state = run.columns, run.state
    stretch, last = at // STRETCH, end - 1
    time_ns, low_sat = columns.known_ns[last], columns.stretch_low_sat[stretch]
    high_sat = columns.stretch_high_sat[stretch]
    before_sat = worth.fixed_sat
    if owes and worth.margin_lots >= 0 and not is_long_safe(state, worth, low_sat, time_ns):
        return False
    worth.earn(columns.index[columns.blocks_seen[last]])
    safe = True
    if owes and worth.margin_lots >= 0:
        safe = is_long_safe(state, worth, low_sat, time_ns)
    elif owes:
        safe = worth.is_safe(state, high_sat, time_ns)
    per_contract = state.contract.lots_per_contract
    at_low_sat = notional_sat(worth.lots, low_sat, per_contract)
    at_high_sat = notional_sat(worth.lots, high_sat, per_contract)
    least_sat = min(before_sat, worth.fixed_sat) + min(at_low_sat, at_high_sat) - SLACK_SAT
    most_sat = max(before_sat, worth.fixed_sat) + max(at_low_sat, at_high_sat) + SLACK_SAT
    if worth.owed is not None:
        least_sat -= worth.owed.due_sat(high_sat, time_ns // NS_PER_S)
    if safe and least_sat >= lowest_sat and (most_sat <= run.peak_sat or run.floor_ppm == 0 or run.trader.halted):
        pass_blocks(run, columns.blocks_seen[last])
        worth.key = (worth.key[0], columns.index[run.blocks], worth.key[2])
        return True
    worth.earn(state.index)
    return False


def is_long_safe(state: Any, worth: Any, low_sat: int, time_ns: int) -> bool:
    """Return whether margins hold at a price so far below the lowest that no rounding matters."""
    worse_sat = low_sat - low_sat // 64 - SLACK_SAT * state.contract.lots_per_contract
    return worse_sat > 0 and worth.is_safe(state, worse_sat, time_ns)  # type: ignore[no-any-return]


ON_EVERY_BAR = (
    *(tell, is_long_safe, is_without_gaps, can_pass, bounds_hold, see, mark, ask, is_sound, floor_sat, quotient),
    safe_down_to,
    *(Standing.equity_sat, Standing.earn, Standing.is_safe, Interest.due_sat, notional_sat, dividend_sat),
    *(Trader.is_idle, Trader._allowed, within),
)
"""What is not called but written out in place in machine code."""

for _part in (
    *(is_eventful, leap, stops_ns, sleep_of, news_from, hear, meet, safe_down_to, tell),
    *(is_without_gaps, can_pass, bounds_hold, is_long_safe),
):
    compiles(_part)
