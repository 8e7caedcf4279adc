"""Contract tests: the unmodified ccxt client trades on the exchange, in-process, and reads back what it did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ccxt
import pytest

from bot.core.events import BTC, CONTRACT
from tests.bitfinex import Bench
from tests.contracts import th1

TH1 = "TH1/BTC"


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path)
    yield made
    made.service.close()


@pytest.fixture
def ann(bench: Bench) -> Any:
    """Ann's client; numbers as text, which is the one exact kind that all of ccxt 4.5.90 reads."""
    return bench.client(number=str)


def test_the_market_is_the_contracts(ann: Any) -> None:
    market = ann.load_markets()[TH1]
    assert (market["base"], market["quote"], market["spot"], market["margin"]) == ("TH1", "BTC", True, True)
    assert market["limits"]["amount"] == {"min": "0.01", "max": "100"}
    assert set(ann.currencies) == {"TH1", "BTC"} and ann.currencies["TH1"]["margin"]
    assert ann.fetch_status()["status"] == "ok"


def test_a_contract_of_another_name_trades_under_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path, th1(asset="PH30", symbol="PH30BTC"))
    client = bench.client(number=str)
    assert list(client.load_markets()) == ["PH30/BTC"]
    placed = client.create_order("PH30/BTC", "limit", "buy", 1, 1.9, {"cid": 1})
    assert placed["info"][3] == "tPH30:BTC" and placed["symbol"] == "PH30/BTC"
    assert [order["id"] for order in client.fetch_open_orders("PH30/BTC")] == [placed["id"]]
    assert client.fetch_balance()["total"] == {"BTC": "100", "PH30": "0"}
    bench.service.close()


def test_market_figures(bench: Bench, ann: Any) -> None:
    bench.quote(203_000_000, 205_000_000)
    ticker = ann.fetch_ticker(TH1)
    assert (ticker["bid"], ticker["ask"], ticker["last"], ticker["change"]) == ("2.03", "2.05", "2.04", "0.04")
    assert ann.fetch_tickers()[TH1]["high"] == "2.04"
    ann.create_order(TH1, "limit", "buy", 1, 2.01)
    book = ann.fetch_order_book(TH1, 25)
    assert book["bids"][:3] == [["2.03", "5"], ["2.01", "1"], ["2.01", "5"]]
    assert book["asks"][0] == ["2.05", "5"]
    assert [candle[1:5] for candle in ann.fetch_ohlcv(TH1, "1m")] == [["2"] * 4, ["2.04"] * 4]
    assert [candle[1:5] for candle in ann.fetch_ohlcv(TH1, "1h")] == [["2", "2.04", "2", "2.04"]]


def test_bitcoin_is_bought_with_and_contracts_are_sold_from_the_exchange_wallet(bench: Bench, ann: Any) -> None:
    bought = ann.create_order(TH1, "market", "buy", 3, None, {"cid": 1})
    assert bought["status"] == "open"  # nothing is matched with the quote it was placed at
    bench.quote(199_000_000, 201_000_000)
    closed = ann.fetch_closed_order(bought["id"])
    assert (closed["status"], closed["average"], closed["filled"], closed["clientOrderId"]) == (
        "closed",
        "2.01",
        "3",
        "1",
    )
    (trade,) = ann.fetch_order_trades(bought["id"], TH1)
    assert (trade["price"], trade["amount"], trade["takerOrMaker"]) == ("2.01", "3", "taker")
    assert trade["fee"] == {"cost": "0.01206", "currency": "BTC"}
    ann.create_order(TH1, "limit", "sell", 1, 2.5)
    balance = ann.fetch_balance()
    assert balance["TH1"] == {"free": "2", "used": "1", "total": "3"}
    assert balance["BTC"]["total"] == "93.95794"
    assert [one["id"] for one in ann.fetch_my_trades(TH1)] == [trade["id"]]


