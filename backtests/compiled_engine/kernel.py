"""The leap itself: market events taken in while nothing but the mark moves, by the core's own functions, compiled.

`scan` is a template: `strategy.py` binds `decide`, `PARAMS` and `set_params` to one strategy before it is compiled.
"""

from __future__ import annotations

from math import inf
from typing import Any

from backtests.compiled_engine.answers import Answer
from backtests.compiled_engine.journey import STRETCH, Columns, Departure, Terms
from backtests.compiled_engine.shapes import at_address, compiles, new
from backtests.compiled_engine.structs import (
    COLUMNS,
    CONTRACT_SHAPE,
    INTEREST,
    LENDING,
    RULES,
    STANDING,
    STATE,
    VALUE,
    VIEW,
    replace_offer,
    set_market,
    set_worth,
    show,
)
from bot.core.units import NS_PER_S, PPM, ceil_div, notional_sat
from bot.trader import within

SLACK_SAT = 8
"""More than all roundings of an equity together: what the bounds of a whole stretch keep away from a limit."""


def decide(view: Any, params: Any) -> Any:
    """Stand for the strategy; bound by strategy.py."""
    raise NotImplementedError


PARAMS: Any = None
"""Stands for the struct of the strategy's parameters; bound by strategy.py."""


def set_params(params: Any, whole: Any, real: Any) -> None:
    """Stand for what fills that struct from whole and real numbers; bound by strategy.py."""
    raise NotImplementedError


def _idle(start: Departure) -> Answer:
    """Return what was last reached, its position within the limit."""
    return Answer(
        within(start.idle_lots, start.most_lots),
        start.idle_limit_sat,
        start.idle_financed,
        start.idle_lend_lots,
        start.idle_lend_rate_ppb_day,
        False,
        0.0,
        0.0,
        0,
    )


def _is_sound(answer: Answer, tick_sat: int) -> bool:
    """Return whether strategies.view.target_fault, which asks for types besides, would find nothing."""
    prices = answer.limit_price_sat >= 0 and answer.limit_price_sat % tick_sat == 0
    loans = answer.lend_lots >= 0 and answer.lend_rate_ppb_day >= 0
    return prices and loans and answer.low_edge == answer.low_edge and answer.high_edge == answer.high_edge


def _is_reached(answer: Answer, idle: Answer, most_lots: int) -> bool:
    """Return whether the trader would do nothing for `answer`."""
    return (
        within(answer.position_lots, most_lots) == idle.position_lots
        and answer.limit_price_sat == idle.limit_price_sat
        and answer.financed == idle.financed
        and answer.lend_lots == idle.lend_lots
        and answer.lend_rate_ppb_day == idle.lend_rate_ppb_day
    )


def _opens_safely(worth: Any, market: Any, columns: Columns, at: int, before_ns: int) -> bool:
    """Return whether a bar's open can neither call nor liquidate; what a pause before it earned is not counted yet."""
    opens_ns = columns.open_ns[at]
    return opens_ns <= before_ns and worth.is_safe(market, columns.open_sat[at], opens_ns)  # type: ignore[no-any-return]


