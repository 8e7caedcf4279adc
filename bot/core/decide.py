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
    refused,
)
from bot.core.settlement import dearest_fee_ppm
from bot.core.state import State
from bot.core.units import NS_PER_DAY, fee_sat, notional_sat, wide

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
    if isinstance(command, CancelOrder):
        return _cancel_order(state, account, command)
    if isinstance(command, CancelOffer):
        return _cancel_offer(state, account, command)
    return _recall_loan(state, account, command)


def _asset_and_amount(state: State, asset: int, amount: int, only_btc: bool = False) -> Rejection | None:
    if not is_whole(asset) or (asset != BTC and (only_btc or asset != CONTRACT)):
        return refused("BAD_ASSET", "asset {}", asset)
    most = int64_bounds(state.contract).max_notional_sat if asset == BTC else state.contract.tranche_lots
    if not is_whole(amount) or not 0 < amount <= most:
        return refused("BAD_AMOUNT", "{!r} is not a whole number in 1..{}", amount, most)
    return None


def is_whole(number: object) -> bool:
    """Return whether a number that came from outside is an int, not a float or a bool that passes for one."""
    return type(number) is int


def _enough(wallet: str, free: int, amount: int) -> Rejection | None:
    if amount <= free:
        return None
    return refused("NOT_ENOUGH_BALANCE", "{:s} has {} free, {} needed", wallet, free, amount)


def _withdraw(state: State, account: Account, command: Withdraw) -> Rejection | None:
    return _asset_and_amount(state, command.asset, command.amount, only_btc=True) or _enough(
        EXCHANGE, state.free(account, EXCHANGE, command.asset), command.amount
    )


def _transfer(state: State, account: Account, command: Transfer) -> Rejection | None:
    if command.source not in WALLETS or command.target not in WALLETS or command.source == command.target:
        return refused("BAD_WALLET", "{!r} to {!r}", command.source, command.target)
    rejection = _asset_and_amount(state, command.asset, command.amount)
    if rejection is not None:
        return rejection
    free = state.free(account, command.source, command.asset)
    if command.source == TRADING and account.loan_ids:
        if account.liquidating:
            return refused("LIQUIDATING", "{:s}", account.name)
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
    return wide(max(spare, 0)) * per_contract // max(state.mark_sat, 1)


def _place_offer(state: State, account: Account, command: PlaceOffer) -> Rejection | None:
    rejection = _asset_and_amount(state, command.asset, command.amount)
    if rejection is not None:
        return rejection
    lending = state.contract.lending
    rate, days = command.rate_ppb_day, command.term_days
    if not is_whole(rate) or not 0 <= rate <= lending.max_rate_ppb_day:
        return refused("BAD_RATE", "{!r} ppb/day is not in 0..{}", rate, lending.max_rate_ppb_day)
    least, most = lending.min_term_days, lending.max_term_days
    if not is_whole(days) or not least <= days <= most:
        return refused("BAD_TERM", "{!r} days is not in {}..{}", days, least, most)
    return _enough(DEPOSIT, state.free(account, DEPOSIT, command.asset), command.amount)


def _cancel_order(state: State, account: Account, command: CancelOrder) -> Rejection | None:
    order = state.orders.get(command.order_id)
    if order is None or order.command.user != account.name:
        return refused("UNKNOWN_ID", "order {}", command.order_id)
    if not order.is_live:
        return refused("ALREADY_FINAL", "order {} is {:s}", order.id, order.status)
    return refused("LIQUIDATING", "order {} is the venue's", order.id) if order.forced else None


def _cancel_offer(state: State, account: Account, command: CancelOffer) -> Rejection | None:
    for pool in state.offers:
        for offer in pool:
            if offer.id == command.offer_id and offer.lender == account.name:
                return None
    return refused("UNKNOWN_ID", "offer {}", command.offer_id)


def _recall_loan(state: State, account: Account, command: RecallLoan) -> Rejection | None:
    loan = state.loans.get(command.loan_id)
    if loan is None or loan.lender != account.name:
        return refused("UNKNOWN_ID", "loan {}", command.loan_id)
    return refused("ALREADY_FINAL", "loan {} has ended and is being covered", loan.id) if loan.overdue else None


