"""Margin: what an account is worth, what its position requires.

Worth is asked for at every mark, so what stands still between two changes is summed once (`Standing`): the cost of a
mark does not depend on how many loans there are. Interest since the last payments is summed exactly over all loans,
then rounded down once; the fraction of a satoshi that each loan keeps from its last payment is left out, so that equity
is, to within a satoshi a loan, what the balances say once everything is posted.
"""

from __future__ import annotations

from bot.core.accrual import INTEREST_DENOMINATOR, dividend_sat
from bot.core.contract import MARK
from bot.core.events import BTC, CONTRACT
from bot.core.ledger import Account
from bot.core.state import Loan, State
from bot.core.units import NS_PER_DAY, NS_PER_S, PPM, ceil_div, fee_sat, notional_sat, share_ppm, wide


def loan_value_sat(state: State, loan: Loan) -> int:
    """Return the base on which `loan` bears interest now, in satoshi.

    Bitcoin: the amount. Contracts: their notional at the mark, or at the start under `entry_notional` accrual.
    """
    if loan.asset == BTC:
        return loan.amount
    if state.contract.lending.accrual == MARK:
        return notional_sat(loan.amount, state.mark_sat, state.contract.lots_per_contract)
    return loan.entry_sat


class Interest:
    """Interest that accrues on a set of loans, linear in time and, for contracts under `mark` accrual, in the mark.

    With a the amount, V the fixed base, r the rate and p the second up to which a loan is paid, counted from `from_s`:
    (sum V r (t - p) + mark / lots_per_contract x sum a r (t - p)) / (10^9 x 86,400) satoshi.
    """

    __slots__ = ("denominator", "fixed", "fixed_paid", "from_s", "lots_per_contract", "marked", "marked_paid")

    def __init__(self, state: State, from_s: int) -> None:
        self.from_s = from_s
        self.lots_per_contract = state.contract.lots_per_contract
        self.denominator = INTEREST_DENOMINATOR * self.lots_per_contract
        self.fixed = self.fixed_paid = self.marked = self.marked_paid = 0

    def add(self, state: State, loan: Loan) -> None:
        """Count in one loan."""
        if loan.asset == CONTRACT and state.contract.lending.accrual == MARK:
            slope = loan.amount * loan.rate_ppb_day
            self.marked += slope
            self.marked_paid += wide(slope) * (loan.paid_to_s - self.from_s)
        else:
            slope = loan_value_sat(state, loan) * loan.rate_ppb_day
            self.fixed += slope
            self.fixed_paid += wide(slope) * (loan.paid_to_s - self.from_s)

    def due_sat(self, mark_sat: int, time_s: int) -> int:
        """Return what has accrued up to `time_s` since the last payments, in satoshi, rounded down."""
        seconds = time_s - self.from_s
        fixed = self.fixed * seconds - self.fixed_paid
        marked = (self.marked * seconds - self.marked_paid) * mark_sat
        return (fixed * self.lots_per_contract + marked) // self.denominator


