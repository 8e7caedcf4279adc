"""Whether a command may be carried out: every check, in the order of precedence of REJECTIONS, without any effect."""

from __future__ import annotations

from bot.core import claim
from bot.core.contract import int64_bounds
from bot.core.events import BTC, CONTRACT
from bot.core.ledger import MARKET, Account
from bot.core.lending import fundable
from bot.core.margin import collateral_sat, free_margin_sat, margin_equity_sat, requirement_sat
from bot.core.matching import crosses
from bot.core.order import (
    DEPOSIT,
    EXCHANGE,
    TRADING,
    WALLETS,
    CancelOffer,
    CancelOrder,
    Command,
    Deposit,
    PlaceOffer,
    PlaceOrder,
    RecallLoan,
    Rejection,
    Transfer,
    Withdraw,
)
from bot.core.settlement import dearest_fee_ppm
from bot.core.state import State
from bot.core.units import NS_PER_DAY, fee_sat, notional_sat

OWN_NAMES = ("", MARKET, "venue", "world")
"""Owners of accounts that are nobody's who could log in."""


def decide(state: State, command: Command) -> Rejection | None:
    """Return why `command` is refused, or None if it may be applied. The state is not changed."""
    if command.time_ns < state.time_ns:
        return Rejection("TIME_BEHIND", f"{command.time_ns} ns < {state.time_ns} ns")
    if state.expired and not isinstance(command, Withdraw | Transfer):
        return Rejection("EXPIRED", state.contract.id)
    if type(command.user) is not str or command.user in OWN_NAMES or "/" in command.user:
        return Rejection("UNKNOWN_USER", repr(command.user))
    if isinstance(command, Deposit):
        return _asset_and_amount(state, command.asset, command.amount, only_btc=True)
    account = state.accounts.get(command.user)
    if account is None:
        return Rejection("UNKNOWN_USER", repr(command.user))
    if isinstance(command, PlaceOrder):
        return _place_order(state, account, command)
    if isinstance(command, Withdraw):
        return _withdraw(state, account, command)
    if isinstance(command, Transfer):
        if claim.is_claim(command):
            return claim.refusal(state, account, command)
        return _transfer(state, account, command)
    if isinstance(command, PlaceOffer):
        return _place_offer(state, account, command)
    return _by_id(state, command)


def _asset_and_amount(state: State, asset: int, amount: int, only_btc: bool = False) -> Rejection | None:
    if type(asset) is not int or (asset != BTC and (only_btc or asset != CONTRACT)):
        return Rejection("BAD_ASSET", f"asset {asset}")
    most = int64_bounds(state.contract).max_notional_sat if asset == BTC else state.contract.tranche_lots
    if type(amount) is not int or not 0 < amount <= most:
        return Rejection("BAD_AMOUNT", f"{amount!r} is not a whole number in 1..{most}")
    return None


def _enough(wallet: str, free: int, amount: int) -> Rejection | None:
    if amount <= free:
        return None
    return Rejection("NOT_ENOUGH_BALANCE", f"{wallet} has {free} free, {amount} needed")


def _withdraw(state: State, account: Account, command: Withdraw) -> Rejection | None:
    return _asset_and_amount(state, command.asset, command.amount, only_btc=True) or _enough(
        EXCHANGE, state.free(account, EXCHANGE, command.asset), command.amount
    )


def _transfer(state: State, account: Account, command: Transfer) -> Rejection | None:
    if command.source not in WALLETS or command.target not in WALLETS or command.source == command.target:
        return Rejection("BAD_WALLET", f"{command.source!r} to {command.target!r}")
    rejection = _asset_and_amount(state, command.asset, command.amount)
    if rejection:
        return rejection
    free = state.free(account, command.source, command.asset)
    if command.source == TRADING and account.loan_ids:
        if account.liquidating:
            return Rejection("LIQUIDATING", account.name)
        if command.asset == BTC:
            free = free_margin_sat(state, account, command.time_ns)
        elif state.contract_is_collateral and account.margin_lots(state.ledger) > 0:
            free = min(free, _free_collateral_lots(state, account, command.time_ns))
    return _enough(command.source, free, command.amount)


def _free_collateral_lots(state: State, account: Account, time_ns: int) -> int:
    """Return how many owned lots may leave the trading wallet with initial margin still met, rounded down."""
    per_contract = state.contract.lots_per_contract
    required = requirement_sat(account.margin_lots(state.ledger), state.mark_sat, per_contract, state.initial_ppm)
    spare = margin_equity_sat(state, account, time_ns) - required
    return max(spare, 0) * per_contract // max(state.mark_sat, 1)


def _place_offer(state: State, account: Account, command: PlaceOffer) -> Rejection | None:
    rejection = _asset_and_amount(state, command.asset, command.amount)
    if rejection:
        return rejection
    lending = state.contract.lending
    rate, days = command.rate_ppb_day, command.term_days
    if type(rate) is not int or not 0 <= rate <= lending.max_rate_ppb_day:
        return Rejection("BAD_RATE", f"{rate!r} ppb/day is not in 0..{lending.max_rate_ppb_day}")
    if type(days) is not int or not lending.min_term_days <= days <= lending.max_term_days:
        return Rejection("BAD_TERM", f"{days!r} days is not in {lending.min_term_days}..{lending.max_term_days}")
    return _enough(DEPOSIT, state.free(account, DEPOSIT, command.asset), command.amount)


