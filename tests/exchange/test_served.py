"""The served exchange: unmodified ccxt clients, sync, async, over WebSocket; clients that mean ill (FAULTS 37-43)."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest

from bot.errors import ConfigError
from bot.paper.bitfinex.protocol import Flood
from bot.paper.server import Limits, check_host
from tests.bitfinex import signed
from tests.exchange.live import Live, drained

TH1 = "TH1/BTC"


def test_sync_and_async_clients_trade_with_each_other(tmp_path: Path) -> None:
    async def buy(live: Live) -> Any:
        async with ccxt.async_support.bitfinex(live.settings("ben-key")) as ben:
            return await ben.create_order(TH1, "limit", "buy", 1, 2.05, {"cid": 1})

    with Live(tmp_path) as live:
        ann = ccxt.bitfinex(live.settings())
        ann.create_order(TH1, "market", "buy", 2, None, {"cid": 1})
        live.show(199_000_000, 201_000_000)
        resting = ann.create_order(TH1, "limit", "sell", 1, 2.02, {"cid": 2})
        bought = asyncio.run(buy(live))
        assert bought["status"] == "closed" and bought["average"] == 2.02
        assert ann.fetch_closed_order(resting["id"])["average"] == 2.02
        assert [(t["side"], t["price"]) for t in ann.fetch_trades(TH1)] == [("buy", 2.01), ("buy", 2.02)]


def test_trap_15_a_client_that_watches_is_told_of_everything_of_its_own(tmp_path: Path) -> None:
    """In ccxt.pro the client id is read from the group's place, the fee's sign is REST's reversed; no positions."""

    async def watch(live: Live) -> None:
        settings = {**live.settings(), "newUpdates": True}
        async with ccxt.pro.bitfinex(settings) as ann:
            assert not ann.has["watchPositions"]
            book = await ann.watch_order_book(TH1)
            assert (book["bids"][0][:2], book["asks"][0][:2]) == ([1.99, 5.0], [2.01, 5.0])
            assert (await ann.watch_ticker(TH1))["last"] == 2.0
            assert (await ann.watch_ohlcv(TH1, "1m"))[-1][4] == 2.0
            own = [
                asyncio.ensure_future(one) for one in (ann.watch_orders(), ann.watch_my_trades(), ann.watch_balance())
            ]
            await ann.authenticate()
            placed = await ann.create_order(TH1, "market", "buy", 1, None, {"cid": 5})
            (seen,) = await own[0]
            assert (seen["id"], seen["status"], seen["info"][2], seen["clientOrderId"]) == (
                placed["id"],
                "open",
                5,
                None,
            )
            filled, ticker = (asyncio.ensure_future(one) for one in (ann.watch_orders(), ann.watch_ticker(TH1)))
            await asyncio.sleep(0)
            await asyncio.to_thread(live.show, 209_000_000, 211_000_000)
            assert (await filled)[-1]["status"] == "closed"
            (trade,) = await own[1]
            assert (trade["price"], trade["side"], trade["fee"]["cost"]) == (2.11, "buy", -0.00422)
            assert (await own[2])["BTC"]["total"] in (100.0, 97.88578)
            assert (await ticker)["last"] == 2.1
            assert (await ann.watch_trades(TH1))[-1]["price"] == 2.11
            await ann.un_watch_ticker(TH1)

    with Live(tmp_path) as live:
        asyncio.run(asyncio.wait_for(watch(live), 20))


