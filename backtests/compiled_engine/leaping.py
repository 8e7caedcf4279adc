"""The compiled twin of Session.coast: events taken in while little moves but the mark, whole stretches at once."""

from __future__ import annotations

from typing import Any

from backtests.compiled_engine.answers import ANSWER, NOTHING
from backtests.compiled_engine.calling import asked
from backtests.compiled_engine.journey import DONE, KNOWN_NS, STRATEGY_FAILED, STRETCH_BITS
from backtests.compiled_engine.passing import (
    STILL,
    UNSURE,
    is_long_safe,
    is_untold,
    is_without_gaps,
    kind_of,
    pass_by,
    passed_upto,
    sample,
    sleeps_through,
    stretch,
    walk,
)
from backtests.compiled_engine.shapes import address_of, compiles, value_at
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
    take_sample,
    tell,
    weigh,
)
from backtests.compiled_engine.structs import equity_sat
from backtests.compiled_engine.wide import quotient
from bot.core.accrual import dividend_sat
from bot.core.margin import Interest, Standing, standing
from bot.core.units import NS_PER_HOUR, notional_sat
from bot.trader import Trader, within
from strategies.view import NEVER, View, exposure_of, keeps, weighs

NONE, POSSIBLE, AHEAD = 0, 1, 2
"""Whether margins may fail at an event, or it is not to be taken in here."""


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
    if is_eventful(run) or is_still_to_follow(run):
        return at
    columns, trader, count = run.columns, run.trader, run.given.events
    stop_ns, worth = stops_ns(run), begun(run)
    asleep_until_ns, news_at = sleeps_until_ns(run), news_from(run)
    sure_at, kind = at, UNSURE  # up to which event bounds are known to hold, and what they say
    while at < count and run.outcome == DONE:
        if at >= run.tries_at and run.bounded and (run.stopped or asleep_until_ns > 0):
            at = pass_by(run, worth, at, stop_ns if run.stopped else min(stop_ns, asleep_until_ns))
            news_at = news_from(run)
            if at >= count:
                return at
        if at >= sure_at:
            sure_at, kind = sure_until(run, worth, at, stop_ns)
        risk = NONE if kind != UNSURE else risk_at(run, worth, at, stop_ns)
        if risk == AHEAD:
            return at
        if at >= news_at:
            if hear(run, at):
                asleep_until_ns = 0
            worth, news_at, run.safe_sat = standing(run.state, run.account), news_from(run), NEVER
        if kind == STILL and asleep_until_ns == 0:
            settled = attend(run, at, min(sure_at, news_at, run.sample_at))
            if settled > at:
                at = settled
                continue
        if kind != STILL or at == run.sample_at:
            mark_sat, known_ns = columns.mark_sat[at], columns.known_ns[at]
            equity = worth.equity_sat(mark_sat, known_ns)
            if equity < run.lowest_sat or (risk == POSSIBLE and not worth.is_safe(run.state, mark_sat, known_ns)):
                meet(run, at)
                return at + 1
            mark(run, at, worth.lots, equity)
        tell(run, at, 1)
        at += 1
        if run.stopped or (run.seen.time_ns < asleep_until_ns and is_kept(run, worth, at - 1)):
            continue
        see(run, at - 1)
        answer = ask(run)
        if run.outcome != DONE:
            return at
        asleep_until_ns, run.tries_at = answer.at_ns if answer.has_wake else 0, at
        if not trader.is_idle(answer):
            trader.follow(run.seen, answer)
            return at
    return at


def attend(run: Any, at: int, end: int) -> int:
    """Ask the strategy at each event up to `end`, where only it needs a look, while it wants what it has.

    Return the first event at which it does not, or `end`.
    """
    known, given = value_at(ANSWER, run.answer_at), run.given
    if at >= end or run.trader.is_stopped or known.has_wake or not run.trader.is_idle(known):
        return at
    see(run, at)
    settled = asked(given.ask_at, address_of(run.seen), given.params_at, run.answer_at, at, end)
    if settled > at:
        tell(run, settled - 1, settled - at)
    elif settled < 0:
        run.outcome = STRATEGY_FAILED
    return settled  # type: ignore[no-any-return]


def begun(run: Any) -> Any:
    """Return what the account is worth as a leap begins, and note what stands still in it."""
    worth = standing(run.state, run.account)
    run.owes, run.bounded = worth.owed is not None, worth.lent is None
    run.moves = run.owes or worth.spot_lots != 0 or worth.margin_lots != 0
    run.stopped = run.trader.is_stopped and run.trader.is_idle(NOTHING)
    run.lowest_sat, run.tries_at, run.safe_sat = floor_sat(run), 0, NEVER
    return worth


