"""On any consistent ledger the parts of profit sum to the change of equity, to the satoshi."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests.attribution import PARTS, AttributionError, Split, attribute
from backtests.result import RunResult
from bot.core.contract import Contract, Lending, Payout
from bot.core.events import Fill, Mark, Posting
from bot.core.units import notional_sat

LOTS = 7  # a size that does not divide prices: every rounding is met
CONTRACT = Contract(
    id="T",
    symbol="TH1BTC",
    asset="TH1",
    kind="dividend_term",
    hash_rate_hs=10**12,
    lots_per_contract=LOTS,
    tick_sat=1,
    tranche_lots=10_000,
    start_ns=0,
    end_ns=10**6,
    payout=Payout("pps", 30_000, False, 0, 0),
    margin=(),
    collateral=(),
    margin_call_ppm=1_500_000,
    lending=Lending(2, 30, 150_000, 7_500_000, "mark"),
    maker_fee_ppm=1_000,
    taker_fee_ppm=2_000,
)


@dataclass
class Simulator:
    """A venue in miniature: it posts, marks and fills, and adds up each part in its own way."""

    now: int = 0
    transaction: int = 0
    mark: int = 100
    lots: int = 0
    cash: int = 0
    start: int = 0
    flows: int = 0
    price: int = 0
    own: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    postings: list[Posting] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def move(self, kind: str, source: str, target: str, asset: str, amount: int) -> None:
        for account, signed in ((source, -amount), (target, amount)):
            self.postings.append(Posting(self.transaction, self.now, kind, f"{account}/{asset}", signed))
            if account.startswith("eve/"):
                if asset == "BTC":
                    self.cash += signed
                else:
                    self.lots += signed

    def begin(self) -> None:
        self.now += 10
        self.transaction += 1

    def deposit(self, amount: int) -> None:
        self.begin()
        self.move("deposit", "world/outside", "eve/exchange", "BTC", amount)
        self.start = self.start or amount
        self.flows += amount

    def quote(self, price: int) -> None:
        self.begin()
        value = notional_sat(self.lots, price, LOTS)
        self.own["price"] += value - notional_sat(self.lots, self.mark, LOTS)
        self.mark = price
        self.marks.append(Mark(self.now, price, self.lots, self.cash + value))

    def trade(self, size: int, price: int, fee: int) -> None:
        self.begin()
        before = notional_sat(self.lots, self.mark, LOTS) + self.cash
        if size < 0:  # a short sale borrows first and gives back nothing: net zero for the user
            self.move("loan", "market/deposit", "eve/position", "TH1", 3)
            self.move("loan", "eve/owed", "market/lent", "TH1", 3)
        self.move("trade", "market/exchange", "eve/position", "TH1", size)
        self.move("trade", "eve/position", "market/exchange", "BTC", notional_sat(size, price, LOTS))
        self.own["slippage"] += notional_sat(self.lots, self.mark, LOTS) + self.cash - before
        self.move("fee", "eve/position", "venue/fees", "BTC", fee)
        self.own["fees"] -= fee
        self.fills.append(Fill(self.now, 1, "eve", "trading", size, price, fee, self.mark, False))

    def pay(self, kind: str, amount: int) -> None:
        self.begin()
        self.move(kind, "venue/any", "eve/trading", "BTC", amount)
        part = {"dividend": "dividends", "deficit": "deficit"}.get(kind, "lending" if amount > 0 else "swap")
        self.own[part] += amount

    def expire(self) -> None:
        self.begin()
        self.own["expiry"] -= notional_sat(self.lots, self.mark, LOTS)
        self.move("expiry", "eve/position", "world/issuance", "TH1", self.lots)
        self.mark = 0

    def result(self) -> RunResult:
        self.marks.append(Mark(self.now, self.mark, self.lots, self.cash + notional_sat(self.lots, self.mark, LOTS)))
        balances: dict[str, int] = {}
        for posting in self.postings:
            balances[posting.account] = balances.get(posting.account, 0) + posting.amount
        return RunResult(
            name="eve",
            engine="test",
            user="eve",
            contract=CONTRACT,
            start_ns=0,
            end_ns=self.now,
            start_equity_sat=self.start,
            fills=self.fills,
            postings=self.postings,
            marks=self.marks,
            notices=[],
            observations=[],
            final_balances=balances,
        )


amounts = st.integers(-(10**9), 10**9)
prices = st.integers(1, 10**9)
steps = st.one_of(
    st.tuples(st.just("quote"), prices),
    st.tuples(st.just("trade"), st.integers(-50, 50).filter(bool), prices, st.integers(0, 10**6)),
    st.tuples(st.just("pay"), st.sampled_from(["dividend", "interest", "deficit"]), amounts.filter(bool)),
    st.tuples(st.just("deposit"), amounts.filter(bool)),
)


def play(start: int, script: list[tuple], expires: bool) -> Simulator:
    simulator = Simulator()
    simulator.deposit(start)
    simulator.quote(100)
    for name, *arguments in script:
        getattr(simulator, name)(*arguments)
    if expires:
        simulator.expire()
    return simulator


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 10**12), st.lists(steps, max_size=40), st.booleans())
def test_parts_sum_to_the_change_of_equity(start, script, expires) -> None:
    """Total profit, every single part and every trade agree with what the simulator added up by itself."""
    simulator = play(start, script, expires)
    result = simulator.result()
    attribution = attribute(result)
    others = sum(flow.amount_sat for flow in attribution.other_flows)
    assert others == simulator.flows - start
    final = result.marks[-1].equity_sat
    assert attribution.split.total_sat == final - start - others
    assert dict(zip(PARTS, attribution.split, strict=True)) == simulator.own
    total = attribution.outside
    for trade in attribution.trades:
        total = total.plus(trade.split)
    assert total == attribution.split


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 10**12), st.lists(steps, max_size=40), st.booleans())
def test_trades_are_round_trips(start, script, expires) -> None:
    """Trades follow each other without overlap, each of one sign, and only the last can be open."""
    simulator = play(start, script, expires)
    trades = attribute(simulator.result()).trades
    assert [trade.number for trade in trades] == list(range(1, len(trades) + 1))
    for earlier, later in itertools.pairwise(trades):
        assert earlier.closed_ns is not None
        assert earlier.closed_ns <= later.opened_ns
        if earlier.closed_ns == later.opened_ns:
            assert earlier.side == -later.side
    assert all(trade.peak_lots > 0 and trade.side in (1, -1) for trade in trades)
    held = bool(simulator.lots)
    assert (bool(trades) and trades[-1].closed_ns is None) == held


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=1, max_size=20), st.integers(0, 10**6), st.sampled_from([-1, 1]))
def test_one_wrong_satoshi_is_found(script, where, by) -> None:
    """A satoshi added to any posting of the user's bitcoin, balances adjusted, breaks the identity."""
    simulator = play(10**6, script, expires=False)
    mine = [i for i, p in enumerate(simulator.postings) if p.account.startswith("eve/") and p.account.endswith("BTC")]
    index = mine[where % len(mine)]
    posting = simulator.postings[index]
    simulator.postings[index] = posting._replace(amount=posting.amount + by)
    with pytest.raises(AttributionError):
        attribute(simulator.result())


def test_nothing_happened() -> None:
    """A run without a trade has no profit and no part of it."""
    attribution = attribute(play(5, [], expires=False).result())
    assert attribution.split == Split()
    assert attribution.trades == ()