def test_a_short_borrows_and_shows_as_position_credit_and_margin(bench: Bench, ann: Any) -> None:
    ann.load_markets()
    move(ann, "20", "exchange", "margin")
    short = ann.create_order(TH1, "market", "sell", 2, None, {"marginMode": "cross", "cid": 1})
    bench.quote(199_000_000, 201_000_000)
    bench.quote(205_000_000, 207_000_000, after_s=3600)
    (position,) = ann.fetch_positions()
    assert (position["side"], position["notional"], position["entryPrice"]) == ("short", "-2", "1.99")
    assert position["unrealizedPnl"] == "-0.14"
    assert 2.07 < float(position["liquidationPrice"]) < 16.5
    (credit,) = ann.privatePostAuthRFundingCreditsSymbol({"symbol": "fTH1"})
    assert (credit[2], credit[5], credit[11]) == (-1, 2, 0.001)
    assert ann.privatePostAuthRFundingLoansSymbol({"symbol": "fTH1"}) == []
    kind, figures = ann.privatePostAuthRInfoMarginKey({"key": "base"})
    assert kind == "base" and figures[0] == -0.14 and figures[4] == 0.515
    _, symbol, tradable = ann.privatePostAuthRInfoMarginKey({"key": "tTH1BTC"})
    assert symbol == "tTH1BTC" and tradable[2] > 2 and tradable[3] > 0
    closing = ann.create_order(TH1, "market", "buy", 2, None, {"marginMode": "cross", "reduceOnly": True})
    assert closing["info"][12] == 1024
    bench.quote(205_000_000, 207_000_000)
    assert ann.fetch_positions() == [] and ann.fetch_closed_order(short["id"])["status"] == "closed"


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_beyond_the_liquidation_price_a_position_is_liquidated_and_not_before(
    bench: Bench, ann: Any, side: str
) -> None:
    ann.load_markets()
    move(ann, "10", "exchange", "margin")
    ann.create_order(TH1, "market", side, 12, None, {"marginMode": "cross"})
    bench.quote(199_000_000, 201_000_000, lots=5_000)
    (position,) = ann.fetch_positions()
    last_sat, tick = round(float(position["liquidationPrice"]) * 10**8), bench.contract.tick_sat
    bench.quote(last_sat - tick, last_sat + tick, after_s=0)
    assert not bench.state.accounts["ann"].liquidating
    beyond = last_sat + (tick if side == "sell" else -tick)
    bench.quote(beyond - tick, beyond + tick, after_s=0)
    assert bench.state.accounts["ann"].liquidating or not ann.fetch_positions()


def test_close_flag_closes_whatever_is_held(bench: Bench, ann: Any) -> None:
    ann.load_markets()
    move(ann, "20", "exchange", "margin")
    ann.create_order(TH1, "market", "buy", 2, None, {"marginMode": "cross"})
    bench.quote(199_000_000, 201_000_000)
    with pytest.raises(ccxt.BadRequest, match="sign of the position"):
        ann.create_order(TH1, "market", "buy", 1, None, {"marginMode": "cross", "flags": 512})
    ann.create_order(TH1, "market", "sell", 1, None, {"marginMode": "cross", "flags": 512})
    bench.quote(199_000_000, 201_000_000)
    assert ann.fetch_positions() == []


def move(client: Any, amount: str, source: str, target: str, currency: str = "BTC") -> Any:
    """Transfer by the raw endpoint: the client's own `transfer` fails its own assertion (test_client_traps)."""
    body = {"from": source, "to": target, "currency": currency, "currency_to": currency, "amount": amount}
    return client.privatePostAuthWTransfer(body)


def test_replacing_keeps_the_old_order_if_the_new_one_is_refused(bench: Bench, ann: Any) -> None:
    old = ann.create_order(TH1, "limit", "buy", 40, 1.9, {"cid": 1})
    new = ann.edit_order(old["id"], TH1, "limit", "buy", 50, 1.95, {"cid": 2})  # both at once could not be paid
    assert new["id"] != old["id"] and new["amount"] == "50"
    assert ann.edit_order(old["id"], TH1, "limit", "buy", 50, 1.95, {"cid": 2})["id"] == new["id"]  # sent again
    with pytest.raises(ccxt.InsufficientFunds):
        ann.edit_order(new["id"], TH1, "limit", "buy", 60, 1.95, {"cid": 3})
    assert [order["id"] for order in ann.fetch_open_orders()] == [new["id"]]
    with pytest.raises(ccxt.OrderNotFound):
        ann.edit_order(old["id"], TH1, "limit", "buy", 1, 1.95)
    with pytest.raises(ccxt.BadRequest, match="buy into a sale"):
        ann.edit_order(new["id"], TH1, "limit", "sell", 1, 1.95)
    assert bench.state.accounts["ann"].reserved[BTC] == 97_695_000_00


def test_cancelling_by_id_cid_and_all(ann: Any) -> None:
    first, second, third, fourth = (ann.create_order(TH1, "limit", "buy", 1, 1.5, {"cid": n}) for n in (1, 2, 3, 4))
    assert ann.cancel_order(first["id"])["status"] == "canceled"
    assert (
        ann.cancel_order("0", None, {"cid": 2, "cidDate": "2014-09-15", "cid_date": "2014-09-15"})["id"]
        == (second["id"])
    )
    assert [one["id"] for one in ann.cancel_orders([third["id"], first["id"]])] == [third["id"]]
    assert [one["id"] for one in ann.cancel_all_orders()] == [fourth["id"]]
    for again in (first["id"], "77"):
        with pytest.raises(ccxt.OrderNotFound):
            ann.cancel_order(again)
    with pytest.raises(ccxt.BadRequest, match="cid_date"):
        ann.privatePostAuthWOrderCancel({"cid": 1, "cid_date": "15 September"})


