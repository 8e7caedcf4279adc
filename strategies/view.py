"""What a strategy is given and what it answers: a view of what can be known now, and a target position.

A strategy module holds `Params` (a frozen dataclass of bot.fields settings) and `decide(view, params) -> Target`, a
pure function: the same view and parameters give the same target, nothing is kept between calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from math import inf
from typing import Final, NamedTuple

from bot.core.contract import Contract
from bot.core.events import BTC, CONTRACT, Block
from bot.core.exchange import Exchange
from bot.core.lending import fundable
from bot.core.matching import open_level
from bot.core.order import EXCHANGE
from bot.core.units import share_ppm
from bot.model.fair_value import FairValue

NEVER: Final = 1 << 62


class Wake(NamedTuple):
    """What would change the strategy's mind: until one of these happens, an engine need not ask it.

    The edge leaving [low_edge, high_edge] (price / fair value - 1), the time `at_ns`, the exposure leaving
    [low_exposure, high_exposure] (see `exposure_of`), a new swap rate unless `on_rates` is False, or what is always a
    reason: a fill, a loan, a liquidation, new terms, another growth expected (a retarget), a halt.
    """

    low_edge: float
    high_edge: float
    at_ns: int = NEVER
    low_exposure: float = -inf
    high_exposure: float = inf
    on_rates: bool = True


def weighs(wake: Wake) -> bool:
    """Return whether an exposure could wake: most strategies need not have it worked out."""
    return wake.low_exposure > -inf or wake.high_exposure < inf


def keeps(wake: Wake, exposure: float) -> bool:
    """Return whether this exposure, a fraction of equity, wakes nobody."""
    return wake.low_exposure <= exposure <= wake.high_exposure


class Target(NamedTuple):
    """The position a strategy wants, in lots (short negative), and how to get there.

    * `limit_price_sat`: work the order at this limit, on the tick; 0 takes the market's price.
    * `financed`: buy on margin with borrowed bitcoin; otherwise contracts are bought outright.
    * `lend_lots`: how many of the owned lots to lend out, at `lend_rate_ppb_day` (0: at the market's rate).
    * `wake`: when to ask again; None: at every market event.
    """

    position_lots: int
    limit_price_sat: int = 0
    financed: bool = False
    lend_lots: int = 0
    lend_rate_ppb_day: int = 0
    wake: Wake | None = None


def target_fault(target: Target, contract: Contract) -> str:
    """Return what is wrong with a target, with value, bound and remedy; empty if nothing is."""
    lots, limit, financed, lent, rate, wake = target
    if not (type(lots) is int and type(limit) is int and type(lent) is int and type(rate) is int):
        return "lots, price and rate must be whole numbers (int); round them, as View.lots_for does"
    if limit and (limit < 0 or limit % contract.tick_sat):
        return f"limit_price_sat {limit} is negative or off the tick of {contract.tick_sat} sat"
    if lent < 0 or rate < 0:
        return "lend_lots and lend_rate_ppb_day must be 0 or more"
    if type(financed) is not bool:
        return f"financed {financed!r} is not True or False"
    return "" if wake is None else _wake_fault(wake)


def _wake_fault(wake: object) -> str:
    if type(wake) is not Wake or type(wake.at_ns) is not int:
        return f"wake {wake!r} is not a Wake with at_ns in whole nanoseconds"
    bounds = (wake.low_edge, wake.high_edge, wake.low_exposure, wake.high_exposure)
    if any(type(bound) not in (int, float) or bound != bound for bound in bounds):
        return f"the edges and exposures of {wake!r} are not numbers"
    return "" if type(wake.on_rates) is bool else f"on_rates of {wake!r} is not True or False"


def exposure_of(lots: int, mark_sat: int, equity_sat: int, lots_per_contract: int) -> float:
    """Return the value of a position at the mark as a fraction of equity; infinite where none of that is left.

    >>> exposure_of(-50, 1_000_000, 2_000_000, 100), exposure_of(0, 1_000_000, 0, 100)
    (0.25, inf)
    """
    if equity_sat <= 0:
        return inf
    return float(abs(lots)) * float(mark_sat) / (float(lots_per_contract) * float(equity_sat))


class View:
    """Everything a strategy may know at one market event, and nothing later. Valid during the call only.

    Prices are satoshi per contract, sizes lots, times nanoseconds since 1970 UTC, rates parts per billion per day.
    """

    __slots__ = (
        "_ask_sat",
        "_ask_size_lots",
        "_bid_sat",
        "_bid_size_lots",
        "_blocks",
        "_blocks_seen",
        "_exchange",
        "_state",
        "_value",
        "contract",
        "equity_sat",
        "most_lots",
        "start_ns",
        "time_ns",
        "user",
    )

    def __init__(self, exchange: Exchange, user: str, value: FairValue, most_lots: int) -> None:
        self._exchange = exchange
        self._state = exchange.state
        self._value = value
        self.user = user
        self.contract: Contract = exchange.state.contract
        self.start_ns = self.time_ns = exchange.state.time_ns
        self.equity_sat = 0
        self.most_lots = most_lots  # the largest position, on either side, that the risk limits allow
        self._blocks: deque[Block] = deque(maxlen=144)
        self._blocks_seen: tuple[Block, ...] | None = None
        self._bid_sat = self._ask_sat = self._bid_size_lots = self._ask_size_lots = 0

    def see_quote(self, bid_sat: int, bid_size_lots: int, ask_sat: int, ask_size_lots: int) -> None:
        """Take in a quote (engines only)."""
        self._bid_sat, self._bid_size_lots = bid_sat, bid_size_lots
        self._ask_sat, self._ask_size_lots = ask_sat, ask_size_lots

    def see_bar(self, volume_lots: int) -> None:
        """Take in a closed bar (engines only): sizes are our share of its volume, prices come from the mark."""
        self._bid_sat = self._ask_sat = 0
        self._bid_size_lots = self._ask_size_lots = volume_lots

    def see_blocks(self, blocks: Iterable[Block]) -> None:
        """Take in blocks in their order (engines only)."""
        self._blocks.extend(blocks)
        self._blocks_seen = None

    # The market ---------------------------------------------------------------------------------------------

    @property
    def price_sat(self) -> int:
        """The mark: mid of the quote, or close of the bar."""
        return self._state.mark_sat

    @property
    def bid_sat(self) -> int:
        """Best bid; for bars the close less half the assumed spread."""
        return self._bid_sat or open_level(self._state.mark_sat, self._state, buys=False)

    @property
    def ask_sat(self) -> int:
        """Best ask; for bars the close plus half the assumed spread."""
        return self._ask_sat or open_level(self._state.mark_sat, self._state, buys=True)

    @property
    def bid_size_lots(self) -> int:
        """Lots shown at the bid; for bars our share of the last bar's volume, rounded down."""
        return self._shown(self._bid_sat, self._bid_size_lots)

    @property
    def ask_size_lots(self) -> int:
        """Lots shown at the ask; for bars our share of the last bar's volume, rounded down."""
        return self._shown(self._ask_sat, self._ask_size_lots)

    def _shown(self, price_sat: int, size_lots: int) -> int:
        return size_lots if price_sat else share_ppm(size_lots, self._state.rules.participation_ppm)

    def swap_rate_ppb_day(self, asset: int = CONTRACT) -> int:
        """The market's last rate for borrowing `asset`: bot.core.events.BTC or CONTRACT."""
        return self._state.market_rate_ppb_day[asset]

    def borrowable(self, asset: int = CONTRACT) -> int:
        """How much (satoshi or lots) could be borrowed now at or under the venue's rate limit."""
        return fundable(self._state, self.user, asset)

    # The contract and the chain -----------------------------------------------------------------------------

    @property
    def to_expiry_ns(self) -> int:
        """Nanoseconds until the contract expires."""
        return self.contract.end_ns - self.time_ns

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The last 144 blocks, about a day's worth, the newest last."""
        if self._blocks_seen is None:
            self._blocks_seen = tuple(self._blocks)
        return self._blocks_seen

    @property
    def last_block_ns(self) -> int:
        """When the last block came; before the first, when the run began."""
        return self._blocks[-1].time_ns if self._blocks else self.start_ns

    @property
    def difficulty(self) -> float:
        """Difficulty of the current epoch."""
        return self._value.difficulty

    @property
    def growth_per_retarget(self) -> float:
        """The log-change of difficulty that the value expects of the coming retarget; 0.05 is +5 %."""
        return self._value.growth_per_retarget

    @property
    def fair_value_sat(self) -> float:
        """Modelled worth of the dividends still to come, undiscounted."""
        return self._value.value_sat(self.time_ns)

    def fair_quantile_sat(self, probability: float) -> float:
        """What those dividends stay below with this probability; for value models that know how sure they are."""
        return self._value.value_quantile_sat(self.time_ns, probability)

    @property
    def fair_long_sat(self) -> float:
        """Worth to a long who borrows bitcoin at today's swap rate."""
        return self._value.value_to_long(self.time_ns, self._state.market_rate_ppb_day[BTC])

    @property
    def fair_short_sat(self) -> float:
        """Price at which a short held to expiry breaks even, paying today's contract swap rate on market value."""
        return self._value.value_to_short(self.time_ns, self._state.market_rate_ppb_day[CONTRACT])

    @property
    def fair_lender_sat(self) -> float:
        """Worth to an owner who lends the contract out at today's swap rate, the venue's cut deducted."""
        return self._value.value_to_lender(self.time_ns, 0, self._state.market_rate_ppb_day[CONTRACT])

    @property
    def edge(self) -> float:
        """Price / fair value - 1; infinite when nothing is left to come."""
        fair = self._value.value_sat(self.time_ns)
        return self._state.mark_sat / fair - 1.0 if fair > 0.0 else float("inf")

    # The account --------------------------------------------------------------------------------------------

    @property
    def position_lots(self) -> int:
        """Net position: owned, lent out, and on margin."""
        account = self._state.accounts[self.user]
        if account.cached_until != self._state.ledger.count:
            account.refresh(self._state.ledger)
        return account.cached_spot_lots + account.cached_margin_lots

    def wallet(self, name: str = EXCHANGE, asset: int = BTC) -> int:
        """Balance of one wallet (exchange, trading, deposit) in satoshi or lots, reserved amounts included."""
        return self._state.balance(self._state.accounts[self.user].purses[name][asset])

    @property
    def exposure(self) -> float:
        """Value of the position at the mark as a fraction of equity; infinite where none of that is left."""
        return exposure_of(self.position_lots, self._state.mark_sat, self.equity_sat, self.contract.lots_per_contract)

    @property
    def initial_margin_ppm(self) -> int:
        """Initial margin now, in parts per million of position value."""
        return self._state.initial_ppm

    def lots_of(self, contracts: Decimal) -> int:
        """Lots in a number of contracts, rounded down."""
        return int(contracts * self.contract.lots_per_contract)

    def lots_for(self, fraction: float) -> int:
        """Lots whose notional at the mark is `fraction` of equity (>= 0), rounded down; 0 without equity or price."""
        mark = self._state.mark_sat
        if self.equity_sat <= 0 or mark == 0:
            return 0
        return int(fraction * self.equity_sat * self.contract.lots_per_contract / mark)


AWAKE: Final = Target(0)
"""Stands for an answer that is not known: without a wake, the strategy is asked. Or that of one that is stopped."""
SLEEPLESS: Final = Wake(inf, -inf, 0)
"""What a target without a wake comes to."""


class Decided(NamedTuple):
    """A past decision and the situation it was made in."""

    target: Target
    situation: tuple[object, ...]

    def is_asleep(self, view: View, situation: tuple[object, ...]) -> bool:
        """Whether nothing has happened that the target's wake names."""
        wake = self.target.wake
        if wake is None or situation != self.situation or (wake.at_ns != NEVER and view.time_ns >= wake.at_ns):
            return False
        if not wake.low_edge <= view.edge <= wake.high_edge:
            return False
        return not weighs(wake) or keeps(wake, view.exposure)
