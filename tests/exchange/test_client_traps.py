"""The fifteen traps of ccxt 4.5.90's bitfinex client (docs/exchange.md), each shown and each kept away from orders."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest
from requests.exceptions import ConnectionError as LostError

from bot.core.events import BTC, CONTRACT
from bot.core.order import (
    DEPOSIT,
    EXCHANGE,
    TRADING,
    CancelOffer,
    CancelOrder,
    Deposit,
    PlaceOffer,
    PlaceOrder,
    RecallLoan,
    Rejection,
    Transfer,
)
from bot.errors import UnsupportedError, VenueError
from bot.paper.bitfinex.protocol import Request
from bot.venues.ccxt_client import client as make_client
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.in_process import ADDRESS, mount
from tests.bitfinex import SECRETS, Bench, counted

TH1 = "TH1/BTC"


class Road:
    """Carries requests and keeps them; `spoil` may put another reply, or an error, in the place of one."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.spoil: Callable[[str, tuple[int, bytes]], tuple[int, bytes]] = lambda path, reply: reply

    def __call__(self, request: Request) -> tuple[int, bytes]:
        reply = self.bench.carry(request)
        if request.method == "POST":
            self.sent.append((request.path.removeprefix("/v2/auth/"), json.loads(request.body)))
        return self.spoil(request.path, reply)

    def last(self, path: str) -> dict[str, Any]:
        return next(body for sent, body in reversed(self.sent) if sent == path)


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path)
    yield made
    made.service.close()


@pytest.fixture
def road(bench: Bench) -> Road:
    return Road(bench)


@pytest.fixture
def venue(bench: Bench, road: Road) -> CcxtVenue:
    made = counted(make_client(ADDRESS, "ann-key", SECRETS["ann-key"], limited=False))
    mount(made, road)
    return CcxtVenue(made, bench.contract)


def order(bench: Bench, cid: int, lots: int, price_sat: int = 0, wallet: str = EXCHANGE, **more: Any) -> PlaceOrder:
    now = bench.state.time_ns
    return PlaceOrder(now, "ann", cid, wallet, lots, price_sat, active_ns=now, **more)


def to_margin(bench: Bench, venue: CcxtVenue, sat: int = 40 * 10**8) -> None:
    assert venue.submit(Transfer(bench.state.time_ns, "ann", EXCHANGE, TRADING, BTC, sat)) == 0


def test_trap_1_any_side_but_buy_is_a_sale_and_bounds_are_not_checked(
    bench: Bench, road: Road, venue: CcxtVenue
) -> None:
    with pytest.raises(ccxt.InsufficientFunds):  # there are no contracts to sell
        bench.client(number=str, carry=road).create_order(TH1, "limit", "Buy ", 1, 1.9)
    assert road.last("w/order/submit")["amount"] == "-1"
    with pytest.raises(ccxt.InsufficientFunds):  # nor for a purchase of less than none
        bench.client(number=str, carry=road).create_order(TH1, "limit", "buy", -1, 1.9)
    assert road.last("w/order/submit")["amount"] == "-1"


