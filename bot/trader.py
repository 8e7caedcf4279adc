"""From a target to orders: one order path for every engine, with the risk limits before it.

One step at a time: close what is opposite, then open; each market event takes the next step until position = target.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bot.core.events import BTC, CONTRACT
from bot.core.ledger import Account
from bot.core.lending import fundable
from bot.core.margin import free_margin_sat, margin_equity_sat
from bot.core.order import (
    DEPOSIT,
    EXCHANGE,
    TRADING,
    CancelOffer,
    CancelOrder,
    Command,
    Order,
    PlaceOffer,
    PlaceOrder,
    Rejection,
    Transfer,
    no_orders,
)
from bot.core.state import State
from bot.core.units import NS_PER_HOUR, NS_PER_S, PPM, fee_sat, notional_sat, wide
from strategies.view import NEVER, Target, View

NOTHING: Final = Target(0)
"""What one who is to be flat wants."""
Submit = Callable[[Command], int | Rejection]

# Orders are sized for a price this much worse than the one seen, so that the next quote can still be paid.
SLACK_PPM = 20_000


ACTIVE: Final = "active"
REDUCING: Final = "reducing"
HALTED: Final = "halted"
FLAT: Final = "flat"
MODES: Final = {
    ACTIVE: "the strategy trades within its limits",
    REDUCING: "it is asked, and may only make its position smaller",
    HALTED: "it is not asked, its orders are cancelled, its position is held",
    FLAT: "it is not asked, its position is closed",
}


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """What no target may exceed. Sizes in lots, drawdown in parts per million of peak equity (10^6: none).

    `stale_after_ns`: market events further apart than this are told of as a gap. `max_answer_ns`: a strategy that takes
    longer to answer the daemon is halted; a backtest waits. `max_quote_age_ns`: older ones are not acted on, live.

    Nothing is opened or enlarged when the last block (or the start) is older than `max_block_age_ns`. An order may be
    no worse than the mark by `collar_ppm`; no more than `max_orders_hour` go out in any hour; what is borrowed may be
    worth at most `max_borrow_ppm` of equity. What closes a position that is to be flat is held up by none of these.
    """

    max_position_lots: int
    max_order_lots: int
    max_drawdown_ppm: int
    stale_after_ns: int
    latency_ns: int = 0
    max_answer_ns: int = 2 * NS_PER_S
    max_quote_age_ns: int = 60 * NS_PER_S
    max_block_age_ns: int = NEVER
    max_orders_hour: int = NEVER
    collar_ppm: int = NEVER
    max_borrow_ppm: int = NEVER


def within(lots: int, most_lots: int) -> int:
    """Return the position of at most `most_lots` on either side that is nearest to `lots`."""
    return max(-most_lots, min(most_lots, lots))


class Trader:
    """Sends the commands that bring one account to its target.

    `halted`: the position is being closed, or is closed, whatever the strategy wants; `is_stopped`: the strategy need
    not be asked. Both follow from `mode`, which `turn` changes.
    """

    __slots__ = (
        "_idle_at",
        "_idle_target",
        "_last_code",
        "account",
        "halted",
        "is_stopped",
        "last_cid",
        "limits",
        "mode",
        "placed_ns",
        "reason",
        "state",
        "submit",
    )

    def __init__(self, state: State, account: Account, submit: Submit, limits: RiskLimits) -> None:
        self.state = state
        self.account = account
        self.submit = submit
        self.limits = limits
        self.mode = ACTIVE
        self.halted = self.is_stopped = False
        self.reason = ""
        self.last_cid = 0
        self.placed_ns: deque[int] = deque()  # when the orders of the last hour were accepted
        self._idle_at = -1  # the count of changes at which the target was reached; -1 if it is not
        self._idle_target = NOTHING
        self._last_code = ""

    def follow(self, view: View, target: Target) -> None:
        """Take the next step towards `target`; nothing is sent when it is reached and nothing has changed."""
        if self.is_idle(target):
            return
        if self.halted:
            target = NOTHING
        self.account.refresh(self.state.ledger)
        live = no_orders(self.state.live)
        for order in self.state.live:
            if order.is_live and not order.forced and order.command.user == self.account.name:
                live.append(order)
        if self.mode == HALTED:
            self._cancel(live)
            return
        delta = self._allowed(target) - self.account.cached_spot_lots - self.account.cached_margin_lots
        if delta:
            self._trade(view, target, delta, live)
        else:
            self._cancel(live)
            settled = self._lend(target)
            self._idle_target = target
            self._idle_at = self.state.changes if settled else -1

    def is_idle(self, target: Target) -> bool:
        """Return whether `target` is what was last reached, and nothing has changed since."""
        if self.halted:
            target = NOTHING
        idle = self._idle_target
        if self.state.changes != self._idle_at or target[1:5] != idle[1:5]:
            return False
        return target[0] == idle[0] or self._allowed(target) == self._allowed(idle)

    def _allowed(self, target: Target) -> int:
        """Return the target's position within the limits, in lots."""
        if self.mode == REDUCING:
            held = self.account.cached_spot_lots + self.account.cached_margin_lots
            return max(min(held, 0), min(max(held, 0), target.position_lots))
        return within(target.position_lots, self.limits.max_position_lots)

    def halt(self, reason: str, *numbers: int) -> None:
        """Stop trading until somebody decides otherwise: from now on the target is flat."""
        self.turn(FLAT, reason.format(*numbers) if numbers else reason)

    def turn(self, mode: str, reason: str) -> None:
        """Change what may be done from now on to one of MODES."""
        self.reason = "" if mode == ACTIVE else reason
        self._turn(mode)
        self.state.notify(self.account.name, "halt" if self.is_stopped else mode, reason)

    def _turn(self, mode: str) -> None:
        self.mode = mode
        self.halted, self.is_stopped = mode == FLAT, mode in (FLAT, HALTED)
        self._idle_at = -1

    def _send(self, command: Command) -> bool:
        answer = self.submit(command)
        return self._note_answer(answer if isinstance(answer, Rejection) else None)

    def _note_answer(self, rejection: Rejection | None) -> bool:
        """Say once why commands are refused; return whether this one was not."""
        if rejection is None:
            self._last_code = ""
            return True
        if rejection.code != self._last_code:
            notify_refusal(self.state, self.account.name, rejection)
        self._last_code = rejection.code
        return False

    def _cancel(self, live: list[Order]) -> None:
        for order in live:
            self._send(CancelOrder(self.state.time_ns, self.account.name, order.id))

    def _trade(self, view: View, target: Target, delta: int, live: list[Order]) -> None:
        wallet, size, reduces = self._next_order(target, delta)
        most = self.limits.max_order_lots
        size = max(-most, min(most, size))
        if len(live) == 1 and live[0].command.wallet == wallet and live[0].command.price_sat == target.limit_price_sat:
            same_side = live[0].remaining_lots * size > 0
            if same_side and (live[0].remaining_lots == size or not live[0].rested):
                return
        self._cancel(live)
        if wallet == EXCHANGE:
            size = self._fund_purchase(view, target, size) if size > 0 else -self._fetch_lots(-size)
        elif not reduces:
            size = self._fund_margin(view, target, size)
        if size and not self._is_held_up(view, target, size, reduces or (wallet == EXCHANGE and size < 0)):
            now, limit_sat = self.state.time_ns, target.limit_price_sat
            user, cid, active_ns = self.account.name, self.last_cid + 1, now + self.limits.latency_ns
            order = PlaceOrder(now, user, cid, wallet, size, limit_sat, reduce_only=reduces, active_ns=active_ns)
            if self._send(order):
                self.note(order)

    def note(self, order: PlaceOrder) -> None:
        """Count an order that was accepted, now or before a restart."""
        self.last_cid = order.cid
        if self.limits.max_orders_hour != NEVER:
            self.placed_ns.append(order.time_ns)

    def _is_held_up(self, view: View, target: Target, size_lots: int, reduces: bool) -> bool:
        """Return whether a limit holds an order up, and say so once; nothing does that is to make the account flat."""
        if self.halted:
            return False
        reason, first, second, third = self._limit_reached(view, target, size_lots, reduces)
        if reason == "":
            return False
        if self._last_code != "LIMIT":
            self.state.notify(self.account.name, "limited", reason, first, second, third)
        self._last_code = "LIMIT"
        return True

    def _limit_reached(self, view: View, target: Target, size_lots: int, reduces: bool) -> tuple[str, int, int, int]:
        """Return which limit an order would exceed, in words with up to three numbers; empty if none."""
        limits, now, mark = self.limits, self.state.time_ns, self.state.mark_sat
        silent_ns = now - view.last_block_ns
        if not reduces and limits.max_block_age_ns != NEVER and silent_ns > limits.max_block_age_ns:
            has_come = view.last_block_ns != view.start_ns  # blocks of a run come after its start
            said = "the last block is {} s old" if has_come else "no block has come since the run began {} s ago"
            return said, silent_ns // NS_PER_S, 0, 0  # rounded down
        if limits.collar_ppm != NEVER:
            buys = size_lots > 0
            price = target.limit_price_sat or (view.ask_sat if buys else view.bid_sat)
            worse = price - mark if buys else mark - price
            if worse * PPM > mark * limits.collar_ppm:
                said = "{} sat is {} sat worse than the mark, beyond the collar of {} ppm"
                return said, price, worse, limits.collar_ppm
        while self.placed_ns and now - self.placed_ns[0] >= NS_PER_HOUR:
            self.placed_ns.popleft()
        if len(self.placed_ns) >= limits.max_orders_hour:
            return "{} orders went out within an hour", len(self.placed_ns), 0, 0
        return "", 0, 0, 0

    def _next_order(self, target: Target, delta: int) -> tuple[str, int, bool]:
        """Return (wallet, signed lots, reduce-only) of the next step: what is opposite is closed first."""
        spot, margin = self.account.cached_spot_lots, self.account.cached_margin_lots
        if delta * margin < 0:
            most = min(abs(delta), abs(margin))
            return TRADING, most if delta > 0 else -most, True
        if delta < 0 < spot:
            return EXCHANGE, -min(-delta, spot), False
        if delta > 0 and not target.financed:
            return EXCHANGE, delta, False
        return TRADING, delta, False

    def _worst_price(self, view: View, target: Target, buys: bool) -> int:
        price = target.limit_price_sat or (view.ask_sat if buys else view.price_sat)
        return price * (PPM + SLACK_PPM) // PPM  # rounded down

    def _fund_purchase(self, view: View, target: Target, size_lots: int) -> int:
        """Bring the bitcoin for an outright purchase into the exchange wallet; return the lots it can pay."""
        state, account, contract = self.state, self.account, self.state.contract
        price = self._worst_price(view, target, buys=True)
        here = state.free(account, EXCHANGE, BTC)
        elsewhere = free_margin_sat(state, account, state.time_ns)
        cash, per_contract = max(here + elsewhere, 0), contract.lots_per_contract
        most = wide(cash) * (per_contract * PPM) // (price * (PPM + contract.taker_fee_ppm))  # rounded down
        lots = min(size_lots, most)
        amount = notional_sat(lots, price, per_contract)
        missing = amount + fee_sat(amount, contract.taker_fee_ppm) - here
        if missing > 0 and not self._send(
            Transfer(state.time_ns, account.name, TRADING, EXCHANGE, BTC, min(missing, elsewhere))
        ):
            return 0
        return lots

    def _fetch_lots(self, size_lots: int) -> int:
        """Bring lots that are not lent out back from the deposit wallet; return how many can be sold now."""
        state, account = self.state, self.account
        here = state.free(account, EXCHANGE, CONTRACT)
        if here < size_lots:
            self._withdraw_offers(size_lots - here)
            here = state.free(account, EXCHANGE, CONTRACT)
        return min(size_lots, here)

    def _fund_margin(self, view: View, target: Target, size_lots: int) -> int:
        """Bring all free bitcoin into the trading wallet; return the lots that margin and lenders allow, signed."""
        state, account, contract = self.state, self.account, self.state.contract
        asset = BTC if size_lots > 0 else CONTRACT
        funded = fundable(state, account.name, asset)
        price = self._worst_price(view, target, buys=size_lots > 0)
        if asset == BTC:
            funded = wide(funded) * contract.lots_per_contract // price  # rounded down
        free = state.free(account, EXCHANGE, BTC)
        if funded == 0:
            return 0
        if free > 0:
            self._send(Transfer(state.time_ns, account.name, EXCHANGE, TRADING, BTC, free))
        equity = max(margin_equity_sat(state, account, state.time_ns), 0)
        scale = PPM * contract.lots_per_contract
        most = wide(equity) * scale // (max(state.initial_ppm, 1) * price)  # rounded down
        if self.limits.max_borrow_ppm != NEVER:
            worth = wide(max(view.equity_sat, 0)) * self.limits.max_borrow_ppm
            most = min(most, worth * contract.lots_per_contract // (PPM * price))  # rounded down
        room = most - abs(account.margin_lots(state.ledger))
        lots = max(min(abs(size_lots), funded, room), 0)
        return lots if size_lots > 0 else -lots

    def _lend(self, target: Target) -> bool:
        """Bring the lent lots towards the target; return whether nothing is left to do until something changes."""
        state, account = self.state, self.account
        in_deposit = state.balance(account.deposit[CONTRACT])
        placed = in_deposit + state.balance(account.lent[CONTRACT])
        wanted = min(target.lend_lots, account.cached_spot_lots)
        if wanted == 0 and placed == 0:
            return True
        now = state.time_ns
        if wanted > placed:
            lots = min(wanted - placed, state.free(account, EXCHANGE, CONTRACT))
            if lots:
                self._send(Transfer(now, account.name, EXCHANGE, DEPOSIT, CONTRACT, lots))
        elif wanted < placed:
            self._withdraw_offers(placed - wanted)
        self._offer(target)
        return False

    def _offer(self, target: Target) -> None:
        """Keep what lies in the deposit wallet on offer, at the target's rate or the market's."""
        state, account = self.state, self.account
        most = state.contract.lending.max_rate_ppb_day
        rate = min(target.lend_rate_ppb_day or state.market_rate_ppb_day[CONTRACT], most)
        for offer in [o for o in state.offers[CONTRACT] if o.lender == account.name and o.rate_ppb_day != rate]:
            self._send(CancelOffer(state.time_ns, account.name, offer.id))
        free = state.free(account, DEPOSIT, CONTRACT)
        if free > 0 and rate > 0:
            term = state.contract.lending.min_term_days
            self._send(PlaceOffer(state.time_ns, account.name, CONTRACT, free, rate, term))

    def _withdraw_offers(self, lots: int) -> None:
        """Take up to `lots` that nobody has borrowed back into the exchange wallet."""
        state, account = self.state, self.account
        for offer in [o for o in state.offers[CONTRACT] if o.lender == account.name]:
            self._send(CancelOffer(state.time_ns, account.name, offer.id))
        free = min(lots, state.free(account, DEPOSIT, CONTRACT))
        if free > 0:
            self._send(Transfer(state.time_ns, account.name, DEPOSIT, EXCHANGE, CONTRACT, free))


def notify_refusal(state: State, user: str, rejection: Rejection) -> None:
    """Tell `user` that a command of his was refused, and why."""
    state.notify(user, "rejected", str(rejection))
