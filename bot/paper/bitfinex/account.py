"""Endpoints on what a user has: wallets, positions, ledgers, transfers, fees, margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from bot.core.events import BTC, CONTRACT
from bot.core.ledger import POSITION
from bot.core.lending import fundable
from bot.core.margin import free_margin_sat, room_lots
from bot.core.order import EXCHANGE, Rejection, Transfer
from bot.core.state import market_price_sat
from bot.paper.bitfinex.asked import MAX_ID, Range, time_range
from bot.paper.bitfinex.refusals import bad, rejected
from bot.paper.bitfinex.rows import entry_row, margin_row, position_row, wallet_rows
from bot.paper.bitfinex.terms import WALLETS, btc, whole
from bot.paper.bitfinex.wire import plain
from bot.paper.records import Entry, within

if TYPE_CHECKING:
    from bot.paper.bitfinex.protocol import Call, Endpoint

Row = list[Any]
_AT_ONCE: Final = 512


def wallets(call: Call) -> list[Row]:
    """Return every wallet of the user."""
    return wallet_rows(call.terms, call.state, call.account)


def positions(call: Call) -> list[Row]:
    """Return the margin position, if there is one."""
    row = position_row(call.terms, call.state, call.account)
    return [] if row is None else [row]


def claim(call: Call) -> Row:
    """Take over a long, or a part of it: the margin wallet pays what financed it, the exchange wallet gets it."""
    body, terms = call.body, call.terms
    before = position_row(terms, call.state, call.account)
    if before is None or whole(body.get("id"), "id", 0, MAX_ID) != before[11]:
        raise rejected(Rejection("UNKNOWN_ID", f"position {body.get('id')!r:.40}"))
    held = call.account.margin_lots(call.state.ledger)
    lots = held if body.get("amount") is None else terms.lots(body["amount"])
    call.submit(Transfer(call.time_ns, call.user, POSITION, EXCHANGE, CONTRACT, lots))
    row = position_row(terms, call.state, call.account)
    if row is None:
        row = [*before[:1], "CLOSED", 0, *before[3:]]
    text = f"{plain(terms.size(lots))} claimed of position {before[11]}."
    return [call.time_ms, "on-req", None, None, [row], None, "SUCCESS", text]


def ledgers(call: Call, currency: str | None = None) -> list[Row]:
    """Return the newest changes of the user's wallets, of all currencies or of one."""
    terms = call.terms
    wanted = None if currency is None else terms.currencies[terms.asset_of(currency)]
    asked = time_range(call.body, 25, 2_500)
    rows = _newest(call.records().entries[call.user], asked, wanted)
    return [entry_row(entry, terms) for entry in rows]


def _newest(entries: Sequence[Entry], asked: Range, currency: str | None) -> list[Entry]:
    low, high = within(entries, asked.start_ns, asked.end_ns, lambda entry: entry.time_ns)
    found: list[Entry] = []
    while low < high and len(found) < asked.limit:
        first = max(high - _AT_ONCE, low)
        found += [entry for entry in reversed(entries[first:high]) if currency in (None, entry.currency)]
        high = first
    return found[: asked.limit]


def transfer(call: Call) -> Row:
    """Move an amount between two wallets of the user."""
    body, terms = call.body, call.terms
    asset = terms.asset_of(body.get("currency"))
    if body.get("currency_to", body["currency"]) != body["currency"]:
        raise bad("currency_to", "currencies are not converted here")
    source, target = _wallet(body.get("from"), "from"), _wallet(body.get("to"), "to")
    amount = terms.amount(body.get("amount"), asset)
    call.submit(Transfer(call.time_ns, call.user, source, target, asset, amount))
    now, held, currency = call.time_ms, terms.held(amount, asset), terms.currencies[asset]
    row = [now, body["from"], body["to"], None, None, currency, currency, held]
    text = f"{held:f} {currency} transferred from {body['from']} to {body['to']}"
    return [now, "acc_tf", None, None, row, None, "SUCCESS", text]


def _wallet(value: Any, name: str) -> str:
    if not isinstance(value, str) or value not in WALLETS:
        raise bad(name, f"not one of {', '.join(WALLETS)}")
    return WALLETS[value]


def summary(call: Call) -> Row:
    """Return maker's and taker's fees at place 4, alike for every kind of pair."""
    contract = call.terms.contract
    maker, taker = (Decimal(ppm).scaleb(-6) for ppm in (contract.maker_fee_ppm, contract.taker_fee_ppm))
    fees = [[fee, fee, fee, None, None, fee] for fee in (maker, taker)]
    return [None, None, None, None, fees, None, None, None, None, None]


def margin_base(call: Call) -> Row:
    """Return profit, interest due, balance, equity and maintenance margin of the margin wallet."""
    return ["base", margin_row(call.state, call.account)]


def margin_symbol(call: Call, symbol: str) -> Row:
    """Return what may still be traded on margin: bitcoin free, balance, contracts to buy, contracts to sell."""
    state, account, terms = call.state, call.account, call.terms
    if symbol != "sym_all":
        terms.check_symbol(symbol)
    free = free_margin_sat(state, account, state.time_ns)
    balance = state.balance(account.trading[BTC])
    row = ["sym", terms.symbol, [btc(free), btc(balance), *_tradable(call)]]
    return [row] if symbol == "sym_all" else row


def _tradable(call: Call) -> Row:
    """Return contracts that margin and lenders would let the user buy and sell at the market's price."""
    state, account = call.state, call.account
    if state.mark_sat == 0:
        return [0, 0]
    held = account.margin_lots(state.ledger)
    sizes = []
    for buys in (True, False):
        price = market_price_sat(state, buys)
        lent = fundable(state, call.user, BTC if buys else CONTRACT)
        funded = lent * call.terms.contract.lots_per_contract // price if buys else lent  # rounded down
        closing = max(-held if buys else held, 0)
        sizes.append(max(min(room_lots(state, account, buys, price, True), closing + funded), 0))
    return [call.terms.size(lots) for lots in sizes]


ENDPOINTS: Final[Mapping[tuple[str, ...], Endpoint]] = {
    ("r", "wallets"): wallets,
    ("r", "positions"): positions,
    ("w", "position", "claim"): claim,
    ("r", "ledgers", "hist"): ledgers,
    ("r", "ledgers", "*", "hist"): ledgers,
    ("w", "transfer"): transfer,
    ("r", "summary"): summary,
    ("r", "info", "margin", "base"): margin_base,
    ("r", "info", "margin", "*"): margin_symbol,
}