def test_positions_offers_loans_and_commands_over_one_socket(tmp_path: Path) -> None:
    import aiohttp

    async def talk(live: Live) -> list[Any]:
        url = live.urls["api"]["ws"]["private"]
        heard: list[Any] = []
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as talking:

            async def until(kind: str) -> Any:
                while True:
                    heard.append(await asyncio.wait_for(talking.receive_json(), 5))
                    if isinstance(heard[-1], list) and heard[-1][1] == kind:
                        return heard[-1][2]

            async def order(kind: str, body: dict[str, Any]) -> Any:
                await talking.send_json([0, kind, None, body])
                return await until("n")

            assert (await talking.receive_json())["event"] == "info"
            await talking.send_json({"event": "auth", **proof("1")})
            assert (await talking.receive_json())["status"] == "OK"
            await until("fls")
            for wallet in ("margin", "funding"):
                body = {"from": "exchange", "to": wallet, "currency": "BTC", "amount": "20"}
                await asyncio.to_thread(post, live, "w/transfer", body)
            answer = await order("fon", {"type": "LIMIT", "symbol": "fBTC", "amount": "5", "rate": "0.01", "period": 2})
            assert answer[6] == "SUCCESS" and (await until("fon"))[4] == 5
            body = {"symbol": "tTH1BTC", "type": "MARKET", "amount": "-1", "cid": 1}
            assert (await order("on", body))[4][0][2] == 1
            assert (await until("on"))[13] == "ACTIVE"
            await asyncio.to_thread(live.show, 199_000_000, 201_000_000)
            assert (await until("oc"))[13] == "EXECUTED @ 1.99(-1)"
            assert (await until("tu"))[9] == -0.00398
            position = await until("pn")
            assert (position[2], len(position), position[19]) == (-1, 20, {"reason": "TRADE"})
            assert (await until("fcn"))[2] == -1
            await asyncio.to_thread(live.show, 209_000_000, 211_000_000)
            assert (await until("pu"))[6] == -0.11
            refused = await order("on", {**body, "cid": 2, "type": "STOP"})
            assert refused[5:7] == [10020, "ERROR"]
            limit = {**body, "type": "LIMIT", "price": "2.5", "cid": 3}
            number = (await order("on", limit))[4][0][0]
            await order("oc", {"id": number})
            assert (await until("oc"))[0] == number
            await order("on", {**body, "amount": "1", "flags": 512, "cid": 4})
            await asyncio.to_thread(live.show, 209_000_000, 211_000_000)
            await until("pc")
            await until("fcc")
        return heard

    with Live(tmp_path) as live:
        asyncio.run(talk(live))


def proof(nonce: str, secret: str = "ann-secret-of-sixteen") -> dict[str, Any]:
    import hashlib
    import hmac

    payload = f"AUTH{nonce}"
    signature = hmac.new(secret.encode(), payload.encode(), hashlib.sha384).hexdigest()
    return {"apiKey": "ann-key", "authSig": signature, "authNonce": nonce, "authPayload": payload}


_NONCES = iter(range(10**6, 10**9))


def http(live: Live, path: str, content: bytes, key: str = "ann-key", more: str = "") -> bytes:
    """Return a signed POST as it goes over the wire."""
    request = signed(key, "/v2/auth/" + path, str(next(_NONCES)), content)
    head = f"POST {request.path} HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\nContent-Length: {len(content)}\r\n{more}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"{head}{lines}\r\n".encode() + content


def post(live: Live, path: str, body: Any, key: str = "ann-key") -> Any:
    return json.loads(live.raw(http(live, path, json.dumps(body).encode(), key)).split(b"\r\n\r\n", 1)[1])


def get(live: Live, path: str = "/v2/platform/status", more: str = "", host: str | None = None) -> bytes:
    return live.raw(f"GET {path} HTTP/1.1\r\nHost: {host or f'127.0.0.1:{live.port}'}\r\n{more}\r\n".encode())


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"event": "auth", **proof("1"), "authSig": "00"}, 10100),
        ({"event": "auth", **proof("1"), "authPayload": "AUTH2"}, 10100),
        ({"event": "auth", **proof("1"), "apiKey": "nobody"}, 10100),
        ({"event": "auth", **proof("0")}, 10114),
        ({"event": "subscribe", "channel": "ticker", "symbol": "tBTCUSD"}, 10020),
        ({"event": "subscribe", "channel": "status", "symbol": "tTH1BTC"}, 10300),
        ({"event": "unsubscribe", "chanId": 9}, 10400),
        ({"event": "dance"}, 10020),
        ([0, "on", None, {}], 10100),
        ("text", 10020),
    ],
)
def test_a_wrong_message_is_answered_in_the_protocols_shape(tmp_path: Path, event: Any, code: int) -> None:
    from tests.bitfinex import Bench

    bench = Bench(tmp_path)
    from bot.paper.bitfinex.stream import Stream

    (answer,) = Stream(bench.protocol).receive(json.dumps(event).encode(), 0, 0)
    assert answer["code"] == code and answer["event"] in ("error", "auth")
    bench.service.close()


