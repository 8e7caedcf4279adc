"""Thousands of commands over a road full of faults: no order lost, none doubled, positions equal to a quiet road's.

FAIRHASH_CAMPAIGN=10000 runs the full campaign (measured in docs/exchange.md); the checks run a shorter one.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bot.core.events import BTC
from bot.core.order import EXCHANGE, TRADING, CancelOrder, Command, PlaceOrder, Rejection, Transfer
from bot.venues.ccxt_client import client as make_client
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.in_process import ADDRESS, mount
from tests.bitfinex import SECRETS, Bench, counted
from tests.exchange.faults import FaultyRoad

ORDERS = int(os.environ.get("FAIRHASH_CAMPAIGN", "300"))


def trade(bench: Bench, submit: Any, seed: int) -> list[int | Rejection]:
    """Place and cancel orders of both wallets, and move money, as a seed says; quotes come in between."""
    random, answers = Random(seed), []
    placed: list[int] = []
    answers.append(submit(Transfer(bench.state.time_ns, "ann", EXCHANGE, TRADING, BTC, 40 * 10**8)))
    for cid in range(1, ORDERS + 1):
        now = bench.state.time_ns
        wallet = random.choice((EXCHANGE, TRADING))
        size = random.choice((1, 1, -1)) * random.randrange(1, 40)
        price = random.choice((0, random.randrange(150, 250) * 1_000_000))
        answer = submit(PlaceOrder(now, "ann", cid, wallet, size, price, active_ns=now))
        answers.append(answer)
        if not isinstance(answer, Rejection):
            placed.append(answer)
        if len(placed) > 4:
            # Whether it cancelled, or the order had ended before, is lost with the reply: states are compared.
            submit(CancelOrder(now, "ann", placed.pop(random.randrange(4))))
        if cid % 11 == 0:
            source, target = random.choice(((EXCHANGE, TRADING), (TRADING, EXCHANGE)))
            answers.append(submit(Transfer(now, "ann", source, target, BTC, random.randrange(1, 10**8))))
        if cid % 5 == 0:
            bid = random.randrange(170, 230) * 1_000_000
            bench.quote(bid, bid + 2_000_000)
    return answers


def standing(bench: Bench) -> dict[str, Any]:
    state = bench.state
    orders = {
        order.id: (order.command, order.status, order.remaining_lots, order.reason) for order in state.orders.values()
    }
    return {"balances": state.ledger.balances, "orders": orders, "fills": state.fills}


@pytest.mark.parametrize("seed", [1, 2])
def test_no_order_is_lost_none_is_doubled_and_positions_are_equal(tmp_path: Path, seed: int) -> None:
    (tmp_path / "quiet").mkdir()
    (tmp_path / "rough").mkdir()
    quiet, rough = Bench(tmp_path / "quiet"), Bench(tmp_path / "rough")
    expected = trade(quiet, quiet.service.submit, seed)
    road = FaultyRoad(rough.carry, rough.restart, seed, chance=0.1)
    ccxt_client = counted(make_client(ADDRESS, "ann-key", SECRETS["ann-key"], limited=False))
    mount(ccxt_client, road)
    venue = CcxtVenue(ccxt_client, rough.contract)

    answers = trade(rough, venue.submit, seed)

    assert answers == expected
    assert standing(rough) == standing(quiet)
    sent = Counter(order.command.cid for order in rough.state.orders.values() if not order.forced)
    assert sent and set(sent.values()) == {1}
    assert venue.differences(rough.state, rough.state.accounts["ann"]) == []
    assert {kind for kind in road.happened if kind in road.FAULTS} == set(road.FAULTS)
    assert venue.reconciled > ORDERS // 20
    # What came late was carried out before we asked, or refused for its nonce after.
    assert any("10114" in answer for answer in road.happened)
    for bench in (quiet, rough):
        bench.service.close()


def test_an_order_whose_outcome_stays_unknown_stops_all_that_follows(tmp_path: Path) -> None:
    from requests.exceptions import ConnectionError as LostError

    from bot.errors import UnknownOutcomeError

    bench = Bench(tmp_path)
    down = False

    def road(request: Any) -> tuple[int, bytes]:
        reply = bench.carry(request)
        if down:
            raise LostError("no route to host")
        return reply

    ccxt_client = counted(make_client(ADDRESS, "ann-key", SECRETS["ann-key"], limited=False))
    mount(ccxt_client, road)
    venue = CcxtVenue(ccxt_client, bench.contract)
    ccxt_client.load_markets()
    now = bench.state.time_ns
    orders: list[Command] = [PlaceOrder(now, "ann", n, EXCHANGE, 1, 190_000_000, active_ns=now) for n in (1, 2)]
    down = True
    for _ in range(2):
        with pytest.raises(UnknownOutcomeError, match="may have been carried out"):
            venue.submit(orders[0])
    assert len(bench.state.orders) == 1
    with pytest.raises(UnknownOutcomeError):
        venue.submit(orders[1])
    assert len(bench.state.orders) == 1  # nothing more was sent
    down = False
    assert isinstance(venue.submit(orders[1]), int)
    assert [order.command.cid for order in bench.state.orders.values()] == [1, 2]
    bench.service.close()
