"""The leap itself: market events taken in while nothing but the mark moves, by the core's own functions, compiled.

`scan` is a template: `strategy.py` binds `decide` and `make_params` to one strategy before it is compiled.
"""

from __future__ import annotations

from math import inf
from typing import Any

from numba import boolean, float64, int64, types
from numba.experimental.structref import new
from numba.extending import overload_method

from backtests.compiled_engine import wide
from backtests.compiled_engine.answers import Answer
from backtests.compiled_engine.journey import ASK, END, Accruing, Columns, Departure, Terms
from backtests.compiled_engine.shapes import always, compiles, shape
from bot.core import accrual, margin, state, units
from bot.core.contract import Contract, Lending
from bot.core.events import BTC, CONTRACT
from bot.core.lending import drawable
from bot.core.units import PPM, ceil_div
from bot.trader import within
from strategies.view import View

for _function in (
    *(units.floor_div, units.ceil_div, units.notional_sat, units.fee_sat, units.share_ppm),
    *(accrual.dividend_sat, margin.requirement_sat, state.open_level, within, drawable),
):
    compiles(_function)


class _Now:
    """What the model says at the present event: it was computed beforehand, by the model."""

    def value_sat(self: Any, time_ns: int) -> float:
        return self.fair_sat  # type: ignore[no-any-return]

    def value_to_long(self: Any, time_ns: int, rate_ppb_day: int) -> float:
        return self.fair_long_sat  # type: ignore[no-any-return]

    def value_to_short(self: Any, time_ns: int, rate_ppb_day: int) -> float:
        return self.fair_short_sat  # type: ignore[no-any-return]

    def value_to_lender(self: Any, time_ns: int, btc_ppb_day: int, contract_ppb_day: int) -> float:
        return self.fair_lender_sat  # type: ignore[no-any-return]


def _numbers(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, int64)


_LENDING = shape(Lending, _numbers("venue_cut_ppm", "max_rate_ppb_day"))
_CONTRACT = shape(
    Contract,
    {
        **_numbers("lots_per_contract", "tick_sat", "tranche_lots", "hash_rate_hs", "start_ns", "end_ns"),
        **_numbers("margin_call_ppm", "maker_fee_ppm", "taker_fee_ppm"),
        "lending": _LENDING,
    },
)
_RULES = shape(state.MarketRules, _numbers("half_spread_ppm", "participation_ppm"))
_STATE = shape(
    state.State,
    {
        **_numbers("mark_sat", "initial_ppm", "maintenance_ppm"),
        "contract_is_collateral": boolean,
        "market_rate_ppb_day": types.UniTuple(int64, 2),
        "offered": types.UniTuple(int64, 2),
        "offered_ppb_day": types.UniTuple(int64, 2),
        "deliverable_lots": int64,
        "contract": _CONTRACT,
        "rules": _RULES,
    },
)
_INTEREST = shape(
    margin.Interest,
    {
        **_numbers("from_s", "fixed", "fixed_paid", "marked", "marked_paid", "lots_per_contract", "denominator"),
        "fixed_paid_real": float64,
        "marked_paid_real": float64,
    },
)
overload_method(type(_INTEREST), "due_sat", strict=False)(always(wide.due_sat))
_STANDING = shape(
    margin.Standing,
    {
        **_numbers("all_sat", "cash_sat", "collateral_lots", "margin_carry", "margin_index", "spot_carry"),
        **_numbers("spot_index", "spot_lots", "fixed_sat", "lots", "margin_fixed_sat", "margin_lots"),
        "_safe": types.UniTuple(int64, 3),
        "contract": _CONTRACT,
        "owed": _INTEREST,
        "lent": _INTEREST,
    },
    methods=("earn", "equity_sat", "margin_equity_sat", "is_safe", "_is_safe"),
)
_VALUE = shape(
    _Now,
    dict.fromkeys(("fair_sat", "fair_long_sat", "fair_short_sat", "fair_lender_sat", "difficulty"), float64),
    methods=("value_sat", "value_to_long", "value_to_short", "value_to_lender"),
)
_VIEW = shape(
    View,
    {
        **_numbers("time_ns", "equity_sat", "position_lots", "_bid_sat", "_bid_size_lots", "_ask_sat"),
        **_numbers("_ask_size_lots"),
        "contract": _CONTRACT,
        "_state": _STATE,
        "_value": _VALUE,
    },
    methods=("_shown", "swap_rate_ppb_day", "lots_for"),  # and those below
    properties=(
        *("price_sat", "bid_sat", "ask_sat", "bid_size_lots", "ask_size_lots", "to_expiry_ns", "difficulty"),
        *("fair_value_sat", "fair_long_sat", "fair_short_sat", "fair_lender_sat", "edge", "initial_margin_ppm"),
    ),
)


