"""Everything the exchange knows, as one plain object that its rules read and change."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.core.contract import Contract
from bot.core.events import CONTRACT, Fill, Notice
from bot.core.ledger import MARKET, Account, Ledger, Venue
from bot.core.order import Order
from bot.core.units import NS_PER_DAY, PPM, ceil_div, floor_div


@dataclass(frozen=True, slots=True)
class MarketRules:
    """How the outside market fills orders and lends; none of it is known for 2014, all of it is a setting.

    * `participation_ppm`: at most this share of a bar's volume is ours.
    * `half_spread_ppm`: bars show no book; bid and ask are assumed this far from the price.
    * `depth_levels`: levels behind the displayed size, each of the same size and one spread (at least a tick) worse.
    * `touch_fills`: whether a resting limit order fills when a bar only touches its price.
    * `loan_term_days`: term of the market's own offers.
    * `demand`: what the market would borrow from users at its own rate, in (satoshi, lots).
    """

    participation_ppm: int = 100_000
    half_spread_ppm: int = 5_000
    depth_levels: int = 5
    touch_fills: bool = False
    loan_term_days: int = 2
    demand: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Offer:
    """Somebody lends: `remaining` satoshi or lots at `rate_ppb_day` for `term_days`."""

    id: int
    lender: str
    asset: int
    amount: int
    remaining: int
    rate_ppb_day: int
    term_days: int


@dataclass(slots=True)
class Loan:
    """Somebody has borrowed `amount` (satoshi or lots) at a fixed rate until `end_ns`.

    `entry_sat` is the notional at the start, the interest base under `entry_notional` accrual. `paid_to_s` is the
    second up to which interest is paid, `carry` the fraction of a satoshi kept (1/(10^9 x 86,400)).
    `overdue`: it has ended without a successor and a forced order is covering it.
    """

    id: int
    asset: int
    borrower: str
    lender: str
    amount: int
    rate_ppb_day: int
    end_ns: int
    entry_sat: int
    paid_to_s: int
    carry: int = 0
    overdue: bool = False


@dataclass(slots=True)
class State:
    """The exchange's whole state.

    * `rank`: that of the last event (bot.core.events); blocks and swap rates at its time may not rank lower.
    * `mark_sat`: the last market price (mid of a quote, open or close of a bar); 0 before the first and after expiry.
    * `index`: the cumulative dividend in 2^-20 satoshi per lot; `index_carry` what is left of it for the next block.
    * `live`: orders that may still trade; `offers` of each asset, sorted by rate, then by age.
    * `market_rate_ppb_day`: the last swap rate of each asset; `lent_lots`: the sum of all contract loans.
    * `bid_sat`, `ask_sat`: the last quote's, 0 once a bar has come: then they are assumed (`market_price_sat`).
    * `event`: counts market events; `bar_room_lots`: what is left of our share of the current bar's volume.
    * `conditions`: rises with every step of terms, `rate_rows` with every swap-rate row.
    * `changes`: rises whenever a position, a loan or an order does; while it stands still, what was idle stays so.
    * `loan_changes`: rises whenever a loan opens, pays, shrinks or ends.
    * `due_ns`: when the exchange must next act by itself, 0 to look again; `daily_ns`: the next 00:00 UTC.
    """

    contract: Contract
    rules: MarketRules
    ledger: Ledger
    venue: Venue
    accounts: dict[str, Account]
    time_ns: int
    rank: int = 0
    mark_sat: int = 0
    bid_sat: int = 0
    ask_sat: int = 0
    index: int = 0
    index_carry: int = 0
    initial_ppm: int = 0
    maintenance_ppm: int = 0
    contract_is_collateral: bool = False
    next_id: int = 1
    orders: dict[int, Order] = field(default_factory=dict)
    live: list[Order] = field(default_factory=list)
    by_cid: dict[tuple[str, int, int], int] = field(default_factory=dict)
    offers: tuple[list[Offer], list[Offer]] = field(default_factory=lambda: ([], []))
    loans: dict[int, Loan] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    market_rate_ppb_day: list[int] = field(default_factory=lambda: [0, 0])
    lent_lots: int = 0
    event: int = 0
    bar_room_lots: int = 0
    expired: bool = False
    changes: int = 0
    conditions: int = 0
    rate_rows: int = 0
    loan_changes: int = 0
    due_ns: int = 0
    daily_ns: int = 0

    def new_id(self) -> int:
        """Return the next id; ids are shared by orders, offers and loans and only ever rise."""
        value = self.next_id
        self.next_id = value + 1
        return value

    def balance(self, account: str) -> int:
        """Return the ledger balance of `account`."""
        return self.ledger.balances.get(account, 0)

    def free(self, account: Account, wallet: str, asset: int) -> int:
        """Return what `account` may spend from `wallet`: its balance less what orders or offers hold."""
        total = self.balance(account.purses[wallet][asset])
        if wallet == "exchange":
            return total - account.reserved[asset]
        if wallet == "deposit":
            return total - account.offered[asset]
        return total

    def market(self) -> Account:
        """Return the account of everyone else."""
        return self.accounts[MARKET]

    def notify(self, user: str, kind: str, text: str, *numbers: int | str) -> None:
        """Tell `user` something that is not a consequence he asked for: `text`, its fields filled with `numbers`."""
        self.notices.append(Notice(self.time_ns, user, kind, text.format(*numbers) if numbers else text))


def new_state(contract: Contract, rules: MarketRules, time_ns: int, keep_moves: bool = True) -> State:
    """Return an exchange on which the whole tranche is issued to the market and nothing has happened yet."""
    ledger = Ledger(keep_moves)
    venue = Venue(contract.asset)
    market = Account(MARKET, contract.asset, 0)
    state = State(contract, rules, ledger, venue, {MARKET: market}, time_ns)
    state.daily_ns = (time_ns // NS_PER_DAY + 1) * NS_PER_DAY
    ledger.begin()
    ledger.move(time_ns, "issue", venue.issuance, market.exchange[CONTRACT], contract.tranche_lots)
    return state


def open_level(price_sat: int, state: State, buys: bool) -> int:
    """Return what a taker pays or gets at a bar's open: half the assumed spread worse, on the tick, against him."""
    tick = state.contract.tick_sat
    half = state.rules.half_spread_ppm
    if buys:
        return tick * ceil_div(price_sat * (PPM + half), PPM * tick)
    return max(tick * floor_div(price_sat * (PPM - half), PPM * tick), tick)


def market_price_sat(state: State, buys: bool) -> int:
    """Return what the outside market asked of a buyer, or bid a seller, when it was last seen."""
    return (state.ask_sat if buys else state.bid_sat) or open_level(state.mark_sat, state, buys)