def test_trap_1_sides_and_bounds_of_the_venue(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    assert isinstance(venue.submit(order(bench, 1, 150, 150_000_000)), int)
    assert road.last("w/order/submit")["amount"] == "1.5"
    answer = venue.submit(order(bench, 2, -100, 250_000_000))
    assert isinstance(answer, Rejection) and answer.code == "NOT_ENOUGH_BALANCE"
    assert road.last("w/order/submit")["amount"] == "-1"
    sent = len(road.sent)
    answer = venue.submit(order(bench, 3, 10_001, 150_000_000))
    assert isinstance(answer, Rejection) and answer.code == "BAD_AMOUNT" and "0.01..100" in answer.detail
    assert isinstance(venue.submit(order(bench, 4, 0)), Rejection) and len(road.sent) == sent


def test_trap_2_a_margin_order_needs_a_margin_mode(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    bench.client(number=str, carry=road).create_order(TH1, "limit", "buy", 1, 1.9, {"margin": True})
    assert road.last("w/order/submit")["type"] == "EXCHANGE LIMIT"
    to_margin(bench, venue)
    number = venue.submit(order(bench, 1, -100, 210_000_000, TRADING))
    assert road.last("w/order/submit")["type"] == "LIMIT"
    assert isinstance(number, int) and bench.state.orders[number].command.wallet == TRADING


def test_trap_3_flags_are_summed_by_us(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    by_hand = {"marginMode": "cross", "postOnly": True, "flags": 1024}
    with pytest.raises(ccxt.BadRequest):
        bench.client(number=str, carry=road).create_order(TH1, "limit", "buy", 1, 1.9, by_hand)
    assert road.last("w/order/submit")["flags"] == 1024  # post-only was lost
    to_margin(bench, venue)
    venue.submit(order(bench, 1, 100, 0, TRADING))
    bench.quote(199_000_000, 201_000_000)
    number = venue.submit(order(bench, 2, -50, 220_000_000, TRADING, post_only=True, reduce_only=True))
    assert road.last("w/order/submit")["flags"] == 4096 | 1024
    assert isinstance(number, int) and bench.state.orders[number].command[6:8] == (True, True)
    assert isinstance(venue.submit(order(bench, 3, 0, 0, TRADING, close=True)), int)
    assert road.last("w/order/submit") == {
        "symbol": "tTH1BTC",
        "amount": "-1",
        "type": "MARKET",
        "flags": 512,
        "cid": 3,
    }
    bench.quote(199_000_000, 201_000_000)
    assert venue.position_lots() == 0


def test_trap_4_a_price_that_the_client_would_round_is_refused(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    ccxt_client = bench.client(carry=road)
    ccxt_client.load_markets()
    assert ccxt_client.price_to_precision(TH1, Decimal("10.00050")) == "10.001"  # half up: a buy would pay more
    sent = len(road.sent)
    answer = venue.submit(order(bench, 1, 100, 1_000_050_000))
    assert isinstance(answer, Rejection) and answer.code == "BAD_PRICE" and "10.0005" in answer.detail
    assert len(road.sent) == sent
    assert isinstance(venue.submit(order(bench, 2, 100, 199_990_000)), int)
    assert ccxt_client.amount_to_precision(TH1, Decimal("0.123456789")) == "0.12345678"
    assert venue._terms.size(1) == Decimal("0.01"), "no lot has more than 8 decimals: Terms refuses such a contract"


def test_trap_5_cancel_all_orders_ignores_its_symbol_so_orders_are_cancelled_one_by_one(
    bench: Bench, road: Road, venue: CcxtVenue
) -> None:
    first = venue.submit(order(bench, 1, 100, 150_000_000))
    venue.submit(order(bench, 2, 100, 150_000_000))
    assert venue.submit(CancelOrder(bench.state.time_ns, "ann", first)) == 0  # type: ignore[arg-type]
    assert [path for path, _ in road.sent if "cancel" in path] == ["w/order/cancel"]
    assert len(venue.open_order_ids()) == 1
    bench.client(carry=road).cancel_all_orders("ANY/SYMBOL")
    assert road.sent[-1] == ("w/order/cancel/multi", {"all": 1}) and venue.open_order_ids() == set()


def test_trap_6_an_acknowledged_order_may_be_dead_already(bench: Bench, venue: CcxtVenue) -> None:
    venue.submit(order(bench, 1, 100, 150_000_000))
    now = bench.state.time_ns
    bench.service.submit(PlaceOrder(now, "ben", 1, EXCHANGE, 100, 0, active_ns=now))
    bench.quote(199_000_000, 201_000_000)
    selling = bench.client("ben-key").create_order(TH1, "limit", "sell", Decimal(1), Decimal("1.5"))
    assert selling["status"] == "closed"  # our exchange says so; the real one would read `open`
    assert venue.open_order_ids() == set() and venue.differences(bench.state, bench.state.accounts["ann"]) == []


def test_trap_7_an_ended_order_is_not_looked_for_with_fetch_order(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    number = venue.submit(order(bench, 1, 100, 150_000_000))
    venue.submit(CancelOrder(bench.state.time_ns, "ann", number))  # type: ignore[arg-type]
    read = bench.client(carry=road).fetch_order(str(number), TH1)
    assert (read["id"], read["status"]) == (None, None)  # and no OrderNotFound
    lose(road, "order/cancel", once=True)
    assert venue.submit(CancelOrder(bench.state.time_ns, "ann", number)) == 0  # type: ignore[arg-type]
    assert road.sent[-1] == ("r/orders/tTH1BTC/hist", {"id": [number]})


def test_trap_8_statuses_are_read_from_the_row(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    to_margin(bench, venue, 6 * 10**8)
    venue.submit(order(bench, 1, -1000, 0, TRADING))
    bench.quote(199_000_000, 201_000_000)
    bench.quote(280_000_000, 281_000_000)
    bench.quote(280_000_000, 281_000_000)
    forced = next(o for o in bench.state.orders.values() if o.forced)
    read = bench.client(carry=road).fetch_closed_order(str(forced.id), TH1)
    assert read["info"][13].startswith("FORCED EXECUTED @ 2.815(10)")
    assert read["status"] not in ("closed", "canceled", "open")  # the client does not know it
    assert venue.open_order_ids() == set() and venue.position_lots() == 0


@pytest.mark.parametrize("status", ["POSTONLY CANCELED", "IOC CANCELED", "FILLORKILL CANCELED", "RSN_BOOK_SLIP"])
def test_trap_8_a_status_that_the_client_does_not_map_is_no_matter_to_us(
    bench: Bench, road: Road, venue: CcxtVenue, status: str
) -> None:
    """An order that has ended in such words is found by its cid, and what is open is what the venue lists as open."""
    lose(road, "order/submit", once=True)
    number = venue.submit(order(bench, 7, 100, 150_000_000))
    bench.service.submit(CancelOrder(bench.state.time_ns, "ann", number))  # type: ignore[arg-type]
    row = json.loads(bench.carry(signed(bench, "/v2/auth/r/orders/tTH1BTC/hist"))[1])[0]
    row[13] = status
    assert bench.client().parse_order({"result": row})["status"] == status, "handed on as it came"
    road.spoil = lambda path, reply: (200, json.dumps([row]).encode()) if path.endswith("/hist") else reply
    assert venue._look_for_order(order(bench, 7, 100, 150_000_000), 100) == number
    assert venue.open_order_ids() == set()


def signed(bench: Bench, path: str) -> Request:
    """Return a request as the client would send it."""
    made = bench.client()
    asked = made.sign(path.removeprefix("/v2/"), ["private"], "POST", {})
    headers = {name.lower(): value for name, value in asked["headers"].items()}
    return Request("POST", path, "", headers, asked["body"].encode())


def test_trap_9_no_type_is_sent_that_comes_back_as_none(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    assert (
        bench.client().parse_order({"result": [1, None, 1, "tTH1BTC", 0, 0, 1, 1, "IOC", *[None] * 23]})["type"] is None
    )
    to_margin(bench, venue)
    for cid, price in ((1, 0), (2, 150_000_000)):
        venue.submit(order(bench, cid, 100, price, TRADING))
    kinds = {body["type"] for path, body in road.sent if path == "w/order/submit"}
    assert kinds == {"MARKET", "LIMIT"}
    rows = bench.client(carry=road).fetch_open_orders(TH1)
    assert {row["type"] for row in rows} == {"market", "limit"}


def test_trap_9_that_an_order_only_reduces_is_read_from_the_flags_of_its_row(
    bench: Bench, road: Road, venue: CcxtVenue
) -> None:
    to_margin(bench, venue)
    venue.submit(order(bench, 1, 100, 0, TRADING))
    bench.quote(199_000_000, 201_000_000)
    venue.submit(order(bench, 2, -50, 220_000_000, TRADING, reduce_only=True))
    (read,) = bench.client(carry=road).fetch_open_orders(TH1)
    assert read["reduceOnly"] is None, "the client says nothing"
    (line,) = venue.report(bench.state.mark_sat).orders
    assert line.reduce_only and not line.post_only


def test_trap_10_a_cancellation_by_cid_names_its_day(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    number = venue.submit(order(bench, 7, 100, 150_000_000))
    theirs = bench.client(carry=road)
    with pytest.raises(ccxt.BaseError):  # without its day the client sends nothing that could be understood
        theirs.cancel_order("", TH1, {"clientOrderId": 7})
    assert venue.open_order_ids() == {number}
    venue.books = (bench.state, bench.state.accounts["ann"])
    venue._order_ids.clear()  # as after a start: only our own books know it
    assert venue.submit(CancelOrder(bench.state.time_ns, "ann", number)) == 0  # type: ignore[arg-type]
    assert road.last("w/order/cancel") == {"cid": 7, "cid_date": "2014-09-15"} and venue.open_order_ids() == set()


def test_trap_10_the_cid_is_a_whole_number_and_is_looked_for_among_open_and_ended_orders(
    bench: Bench, road: Road, venue: CcxtVenue
) -> None:
    for cid in ("7", -1, 1 << 45, True):
        answer = venue.submit(order(bench, cid, 100, 150_000_000))  # type: ignore[arg-type]
        assert isinstance(answer, Rejection) and "cid" in answer.detail
    assert not road.sent
    lose(road, "order/submit", once=True)
    number = venue.submit(order(bench, 7, 100, 150_000_000))
    assert [path for path, _ in road.sent] == ["w/order/submit", "r/orders/tTH1BTC"]
    assert [o.id for o in bench.state.orders.values()] == [number]


def lose(
    road: Road, part: str, once: bool, how: Callable[[tuple[int, bytes]], tuple[int, bytes]] | None = None
) -> None:
    """Let the reply to the next request whose path has `part` in it get lost, or be changed by `how`."""

    def spoil(path: str, reply: tuple[int, bytes]) -> tuple[int, bytes]:
        if part not in path:
            return reply
        if once:
            road.spoil = lambda path, reply: reply
        if how is None:
            raise LostError("connection reset by peer")
        return how(reply)

    road.spoil = spoil


@pytest.mark.parametrize(
    "how",
    [
        None,
        lambda reply: (200, b""),
        lambda reply: (200, reply[1][:20]),
        lambda reply: (503, b'["error",20060,"maintenance"]'),
        lambda reply: (502, b"<html>Bad Gateway</html>"),
        lambda reply: (200, b"[]"),
        lambda reply: (200, b'{"message":"oops"}'),
        lambda reply: (500, b'["error",99999,"?"]'),
        lambda reply: (429, b'["error",11010,"ratelimit: error"]'),
        lambda reply: (401, b'["error",10100,"apikey: invalid"]'),
    ],
)
def test_trap_11_a_lost_reply_leaves_one_live_order_and_it_is_found(
    bench: Bench, road: Road, venue: CcxtVenue, how: Any
) -> None:
    lose(road, "order/submit", once=True, how=how)
    number = venue.submit(order(bench, 7, 100, 150_000_000))
    assert [o.id for o in bench.state.orders.values()] == [number]
    assert [path for path, _ in road.sent].count("w/order/submit") == 1
    assert venue.reconciled == 1


@pytest.mark.parametrize("page", [b"<html>please log in</html>", b'[1,"on-req",null,null,[1', b"[]", b""])
def test_trap_11_a_page_in_the_place_of_a_reply_is_no_success(bench: Bench, venue: CcxtVenue, page: bytes) -> None:
    """Whatever the client makes of a page at HTTP 200, the command that it stands for has not been carried out."""
    now, lost = bench.state.time_ns, []
    number = venue.submit(order(bench, 1, 100, 150_000_000))
    assert isinstance(number, int)

    def road(request: Request) -> tuple[int, bytes]:
        if "/w/" in request.path and request.path not in lost:
            lost.append(request.path)
            return 200, page
        return bench.carry(request)

    mount(venue._client, road)
    assert venue.submit(CancelOrder(now, "ann", number)) == 0
    assert bench.state.orders[number].status == "cancelled"
    second = venue.submit(order(bench, 2, 100, 150_000_000))
    assert isinstance(second, int) and bench.state.orders[second].command.cid == 2
    assert venue.submit(Transfer(now, "ann", EXCHANGE, DEPOSIT, BTC, 10**9)) == 0
    offer = venue.submit(PlaceOffer(now, "ann", BTC, 10**9, 100_000, 3))
    assert [o.id for o in bench.state.offers[BTC] if o.lender == "ann"] == [offer]
    assert isinstance(offer, int) and venue.submit(CancelOffer(now, "ann", offer)) == 0
    assert not bench.state.accounts["ann"].offered[BTC] and len(lost) == 5


def test_trap_11_the_client_repeats_nothing_by_itself(bench: Bench, road: Road) -> None:
    repeating = bench.client(carry=road)
    repeating.options["maxRetriesOnFailure"] = 3
    with pytest.raises(VenueError, match="orders twice"):
        CcxtVenue(repeating, bench.contract)


@pytest.mark.parametrize("seen_by_us", [True, False])
def test_trap_12_a_transfer_that_failed_with_http_200_is_no_success(
    bench: Bench, road: Road, venue: CcxtVenue, seen_by_us: bool
) -> None:
    fail = b'[1,"acc_tf",null,null,null,null,"ERROR","not enough exchange balance"]'
    lose(road, "w/transfer", once=True, how=lambda reply: (200, fail))
    if seen_by_us:
        answer = venue.submit(Transfer(bench.state.time_ns, "ann", EXCHANGE, TRADING, BTC, 10**13))
        assert isinstance(answer, Rejection) and answer.code == "NOT_ENOUGH_BALANCE"
        return
    theirs = bench.client(carry=road)
    theirs.load_markets()
    theirs.currencies["BTC"]["precision"] = 8  # its own transfer() fails an assertion without
    assert theirs.transfer("BTC", Decimal(1), "exchange", "margin")["status"] == "failed"


def test_trap_12_the_clients_own_transfer_is_not_used(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    theirs = bench.client(carry=road)
    theirs.load_markets()
    with pytest.raises(AssertionError):
        theirs.transfer("BTC", Decimal("0.5"), "exchange", "margin")
    theirs.currencies["BTC"]["precision"] = 8
    theirs.transfer("BTC", Decimal("12.34567891"), "exchange", "margin")
    assert road.last("w/transfer")["amount"] == "12.345679"  # 8 significant digits
    assert venue.submit(Transfer(bench.state.time_ns, "ann", EXCHANGE, TRADING, BTC, 12_34567891)) == 0
    assert road.last("w/transfer")["amount"] == "12.34567891"


def test_trap_13_the_position_is_read_from_the_raw_row(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    to_margin(bench, venue)
    venue.submit(order(bench, 1, -150, 0, TRADING))
    bench.quote(199_000_000, 201_000_000)
    (theirs,) = bench.client(carry=road).fetch_positions()
    assert theirs["contracts"] is None and theirs["marginMode"] == "isolated" and theirs["notional"] == Decimal("-1.5")
    assert venue.position_lots() == -150


def test_trap_14_words_of_the_ledger_give_the_right_category(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    to_margin(bench, venue)
    venue.submit(order(bench, 1, -100, 0, TRADING))
    bench.quote(199_000_000, 201_000_000)
    bench.quote(199_000_000, 201_000_000, after_s=86_400)
    kinds = {
        entry["info"]["result"][8].split(" @ ")[0]: entry["type"]
        for entry in bench.client(number=str, carry=road).fetch_ledger("BTC")
    }
    assert kinds["Margin funding charged"] == "fee"  # the real one's `Position funding cost` would be `trade`
    assert kinds["Trading fees"] == "fee" and kinds["Transfer"] == "transfer" and kinds["Deposit"] == "transaction"
    from bot.paper.bitfinex.rows import _ENTRY_WORDS

    dividend = bench.client().parse_ledger_entry_type(_ENTRY_WORDS["dividend"].lower())
    assert dividend == "payout"


def test_decimals_are_lost_by_the_client_so_raw_rows_are_read(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    venue.submit(order(bench, 1, 100))
    bench.quote(199_000_000, 201_000_000)
    (trade,) = bench.client(number=Decimal, carry=road).fetch_my_trades(TH1)
    assert trade["fee"]["cost"] is None  # with Decimals the client loses fees and ledger amounts; with text it does not
    wallets = venue.report(bench.state.mark_sat).wallets
    assert (EXCHANGE, CONTRACT, 100) in wallets and (EXCHANGE, BTC, 9_798_598_000) in wallets


def test_no_float_comes_out_of_the_venues_client(bench: Bench, road: Road) -> None:
    made = counted(make_client(ADDRESS, "ann-key", SECRETS["ann-key"], limited=False))
    mount(made, road)
    floats = []

    def walk(value: Any) -> None:
        if isinstance(value, float):
            floats.append(value)
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(item)

    made.load_markets()
    placed = made.create_order(TH1, "limit", "buy", Decimal("0.07"), Decimal("1.9987"), {"cid": 1})
    for answer in (placed, made.fetch_open_orders(), made.fetch_balance(), made.fetch_order_book(TH1)):
        walk(answer)
    assert floats == []


# Commands without a client id ---------------------------------------------------------------------------------


def test_a_transfer_whose_reply_was_lost_is_found_in_the_ledger_and_made_once(
    bench: Bench, road: Road, venue: CcxtVenue
) -> None:
    to_margin(bench, venue, 10**8)
    for _ in range(2):  # alike to the satoshi, and both wanted
        lose(road, "w/transfer", once=True)
        to_margin(bench, venue, 10**8)
    assert (TRADING, BTC, 3 * 10**8) in venue.report(bench.state.mark_sat).wallets and venue.reconciled == 2


def test_offers_and_recalls_whose_replies_were_lost_are_made_once(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    now = bench.state.time_ns
    assert venue.submit(Transfer(now, "ann", EXCHANGE, DEPOSIT, BTC, 10**9)) == 0
    lose(road, "offer/submit", once=True)
    number = venue.submit(PlaceOffer(now, "ann", BTC, 10**9, 100_000, 3))
    assert [offer.id for offer in bench.state.offers[BTC] if offer.lender == "ann"] == [number]
    bench.service.submit(Transfer(now, "ben", EXCHANGE, TRADING, BTC, 10**9))
    bench.service.submit(PlaceOrder(now, "ben", 1, TRADING, 100, 0, active_ns=now))
    bench.quote(199_000_000, 201_000_000)
    (loan,) = (loan for loan in bench.state.loans.values() if loan.lender == "ann")
    lose(road, "funding/close", once=True)
    assert venue.submit(RecallLoan(bench.state.time_ns, "ann", loan.id)) == 0
    lose(road, "offer/cancel", once=True)
    assert isinstance(number, int) and venue.submit(CancelOffer(bench.state.time_ns, "ann", number)) == 0
    assert not [offer for offer in bench.state.offers[BTC] if offer.lender == "ann"]
    assert venue.reconciled == 3


def test_an_offer_taken_whole_at_once_is_found_among_the_loans(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    venue.submit(order(bench, 1, 100))
    bench.quote(199_000_000, 201_000_000)
    now = bench.state.time_ns
    venue.submit(Transfer(now, "ann", EXCHANGE, DEPOSIT, CONTRACT, 100))
    lose(road, "offer/submit", once=True)
    assert venue.submit(PlaceOffer(now, "ann", CONTRACT, 100, 500_000, 2)) == 0  # the market takes it: no offer is left
    assert sum(loan.amount for loan in bench.state.loans.values() if loan.lender == "ann") == 100


def test_what_the_protocol_has_no_word_for_is_refused_by_name(bench: Bench, venue: CcxtVenue) -> None:
    now = bench.state.time_ns
    with pytest.raises(UnsupportedError, match="latency"):
        venue.submit(PlaceOrder(now, "ann", 1, EXCHANGE, 1, 150_000_000, active_ns=now + 1))
    with pytest.raises(UnsupportedError, match="Deposit"):
        venue.submit(Deposit(now, "ann", BTC, 1))


def test_a_wrong_key_is_no_rejection(bench: Bench) -> None:
    made = counted(make_client(ADDRESS, "ann-key", "not-the-secret-of-ann", limited=False))
    mount(made, bench.carry)
    with pytest.raises(VenueError, match="AuthenticationError"):
        CcxtVenue(made, bench.contract).submit(order(bench, 1, 1, 150_000_000))


def test_a_difference_between_us_and_the_venue_is_told_in_words(bench: Bench, road: Road, venue: CcxtVenue) -> None:
    account = bench.state.accounts["ann"]
    assert venue.differences(bench.state, account) == []
    venue.submit(order(bench, 1, 100, 150_000_000))
    lose(road, "r/orders", once=True, how=lambda reply: (200, b"[]"))
    assert venue.differences(bench.state, account) == [
        "orders: ours [OrderLine(cid=1, wallet='exchange', size_lots=100, remaining_lots=100, price_sat=150000000, "
        "post_only=False, reduce_only=False)], the venue's []"
    ]
