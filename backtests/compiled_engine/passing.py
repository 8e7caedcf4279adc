"""Stretches of events that are passed by: what proves, from their bounds alone, that nothing happens in them.

The columns of stretches are a pyramid: an entry for 16 events, one for 16 of those, and so on. A stretch that cannot be
passed whole is tried in parts, so that the cost follows what happens, and not how many events there are.
"""

from __future__ import annotations

from typing import Any

from backtests.compiled_engine.journey import (
    BLOCKS_SEEN,
    HIGH_SAT,
    KNOWN_NS,
    LEVELS,
    LONGEST_GAP_NS,
    LOW_SAT,
    SHORTEST_GAP_NS,
    STRETCH_BITS,
    STRETCH_WORDS,
)
from backtests.compiled_engine.shapes import compiles
from backtests.compiled_engine.steps import feed, mark, pass_blocks, pass_rates, sample_row, take_sample, tell
from bot.core.units import NS_PER_S, notional_sat
from strategies.view import exposure_of, keeps, weighs

SLACK_SAT = 8
"""More than all roundings of an equity together: what the bounds of a whole stretch keep away from a limit."""
UNSURE, QUIET, STILL = 0, 1, 2
"""A stretch in which margins may fail or the strategy awake; one in which only the account's worth is to be looked at;
one in which not even that is."""


def pass_by(run: Any, worth: Any, at: int, until_ns: int) -> int:
    """Pass by events from `at` on while nothing happens in them; return the first that must be looked at.

    `until_ns` is when something falls due or the strategy awakes. `run.tries_at` says from where on to try again.
    """
    columns, limit, begun, level = run.columns, heard_at(run), at, 0
    run.earned = run.blocks
    while at < limit:
        bits = STRETCH_BITS * (level + 1)
        place, end = columns.level_at[level] + (at >> bits), min(((at >> bits) + 1) << bits, limit)
        passed = at
        if place < columns.level_at[level + 1] and sleeps_through(run, place, until_ns):
            is_whole = end == ((at >> bits) + 1) << bits
            passed = passed_upto(run, worth, place, at, end, level == 0, is_whole)
        if passed == end:
            at = end
            if level + 1 < LEVELS and at & ((1 << (bits + STRETCH_BITS)) - 1) == 0:
                level += 1
        elif passed == at and level > 0:
            level -= 1
        else:
            at = passed if passed > at else pass_part(run, worth, place, at, end, until_ns)
            break
    if at > begun:
        catch_up(run, begun, at - 1)
    worth.earn(run.state.index)
    worth.key = (worth.key[0], run.state.index, worth.key[2])
    return at


def pass_part(run: Any, worth: Any, place: int, at: int, end: int, until_ns: int) -> int:
    """Pass by the events of a stretch before the one that wakes the strategy, if a look at the edges finds it."""
    columns, last = run.columns, run.last
    run.tries_at = end
    if place >= columns.level_at[1] or not is_without_gaps(run, place):
        return at
    wakes_at = at
    while wakes_at < end and columns.known_ns[wakes_at] < until_ns:
        if not run.stopped and not last.low_edge <= columns.edge[wakes_at] <= last.high_edge:
            break
        wakes_at += 1
    passed = passed_upto(run, worth, place, at, wakes_at, True, False) if wakes_at > at else at
    if passed == wakes_at:
        run.tries_at = passed + 1
    return passed


def heard_at(run: Any) -> int:
    """Return the first event that knows of what wakes the strategy: another growth, or a swap rate if that does."""
    columns = run.columns
    if run.stopped:
        return run.given.events  # type: ignore[no-any-return]
    if run.last.on_rates:
        return min(columns.growth_at[run.blocks], columns.rate_at[run.rates])  # type: ignore[no-any-return]
    return columns.growth_at[run.blocks]  # type: ignore[no-any-return]


def is_without_gaps(run: Any, place: int) -> bool:
    """Return whether no pause lies in a stretch that is told of, or across which a loan must be looked at."""
    shortest_ns, longest_ns = stretch(run, place, SHORTEST_GAP_NS), stretch(run, place, LONGEST_GAP_NS)
    most_ns = 0 if run.owes and run.given.is_bars else run.trader.limits.stale_after_ns
    return shortest_ns >= 0 and longest_ns <= most_ns


def stretch(run: Any, place: int, what: int) -> int:
    """Return a number of a stretch: see Columns."""
    return run.columns.stretches[place * STRETCH_WORDS + what]  # type: ignore[no-any-return]


def sleeps_through(run: Any, place: int, until_ns: int) -> bool:
    """Return whether neither time nor edge wakes the strategy in a stretch, no due time and no pause lies in it."""
    edges, answer = run.columns.stretch_edges, run.last
    if stretch(run, place, KNOWN_NS) >= until_ns or not is_without_gaps(run, place):
        return False
    return run.stopped or (  # type: ignore[no-any-return]
        answer.low_edge <= edges[2 * place] and edges[2 * place + 1] <= answer.high_edge
    )


def passed_upto(run: Any, worth: Any, place: int, at: int, end: int, walks: bool, is_whole: bool) -> int:
    """Pass by the events from `at` to `end`, which lie in one stretch; return how far that went: `at` if not at all.

    Event by event where it `walks`, for what is to be told of each; else only where nothing is.
    """
    kind = kind_of(run, worth, place, end - 1, is_whole)
    if kind == STILL:
        sample(run, worth, end)
        run.passed += 1
        return end
    if kind == QUIET and (walks or run.given.equity_at != 0):
        return walk(run, worth, at, end)
    return at


