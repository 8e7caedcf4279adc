"""Endpoints on orders and trades: submit, replace, cancel, several at once, open ones, ended ones, own trades."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from bot.core.decide import decide
from bot.core.order import CANCELLED, EXCHANGE, TRADING, CancelOrder, Order, PlaceOrder, Rejection
from bot.core.units import NS_PER_DAY
from bot.paper.bitfinex.asked import MAX_ID, ids, time_range
from bot.paper.bitfinex.refusals import RefusedError, bad, rejected
from bot.paper.bitfinex.rows import CLOSE, NO_VARIABLE_RATES, POST_ONLY, REDUCE_ONLY, order_row, trade_row
from bot.paper.bitfinex.terms import MAX_CID, whole
from bot.paper.checkpoint.ended import newest_first
from bot.paper.records import within

if TYPE_CHECKING:
    from bot.paper.bitfinex.protocol import Call, Endpoint

MAX_OPS: Final = 75
TYPES: Final = {"EXCHANGE LIMIT": EXCHANGE, "EXCHANGE MARKET": EXCHANGE, "LIMIT": TRADING, "MARKET": TRADING}
_KNOWN_FLAGS: Final = CLOSE | REDUCE_ONLY | POST_ONLY | NO_VARIABLE_RATES
_EPOCH: Final = date(1970, 1, 1).toordinal()

Row = list[Any]


def submit(call: Call) -> Row:
    """Place an order. The same cid on the same UTC day with the same body is the same order, whatever became of it."""
    row = _row(call, _ordered(call, call.submit(_asked(call, call.body))))
    return _told(call, "on-req", [row], "Submitting 1 orders.")


def _asked(call: Call, body: Mapping[str, Any]) -> PlaceOrder:
    """Return the order that a body asks for, refusing what the exchange does not have by name."""
    terms = call.terms
    terms.check_symbol(body.get("symbol"))
    kind = body.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise bad("type", f"only {', '.join(TYPES)} are traded here")
    flags = whole(body.get("flags", 0), "flags", 0, 1 << 30)
    if flags & ~_KNOWN_FLAGS:
        raise bad("flags", f"{flags & ~_KNOWN_FLAGS} is not offered here, only close, reduce-only and post-only are")
    for name in ("price_trailing", "price_aux_limit", "price_oco_stop", "tif", "lev"):
        if body.get(name):
            raise bad(name, "not offered here")
    lots, closes = terms.lots(body.get("amount")), bool(flags & CLOSE)
    if closes and lots * call.account.margin_lots(call.state.ledger) > 0:
        raise bad("amount", "has the sign of the position, which it is to close")
    return PlaceOrder(
        call.time_ns,
        call.user,
        _cid(call, body),
        TYPES[kind],
        0 if closes else lots,
        terms.price_sat(body.get("price")) if kind.endswith("LIMIT") else 0,
        post_only=bool(flags & POST_ONLY),
        reduce_only=bool(flags & REDUCE_ONLY),
        close=closes,
        active_ns=call.time_ns,
    )


def _cid(call: Call, body: Mapping[str, Any]) -> int:
    """Return the client's own id, or one that none can choose: below zero, and as rare as the next id."""
    if body.get("cid") is None:
        return -call.state.next_id
    return whole(body["cid"], "cid", 0, MAX_CID)