def _passes(worth: Any, market: Any, start: Departure, columns: Columns, at: int, limits_sat: tuple[int, int]) -> bool:
    """Return whether a whole stretch can be passed by without a look at its events, with its dividends counted in.

    By bounds: equity stays above the drawdown's floor and below its peak, (floor, peak) = `limits_sat`, and margins
    hold at the worst price of the stretch, the last moment, and whichever end of the dividend index is the worse.
    """
    stretch, last = at // STRETCH, at + STRETCH - 1
    time_ns, low_sat, high_sat = (
        columns.known_ns[last],
        columns.stretch_low_sat[stretch],
        columns.stretch_high_sat[stretch],
    )
    before_sat = worth.fixed_sat
    if start.has_owed and worth.margin_lots >= 0 and not _is_long_safe(worth, market, low_sat, time_ns):
        return False
    worth.earn(columns.index[columns.blocks_seen[last]])
    if start.has_owed and worth.margin_lots >= 0 and not _is_long_safe(worth, market, low_sat, time_ns):
        return False
    if start.has_owed and worth.margin_lots < 0 and not worth.is_safe(market, high_sat, time_ns):
        return False
    per_contract = market.contract.lots_per_contract
    at_low_sat = notional_sat(worth.lots, low_sat, per_contract)
    at_high_sat = notional_sat(worth.lots, high_sat, per_contract)
    least_sat = min(before_sat, worth.fixed_sat) + min(at_low_sat, at_high_sat) - SLACK_SAT
    most_sat = max(before_sat, worth.fixed_sat) + max(at_low_sat, at_high_sat) + SLACK_SAT
    if start.has_owed:
        least_sat -= worth.owed.due_sat(high_sat, time_ns // NS_PER_S)
    floor_sat, peak_sat = limits_sat
    return least_sat >= floor_sat and (most_sat <= peak_sat or start.floor_ppm == 0 or start.halted)


def _is_long_safe(worth: Any, market: Any, low_sat: int, time_ns: int) -> bool:
    """Return whether margins hold at a price so far below the lowest that no rounding matters."""
    worse_sat = low_sat - low_sat // 64 - SLACK_SAT * market.contract.lots_per_contract
    return worse_sat > 0 and worth.is_safe(market, worse_sat, time_ns)  # type: ignore[no-any-return]


def _can_pass(columns: Columns, start: Departure, at: int, before: tuple[int, int], band: tuple[float, float]) -> bool:
    """Return whether nothing wakes the strategy in the stretch at `at`, and no gap or due time lies in it.

    `before` is the rates seen, and when the strategy awakes; `band` the edges it sleeps in.
    """
    stretch, last = at // STRETCH, at + STRETCH - 1
    rates, asleep_until_ns = before
    longest_ns = columns.stretch_longest_gap_ns[stretch]
    return (
        columns.known_ns[last] < min(start.stop_ns, asleep_until_ns)
        and columns.rates_seen[last] == rates
        and band[0] <= columns.stretch_low_edge[stretch]
        and columns.stretch_high_edge[stretch] <= band[1]
        and columns.stretch_shortest_gap_ns[stretch] >= 0
        and longest_ns <= start.stale_after_ns
        and (not start.has_owed or longest_ns == 0 or columns.open_ns[at] == columns.known_ns[at])
    )


for _part in (_idle, _is_sound, _is_reached, _opens_safely, _passes, _is_long_safe, _can_pass):
    compiles(_part)


def scan(columns_at: int, terms: Terms, start: Departure, whole: Any, real: Any) -> Any:
    """Take in events from `start.at` on while little moves but the mark, and return a Landing's fields.

    Equal to Session's events and decide() for each: see Session.coast, of which this is the compiled twin. It ends
    before an event at which more may happen: at `stop_ns`, a gap, a margin call, a drawdown, and where the strategy's
    answer is not what was last reached. Stretches of events that can wake nobody are passed by unseen: the peak
    is then that of the events seen, which is the true one wherever a drawdown is limited.
    """
    columns = at_address(COLUMNS, columns_at)
    market, worth, view, params = new(STATE), new(STANDING), new(VIEW), new(PARAMS)
    set_market(market, new(CONTRACT_SHAPE), new(LENDING), new(RULES), terms, start)
    set_worth(worth, market.contract, new(INTEREST), new(INTEREST), start)
    set_params(params, whole, real)
    view.contract, view._state, view._value, view.position_lots = market.contract, market, new(VALUE), worth.lots
    view.most_lots = start.most_lots
    before_ns, blocks, rates = start.before_ns, start.blocks_seen, start.rates_seen
    worth.earn(columns.index[blocks])
    owes = start.has_owed
    peak_sat, floor_sat = start.peak_sat, ceil_div(start.peak_sat * start.floor_ppm, PPM)
    if start.halted:
        floor_sat = 0
    asleep_until_ns, low_edge, high_edge = start.asleep_until_ns, start.low_edge, start.high_edge
    idle = _idle(start)
    answer, asked, at = idle, False, start.at
    while at < start.stop:
        if at % STRETCH == 0 and at + STRETCH <= start.stop:
            before, band = (rates, asleep_until_ns), (low_edge, high_edge)
            if _can_pass(columns, start, at, before, band):
                if _passes(worth, market, start, columns, at, (floor_sat, peak_sat)):
                    at += STRETCH
                    before_ns, blocks = columns.known_ns[at - 1], columns.blocks_seen[at - 1]
                    continue
                worth.earn(columns.index[blocks])
        known_ns, mark_sat = columns.known_ns[at], columns.mark_sat[at]
        opens_ns = columns.open_ns[at]
        if known_ns >= start.stop_ns or opens_ns < before_ns or opens_ns - before_ns > start.stale_after_ns:
            break
        if owes and opens_ns != known_ns and not _opens_safely(worth, market, columns, at, before_ns):
            break
        if columns.blocks_seen[at] != blocks:
            blocks = columns.blocks_seen[at]
            worth.earn(columns.index[blocks])
        while rates < columns.rates_seen[at]:
            replace_offer(market, columns, rates)
            rates += 1
            asleep_until_ns = 0  # a new swap rate always wakes
        equity = worth.equity_sat(mark_sat, known_ns)
        if equity < floor_sat or (owes and not worth.is_safe(market, mark_sat, known_ns)):
            break
        fair_sat = columns.fair_sat[at]
        edge = mark_sat / fair_sat - 1.0 if fair_sat > 0.0 else inf  # View.edge, inlined
        if known_ns >= asleep_until_ns or not low_edge <= edge <= high_edge:
            show(view, columns, at, blocks, equity)
            latest = decide(view, params)
            if not _is_sound(latest, terms.tick_sat):
                break  # the core says what is wrong with it
            if not start.halted and not _is_reached(latest, idle, start.most_lots):
                break
            answer, asked = latest, True
            low_edge, high_edge = answer.low_edge, answer.high_edge
            asleep_until_ns = answer.at_ns if answer.has_wake else 0
        if equity > peak_sat:
            peak_sat = equity
            if not start.halted:
                floor_sat = ceil_div(peak_sat * start.floor_ppm, PPM)
        before_ns = known_ns
        at += 1
    return at, peak_sat, asked, asleep_until_ns, answer


def fill(columns_at: int, terms: Terms, start: Departure, stop: int, equity_sat: Any) -> None:
    """Compute the equity at each event from `start.at` up to `stop`, all of which a leap took in."""
    columns = at_address(COLUMNS, columns_at)
    market, worth = new(STATE), new(STANDING)
    set_market(market, new(CONTRACT_SHAPE), new(LENDING), new(RULES), terms, start)
    set_worth(worth, market.contract, new(INTEREST), new(INTEREST), start)
    blocks = start.blocks_seen
    worth.earn(columns.index[blocks])
    for at in range(start.at, stop):
        if columns.blocks_seen[at] != blocks:
            blocks = columns.blocks_seen[at]
            worth.earn(columns.index[blocks])
        equity_sat[at] = worth.equity_sat(columns.mark_sat[at], columns.known_ns[at])