def test_fault_34_a_nonce_of_a_socket_counts_for_http_too(tmp_path: Path) -> None:
    from bot.paper.bitfinex.stream import Stream
    from tests.bitfinex import Bench, Signer

    bench = Bench(tmp_path)
    event = json.dumps({"event": "auth", **proof("5000")}).encode()
    assert Stream(bench.protocol).receive(event, 0, 0)[0]["status"] == "OK"
    assert Stream(bench.protocol).receive(event, 0, 0)[0]["code"] == 10114
    signer = Signer(bench)
    assert signer.send(signer.request("r/wallets", nonce="5000"))[1][1] == 10114
    assert signer.send(signer.request("r/wallets", nonce="5001"))[0] == 200
    bench.service.close()


def test_fault_37_a_huge_body_and_a_lying_length_get_413(tmp_path: Path) -> None:
    import tracemalloc

    with Live(tmp_path, Limits(body_s=0.5)) as live:
        host = f"Host: 127.0.0.1:{live.port}\r\n"
        head = f"POST /v2/auth/r/wallets HTTP/1.1\r\n{host}"
        assert b"413" in live.raw(f"{head}Content-Length: 100000000\r\n\r\n".encode()).split(b"\r\n")[0]
        tracemalloc.start()
        chunk = b"10000\r\n" + b"[" * 65_536 + b"\r\n"
        assert b"413" in live.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 40).split(b"\r\n")[0]
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
        tracemalloc.stop()
        assert b"408" in live.raw(f"{head}Content-Length: 60000\r\n\r\n[".encode())  # says more than it sends
        shorter = live.raw(http(live, "r/wallets", b"{}").replace(b"Length: 2", b"Length: 1"))
        assert b"digest" in shorter or b"400" in shorter.split(b"\r\n")[0]  # says less than it sends
        assert b"[1]" in get(live)


def test_fault_38_slow_clients_by_the_hundred_are_cut_and_others_are_served(tmp_path: Path) -> None:
    with Live(tmp_path, Limits(head_s=0.7, connections=150)) as live:
        slow = [socket.create_connection(("127.0.0.1", live.port)) for _ in range(120)]
        for connection in slow:
            connection.sendall(b"GET /v2/platform/status HTTP/1.1\r\nHost: ")
        began = time.monotonic()
        assert b"[1]" in get(live)
        assert time.monotonic() - began < 0.5
        for connection in slow:
            connection.settimeout(5)
            assert drained(connection) == b""  # cut
            connection.close()
        assert time.monotonic() - began < 5


def test_connections_beyond_the_most_are_closed_at_once(tmp_path: Path) -> None:
    with Live(tmp_path, Limits(connections=5)) as live:
        held = [socket.create_connection(("127.0.0.1", live.port)) for _ in range(5)]
        assert get(live) == b""  # connections are accepted in the order in which they came
        held.pop().close()
        deadline = time.monotonic() + 5
        while get(live) == b"":
            assert time.monotonic() < deadline
        for connection in held:
            connection.close()


@pytest.mark.parametrize(
    ("host", "more"),
    [
        ("attacker.example", ""),
        ("127.0.0.1:1", ""),
        ("169.254.1.1", ""),
        (None, "Origin: http://attacker.example\r\n"),
        (None, "Origin: null\r\n"),
        (None, "Host: attacker.example\r\n"),
    ],
)
def test_fault_41_foreign_hosts_and_origins_get_403(tmp_path: Path, host: str | None, more: str) -> None:
    with Live(tmp_path) as live:
        assert get(live, more=more, host=host).split(b" ")[1] in (b"403", b"400")
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        upgrade += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        assert get(live, "/ws/2", more + upgrade, host).split(b" ")[1] in (b"403", b"400")
        assert b"[1]" in get(live, more=f"Origin: http://localhost:{live.port}\r\n")


