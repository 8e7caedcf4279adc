"""Order against order, against a quote, against a bar.

Fills are honest: nothing placed at an event is matched with that event. A market order takes the opposite side of
the next quote, or the open of the next bar plus half the assumed spread. A limit order that a market event has passed
by is a maker: it fills at its own price, when a quote reaches it or a bar trades through it (or touches it, where
`touch_fills` says so). Behind a quote's displayed size stand `depth_levels` more of the same size, each one
spread worse. Of a bar's volume at most the set share is ours, open and close together.

Users meet each other when an order arrives, a market order also while it waits; but a market order (a liquidation is
one) never gets less from a user than the outside market offered when it was last seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.core.events import Bar, Quote
from bot.core.ledger import Account
from bot.core.lending import overdue_lots
from bot.core.order import Order, no_orders
from bot.core.settlement import Leg, cancel, capacity_lots, settle_trade
from bot.core.state import State, market_price_sat
from bot.core.state import open_level as open_level
from bot.core.units import share_ppm


class Level:
    """Lots that the market would trade at a price; `lots` shrinks as orders take from it."""

    __slots__ = ("lots", "price_sat")

    def __init__(self, price_sat: int, lots: int) -> None:
        self.price_sat = price_sat
        self.lots = lots


def quote_levels(quote: Quote, state: State) -> tuple[list[Level], list[Level]]:
    """Return (asks, bids) of a quote, best first: the displayed size and what stands behind it."""
    step = max(quote.ask_sat - quote.bid_sat, state.contract.tick_sat)
    depth = range(state.rules.depth_levels + 1)
    asks = [Level(quote.ask_sat + i * step, quote.ask_size_lots) for i in depth]
    bids = [Level(quote.bid_sat - i * step, quote.bid_size_lots) for i in depth if quote.bid_sat > i * step]
    return asks, bids


def by_priority(order: Order) -> tuple[bool, bool, int, int]:
    """Sort key: the venue's own orders, then market orders, then the better price, then the older."""
    price = order.command.price_sat
    return (not order.forced, price != 0, -price if order.size_lots > 0 else price, order.id)


def reduce_to_position(state: State, order: Order) -> None:
    """Cut a reduce-only order to what there is to reduce, a forced cover to what is overdue; nothing left ends it."""
    account = state.accounts[order.command.user]
    position = account.margin_lots(state.ledger)
    most = min(abs(order.remaining_lots), max(-position if order.remaining_lots > 0 else position, 0))
    if order.forced and not account.liquidating:
        most = min(most, overdue_lots(state, account))
    excess = abs(order.remaining_lots) - most
    if most == 0:
        cancel(state, order, "NOTHING_TO_REDUCE")
    elif excess:
        state.changes += 1
        excess = excess if order.remaining_lots > 0 else -excess
        order.remaining_lots -= excess
        order.cancelled_lots += excess


def match_users(state: State, order: Order) -> None:
    """Match an order that has just become active, or a waiting market order, with users' resting orders, best first.

    Meeting one's own order cancels the rest of the incoming one, or, if the venue forced that, the resting one: nothing
    may stand in the way of a liquidation. A post-only order that would be matched is cancelled.
    """
    if len(state.live) == 1:
        return  # it is alone
    buys = order.size_lots > 0
    limit = order.command.price_sat or market_price_sat(state, buys)
    rivals = [
        other
        for other in state.live
        if other.booked and other.is_live and (other.size_lots > 0) != buys and crosses(limit, other, buys)
    ]
    for other in sorted(rivals, key=by_priority):
        if not order.is_live:
            return
        if order.command.post_only:
            cancel(state, order, "WOULD_TAKE")
            return
        if other.command.user == order.command.user:
            if not order.forced:
                cancel(state, order, "SELF_TRADE")
                return
            cancel(state, other, "SELF_TRADE")
            continue
        if other.command.reduce_only:
            reduce_to_position(state, other)
        if other.is_live and order.is_live:
            _trade(state, order, state.accounts[other.command.user], other, other.command.price_sat, 1 << 62)


def crosses(limit_sat: int, other: Order, buys: bool) -> bool:
    """Return whether an order at `limit_sat` (0: market) would trade with the resting order `other`."""
    price = other.command.price_sat
    return limit_sat == 0 or (price <= limit_sat if buys else price >= limit_sat)


def activate(state: State, order: Order) -> None:
    """Let an order reach the venue: match it with users, then book what is left of a limit order."""
    order.active = True
    if order.command.reduce_only:
        reduce_to_position(state, order)
    if order.is_live:
        match_users(state, order)
    if order.is_live and order.command.price_sat:
        order.booked = True