def replace(call: Call) -> Row:
    """Put a new order in the place of a resting one, of another size or price, or refuse and leave the old one alone.

    `amount` is what shall be open from now on. The new order has a new id, and stands behind the others at its price.
    """
    body, state = call.body, call.state
    old = _mine(call, whole(body.get("id"), "id", 1, MAX_ID))
    new = _replacement(call, old, body)
    known = state.by_cid.get((call.user, new.cid, new.time_ns // NS_PER_DAY))  # rounded down
    if known is not None:  # it was replaced, and the answer got lost; or the cid names something else
        return _told(call, "ou-req", _row(call, _ordered(call, call.submit(new))), "Submitting update.")
    with _set_aside(call, old):
        refusal = decide(state, new)
    if refusal is not None:
        raise rejected(refusal)
    call.submit(CancelOrder(call.time_ns, call.user, old.id))
    row = _row(call, _ordered(call, call.submit(new)))
    return _told(call, "ou-req", row, f"Order {old.id} replaced by {row[0]}.")


def _replacement(call: Call, old: Order, body: Mapping[str, Any]) -> PlaceOrder:
    command, terms = old.command, call.terms
    flags = whole(body.get("flags", 0), "flags", 0, 1 << 30)
    if flags & ~(POST_ONLY | REDUCE_ONLY):
        raise bad("flags", "an update can set post-only and reduce-only")
    lots = old.remaining_lots if body.get("amount") is None else terms.lots(body["amount"])
    if lots * old.size_lots < 0:
        raise bad("amount", "turns a buy into a sale, or back")
    price = command.price_sat if body.get("price") is None else terms.price_sat(body["price"])
    if not command.price_sat:
        raise bad("id", "a market order cannot be updated")
    now = call.time_ns
    post_only = command.post_only or bool(flags & POST_ONLY)
    reduce_only = command.reduce_only or bool(flags & REDUCE_ONLY)
    return PlaceOrder(
        now, call.user, _cid(call, body), command.wallet, lots, price, post_only, reduce_only, active_ns=now
    )


@contextmanager
def _set_aside(call: Call, order: Order) -> Iterator[None]:
    """Let the exchange decide as if `order` were cancelled; on leaving it stands as it did."""
    if not order.is_live:
        raise rejected(Rejection("ALREADY_FINAL", f"order {order.id} is {order.status}"))
    status, reserved = order.status, list(call.account.reserved)
    order.status = CANCELLED
    if order.command.wallet == EXCHANGE:
        call.account.reserved[0] -= order.reserved_sat
        call.account.reserved[1] -= max(-order.remaining_lots, 0)
    try:
        yield
    finally:
        order.status, call.account.reserved = status, reserved


def cancel(call: Call) -> Row:
    """Cancel by id, or by cid and its day."""
    body = call.body
    if body.get("id") is not None:
        order = _mine(call, whole(body["id"], "id", 1, MAX_ID))
    else:
        order = _by_cid(call, whole(body.get("cid"), "cid", 0, MAX_CID), body.get("cid_date"))
    call.submit(CancelOrder(call.time_ns, call.user, order.id))
    return _told(call, "oc-req", _row(call, order), f"Cancelled (ID: {order.id}).")


def _by_cid(call: Call, cid: int, day: Any) -> Order:
    try:
        if not isinstance(day, str) or len(day) != len("2014-09-15"):
            raise ValueError
        number = date.fromisoformat(day).toordinal() - _EPOCH
    except ValueError as error:
        raise bad("cid_date", "not a day as 2014-09-15") from error
    known = call.state.by_cid.get((call.user, cid, number))
    if known is None:
        raise rejected(Rejection("UNKNOWN_ID", f"cid {cid} of {day}"))
    return call.state.orders[known]


def cancel_several(call: Call) -> Row:
    """Cancel the open orders of those ids, or all of them; what has ended already is left out."""
    wanted = None if call.body.get("all") in (1, True) else set(ids(call.body.get("id")) or ())
    rows = []
    for order in _open(call):
        if not order.forced and (wanted is None or order.id in wanted):
            call.submit(CancelOrder(call.time_ns, call.user, order.id))
            rows.append(_row(call, order))
    return _told(call, "oc_multi-req", rows, f"{len(rows)} orders cancelled.")


def several(call: Call) -> Row:
    """Carry out a list of operations one after the other; each has its own answer, and one that fails stops none."""
    ops = call.body.get("ops")
    if not isinstance(ops, list) or len(ops) > MAX_OPS:
        raise bad("ops", f"not a list of at most {MAX_OPS}")
    whole_body, answers = call.body, []
    for op in ops:
        if not isinstance(op, list) or len(op) != 2 or op[0] not in _OPS or not isinstance(op[1], dict):
            raise bad("ops", f"each is [kind, body], kind one of {', '.join(_OPS)}")
    for kind, body in ops:
        call.body = body
        try:
            answers.append(_OPS[kind](call))
        except RefusedError as refusal:
            answers.append(_refused(call, kind, body, refusal))
    call.body = whole_body
    return _told(call, "ox_multi-req", answers, f"Submitting {len(ops)} order operations.")


_OPS: Final = {"on": submit, "ou": replace, "oc": cancel, "oc_multi": cancel_several}


def _refused(call: Call, kind: str, body: Mapping[str, Any], refusal: RefusedError) -> Row:
    """Return the answer to an operation that failed; of the order only what was asked is known, if it can be read."""
    row: Row = [None] * 32
    cid, amount = body.get("cid"), body.get("amount")
    row[2] = cid if type(cid) is int and 0 <= cid <= MAX_CID else None
    row[3] = call.terms.symbol
    row[6] = row[7] = amount if isinstance(amount, str) and len(amount) <= 32 and amount.isascii() else "0"
    row[13] = f"REJECTED: {refusal.text}"
    return [
        call.time_ms,
        f"{kind}-req",
        None,
        None,
        [row] if kind == "on" else row,
        refusal.code,
        "ERROR",
        refusal.text,
    ]


def open_orders(call: Call, symbol: str | None = None) -> list[Row]:
    """Return the user's open orders, or those of some ids."""
    if symbol is not None:
        call.terms.check_symbol(symbol)
    wanted = ids(call.body.get("id"))
    found = reversed(_open(call))  # the newest first, as the protocol has it
    return [_row(call, order) for order in found if wanted is None or order.id in wanted]


def ended_orders(call: Call, symbol: str | None = None) -> list[Row]:
    """Return the user's ended orders, the newest first, by the time of placing; or those of some ids."""
    if symbol is not None:
        call.terms.check_symbol(symbol)
    asked = time_range(call.body, 25, 2_500)
    wanted = ids(call.body.get("id"))
    orders = call.state.orders
    found: Iterator[Order | None] = (
        newest_first(orders, asked.end_ns)
        if wanted is None
        else (orders.get(one) for one in sorted(wanted, reverse=True))
    )
    rows: list[Row] = []
    for order in found:
        if order is None or order.command.user != call.user or order.is_live:
            continue
        if order.command.time_ns < asked.start_ns or len(rows) == asked.limit:
            break
        if order.command.time_ns <= asked.end_ns:
            rows.append(_row(call, order))
    return rows


def own_trades(call: Call, symbol: str | None = None) -> list[Row]:
    """Return the user's own trades, the newest first unless `sort` is 1."""
    if symbol is not None:
        call.terms.check_symbol(symbol)
    asked = time_range(call.body, 25, 2_500)
    numbers, fills = call.records().fills[call.user], call.state.fills
    low, high = within(numbers, asked.start_ns, asked.end_ns, lambda at: fills[at].time_ns)
    if asked.rising:
        return [_trade(call, at) for at in numbers[low : min(low + asked.limit, high)]]
    return [_trade(call, at) for at in reversed(numbers[max(high - asked.limit, low) : high])]


def trades_of_order(call: Call, place: str) -> list[Row]:
    """Return the trades of one order, given as SYMBOL:ID, the newest first."""
    symbol, _, number = place.rpartition(":")
    call.terms.check_symbol(symbol)
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        raise bad("id", "not a whole number")
    order = _mine(call, int(number))
    return [_trade(call, at) for at in reversed(call.records().numbers_of(order.id))]


def _trade(call: Call, at: int) -> Row:
    fill = call.state.fills[at]
    return trade_row(call.terms, at, fill, call.state.orders[fill.order_id])


def _open(call: Call) -> list[Order]:
    return [order for order in call.state.live if order.is_live and order.command.user == call.user]


def _mine(call: Call, number: int) -> Order:
    order = call.state.orders.get(number)
    if order is None or order.command.user != call.user:
        raise rejected(Rejection("UNKNOWN_ID", f"order {number}"))
    return order


def _ordered(call: Call, number: int) -> Order:
    return call.state.orders[number]


def _row(call: Call, order: Order) -> Row:
    return order_row(call.terms, order, call.records().fills_of(order.id))


def _told(call: Call, kind: str, row: Row, text: str) -> Row:
    return [call.time_ms, kind, None, None, row, None, "SUCCESS", text]


ENDPOINTS: Final[Mapping[tuple[str, ...], Endpoint]] = {
    ("w", "order", "submit"): submit,
    ("w", "order", "update"): replace,
    ("w", "order", "cancel"): cancel,
    ("w", "order", "cancel", "multi"): cancel_several,
    ("w", "order", "multi"): several,
    ("r", "orders"): open_orders,
    ("r", "orders", "hist"): ended_orders,
    ("r", "orders", "*"): open_orders,
    ("r", "orders", "*", "hist"): ended_orders,
    ("r", "trades", "hist"): own_trades,
    ("r", "trades", "*", "hist"): own_trades,
    ("r", "order", "*", "trades"): trades_of_order,
}
