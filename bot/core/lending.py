"""The loan market: offers, loans with fixed rate and term, interest, renewal, recall. No lender, no loan.

Interest accrues per second in the borrowed asset. A loan of contracts owes fractions of contracts, which are
settled in bitcoin at the mark of the payment (`mark` accrual), so that its cost moves with the price;
under `entry_notional` the base is the notional at the start.
"""

from __future__ import annotations

from bot.core.accrual import interest_sat, venue_cut_sat
from bot.core.events import BTC, CONTRACT, SwapRate
from bot.core.ledger import MARKET, Account
from bot.core.margin import loan_value_sat
from bot.core.order import DEPOSIT, EXCHANGE
from bot.core.state import Loan, Offer, State
from bot.core.units import NS_PER_DAY, NS_PER_S, ceil_div, notional_sat, wide


def lender_purse(account: Account, asset: int) -> str:
    """Return the account that loans come out of and go back to: the deposit wallet, for the market its holdings."""
    return account.purses[EXCHANGE if account.name == MARKET else DEPOSIT][asset]


def add_offer(state: State, lender: str, asset: int, amount: int, rate_ppb_day: int, term_days: int) -> Offer:
    """Enter an offer in the pool behind all offers at its rate."""
    offer = Offer(state.new_id(), lender, asset, amount, amount, rate_ppb_day, term_days)
    pool = state.offers[asset]
    place = len(pool)
    while place > 0 and pool[place - 1].rate_ppb_day > rate_ppb_day:
        place -= 1
    pool.insert(place, offer)
    if lender != MARKET:
        state.accounts[lender].offered[asset] += amount
    return offer


def drop_offer(state: State, offer: Offer) -> None:
    """Take what is left of an offer out of the pool."""
    state.offers[offer.asset].remove(offer)
    if offer.lender != MARKET:
        state.accounts[offer.lender].offered[offer.asset] -= offer.remaining


def usable(state: State, borrower: str, asset: int, replaced: int = 0, coming_back: int = 0) -> list[tuple[Offer, int]]:
    """Return the offers that `borrower` can draw on now, cheapest first, each with what it gives.

    Nothing of his own, nothing above the venue's rate limit, no contract that the market does not own, and in all
    no more contracts than the tranche has. `replaced` lots of loans are about to be paid back, `coming_back` of them to
    the market.
    """
    limit = state.contract.lending.max_rate_ppb_day
    room = state.contract.tranche_lots - state.lent_lots + replaced
    held = market_lots(state) + coming_back
    found: list[tuple[Offer, int]] = []
    for offer in state.offers[asset]:
        if offer.lender == borrower:
            continue
        most = offer.remaining
        if asset == CONTRACT:
            most = min(room, held if offer.lender == MARKET else most)
        amount = drawable(offer.remaining, offer.rate_ppb_day, limit, most)
        if asset == CONTRACT:
            room -= amount
            held -= amount if offer.lender == MARKET else 0
        if amount > 0:
            found.append((offer, amount))
    return found


def drawable(remaining: int, rate_ppb_day: int, limit_ppb_day: int, most: int) -> int:
    """Return what an offer gives when `most` can be delivered: nothing above the venue's rate limit; 0 or more."""
    return max(min(remaining, most), 0) if rate_ppb_day <= limit_ppb_day else 0


def market_lots(state: State) -> int:
    """Return the lots that the market can deliver or lend: what it owns, not what it must give back."""
    market = state.market()
    return max(state.balance(market.exchange[CONTRACT]) + state.balance(market.owed[CONTRACT]), 0)


def overdue_lots(state: State, account: Account) -> int:
    """Return how many lots must be traded to pay back the overdue loans of `account`, rounded up."""
    overdue = [0, 0]
    for loan_id in account.loan_ids:
        loan = state.loans[loan_id]
        if loan.overdue:
            overdue[loan.asset] += loan.amount
    if overdue[BTC] == 0:
        return overdue[CONTRACT]
    owed = -state.balance(account.owed[BTC])
    return ceil_div(wide(account.margin_lots(state.ledger)) * overdue[BTC], owed)


def fundable(state: State, borrower: str, asset: int) -> int:
    """Return how much of `asset` (satoshi or lots) `borrower` could borrow now."""
    most = 0
    for _, amount in usable(state, borrower, asset):
        most += amount
    return most


def borrow(state: State, borrower: Account, asset: int, amount: int, replaced: int = 0, coming_back: int = 0) -> int:
    """Draw up to `amount` on the cheapest offers, one loan an offer, and return what was had.

    The asset moves into the borrower's position purse (the market's: its exchange purse); against it stand his
    `owed` and the lender's `lent` purse.
    """
    wanted = amount
    for offer, most in usable(state, borrower.name, asset, replaced, coming_back):
        if wanted == 0:
            break
        take = min(most, wanted)
        offer.remaining -= take
        if offer.lender != MARKET:
            state.accounts[offer.lender].offered[asset] -= take
        if offer.remaining == 0:
            state.offers[asset].remove(offer)
        _open_loan(state, borrower, offer, take)
        wanted -= take
    return amount - wanted


