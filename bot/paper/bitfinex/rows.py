"""Orders, trades, wallets, positions, ledger entries, offers and loans as the rows that the protocol has for them.

Fields that the exchange does not keep are null, never invented. Places are those of the published v2 reference.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from bot.core.events import BTC, CONTRACT, Fill
from bot.core.ledger import Account
from bot.core.margin import free_margin_sat, margin_equity_sat, requirement_sat, standing
from bot.core.order import CANCELLED, EXCHANGE, FILLED, TRADING, Order
from bot.core.state import Loan, Offer, State
from bot.core.units import NS_PER_DAY, NS_PER_S, ceil_div, notional_sat
from bot.paper.bitfinex.terms import WALLET_NAMES, Terms, btc, ms, rate
from bot.paper.bitfinex.wire import plain
from bot.paper.records import Entry

CLOSE: Final = 512
REDUCE_ONLY: Final = 1024
POST_ONLY: Final = 4096
NO_VARIABLE_RATES: Final = 524288

Row = list[Any]


def order_type(order: Order) -> str:
    """Return the protocol's name of an order's type."""
    kind = "LIMIT" if order.command.price_sat else "MARKET"
    return kind if order.command.wallet == TRADING else f"EXCHANGE {kind}"


def order_row(terms: Terms, order: Order, fills: list[Fill]) -> Row:
    """Return an order's 32 fields. AMOUNT is what was not filled; the times are of placing and of the last fill."""
    command = order.command
    unfilled = order.remaining_lots + order.cancelled_lots
    created = ms(command.time_ns)
    flags = POST_ONLY * command.post_only + REDUCE_ONLY * command.reduce_only + CLOSE * command.close
    row: Row = [None] * 32
    row[0] = order.id
    row[2] = command.cid if command.cid >= 0 else None
    row[3] = terms.symbol
    row[4] = created
    row[5] = ms(fills[-1].time_ns) if fills else created
    row[6] = terms.size(unfilled)
    row[7] = terms.size(order.size_lots)
    row[8] = order_type(order)
    row[12] = flags
    row[13] = order_status(terms, order, fills)
    row[16] = btc(command.price_sat)
    row[17] = average_price(fills)
    row[18] = row[19] = 0
    row[23] = row[24] = 0
    row[28] = "API>BFX"
    return row


