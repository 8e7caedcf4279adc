"""A whole run in machine code: the compiled twin of Session and of its feed, over the core compiled as it stands.

Where Session.coast takes in bars while little moves but the mark, `leap` does, and passes by whole stretches of them
in which nobody can be woken. Any other event goes through the exchange, as in Session.
"""

from __future__ import annotations

from math import inf
from typing import Any

from numba import int64

from backtests.compiled_engine.answers import ANSWER, NOTHING, Answer
from backtests.compiled_engine.calling import asked
from backtests.compiled_engine.journey import DONE, NEEDS_MARKS, STRATEGY_FAILED, STRETCH, TOO_WIDE
from backtests.compiled_engine.lists import WORD, allotted, made
from backtests.compiled_engine.makers import as_kind
from backtests.compiled_engine.setting_up import make_exchange, make_trader, make_view
from backtests.compiled_engine.shapes import address_of, at_address, compiles, set_word_at, shape, use_arena, value_at
from backtests.compiled_engine.structs import (
    ACCOUNT,
    COLUMNS,
    EXCHANGE,
    GIVEN,
    LEFT,
    STATE,
    TRADER,
    VIEW,
)
from bot.core.events import BTC, RANK_BLOCK, RANK_DATA, RANK_OPEN, Bar, Quote, SwapRate
from bot.core.margin import standing
from bot.core.settlement import pay_block, post_block
from bot.core.units import NS_PER_S, PPM, ceil_div, notional_sat
from bot.trader import FLAT
from strategies.view import NEVER

SLACK_SAT = 8
"""More than all roundings of an equity together: what the bounds of a whole stretch keep away from a limit."""


class Run:
    """A run that goes on: what Session, reference.Feed and View keep, as one struct."""


RUN = shape(
    Run,
    {
        "given": GIVEN,
        "columns": COLUMNS,
        "exchange": EXCHANGE,
        "state": STATE,
        "account": ACCOUNT,
        "trader": TRADER,
        "seen": VIEW,
        **dict.fromkeys(("blocks", "rates", "last_market_ns", "peak_sat", "floor_ppm", "answer_at", "marked"), int64),
        **dict.fromkeys(("passed", "outcome"), int64),
        # the last answer, and the situation in which it was given
        "last": ANSWER,
        **dict.fromkeys(("last_changes", "last_conditions", "last_growths", "last_mode"), int64),
    },
)


# The world --------------------------------------------------------------------------------------------------


def feed(run: Any, time_ns: int) -> None:
    """Feed the exchange every block and swap rate at or before `time_ns`; rates rank first."""
    columns = run.columns
    while True:
        block_ns, rate_ns = columns.block_ns[run.blocks], columns.rate_ns[run.rates]
        if min(block_ns, rate_ns) > time_ns:
            return
        if rate_ns <= block_ns:
            take_rate(run)
        else:
            take_block(run)


def take_rate(run: Any) -> None:
    """Take in the next swap rate."""
    columns, k = run.columns, run.rates
    run.rates = k + 1
    row = SwapRate(columns.rate_ns[k], columns.rate_asset[k], columns.rate_ppb_day[k], columns.rate_available[k])
    run.exchange.on_swap_rate(row)


def take_block(run: Any) -> None:
    """Take in the next block, whose income was computed beforehand: see Exchange.on_block."""
    columns, exchange, k = run.columns, run.exchange, run.blocks
    run.blocks = k + 1
    run.seen.last_block_ns = columns.block_ns[k]
    exchange._in_order(columns.block_ns[k], RANK_BLOCK)
    exchange.reach(columns.block_ns[k], RANK_BLOCK)
    if not run.state.expired and columns.begun[k + 1] > columns.begun[k]:
        pay_block(run.state, columns.fees_sat[k + 1] - columns.fees_sat[k], columns.nets_sat[k + 1] - columns.nets_sat[k])


def pass_blocks(run: Any, blocks: int) -> None:
    """Let so many blocks have come while nothing was due: as take_block for each, all at once without postings."""
    columns, state, k = run.columns, run.state, run.blocks
    if blocks == k:
        return
    run.blocks, run.seen.last_block_ns = blocks, columns.block_ns[blocks - 1]
    if state.ledger.keep_moves:
        for at in range(k, blocks):
            if columns.begun[at + 1] > columns.begun[at]:
                state.ledger.begin()
                fee_sat = columns.fees_sat[at + 1] - columns.fees_sat[at]
                post_block(state, columns.block_ns[at], fee_sat, columns.nets_sat[at + 1] - columns.nets_sat[at])
    else:
        state.ledger.transaction += columns.begun[blocks] - columns.begun[k]
        fee_sat = columns.fees_sat[blocks] - columns.fees_sat[k]
        post_block(state, state.time_ns, fee_sat, columns.nets_sat[blocks] - columns.nets_sat[k])
    state.index, state.index_carry = columns.index[blocks], columns.carry[blocks]


