"""The structs that machine code works on: the core's classes with their fields, and the core's functions on them.

Methods and functions are the core's own, compiled as they stand. What stands in for one is in standins.py.
"""

from __future__ import annotations

from typing import Any

from numba import boolean, float64, int64, types

from backtests.compiled_engine.answers import ANSWER
from backtests.compiled_engine.journey import REAL_COLUMNS, Columns, Given, Left
from backtests.compiled_engine.lists import List
from backtests.compiled_engine.makers import makes, tuple_of
from backtests.compiled_engine.shapes import Column, attribute, compiles, shape
from backtests.compiled_engine.wide import WIDE
from bot.core import (
    accrual,
    contract,
    events,
    exchange,
    ledger,
    lending,
    margin,
    matching,
    order,
    settlement,
    state,
    units,
)
from bot.core import decide as rules
from bot.trader import RiskLimits, Trader, within
from strategies.view import View, exposure_of, keeps, weighs

PAIR = types.UniTuple(int64, 2)


def _numbers(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, int64)


class _Now:
    """What the model says at event `at`, after so many blocks: it was computed beforehand, by the model."""

    def value_sat(self: Any, time_ns: int) -> float:
        return self.columns.fair_sat[self.at]  # type: ignore[no-any-return]

    def value_to_long(self: Any, time_ns: int, rate_ppb_day: int) -> float:
        return self.columns.fair_long_sat[self.at]  # type: ignore[no-any-return]

    def value_to_short(self: Any, time_ns: int, rate_ppb_day: int) -> float:
        return self.columns.fair_short_sat[self.at]  # type: ignore[no-any-return]

    def value_to_lender(self: Any, time_ns: int, btc_ppb_day: int, contract_ppb_day: int) -> float:
        return self.columns.fair_lender_sat[self.at]  # type: ignore[no-any-return]

    @property
    def difficulty(self: Any) -> float:
        return self.columns.difficulty[self.blocks]  # type: ignore[no-any-return]

    @property
    def growth_per_retarget(self: Any) -> float:
        return self.columns.growth_per_retarget[self.blocks]  # type: ignore[no-any-return]


class _Shown:
    """What a view has been shown of event `at`: looked up when the strategy asks, most ask for little of it."""

    @property
    def _bid_sat(self: Any) -> int:
        return self._value.columns.bid_sat[self._value.at]  # type: ignore[no-any-return]

    @property
    def _bid_size_lots(self: Any) -> int:
        return self._value.columns.bid_size_lots[self._value.at]  # type: ignore[no-any-return]

    @property
    def _ask_sat(self: Any) -> int:
        return self._value.columns.ask_sat[self._value.at]  # type: ignore[no-any-return]

    @property
    def _ask_size_lots(self: Any) -> int:
        return self._value.columns.ask_size_lots[self._value.at]  # type: ignore[no-any-return]

    @property
    def edge(self: Any) -> float:
        return self._value.columns.edge[self._value.at]  # type: ignore[no-any-return]


def equity_sat(self: Any) -> int:
    """Stand in for the field that Session fills in at each event: most decisions do without."""
    state = self._state
    return margin.standing(state, state.accounts.user).equity_sat(state.mark_sat, self.time_ns)


class Balances:
    """Stands for the ledger's balances: amounts one after another, each account known by its place."""


class Accounts:
    """Stands for the accounts of one exchange with one user."""


class Orders:
    """Stands for all orders by id."""


class Loans:
    """Stands for all loans by id."""


class Cids:
    """Stands for the orders by the users' own ids: a trader never uses one twice."""


class Purses:
    """Stands for the purses of an account by their names."""


COLUMNS = shape(
    Columns,
    {name: Column(float64 if name in REAL_COLUMNS else int64) for name in Columns._fields},
    constant=True,
)
"""The columns as their addresses: an array of them is the struct."""

# The contract and the market --------------------------------------------------------------------------------

