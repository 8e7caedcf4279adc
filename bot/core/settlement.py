"""How a trade, a dividend and the end of the contract are settled in the ledger."""

from __future__ import annotations

from typing import NamedTuple

from bot.core.accrual import block_income_sat, dividend_sat, index_rise, pool_fee_sat
from bot.core.events import BTC, CONTRACT, Block, Fill
from bot.core.ledger import MARKET, Account
from bot.core.lending import borrow, drop_offer, fundable, market_lots, pay_interest, repay
from bot.core.margin import room_lots
from bot.core.order import CANCELLED, EXCHANGE, FILLED, PARTIAL, Order
from bot.core.state import State, market_price_sat, open_level
from bot.core.units import PPM, ceil_div, fee_sat, notional_sat, wide


class Leg(NamedTuple):
    """One side of a trade; `order` None is the market, which is always ready and pays no fee."""

    account: Account
    order: Order | None
    maker: bool


def on_block(state: State, block: Block) -> None:
    """Let a block raise the dividend index: income less the pool's fee goes to the holders. O(1) in holders."""
    contract = state.contract
    income = block_income_sat(contract, block)
    if income:
        fee = pool_fee_sat(income, contract.payout.fee_ppm)
        pay_block(state, fee, income - fee)


def pay_block(state: State, fee_sat: int, net_sat: int) -> None:
    """Post what a block brings and let the index rise by what the holders get of it."""
    state.ledger.begin()
    post_block(state, state.time_ns, fee_sat, net_sat)
    rise, state.index_carry = index_rise(net_sat, state.index_carry, state.contract.tranche_lots)
    state.index += rise


def post_block(state: State, time_ns: int, fee_sat: int, net_sat: int) -> None:
    """Post what a block brings: the pool's fee, and the rest to those who are owed dividends."""
    ledger, venue = state.ledger, state.venue
    ledger.move(time_ns, "block", venue.pool, venue.pool_fee, fee_sat, touches_users=False)
    ledger.move(time_ns, "block", venue.pool, venue.dividends, net_sat, touches_users=False)


def settle_dividends(state: State, account: Account) -> None:
    """Pay `account` what its holdings have earned since it was last settled; a short pays."""
    index = state.index
    ledger = state.ledger
    if account.spot_index != index:
        lots = account.spot_lots(ledger)
        due, account.spot_carry = dividend_sat(lots, index - account.spot_index, account.spot_carry)
        account.spot_index = index
        ledger.move(state.time_ns, "dividend", state.venue.dividends, account.exchange[BTC], due)
    if account.margin_index != index:
        lots = account.margin_lots(ledger)
        due, account.margin_carry = dividend_sat(lots, index - account.margin_index, account.margin_carry)
        account.margin_index = index
        ledger.move(state.time_ns, "dividend", state.venue.dividends, account.trading[BTC], due)


def capacity_lots(state: State, leg: Leg, buys: bool, price_sat: int, with_user: bool) -> tuple[int, str]:
    """Return how many lots a leg can pay, deliver, fund and margin at `price_sat`, and what is lacking for more.

    A large number if nothing binds. Trades with another user, who may be the same person, are held to more: see
    `margin.room_lots`.
    """
    account, order, _ = leg
    if order is None:
        return (state.contract.tranche_lots if buys else market_lots(state)), ""
    if order.command.wallet == EXCHANGE:
        return (_payable_lots(state, account, order, price_sat) if buys else abs(order.remaining_lots)), (
            "NOT_ENOUGH_BALANCE"
        )
    position = account.margin_lots(state.ledger)
    closing = max(-position if buys else position, 0)
    worst = market_price_sat(state, buys)
    fair = not with_user or (price_sat <= worst if buys else price_sat >= worst)
    if closing >= abs(order.remaining_lots) and fair:
        return closing, ""
    funded = closing + _fundable_lots(state, account, buys, price_sat)
    room = room_lots(state, account, buys, price_sat, fair)
    return (room, "NOT_ENOUGH_MARGIN") if room < funded else (funded, "NO_FUNDING")