# One event --------------------------------------------------------------------------------------------------


def take(run: Any, at: int) -> None:
    """Take in one market event through the exchange, and decide: as Session does."""
    columns = run.columns
    if run.given.is_bars:
        bar = bar_at(columns, at)
        feed(run, bar.time_ns)
        tell_gap(run, bar.time_ns)
        run.exchange.on_bar_open(bar)
        feed(run, bar.close_ns)
        close_bar(run, at)
    else:
        feed(run, columns.known_ns[at])
        tell_gap(run, columns.known_ns[at])
        bid = columns.bid_sat[at], columns.bid_size_lots[at]
        quote = Quote(columns.known_ns[at], bid[0], bid[1], columns.ask_sat[at], columns.ask_size_lots[at])
        run.exchange.on_quote(quote)
        run.last_market_ns = quote.time_ns
        see(run, at)
        decide(run, at)


def close_bar(run: Any, at: int) -> None:
    """Take in the close of a bar, and decide."""
    bar = bar_at(run.columns, at)
    run.exchange.on_bar_close(bar)
    run.last_market_ns = bar.close_ns
    see(run, at)
    decide(run, at)


def bar_at(columns: Any, at: int) -> Any:
    """Return bar `at`."""
    high_low = columns.high_sat[at], columns.low_sat[at]
    opening = columns.open_ns[at], columns.open_sat[at]
    return Bar(
        opening[0],
        columns.known_ns[at],
        opening[1],
        high_low[0],
        high_low[1],
        columns.mark_sat[at],
        columns.bid_size_lots[at],
    )


def tell_gap(run: Any, time_ns: int) -> None:
    """Tell of a gap before an event: see Session."""
    last_ns = run.last_market_ns
    if last_ns and time_ns - last_ns > run.trader.limits.stale_after_ns:
        gap_s = (time_ns - last_ns) // NS_PER_S  # rounded down
        run.exchange.reach(time_ns, 0)
        run.state.notify(run.account.name, "gap", "no market data for {} s; nothing was filled meanwhile", gap_s)


def see(run: Any, at: int) -> None:
    """Let the view show event `at`, after so many blocks; mark and equity are told apart."""
    columns, view = run.columns, run.seen
    value = view._value
    view._bid_sat, view._bid_size_lots = columns.bid_sat[at], columns.bid_size_lots[at]
    view._ask_sat, view._ask_size_lots = columns.ask_sat[at], columns.ask_size_lots[at]
    value.fair_sat, value.difficulty = columns.fair_sat[at], columns.difficulty[run.blocks]
    value.fair_long_sat, value.fair_short_sat = columns.fair_long_sat[at], columns.fair_short_sat[at]
    value.fair_lender_sat = columns.fair_lender_sat[at]


def decide(run: Any, at: int) -> None:
    """Mark the account, check the drawdown, ask the strategy unless it sleeps, take the next step: see Session."""
    state, view, trader = run.state, run.seen, run.trader
    if state.expired:
        return
    worth = standing(state, run.account)
    view.time_ns = state.time_ns
    view.equity_sat = equity = worth.equity_sat(state.mark_sat, state.time_ns)
    mark(run, at, worth.lots, equity)
    if equity > run.peak_sat:
        run.peak_sat = equity
    elif equity < floor_sat(run) and not trader.halted:
        if run.passed and run.floor_ppm == 0:
            run.outcome = NEEDS_MARKS  # the peak may have been passed by unseen
        halt(run, equity)
    trader.follow(view, run.last if is_asleep(run) else ask(run))


def mark(run: Any, at: int, lots: int, equity_sat: int) -> None:
    """Record the account's worth at an event, where marks are wanted."""
    run.marked = at + 1
    if run.given.equity_at:
        set_word_at(run.given.equity_at + WORD * at, equity_sat)
        set_word_at(run.given.position_at + WORD * at, lots)


def halt(run: Any, equity_sat: int) -> None:
    """Stop the trader: see Trader.halt."""
    said = "equity {} sat is more than the allowed drawdown below {} sat"
    run.trader._turn(FLAT)
    run.state.notify(run.account.name, "halt", said, equity_sat, run.peak_sat)


def floor_sat(run: Any) -> int:
    """Return the least equity that is no drawdown to halt at."""
    return 0 if run.trader.halted else ceil_div(run.peak_sat * run.floor_ppm, PPM)


