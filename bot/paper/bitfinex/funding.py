"""Endpoints on lending: offers, and loans as credits, since every loan here stands behind a position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bot.core.order import CancelOffer, PlaceOffer, RecallLoan
from bot.core.state import Offer
from bot.core.units import S_PER_DAY
from bot.paper.bitfinex.asked import MAX_ID
from bot.paper.bitfinex.refusals import bad
from bot.paper.bitfinex.rows import loan_row, offer_row
from bot.paper.bitfinex.terms import rate, whole

if TYPE_CHECKING:
    from bot.paper.bitfinex.protocol import Call, Endpoint

Row = list[Any]


def submit(call: Call) -> Row:
    """Offer an amount as a loan at a fixed rate: LIMIT, or FRRDELTAFIX for the market's rate now plus `rate`."""
    body, terms = call.body, call.terms
    asset = terms.funded_asset(body.get("symbol"))
    amount, days = terms.amount(body.get("amount"), asset), whole(body.get("period"), "period", 1, 365)
    price = terms.rate_ppb_day(body.get("rate"))
    if body.get("type") == "FRRDELTAFIX":
        price += call.state.market_rate_ppb_day[asset]
    elif body.get("type") != "LIMIT":
        raise bad("type", "LIMIT and FRRDELTAFIX are offered here; rates do not vary, so FRRDELTAVAR is not")
    if body.get("flags", 0):
        raise bad("flags", "offers have none here")
    number = call.submit(PlaceOffer(call.time_ns, call.user, asset, amount, price, days))
    left = next((offer for offer in call.state.offers[asset] if offer.id == number), None)
    row = offer_row(terms, left or Offer(number, call.user, asset, amount, 0, price, days))
    if left is None:
        row[10] = "EXECUTED"
    return _told(call, "fon-req", row, f"Submitting funding offer of {row[5]:f} for {days} days.")


def cancel(call: Call) -> Row:
    """Take back what is left of an offer."""
    number = whole(call.body.get("id"), "id", 1, MAX_ID)
    row = next((offer_row(call.terms, offer) for offer in _offers(call) if offer.id == number), None)
    call.submit(CancelOffer(call.time_ns, call.user, number))
    assert row is not None, "the exchange cancelled an offer that was not there"
    row[10] = "CANCELED"
    return _told(call, "foc-req", row, f"Submitted for cancellation (ID: {number}).")


def cancel_all(call: Call) -> Row:
    """Take back every offer, or those of one currency."""
    currency = call.body.get("currency")
    asset = None if currency is None else call.terms.asset_of(currency)
    rows = []
    for offer in _offers(call):
        if asset in (None, offer.asset):
            rows.append(offer_row(call.terms, offer))
            rows[-1][10] = "CANCELED"
            call.submit(CancelOffer(call.time_ns, call.user, offer.id))
    return _told(call, "foc_all-req", rows, f"{len(rows)} offers cancelled.")


def close(call: Call) -> Row:
    """Recall a loan: its borrower is funded anew or covered."""
    number = whole(call.body.get("id"), "id", 1, MAX_ID)
    call.submit(RecallLoan(call.time_ns, call.user, number))
    return _told(call, "fcc-req", None, f"Loan {number} recalled.")


def offers(call: Call, symbol: str | None = None) -> list[Row]:
    """Return the user's open offers, of all currencies or of one."""
    asset = None if symbol is None else call.terms.funded_asset(symbol)
    return [offer_row(call.terms, offer) for offer in _offers(call) if asset in (None, offer.asset)]


def credits_(call: Call, symbol: str | None = None) -> list[Row]:
    """Return the loans that the user gave (side 1) or took (-1)."""
    asset = None if symbol is None else call.terms.funded_asset(symbol)
    state, user = call.state, call.user
    mine = (loan for loan in state.loans.values() if user in (loan.lender, loan.borrower))
    return [loan_row(call.terms, state, loan, user) for loan in mine if asset in (None, loan.asset)]


def loans(call: Call, symbol: str | None = None) -> list[Row]:
    """Return nothing: no loan exists here without a position that uses it; see credits."""
    if symbol is not None:
        call.terms.funded_asset(symbol)
    return []


def funding_information(call: Call, symbol: str) -> Row:
    """Return mean daily rate paid and earned, and mean days left, of the user's loans of one currency.

    Means are weighted by amount and rounded down: rates to parts per billion, days to seconds.
    """
    asset = call.terms.funded_asset(symbol)
    state, sums = call.state, {}
    for mine in ("borrower", "lender"):
        found = [n for n in state.loans.values() if n.asset == asset and getattr(n, mine) == call.user]
        total = sum(loan.amount for loan in found) or 1
        mean_rate = rate(sum(loan.amount * loan.rate_ppb_day for loan in found) // total)  # rounded down
        left_s = sum(loan.amount * max(loan.end_ns - state.time_ns, 0) for loan in found) // total // 10**9
        sums[mine] = (mean_rate, left_s // S_PER_DAY)  # rounded down
    taken, given = sums["borrower"], sums["lender"]
    return ["sym", symbol, [taken[0], given[0], taken[1], given[1]]]


def _offers(call: Call) -> list[Offer]:
    return [offer for pool in call.state.offers for offer in pool if offer.lender == call.user]


def _told(call: Call, kind: str, row: Any, text: str) -> Row:
    return [call.time_ms, kind, None, None, row, None, "SUCCESS", text]


ENDPOINTS: Final[Mapping[tuple[str, ...], Endpoint]] = {
    ("w", "funding", "offer", "submit"): submit,
    ("w", "funding", "offer", "cancel"): cancel,
    ("w", "funding", "offer", "cancel", "all"): cancel_all,
    ("w", "funding", "close"): close,
    ("r", "funding", "offers"): offers,
    ("r", "funding", "offers", "*"): offers,
    ("r", "funding", "credits"): credits_,
    ("r", "funding", "credits", "*"): credits_,
    ("r", "funding", "loans"): loans,
    ("r", "funding", "loans", "*"): loans,
    ("r", "info", "funding", "*"): funding_information,
}