def _payable_lots(state: State, account: Account, order: Order, price_sat: int) -> int:
    per_contract = state.contract.lots_per_contract
    cash = state.free(account, EXCHANGE, BTC) + order.reserved_sat
    fee_ppm = dearest_fee_ppm(state)
    lots = wide(max(cash, 0)) * (PPM * per_contract) // ((PPM + fee_ppm) * price_sat)
    while lots and _cost(lots, price_sat, per_contract, fee_ppm) > cash:
        lots -= 1
    return lots


def _fundable_lots(state: State, account: Account, buys: bool, price_sat: int) -> int:
    """Return how many lots the lenders can fund.

    Rounded down, so that a purchase's exact amount is at most what can be borrowed; then so is what `_fund` borrows,
    the difference of two rounded amounts.
    """
    if not buys:
        return fundable(state, account.name, CONTRACT)
    return wide(fundable(state, account.name, BTC)) * state.contract.lots_per_contract // price_sat


def dearest_fee_ppm(state: State) -> int:
    """Return the higher of the maker and the taker fee: what an order must be able to pay."""
    return max(state.contract.taker_fee_ppm, state.contract.maker_fee_ppm)


def _cost(lots: int, price_sat: int, per_contract: int, fee_ppm: int) -> int:
    amount = notional_sat(lots, price_sat, per_contract)
    return amount + fee_sat(amount, fee_ppm)


def settle_trade(state: State, buyer: Leg, seller: Leg, lots: int, price_sat: int) -> None:
    """Carry out a trade of `lots` > 0 at `price_sat`: funding, delivery, payment, fees, repayment, fills."""
    state.ledger.begin()
    state.changes += 1
    amount = notional_sat(lots, price_sat, state.contract.lots_per_contract)
    for leg in (buyer, seller):
        settle_dividends(state, leg.account)
    before = (_margin_before(state, buyer), _margin_before(state, seller))
    _fund(state, buyer, lots, before[0], price_sat)
    _fund(state, seller, -lots, before[1], price_sat)
    now = state.time_ns
    state.ledger.move(now, "trade", _purse(seller)[CONTRACT], _purse(buyer)[CONTRACT], lots)
    state.ledger.move(now, "trade", _purse(buyer)[BTC], _purse(seller)[BTC], amount)
    _unwind(state, buyer, lots, before[0], price_sat)
    _unwind(state, seller, -lots, before[1], price_sat)
    for leg, size in ((buyer, lots), (seller, -lots)):
        if leg.order is not None:
            _record(state, leg, leg.order, size, price_sat, amount)


class _Before(NamedTuple):
    """A margin position as it stood before a trade: lots, proceeds held, bitcoin owed (positive)."""

    lots: int
    proceeds_sat: int
    owed_sat: int


def _is_margin(leg: Leg) -> bool:
    return leg.order is not None and leg.order.command.wallet != EXCHANGE


def _purse(leg: Leg) -> tuple[str, str]:
    return leg.account.position if _is_margin(leg) else leg.account.exchange


def _margin_before(state: State, leg: Leg) -> _Before:
    account = leg.account
    return _Before(
        account.margin_lots(state.ledger),
        state.balance(account.position[BTC]),
        -state.balance(account.owed[BTC]),
    )


def _split(size_lots: int, position_lots: int) -> tuple[int, int]:
    """Return (closing, opening) lots, both >= 0, of a signed size against a signed position."""
    closing = min(abs(size_lots), abs(position_lots)) if size_lots * position_lots < 0 else 0
    return closing, abs(size_lots) - closing


