"""Orders, the commands users send, and every reason for which the exchange refuses one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

EXCHANGE: Final = "exchange"
TRADING: Final = "trading"
DEPOSIT: Final = "deposit"
WALLETS: Final = (EXCHANGE, TRADING, DEPOSIT)

OPEN: Final = "open"
PARTIAL: Final = "partial"
FILLED: Final = "filled"
CANCELLED: Final = "cancelled"
TRANSITIONS: Final = {
    OPEN: frozenset({PARTIAL, FILLED, CANCELLED}),
    PARTIAL: frozenset({PARTIAL, FILLED, CANCELLED}),
    FILLED: frozenset[str](),
    CANCELLED: frozenset[str](),
}


class Deposit(NamedTuple):
    """Money (satoshi) or contracts (lots) arrive from outside in the exchange wallet."""

    time_ns: int
    user: str
    asset: int
    amount: int


class Withdraw(NamedTuple):
    """Money or contracts leave the exchange wallet for the outside."""

    time_ns: int
    user: str
    asset: int
    amount: int


class Transfer(NamedTuple):
    """Money or contracts move between two wallets of one user; from `position`, a long is claimed (bot.core.claim)."""

    time_ns: int
    user: str
    source: str
    target: str
    asset: int
    amount: int


class PlaceOrder(NamedTuple):
    """Buy (`size_lots` > 0) or sell (< 0); `price_sat` 0 is a market order.

    `cid` is the user's own id: the same cid, day and body name the same order. `active_ns` is when the order
    reaches the venue (time + latency). `close` takes the whole margin position; `size_lots` is then 0.
    """

    time_ns: int
    user: str
    cid: int
    wallet: str
    size_lots: int
    price_sat: int = 0
    post_only: bool = False
    reduce_only: bool = False
    close: bool = False
    active_ns: int = 0


def reducing(command: PlaceOrder) -> PlaceOrder:
    """Return an order to close as the reduce-only order that it is."""
    return command._replace(reduce_only=True)


class CancelOrder(NamedTuple):
    """Cancel what is left of an order."""

    time_ns: int
    user: str
    order_id: int


class PlaceOffer(NamedTuple):
    """Offer `amount` (satoshi or lots) of the deposit wallet as a loan."""

    time_ns: int
    user: str
    asset: int
    amount: int
    rate_ppb_day: int
    term_days: int


class CancelOffer(NamedTuple):
    """Take back what is left of an offer."""

    time_ns: int
    user: str
    offer_id: int


class RecallLoan(NamedTuple):
    """A lender ends a loan now: the borrower is funded anew at the best offer, or covered by force."""

    time_ns: int
    user: str
    loan_id: int


Command = Deposit | Withdraw | Transfer | PlaceOrder | CancelOrder | PlaceOffer | CancelOffer | RecallLoan

# Every rejection, in order of precedence: the first that applies is the one reported.
REJECTIONS: Final = {
    "TIME_BEHIND": "the command is older than the last event",
    "EXPIRED": "the contract has expired; only withdrawals and transfers are left",
    "UNKNOWN_USER": "nobody of that name has deposited anything, or the name is the venue's own",
    "BAD_WALLET": "the wallet is not one of exchange, trading, deposit, or is of no use here",
    "BAD_ASSET": "the asset is neither BTC nor the contract",
    "BAD_AMOUNT": "the amount or size is zero, negative, not whole, or beyond the contract's bounds",
    "BAD_PRICE": "the price is negative, off the tick, or beyond the contract's bounds",
    "BAD_RATE": "the loan rate is negative, not whole, or above the venue's limit",
    "BAD_TERM": "the loan's term is not whole days or outside the venue's range",
    "CID_REUSED": "this cid named another order on this UTC day",
    "UNKNOWN_ID": "no such order, offer or loan belongs to this user",
    "ALREADY_FINAL": "the order, offer or loan has already ended",
    "LIQUIDATING": "the venue is closing this account's margin position",
    "NO_MARKET": "there is no market price yet to margin the order with",
    "NOTHING_TO_REDUCE": "there is no opposite margin position to reduce or close",
    "WOULD_TAKE": "a post-only order would have been matched at once",
    "NOT_ENOUGH_BALANCE": "the wallet's free balance is too small",
    "NOT_ENOUGH_MARGIN": "the equity of the trading wallet is below the initial margin",
    "NO_FUNDING": "nobody offers a loan at or under the venue's rate limit",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """A command that was refused and had no effect: `code` is a key of REJECTIONS, `detail` has the amounts."""

    code: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {REJECTIONS[self.code]} ({self.detail})"


def refused(code: str, text: str, *numbers: int | str) -> Rejection:
    """Return the rejection whose detail is `text` with its fields filled in."""
    return Rejection(code, text.format(*numbers))


@dataclass(slots=True)
class Order:
    """An accepted order; filled + remaining + cancelled = size, always.

    `event` is the number of the market event at which it was placed: only later ones can fill it. `active`: it has
    reached the venue; `booked`: it stands in the book for other users. `rested` is set once a market event has passed
    it by: from then on it is a maker. `forced` marks the venue's own orders (liquidation, cover). `reserved_sat` is
    held in the exchange wallet.
    """

    id: int
    command: PlaceOrder
    size_lots: int
    remaining_lots: int
    event: int
    cancelled_lots: int = 0
    status: str = OPEN
    reason: str = ""
    active: bool = False
    rested: bool = False
    booked: bool = False
    forced: bool = False
    reserved_sat: int = 0

    @property
    def filled_lots(self) -> int:
        """Signed lots carried out so far."""
        return self.size_lots - self.remaining_lots - self.cancelled_lots

    @property
    def is_live(self) -> bool:
        """Whether anything can still happen to the order."""
        return self.status in (OPEN, PARTIAL)

    def move_to(self, status: str) -> None:
        """Change status along TRANSITIONS; anything else is a bug of ours."""
        assert status in TRANSITIONS[self.status], f"order {self.id}: {self.status} -> {status}"
        self.status = status


def no_orders(among: list[Order]) -> list[Order]:
    """Return a list for some of these orders, none in it yet; machine code need not ask for memory for such a one."""
    return []