def average_price(fills: list[Fill]) -> Decimal:
    """Return the mean price of fills in bitcoin, rounded to the nearest satoshi, ties up; 0 without fills."""
    lots = sum(abs(fill.size_lots) for fill in fills)
    if lots == 0:
        return Decimal(0)
    total = sum(abs(fill.size_lots) * fill.price_sat for fill in fills)
    return btc((2 * total + lots) // (2 * lots))


def order_status(terms: Terms, order: Order, fills: list[Fill]) -> str:
    """Return the status text: what became of the order, and at what average price how much of it was filled."""
    filled = f"@ {plain(average_price(fills))}({plain(terms.size(order.filled_lots))})" if fills else ""
    if order.status == FILLED:
        return f"{'FORCED ' if order.forced else ''}EXECUTED {filled}"
    partly = f" was: PARTIALLY FILLED {filled}" if fills else ""
    if order.status == CANCELLED:
        if order.reason in ("NOT_ENOUGH_BALANCE", "NOT_ENOUGH_MARGIN", "NO_FUNDING"):
            return f"INSUFFICIENT {'BALANCE' if order.command.wallet == EXCHANGE else 'MARGIN'}{partly}"
        return f"{'POSTONLY ' if order.reason == 'WOULD_TAKE' else ''}CANCELED{partly}"
    return f"PARTIALLY FILLED {filled}" if fills else "ACTIVE"


def trade_row(terms: Terms, number: int, fill: Fill, order: Order) -> Row:
    """Return one of a user's own trades; the fee is negative, as he paid it."""
    cid = order.command.cid
    return [
        number + 1,
        terms.symbol,
        ms(fill.time_ns),
        fill.order_id,
        terms.size(fill.size_lots),
        btc(fill.price_sat),
        order_type(order),
        btc(order.command.price_sat),
        1 if fill.maker else -1,
        btc(-fill.fee_sat),
        "BTC",
        cid if cid >= 0 else None,
    ]


def wallet_rows(terms: Terms, state: State, account: Account) -> list[Row]:
    """Return every wallet: type, currency, balance, unsettled interest (0), what is free. Positions are not in it."""
    rows: list[Row] = []
    for name, theirs in WALLET_NAMES.items():
        for asset in (BTC, CONTRACT):
            total = state.balance(account.purses[name][asset])
            free = state.free(account, name, asset)
            if name == TRADING and asset == BTC:
                free = free_margin_sat(state, account, state.time_ns)
            rows.append(
                [theirs, terms.currencies[asset], terms.held(total, asset), 0, terms.held(free, asset), None, None]
            )
    return rows


def position_number(state: State, user: str) -> int:
    """Return the number of a user's one position: his place among the accounts."""
    return list(state.accounts).index(user)


def position_row(terms: Terms, state: State, account: Account) -> Row | None:
    """Return the margin position, or None if there is none.

    Base price: what the bought lots owe, or what the short's proceeds are, per contract, rounded down. Funding is
    what was borrowed, in the currency borrowed. Profit is at the mark, before interest and fees.
    """
    lots = account.margin_lots(state.ledger)
    if lots == 0:
        return None
    per = terms.contract.lots_per_contract
    proceeds = state.balance(account.position[BTC])
    paid = -state.balance(account.owed[BTC]) if lots > 0 else proceeds
    value = notional_sat(lots, state.mark_sat, per)
    profit = value - paid if lots > 0 else proceeds + value
    borrowed = account.owed[BTC if lots > 0 else CONTRACT]
    row: Row = [None] * 20
    row[0] = terms.symbol
    row[1] = "ACTIVE"
    row[2] = terms.size(lots)
    row[3] = btc(paid * per // abs(lots))  # rounded down
    row[4] = terms.held(-state.balance(borrowed), BTC if lots > 0 else CONTRACT)
    row[5] = 0
    row[6] = btc(profit)
    row[7] = Decimal(profit * 10_000 // paid).scaleb(-2) if paid else 0  # percent, rounded down to a hundredth
    row[8] = liquidation_price(state, account)
    row[11] = position_number(state, account.name)
    row[13] = ms(state.time_ns)
    row[15] = 0
    row[17] = btc(state.balance(account.trading[BTC]))
    row[18] = btc(requirement_sat(lots, state.mark_sat, per, state.maintenance_ppm))
    row[19] = {"reason": "TRADE"}
    return row


def liquidation_price(state: State, account: Account) -> Decimal | None:
    """Return the price beyond which the position would be liquidated now, on the tick towards the mark.

    None if no price up to eight times the mark would do it. Equity less requirement falls monotonically away from the
    mark, so it is searched by halving.
    """
    worth, lots, tick = standing(state, account), account.margin_lots(state.ledger), state.contract.tick_sat
    per, maintenance = state.contract.lots_per_contract, state.maintenance_ppm

    def safe(ticks: int) -> bool:
        price = ticks * tick
        required = requirement_sat(lots, price, per, maintenance)
        return worth.margin_equity_sat(state, price, state.time_ns) >= required

    mark = state.mark_sat // tick  # rounded down
    good, lost = mark, 8 * mark if lots < 0 else 0
    if not safe(good) or safe(lost):
        return None
    while abs(lost - good) > 1:
        middle = (good + lost) // 2  # rounded down
        good, lost = (middle, lost) if safe(middle) else (good, middle)
    return btc(good * tick)


# ccxt sorts entries by words of the description: fee and charged, deposit, transfer, payment, exchange.
_ENTRY_WORDS: Final = {
    "trade": "Exchange trade",
    "collateral": "Exchange of collateral",
    "claim": "Exchange of a claimed position",
    "fee": "Trading fees",
    "dividend": "Dividend payment",
    "deposit": "Deposit",
    "withdrawal": "Withdrawal",
    "transfer": "Transfer",
    "loan": "Margin funding lent",
    "repay": "Margin funding given back",
    "expiry": "Settlement at expiry",
    "deficit": "Deficit absorbed by the venue",
}


def entry_row(entry: Entry, terms: Terms) -> Row:
    """Return one ledger entry of a wallet."""
    asset = terms.currencies.index(entry.currency)
    words = _ENTRY_WORDS.get(entry.kind, entry.kind)
    if entry.kind == "interest":
        words = "Margin funding payment" if entry.amount > 0 else "Margin funding charged"
    wallet = WALLET_NAMES[entry.wallet]
    amount, balance = terms.held(entry.amount, asset), terms.held(entry.balance, asset)
    text = f"{words} @ {wallet} wallet"
    return [entry.id, entry.currency, wallet, ms(entry.time_ns), None, amount, balance, None, text]


def offer_row(terms: Terms, offer: Offer) -> Row:
    """Return a funding offer's 21 fields; the exchange keeps no times of offers."""
    row: Row = [None] * 21
    row[0], row[1] = offer.id, terms.funding_symbols[offer.asset]
    row[4], row[5] = terms.held(offer.remaining, offer.asset), terms.held(offer.amount, offer.asset)
    row[6], row[9] = "LIMIT", 0
    row[10] = "ACTIVE" if offer.remaining == offer.amount else "PARTIALLY FILLED"
    row[14], row[15], row[16], row[17], row[19] = rate(offer.rate_ppb_day), offer.term_days, 0, 0, 0
    return row


def loan_row(terms: Terms, state: State, loan: Loan, user: str) -> Row:
    """Return a loan as one of its parties sees it: side 1 lent, -1 borrowed. PERIOD is days left, rounded up."""
    row: Row = [None] * 22
    row[0], row[1] = loan.id, terms.funding_symbols[loan.asset]
    row[2] = 1 if loan.lender == user else -1
    row[5], row[6] = terms.held(loan.amount, loan.asset), 0
    row[7] = "OVERDUE" if loan.overdue else "ACTIVE"
    row[8], row[11] = "FIXED", rate(loan.rate_ppb_day)
    row[12] = max(ceil_div(loan.end_ns - state.time_ns, NS_PER_DAY), 0)
    row[14] = ms(loan.paid_to_s * NS_PER_S)
    row[15] = row[16] = row[18] = row[20] = 0
    row[21] = terms.symbol
    return row


def margin_row(state: State, account: Account) -> Row:
    """Return profit of the position, interest due, balance, equity, and the maintenance margin required."""
    worth = standing(state, account)
    due = worth.owed.due_sat(state.mark_sat, state.time_ns // NS_PER_S) if worth.owed else 0
    lots, per = account.margin_lots(state.ledger), state.contract.lots_per_contract
    balance = state.balance(account.trading[BTC])
    held = sum(state.balance(purse[BTC]) for purse in (account.position, account.owed))
    profit = held + notional_sat(lots, state.mark_sat, per)
    equity = margin_equity_sat(state, account, state.time_ns)
    required = requirement_sat(lots, state.mark_sat, per, state.maintenance_ppm)
    return [btc(profit), btc(-due), btc(balance), btc(equity), btc(required)]
