"""What must hold after every event, checked from the ledger alone wherever that is possible.

The numbers are those of docs/accounting.md. A breach is a bug of ours, never a user's fault.
"""

from __future__ import annotations

from collections.abc import Iterable

from bot.core.accrual import INDEX_BITS, pool_fee_sat, venue_cut_sat
from bot.core.events import BTC, CONTRACT
from bot.core.ledger import MARKET, Account, Move
from bot.core.lending import overdue_lots
from bot.core.margin import margin_equity_sat, requirement_sat
from bot.core.order import Order
from bot.core.state import State
from bot.core.units import NS_PER_DAY, NS_PER_S


class InvariantError(AssertionError):
    """An invariant is broken: `number` names it."""

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        super().__init__(f"invariant {number}: {text}")


def _require(number: int, holds: bool, text: str) -> None:
    if not holds:
        raise InvariantError(number, text)


def check(state: State, first_move: int = 0, every_order: bool = True) -> None:
    """Raise InvariantError if anything is wrong.

    Moves before `first_move` are taken as checked; without `every_order` so are orders that have ended.
    """
    _check_moves(state, first_move)
    _check_sums(state)
    _check_positions(state)
    for account in state.accounts.values():
        if account.name != MARKET:
            _check_wallets(state, account)
    _check_dividends(state)
    _check_loans(state)
    _check_orders(state, state.orders.values() if every_order else state.live)
    _check_forced(state)
    _check_expiry(state)


def _check_moves(state: State, first_move: int) -> None:
    moves = state.ledger.moves[first_move:]
    for source, target in {(move.source, move.target) for move in moves}:
        _require(1, source.rsplit("/", 1)[1] == target.rsplit("/", 1)[1], f"a move from {source} to {target}")
    for move in moves:
        if type(move.amount) is not int or move.amount <= 0:
            _require(1, False, f"{move}")


def check_shares(state: State, first_move: int = 0) -> None:
    """Raise InvariantError if the pool's fee or the venue's cut is wrong in a move from `first_move` on."""
    moves = state.ledger.moves[first_move:]
    _check_fees(state, [move for move in moves if move.kind == "block"])
    _check_cuts(state, [move for move in moves if move.kind == "interest"])


def _check_fees(state: State, moves: list[Move]) -> None:
    """Invariant 5: of each block's income the pool keeps its fee, rounded down, and the holders get the rest."""
    venue = state.venue
    blocks: dict[int, dict[str, int]] = {}
    for move in moves:
        parts = blocks.setdefault(move.transaction, {venue.pool_fee: 0, venue.dividends: 0})
        known = move.source == venue.pool and move.target in parts and not parts[move.target]
        _require(5, known, f"a block does not make {move}")
        parts[move.target] = move.amount
    for parts in blocks.values():
        income, fee = sum(parts.values()), parts[venue.pool_fee]
        right = pool_fee_sat(income, state.contract.payout.fee_ppm)
        _require(5, fee == right, f"the pool kept {fee} of {income} sat, {right} is right")


def _check_cuts(state: State, moves: list[Move]) -> None:
    """Invariant 6: of each payment of interest the venue has its share, rounded down, and the lender the rest."""
    cut_name, ppm = state.venue.interest_cut, state.contract.lending.venue_cut_ppm
    payments: list[list[int]] = []  # what the lender got and what the venue did
    paying = (0, "")  # who has paid a lender last, and the venue not yet
    for move in moves:
        payer = (move.transaction, move.source)
        if move.target != cut_name:
            payments.append([move.amount, 0])
            paying = payer
            continue
        if payer == paying:
            payments[-1][1] = move.amount
        else:
            payments.append([0, move.amount])
        paying = (0, "")
    for lender, cut in payments:
        right = venue_cut_sat(lender + cut, ppm)
        _require(6, cut == right, f"the venue took {cut} of {lender + cut} sat of interest, {right} is right")


def _check_sums(state: State) -> None:
    sums: dict[str, int] = {}
    for account, amount in state.ledger.balances.items():
        _require(1, type(amount) is int, f"{account} holds {amount!r}")
        asset = account.rsplit("/", 1)[1]
        sums[asset] = sums.get(asset, 0) + amount
    _require(2, not any(sums.values()), f"accounts sum to {sums}")


def _check_positions(state: State) -> None:
    issued = -state.balance(state.venue.issuance)
    ledger = state.ledger
    net = sum(account.spot_lots(ledger) + account.margin_lots(ledger) for account in state.accounts.values())
    _require(3, net == issued, f"long - short = {net} lots, issued {issued}")
    market = state.market()
    owned = state.balance(market.exchange[CONTRACT]) + state.balance(market.owed[CONTRACT])
    _require(3, owned >= 0, f"the market has sold or lent {-owned} lots that it must give back")
    for account in state.accounts.values():
        held = state.balance(account.position[CONTRACT])
        _require(3, held >= 0, f"{account.name} is short {-held} lots that he did not borrow")
        _require(3, held == 0 or state.balance(account.owed[CONTRACT]) == 0, f"{account.name} is long and short")