def interest_on(state: State, user: str, borrowed: bool) -> Interest | None:
    """Return what accrues from now on on the loans that `user` has taken, or else given; None without any."""
    found, count = Interest(state, state.time_ns // NS_PER_S), 0
    for loan in state.loans.values():
        if (loan.borrower if borrowed else loan.lender) == user:
            found.add(state, loan)
            count += 1
    return found if count else None


class Standing:
    """What one account is worth as a function of mark and time, as of what its `key` says.

    `key` holds the counts of ledger, dividend index and loans. `lots` is everything he has, `margin_lots` his margin
    position; `fixed_sat` is all his bitcoin with the dividends
    due, `margin_fixed_sat` what of it counts for the trading wallet; `owed` and `lent` accrue interest.
    """

    __slots__ = (
        "_safe",
        "all_sat",
        "cash_sat",
        "collateral_lots",
        "contract",
        "fixed_sat",
        "key",
        "lent",
        "lots",
        "margin_carry",
        "margin_fixed_sat",
        "margin_index",
        "margin_lots",
        "owed",
        "spot_carry",
        "spot_index",
        "spot_lots",
    )

    def __init__(self, state: State, account: Account) -> None:
        self.contract = state.contract
        self.key = (-1, -1, -1)
        self.owed: Interest | None = None
        self.lent: Interest | None = None
        self.update(state, account)

    def update(self, state: State, account: Account) -> None:
        """Sum up anew what has changed since it was last done; mostly that is the dividend index alone."""
        count, _, loan_changes = self.key
        ledger = state.ledger
        if count == ledger.count and loan_changes == state.loan_changes:
            self.earn(state.index)
            self.key = (count, state.index, loan_changes)
            return
        if count != ledger.count:
            account.refresh(ledger)
            self.all_sat = account.cached_sat
            self.spot_lots = account.cached_spot_lots
            self.margin_lots = account.cached_margin_lots
            self.lots = self.spot_lots + self.margin_lots
            self.cash_sat = state.balance(account.trading[BTC]) + state.balance(account.position[BTC])
            self.cash_sat += state.balance(account.owed[BTC])
            self.collateral_lots = state.balance(account.trading[CONTRACT])
        if loan_changes != state.loan_changes:
            self.owed = interest_on(state, account.name, borrowed=True)
            self.lent = interest_on(state, account.name, borrowed=False)
        self.spot_index, self.spot_carry = account.spot_index, account.spot_carry
        self.margin_index, self.margin_carry = account.margin_index, account.margin_carry
        self.earn(state.index)
        self.key = (ledger.count, state.index, state.loan_changes)

    def earn(self, index: int) -> None:
        """Count in the dividends that are due once the index has risen to `index`."""
        due, _ = dividend_sat(self.margin_lots, index - self.margin_index, self.margin_carry)
        spot_due, _ = dividend_sat(self.spot_lots, index - self.spot_index, self.spot_carry)
        self.fixed_sat = self.all_sat + spot_due + due
        self.margin_fixed_sat = self.cash_sat + due
        self._safe = (0, 0, 0)  # mark, time and maintenance margin at which a short was found safe

    def equity_sat(self, mark_sat: int, time_ns: int) -> int:
        """Return everything the account is worth, in satoshi: see total_equity_sat."""
        equity = self.fixed_sat
        if self.lots:
            equity += notional_sat(self.lots, mark_sat, self.contract.lots_per_contract)
        if self.owed is not None:
            equity -= self.owed.due_sat(mark_sat, time_ns // NS_PER_S)
        if self.lent is not None:
            interest = self.lent.due_sat(mark_sat, time_ns // NS_PER_S)
            equity += interest - share_ppm(interest, self.contract.lending.venue_cut_ppm)
        return equity

    def margin_equity_sat(self, state: State, mark_sat: int, time_ns: int) -> int:
        """Return the equity of the trading wallet, in satoshi: see margin_equity_sat."""
        value = notional_sat(self.margin_lots, mark_sat, self.contract.lots_per_contract)
        equity = self.margin_fixed_sat + value - fee_sat(abs(value), self.contract.taker_fee_ppm)
        if self.owed is not None:
            equity -= self.owed.due_sat(mark_sat, time_ns // NS_PER_S)
        if state.contract_is_collateral and self.margin_lots >= 0:
            equity += notional_sat(self.collateral_lots, mark_sat, self.contract.lots_per_contract)
        return equity

    def is_safe(self, state: State, mark_sat: int, time_ns: int) -> bool:
        """Return whether neither margin call nor liquidation is due at this mark; without a loan nothing is."""
        if self.owed is None:
            return True
        if self.margin_lots >= 0:
            return self._is_safe(state, mark_sat, time_ns)
        # A short that is safe at a higher mark and a later time is safe now: each term only gets worse with both.
        safe_mark_sat, safe_ns, safe_ppm = self._safe
        if mark_sat <= safe_mark_sat and time_ns <= safe_ns and state.maintenance_ppm == safe_ppm:
            return True
        further = (mark_sat + mark_sat // 64, time_ns + NS_PER_DAY // 24)
        if self._is_safe(state, *further):
            self._safe = (*further, state.maintenance_ppm)
            return True
        return self._is_safe(state, mark_sat, time_ns)

    def _is_safe(self, state: State, mark_sat: int, time_ns: int) -> bool:
        required = requirement_sat(self.margin_lots, mark_sat, self.contract.lots_per_contract, state.maintenance_ppm)
        equity = self.margin_equity_sat(state, mark_sat, time_ns)
        return equity >= required and equity * PPM >= required * self.contract.margin_call_ppm


def standing(state: State, account: Account) -> Standing:
    """Return what `account` is worth as a function of mark and time, as things stand now."""
    known = account.standing
    if known is None:
        known = account.standing = Standing(state, account)
    elif known.key != (state.ledger.count, state.index, state.loan_changes):
        known.update(state, account)
    return known


def margin_equity_sat(state: State, account: Account, time_ns: int) -> int:
    """Return the equity of `account`'s trading wallet, in satoshi.

    Wallet + profit and loss of the position + dividends due - accrued interest - the fee of closing (FACTS: equity is
    wallet + P/L with closing fees - accrued interest). Contracts in the wallet count where the dated rule says
    so, and only for a long.
    """
    return standing(state, account).margin_equity_sat(state, state.mark_sat, time_ns)


def requirement_sat(size_lots: int, price_sat: int, lots_per_contract: int, margin_ppm: int) -> int:
    """Return the margin that a position of `size_lots` at `price_sat` requires, in satoshi, rounded up."""
    return ceil_div(notional_sat(abs(size_lots), price_sat, lots_per_contract) * margin_ppm, PPM)


def collateral_sat(state: State, account: Account) -> int:
    """Return what the trading wallet's contracts count for at the mark, in satoshi, where the dated rule says so."""
    if not state.contract_is_collateral:
        return 0
    owned = state.balance(account.trading[CONTRACT])
    return notional_sat(owned, state.mark_sat, state.contract.lots_per_contract)


# Each amount of a trade is rounded once; together they stay within this many satoshi of the unrounded sum.
ROUNDINGS_SAT = 5


def room_lots(state: State, account: Account, buys: bool, price_sat: int, fair: bool) -> int:
    """Return how many lots `account` may trade on margin at `price_sat`: a large number if nothing binds.

    What it opens must leave equity at the mark >= initial margin, the loss against the mark and both fees included.
    What it closes is free with the market or at a `fair` price; with another user at a worse price it must leave
    the same, or two accounts of one person could trade off the market and leave the loss with the venue.
    """
    contract = state.contract
    mark, initial, fee = state.mark_sat, state.initial_ppm, max(contract.taker_fee_ppm, contract.maker_fee_ppm)
    position = account.margin_lots(state.ledger)
    held = abs(position)
    closing = held if position * (1 if buys else -1) < 0 else 0
    equity = margin_equity_sat(state, account, state.time_ns) - ROUNDINGS_SAT
    if not buys and position >= 0:
        equity -= collateral_sat(state, account)  # it does not count for a short
    # In parts per million of a satoshi per contract, times lots: what one lot costs in equity against the mark.
    scale = PPM * contract.lots_per_contract
    loss = (price_sat - mark if buys else mark - price_sat) * PPM + price_sat * fee
    spare = wide(equity) * scale
    if closing:
        kept = spare - wide(held) * (initial * mark)
        if not fair and loss > (initial + fee) * mark:
            lots = kept // (loss - (initial + fee) * mark) if kept > 0 else 0
            if lots < closing:
                return lots
        elif not fair and kept < 0:
            return 0
        spare -= wide(closing) * (loss - fee * mark)
    else:
        spare -= wide(held) * (initial * mark)
    cost = loss + (initial + fee) * mark
    if spare < 0:
        return closing
    return closing + (spare // cost if cost > 0 else contract.tranche_lots)


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
    return standing(state, account).equity_sat(state.mark_sat, time_ns)