def _lots_of(self: Any, contracts: Any) -> int:
    """Stand in for View.lots_of: compiled code gets a Decimal parameter as the lots that it comes to."""
    return contracts.lots  # type: ignore[no-any-return]


def _borrowable(self: Any, asset: int = CONTRACT) -> int:
    """Stand in for View.borrowable: but for the user, whose own offers do not count, only the market lends."""
    state = self._state
    most = state.deliverable_lots if asset == CONTRACT else state.offered[asset]
    limit = self.contract.lending.max_rate_ppb_day
    return drawable(state.offered[asset], state.offered_ppb_day[asset], limit, most)


overload_method(type(_VIEW), "lots_of", strict=False)(always(_lots_of))
overload_method(type(_VIEW), "borrowable", strict=False)(always(_borrowable))


def decide(view: Any, params: Any) -> Any:
    """Stand for the strategy; bound by strategy.py."""
    raise NotImplementedError


def make_params(whole: Any, real: Any) -> Any:
    """Stand for the strategy's parameters; bound by strategy.py."""
    raise NotImplementedError


def _market(terms: Terms, start: Departure) -> Any:
    lending = new(_LENDING)
    lending.venue_cut_ppm, lending.max_rate_ppb_day = terms.venue_cut_ppm, terms.max_rate_ppb_day
    contract = new(_CONTRACT)
    contract.lots_per_contract, contract.tick_sat = terms.lots_per_contract, terms.tick_sat
    contract.tranche_lots, contract.hash_rate_hs = terms.tranche_lots, terms.hash_rate_hs
    contract.start_ns, contract.end_ns = terms.start_ns, terms.end_ns
    contract.margin_call_ppm = terms.margin_call_ppm
    contract.maker_fee_ppm, contract.taker_fee_ppm = terms.maker_fee_ppm, terms.taker_fee_ppm
    contract.lending = lending
    rules = new(_RULES)
    rules.half_spread_ppm, rules.participation_ppm = terms.half_spread_ppm, terms.participation_ppm
    market = new(_STATE)
    market.contract, market.rules = contract, rules
    market.initial_ppm, market.maintenance_ppm = start.initial_ppm, start.maintenance_ppm
    market.contract_is_collateral = start.contract_is_collateral
    market.market_rate_ppb_day = (start.btc_rate_ppb_day, start.contract_rate_ppb_day)
    market.offered = (start.btc_offer_sat, start.contract_offer_lots)
    market.offered_ppb_day = (start.btc_offer_ppb_day, start.contract_offer_ppb_day)
    market.deliverable_lots = start.deliverable_lots
    return market


def _interest(terms: Terms, denominator: int, accruing: Accruing) -> Any:
    interest = new(_INTEREST)
    interest.lots_per_contract, interest.denominator = terms.lots_per_contract, denominator
    interest.from_s, interest.fixed, interest.marked = accruing.from_s, accruing.fixed, accruing.marked
    interest.fixed_paid, interest.fixed_paid_real = accruing.fixed_paid, accruing.fixed_paid_real
    interest.marked_paid, interest.marked_paid_real = accruing.marked_paid, accruing.marked_paid_real
    return interest


def _worth(terms: Terms, start: Departure, contract: Any) -> Any:
    worth = new(_STANDING)
    worth.contract = contract
    worth.all_sat, worth.cash_sat, worth.collateral_lots = start.all_sat, start.cash_sat, start.collateral_lots
    worth.spot_lots, worth.margin_lots = start.spot_lots, start.margin_lots
    worth.lots = start.spot_lots + start.margin_lots
    worth.spot_index, worth.spot_carry = start.spot_index, start.spot_carry
    worth.margin_index, worth.margin_carry = start.margin_index, start.margin_carry
    worth.owed = _interest(terms, start.denominator, start.owed)
    worth.lent = _interest(terms, start.denominator, start.lent)
    return worth


def _view(market: Any, lots: int) -> Any:
    view = new(_VIEW)
    view.contract, view._state, view._value = market.contract, market, new(_VALUE)
    view.position_lots = lots
    return view


def _show(value: Any, columns: Columns, at: int, blocks: int) -> None:
    """Let the value be what it is at event `at`."""
    value.fair_sat, value.difficulty = columns.fair_sat[at], columns.difficulty[blocks]
    if len(columns.fair_long_sat):
        value.fair_long_sat = columns.fair_long_sat[at]
    if len(columns.fair_short_sat):
        value.fair_short_sat = columns.fair_short_sat[at]
    if len(columns.fair_lender_sat):
        value.fair_lender_sat = columns.fair_lender_sat[at]