def is_asleep(run: Any) -> bool:
    """Return whether nothing has happened that the last answer's wake names."""
    last, view = run.last, run.seen
    if not last.has_wake or not is_same_situation(run) or (last.at_ns != NEVER and view.time_ns >= last.at_ns):
        return False
    return last.low_edge <= view.edge <= last.high_edge  # type: ignore[no-any-return]


def is_same_situation(run: Any) -> bool:
    """Return whether the situation is that of the last answer: see Session."""
    state = run.state
    return (  # type: ignore[no-any-return]
        state.changes == run.last_changes
        and state.conditions == run.last_conditions
        and run.columns.growths[run.blocks] == run.last_growths
        and run.trader.mode == run.last_mode
    )


def ask(run: Any) -> Answer:
    """Return the strategy's answer; nothing if it is stopped."""
    if run.trader.is_stopped:
        run.last = NOTHING
        return NOTHING
    failed = asked(run.given.ask_at, address_of(run.seen), run.given.params_at, run.answer_at)
    answer = value_at(ANSWER, run.answer_at)
    if failed or not is_sound(answer, run.state.contract.tick_sat):
        run.outcome = STRATEGY_FAILED
        return NOTHING
    run.last = answer
    state = run.state
    run.last_changes, run.last_conditions = state.changes, state.conditions
    run.last_growths, run.last_mode = run.columns.growths[run.blocks], run.trader.mode
    return answer  # type: ignore[no-any-return]


def is_sound(answer: Answer, tick_sat: int) -> bool:
    """Return whether strategies.view.target_fault, which asks for types besides, would find nothing."""
    prices = answer.limit_price_sat >= 0 and answer.limit_price_sat % tick_sat == 0
    loans = answer.lend_lots >= 0 and answer.lend_rate_ppb_day >= 0
    return prices and loans and answer.low_edge == answer.low_edge and answer.high_edge == answer.high_edge


# Leaps ------------------------------------------------------------------------------------------------------


def is_eventful(run: Any) -> bool:
    """Return whether more than the mark may move at the next event: see Session."""
    account = run.account
    watched = account.called or account.liquidating or account.overdue
    return watched or run.state.expired or len(run.state.live) > 0  # type: ignore[no-any-return]


def leap(run: Any, at: int) -> int:
    """Take in events from `at` on while little moves but the mark; return the first one left: see Session.coast."""
    columns, state, view, account, trader = run.columns, run.state, run.seen, run.account, run.trader
    is_bars, count = run.given.is_bars, run.given.count
    if is_eventful(run):
        return at
    stop_ns = run.exchange.next_due_ns()
    if account.offered[0] or account.offered[1]:
        stop_ns = min(columns.rate_ns[run.rates], stop_ns)
    stale_ns = trader.limits.stale_after_ns
    worth = standing(state, account)
    owes = worth.owed is not None
    passes = run.given.equity_at == 0 and worth.lent is None
    lowest_sat = floor_sat(run)
    asleep_until_ns, low_edge, high_edge = 0, inf, -inf
    if run.last.has_wake and is_same_situation(run) and trader.is_idle(run.last):
        asleep_until_ns, low_edge, high_edge = run.last.at_ns, run.last.low_edge, run.last.high_edge
    stopped = trader.is_stopped and trader.is_idle(NOTHING)
    while at < count:
        before_ns = run.last_market_ns
        if passes and at % STRETCH == 0 and at + STRETCH <= count:
            is_quiet = stopped or asleep_until_ns > 0
            if is_quiet and can_pass(run, at, owes, (stop_ns, asleep_until_ns), (low_edge, high_edge), stopped):
                if bounds_hold(run, worth, at, owes, lowest_sat):
                    at += STRETCH
                    run.passed = 1
                    state.index = columns.index[run.blocks]
                    tell(run, at - 1, STRETCH)
                    continue
        opens_ns, known_ns, mark_sat = columns.open_ns[at], columns.known_ns[at], columns.mark_sat[at]
        if known_ns >= stop_ns or opens_ns < before_ns or opens_ns - before_ns > stale_ns:
            break
        if owes and is_bars and (opens_ns > before_ns or not worth.is_safe(state, columns.open_sat[at], opens_ns)):
            break
        if columns.rates_seen[at] != run.rates or columns.blocks_seen[at] != run.blocks:
            growths = columns.growths[run.blocks]
            if columns.rates_seen[at] != run.rates:
                feed(run, known_ns)
                asleep_until_ns = 0  # a new swap rate always wakes
            else:
                pass_blocks(run, columns.blocks_seen[at])
            if columns.growths[run.blocks] != growths:
                asleep_until_ns = 0  # and so does another growth
            worth = standing(state, account)
        equity = worth.equity_sat(mark_sat, known_ns)
        if equity < lowest_sat or (owes and not worth.is_safe(state, mark_sat, known_ns)):
            if is_bars:
                state.event += 1  # the open, which no order waited for
                close_bar(run, at)
            else:
                take(run, at)
            return at + 1
        tell(run, at, 1)
        at += 1
        mark(run, at - 1, worth.lots, equity)
        if equity > run.peak_sat:
            run.peak_sat = equity
            lowest_sat = floor_sat(run)
        if stopped:
            continue
        if known_ns < asleep_until_ns:
            fair_sat = columns.fair_sat[at - 1]
            edge = mark_sat / fair_sat - 1.0 if fair_sat > 0.0 else inf  # View.edge, inlined
            if low_edge <= edge <= high_edge:
                continue
        view.equity_sat = equity
        see(run, at - 1)
        answer = ask(run)
        if run.outcome != DONE:
            return at
        asleep_until_ns = answer.at_ns if answer.has_wake else 0
        low_edge, high_edge = answer.low_edge, answer.high_edge
        if not trader.is_idle(answer):
            trader.follow(view, answer)
            return at
    return at


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


