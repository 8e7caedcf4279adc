"""Margin: what a trading wallet is worth, what its position requires, when the venue acts."""

from __future__ import annotations

from bot.core.accrual import INDEX_BITS, INTEREST_DENOMINATOR
from bot.core.contract import MARK
from bot.core.events import BTC, CONTRACT
from bot.core.ledger import Account
from bot.core.state import Loan, State
from bot.core.units import NS_PER_S, PPM, ceil_div, fee_sat, notional_sat


def loan_value_sat(state: State, loan: Loan) -> int:
    """Return the base on which `loan` bears interest now, in satoshi.

    Bitcoin: the amount. Contracts: their notional at the mark, or at the start under `entry_notional` accrual.
    """
    if loan.asset == BTC:
        return loan.amount
    if state.contract.lending.accrual == MARK:
        return notional_sat(loan.amount, state.mark_sat, state.contract.lots_per_contract)
    return loan.entry_sat


def accrued_interest_sat(state: State, loan: Loan, time_ns: int) -> int:
    """Return the interest of `loan` that is owed at `time_ns` and not yet paid, in satoshi, rounded down."""
    seconds = time_ns // NS_PER_S - loan.paid_to_s
    return (loan_value_sat(state, loan) * loan.rate_ppb_day * seconds + loan.carry) // INTEREST_DENOMINATOR


def margin_dividend_sat(state: State, account: Account, lots: int) -> int:
    """Return the dividends of a margin position of signed `lots` that are not yet posted, rounded down."""
    return (lots * (state.index - account.margin_index) + account.margin_carry) >> INDEX_BITS


def margin_equity_sat(state: State, account: Account, time_ns: int) -> int:
    """Return the equity of `account`'s trading wallet, in satoshi.

    Wallet + profit and loss of the position + dividends due - accrued interest - the fee of closing (FACTS: equity is
    wallet + P/L with closing fees - accrued interest). Contracts in the wallet count where the dated rule says
    so, and only for a long.
    """
    balances = state.ledger.balances
    contract = state.contract
    lots = account.margin_lots(state.ledger)
    value = notional_sat(lots, state.mark_sat, contract.lots_per_contract)
    cash = (
        balances.get(account.trading[BTC], 0)
        + balances.get(account.position[BTC], 0)
        + balances.get(account.owed[BTC], 0)
    )
    interest = sum(accrued_interest_sat(state, state.loans[i], time_ns) for i in account.loan_ids)
    equity = cash + value + margin_dividend_sat(state, account, lots) - interest
    equity -= fee_sat(abs(value), contract.taker_fee_ppm)
    if state.contract_is_collateral and lots >= 0:
        owned = balances.get(account.trading[CONTRACT], 0)
        equity += notional_sat(owned, state.mark_sat, contract.lots_per_contract)
    return equity


def requirement_sat(size_lots: int, price_sat: int, lots_per_contract: int, margin_ppm: int) -> int:
    """Return the margin that a position of `size_lots` at `price_sat` requires, in satoshi, rounded up."""
    return ceil_div(notional_sat(abs(size_lots), price_sat, lots_per_contract) * margin_ppm, PPM)


def free_margin_sat(state: State, account: Account, time_ns: int) -> int:
    """Return what may leave the trading wallet: equity less initial margin, at most the cash in it; not below 0."""
    lots = account.margin_lots(state.ledger)
    cash = state.balance(account.trading[BTC])
    if lots == 0 and not account.loan_ids:
        return max(cash, 0)
    required = requirement_sat(lots, state.mark_sat, state.contract.lots_per_contract, state.initial_ppm)
    return max(min(cash, margin_equity_sat(state, account, time_ns) - required), 0)


def total_equity_sat(state: State, account: Account, time_ns: int) -> int:
    """Return everything `account` is worth at the mark, in satoshi.

    All satoshi, all lots at the mark, dividends due and not posted, interest due to and from him and not posted
    (his share as a lender after the venue's cut).
    """
    if account.cached_until != state.ledger.count:
        account.refresh(state.ledger)
    spot = account.cached_spot_lots
    margin = account.cached_margin_lots
    index = state.index
    equity = account.cached_sat + notional_sat(spot + margin, state.mark_sat, state.contract.lots_per_contract)
    equity += (spot * (index - account.spot_index) + account.spot_carry) >> INDEX_BITS
    equity += (margin * (index - account.margin_index) + account.margin_carry) >> INDEX_BITS
    if not state.loans:
        return equity
    for loan in state.loans.values():
        if loan.borrower == account.name:
            equity -= accrued_interest_sat(state, loan, time_ns)
        elif loan.lender == account.name:
            interest = accrued_interest_sat(state, loan, time_ns)
            equity += interest - interest * state.contract.lending.venue_cut_ppm // PPM
    return equity