def _check_wallets(state: State, account: Account) -> None:
    for asset in (BTC, CONTRACT):
        exchange = state.balance(account.exchange[asset])
        deposit = state.balance(account.deposit[asset])
        _require(4, 0 <= account.reserved[asset] <= exchange, f"{account.name}: {account.reserved} of {exchange}")
        _require(4, 0 <= account.offered[asset] <= deposit, f"{account.name}: {account.offered} of {deposit}")
        _require(4, state.balance(account.lent[asset]) >= 0, f"{account.name} lent less than nothing")
        _require(4, state.balance(account.owed[asset]) <= 0, f"{account.name} owes less than nothing")
    # A margin position may overdraw its cash against its own profit; without one, nothing may be missing.
    cash = state.balance(account.trading[BTC])
    _require(4, cash >= 0 or bool(account.loan_ids), f"{account.name}: trading wallet {cash} sat and no position")
    _require(4, state.balance(account.trading[CONTRACT]) >= 0, f"{account.name}: collateral below zero")
    if not account.loan_ids:
        _require(4, state.balance(account.position[BTC]) == 0, f"{account.name}: proceeds without a position")


def _check_dividends(state: State) -> None:
    """Invariant 5: what the venue holds for holders is to the last 2^-20 satoshi what they are owed."""
    owed = state.index_carry
    for account in state.accounts.values():
        spot = account.spot_lots(state.ledger)
        owed += spot * (state.index - account.spot_index) + account.spot_carry
        owed += account.margin_lots(state.ledger) * (state.index - account.margin_index) + account.margin_carry
        whole = 1 << INDEX_BITS
        _require(5, 0 <= account.spot_carry < whole and 0 <= account.margin_carry < whole, f"{account.name}: carry")
    held = state.balance(state.venue.dividends)
    _require(5, held << INDEX_BITS == owed, f"dividends held {held} sat, owed {owed} / 2^{INDEX_BITS}")


def _check_loans(state: State) -> None:
    owed: dict[str, int] = {}
    for loan in state.loans.values():
        _require(6, loan.amount > 0 and loan.paid_to_s <= state.time_ns // NS_PER_S, f"{loan}")
        borrower, lender = state.accounts[loan.borrower], state.accounts[loan.lender]
        owed[borrower.owed[loan.asset]] = owed.get(borrower.owed[loan.asset], 0) - loan.amount
        owed[lender.lent[loan.asset]] = owed.get(lender.lent[loan.asset], 0) + loan.amount
    for account in state.accounts.values():
        for asset in (BTC, CONTRACT):
            for name in (account.owed[asset], account.lent[asset]):
                _require(3, state.balance(name) == owed.get(name, 0), f"{name}: {state.balance(name)}, loans {owed}")
        ids = [loan.id for loan in state.loans.values() if loan.borrower == account.name]
        _require(6, sorted(account.loan_ids) == sorted(ids), f"{account.name}: loans {account.loan_ids} and {ids}")
    lots = sum(loan.amount for loan in state.loans.values() if loan.asset == CONTRACT)
    _require(3, lots == state.lent_lots <= state.contract.tranche_lots, f"lent {lots}, counted {state.lent_lots}")


def _check_orders(state: State, orders: Iterable[Order]) -> None:
    bid, ask = 0, 1 << 62
    live = {order.id for order in state.live}
    for order in orders:
        parts = order.filled_lots + order.remaining_lots + order.cancelled_lots
        signs = {part > 0 for part in (order.size_lots, order.filled_lots, order.remaining_lots) if part}
        _require(7, parts == order.size_lots and len(signs) == 1, f"{order}")
        _require(7, order.is_live == (order.remaining_lots != 0), f"{order}")
        _require(7, not order.is_live or order.id in live, f"{order} is forgotten")
        if order.is_live and order.booked:
            if order.size_lots > 0:
                bid = max(bid, order.command.price_sat)
            else:
                ask = min(ask, order.command.price_sat)
        command = order.command
        named = state.by_cid.get((command.user, command.cid, command.time_ns // NS_PER_DAY))
        _require(11, order.forced or named == order.id, f"cid {command.cid} names {named}, not {order}")
    _require(7, bid < ask, f"the book is crossed: bid {bid}, ask {ask}")


def check_margin(state: State) -> None:
    """Invariant 8, to be asked right after a mark: every position is above maintenance or being liquidated."""
    for account in state.accounts.values():
        if account.name == MARKET or not account.loan_ids or account.liquidating:
            continue
        lots = account.margin_lots(state.ledger)
        need = requirement_sat(lots, state.mark_sat, state.contract.lots_per_contract, state.maintenance_ppm)
        equity = margin_equity_sat(state, account, state.time_ns)
        _require(8, equity >= need, f"{account.name}: equity {equity} sat, maintenance {need} sat")


def _check_forced(state: State) -> None:
    """Invariant 8: what the venue must close has an order that closes it, whatever its owner does."""
    for account in state.accounts.values():
        if not account.liquidating and not account.overdue:
            continue
        live = (order for order in state.live if order.is_live and order.forced and order.command.user == account.name)
        forced = sum(abs(order.remaining_lots) for order in live)
        wanted = abs(account.margin_lots(state.ledger)) if account.liquidating else overdue_lots(state, account)
        _require(8, forced >= wanted, f"{account.name}: {wanted} lots to close by force, orders for {forced}")
    for loan in state.loans.values():
        _require(8, not loan.overdue or state.accounts[loan.borrower].overdue, f"{loan} is forgotten")


def _check_expiry(state: State) -> None:
    if not state.expired:
        return
    left = [name for name, amount in state.ledger.balances.items() if amount and not name.endswith("/BTC")]
    _require(8, not left, f"units after expiry: {left}")
    _require(8, not state.loans and not state.live and not any(state.offers), "loans, orders or offers after expiry")