LENDING = shape(
    contract.Lending,
    _numbers("min_term_days", "max_term_days", "venue_cut_ppm", "max_rate_ppb_day", "accrual"),
)
MARGIN_STEP = shape(contract.MarginStep, _numbers("from_ns", "initial_ppm", "maintenance_ppm"))
COLLATERAL_STEP = shape(contract.CollateralStep, {"from_ns": int64, "contract_counts": boolean})
CONTRACT_SHAPE = shape(
    contract.Contract,
    {
        **_numbers("lots_per_contract", "tick_sat", "tranche_lots", "hash_rate_hs", "start_ns", "end_ns"),
        **_numbers("margin_call_ppm", "maker_fee_ppm", "taker_fee_ppm", "max_price_sat", "max_notional_sat"),
        "margin": List(MARGIN_STEP),
        "collateral": List(COLLATERAL_STEP),
        "lending": LENDING,
    },
)
RULES = shape(
    state.MarketRules,
    {
        **_numbers("participation_ppm", "half_spread_ppm", "depth_levels", "loan_term_days"),
        "touch_fills": boolean,
        "demand": PAIR,
    },
)

# Accounts ---------------------------------------------------------------------------------------------------

MOVE = types.UniTuple(int64, 6)
BALANCES = shape(Balances, _numbers("items_at"))
LEDGER = shape(
    ledger.Ledger,
    {"balances": BALANCES, "moves": List(MOVE), **_numbers("count", "transaction"), "keep_moves": boolean},
    methods=("begin", "move", "balance"),
)
VENUE = shape(
    ledger.Venue,
    {**_numbers("fees", "interest_cut", "deficit", "dividends", "pool_fee", "pool", "issuance"), "outside": PAIR},
)
INTEREST = shape(
    margin.Interest,
    {
        **_numbers("from_s", "lots_per_contract", "denominator"),
        **dict.fromkeys(("fixed", "fixed_paid", "marked", "marked_paid"), WIDE),
    },
    methods=("add", "due_sat"),
)
STANDING = shape(
    margin.Standing,
    {
        **_numbers("all_sat", "cash_sat", "collateral_lots", "margin_carry", "margin_index", "spot_carry"),
        **_numbers("spot_index", "spot_lots", "fixed_sat", "lots", "margin_fixed_sat", "margin_lots"),
        "key": types.UniTuple(int64, 3),
        "_safe": types.UniTuple(int64, 3),
        "contract": CONTRACT_SHAPE,
        "owed": types.Optional(INTEREST),
        "lent": types.Optional(INTEREST),
    },
    methods=("update", "earn", "equity_sat", "margin_equity_sat", "is_safe", "_is_safe"),
)
PURSE_NAMES = ("exchange", "trading", "deposit", "position", "owed", "lent")
PURSES = shape(Purses, dict.fromkeys(PURSE_NAMES, PAIR))
ACCOUNT = shape(
    ledger.Account,
    {
        "name": int64,
        "purses": PURSES,
        **dict.fromkeys(PURSE_NAMES, PAIR),
        **dict.fromkeys(("reserved", "offered", "loan_ids"), List(int64)),
        **_numbers("spot_index", "spot_carry", "margin_index", "margin_carry"),
        **_numbers("cached_until", "cached_sat", "cached_spot_lots", "cached_margin_lots"),
        "standing": STANDING,
        **dict.fromkeys(("called", "liquidating", "overdue"), boolean),
    },
    methods=("spot_lots", "margin_lots", "refresh"),
)
ACCOUNTS = shape(Accounts, {"market": ACCOUNT, "user": ACCOUNT})

# Orders, offers, loans --------------------------------------------------------------------------------------

PLACE_ORDER = tuple_of(order.PlaceOrder)
for _command in (order.Transfer, order.CancelOrder, order.PlaceOffer, order.CancelOffer):
    tuple_of(_command)
