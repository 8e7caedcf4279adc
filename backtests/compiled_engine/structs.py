"""The structs that machine code works on: the core's classes with the fields that a leap needs, and what fills them.

Methods and functions are the core's own, compiled as they stand. Three stand in for what cannot be compiled: interest
in fixed width (wide.py), what the model says (computed beforehand), what can be borrowed (a list of offers).
"""

from __future__ import annotations

from typing import Any

from numba import boolean, float64, int64, types
from numba.extending import overload_method

from backtests.compiled_engine import wide
from backtests.compiled_engine.journey import REAL_COLUMNS, Accruing, Columns, Departure, Terms
from backtests.compiled_engine.shapes import always, compiles, shape
from bot.core import accrual, margin, state, units
from bot.core.contract import Contract, Lending
from bot.core.events import BTC, CONTRACT
from bot.core.lending import drawable
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


COLUMNS = shape(
    Columns,
    {name: types.CPointer(float64 if name in REAL_COLUMNS else int64) for name in Columns._fields},
)
"""The columns as their addresses: an array of them is the struct."""
LENDING = shape(Lending, _numbers("venue_cut_ppm", "max_rate_ppb_day"))
CONTRACT_SHAPE = shape(
    Contract,
    {
        **_numbers("lots_per_contract", "tick_sat", "tranche_lots", "hash_rate_hs", "start_ns", "end_ns"),
        **_numbers("margin_call_ppm", "maker_fee_ppm", "taker_fee_ppm"),
        "lending": LENDING,
    },
)
RULES = shape(state.MarketRules, _numbers("half_spread_ppm", "participation_ppm"))
STATE = shape(
    state.State,
    {
        **_numbers("mark_sat", "initial_ppm", "maintenance_ppm"),
        "contract_is_collateral": boolean,
        "market_rate_ppb_day": types.UniTuple(int64, 2),
        "offered": types.UniTuple(int64, 2),
        "offered_ppb_day": types.UniTuple(int64, 2),
        "deliverable_lots": int64,
        "contract": CONTRACT_SHAPE,
        "rules": RULES,
    },
)
INTEREST = shape(
    margin.Interest,
    {
        **_numbers("from_s", "fixed", "fixed_paid", "marked", "marked_paid", "lots_per_contract", "denominator"),
        "fixed_paid_real": float64,
        "marked_paid_real": float64,
    },
)
overload_method(type(INTEREST), "due_sat", strict=False)(always(wide.due_sat))
STANDING = shape(
    margin.Standing,
    {
        **_numbers("all_sat", "cash_sat", "collateral_lots", "margin_carry", "margin_index", "spot_carry"),
        **_numbers("spot_index", "spot_lots", "fixed_sat", "lots", "margin_fixed_sat", "margin_lots"),
        "_safe": types.UniTuple(int64, 3),
        "contract": CONTRACT_SHAPE,
        "owed": INTEREST,
        "lent": INTEREST,
    },
    methods=("earn", "equity_sat", "margin_equity_sat", "is_safe", "_is_safe"),
)
VALUE = shape(
    _Now,
    dict.fromkeys(("fair_sat", "fair_long_sat", "fair_short_sat", "fair_lender_sat", "difficulty"), float64),
    methods=("value_sat", "value_to_long", "value_to_short", "value_to_lender"),
)
VIEW = shape(
    View,
    {
        **_numbers("time_ns", "equity_sat", "position_lots", "_bid_sat", "_bid_size_lots", "_ask_sat"),
        **_numbers("_ask_size_lots", "most_lots"),
        "contract": CONTRACT_SHAPE,
        "_state": STATE,
        "_value": VALUE,
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


overload_method(type(VIEW), "lots_of", strict=False)(always(_lots_of))
overload_method(type(VIEW), "borrowable", strict=False)(always(_borrowable))


def set_market(market: Any, contract: Any, lending: Any, rules: Any, terms: Terms, start: Departure) -> None:
    """Fill a STATE with a CONTRACT_SHAPE, a LENDING and RULES."""
    lending.venue_cut_ppm, lending.max_rate_ppb_day = terms.venue_cut_ppm, terms.max_rate_ppb_day
    contract.lots_per_contract, contract.tick_sat = terms.lots_per_contract, terms.tick_sat
    contract.tranche_lots, contract.hash_rate_hs = terms.tranche_lots, terms.hash_rate_hs
    contract.start_ns, contract.end_ns = terms.start_ns, terms.end_ns
    contract.margin_call_ppm = terms.margin_call_ppm
    contract.maker_fee_ppm, contract.taker_fee_ppm = terms.maker_fee_ppm, terms.taker_fee_ppm
    contract.lending = lending
    rules.half_spread_ppm, rules.participation_ppm = terms.half_spread_ppm, terms.participation_ppm
    market.contract, market.rules = contract, rules
    market.initial_ppm, market.maintenance_ppm = start.initial_ppm, start.maintenance_ppm
    market.contract_is_collateral = start.contract_is_collateral
    market.market_rate_ppb_day = (start.btc_rate_ppb_day, start.contract_rate_ppb_day)
    market.offered = (start.btc_offer_sat, start.contract_offer_lots)
    market.offered_ppb_day = (start.btc_offer_ppb_day, start.contract_offer_ppb_day)
    market.deliverable_lots = start.deliverable_lots


def set_interest(interest: Any, per_contract: int, denominator: int, accruing: Accruing) -> None:
    """Fill an INTEREST."""
    interest.lots_per_contract, interest.denominator = per_contract, denominator
    interest.from_s, interest.fixed, interest.marked = accruing.from_s, accruing.fixed, accruing.marked
    interest.fixed_paid, interest.fixed_paid_real = accruing.fixed_paid, accruing.fixed_paid_real
    interest.marked_paid, interest.marked_paid_real = accruing.marked_paid, accruing.marked_paid_real


def set_worth(worth: Any, contract: Any, owed: Any, lent: Any, start: Departure) -> None:
    """Fill a STANDING with two INTERESTs, of which nothing is lent; what it has earned is to be counted in."""
    worth.contract = contract
    worth.all_sat, worth.cash_sat, worth.collateral_lots = start.all_sat, start.cash_sat, start.collateral_lots
    worth.spot_lots, worth.margin_lots = start.spot_lots, start.margin_lots
    worth.lots = start.spot_lots + start.margin_lots
    worth.spot_index, worth.spot_carry = start.spot_index, start.spot_carry
    worth.margin_index, worth.margin_carry = start.margin_index, start.margin_carry
    set_interest(owed, contract.lots_per_contract, start.denominator, start.owed)
    lent.lots_per_contract = lent.denominator = 1
    worth.owed, worth.lent = owed, lent


def show(view: Any, columns: Columns, at: int, blocks: int, equity_sat: int) -> None:
    """Let the view be that of event `at`, after so many blocks."""
    value, view._state.mark_sat = view._value, columns.mark_sat[at]
    view.time_ns, view.equity_sat = columns.known_ns[at], equity_sat
    view._bid_sat, view._bid_size_lots = columns.bid_sat[at], columns.bid_size_lots[at]
    view._ask_sat, view._ask_size_lots = columns.ask_sat[at], columns.ask_size_lots[at]
    value.fair_sat, value.difficulty = columns.fair_sat[at], columns.difficulty[blocks]
    value.fair_long_sat, value.fair_short_sat = columns.fair_long_sat[at], columns.fair_short_sat[at]
    value.fair_lender_sat = columns.fair_lender_sat[at]


def replace_offer(market: Any, columns: Columns, row: int) -> None:
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


for _part in (set_market, set_interest, set_worth, show, replace_offer):
    compiles(_part)