def test_fault_41_nothing_but_loopback_is_listened_on_unless_asked_for() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org", "", "127.0.0.1.evil.example"):
        with pytest.raises(ConfigError, match="--host"):
            check_host(host, exposed=False)
    for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9"):
        check_host(host, exposed=False)
    check_host("0.0.0.0", exposed=True)


def test_fault_42_the_order_of_a_client_that_vanished_is_found_by_its_cid(tmp_path: Path) -> None:
    body = {"symbol": "tTH1BTC", "type": "EXCHANGE LIMIT", "amount": "1", "price": "1.5", "cid": 77}
    with Live(tmp_path) as live:
        with socket.create_connection(("127.0.0.1", live.port)) as connection:
            connection.sendall(http(live, "w/order/submit", json.dumps(body).encode()))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, no farewell
        deadline = time.monotonic() + 5
        while not (rows := post(live, "r/orders", {})):
            assert time.monotonic() < deadline
        assert [row[2] for row in rows] == [77]


def test_fault_43_a_flood_of_one_key_does_not_touch_another(tmp_path: Path) -> None:
    with Live(tmp_path, flood=Flood(per_second=10, burst=30)) as live:
        answers: list[Any] = []

        def flood() -> None:
            answers.extend(post(live, "r/wallets", {}) for _ in range(60))

        flooding = threading.Thread(target=flood)
        flooding.start()
        for _ in range(10):
            assert post(live, "r/orders", {}, "ben-key") == []
        flooding.join()
        refused = [answer for answer in answers if answer[:1] == ["error"]]
        assert refused and all(answer[1] == 11010 for answer in refused)
        assert len(answers) - len(refused) >= 30
        with pytest.raises(ccxt.RateLimitExceeded):
            client = ccxt.bitfinex(live.settings())
            client.load_markets()
            while True:
                client.fetch_balance()


def test_a_client_that_does_not_read_is_disconnected_and_holds_nobody_up(tmp_path: Path) -> None:
    from bot.paper.bitfinex.stream import Stream
    from bot.paper.server import MAX_WAITING_MESSAGES, Session
    from tests.bitfinex import Bench

    class Deaf:
        closed = False

        async def close(self, code: int) -> None:
            self.closed = True

    async def tell_too_much() -> bool:
        bench = Bench(tmp_path)
        deaf = Deaf()
        session = Session(deaf, Stream(bench.protocol))  # type: ignore[arg-type]
        session.tell([[0, "hb"]] * (MAX_WAITING_MESSAGES + 1))
        await asyncio.sleep(0)
        bench.service.close()
        return deaf.closed

    assert asyncio.run(tell_too_much())


def test_a_full_disk_stops_neither_the_market_nor_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.errors import JournalFullError, Problem
    from bot.paper.journal import Journal

    body = {"symbol": "tTH1BTC", "type": "EXCHANGE LIMIT", "amount": "1", "price": "1.5", "cid": 7}
    commit = Journal.commit
    full = threading.Event()

    def fail(journal: Journal) -> None:
        if full.is_set() and journal.pending:
            raise JournalFullError([Problem("journal", "no space")])
        commit(journal)

    monkeypatch.setattr(Journal, "commit", fail)
    with Live(tmp_path) as live:
        full.set()
        live.show(203_000_000, 205_000_000)
        assert post(live, "w/order/submit", body)[1] == 20060
        full.clear()
        assert post(live, "r/orders", {}) == []
        assert post(live, "w/order/submit", body)[6] == "SUCCESS"
        assert b"2.04" in get(live, "/v2/ticker/tTH1BTC")


def test_a_fault_of_ours_ends_the_exchange_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.paper.bitfinex import account
    from bot.paper.bitfinex.protocol import _PRIVATE
    from bot.paper.server import BrokenExchangeError

    def broken(call: Any) -> Any:
        raise KeyError("a fault")

    monkeypatch.setitem(_PRIVATE, ("r", "summary"), broken)  # type: ignore[misc]
    assert account.summary is not broken
    with Live(tmp_path) as live:
        assert b"500" in live.raw(http(live, "r/summary", b"{}")).split(b"\r\n")[0]
        live._thread.join(10)
        assert isinstance(live.error, BrokenExchangeError) and "KeyError" in str(live.error)
