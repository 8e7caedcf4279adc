"""A small exchange to write tests on that read like a ledger, and plain copies of a state to compare.

Money is in satoshi, sizes in lots (100 to a contract), prices satoshi per contract; every step checks the invariants.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from typing import Any

from bot.core.accrual import DIFFICULTY_1_TARGET
from bot.core.contract import CollateralStep, Contract, Lending, MarginStep, Payout
from bot.core.events import BTC, CONTRACT, RANK_STRATEGY, Bar, Block, Quote, SwapRate
from bot.core.exchange import Exchange
from bot.core.invariants import check, check_margin, check_shares
from bot.core.ledger import Account, Move
from bot.core.order import (
    CancelOffer,
    CancelOrder,
    Command,
    Deposit,
    Order,
    PlaceOffer,
    PlaceOrder,
    RecallLoan,
    Rejection,
    Transfer,
    Withdraw,
)
from bot.core.state import Loan, MarketRules, State
from bot.core.units import NS_PER_DAY, NS_PER_S, PPM, SAT_PER_BTC

START_NS = 1_410_739_200 * NS_PER_S
"""2014-09-15T00:00:00Z."""
END_NS = START_NS + 91 * NS_PER_DAY
PERCENT_DAY = 10_000_000
"""One per cent a day, in parts per billion a day."""

TERMS = Contract(
    id="TH1BTC-2014Q4",
    symbol="TH1BTC",
    asset="TH1",
    kind="dividend_term",
    hash_rate_hs=10**12,
    lots_per_contract=100,
    tick_sat=100,
    tranche_lots=10_000,
    start_ns=START_NS,
    end_ns=END_NS,
    payout=Payout("pps", 30_000, False, 0, 0),
    margin=(MarginStep(START_NS, 250_000, 125_000),),
    collateral=(CollateralStep(START_NS, False),),
    margin_call_ppm=1_500_000,
    lending=Lending(2, 30, 150_000, 2 * PERCENT_DAY, "mark"),
    maker_fee_ppm=1_000,
    taker_fee_ppm=2_000,
)

RULES = MarketRules(participation_ppm=PPM, half_spread_ppm=5_000, depth_levels=0)


def terms(**changes: Any) -> Contract:
    """Return TERMS with some fields changed."""
    return dataclasses.replace(TERMS, **changes)


def block_paying(contract: Contract, income_sat: int, time_ns: int, height: int = 320_000) -> Block:
    """Return a block from which the whole tranche earns exactly `income_sat` before the pool's fee (PPS)."""
    reward, seconds = 25 * SAT_PER_BTC, 600
    numerator = contract.hash_rate_hs * contract.tranche_lots * seconds * reward
    target = -(-income_sat * contract.lots_per_contract * (DIFFICULTY_1_TARGET << 32) // numerator)
    return Block(time_ns, height, time_ns // NS_PER_S, seconds, 0, target, reward, 0)


class Scene:
    """One exchange with a clock that the test turns; a step that breaks an invariant raises."""

    def __init__(self, contract: Contract = TERMS, rules: MarketRules = RULES, start_ns: int = START_NS) -> None:
        self.exchange = Exchange(contract, rules, start_ns)
        self.now = start_ns
        self.journal: list[tuple[str, Any]] = []
        self._seen = 0
        self._cid = 0

    @property
    def state(self) -> State:
        return self.exchange.state

    def at(self, day: int = 0, hour: int = 0, minute: int = 0, second: int = 0) -> Scene:
        """Turn the clock to a time after START_NS; nothing happens until something is sent."""
        self.now = START_NS + day * NS_PER_DAY + (hour * 3600 + minute * 60 + second) * NS_PER_S
        return self

    # Commands -----------------------------------------------------------------------------------------------

    def send(self, command: Command) -> int | Rejection:
        """Submit a command, keep it in the journal if it was accepted."""
        answer = self.exchange.submit(command)
        if not isinstance(answer, Rejection):
            self.journal.append(("submit", command))
        check(self.state)
        check_shares(self.state)
        return answer

    def done(self, command: Command) -> int:
        """Submit a command that must be accepted."""
        answer = self.send(command)
        assert not isinstance(answer, Rejection), str(answer)
        return answer

    def refused(self, command: Command) -> str:
        """Submit a command that must be refused without any effect, and return the code."""
        if command.time_ns >= self.state.time_ns:
            self.exchange.reach(command.time_ns, RANK_STRATEGY)
        before = snapshot(self.state)
        answer = self.send(command)
        assert isinstance(answer, Rejection), f"accepted: {command}"
        assert snapshot(self.state) == before
        return answer.code

    def deposit(self, user: str, sat: int, wallet: str = "exchange") -> None:
        self.done(Deposit(self.now, user, BTC, sat))
        if wallet != "exchange":
            self.transfer(user, "exchange", wallet, BTC, sat)

    def transfer(self, user: str, source: str, target: str, asset: int, amount: int) -> None:
        self.done(Transfer(self.now, user, source, target, asset, amount))

    def withdraw(self, user: str, sat: int) -> None:
        self.done(Withdraw(self.now, user, BTC, sat))

    def order_of(self, user: str, size: int, price: int = 0, wallet: str = "trading", **more: Any) -> PlaceOrder:
        """Return an order command with a cid of its own."""
        self._cid += 1
        return PlaceOrder(self.now, user, more.pop("cid", self._cid), wallet, size, price, **more)

    def order(self, user: str, size: int, price: int = 0, wallet: str = "trading", **more: Any) -> int:
        return self.done(self.order_of(user, size, price, wallet, **more))

    def cancel(self, user: str, order_id: int) -> None:
        self.done(CancelOrder(self.now, user, order_id))

    def offer(self, user: str, asset: int, amount: int, rate: int, days: int = 2) -> int:
        return self.done(PlaceOffer(self.now, user, asset, amount, rate, days))

    def cancel_offer(self, user: str, offer_id: int) -> None:
        self.done(CancelOffer(self.now, user, offer_id))

    def recall(self, user: str, loan_id: int) -> None:
        self.done(RecallLoan(self.now, user, loan_id))

    # The world ----------------------------------------------------------------------------------------------

    def feed(self, name: str, event: Any) -> None:
        """Give the exchange an event by the name of its method, and keep it in the journal."""
        getattr(self.exchange, name)(event)
        self.journal.append((name, event))
        check(self.state)
        check_shares(self.state)
        if name in ("on_quote", "on_bar_close"):
            check_margin(self.state)

    def quote(self, bid: int, ask: int, size: int = 10_000) -> None:
        self.feed("on_quote", Quote(self.now, bid, size, ask, size))

    def bar_open(self, bar: Bar) -> None:
        self.feed("on_bar_open", bar)

    def bar_close(self, bar: Bar) -> None:
        self.feed("on_bar_close", bar)

    def rate(self, asset: int, ppb_day: int, available: int) -> None:
        self.feed("on_swap_rate", SwapRate(self.now, asset, ppb_day, available))

    def funded(self) -> Scene:
        """Let the market lend plenty of both assets: bitcoin at 0.05 %/day, contracts at 1 %/day."""
        self.rate(BTC, PERCENT_DAY // 20, 10**12)
        self.rate(CONTRACT, PERCENT_DAY, 10_000)
        return self

    def block(self, income_sat: int) -> None:
        self.feed("on_block", block_paying(self.state.contract, income_sat, self.now))

    def reach(self, rank: int = RANK_STRATEGY) -> None:
        """Let time pass up to now."""
        self.exchange.reach(self.now, rank)
        check(self.state)
        check_shares(self.state)

    # What is ------------------------------------------------------------------------------------------------

    def account(self, user: str) -> Account:
        return self.state.accounts[user]

    def has(self, name: str) -> int:
        """Return the balance of the account `owner/purse/asset`."""
        return self.state.balance(name)

    def find(self, order_id: int) -> Order:
        return self.state.orders[order_id]

    def loans(self, user: str) -> list[Loan]:
        return [loan for loan in self.state.loans.values() if loan.borrower == user]

    def lots(self, user: str) -> int:
        """Return the margin position in lots."""
        return self.account(user).margin_lots(self.state.ledger)

    def new_moves(self) -> list[Move]:
        """Return the moves since this was last asked."""
        moves = self.state.ledger.moves[self._seen :]
        self._seen = len(self.state.ledger.moves)
        return moves

    def new_ledger(self) -> str:
        """Return the moves since this was last asked as lines `kind source -> target amount`."""
        return lines(self.new_moves())

    def notices(self, user: str) -> list[str]:
        return [notice.kind for notice in self.state.notices if notice.user == user]


def lines(moves: Iterable[Move]) -> str:
    """Write moves as text, one a line, without time and transaction."""
    return "\n".join(f"{m.kind} {m.source} -> {m.target} {m.amount}" for m in moves)


def text(ledger: str) -> str:
    """Strip the indentation and the alignment from a ledger written in a test."""
    return "\n".join(" ".join(line.split()) for line in ledger.strip().splitlines())


_CACHES = frozenset({"cached_margin_lots", "cached_sat", "cached_spot_lots", "cached_until", "standing"})


def _plain_account(account: Account) -> dict[str, Any]:
    names = (name for name in Account.__slots__ if name not in _CACHES)
    return {name: copy.deepcopy(getattr(account, name)) for name in names}


def snapshot(state: State) -> dict[str, Any]:
    """Return a deep, comparable copy of everything in a state but what is only cached."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(State):
        value = getattr(state, field.name)
        if field.name == "accounts":
            plain["accounts"] = {name: _plain_account(account) for name, account in value.items()}
        elif field.name == "ledger":
            plain["ledger"] = (dict(value.balances), list(value.moves), value.count, value.transaction)
        elif field.name in ("venue", "due_ns", "rank"):
            continue  # names that never change; when to look again, too early or not; a guard of the order of events
        elif field.name == "orders":
            plain["orders"] = {order.id: copy.deepcopy(order) for order in value.values()}  # the file's too
        elif field.name == "by_cid":
            named = [o.command for o in state.orders.values() if not o.forced]
            cids = [(command.user, command.cid, command.time_ns // NS_PER_DAY) for command in named]
            plain["by_cid"] = {cid: value[cid] for cid in cids}
        elif field.name == "live":
            plain["live"] = [order.id for order in value]
        elif field.name in ("contract", "rules"):
            plain[field.name] = value
        elif field.name in ("fills", "notices"):
            plain[field.name] = list(value)
        else:
            plain[field.name] = copy.deepcopy(value)
    return plain


def replay(scene: Scene) -> Exchange:
    """Return a fresh exchange that was given what the scene's exchange accepted, in its order."""
    exchange = Exchange(scene.state.contract, scene.state.rules, START_NS)
    for name, event in scene.journal:
        getattr(exchange, name)(event)
    exchange.reach(scene.state.time_ns, RANK_STRATEGY)
    return exchange
