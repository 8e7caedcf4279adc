"""Our own books of one account set to what its venue reports: the venue decides, and what we foresaw gives way.

Only the account gives way. Of the market and of everybody else the venue reports nothing: what an amount came from is
booked against the outside, or against the market where contracts and loans must stay whole.
"""

from __future__ import annotations

import json
from typing import Final

from bot.core.events import BTC, CONTRACT, Fill
from bot.core.ledger import MARKET, Account
from bot.core.lending import add_offer, drop_offer
from bot.core.order import CANCELLED, EXCHANGE, FILLED, OPEN, PARTIAL, Order, PlaceOrder
from bot.core.settlement import reserve, settle_dividends
from bot.core.state import Loan, State
from bot.core.units import NS_PER_DAY, NS_PER_S, notional_sat
from bot.venues.report import LoanLine, OfferLine, OrderLine, Report, TradeLine

KIND: Final = "venue"
"""What ledger entries say that an adoption made."""


def written(report: Report, trades: list[TradeLine], since_ns: int) -> str:
    """Return a report with the account's trades after a time as the text of a control."""
    return json.dumps([since_ns, list(report), trades], separators=(",", ":"))


def adopt(state: State, account: Account, text: str) -> None:
    """Set the books of `account` to what `written` wrote."""
    since_ns, parts, trades = json.loads(text)
    wallets, lots, proceeds, orders, loans, offers = parts
    settle_dividends(state, account)  # a payment that the venue has not made yet shows up at the next difference
    state.ledger.begin()
    _adopt_trades(state, account, since_ns, [TradeLine(*row) for row in trades])
    _adopt_orders(state, account, [OrderLine(*row) for row in orders])
    _adopt_offers(state, account, [OfferLine(*row) for row in offers])
    taken = _adopt_loans(state, account, [LoanLine(*row) for row in loans])
    for name, asset, amount in wallets:
        _set(state, account.purses[name][asset], _counterpart(state, asset), amount)
    _set(state, account.position[BTC], _counterpart(state, BTC), max(proceeds, 0))
    _set(state, account.position[CONTRACT], _counterpart(state, CONTRACT), lots + taken[CONTRACT])
    _reserve(state, account)
    account.overdue = any(state.loans[number].overdue for number in account.loan_ids)
    account.liquidating = account.liquidating and bool(account.loan_ids)
    state.changes += 1
    state.loan_changes += 1
    state.due_ns = 0


def _counterpart(state: State, asset: int) -> str:
    return state.venue.outside[BTC] if asset == BTC else state.market().exchange[CONTRACT]


def _set(state: State, purse: str, other: str, amount: int) -> None:
    state.ledger.move(state.time_ns, KIND, other, purse, amount - state.balance(purse))


def _adopt_trades(state: State, account: Account, since_ns: int, trades: list[TradeLine]) -> None:
    """Let the fills after a time be the venue's."""
    known = {order.command.cid: order.id for order in state.orders.values() if order.command.user == account.name}
    state.fills[:] = [fill for fill in state.fills if fill.user != account.name or fill.time_ns <= since_ns]
    for one in trades:
        number = known.get(one.cid, 0)
        mark, user = state.mark_sat, account.name
        made = Fill(one.time_ns, number, user, one.wallet, one.size_lots, one.price_sat, one.fee_sat, mark, one.maker)
        state.fills.append(made)


def _adopt_orders(state: State, account: Account, lines: list[OrderLine]) -> None:
    """Let the open orders be the venue's; ours that are not among them have ended there."""
    mine = {order.command.cid: order for order in state.orders.values() if order.command.user == account.name}
    open_now = []
    for line in lines:
        order = mine.get(line.cid)
        if order is None or order.command.wallet != line.wallet or order.command.price_sat != line.price_sat:
            order = _entered(state, account, line)
        order.size_lots, order.remaining_lots, order.cancelled_lots = line.size_lots, line.remaining_lots, 0
        order.status = OPEN if line.size_lots == line.remaining_lots else PARTIAL
        order.active, order.booked = True, line.price_sat > 0
        open_now.append(order)
    for order in state.live:
        if order.command.user == account.name and order not in open_now:
            filled = sum(fill.size_lots for fill in state.fills if fill.order_id == order.id)
            order.remaining_lots, order.cancelled_lots = 0, order.size_lots - filled
            order.status = CANCELLED if order.cancelled_lots else FILLED
            order.reason = "VENUE" if order.cancelled_lots else ""
    others = [order for order in state.live if order.command.user != account.name]
    state.live[:] = sorted([*others, *open_now], key=lambda order: order.id)