ORDER = shape(
    order.Order,
    {
        "id": int64,
        "command": PLACE_ORDER,
        **_numbers("size_lots", "remaining_lots", "event", "cancelled_lots", "status", "reason"),
        **dict.fromkeys(("active", "rested", "booked", "forced"), boolean),
        "reserved_sat": int64,
    },
    properties=("is_live",),
)
OFFER = shape(
    state.Offer,
    _numbers("id", "lender", "asset", "amount", "remaining", "rate_ppb_day", "term_days"),
)
LOAN = shape(
    state.Loan,
    {
        **_numbers("id", "asset", "borrower", "lender", "amount", "rate_ppb_day", "end_ns", "entry_sat"),
        **_numbers("paid_to_s", "carry"),
        "overdue": boolean,
    },
)
LEVEL = shape(matching.Level, _numbers("price_sat", "lots"))
ORDERS = shape(Orders, {"items": List(ORDER)})
LOANS = shape(Loans, {"items": List(LOAN)})
CIDS = shape(Cids, {"items": int64})
for _cls, _struct in (
    *((order.Order, ORDER), (state.Offer, OFFER), (state.Loan, LOAN), (matching.Level, LEVEL)),
    *((margin.Interest, INTEREST), (margin.Standing, STANDING)),
):
    makes(_cls, _struct)
BAR = tuple_of(events.Bar)
QUOTE = tuple_of(events.Quote)
SWAP_RATE = tuple_of(events.SwapRate)
FILL = tuple_of(events.Fill)
LEG = tuple_of(settlement.Leg, account=ACCOUNT, order=types.Optional(ORDER))
tuple_of(settlement._Before)
NUMBERS = 5
"""So many numbers a notice has at most."""
NOTICE = types.UniTuple(int64, 5 + NUMBERS)
"""Time, user, kind, code of a rejection (or 0), text, and the numbers that go into it."""

# The exchange and who trades on it --------------------------------------------------------------------------

STATE = shape(
    state.State,
    {
        "contract": CONTRACT_SHAPE,
        "rules": RULES,
        "ledger": LEDGER,
        "venue": VENUE,
        "accounts": ACCOUNTS,
        **_numbers("time_ns", "rank", "mark_sat", "bid_sat", "ask_sat", "index", "index_carry", "initial_ppm"),
        **_numbers("maintenance_ppm", "next_id", "lent_lots", "event", "bar_room_lots", "changes", "conditions"),
        **_numbers("rate_rows", "loan_changes", "due_ns", "daily_ns"),
        **dict.fromkeys(("contract_is_collateral", "expired"), boolean),
        "orders": ORDERS,
        "live": List(ORDER),
        "by_cid": CIDS,
        "offers": types.UniTuple(List(OFFER), 2),
        "loans": LOANS,
        "fills": List(FILL),
        "notices": List(NOTICE),
        "market_rate_ppb_day": List(int64),
    },
    methods=("new_id", "balance", "free", "market"),
)
EXCHANGE = shape(
    exchange.Exchange,
    {"state": STATE, "_steps": List(int64)},
    methods=(
        *("_place", "_enter", "_cancel_order", "_transfer", "_offer", "_cancel_offer"),
        *("on_swap_rate", "on_quote", "on_bar_open", "on_bar_close", "reach", "next_due_ns", "_in_order"),
        *("_run_due", "_next_due", "_step_terms", "_pay_and_renew", "_end_loan", "_cover", "_force"),
        *("check_margins", "_check_margin", "settle"),
    ),
)
LIMITS = shape(
    RiskLimits,
    _numbers(
        *("max_position_lots", "max_order_lots", "max_drawdown_ppm", "stale_after_ns", "latency_ns"),
        *("max_block_age_ns", "max_orders_hour", "collar_ppm", "max_borrow_ppm"),
    ),
)
TRADER = shape(
    Trader,
    {
        "state": STATE,
        "account": ACCOUNT,
        "exchange": EXCHANGE,
        "limits": LIMITS,
        "placed_ns": List(int64),
        **_numbers("mode", "last_cid", "_idle_at", "_last_code"),
        **dict.fromkeys(("halted", "is_stopped"), boolean),
        "_idle_target": ANSWER,
    },
    methods=(
        *("follow", "is_idle", "_allowed", "_turn", "_note_answer", "_cancel", "_trade", "note", "_is_held_up"),
        *("_limit_reached", "_next_order", "_worst_price", "_fund_purchase", "_fetch_lots", "_fund_margin"),
        *("_lend", "_offer", "_withdraw_offers"),
    ),
)
VALUE = shape(
    _Now,
    {"columns": COLUMNS, "at": int64, "blocks": int64},
    methods=("value_sat", "value_to_long", "value_to_short", "value_to_lender"),
    properties=("difficulty", "growth_per_retarget"),
)
VIEW = shape(
    View,
    {
        **_numbers("user", "time_ns", "start_ns", "last_block_ns", "most_lots"),
        "contract": CONTRACT_SHAPE,
        "_state": STATE,
        "_value": VALUE,
    },
    methods=("_shown", "swap_rate_ppb_day", "lots_for", "borrowable"),
    properties=(
        "growth_per_retarget",
        *("price_sat", "bid_sat", "ask_sat", "bid_size_lots", "ask_size_lots", "to_expiry_ns", "difficulty"),
        *("fair_value_sat", "fair_long_sat", "fair_short_sat", "fair_lender_sat", "initial_margin_ppm"),
        *("position_lots", "exposure"),
    ),
)

