"""The structs of a run, made in its arena as Session makes its objects: the exchange, two accounts, the trader."""

from __future__ import annotations

from typing import Any

from backtests.compiled_engine.lists import WORD, allotted, made
from backtests.compiled_engine.names import number
from backtests.compiled_engine.shapes import at_address, compiles
from backtests.compiled_engine.structs import (
    ACCOUNT,
    ACCOUNTS,
    BALANCES,
    CIDS,
    COLLATERAL_STEP,
    CONTRACT_SHAPE,
    EXCHANGE,
    LEDGER,
    LENDING,
    LIMITS,
    LISTS,
    LOANS,
    MARGIN_STEP,
    ORDERS,
    PURSES,
    RULES,
    STANDING,
    STATE,
    TRADER,
    VALUE,
    VENUE,
    VIEW,
)
from bot.core.events import BTC, CONTRACT, RANK_STRATEGY, RANK_TERMS
from bot.core.ledger import MARKET
from bot.core.units import NS_PER_DAY
from bot.trader import ACTIVE

USER = 1
"""The user's name, as a number."""
OF_MARKET = number(MARKET)
OF_ACTIVE = number(ACTIVE)
STEPS = LISTS["whole"]
MARGIN_STEPS = LISTS["margin"]
COLLATERAL_STEPS = LISTS["collateral"]
OFFERS = LISTS["offers"]
LIVE = LISTS["live"]
ALL_LOANS = LISTS["loans"]
FILLS = LISTS["fills"]
NOTICES = LISTS["notices"]
MOVES = LISTS["moves"]
OUTSIDE = 7
PURSES_FROM = 9
"""Places of balances: seven of the venue and the world, two of outside, twelve of the market, twelve of the user."""
PLACES = 33


def make_contract(given: Any) -> Any:
    """Return the contract."""
    lending, contract = made(LENDING), made(CONTRACT_SHAPE)
    lending.min_term_days, lending.max_term_days = given.min_term_days, given.max_term_days
    lending.venue_cut_ppm, lending.max_rate_ppb_day = given.venue_cut_ppm, given.max_rate_ppb_day
    lending.accrual = given.accrual
    contract.lending = lending
    contract.lots_per_contract, contract.tick_sat = given.lots_per_contract, given.tick_sat
    contract.tranche_lots, contract.hash_rate_hs = given.tranche_lots, given.hash_rate_hs
    contract.start_ns, contract.end_ns = given.start_ns, given.contract_end_ns
    contract.margin_call_ppm = given.margin_call_ppm
    contract.maker_fee_ppm, contract.taker_fee_ppm = given.maker_fee_ppm, given.taker_fee_ppm
    contract.max_price_sat, contract.max_notional_sat = given.max_price_sat, given.max_notional_sat
    contract.margin, contract.collateral = made(MARGIN_STEPS), made(COLLATERAL_STEPS)
    for k in range(given.margins):
        contract.margin.append(at_address(MARGIN_STEP, given.margin_at + 3 * WORD * k))
    for k in range(given.collaterals):
        contract.collateral.append(at_address(COLLATERAL_STEP, given.collateral_at + 2 * WORD * k))
    return contract


def make_rules(given: Any) -> Any:
    """Return the market's rules."""
    rules = made(RULES)
    rules.participation_ppm, rules.half_spread_ppm = given.participation_ppm, given.half_spread_ppm
    rules.depth_levels, rules.touch_fills = given.depth_levels, given.touch_fills != 0
    rules.loan_term_days, rules.demand = given.loan_term_days, (given.demand_sat, given.demand_lots)
    return rules


def make_limits(given: Any) -> Any:
    """Return the trader's limits."""
    limits = made(LIMITS)
    limits.max_position_lots, limits.max_order_lots = given.max_position_lots, given.max_order_lots
    limits.max_drawdown_ppm, limits.stale_after_ns = given.max_drawdown_ppm, given.stale_after_ns
    limits.latency_ns, limits.max_block_age_ns = given.latency_ns, given.max_block_age_ns
    limits.max_orders_hour, limits.collar_ppm = given.max_orders_hour, given.collar_ppm
    limits.max_borrow_ppm = given.max_borrow_ppm
    return limits