def _replace_offer(market: Any, columns: Columns, row: int) -> None:
    """Let a swap-rate row stand in place of the last one of its asset."""
    asset, rate_ppb_day, available = columns.rate_asset[row], columns.rate_ppb_day[row], columns.rate_available[row]
    if asset == BTC:
        market.market_rate_ppb_day = (rate_ppb_day, market.market_rate_ppb_day[CONTRACT])
        market.offered = (available, market.offered[CONTRACT])
        market.offered_ppb_day = (rate_ppb_day, market.offered_ppb_day[CONTRACT])
    else:
        market.market_rate_ppb_day = (market.market_rate_ppb_day[BTC], rate_ppb_day)
        market.offered = (market.offered[BTC], available)
        market.offered_ppb_day = (market.offered_ppb_day[BTC], rate_ppb_day)


def _opens_safely(worth: Any, market: Any, columns: Columns, at: int, before_ns: int) -> bool:
    """Return whether a bar's open can neither call nor liquidate; what a pause before it earned is not counted yet."""
    opens_ns = columns.open_ns[at]
    return opens_ns <= before_ns and worth.is_safe(market, columns.open_sat[at], opens_ns)  # type: ignore[no-any-return]


for _part in (_market, _interest, _worth, _view, _show, _replace_offer, _opens_safely):
    compiles(_part)


def _is_reached(answer: Answer, idle: Answer, most_lots: int) -> bool:
    """Return whether the trader would do nothing for `answer`; one with edges that are no numbers must be refused."""
    return (
        within(answer.position_lots, most_lots) == idle.position_lots
        and answer.limit_price_sat == idle.limit_price_sat
        and answer.financed == idle.financed
        and answer.lend_lots == idle.lend_lots
        and answer.lend_rate_ppb_day == idle.lend_rate_ppb_day
        and answer.low_edge == answer.low_edge
        and answer.high_edge == answer.high_edge
    )


compiles(_is_reached)


def scan(columns: Columns, terms: Terms, start: Departure, whole: Any, real: Any, equity_sat: Any) -> Any:
    """Take in events from `start.at` on while little moves but the mark, and return a Landing's fields.

    Equal to Session's events and decide() for each: see Session.coast, of which this is the compiled twin. It ends
    before an event at which more may happen: at `stop_ns`, a gap, a margin call, a drawdown, and where the strategy's
    answer is not what was last reached. `equity_sat` is filled for the events taken in.
    """
    market = _market(terms, start)
    worth = _worth(terms, start, market.contract)
    view = _view(market, worth.lots)
    value = view._value
    params = make_params(whole, real)
    before_ns, blocks, rates = start.before_ns, start.blocks_seen, start.rates_seen
    worth.earn(columns.index[blocks])
    owes = start.has_owed
    peak_sat, floor_sat = start.peak_sat, ceil_div(start.peak_sat * start.floor_ppm, PPM)
    if start.halted:
        floor_sat = 0
    asleep_until_ns, low_edge, high_edge = start.asleep_until_ns, start.low_edge, start.high_edge
    idle = Answer(
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
    answer, asked = idle, False
    at, why = start.at, END
    while at < start.stop:
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
            _replace_offer(market, columns, rates)
            rates += 1
            asleep_until_ns = 0  # a new swap rate always wakes
        equity = worth.equity_sat(mark_sat, known_ns)
        if equity < floor_sat or (owes and not worth.is_safe(market, mark_sat, known_ns)):
            break
        fair_sat = columns.fair_sat[at]
        edge = mark_sat / fair_sat - 1.0 if fair_sat > 0.0 else inf  # View.edge, inlined
        if known_ns >= asleep_until_ns or not low_edge <= edge <= high_edge:
            market.mark_sat = mark_sat
            _show(value, columns, at, blocks)
            view.time_ns, view.equity_sat = known_ns, equity
            view._bid_sat, view._bid_size_lots = columns.bid_sat[at], columns.bid_size_lots[at]
            view._ask_sat, view._ask_size_lots = columns.ask_sat[at], columns.ask_size_lots[at]
            latest = decide(view, params)
            if not start.halted and not _is_reached(latest, idle, start.most_lots):
                why = ASK
                break
            answer, asked = latest, True
            low_edge, high_edge = answer.low_edge, answer.high_edge
            asleep_until_ns = answer.at_ns if answer.has_wake else 0
        equity_sat[at] = equity
        if equity > peak_sat:
            peak_sat = equity
            if not start.halted:
                floor_sat = ceil_div(peak_sat * start.floor_ppm, PPM)
        before_ns = known_ns
        at += 1
    return at, why, peak_sat, asked, asleep_until_ns, answer
