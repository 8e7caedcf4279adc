"""A checkpoint is the state: it comes back equal in every field, and everything after it posts the same."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.core.events import BTC
from bot.core.exchange import Exchange
from bot.core.ledger import Account
from bot.core.order import EXCHANGE, CancelOrder, Deposit, PlaceOrder
from bot.core.state import MarketRules
from bot.core.units import NS_PER_DAY
from bot.errors import JournalError
from bot.paper.checkpoint.exchange import document_of, resume
from bot.paper.checkpoint.past import Tail
from bot.paper.checkpoint.plain import made, plain, written
from bot.paper.service import Service
from bot.verifying import verify
from tests.checkpoints import CACHES, crash, entries_of, often, plainly, service_of, tell
from tests.ledgers import START_NS, terms
from tests.property.test_core_walk import walked

BOUNDED = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def day(time_ns: int) -> int:
    return time_ns // NS_PER_DAY  # rounded down


def follow(exchange: Exchange, steps: list[tuple[str, object]]) -> None:
    for name, event in steps:
        getattr(exchange, name)(event)


@BOUNDED
@given(seed=st.integers(0, 10**6), cut=st.floats(0.0, 1.0))
def test_a_state_comes_back_equal_and_goes_on_to_equal_postings(seed: int, cut: float) -> None:
    walk = walked(seed, 120)
    at = int(cut * len(walk.journal))
    live = Exchange(walk.contract, walk.rules, START_NS)
    follow(live, walk.journal[:at])
    text = written(document_of(live))

    again = Exchange(walk.contract, walk.rules, START_NS)
    resume(again, json.loads(text))
    counted = {name: json.loads(text)[name] for name in ("fills", "notices")}  # they are in the file
    assert written({**document_of(again), **counted}) == text
    for name in ("live", "loans", "offers", "next_id", "index", "time_ns", "rank", "expired", "changes", "event"):
        assert getattr(again.state, name) == getattr(live.state, name), name
    assert again._steps == live._steps
    assert list(again.state.accounts) == list(live.state.accounts)
    for name, account in live.state.accounts.items():
        for slot in set(Account.__slots__) - CACHES:
            assert getattr(again.state.accounts[name], slot) == getattr(account, slot), (name, slot)

    # Cids and orders that have ended are in the file, which this exchange has none of.
    again.state.by_cid, again.state.orders = (
        dict(live.state.by_cid),
        {**live.state.orders, **{o.id: o for o in again.state.live}},
    )
    moves, fills = len(live.state.ledger.moves), len(live.state.fills)
    again.state.ledger.moves.clear()
    follow(live, walk.journal[at:])
    follow(again, walk.journal[at:])
    live.settle()
    again.settle()
    assert again.state.ledger.moves == live.state.ledger.moves[moves:]
    assert again.state.fills == live.state.fills[fills:]
    assert written(document_of(again)["fields"]) == written(document_of(live)["fields"])


@pytest.mark.parametrize("seed", range(12))
def test_a_service_that_is_killed_and_goes_on_from_checkpoints_has_the_state_of_one_that_lived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    draw = random.Random(seed)
    often(monkeypatch, every=draw.randrange(1, 30), kept=draw.randrange(1, 5))
    walk, path, resumed = walked(seed, 200), tmp_path / "a.journal", 0
    service = service_of(path, walk)
    for name, content in walk.journal:
        tell(service, name, content)
        service.records().fills["who has none"], service.records().entries["and only looks"]
        if draw.random() < 0.06:
            crash(service.journal)
            service = service_of(path, walk)
            resumed += service.checkpoints.taken_at > 0
            assert service.checkpoints.distrusted == ""
    service.exchange.reach(walk.state.time_ns, walk.state.rank)
    assert plainly(service.exchange.state) == plainly(walk.state)
    assert {user: list(rows) for user, rows in service.records().entries.items() if rows} == entries_of(walk.exchange)
    for order in walk.state.orders.values():
        known = [walk.state.fills[at] for at, fill in enumerate(walk.state.fills) if fill.order_id == order.id]
        assert service.records().fills_of(order.id) == known
        command, now = order.command, service.exchange.state.time_ns
        assert (
            order.forced or service.exchange.state.by_cid[(command.user, command.cid, day(command.time_ns))] == order.id
        )
        if not order.forced and day(command.time_ns) == day(now) and not service.exchange.state.expired:
            assert service.submit(command._replace(time_ns=now)) == order.id, "a retry is the same order"
    assert list(reversed(service.exchange.state.orders.values())) == list(reversed(walk.state.orders.values()))
    assert resumed > 1 or len(walk.journal) < 60
    crash(service.journal)
    journal = service_of(path, walk).journal
    checked = verify(journal)
    assert checked.checkpoint > 0 and checked.past > 10
    journal.close()


@given(
    value=st.recursive(
        st.integers() | st.booleans() | st.text() | st.floats(allow_nan=False, allow_infinity=False), st.lists
    )
)
def test_plain_values_come_back_to_the_last_digit(value: object) -> None:
    assert json.loads(written(plain(value))) == value


@pytest.mark.parametrize(
    ("hint", "wrong"),
    [
        *((int, True), (int, 1.0), (int, "1"), (bool, 1), (str, 1), (list[int], [1, "2"]), (list[int], {"a": 1})),
        *((dict[int, str], [[1]]), (tuple[int, int], [1]), (PlaceOrder, [1, 2]), (float, 1)),
    ],
)
def test_a_value_of_another_type_is_refused(hint: object, wrong: object) -> None:
    with pytest.raises(ValueError):
        made(hint, wrong)


def test_what_cannot_come_back_is_not_written() -> None:
    with pytest.raises(TypeError, match="cannot be kept"):
        plain({1: {2}})


def test_a_tail_is_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fills of a service that keeps three in memory, next to a list of all of them."""
    often(monkeypatch, every=5, kept=3)
    walk = next(found for found in map(walked, range(20)) if len(found.state.fills) > 30)
    service = service_of(tmp_path / "a.journal", walk)
    for name, content in walk.journal:
        tell(service, name, content)
    tail, whole = service.exchange.state.fills, walk.state.fills
    assert isinstance(tail, Tail) and tail.in_memory < 12 and len(tail) == len(whole)
    assert list(tail) == whole == [tail[at] for at in range(len(whole))]
    assert list(reversed(tail)) == whole[::-1] and tail[-1] == whole[-1] and tail[-len(whole)] == whole[0]
    for part in (slice(3, 9), slice(None, None, 7), slice(-5, None), slice(len(whole), None), slice(9, 3)):
        assert tail[part] == whole[part]
    for place in (len(whole), -len(whole) - 1):
        with pytest.raises(IndexError):
            tail[place]
    service.journal.close()


