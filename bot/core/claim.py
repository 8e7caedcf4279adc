"""Claiming a margin long: its owner pays back what financed it, and the contracts become his own.

It is sent as a transfer of contracts from the `position` purse to the exchange wallet. Nothing is traded, so there is
no fee and no fill; the net position, and with it every dividend, stays what it was, since owned and margin contracts
are added. A short holds proceeds and owes contracts: there is nothing in it to take over.
"""

from __future__ import annotations

from bot.core.events import BTC, CONTRACT
from bot.core.ledger import POSITION, Account
from bot.core.lending import repay
from bot.core.margin import margin_equity_sat, requirement_sat, standing
from bot.core.order import EXCHANGE, Rejection, Transfer
from bot.core.settlement import settle_dividends
from bot.core.state import State
from bot.core.units import NS_PER_S, notional_sat


def is_claim(command: Transfer) -> bool:
    """Return whether a transfer takes contracts out of a position."""
    return command.source == POSITION


def financed_sat(state: State, account: Account, lots: int) -> int:
    """Return what was borrowed for `lots` of a long, in satoshi: its share, the rest with the last lot."""
    return -state.balance(account.owed[BTC]) * lots // account.margin_lots(state.ledger)  # rounded down


def refusal(state: State, account: Account, command: Transfer) -> Rejection | None:
    """Return why a claim is refused, or None if it may be carried out.

    The trading wallet must hold what was borrowed, dividends due counted in and interest due left out; what stays on
    margin must meet the initial requirement without the contracts that leave.
    """
    if command.target != EXCHANGE or command.asset != CONTRACT:
        return Rejection("BAD_WALLET", "a position gives contracts to the exchange wallet, and nothing else")
    position, lots = account.margin_lots(state.ledger), command.amount
    if position <= 0:
        return Rejection("NOTHING_TO_REDUCE", f"position {position} lots: only a long can be claimed")
    if type(lots) is not int or not 0 < lots <= position:
        return Rejection("BAD_AMOUNT", f"{lots!r} is not a whole number of lots in 1..{position}")
    if account.liquidating:
        return Rejection("LIQUIDATING", account.name)
    worth, now, mark = standing(state, account), command.time_ns, state.mark_sat
    due = worth.owed.due_sat(mark, now // NS_PER_S) + len(account.loan_ids) if worth.owed else 0  # both rounded up
    cash = state.balance(account.trading[BTC]) + worth.margin_fixed_sat - worth.cash_sat - due
    price = financed_sat(state, account, lots)
    if cash < price:
        return Rejection(
            "NOT_ENOUGH_BALANCE", f"the trading wallet has {cash} sat after interest, {price} are financed"
        )
    if lots < position:
        per_contract = state.contract.lots_per_contract
        equity = margin_equity_sat(state, account, now) - notional_sat(lots, mark, per_contract)
        need = requirement_sat(position - lots, mark, per_contract, state.initial_ppm)
        if equity < need:
            return Rejection(
                "NOT_ENOUGH_MARGIN", f"equity {equity} sat would be left, {position - lots} lots need {need}"
            )
    return None


def carry_out(state: State, account: Account, command: Transfer) -> None:
    """Pay off the financing of a claim that was not refused, and hand over the contracts."""
    settle_dividends(state, account)
    now, lots = state.time_ns, command.amount
    price = financed_sat(state, account, lots)
    state.ledger.move(now, "claim", account.trading[BTC], account.position[BTC], price)
    repay(state, account, BTC, price)
    state.ledger.move(now, "claim", account.position[CONTRACT], account.exchange[CONTRACT], lots)
    state.changes += 1
    if not account.loan_ids:
        account.called = account.overdue = False