def _fund(state: State, leg: Leg, size_lots: int, before: _Before, price_sat: int) -> None:
    """Borrow what the opening part of a margin trade needs: bitcoin for a purchase, contracts for a short sale."""
    if not _is_margin(leg):
        return
    closing, opening = _split(size_lots, before.lots)
    if opening == 0:
        return
    per_contract = state.contract.lots_per_contract
    if size_lots > 0:
        # The closing part is paid from the short's proceeds; the rest of the amount is borrowed to the satoshi.
        need = notional_sat(size_lots, price_sat, per_contract) - notional_sat(closing, price_sat, per_contract)
        had = borrow(state, leg.account, BTC, need)
    else:
        need = opening
        had = borrow(state, leg.account, CONTRACT, need)
    assert had == need, "less could be borrowed than capacity_lots said"


def _unwind(state: State, leg: Leg, size_lots: int, before: _Before, price_sat: int) -> None:
    """Pay back the loans of the closed part and move its profit or loss to the trading wallet.

    Of a long, bitcoin loans are repaid in proportion to the lots sold (rounded down, the rest with the last lot); of
    a short, the same share of the proceeds is released and the bought lots go back to their lenders.
    """
    if not _is_margin(leg):
        return
    closing, _ = _split(size_lots, before.lots)
    if closing == 0:
        return
    account = leg.account
    per_contract = state.contract.lots_per_contract
    paid = notional_sat(closing, price_sat, per_contract)
    if size_lots < 0:
        part = wide(before.owed_sat) * closing // before.lots
        profit = paid - part
        repay(state, account, BTC, part)
    else:
        released = wide(before.proceeds_sat) * closing // -before.lots
        profit = released - paid
        repay(state, account, CONTRACT, closing)
    state.ledger.move(state.time_ns, "trade", account.position[BTC], account.trading[BTC], profit)


def _record(state: State, leg: Leg, order: Order, size_lots: int, price_sat: int, amount_sat: int) -> None:
    contract = state.contract
    fee = fee_sat(amount_sat, contract.maker_fee_ppm if leg.maker else contract.taker_fee_ppm)
    wallet = order.command.wallet
    state.ledger.move(state.time_ns, "fee", leg.account.purses[wallet][BTC], state.venue.fees, fee)
    order.remaining_lots -= size_lots
    order.move_to(FILLED if order.remaining_lots == 0 else PARTIAL)
    if wallet == EXCHANGE:
        if size_lots < 0:
            leg.account.reserved[CONTRACT] += size_lots
        reserve(state, leg.account, order)
    state.fills.append(
        Fill(
            state.time_ns,
            order.id,
            leg.account.name,
            wallet,
            size_lots,
            price_sat,
            fee,
            state.mark_sat,
            leg.maker,
        )
    )
    cover_deficit(state, leg.account)


def reserve(state: State, account: Account, order: Order) -> None:
    """Hold in the exchange wallet what the rest of a limit buy can cost, the dearest fee included.

    Never more than there is: parts are rounded, so the rest may cost a satoshi or two more than was left for it.
    """
    contract = state.contract
    need = 0
    if order.is_live and order.remaining_lots > 0 and order.command.price_sat:
        price = order.command.price_sat
        need = _cost(order.remaining_lots, price, contract.lots_per_contract, dearest_fee_ppm(state))
        need = min(need, state.free(account, EXCHANGE, BTC) + order.reserved_sat)
    account.reserved[BTC] += need - order.reserved_sat
    order.reserved_sat = need


def cancel(state: State, order: Order, reason: str) -> None:
    """End a live order and free what it held; `reason` is a rejection code or a word of the venue's."""
    state.changes += 1
    account = state.accounts[order.command.user]
    if order.command.wallet == EXCHANGE and order.remaining_lots < 0:
        account.reserved[CONTRACT] += order.remaining_lots
    order.cancelled_lots += order.remaining_lots
    order.remaining_lots = 0
    order.reason = reason
    order.move_to(CANCELLED)
    reserve(state, account, order)


