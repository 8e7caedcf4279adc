"""What one strategy's session looks like at one moment, as plain values for people and monitors.

    lines = snapshot(session, simulated=feed.simulated)

Reading changes nothing. It is taken when somebody looks, not after every event: 0.2 to 0.4 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from bot.chain.difficulty import BLOCKS_PER_EPOCH
from bot.core.accrual import block_income_sat, pool_fee_sat
from bot.core.contract import Contract
from bot.core.events import BTC, CONTRACT, Block, Fill, Notice
from bot.core.margin import standing
from bot.core.order import DEPOSIT, EXCHANGE, TRADING
from bot.core.units import PPB, SAT_PER_BTC, sat_from_float_half_even
from bot.errors import cause
from bot.model.domain import ModelError
from bot.session import Session

SHOWN_BLOCKS: Final = 10
SHOWN_EVENTS: Final = 40
LOOKED_THROUGH: Final = 2_000
"""How far back fills and notices are searched for this strategy's own; several may share an exchange."""


class OrderLine(NamedTuple):
    """A living order: signed lots, limit in satoshi per contract (0: at the market)."""

    id: int
    placed_ns: int
    size_lots: int
    remaining_lots: int
    price_sat: int
    wallet: str
    forced: bool


class LoanLine(NamedTuple):
    """Loans that we took (`lent` false) or gave at one rate until one time: how many, their sum in satoshi or lots."""

    loans: int
    lent: bool
    asset: str
    amount: int
    rate_ppb_day: int
    end_ns: int


class BlockLine(NamedTuple):
    """A block and what it paid on one contract after the pool's fee, in satoshi, rounded down."""

    height: int
    time_ns: int
    header_time_s: int
    dividend_sat: int


