"""How a paper run stands, as text for people; the documents are those of bot.standing."""

from __future__ import annotations

import re
from typing import Any

from backtests.output import SIMULATED, btc_text
from bot.app.outcome import columns


def status_text(document: dict[str, Any]) -> str:
    """Return a status: the market in one line, then the strategies."""
    rows: list[tuple[str, ...]] = [("strategy", "mode", "position", "equity (BTC)", "orders", "loans", "fills", "why")]
    for one in document["strategies"]:
        counts = (str(one["orders"]), str(one["loans"]), str(one["fills"]))
        worth = (f"{one['position_lots']:+d} lots", btc_text(one["equity_sat"]))
        rows.append((one["name"], one["mode"], *worth, *counts, one["reason"]))
    market = f"price {btc_text(document['price_sat'])} BTC  fair value {btc_text(document['fair_sat'])} BTC"
    top = f"{document['time_utc']}  {document['contract']}  {market}  {document['events']} events"
    swap = f"swap rate {document['swap_rate_ppb_day'] / 1e7:.4f} %/day, {document['borrowable_lots']} lots to borrow"
    feed = re.sub(" [0-9a-f]{12}(?=,|$)", "", document["feed"])  # what the files hold is in the journal's head
    return _page(document, [top, swap, columns(rows), f"from {feed}"])


def orders_text(document: dict[str, Any]) -> str:
    """Return the live orders as a table."""
    rows: list[tuple[str, ...]] = [("strategy", "id", "placed", "wallet", "remaining", "of", "price (BTC)", "status")]
    for one in document["orders"]:
        price = btc_text(one["price_sat"]) if one["price_sat"] else "market"
        sizes = (f"{one['remaining_lots']:+d} lots", f"{one['size_lots']:+d}")
        by = "venue's, " if one["forced"] else ""
        rows.append(
            (one["strategy"], str(one["id"]), one["placed_utc"], one["wallet"], *sizes, price, by + one["status"])
        )
    return _page(document, [columns(rows) if len(rows) > 1 else f"{document['time_utc']}: no order may still trade"])


def positions_text(document: dict[str, Any]) -> str:
    """Return positions as a table, and the loans behind them."""
    rows: list[tuple[str, ...]] = [
        ("strategy", "owned", "on margin", "lent", "on offer", "equity (BTC)", "loans", "next ends")
    ]
    for one in document["positions"]:
        lots = [f"{one[key]:+d} lots" for key in ("owned_lots", "margin_lots", "lent_lots", "on_offer_lots")]
        ends = min((loan["ends_utc"] for loan in one["loans"]), default="-")
        rows.append((one["strategy"], *lots, btc_text(one["equity_sat"]), str(len(one["loans"])), ends))
    return _page(document, [document["time_utc"], columns(rows)])


def _page(document: dict[str, Any], lines: list[str]) -> str:
    return "\n".join([SIMULATED, *lines] if document["simulated_prices"] else lines)