def can_pass(
    run: Any, at: int, owes: bool, until: tuple[int, int], band: tuple[float, float], stopped: bool
) -> bool:
    """Return whether nothing wakes the strategy in the stretch at `at`, and no gap or due time lies in it.

    `until` is when something is due, and when the strategy awakes; `band` the edges it sleeps in.
    """
    columns = run.columns
    stretch, last = at // STRETCH, at + STRETCH - 1
    longest_ns, known_ns = columns.stretch_longest_gap_ns[stretch], columns.known_ns[last]
    if known_ns >= until[0] or columns.rates_seen[last] != run.rates:
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


def bounds_hold(run: Any, worth: Any, at: int, owes: bool, lowest_sat: int) -> bool:
    """Return whether a whole stretch can be passed by without a look at its events; if so its blocks are taken in.

    By bounds: equity stays above the drawdown's floor and below its peak, and margins hold at the worst price of the
    stretch, the last moment, and whichever end of the dividend index is the worse.
    """
    columns, state = run.columns, run.state
    stretch, last = at // STRETCH, at + STRETCH - 1
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


def is_narrow(run: Any) -> bool:
    """Return whether all money is so little that no product of the core leaves 64 bits where it is not wide."""
    worth = standing(run.state, run.account)
    most = float(abs(worth.all_sat)) + float(abs(worth.cash_sat))
    return most < float(run.given.most_sat)


for _part in (
    *(feed, take_rate, take_block, pass_blocks, take, close_bar, bar_at, tell_gap, see, decide, mark, halt, floor_sat),
    *(is_asleep, is_same_situation, ask, is_sound, is_eventful, leap, tell, can_pass, bounds_hold, is_long_safe),
    is_narrow,
):
    compiles(_part)


def course(given_at: int, left_at: int) -> None:
    """Take in all events and the end of the run: see reference.run. What it comes to lies at `left_at`."""
    given, left = at_address(GIVEN, given_at), at_address(LEFT, left_at)
    use_arena(given.arena_at)
    run = made(RUN)
    run.given, run.columns = given, at_address(COLUMNS, given.columns_at)
    run.exchange = exchange = make_exchange(given)
    run.state, run.account = exchange.state, exchange.state.accounts.user
    run.trader, run.seen = make_trader(exchange, given), make_view(exchange)
    run.peak_sat, run.floor_ppm = given.deposit_sat, PPM - given.max_drawdown_ppm
    run.answer_at = allotted(16)
    run.last = as_kind(ANSWER, NOTHING)
    at = 0
    while at < given.count and run.outcome == DONE:
        at = leap(run, at)
        if at < given.count and run.outcome == DONE:
            take(run, at)
            at += 1
            if not is_narrow(run):
                run.outcome = TOO_WIDE
    left.outcome = run.outcome
    left.state_at = address_of(run.state)
    if run.outcome == DONE:
        feed(run, given.end_ns)
        exchange.reach(given.end_ns, RANK_OPEN)
        exchange.settle()
        worth = standing(run.state, run.account)
        left.marked, left.time_ns, left.mark_sat = run.marked, run.state.time_ns, run.state.mark_sat
        left.lots, left.equity_sat = worth.lots, worth.equity_sat(run.state.mark_sat, run.state.time_ns)


_ = BTC