def cover_deficit(state: State, account: Account) -> None:
    """Once no loan is left, sell collateral for what the trading wallet lacks; the deficit account absorbs the rest."""
    if account.loan_ids or account.name == MARKET:
        return
    account.liquidating = False
    account.called = False
    if state.balance(account.trading[BTC]) < 0:
        _sell_collateral(state, account)
    lacking = -state.balance(account.trading[BTC])
    if lacking > 0:
        state.ledger.move(state.time_ns, "deficit", state.venue.deficit, account.trading[BTC], lacking)
        state.notify(account.name, "deficit", "the venue absorbed {} sat that the trading wallet lacked", lacking)


def _sell_collateral(state: State, account: Account) -> None:
    """Sell as many contracts of the trading wallet to the market as pay for what its bitcoin lacks, fee included.

    At half the assumed spread below the mark (not the displayed bid: no book stands for a sale nobody asked for).
    """
    owned = state.balance(account.trading[CONTRACT])
    if owned == 0 or state.mark_sat == 0:
        return
    contract, ledger, now = state.contract, state.ledger, state.time_ns
    price = open_level(state.mark_sat, state, buys=False)
    lacking = -state.balance(account.trading[BTC])
    lots = min(ceil_div(lacking * contract.lots_per_contract, price), owned)
    while lots < owned and _proceeds(state, lots, price) < lacking:
        lots += ceil_div((lacking - _proceeds(state, lots, price)) * contract.lots_per_contract, price)
    lots = min(lots, owned)
    market = state.market()
    settle_dividends(state, account)
    settle_dividends(state, market)
    amount = notional_sat(lots, price, contract.lots_per_contract)
    ledger.move(now, "collateral", account.trading[CONTRACT], market.exchange[CONTRACT], lots)
    ledger.move(now, "collateral", market.exchange[BTC], account.trading[BTC], amount)
    ledger.move(now, "fee", account.trading[BTC], state.venue.fees, fee_sat(amount, contract.taker_fee_ppm))
    state.changes += 1
    said = "{} lots of collateral were sold at {} sat for {} sat"
    state.notify(account.name, "collateral", said, lots, price, amount)


def _proceeds(state: State, lots: int, price_sat: int) -> int:
    amount = notional_sat(lots, price_sat, state.contract.lots_per_contract)
    return amount - fee_sat(amount, state.contract.taker_fee_ppm)


def expire(state: State) -> None:
    """End the contract: dividends and interest are paid, loans and positions end, lots are worth nothing and burn."""
    now = state.time_ns
    ledger = state.ledger
    ledger.begin()
    for order in state.live:
        if order.is_live:
            cancel(state, order, "EXPIRED")
    state.live.clear()
    for pool in state.offers:
        for offer in list(pool):
            drop_offer(state, offer)
    for account in state.accounts.values():
        settle_dividends(state, account)
    for loan in list(state.loans.values()):
        pay_interest(state, loan)
        if loan.asset == CONTRACT:
            _discharge(state, loan.id)
    for account in state.accounts.values():
        owed = -state.balance(account.owed[BTC])
        if owed > 0:
            if account.name != MARKET:
                ledger.move(now, "expiry", account.trading[BTC], account.position[BTC], owed)
            repay(state, account, BTC, owed)
        ledger.move(now, "expiry", account.position[BTC], account.trading[BTC], state.balance(account.position[BTC]))
        for names in account.purses.values():
            ledger.move(now, "expiry", names[CONTRACT], state.venue.issuance, state.balance(names[CONTRACT]))
        cover_deficit(state, account)
    state.mark_sat = 0
    state.expired = True
    state.changes += 1


def _discharge(state: State, loan_id: int) -> None:
    """Cancel a contract loan against its claim: what is owed is worth nothing now."""
    loan = state.loans.pop(loan_id)
    state.loan_changes += 1
    borrower = state.accounts[loan.borrower]
    lender = state.accounts[loan.lender]
    borrower.loan_ids.remove(loan_id)
    state.lent_lots -= loan.amount
    state.ledger.move(state.time_ns, "expiry", lender.lent[CONTRACT], borrower.owed[CONTRACT], loan.amount)
