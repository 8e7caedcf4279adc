"""The rows of an account, asked for through the client: what it holds, what is open, what has happened to it.

Raw rows, since the client parses floats and drops fields (docs/exchange.md). Whatever is not rows raises TypeError.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bot.paper.bitfinex.terms import Terms
from bot.venues.ccxt_client import Row, rows_of
from bot.venues.report import Rows

PAGE: Final = 2_500
"""The most rows that are told at once."""


def open_orders(client: Any, terms: Terms) -> list[Row]:
    """Return the open orders."""
    return rows_of(client.privatePostAuthROrdersSymbol({"symbol": terms.symbol}))


def ended_orders(client: Any, terms: Terms, start_ms: int) -> Iterator[Row]:
    """Yield ended orders placed at or after a time, page by page, the newest first."""
    asked: dict[str, Any] = {"symbol": terms.symbol, "start": start_ms, "limit": PAGE}
    seen: set[int] = set()
    while True:
        page = rows_of(client.privatePostAuthROrdersSymbolHist(asked))
        fresh = [row for row in page if row[0] not in seen]
        yield from fresh
        if len(page) < PAGE or not fresh:
            return
        seen.update(row[0] for row in fresh)
        asked["end"] = page[-1][4]  # the last page's last millisecond comes again: it may have had more


def ended_order(client: Any, terms: Terms, number: int) -> list[Row]:
    """Return the ended order of that id, if there is one."""
    return rows_of(client.privatePostAuthROrdersSymbolHist({"symbol": terms.symbol, "id": [number]}))


def trades(client: Any, terms: Terms, start_ms: int) -> list[Row]:
    """Return the account's own trades at or after a time, the oldest first."""
    found: dict[int, Row] = {}
    while True:
        asked = {"symbol": terms.symbol, "start": start_ms, "limit": PAGE, "sort": 1}
        page = rows_of(client.privatePostAuthRTradesSymbolHist(asked))
        fresh = [row for row in page if row[0] not in found]
        found.update((row[0], row) for row in fresh)
        if len(page) < PAGE or not fresh:
            return list(found.values())
        start_ms = page[-1][2]


def ledger(client: Any, currency: str, limit: int) -> list[Row]:
    """Return the newest changes of the wallets' balances in a currency."""
    return rows_of(client.privatePostAuthRLedgersCurrencyHist({"currency": currency, "limit": limit}))


def offers(client: Any) -> list[Row]:
    """Return the open offers of loans."""
    return rows_of(client.privatePostAuthRFundingOffers({}))


def loans(client: Any) -> list[Row]:
    """Return the loans given and taken."""
    return rows_of(client.privatePostAuthRFundingCredits({}))


def positions(client: Any) -> list[Row]:
    """Return the margin positions."""
    return rows_of(client.privatePostAuthRPositions({}))


def account(client: Any, terms: Terms) -> Rows:
    """Return all that is asked for a report."""
    wallets = rows_of(client.privatePostAuthRWallets({}))
    return Rows(wallets, positions(client), open_orders(client, terms), loans(client), offers(client))
