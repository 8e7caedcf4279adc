"""What the world can tell the exchange, what the exchange reports, and the one order at equal times.

Order at equal times (lowest first), applied wherever events meet:

| rank | name     | what happens                                                                     |
|------|----------|----------------------------------------------------------------------------------|
| 0    | TERMS    | margin schedule and collateral rule step                                         |
| 1    | FUNDING  | a swap-rate row replaces the market's lending offers                             |
| 2    | BLOCK    | a block pays its dividend to the holders of record: those before anything below  |
| 3    | INTEREST | daily interest is paid, loans that end are renewed, recalled or covered          |
| 4    | EXPIRY   | the contract ends: nothing of it is left                                         |
| 5    | DATA     | a quote arrives or a bar closes; the mark moves                                  |
| 6    | MARGIN   | margin call and liquidation at the new mark                                      |
| 7    | MATCHING | orders that were waiting meet the quote or the closed bar                        |
| 8    | STRATEGY | strategies decide on what they can know now                                      |
| 9    | OPEN     | the next bar opens; what was decided on the last bar can fill at its open        |

A block stamped at the instant of expiry still pays; a trade at a block's instant comes after
it, so the seller was the holder of record. Prices reach the margin check before a strategy sees them.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

RANK_TERMS: Final = 0
RANK_FUNDING: Final = 1
RANK_BLOCK: Final = 2
RANK_INTEREST: Final = 3
RANK_EXPIRY: Final = 4
RANK_DATA: Final = 5
RANK_MARGIN: Final = 6
RANK_MATCHING: Final = 7
RANK_STRATEGY: Final = 8
RANK_OPEN: Final = 9

BTC: Final = 0
"""The asset index of bitcoin, in satoshi."""
CONTRACT: Final = 1
"""The asset index of the hash-power contract, in lots."""


class Block(NamedTuple):
    """One block of the chain as it takes effect.

    `time_ns` is its effective time: the running maximum of header times, since miners' clocks can run
    backwards. `interval_s` is the whole seconds since the effective time of the block before (>= 0).
    `target` is the proof-of-work target that `bits` encodes; `subsidy_sat` and `fees_sat` are its reward.
    """

    time_ns: int
    height: int
    header_time_s: int
    interval_s: int
    bits: int
    target: int
    subsidy_sat: int
    fees_sat: int


class Quote(NamedTuple):
    """Best bid and ask with their displayed sizes; prices in satoshi per contract, sizes in lots."""

    time_ns: int
    bid_sat: int
    bid_size_lots: int
    ask_sat: int
    ask_size_lots: int


class Bar(NamedTuple):
    """One bar: it opens at `time_ns` and is known only at `close_ns`; prices in satoshi per contract."""

    time_ns: int
    close_ns: int
    open_sat: int
    high_sat: int
    low_sat: int
    close_sat: int
    volume_lots: int


class SwapRate(NamedTuple):
    """What borrowing costs from now on: `available` (satoshi or lots) can be had at `rate_ppb_day`."""

    time_ns: int
    asset: int
    rate_ppb_day: int
    available: int


class Fill(NamedTuple):
    """A part of an order that was carried out.

    `size_lots` is signed (buy > 0), `fee_sat` >= 0, `mark_sat` is the mark just before the fill:
    size x (price - mark) is the slippage. `maker` tells which fee was charged.
    """

    time_ns: int
    order_id: int
    user: str
    wallet: str
    size_lots: int
    price_sat: int
    fee_sat: int
    mark_sat: int
    maker: bool


class Posting(NamedTuple):
    """One line of the ledger. Postings of one transaction sum to zero for each asset.

    `account` reads `owner/purse/asset`, as in `alice/trading/BTC`; `amount` is in satoshi or lots.
    """

    transaction: int
    time_ns: int
    kind: str
    account: str
    amount: int


class Notice(NamedTuple):
    """Something a user must be told: a margin call, a liquidation, a recall, a cancelled order and why."""

    time_ns: int
    user: str
    kind: str
    text: str


class Mark(NamedTuple):
    """State of one user at one market event: mark in satoshi per contract, net position, total equity."""

    time_ns: int
    price_sat: int
    position_lots: int
    equity_sat: int


def refuse_time(time_ns: int, now_ns: int) -> None:
    """Raise ValueError for an event that is older than the last one."""
    raise ValueError(f"event at {time_ns} ns after {now_ns} ns: time may not fall")


def refuse_rank(time_ns: int, rank: int, before: int) -> None:
    """Raise ValueError for an event that should have come before the last one of its time."""
    raise ValueError(f"event of rank {rank} at {time_ns} ns after one of rank {before}: see events.py")


class World(Protocol):
    """What happens besides the market: `next_ns` is when the next event comes, `rate_ns` the next swap rate."""

    next_ns: int
    rate_ns: int

    def up_to(self, time_ns: int) -> None:
        """Feed the session every event at or before `time_ns`."""
        ...