class EventLine(NamedTuple):
    """A fill or a notice."""

    time_ns: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One strategy at `time_ns`. Prices in satoshi per contract, money in satoshi, sizes in lots, rates in ppb a day.

    `fair_sat` is None until a model can tell; `low_sat` and `high_sat` are the strategy's no-trade band, both 0 where
    it has none or is stopped. `last_quote_ns` and `last_block_ns` are 0 before the first.
    """

    strategy: str
    contract: str
    symbol: str
    asset: str
    lots_per_contract: int
    simulated: bool
    time_ns: int
    ends_ns: int
    expired: bool
    halted: bool
    price_sat: int
    bid_sat: int
    ask_sat: int
    fair_sat: int | None
    low_sat: int
    high_sat: int
    swap_rate_ppb_day: int
    btc_rate_ppb_day: int
    borrowable_lots: int
    position_lots: int
    equity_sat: int
    start_equity_sat: int
    peak_sat: int
    wallets: tuple[tuple[str, int, int], ...]
    initial_margin_ppm: int
    difficulty: float
    height: int
    next_retarget_height: int
    next_retarget_ns: int
    orders: tuple[OrderLine, ...]
    loans: tuple[LoanLine, ...]
    """By their ends; a short of a few contracts may have a hundred lenders."""
    blocks: tuple[BlockLine, ...]
    events: tuple[EventLine, ...]
    fills: int
    notices: int
    last_quote_ns: int
    last_block_ns: int
    note: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as plain values for JSON: times in whole milliseconds (rounded down), which JavaScript can hold."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        for name in ("orders", "loans", "blocks", "events"):
            plain[name] = [_in_ms(line._asdict()) for line in plain[name]]
        return _in_ms(plain)


def _in_ms(plain: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{name[:-3]}_ms" if name.endswith("_ns") else name: value // 1_000_000 if name.endswith("_ns") else value
        for name, value in plain.items()
    }


def snapshot(session: Session, simulated: bool) -> Snapshot:
    """Return what `session` looks like now. `simulated`: whether any price or rate that it saw is."""
    state, view, value, contract = session.state, session.view, session.value, session.settings.contract
    account = state.accounts[session.user]
    now = state.time_ns
    worth = standing(state, account)
    equity_sat = worth.equity_sat(state.mark_sat, now)
    has_price = state.mark_sat > 0
    fair_sat, low_sat, high_sat, note = _value(session, now)
    blocks = list(view.blocks)
    height = blocks[-1].height if blocks else 0
    return Snapshot(
        strategy=session.user,
        contract=contract.id,
        symbol=contract.symbol,
        asset=contract.asset,
        lots_per_contract=contract.lots_per_contract,
        simulated=simulated,
        time_ns=now,
        ends_ns=contract.end_ns,
        expired=state.expired,
        halted=session.trader.is_stopped,
        price_sat=state.mark_sat,
        bid_sat=view.bid_sat if has_price else 0,
        ask_sat=view.ask_sat if has_price else 0,
        fair_sat=fair_sat,
        low_sat=low_sat,
        high_sat=high_sat,
        swap_rate_ppb_day=state.market_rate_ppb_day[CONTRACT],
        btc_rate_ppb_day=state.market_rate_ppb_day[BTC],
        borrowable_lots=view.borrowable(CONTRACT) if has_price else 0,
        position_lots=worth.lots,
        equity_sat=equity_sat,
        start_equity_sat=session.settings.deposit_sat,
        peak_sat=max(session.peak_sat, equity_sat),
        wallets=tuple((name, view.wallet(name, BTC), view.wallet(name, CONTRACT)) for name in _WALLETS),
        initial_margin_ppm=state.initial_ppm,
        difficulty=value.difficulty,
        height=height,
        next_retarget_height=(height // BLOCKS_PER_EPOCH + 1) * BLOCKS_PER_EPOCH if blocks else 0,
        next_retarget_ns=value.expected_retarget_ns(now),
        orders=tuple(_orders(session)),
        loans=tuple(_loans(session)),
        blocks=tuple(_block(block, contract) for block in reversed(blocks[-SHOWN_BLOCKS:])),
        events=tuple(_events(session)),
        fills=len(state.fills),
        notices=len(state.notices),
        last_quote_ns=session.last_market_ns,
        last_block_ns=blocks[-1].time_ns if blocks else 0,
        note=note,
    )


_WALLETS: Final = (EXCHANGE, TRADING, DEPOSIT)


def _value(session: Session, now: int) -> tuple[int | None, int, int, str]:
    """Return fair value, no-trade band, and why one of them is missing."""
    try:
        fair_sat = sat_from_float_half_even(session.value.value_sat(now))
    except ModelError as error:
        return None, 0, 0, f"no fair value: {error}"
    band = session.strategy.band
    if band is None or session.state.mark_sat == 0 or session.trader.is_stopped:
        return fair_sat, 0, 0, ""
    view = session.view
    before_ns, view.time_ns = view.time_ns, now  # blocks may have come since it was asked last
    try:
        low, high = band(view, session.strategy.params)
        return fair_sat, sat_from_float_half_even(low), sat_from_float_half_even(high), ""
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - shown; it must not end the daemon
        return fair_sat, 0, 0, f"no band: {cause(error)}"
    finally:
        view.time_ns = before_ns


ASKING: Final = (_value.__code__,)
"""The code that calls into a strategy; see `bot.session.ASKING`."""


def _orders(session: Session) -> Iterator[OrderLine]:
    for order in session.state.live:
        if order.is_live and order.command.user == session.user:
            command = order.command
            lots = (order.size_lots, order.remaining_lots)
            yield OrderLine(order.id, command.time_ns, *lots, command.price_sat, command.wallet, order.forced)


def _loans(session: Session) -> Iterator[LoanLine]:
    names = ("BTC", session.settings.contract.asset)
    sums: dict[tuple[int, bool, int, int], list[int]] = {}
    for loan in session.state.loans.values():
        if session.user in (loan.borrower, loan.lender):
            alike = sums.setdefault((loan.end_ns, loan.lender == session.user, loan.asset, loan.rate_ppb_day), [0, 0])
            alike[0] += 1
            alike[1] += loan.amount
    for (end_ns, lent, asset, rate_ppb_day), (count, amount) in sorted(sums.items()):
        yield LoanLine(count, lent, names[asset], amount, rate_ppb_day, end_ns)


def _block(block: Block, contract: Contract) -> BlockLine:
    income = block_income_sat(contract, block)
    net = income - pool_fee_sat(income, contract.payout.fee_ppm)
    per_contract = net * contract.lots_per_contract // contract.tranche_lots  # rounded down
    return BlockLine(block.height, block.time_ns, block.header_time_s, per_contract)


def _events(session: Session) -> list[EventLine]:
    """Return the last fills and notices of this strategy, the newest first."""
    state, user = session.state, session.user
    fills = (fill for fill in islice(reversed(state.fills), LOOKED_THROUGH) if fill.user == user)
    notices = (notice for notice in islice(reversed(state.notices), LOOKED_THROUGH) if notice.user == user)
    lots = session.settings.contract.lots_per_contract
    lines = [_fill(fill, lots) for fill in islice(fills, SHOWN_EVENTS)]
    lines += [_notice(notice) for notice in islice(notices, SHOWN_EVENTS)]
    return sorted(lines, key=lambda line: -line.time_ns)[:SHOWN_EVENTS]


def _fill(fill: Fill, lots_per_contract: int) -> EventLine:
    verb = "bought" if fill.size_lots > 0 else "sold"
    size = f"{_decimal(abs(fill.size_lots), lots_per_contract)} at {_decimal(fill.price_sat, SAT_PER_BTC)} BTC"
    return EventLine(fill.time_ns, "fill", f"{verb} {size}, fee {_decimal(fill.fee_sat, SAT_PER_BTC)} BTC")


def _notice(notice: Notice) -> EventLine:
    return EventLine(notice.time_ns, notice.kind, notice.text)


def _decimal(value: int, unit: int) -> str:
    """Return value / unit as decimal text: exact for units that are powers of ten, else rounded down to 9 decimals."""
    whole, rest = divmod(value, unit)
    return f"{whole}.{rest * PPB // unit:09d}".rstrip("0").rstrip(".")
