"""Every check of debug mode can fail: one number of a sound exchange is changed, and the invariant it breaks is named.

Two hours of one exchange: bob owns a contract, ann is short one, a block has paid, interest has been settled.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.core.events import BTC
from bot.core.invariants import InvariantError, check, check_margin, check_shares
from bot.core.state import State
from bot.core.units import SAT_PER_BTC
from tests.ledgers import Scene

TWO = 2 * SAT_PER_BTC


def two_hours() -> State:
    scene = Scene().funded()
    scene.deposit("bob", 4 * SAT_PER_BTC)
    scene.deposit("ann", SAT_PER_BTC, "trading")
    scene.quote(TWO, TWO)
    scene.order("bob", 100, wallet="exchange")
    scene.order("ann", -100)
    scene.at(hour=1).quote(TWO, TWO)
    scene.order("bob", 100, TWO // 2, wallet="exchange")
    scene.at(hour=1, minute=30).block(1_000_000)
    scene.at(hour=2).quote(TWO, TWO)
    scene.exchange.settle()
    check(scene.state)
    check_shares(scene.state)
    check_margin(scene.state)
    return scene.state


def changed(state: State, kind: str, account: str, **fields: object) -> None:
    """Change the last move of a kind into an account."""
    moves = state.ledger.moves
    at = max(i for i, move in enumerate(moves) if move.kind == kind and move.target == account)
    moves[at] = moves[at]._replace(**fields)  # type: ignore[arg-type]


def shift(state: State, source: str, target: str, amount: int = 1) -> None:
    """Move an amount without a record."""
    state.ledger.balances[source] = state.balance(source) - amount
    state.ledger.balances[target] = state.balance(target) + amount


def loan(state: State) -> int:
    return next(iter(state.loans))


def mint(state: State) -> None:
    state.ledger.balances["ann/trading/BTC"] += 1


def forget_carry(state: State) -> None:
    state.accounts["bob"].spot_carry += 1


def call_it_due(state: State) -> None:
    state.loans[loan(state)].paid_to_s += 3600


def drop_loan(state: State) -> None:
    del state.loans[loan(state)]


def fill_more(state: State) -> None:
    state.live[0].remaining_lots = -1


def liquidate_without_an_order(state: State) -> None:
    state.accounts["ann"].liquidating = True


def expire_with_a_position(state: State) -> None:
    state.expired = True


def take_from_the_lender(state: State) -> None:
    interest = [i for i, move in enumerate(state.ledger.moves) if move.kind == "interest"]
    for at, by in zip(interest[-2:], (-1, +1), strict=True):
        move = state.ledger.moves[at]
        state.ledger.moves[at] = move._replace(amount=move.amount + by)


def rename_cid(state: State) -> None:
    state.by_cid[next(iter(state.by_cid))] += 1000


BREACHES: list[tuple[int, str, Callable[[State], None]]] = [
    (1, "a move into another asset", lambda s: changed(s, "block", s.venue.dividends, target="venue/dividends/TH1")),
    (1, "a float", lambda s: changed(s, "block", s.venue.dividends, amount=970_000.0)),
    (1, "a move backwards", lambda s: changed(s, "block", s.venue.pool_fee, amount=-1)),
    (2, "a satoshi from nowhere", mint),
    (3, "a lot lost", lambda s: shift(s, "bob/exchange/TH1", "world/outside/TH1")),
    (3, "a lot lent that nobody owes", lambda s: shift(s, "market/exchange/TH1", "market/lent/TH1")),
    (4, "more reserved than there is", lambda s: s.accounts["bob"].reserved.__setitem__(BTC, 10 * SAT_PER_BTC)),
    (5, "a fee a satoshi too high", lambda s: changed(s, "block", s.venue.pool_fee, amount=30_001)),
    (5, "a block that pays a user", lambda s: changed(s, "block", s.venue.dividends, target="ann/trading/BTC")),
    (5, "a dividend a satoshi short", lambda s: shift(s, s.venue.dividends, "ann/trading/BTC")),
    (5, "a fraction too much", forget_carry),
    (6, "a satoshi of the lender's in the cut", take_from_the_lender),
    (6, "a cut that nobody took", lambda s: changed(s, "interest", s.venue.interest_cut, target="market/exchange/BTC")),
    (6, "interest of the future", call_it_due),
    (3, "a loan forgotten", drop_loan),
    (7, "more filled than ordered", fill_more),
    (8, "a liquidation without an order", liquidate_without_an_order),
    (8, "contracts after expiry", expire_with_a_position),
    (11, "a client order id that names another", rename_cid),
]


@pytest.mark.parametrize(("number", "breach", "make"), BREACHES, ids=[what for _, what, _ in BREACHES])
def test_each_breach_is_named(number: int, breach: str, make: Callable[[State], None]) -> None:
    state = two_hours()
    make(state)
    with pytest.raises(InvariantError, match=f"invariant {number}:"):
        check(state)
        check_shares(state)


def test_a_position_under_maintenance_that_nobody_liquidates_is_named() -> None:
    state = two_hours()
    state.mark_sat *= 2
    with pytest.raises(InvariantError, match="invariant 8: ann"):
        check_margin(state)