def same_order(state: State, command: PlaceOrder) -> int | None:
    """Return the id of the order that this user's cid names on this UTC day, if any."""
    return state.by_cid.get((command.user, command.cid, command.time_ns // NS_PER_DAY))


def body(command: PlaceOrder) -> tuple[object, ...]:
    """Return what must agree for two commands to name one order: everything but their times; to close is to reduce."""
    return (*command[1:7], command.reduce_only or command.close, command.close)


def _place_order(state: State, account: Account, command: PlaceOrder) -> Rejection | None:
    """Check an order: form first, then what the account and the market allow."""
    form = _order_form(state, command)
    if form is not None:
        return form
    known = same_order(state, command)
    if known is not None:
        if is_same(state.orders[known].command, command):
            return None
        return refused("CID_REUSED", "cid {} is order {}", command.cid, known)
    if command.wallet != EXCHANGE and account.liquidating:
        return refused("LIQUIDATING", "{:s}", account.name)
    if state.mark_sat == 0 and (command.price_sat == 0 or command.wallet == TRADING):
        return refused("NO_MARKET", "no quote or bar yet")
    if command.wallet != EXCHANGE:
        return _margin_order(state, account, command)
    taking = _would_take(state, command, command.size_lots)
    return _exchange_funds(state, account, command) if taking is None else taking


def is_same(command: PlaceOrder, other: PlaceOrder) -> bool:
    """Return whether two commands name one order."""
    return body(command) == body(other)


def _order_form(state: State, command: PlaceOrder) -> Rejection | None:
    contract = state.contract
    reduces = command.reduce_only or command.close
    if command.wallet not in (EXCHANGE, TRADING) or (reduces and command.wallet != TRADING):
        return refused("BAD_WALLET", "{!r}, reduce-only or close {!r}", command.wallet, reduces)
    size, cid, active_ns = command.size_lots, command.cid, command.active_ns
    if not (is_whole(size) and is_whole(cid) and is_whole(active_ns)):
        said = "size, cid and time ({!r}, {!r}, {!r}) are not all whole numbers"
        return refused("BAD_AMOUNT", said, size, cid, active_ns)
    if abs(size) > contract.tranche_lots or (size == 0) != command.close:
        return refused("BAD_AMOUNT", "{} lots are not in 1..{}, nor 0 to close", size, contract.tranche_lots)
    most = int64_bounds(contract).max_price_sat
    price = command.price_sat
    if not is_whole(price) or not 0 <= price <= most or price % contract.tick_sat or (command.post_only and price == 0):
        return refused("BAD_PRICE", "{!r} sat, tick {}, at most {}", price, contract.tick_sat, most)
    return None


def _would_take(state: State, command: PlaceOrder, size_lots: int) -> Rejection | None:
    if not command.post_only:
        return None
    buys = size_lots > 0
    for other in state.live:
        opposite = other.booked and other.is_live and (other.size_lots > 0) != buys
        if opposite and crosses(command.price_sat, other, buys):
            return refused("WOULD_TAKE", "{} sat meets {} sat", command.price_sat, other.command.price_sat)
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
        return refused("NOTHING_TO_REDUCE", "position {} lots, order {}", position, size)
    taking = _would_take(state, command, size)
    if taking is not None:
        return taking
    if command.reduce_only or command.close:
        return None
    after = position + size
    for order in state.live:
        mine = order.is_live and order.command.user == account.name and order.command.wallet == TRADING
        if mine and not order.command.reduce_only and order.remaining_lots * size > 0:
            after += order.remaining_lots
    if abs(after) > abs(position):
        price = max(command.price_sat, state.mark_sat)
        need = requirement_sat(after, price, contract.lots_per_contract, state.initial_ppm)
        equity = margin_equity_sat(state, account, command.time_ns)
        if after < 0 <= position:
            equity -= collateral_sat(state, account)
        if equity < need:
            return refused("NOT_ENOUGH_MARGIN", "equity {} sat, {} lots need {} sat", equity, after, need)
    opening = abs(size) - (min(abs(size), abs(position)) if size * position < 0 else 0)
    if opening and not fundable(state, account.name, BTC if size > 0 else CONTRACT):
        return refused("NO_FUNDING", "{} lots to open", opening)
    return None
