"""A venue's report that takes fills back and revives orders: memory, file and plain lists come to the same."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from bot.core.events import RANK_STRATEGY
from bot.core.exchange import Exchange
from bot.core.order import Order
from bot.paper.checkpoint.exchange import History, document_of, resume
from bot.paper.checkpoint.past import Past
from bot.paper.checkpoint.plain import plain, written
from bot.paper.checkpoint.store import Checkpoints, find
from bot.paper.journal import Journal
from bot.venues import adopt
from bot.venues.report import OrderLine, TradeLine, expected
from tests.checkpoints import often, plainly
from tests.ledgers import START_NS
from tests.property.test_core_walk import walked

USER = "ann"


class Kept:
    """An exchange whose history lies in a file, with a checkpoint whenever it is asked for one."""

    def __init__(self, path: Path, contract: object, rules: object) -> None:
        self.journal = Journal(path, synchronous="OFF")
        self.exchange = Exchange(contract, rules, START_NS)  # type: ignore[arg-type]
        self.history = History(self.exchange, Past(self.journal, USER))
        self.checkpoints = Checkpoints(self.journal, lambda: document_of(self.exchange), lambda: [self.history])

    def take(self) -> None:
        self.journal.append("Passed", "", START_NS, f"[{START_NS}]")
        self.journal.commit()
        self.checkpoints.take(self.journal.sequence, self.journal.hash)

    def stored(self, kind: str) -> list[str]:
        rows = self.journal.rows("SELECT text FROM past WHERE kind = ? ORDER BY number", (kind,))
        return [text for (text,) in rows]


def report(exchange: Exchange, draw: random.Random) -> str:
    """Return what a venue may say: an order that had ended stands again, one that stood is gone, fills are others."""
    state, account = exchange.state, exchange.state.accounts[USER]
    mine = [order for order in state.orders.values() if order.command.user == USER and not order.forced]
    since_ns = state.fills[len(state.fills) // 3].time_ns
    ended = [order for order in mine if not order.is_live and order.size_lots]
    revived = draw.sample(ended, min(2, len(ended)))
    stays = [order for order in mine if order.is_live][1:]
    lines = [
        OrderLine(c.cid, c.wallet, order.size_lots, order.size_lots, c.price_sat, c.post_only, c.reduce_only)
        for order in (*revived, *stays)
        for c in (order.command,)
    ]
    fills = [fill for fill in state.fills if fill.user == USER and fill.time_ns > since_ns][::2]
    cid_of = {order.id: order.command.cid for order in state.orders.values()}
    trades = [
        TradeLine(n, f.time_ns, cid_of[f.order_id], f.wallet, f.size_lots, f.price_sat, f.fee_sat + 1, f.maker)
        for n, f in enumerate(fills)
    ]
    return adopt.written(expected(state, account)._replace(orders=tuple(lines)), trades, since_ns)


@pytest.mark.parametrize("seed", range(20))
def test_what_a_venue_takes_back_is_gone_from_memory_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    draw = random.Random(seed)
    often(monkeypatch, every=1, kept=draw.randrange(1, 6))
    walk = next(found for found in map(walked, range(seed, 10_000, 20)) if len(found.state.fills) > 12)
    kept = Kept(tmp_path / "a.journal", walk.contract, walk.rules)
    for at, (name, content) in enumerate(walk.journal):
        getattr(kept.exchange, name)(content)
        if at % 15 == 0:
            kept.take()
    for exchange in (walk.exchange, kept.exchange):
        exchange.reach(walk.state.time_ns, RANK_STRATEGY)
    kept.take()
    text = report(walk.exchange, draw)
    for exchange in (walk.exchange, kept.exchange):
        adopt.adopt(exchange.state, exchange.state.accounts[USER], text)
    assert plainly(kept.exchange.state) == plainly(walk.state)
    kept.take()
    assert plainly(kept.exchange.state) == plainly(walk.state)
    assert kept.stored("Fill") == [written(fill) for fill in walk.state.fills]
    ended = [order for order in walk.state.orders.values() if not order.is_live]
    assert kept.stored("Order") == [written(plain(order)) for order in ended]
    assert len(kept.exchange.state.orders) == len(walk.state.orders)

    found = find(kept.journal)
    assert found is not None
    again = Exchange(walk.contract, walk.rules, START_NS)
    history = History(again, Past(kept.journal, USER))
    resume(again, json.loads(written(found[1])))
    history.resume(found[1])
    assert plainly(again.state) == plainly(walk.state)
    assert all(isinstance(order, Order) for order in again.state.orders.values())
    kept.journal.close()
