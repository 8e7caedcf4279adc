"""A whole run in machine code, over the core compiled as it stands.

Where Session.coast takes in bars while little moves but the mark, `leap` does; any other event goes through the
exchange, as in Session.
"""

from __future__ import annotations

from typing import Any

from backtests.compiled_engine.answers import ANSWER, NOTHING
from backtests.compiled_engine.journey import DONE, TOO_WIDE
from backtests.compiled_engine.leaping import leap
from backtests.compiled_engine.lists import allotted, made
from backtests.compiled_engine.makers import as_kind
from backtests.compiled_engine.setting_up import make_exchange, make_trader, make_view
from backtests.compiled_engine.shapes import address_of, at_address, compiles, use_arena, word_at, words
from backtests.compiled_engine.steps import RUN, feed, take, weigh
from backtests.compiled_engine.structs import COLUMNS, GIVEN, LEFT
from bot.core.events import RANK_OPEN
from bot.core.margin import standing
from bot.core.units import PPM
from strategies.view import NEVER

ANSWER_WORDS = words(ANSWER)


def is_narrow(run: Any) -> bool:
    """Return whether all money is so little that no product of the core leaves 64 bits where it is not wide."""
    worth = standing(run.state, run.account)
    most = float(abs(worth.all_sat)) + float(abs(worth.cash_sat))
    return most < float(run.given.most_sat)


compiles(is_narrow)


def course(given_at: int, left_at: int) -> None:
    """Take in all events and the end of the run: see reference.run. What it comes to lies at `left_at`."""
    given, left = at_address(GIVEN, given_at), at_address(LEFT, left_at)
    use_arena(given.arena_at)
    run = made(RUN)
    run.given, run.columns = given, at_address(COLUMNS, given.columns_at)
    run.exchange = exchange = make_exchange(given)
    run.state, run.account = exchange.state, exchange.state.accounts.user
    run.trader = make_trader(exchange, given)
    run.seen = make_view(exchange, run.columns, given.max_position_lots)
    run.peak_sat, run.floor_ppm = given.deposit_sat, PPM - given.max_drawdown_ppm
    run.sample_at = word_at(given.samples_at) if given.samples_at else NEVER
    run.answer_at = allotted(ANSWER_WORDS)
    run.last = as_kind(ANSWER, NOTHING)
    at = 0
    while at < given.events and run.outcome == DONE:
        at = leap(run, at)
        if at < given.events and run.outcome == DONE:
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
        weigh(run, left.equity_sat)
        left.sampled, left.deepest_sat, left.deepest_peak_sat = run.sampled, run.deepest_sat, run.deepest_peak_sat
