"""An account as a venue reports it, and as our own books expect it: the same shape, so that they compare with ==.

Whole numbers only: satoshi, lots, parts per billion a day. What the protocol rounds or leaves out is not compared.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from bot.core.events import BTC, CONTRACT
from bot.core.ledger import Account
from bot.core.order import TRADING
from bot.core.state import State
from bot.core.units import notional_sat
from bot.paper.bitfinex.rows import POST_ONLY, REDUCE_ONLY
from bot.paper.bitfinex.terms import NS_PER_MS, WALLET_NAMES, WALLETS, Terms

Row = list[Any]
_WALLETS: Final = [(wallet, asset) for wallet in sorted(WALLET_NAMES) for asset in (BTC, CONTRACT)]


class OrderLine(NamedTuple):
    """An open order. One that was placed without a cid has minus its id on the venue."""

    cid: int
    wallet: str
    size_lots: int
    remaining_lots: int
    price_sat: int
    post_only: bool
    reduce_only: bool


class LoanLine(NamedTuple):
    """A loan given (side 1) or taken (-1)."""

    asset: int
    side: int
    amount: int
    rate_ppb_day: int
    overdue: bool


class OfferLine(NamedTuple):
    """An open offer of a loan."""

    asset: int
    amount: int
    remaining: int
    rate_ppb_day: int
    term_days: int


class Report(NamedTuple):
    """An account at one time. `wallets`: (wallet, asset, amount); `proceeds_sat`: what a short position holds."""

    wallets: list[tuple[str, int, int]]
    position_lots: int
    proceeds_sat: int
    orders: list[OrderLine]
    loans: list[LoanLine]
    offers: list[OfferLine]


def expected(state: State, account: Account) -> Report:
    """Return what our own books say of an account."""
    name = account.name
    wallets = [(wallet, asset, state.balance(account.purses[wallet][asset])) for wallet, asset in _WALLETS]
    orders = [
        OrderLine(
            one.command.cid,
            one.command.wallet,
            one.size_lots,
            one.remaining_lots,
            one.command.price_sat,
            one.command.post_only,
            one.command.reduce_only,
        )
        for one in state.live
        if one.is_live and one.command.user == name
    ]
    loans = []
    for loan in state.loans.values():
        if name in (loan.lender, loan.borrower):
            side = 1 if loan.lender == name else -1
            loans.append(LoanLine(loan.asset, side, loan.amount, loan.rate_ppb_day, loan.overdue))
    offers = [
        OfferLine(one.asset, one.amount, one.remaining, one.rate_ppb_day, one.term_days)
        for pool in state.offers
        for one in pool
        if one.lender == name
    ]
    lots = account.margin_lots(state.ledger)
    proceeds = state.balance(account.position[BTC])
    return Report(wallets, lots, proceeds, sorted(orders), sorted(loans), sorted(offers))


class Rows(NamedTuple):
    """What the protocol's endpoints on an account answer."""

    wallets: list[Row]
    positions: list[Row]
    orders: list[Row]
    loans: list[Row]
    offers: list[Row]


def reported(terms: Terms, mark_sat: int, rows: Rows) -> Report:
    """Return what rows of the protocol say.

    A position's profit is at the venue's mark, so `mark_sat` must be that; a short's proceeds are told apart by it.
    """
    held = {}
    for row in rows.wallets:
        asset = terms.asset_of(row[1])
        held[WALLETS[row[0]], asset] = terms.amount(str(row[2]), asset)
    lots = proceeds = 0
    for row in rows.positions:
        terms.check_symbol(row[0])
        lots = terms.lots(str(row[2]))
        if lots < 0:
            value = notional_sat(lots, mark_sat, terms.contract.lots_per_contract)
            proceeds = terms.amount(str(row[6]), BTC) - value
    return Report(
        [(wallet, asset, held.get((wallet, asset), 0)) for wallet, asset in _WALLETS],
        lots,
        proceeds,
        sorted(_order(terms, row) for row in rows.orders),
        sorted(_loan(terms, row) for row in rows.loans),
        sorted(offer_line(terms, row) for row in rows.offers),
    )


def _order(terms: Terms, row: Row) -> OrderLine:
    cid = row[2] if row[2] is not None else -row[0]
    wallet = "exchange" if row[8].startswith("EXCHANGE") else TRADING
    price = terms.amount(str(row[16]), BTC) if row[16] else 0
    size, left = terms.lots(str(row[7])), terms.lots(str(row[6]))
    return OrderLine(cid, wallet, size, left, price, bool(row[12] & POST_ONLY), bool(row[12] & REDUCE_ONLY))


def _loan(terms: Terms, row: Row) -> LoanLine:
    asset = terms.funded_asset(row[1])
    rate = terms.rate_ppb_day(str(row[11]))
    return LoanLine(asset, row[2], terms.amount(str(row[5]), asset), rate, row[7] == "OVERDUE")


def offer_line(terms: Terms, row: Row) -> OfferLine:
    """Return what a row of funding offers says."""
    asset = terms.funded_asset(row[1])
    left, amount = (terms.amount(str(row[at]), asset) for at in (4, 5))
    return OfferLine(asset, amount, left, terms.rate_ppb_day(str(row[14])), row[15])


class TradeLine(NamedTuple):
    """One of the account's own trades."""

    id: int
    time_ns: int
    cid: int
    wallet: str
    size_lots: int
    price_sat: int
    fee_sat: int
    maker: bool


def trade(terms: Terms, row: Row) -> TradeLine:
    """Return what a row of own trades says."""
    cid = row[11] if row[11] is not None else -row[3]
    wallet = "exchange" if row[6].startswith("EXCHANGE") else TRADING
    price, fee = (terms.amount(str(row[at]), BTC) for at in (5, 9))
    return TradeLine(row[0], row[2] * NS_PER_MS, cid, wallet, terms.lots(str(row[4])), price, -fee, row[8] == 1)


def differences(ours: Report, theirs: Report) -> list[str]:
    """Return in words where two reports differ; nothing if they agree."""
    found = []
    for name in Report._fields:
        mine, its = getattr(ours, name), getattr(theirs, name)
        if mine == its:
            continue
        if name == "wallets":
            for (wallet, asset, amount), (_, _, other) in zip(mine, its, strict=True):
                if amount != other:
                    found.append(f"{wallet} wallet: ours {amount} {'lots' if asset else 'sat'}, the venue's {other}")
        else:
            found.append(f"{name.replace('_', ' ')}: ours {mine}, the venue's {its}")
    return found