def test_a_row_that_is_gone_or_changed_is_named_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often(monkeypatch, every=5, kept=3)
    walk = next(found for found in map(walked, range(20)) if len(found.state.fills) > 30)
    service = service_of(tmp_path / "a.journal", walk)
    for name, content in walk.journal:
        tell(service, name, content)
    fills, file = service.exchange.state.fills, service.journal._connection
    file.execute("UPDATE past SET text = replace(text, '1', '2') WHERE kind = 'Fill' AND number = 4")
    assert fills[3] == walk.state.fills[3]
    with pytest.raises(JournalError, match="Fill 4 of the exchange was changed: its hash does not fit"):
        list(fills)
    file.execute("DELETE FROM past WHERE kind = 'Fill' AND number = 4")
    with pytest.raises(JournalError, match=r"Fill 0 to \d+: \d+ of \d+ rows are there \(`fairhash journal forget`"):
        list(fills)
    service.journal.close()


def test_a_cid_that_no_column_holds_is_kept_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    often(monkeypatch, every=1, kept=1)
    service, now = Service.open(tmp_path / "a.journal", terms(), MarketRules(), START_NS), START_NS
    service.submit(Deposit(now, "ann", BTC, 10**10))
    orders = [PlaceOrder(now, "ann", (1 << 70) + n, EXCHANGE, 5, 90 * 10**6, active_ns=now) for n in range(5)]
    numbers = [service.submit(order) for order in orders]
    for number in numbers:
        assert service.submit(CancelOrder(now, "ann", number)) == 0  # type: ignore[arg-type]
    assert [service.submit(order) for order in orders] == numbers, "a retry is the same order"
    service.journal.close()