def _entered(state: State, account: Account, line: OrderLine) -> Order:
    now = state.time_ns
    command = PlaceOrder(
        now,
        account.name,
        line.cid,
        line.wallet,
        line.size_lots,
        line.price_sat,
        line.post_only,
        line.reduce_only,
        active_ns=now,
    )
    forced = line.cid == 0 and line.reduce_only  # orders of ours are counted from 1
    order = Order(state.new_id(), command, line.size_lots, line.remaining_lots, state.event, forced=forced)
    state.orders[order.id] = order
    state.by_cid[(account.name, line.cid, now // NS_PER_DAY)] = order.id  # rounded down
    return order


def _reserve(state: State, account: Account) -> None:
    """Hold anew what open exchange orders can cost."""
    account.reserved[:] = [0, 0]
    for order in state.live:
        if order.command.user == account.name and order.command.wallet == EXCHANGE:
            order.reserved_sat = 0
            account.reserved[CONTRACT] += max(-order.remaining_lots, 0)
            reserve(state, account, order)


def _adopt_offers(state: State, account: Account, lines: list[OfferLine]) -> None:
    mine = [offer for pool in state.offers for offer in pool if offer.lender == account.name]
    missing = list(lines)
    for offer in mine:
        line = OfferLine(offer.asset, offer.amount, offer.remaining, offer.rate_ppb_day, offer.term_days)
        if line in missing:
            missing.remove(line)
        else:
            drop_offer(state, offer)
    for line in missing:
        made = add_offer(state, account.name, line.asset, line.remaining, line.rate_ppb_day, line.term_days)
        made.amount = line.amount


def _adopt_loans(state: State, account: Account, lines: list[LoanLine]) -> tuple[int, int]:
    """Let the loans be the venue's, the other side being the market; return what is owed, in (satoshi, lots).

    A loan that is new to us is taken to last as long as the shortest: the venue says only its days.
    """
    missing = list(lines)
    for loan in [one for one in state.loans.values() if account.name in (one.lender, one.borrower)]:
        line = LoanLine(
            loan.asset, 1 if loan.lender == account.name else -1, loan.amount, loan.rate_ppb_day, loan.overdue
        )
        if line in missing:
            missing.remove(line)
        else:
            _drop_loan(state, loan)
    for line in missing:
        _add_loan(state, account, line)
    market, sums = state.market(), {-1: [0, 0], 1: [0, 0]}
    for line in lines:
        sums[line.side][line.asset] += line.amount
    for asset in (BTC, CONTRACT):
        _set(state, account.owed[asset], market.lent[asset], -sums[-1][asset])
        _set(state, account.lent[asset], market.owed[asset], sums[1][asset])
    return sums[-1][BTC], sums[-1][CONTRACT]


def _drop_loan(state: State, loan: Loan) -> None:
    del state.loans[loan.id]
    state.accounts[loan.borrower].loan_ids.remove(loan.id)
    state.lent_lots -= loan.amount if loan.asset == CONTRACT else 0


def _add_loan(state: State, account: Account, line: LoanLine) -> None:
    borrower, lender = (account.name, MARKET) if line.side < 0 else (MARKET, account.name)
    now, contract = state.time_ns, state.contract
    entry = line.amount
    if line.asset == CONTRACT:
        entry = notional_sat(line.amount, state.mark_sat, contract.lots_per_contract)
        state.lent_lots += line.amount
    end_ns = now + contract.lending.min_term_days * NS_PER_DAY
    number, paid_to_s = state.new_id(), now // NS_PER_S  # rounded down
    state.loans[number] = Loan(
        number, line.asset, borrower, lender, line.amount, line.rate_ppb_day, end_ns, entry, paid_to_s, 0, line.overdue
    )
    state.accounts[borrower].loan_ids.append(number)