attribute(type(VIEW), "equity_sat", equity_sat)
for _name in ("_bid_sat", "_bid_size_lots", "_ask_sat", "_ask_size_lots", "edge"):
    attribute(type(VIEW), _name, getattr(_Shown, _name).fget)
LISTS = {
    "whole": List(int64),
    "margin": List(MARGIN_STEP),
    "collateral": List(COLLATERAL_STEP),
    "offers": List(OFFER),
    "live": List(ORDER),
    "loans": List(LOAN),
    "fills": List(FILL),
    "notices": List(NOTICE),
    "moves": List(MOVE),
}
GIVEN = shape(Given, _numbers(*Given._fields), constant=True)
LEFT = shape(Left, _numbers(*Left._fields))

for _function in (
    *(units.floor_div, units.ceil_div, units.notional_sat, units.fee_sat, units.share_ppm),
    *(accrual.dividend_sat, accrual.interest_sat, accrual.venue_cut_sat, accrual.index_rise),
    *(state.open_level, state.market_price_sat, within, exposure_of, keeps, weighs),
    *(margin.loan_value_sat, margin.interest_on, margin.standing, margin.margin_equity_sat, margin.requirement_sat),
    *(margin.collateral_sat, margin.room_lots, margin.free_margin_sat),
    *(lending.lender_purse, lending.add_offer, lending.drop_offer, lending.usable, lending.drawable),
    *(lending.market_lots, lending.overdue_lots, lending.fundable, lending.borrow, lending._open_loan),
    *(lending._notional, lending.pay_interest, lending.repay, lending.by_cost, lending.repay_loan),
    *(lending.refinance, lending.on_swap_rate, lending.pass_swap_rates, lending.lend_to_market),
    *(settlement.post_block, settlement.pay_block, settlement.settle_dividends, settlement.capacity_lots),
    *(settlement._payable_lots, settlement._fundable_lots, settlement.dearest_fee_ppm, settlement._cost),
    *(settlement.settle_trade, settlement._is_margin, settlement._purse, settlement._margin_before),
    *(settlement._split, settlement._fund, settlement._unwind, settlement._record, settlement.reserve),
    *(settlement.cancel, settlement.cover_deficit, settlement._sell_collateral, settlement._proceeds),
    *(settlement.expire, settlement._discharge),
    *(matching.quote_levels, matching.by_priority, matching.reduce_to_position, matching.match_users),
    *(matching.crosses, matching.activate, matching.match_quote, matching.match_open, matching.match_close),
    *(matching.eligible, matching.drop_ended, matching._take, matching._trade),
    *(rules._asset_and_amount, rules._enough, rules._transfer, rules._free_collateral_lots, rules._place_offer),
    *(rules._cancel_order, rules._cancel_offer, rules.same_order, rules._place_order, rules._order_form),
    *(rules._would_take, rules._exchange_funds, rules._margin_order),
):
    compiles(_function)