def test_several_orders_at_once_each_with_its_own_answer(ann: Any) -> None:
    one = {"symbol": TH1, "type": "limit", "side": "buy", "amount": "1", "price": "1", "params": {"cid": 5}}
    placed = {order["amount"]: order["status"] for order in ann.create_orders([one, {**one, "amount": "100"}])}
    assert placed["1"] == "open" and placed["100"].startswith("REJECTED")
    with pytest.raises(ccxt.BadRequest, match="ops"):
        ann.privatePostAuthWOrderMulti({"ops": [["buy", {}]]})


def test_the_ledger_says_what_happened_to_a_wallet(bench: Bench, ann: Any) -> None:
    ann.load_markets()
    ann.create_order(TH1, "market", "buy", 1, None)
    bench.quote(199_000_000, 201_000_000)
    move(ann, "0.5", "exchange", "margin")
    entries = sorted(ann.fetch_ledger("BTC"), key=lambda entry: int(entry["id"]))
    of_exchange = [e for e in entries if e["info"]["result"][2] == "exchange"]
    assert [(e["type"], e["amount"], e["after"]) for e in of_exchange] == [
        ("transaction", "100", "100"),
        ("trade", "-2.01", "97.99"),
        ("fee", "-0.00402", "97.98598"),
        ("transfer", "-0.5", "97.48598"),
    ]
    assert [e["amount"] for e in ann.fetch_ledger("TH1")] == ["1"]


def test_funding_is_offered_lent_recalled_and_taken_back(bench: Bench, ann: Any) -> None:
    ben = bench.client("ben-key", number=str)
    ann.load_markets()
    ben.load_markets()
    move(ann, "10", "exchange", "funding")
    offer = {"type": "LIMIT", "symbol": "fBTC", "amount": "10", "rate": "0.0001", "period": 5}
    answer = ann.privatePostAuthWFundingOfferSubmit(offer)
    number = answer[4][0]
    assert answer[6] == "SUCCESS" and answer[4][10] == "ACTIVE"
    move(ben, "20", "exchange", "margin")
    ben.create_order(TH1, "market", "buy", 2, None, {"marginMode": "cross"})
    bench.quote(199_000_000, 201_000_000)
    (left,) = ann.privatePostAuthRFundingOffersSymbol({"symbol": "fBTC"})
    assert (left[0], left[4], left[10]) == (number, 5.98, "PARTIALLY FILLED")
    (lent,) = ann.privatePostAuthRFundingCredits({})
    assert (lent[2], lent[5], lent[12]) == (1, 4.02, 5)
    assert ann.privatePostAuthWFundingOfferCancel({"id": number})[4][10] == "CANCELED"
    assert ann.privatePostAuthRFundingOffers({}) == []
    assert ann.privatePostAuthWFundingClose({"id": lent[0]})[6] == "SUCCESS"
    assert ann.privatePostAuthRFundingCredits({}) == []  # renewed from the market's offers
    for wrong, why in (
        ({"type": "FRRDELTAVAR"}, "type"),
        ({"rate": "0.0000000001"}, "rate"),
        ({"period": 99}, "TERM|term"),
        ({"symbol": "fUSD"}, "symbol"),
    ):
        with pytest.raises(ccxt.BadRequest, match=why):
            ann.privatePostAuthWFundingOfferSubmit({**offer, **wrong})
    assert ann.privatePostAuthWFundingOfferSubmit({**offer, "type": "FRRDELTAFIX", "rate": "0"})[4][14] == 0.001