def sure_until(run: Any, worth: Any, at: int, stop_ns: int) -> tuple[int, int]:
    """Return how far bounds say what they say of event `at`, and what that is: see kind_of."""
    columns, place = run.columns, at >> STRETCH_BITS
    end = (place + 1) << STRETCH_BITS
    if not run.bounded or place >= columns.level_at[1] or not is_without_gaps(run, place):
        return end, UNSURE
    if stretch(run, place, KNOWN_NS) >= stop_ns:
        return end, UNSURE
    run.earned = run.blocks
    kind = kind_of(run, worth, place, end - 1, True)
    worth.earn(run.state.index)
    if kind == STILL:
        run.passed += 1  # its peak may go unseen
    return end, kind


def risk_at(run: Any, worth: Any, at: int, stop_ns: int) -> int:
    """Return whether margins may fail at event `at` (POSSIBLE), or it must not be taken in before others (AHEAD)."""
    columns, state, before_ns = run.columns, run.state, run.last_market_ns
    known_ns, opens_ns, open_sat = columns.known_ns[at], columns.open_ns[at], columns.open_sat[at]
    if known_ns >= stop_ns or opens_ns < before_ns or opens_ns - before_ns > run.trader.limits.stale_after_ns:
        return AHEAD
    if not run.owes:
        return NONE
    if run.given.is_bars and opens_ns > before_ns:
        return AHEAD
    low_sat = min(open_sat, columns.mark_sat[at])
    if (low_sat < run.safe_sat or known_ns > run.safe_ns) and worth.margin_lots >= 0:
        further = (low_sat - low_sat // 64, known_ns + NS_PER_HOUR)
        if is_long_safe(state, worth, further[0], further[1]):
            run.safe_sat, run.safe_ns = further
    if low_sat >= run.safe_sat and known_ns <= run.safe_ns:
        return NONE
    return POSSIBLE if not run.given.is_bars or worth.is_safe(state, open_sat, opens_ns) else AHEAD


def is_kept(run: Any, worth: Any, at: int) -> bool:
    """Return whether neither the edge at event `at` nor the exposure wakes the strategy."""
    columns, answer = run.columns, run.last
    if not answer.low_edge <= columns.edge[at] <= answer.high_edge:
        return False
    if not weighs(answer):
        return True
    mark_sat = columns.mark_sat[at]
    equity_sat = worth.equity_sat(mark_sat, columns.known_ns[at])
    exposure = exposure_of(worth.lots, mark_sat, equity_sat, run.state.contract.lots_per_contract)
    return keeps(answer, exposure)


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


def hear(run: Any, at: int) -> bool:
    """Take in the blocks and swap rates that are known by event `at`; return whether what they changed always wakes."""
    columns, rates, growths = run.columns, run.rates, run.columns.growths[run.blocks]
    if columns.rates_seen[at] != rates:
        feed(run, columns.known_ns[at])
    else:
        pass_blocks(run, columns.blocks_seen[at])
    return (run.last.on_rates and run.rates != rates) or columns.growths[run.blocks] != growths  # type: ignore[no-any-return]


def meet(run: Any, at: int) -> None:
    """Take in an event at which the account is no longer safe, its bar's open, which no order waited for, included."""
    if run.given.is_bars:
        run.state.event += 1
        close_bar(run, at)
    else:
        take(run, at)


ON_EVERY_BAR = (
    *(tell, is_long_safe, sure_until, risk_at, see, mark, weigh, take_sample, ask, is_sound, floor_sat, quotient),
    *(is_kept, is_without_gaps, stretch, sleeps_through, passed_upto, kind_of, is_untold, sample, walk),
    *(Standing.equity_sat, Standing.earn, Standing.is_safe, Interest.due_sat, notional_sat, dividend_sat),
    *(Trader.is_idle, Trader._allowed, within, exposure_of, keeps, weighs),
)
"""What is not called but written out in place in machine code."""

IN_EVERY_ANSWER = (
    *(equity_sat, standing, Standing.equity_sat, Interest.due_sat, notional_sat, quotient),
    *(exposure_of, View.lots_for),
)
"""The same for a strategy, besides its own functions."""

for _part in (
    *(is_eventful, is_still_to_follow, leap, attend, begun, sure_until, risk_at, is_kept, stops_ns, sleeps_until_ns),
    *(news_from, hear, meet),
):
    compiles(_part)
