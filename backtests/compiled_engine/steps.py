"""One market event through the exchange, and the decision on it: the compiled twin of Session and of its feed."""

from __future__ import annotations

from typing import Any

from numba import boolean, int64

from backtests.compiled_engine.answers import ANSWER, NOTHING, Answer
from backtests.compiled_engine.calling import asked
from backtests.compiled_engine.journey import NEEDS_MARKS, SAMPLE_WORDS, STRATEGY_FAILED
from backtests.compiled_engine.lists import WORD
from backtests.compiled_engine.shapes import address_of, compiles, set_word_at, shape, value_at, word_at
from backtests.compiled_engine.structs import ACCOUNT, COLUMNS, EXCHANGE, GIVEN, STATE, TRADER, VIEW
from bot.core.events import RANK_BLOCK, RANK_DATA, Bar, Quote, SwapRate
from bot.core.lending import pass_swap_rates
from bot.core.margin import standing
from bot.core.settlement import pay_block, post_block
from bot.core.units import NS_PER_S, PPM, ceil_div
from bot.trader import FLAT
from strategies.view import NEVER, keeps


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
        **dict.fromkeys(("last_changes", "last_conditions", "last_rate_rows", "last_growths", "last_mode"), int64),
        # the deepest fall from a peak, the next sample and how many were taken
        **dict.fromkeys(("deepest_sat", "deepest_peak_sat", "sample_at", "sampled"), int64),
        # of a leap: the equity below which there is a halt, from where on to try to pass events by, up to how many
        # blocks the dividends are counted in, the price down to which and the time up to which a long was found safe;
        # whether the account moves with the mark, owes, may be judged by bounds, the strategy is stopped
        **dict.fromkeys(("lowest_sat", "tries_at", "earned", "safe_sat", "safe_ns"), int64),
        **dict.fromkeys(("moves", "owes", "bounded", "stopped"), boolean),
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
        pay_block(
            run.state, columns.fees_sat[k + 1] - columns.fees_sat[k], columns.nets_sat[k + 1] - columns.nets_sat[k]
        )


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


def pass_rates(run: Any, rates: int) -> None:
    """Let so many swap rates have come while nobody but the market offers anything: only the last of each counts."""
    columns, state = run.columns, run.state
    btc, lots = columns.rate_last_btc[rates], columns.rate_last_lots[rates]
    for row in (min(btc, lots), max(btc, lots)):
        if row >= run.rates:
            passed = row - run.rates
            pass_swap_rates(state, passed, columns.rate_offers[row] - columns.rate_offers[run.rates])
            state.ledger.transaction += passed
            run.rates = row
            take_rate(run)


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
    """Let the view show event `at`, after so many blocks; mark and time are told apart."""
    value = run.seen._value
    value.at, value.blocks = at, run.blocks


def decide(run: Any, at: int) -> None:
    """Mark the account, check the drawdown, ask the strategy unless it sleeps, take the next step: see Session."""
    state, view, trader = run.state, run.seen, run.trader
    if state.expired:
        return
    worth = standing(state, run.account)
    view.time_ns = state.time_ns
    equity = worth.equity_sat(state.mark_sat, state.time_ns)
    mark(run, at, worth.lots, equity)
    if equity < floor_sat(run) and not trader.halted:
        if run.passed and run.floor_ppm == 0 and run.given.sampled_at == 0:
            run.outcome = NEEDS_MARKS  # the peak may have been passed by unseen
        halt(run, equity)
    trader.follow(view, run.last if is_asleep(run) else ask(run))


def mark(run: Any, at: int, lots: int, equity_sat: int) -> None:
    """Record the account's worth at an event, where it is wanted, and whether it is a peak or a deep fall."""
    run.marked = at + 1
    if run.given.equity_at:
        set_word_at(run.given.equity_at + WORD * at, equity_sat)
        set_word_at(run.given.position_at + WORD * at, lots)
    if at == run.sample_at:
        take_sample(run, equity_sat)
    weigh(run, equity_sat)


def weigh(run: Any, equity_sat: int) -> None:
    """Note a new peak, or the deepest fall from one."""
    if equity_sat > run.peak_sat:
        run.peak_sat = equity_sat
        run.lowest_sat = floor_sat(run)
    elif run.peak_sat - equity_sat > run.deepest_sat:
        run.deepest_sat, run.deepest_peak_sat = run.peak_sat - equity_sat, run.peak_sat


def take_sample(run: Any, equity_sat: int) -> None:
    """Keep the equity at the event `run.sample_at`, and look for the next one at which it is wanted."""
    given = run.given
    set_word_at(given.sampled_at + WORD * run.sampled, equity_sat)
    run.sampled += 1
    run.sample_at = word_at(given.samples_at + SAMPLE_WORDS * WORD * run.sampled)


def sample_row(run: Any) -> tuple[int, int, int]:
    """Return time, mark and dividend index at the event `run.sample_at`: see Prepared.rows_of."""
    place = run.given.samples_at + SAMPLE_WORDS * WORD * run.sampled
    return word_at(place + WORD), word_at(place + 2 * WORD), word_at(place + 3 * WORD)


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
    return last.low_edge <= view.edge <= last.high_edge and keeps(last, view.exposure)


def is_same_situation(run: Any) -> bool:
    """Return whether the situation is that of the last answer: see Session."""
    state = run.state
    return (
        state.changes == run.last_changes
        and state.conditions == run.last_conditions
        and (state.rate_rows == run.last_rate_rows or not run.last.on_rates)
        and run.columns.growths[run.blocks] == run.last_growths
        and run.trader.mode == run.last_mode
    )


def ask(run: Any) -> Answer:
    """Return the strategy's answer; nothing if it is stopped."""
    if run.trader.is_stopped:
        run.last = NOTHING
        return NOTHING
    at, given = run.seen._value.at, run.given
    failed = asked(given.ask_at, address_of(run.seen), given.params_at, run.answer_at, at, at + 1) < 0
    return heed(run, failed)


def heed(run: Any, failed: bool) -> Answer:
    """Return the answer that lies where strategies leave theirs, and note what it was given in if it may sleep."""
    answer = value_at(ANSWER, run.answer_at)
    if failed or not is_sound(answer, run.state.contract.tick_sat):
        run.outcome = STRATEGY_FAILED
        return NOTHING
    if not answer.has_wake and not run.last.has_wake:
        return answer  # type: ignore[no-any-return]
    run.last, state = answer, run.state
    run.last_changes, run.last_conditions, run.last_rate_rows = state.changes, state.conditions, state.rate_rows
    run.last_growths, run.last_mode = run.columns.growths[run.blocks], run.trader.mode
    return answer  # type: ignore[no-any-return]


def is_sound(answer: Answer, tick_sat: int) -> bool:
    """Return whether strategies.view.target_fault, which asks for types besides, would find nothing."""
    limit_sat = answer.limit_price_sat
    prices = limit_sat == 0 or (limit_sat > 0 and limit_sat % tick_sat == 0)
    loans = answer.lend_lots >= 0 and answer.lend_rate_ppb_day >= 0
    if not answer.has_wake:
        return prices and loans
    edges = answer.low_edge == answer.low_edge and answer.high_edge == answer.high_edge
    exposures = answer.low_exposure == answer.low_exposure and answer.high_exposure == answer.high_exposure
    return prices and loans and edges and exposures


for _part in (
    *(feed, take_rate, take_block, pass_blocks, pass_rates, tell, take, close_bar, bar_at, tell_gap, see, decide),
    *(mark, weigh, take_sample, sample_row, halt, floor_sat, is_asleep, is_same_situation, ask, heed, is_sound),
):
    compiles(_part)