def match_quote(state: State, quote: Quote) -> None:
    """Match every order that was there before this quote against it."""
    asks, bids = quote_levels(quote, state)
    for order in eligible(state, quote.time_ns):
        _take(state, order, asks if order.size_lots > 0 else bids)
    drop_ended(state)


def match_open(state: State, bar: Bar) -> None:
    """Match every order that was there before this bar against its open."""
    orders = eligible(state, bar.time_ns)
    state.bar_room_lots = share_ppm(bar.volume_lots, state.rules.participation_ppm)
    for order in orders:
        price = open_level(bar.open_sat, state, order.size_lots > 0)
        level = Level(price, state.bar_room_lots)
        _take(state, order, (level,))
        state.bar_room_lots = level.lots
    drop_ended(state)


def match_close(state: State, bar: Bar) -> None:
    """Fill resting limit orders that the bar traded through, at their own prices."""
    touch = state.rules.touch_fills
    for order in eligible(state, bar.time_ns):
        price = order.command.price_sat
        if price == 0 or not order.rested or state.bar_room_lots == 0:
            continue
        if order.size_lots > 0:
            through = bar.low_sat < price or (touch and bar.low_sat == price)
        else:
            through = bar.high_sat > price or (touch and bar.high_sat == price)
        if through:
            level = Level(price, state.bar_room_lots)
            _take(state, order, (level,))
            state.bar_room_lots = level.lots
    drop_ended(state)


def eligible(state: State, time_ns: int) -> list[Order]:
    """Return the live orders, by priority, that were placed before this event and have reached the venue."""
    found = no_orders(state.live)
    for order in state.live:
        if order.is_live and order.event < state.event and order.command.active_ns <= time_ns:
            if not order.active:
                activate(state, order)
            else:
                if order.command.reduce_only:
                    reduce_to_position(state, order)
                if order.command.price_sat == 0 and order.is_live:
                    match_users(state, order)
            if order.is_live:
                found.append(order)
    return sorted(found, key=by_priority) if len(found) > 1 else found


def drop_ended(state: State) -> None:
    """Forget orders that have ended in the list of live ones."""
    for place in range(len(state.live) - 1, -1, -1):
        if not state.live[place].is_live:
            state.live.pop(place)


def _take(state: State, order: Order, levels: Sequence[Level]) -> None:
    """Match one order with market liquidity, best level first, and note that it has rested if any is left."""
    limit = order.command.price_sat
    buys = order.size_lots > 0
    for level in levels:
        if not order.is_live:
            return
        if limit and (level.price_sat > limit if buys else level.price_sat < limit):
            break
        if order.command.post_only and not order.rested:
            cancel(state, order, "WOULD_TAKE")
            return
        if order.command.reduce_only:
            reduce_to_position(state, order)
            if not order.is_live:
                return
        price = limit if order.rested and limit else level.price_sat
        level.lots -= _trade(state, order, state.market(), None, price, level.lots)
    order.rested = True


def _trade(state: State, order: Order, account: Account, other: Order | None, price_sat: int, most_lots: int) -> int:
    """Trade as much as both sides want, can fund and `most_lots` allows; return the lots traded.

    A side that cannot pay for, fund or margin the rest loses it: that rest is cancelled by name.
    """
    buys = order.size_lots > 0
    maker = other is None and order.rested and order.command.price_sat != 0  # who waits at any price makes none
    mine = Leg(state.accounts[order.command.user], order, maker)
    theirs = Leg(account, other, True)
    buyer, seller = (mine, theirs) if buys else (theirs, mine)
    wanted = min(abs(order.remaining_lots), most_lots)
    if other is not None:
        wanted = min(wanted, abs(other.remaining_lots))
    can_buy, buyer_lacks = capacity_lots(state, buyer, True, price_sat, other is not None)
    can_sell, seller_lacks = capacity_lots(state, seller, False, price_sat, other is not None)
    lots = min(wanted, can_buy, can_sell)
    if lots > 0:
        settle_trade(state, buyer, seller, lots, price_sat)
    for leg, can, lacks in ((buyer, can_buy, buyer_lacks), (seller, can_sell, seller_lacks)):
        if leg.order is not None and can < wanted and leg.order.is_live:
            cancel(state, leg.order, lacks)
            said = "order {}: {:s} beyond {} of {} lots at {} sat"
            state.notify(leg.account.name, "cancelled", said, leg.order.id, leg.order.reason, can, wanted, price_sat)
    return lots
