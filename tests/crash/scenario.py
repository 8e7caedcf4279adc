"""A mixed scenario on a service: users, orders, loans, liquidation, dividends, interest, nonces, expiry."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from bot.core.events import BTC, CONTRACT, Quote, SwapRate
from bot.core.order import (
    DEPOSIT,
    EXCHANGE,
    TRADING,
    CancelOffer,
    CancelOrder,
    Command,
    Deposit,
    PlaceOffer,
    PlaceOrder,
    RecallLoan,
    Transfer,
    Withdraw,
)
from bot.core.state import MarketRules, State
from bot.core.units import NS_PER_DAY, NS_PER_S, SAT_PER_BTC
from bot.paper.entries import Passed
from bot.paper.service import Service
from tests.ledgers import END_NS, PERCENT_DAY, START_NS, block_paying, terms

RULES = MarketRules(demand=(0, 500))
NAME = "paper.journal"
USERS = ("ann", "bob")
STEPS = 120


def open_in(directory: Path) -> Service:
    """Open the scenario's service in a directory."""
    return Service.open(directory / NAME, terms(), RULES, START_NS)


def run(service: Service, steps: int, acknowledged: Callable[[int], None]) -> None:
    """Go on with the scenario where the service stands, up to a number of steps; tell each one that is durable."""
    for step in range(service.exchange.state.event, steps):
        _step(service, step, random.Random(f"crash:{step}"), last=step == STEPS - 1)
        acknowledged(service.journal.sequence)


def _step(service: Service, step: int, draw: random.Random, last: bool) -> None:
    """One commit: the world, one quote, nonces and a few commands, some of which are refused."""
    now = START_NS + (step + 1) * 5 * 3_600 * NS_PER_S
    price_sat = 100_000_000 + draw.randrange(-200, 200) * 100_000
    if step % 12 == 11:
        price_sat *= 3  # whoever is short is liquidated
    with service.group():
        if step % 5 == 0:
            service.see(SwapRate(now, CONTRACT, PERCENT_DAY, draw.choice((0, 3_000))))
            service.see(SwapRate(now, BTC, PERCENT_DAY // 20, 10**12))
        service.see(block_paying(service.exchange.state.contract, 10**6, now, 320_000 + step))
        service.see(Quote(now, price_sat, 500, price_sat + 200_000, 500))
        if step % 12 == 0:
            for user in USERS:
                service.submit(Deposit(now, user, BTC, 20 * SAT_PER_BTC))
                service.submit(Transfer(now, user, EXCHANGE, TRADING, BTC, 4 * SAT_PER_BTC))
                service.submit(PlaceOrder(now, user, -1 - step, TRADING, -500, active_ns=now))
        service.rise("key", step + 1)
        for number in range(draw.randrange(4)):
            service.submit(_command(service.exchange.state, draw, now, step * 10 + number))
        if last:
            service.see(Passed(END_NS + NS_PER_DAY))


def _command(state: State, draw: random.Random, now: int, cid: int) -> Command:
    user = draw.choice(USERS)
    wallet, target = draw.sample((EXCHANGE, TRADING, DEPOSIT), 2)
    size = draw.choice((-200, -50, 30, 100))
    limit_sat = state.mark_sat // 100_000 * 100_000 + draw.randrange(-5, 5) * 100_000
    live = [order.id for order in state.live if order.is_live] or [0]
    offers = [offer.id for offer in state.offers[CONTRACT] if offer.lender == user] or [0]
    lent = [loan.id for loan in state.loans.values() if loan.lender == user] or [0]
    return draw.choice(
        (
            PlaceOrder(
                now, user, cid, draw.choice((EXCHANGE, TRADING)), size, draw.choice((0, limit_sat)), active_ns=now
            ),
            PlaceOrder(now, user, cid, draw.choice((EXCHANGE, TRADING)), size, 0, active_ns=now),
            CancelOrder(now, user, draw.choice(live)),
            Transfer(now, user, wallet, target, draw.choice((BTC, CONTRACT)), 50),
            PlaceOffer(now, user, CONTRACT, 20, PERCENT_DAY, 2),
            CancelOffer(now, user, draw.choice(offers)),
            RecallLoan(now, user, draw.choice(lent)),
            Withdraw(now, user, BTC, 1_000),
        )
    )