def _by_id(state: State, command: CancelOrder | CancelOffer | RecallLoan) -> Rejection | None:
    if isinstance(command, CancelOrder):
        order = state.orders.get(command.order_id)
        if order is None or order.command.user != command.user:
            return Rejection("UNKNOWN_ID", f"order {command.order_id}")
        if not order.is_live:
            return Rejection("ALREADY_FINAL", f"order {order.id} is {order.status}")
        return Rejection("LIQUIDATING", f"order {order.id} is the venue's") if order.forced else None
    if isinstance(command, CancelOffer):
        mine = (o.id for pool in state.offers for o in pool if o.lender == command.user)
        found = command.offer_id in mine
        return None if found else Rejection("UNKNOWN_ID", f"offer {command.offer_id}")
    loan = state.loans.get(command.loan_id)
    if loan is None or loan.lender != command.user:
        return Rejection("UNKNOWN_ID", f"loan {command.loan_id}")
    return Rejection("ALREADY_FINAL", f"loan {loan.id} has ended and is being covered") if loan.overdue else None


def same_order(state: State, command: PlaceOrder) -> int | None:
    """Return the id of the order that this user's cid names on this UTC day, if any."""
    return state.by_cid.get((command.user, command.cid, command.time_ns // NS_PER_DAY))


def body(command: PlaceOrder) -> tuple[object, ...]:
    """Return what must agree for two commands to name one order: everything but their times; to close is to reduce."""
    return (*command[1:7], command.reduce_only or command.close, command.close)


def _place_order(state: State, account: Account, command: PlaceOrder) -> Rejection | None:
    """Check an order: form first, then what the account and the market allow."""
    form = _order_form(state, command)
    if form:
        return form
    known = same_order(state, command)
    if known is not None:
        if body(state.orders[known].command) == body(command):
            return None
        return Rejection("CID_REUSED", f"cid {command.cid} is order {known}")
    if command.wallet == EXCHANGE:
        return (
            _market_known(state, command)
            or _would_take(state, command, command.size_lots)
            or _exchange_funds(state, account, command)
        )
    if account.liquidating:
        return Rejection("LIQUIDATING", account.name)
    return _market_known(state, command) or _margin_order(state, account, command)


def _order_form(state: State, command: PlaceOrder) -> Rejection | None:
    contract = state.contract
    reduces = command.reduce_only or command.close
    if command.wallet not in (EXCHANGE, TRADING) or (reduces and command.wallet != TRADING):
        return Rejection("BAD_WALLET", f"{command.wallet!r}, reduce-only or close {reduces}")
    numbers = (command.size_lots, command.cid, command.active_ns)
    if any(type(number) is not int for number in numbers):
        return Rejection("BAD_AMOUNT", f"size, cid and time {numbers!r} are not all whole numbers")
    size = abs(command.size_lots)
    if size > contract.tranche_lots or (size == 0) != command.close:
        return Rejection("BAD_AMOUNT", f"{command.size_lots} lots, close {command.close}, of {contract.tranche_lots}")
    most = int64_bounds(contract).max_price_sat
    price = command.price_sat
    if (
        type(price) is not int
        or not 0 <= price <= most
        or price % contract.tick_sat
        or (command.post_only and price == 0)
    ):
        return Rejection("BAD_PRICE", f"{price!r} sat, tick {contract.tick_sat}, at most {most}")
    return None


def _market_known(state: State, command: PlaceOrder) -> Rejection | None:
    if state.mark_sat == 0 and (command.price_sat == 0 or command.wallet == TRADING):
        return Rejection("NO_MARKET", "no quote or bar yet")
    return None


def _would_take(state: State, command: PlaceOrder, size_lots: int) -> Rejection | None:
    if not command.post_only:
        return None
    buys = size_lots > 0
    for other in state.live:
        opposite = other.booked and other.is_live and (other.size_lots > 0) != buys
        if opposite and crosses(command.price_sat, other, buys):
            return Rejection("WOULD_TAKE", f"{command.price_sat} sat meets {other.command.price_sat} sat")
    return None


def _exchange_funds(state: State, account: Account, command: PlaceOrder) -> Rejection | None:
    if command.size_lots < 0:
        return _enough(EXCHANGE, state.free(account, EXCHANGE, CONTRACT), -command.size_lots)
    contract = state.contract
    price = command.price_sat or state.mark_sat
    amount = notional_sat(command.size_lots, price, contract.lots_per_contract)
    need = amount + fee_sat(amount, dearest_fee_ppm(state))
    return _enough(EXCHANGE, state.free(account, EXCHANGE, BTC), need)


def _margin_order(state: State, account: Account, command: PlaceOrder) -> Rejection | None:
    contract = state.contract
    position = account.margin_lots(state.ledger)
    size = -position if command.close else command.size_lots
    if (command.reduce_only or command.close) and size * position >= 0:
        return Rejection("NOTHING_TO_REDUCE", f"position {position} lots, order {size}")
    taking = _would_take(state, command, size)
    if taking:
        return taking
    if command.reduce_only or command.close:
        return None
    same_side = sum(
        order.remaining_lots
        for order in state.live
        if order.is_live
        and order.command.user == account.name
        and order.command.wallet == TRADING
        and not order.command.reduce_only
        and order.remaining_lots * size > 0
    )
    after = position + same_side + size
    if abs(after) > abs(position):
        price = max(command.price_sat, state.mark_sat)
        need = requirement_sat(after, price, contract.lots_per_contract, state.initial_ppm)
        equity = margin_equity_sat(state, account, command.time_ns)
        if after < 0 <= position:
            equity -= collateral_sat(state, account)
        if equity < need:
            return Rejection("NOT_ENOUGH_MARGIN", f"equity {equity} sat, {after} lots need {need} sat")
    opening = abs(size) - (min(abs(size), abs(position)) if size * position < 0 else 0)
    if opening and not fundable(state, account.name, BTC if size > 0 else CONTRACT):
        return Rejection("NO_FUNDING", f"{opening} lots to open")
    return None