def kind_of(run: Any, worth: Any, place: int, last: int, is_whole: bool) -> int:
    """Return what bounds say of the events of a stretch up to `last`, its end if `is_whole`, but for time and edge.

    STILL: equity stays between the drawdown's floor and its peak, margins hold and the exposure wakes nobody, at the
    worst of the stretch, the last moment, and whichever end of the dividend index is the worse. Then its dividends
    are counted in.
    """
    columns, state, writes = run.columns, run.state, run.given.equity_at != 0
    if not run.moves:
        return QUIET if writes else STILL
    seen, time_ns = stretch(run, place, BLOCKS_SEEN), stretch(run, place, KNOWN_NS)
    if not is_whole:
        seen, time_ns = columns.blocks_seen[last], columns.known_ns[last]
    low_sat, high_sat = stretch(run, place, LOW_SAT), stretch(run, place, HIGH_SAT)
    is_long, before_sat = worth.margin_lots >= 0, worth.fixed_sat
    if run.owes and is_long and not is_long_safe(state, worth, low_sat, time_ns):
        return UNSURE
    worth.earn(columns.index[seen])
    kind = STILL
    if run.owes and not (
        is_long_safe(state, worth, low_sat, time_ns) if is_long else worth.is_safe(state, high_sat, time_ns)
    ):
        kind = UNSURE
    least_sat, most_sat = min(before_sat, worth.fixed_sat) - SLACK_SAT, max(before_sat, worth.fixed_sat) + SLACK_SAT
    if run.owes:
        least_sat -= worth.owed.due_sat(high_sat, time_ns // NS_PER_S)
    per_contract = state.contract.lots_per_contract
    at_low_sat = notional_sat(worth.lots, low_sat, per_contract)
    at_high_sat = notional_sat(worth.lots, high_sat, per_contract)
    if kind == STILL and not run.stopped and weighs(run.last):
        lots, answer = worth.lots, run.last
        for price_sat, value_sat in ((low_sat, at_low_sat), (high_sat, at_high_sat)):
            most = exposure_of(lots, price_sat, least_sat + value_sat, per_contract)
            least = exposure_of(lots, price_sat, most_sat + value_sat, per_contract)
            if not (keeps(answer, least) and keeps(answer, most)):
                kind = UNSURE
    least_sat += min(at_low_sat, at_high_sat)
    most_sat += max(at_low_sat, at_high_sat)
    if kind == STILL and (writes or least_sat < run.lowest_sat or not is_untold(run, least_sat, most_sat)):
        kind = QUIET
    if kind == STILL:
        run.earned = seen
    else:
        worth.earn(columns.index[run.earned])
    return kind


def is_untold(run: Any, least_sat: int, most_sat: int) -> bool:
    """Return whether an equity between these makes no peak that is asked for, and no deeper fall."""
    if run.given.sampled_at != 0:
        return most_sat <= run.peak_sat and run.peak_sat - least_sat <= run.deepest_sat  # type: ignore[no-any-return]
    return most_sat <= run.peak_sat or run.floor_ppm == 0 or run.trader.halted  # type: ignore[no-any-return]


def is_long_safe(state: Any, worth: Any, low_sat: int, time_ns: int) -> bool:
    """Return whether margins hold at a price so far below the lowest that no rounding matters."""
    worse_sat = low_sat - low_sat // 64 - SLACK_SAT * state.contract.lots_per_contract
    return worse_sat > 0 and worth.is_safe(state, worse_sat, time_ns)  # type: ignore[no-any-return]


def sample(run: Any, worth: Any, end: int) -> None:
    """Tell the equity at those events before `end` at which it is asked for."""
    if run.sample_at >= end:
        return
    while run.sample_at < end:
        if run.moves:
            known_ns, mark_sat, index = sample_row(run)
            worth.earn(index)
            take_sample(run, worth.equity_sat(mark_sat, known_ns))
        else:
            take_sample(run, worth.fixed_sat)
    worth.earn(run.columns.index[run.earned])


def walk(run: Any, worth: Any, at: int, end: int) -> int:
    """Mark the account at each event from `at` to `end`; return the first at which equity is below the floor."""
    columns = run.columns
    for k in range(at, end):
        seen = columns.blocks_seen[k]
        if seen != run.earned:
            run.earned = seen
            worth.earn(columns.index[seen])
        equity_sat = worth.equity_sat(columns.mark_sat[k], columns.known_ns[k])
        if equity_sat < run.lowest_sat:
            return k
        mark(run, k, worth.lots, equity_sat)
    return end


def catch_up(run: Any, first: int, last: int) -> None:
    """Let the exchange know of events `first` to `last`: their blocks and swap rates, the last mark."""
    columns = run.columns
    if run.given.keep_moves:
        feed(run, columns.known_ns[last])
    else:
        pass_blocks(run, columns.blocks_seen[last])
        pass_rates(run, columns.rates_seen[last])
    tell(run, last, last + 1 - first)


for _part in (
    *(pass_by, pass_part, heard_at, stretch, is_without_gaps, sleeps_through, passed_upto, kind_of, is_untold),
    *(is_long_safe, sample, walk, catch_up),
):
    compiles(_part)