def make_account(name: int, first: int) -> Any:
    """Return an account whose balances lie from place `first` on, two for each purse."""
    account, purses = made(ACCOUNT), made(PURSES)
    account.name, account.purses, account.cached_until = name, purses, -1
    account.exchange = purses.exchange = (first, first + 1)
    account.trading = purses.trading = (first + 2, first + 3)
    account.deposit = purses.deposit = (first + 4, first + 5)
    account.position = purses.position = (first + 6, first + 7)
    account.owed = purses.owed = (first + 8, first + 9)
    account.lent = purses.lent = (first + 10, first + 11)
    account.reserved, account.offered, account.loan_ids = made(STEPS), made(STEPS), made(STEPS)
    for _ in range(2):
        account.reserved.append(0)
        account.offered.append(0)
    account.standing = made(STANDING)
    account.standing.key = (-1, -1, -1)  # of nothing that can be: it is summed up when it is first asked for
    return account


def make_state(given: Any) -> Any:
    """Return the state of an exchange on which nothing has happened yet."""
    state, ledger, venue, accounts = made(STATE), made(LEDGER), made(VENUE), made(ACCOUNTS)
    state.contract, state.rules = make_contract(given), make_rules(given)
    ledger.balances, ledger.moves, ledger.keep_moves = made(BALANCES), made(MOVES), given.keep_moves != 0
    ledger.balances.items_at = allotted(PLACES)
    venue.fees, venue.interest_cut, venue.deficit, venue.dividends = 0, 1, 2, 3
    venue.pool_fee, venue.pool, venue.issuance, venue.outside = 4, 5, 6, (OUTSIDE, OUTSIDE + 1)
    accounts.market = make_account(OF_MARKET, PURSES_FROM)
    accounts.user = make_account(USER, PURSES_FROM + 12)
    accounts.market.standing.contract = accounts.user.standing.contract = state.contract
    state.ledger, state.venue, state.accounts = ledger, venue, accounts
    state.orders, state.loans, state.by_cid = made(ORDERS), made(LOANS), made(CIDS)
    state.orders.items, state.loans.items, state.live = made(LIVE), made(ALL_LOANS), made(LIVE)
    state.offers = (made(OFFERS), made(OFFERS))
    state.fills, state.notices, state.market_rate_ppb_day = made(FILLS), made(NOTICES), made(STEPS)
    for _ in range(2):
        state.market_rate_ppb_day.append(0)
    state.next_id = 1
    state.time_ns = given.started_ns
    state.daily_ns = (given.started_ns // NS_PER_DAY + 1) * NS_PER_DAY
    return state


def make_exchange(given: Any) -> Any:
    """Return the exchange with the tranche issued and the user's money there: see Exchange and Session."""
    exchange = made(EXCHANGE)
    exchange.state = state = make_state(given)
    exchange._steps = made(STEPS)
    ledger, venue, contract = state.ledger, state.venue, state.contract
    ledger.begin()
    ledger.move(state.time_ns, "issue", venue.issuance, state.market().exchange[CONTRACT], contract.tranche_lots)
    state.initial_ppm, state.maintenance_ppm = contract.margin[0].initial_ppm, contract.margin[0].maintenance_ppm
    for k in range(len(contract.margin)):
        _add_step(exchange._steps, contract.margin[k].from_ns, state.time_ns)
    for k in range(len(contract.collateral)):
        _add_step(exchange._steps, contract.collateral[k].from_ns, state.time_ns)
    exchange._step_terms(state.time_ns)
    exchange.reach(state.time_ns, RANK_STRATEGY)
    ledger.begin()
    account = state.accounts.user
    ledger.move(state.time_ns, "deposit", venue.outside[BTC], account.exchange[BTC], given.deposit_sat)
    state.rank = RANK_TERMS
    return exchange


def _add_step(steps: Any, from_ns: int, time_ns: int) -> None:
    place = len(steps)
    while place > 0 and steps[place - 1] > from_ns:
        place -= 1
    if from_ns > time_ns and (place == 0 or steps[place - 1] != from_ns):
        steps.insert(place, from_ns)


def make_trader(exchange: Any, given: Any) -> Any:
    """Return the trader of the user's account."""
    trader = made(TRADER)
    trader.exchange, trader.state, trader.account = exchange, exchange.state, exchange.state.accounts.user
    trader.limits, trader.placed_ns = make_limits(given), made(STEPS)
    trader.mode, trader._idle_at = OF_ACTIVE, -1
    return trader


def make_view(exchange: Any, columns: Any, most_lots: int) -> Any:
    """Return what the strategy sees."""
    view = made(VIEW)
    view._state, view._value, view.contract = exchange.state, made(VALUE), exchange.state.contract
    view._value.columns = columns
    view.user, view.most_lots = USER, most_lots
    view.time_ns = view.start_ns = view.last_block_ns = exchange.state.time_ns
    return view


for _part in (
    *(make_contract, make_rules, make_limits, make_account, make_state, make_exchange, _add_step, make_trader),
    make_view,
):
    compiles(_part)