def _open_loan(state: State, borrower: Account, offer: Offer, amount: int) -> None:
    asset = offer.asset
    lender = state.accounts[offer.lender]
    entry = amount if asset == BTC else _notional(state, amount)
    loan = Loan(
        id=state.new_id(),
        asset=asset,
        borrower=borrower.name,
        lender=lender.name,
        amount=amount,
        rate_ppb_day=offer.rate_ppb_day,
        end_ns=state.time_ns + offer.term_days * NS_PER_DAY,
        entry_sat=entry,
        paid_to_s=state.time_ns // NS_PER_S,
    )
    state.loans[loan.id] = loan
    state.due_ns = 0
    state.changes += 1
    state.loan_changes += 1
    borrower.loan_ids.append(loan.id)
    if asset == CONTRACT:
        state.lent_lots += amount
    purse = borrower.exchange if borrower.name == MARKET else borrower.position
    state.ledger.move(state.time_ns, "loan", lender_purse(lender, asset), purse[asset], amount)
    state.ledger.move(state.time_ns, "loan", borrower.owed[asset], lender.lent[asset], amount)


def _notional(state: State, lots: int) -> int:
    return notional_sat(lots, state.mark_sat, state.contract.lots_per_contract)


def pay_interest(state: State, loan: Loan) -> None:
    """Pay what `loan` has accrued up to this second: borrower to lender, and the venue's cut.

    The borrower pays from the trading wallet; the lender is paid into the deposit wallet. Each second once.
    """
    now_s = state.time_ns // NS_PER_S
    seconds = now_s - loan.paid_to_s
    if seconds <= 0:
        return
    interest, loan.carry = interest_sat(loan_value_sat(state, loan), loan.rate_ppb_day, seconds, loan.carry)
    loan.paid_to_s = now_s
    state.loan_changes += 1
    cut = venue_cut_sat(interest, state.contract.lending.venue_cut_ppm)
    borrower = state.accounts[loan.borrower]
    lender = state.accounts[loan.lender]
    purse = borrower.exchange[BTC] if borrower.name == MARKET else borrower.trading[BTC]
    state.ledger.move(state.time_ns, "interest", purse, lender_purse(lender, BTC), interest - cut)
    state.ledger.move(state.time_ns, "interest", purse, state.venue.interest_cut, cut)


def repay(state: State, borrower: Account, asset: int, amount: int) -> None:
    """Give back `amount` from the borrower's position purse: overdue loans first, then the dearest, then the oldest.

    Interest up to now is paid on each loan that is touched. The amount never exceeds what is owed.
    """
    loans = [state.loans[i] for i in borrower.loan_ids if state.loans[i].asset == asset]
    for loan in sorted(loans, key=by_cost):
        if amount == 0:
            return
        part = min(amount, loan.amount)
        repay_loan(state, loan, part)
        amount -= part
    assert amount == 0, "more was to be repaid than is owed"


def by_cost(loan: Loan) -> tuple[bool, int, int]:
    """Sort key of what is repaid first."""
    return not loan.overdue, -loan.rate_ppb_day, loan.id


def repay_loan(state: State, loan: Loan, amount: int) -> None:
    """Give back `amount` of one loan; a loan that is paid back whole is over."""
    pay_interest(state, loan)
    state.changes += 1
    state.loan_changes += 1
    borrower = state.accounts[loan.borrower]
    lender = state.accounts[loan.lender]
    purse = borrower.exchange if borrower.name == MARKET else borrower.position
    state.ledger.move(state.time_ns, "repay", purse[loan.asset], lender_purse(lender, loan.asset), amount)
    state.ledger.move(state.time_ns, "repay", lender.lent[loan.asset], borrower.owed[loan.asset], amount)
    # The entry base shrinks with the loan, rounded down; it is 0 when the loan is.
    loan.entry_sat = wide(loan.entry_sat) * (loan.amount - amount) // loan.amount
    loan.amount -= amount
    if loan.asset == CONTRACT:
        state.lent_lots -= amount
    if loan.amount == 0:
        del state.loans[loan.id]
        borrower.loan_ids.remove(loan.id)


def refinance(state: State, loan: Loan) -> int:
    """Replace `loan` by new ones at the best offers now, as far as they reach; return what stays unfunded.

    What the market borrowed from users is simply given back: they offer it anew if they wish.
    """
    borrower = state.accounts[loan.borrower]
    if borrower.name == MARKET:
        repay_loan(state, loan, loan.amount)
        return 0
    due = loan.amount
    had = borrow(state, borrower, loan.asset, due, replaced=due, coming_back=due if loan.lender == MARKET else 0)
    if had:
        repay_loan(state, loan, had)
    return due - had


def on_swap_rate(state: State, row: SwapRate) -> None:
    """Let a swap-rate row replace the market's offers, and let the market borrow what users offer at its rate."""
    asset = row.asset
    pool = state.offers[asset]
    for place in range(len(pool) - 1, -1, -1):
        if pool[place].lender == MARKET:
            drop_offer(state, pool[place])
    state.rate_rows += 1
    state.market_rate_ppb_day[asset] = row.rate_ppb_day
    lend_to_market(state, asset)
    if row.available > 0:
        add_offer(state, MARKET, asset, row.available, row.rate_ppb_day, state.rules.loan_term_days)


def pass_swap_rates(state: State, rows: int, offers: int) -> None:
    """Count `rows` that were replaced before anyone could look, `offers` of which brought an offer, as if they came.

    Only while no user offers anything, or one of them might have been taken.
    """
    state.rate_rows += rows
    state.next_id += offers


def lend_to_market(state: State, asset: int) -> None:
    """Let the market take users' offers at or under its rate, up to its stated demand."""
    market = state.market()
    wanted = state.rules.demand[asset] + state.balance(market.owed[asset])
    rate = state.market_rate_ppb_day[asset]
    while wanted > 0:
        offers = [offer for offer in state.offers[asset] if offer.lender != MARKET]
        if not offers or offers[0].rate_ppb_day > rate:
            return
        had = borrow(state, market, asset, min(wanted, offers[0].remaining))
        if had == 0:
            return
        wanted -= had