@pytest.mark.parametrize(
    ("order", "kind", "text"),
    [
        (("limit", "buy", 99, 1.9, {}), ccxt.InsufficientFunds, "not enough exchange balance"),
        (("limit", "sell", 1, 1.9, {}), ccxt.InsufficientFunds, "not enough exchange balance"),
        (("limit", "buy", 9, 1.9, {"marginMode": "cross"}), ccxt.PermissionDenied, "not enough tradable balance"),
        (("limit", "buy", 0.001, 1.9, {}), ccxt.BadRequest, "lots"),
        (("limit", "buy", 1, 1.90001, {}), ccxt.BadRequest, "BAD_PRICE|price"),
        (("limit", "buy", 1, 1.9, {"cid": "7"}), ccxt.BadRequest, "cid"),
        (("limit", "buy", 1, 1.9, {"flags": 64}), ccxt.BadRequest, "flags"),
        (("limit", "buy", 1, 1.9, {"timeInForce": "IOC"}), ccxt.BadRequest, "type"),
        (("limit", "buy", 1, 1.9, {"stopPrice": 1.8}), ccxt.BadRequest, "type"),
        (("market", "sell", 1, None, {"marginMode": "cross", "reduceOnly": True}), ccxt.BadRequest, "REDUCE"),
    ],
)
def test_each_refusal_is_the_exception_that_a_client_expects(
    ann: Any, order: tuple[Any, ...], kind: Any, text: str
) -> None:
    ann.load_markets()
    if order[3] == 1.90001:  # the client would round it; a price sent past it is refused, not rounded
        order = (*order[:3], 1.9, {"price": "1.90001"})
    with pytest.raises(kind, match=text):
        ann.create_order(TH1, *order)
    assert ann.fetch_open_orders() == []


def test_bars_make_a_book_and_candles_too(tmp_path: Path) -> None:
    from bot.core.events import Bar
    from bot.paper.entries import Opening
    from tests.contracts import START_NS

    bench = Bench(tmp_path, quoted=False)
    hour = 3_600 * 10**9
    bench.see(Opening(START_NS + hour, 200_000_000, 1_000))
    bench.see(Bar(START_NS + hour, START_NS + 2 * hour, 200_000_000, 220_000_000, 190_000_000, 210_000_000, 1_000))
    client = bench.client(number=str)
    assert client.fetch_ticker(TH1)["high"] == "2.2"
    assert client.fetch_ohlcv(TH1, "1h")[0][1:] == ["2", "2.2", "1.9", "2.1", "10"]
    book = client.fetch_order_book(TH1)
    assert float(book["bids"][0][0]) < 2.1 < float(book["asks"][0][0])
    assert bench.state.balance(bench.state.market().exchange[CONTRACT]) == 10_000
    bench.service.close()


def test_endpoints_that_the_client_has_no_method_of_its_own_for(bench: Bench, ann: Any) -> None:
    from tests.bitfinex import Signer, public

    ann.load_markets()
    signer = Signer(bench)
    signer.nonce = 10**13  # above the client's own, which are milliseconds
    move(ann, "5", "exchange", "funding")
    for asset, amount in (("fBTC", "2"), ("fBTC", "3")):
        offer = {"type": "LIMIT", "symbol": asset, "amount": amount, "rate": "0.02", "period": 2}
        assert signer.post("w/funding/offer/submit", offer)[0] == 200
    assert signer.post("w/funding/offer/cancel/all", {"currency": "TH1"})[1][4] == []
    assert [row[5] for row in signer.post("w/funding/offer/cancel/all", {"currency": "BTC"})[1][4]] == [2, 3]
    assert bench.state.accounts["ann"].offered == [0, 0]
    signer.post("w/transfer", {"from": "exchange", "to": "margin", "currency": "BTC", "amount": "20"})
    signer.post("w/order/submit", {"symbol": "tTH1BTC", "type": "MARKET", "amount": "-2", "cid": 1})
    bench.quote(199_000_000, 201_000_000)
    signer.post("w/order/submit", {"symbol": "tTH1BTC", "type": "MARKET", "amount": "1", "flags": 1024, "cid": 2})
    bench.quote(199_000_000, 201_000_000)
    assert signer.post("r/info/funding/fTH1")[1] == ["sym", "fTH1", [0.001, 0, 1, 0]]
    assert [row[0] for row in signer.post("r/trades/hist", {"sort": 1})[1]] == [1, 2]
    assert [row[0] for row in signer.post("r/trades/tTH1BTC/hist", {"limit": 1})[1]] == [2]
    assert [row[2] for row in signer.post("r/orders/hist", {"limit": 1})[1]] == [2]
    assert [row[1] for row in signer.post("r/ledgers/TH1/hist", {})[1]] == []
    assert signer.post("w/position/claim", {"id": 1})[1][1] == 10020
    assert public(bench, "/v2/book/tTH1BTC/P0", "len=1")[1] == [[1.99, 1, 5], [2.01, 1, -5]]
    assert public(bench, "/v2/candles/trade:1m:tTH1BTC/last")[1][1] == 2
    assert public(bench, "/v2/tickers", "symbols=tBTCUSD")[1] == []
    assert public(bench, "/v2/trades/tTH1BTC/hist", "sort=1&limit=1")[1][0][2:] == [-2, 1.99]
    assert public(bench, "/v2/conf/pub:list:pair:margin,pub:list:nothing")[1] == [["TH1BTC"], []]
