"""A client that means harm: everybody else is served, memory and log stay as they are."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import pytest

from bot.paper.bitfinex.protocol import PUBLIC_FLOOD, Request
from bot.paper.bitfinex.stream import Boards, Stream
from bot.paper.server import Limits
from tests.bitfinex import Bench
from tests.exchange.live import Live, drained

MANY = [
    *(
        {"channel": "book", "symbol": "tTH1BTC", "prec": prec, "len": size}
        for prec in ("R0", "P0")
        for size in ("1", "25")
    ),
    *({"channel": "candles", "key": f"trade:{frame}:tTH1BTC"} for frame in ("1m", "5m", "1h", "1D")),
    {"channel": "ticker", "symbol": "tTH1BTC"},
    {"channel": "trades", "symbol": "tTH1BTC"},
]


def head(live: Live, more: str = "") -> bytes:
    return f"POST /v2/auth/r/wallets HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\n{more}".encode()


def pour(live: Live, first: bytes, piece: bytes, megabytes: int) -> None:
    """Send `first`, then `piece` again and again, as far as the server lets it."""
    with socket.create_connection(("127.0.0.1", live.port), timeout=1) as connection, suppress(OSError):
        connection.sendall(first)
        for _ in range(megabytes * 2**20 // len(piece)):
            connection.sendall(piece)
        drained(connection)


CHUNKED = "Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("more", "piece"),
    [
        (CHUNKED + "1;", b"a" * 65_536),
        (CHUNKED, b"0" * 65_536),
        (CHUNKED + "ZZZ\r\n", b"\xff" * 65_536),
        (CHUNKED + "0\r\n", b"X-A: b\r\n" * 8_000),
        ("X: ", b"a" * 65_536),
        ("", b"X-A: b\r\n" * 8_000),
        ("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", b"a"),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"a"),
    ],
)
def test_garbage_without_end_takes_no_memory_says_nothing_in_the_log_and_holds_up_nobody(
    tmp_path: Path, more: str, piece: bytes, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with Live(tmp_path, Limits(body_s=0.5)) as live, caplog.at_level(logging.DEBUG):
        tracemalloc.start()
        pour(live, head(live, more), piece, 0 if len(piece) == 1 else 12)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert ccxt.bitfinex(live.settings()).fetch_status()["status"] == "ok"
    assert most < 12_000_000, most
    assert capfd.readouterr().err == ""
    assert not [record for record in caplog.records if record.name.startswith(("aiohttp", "fairhash"))]


def test_a_body_is_not_unpacked(tmp_path: Path) -> None:
    bomb = gzip.compress(b"[" * (64 << 20))
    with Live(tmp_path) as live:
        tracemalloc.start()
        answer = live.raw(head(live, f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n") + bomb)
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
        tracemalloc.stop()
    assert b"10100" in answer or b"413" in answer.split(b"\r\n")[0]


def test_a_client_that_breaks_off_is_no_fault_of_ours(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Live(tmp_path) as live:
        for content in (head(live, CHUNKED + "5\r\nab"), head(live, "Content-Length: 9\r\n\r\na")):
            with socket.create_connection(("127.0.0.1", live.port)) as connection:
                connection.sendall(content)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert ccxt.bitfinex(live.settings()).fetch_status()["status"] == "ok"
    assert live.error is None and capfd.readouterr().err == ""


async def watch(live: Live, streams: int, channels: list[dict[str, Any]]) -> list[Any]:
    """Open streams, each with these channels; return how each was answered: HTTP status, or its last message."""
    answers: list[Any] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        opened = []
        for _ in range(streams):
            try:
                opened.append(await session.ws_connect(f"ws://127.0.0.1:{live.port}/ws/2"))
            except aiohttp.WSServerHandshakeError as error:
                answers.append(error.status)
                continue
            for asked in channels:
                await opened[-1].send_json({"event": "subscribe", **asked})
        for one in opened:
            await one.send_json({"event": "ping", "cid": 7})
            async for message in one:
                told = json.loads(message.data)
                if isinstance(told, dict) and told.get("event") in ("pong", "error"):
                    answers.append(told.get("code", told["event"]))
                    break
    return answers


def test_no_more_streams_are_open_than_can_be_told(tmp_path: Path) -> None:
    with Live(tmp_path, Limits(streams=3)) as live:
        assert sorted(asyncio.run(watch(live, 5, [])), key=str) == [503, 503, "pong", "pong", "pong"]
        assert asyncio.run(watch(live, 3, MANY)) == ["pong"] * 3, "those that have gone make room"


def test_what_many_watch_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.paper.bitfinex import public

    bench = Bench(tmp_path)
    boards = Boards()
    streams = [Stream(bench.protocol, boards) for _ in range(50)]
    for stream in streams:
        for asked in MANY:
            answer = stream.receive(json.dumps({"event": "subscribe", **asked}).encode(), 1, 1)
            assert answer[0]["event"] == "subscribed"
    counted = 0
    plain = public.raw_book

    def count(*arguments: Any) -> Any:
        nonlocal counted
        counted += 1
        return plain(*arguments)

    monkeypatch.setitem(public.BOOKS, "R0", count)  # type: ignore[arg-type]
    monkeypatch.setattr(public, "raw_book", count)
    for step in (1, 2):
        counted = 0
        bench.quote(199_000_000 + step, 201_000_000)
        boards.turn()
        told = [stream.changes() for stream in streams]
        assert all(one == told[0] for one in told) and len(told[0]) > 5
        assert counted <= 4, "once for each of the four books"
        boards.turn()
        assert not any(stream.changes() for stream in streams), "nothing has changed since"
    bench.service.close()


def test_a_flood_of_messages_is_refused_of_a_stranger_and_of_a_key(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    stream = Stream(bench.protocol)
    ping = b'{"event":"ping"}'
    codes = [stream.receive(ping, 1, 1)[0].get("code") for _ in range(400)]
    assert codes[:300] == [None] * 300 and codes[300:] == [11010] * 100
    assert stream.receive(ping, 1, 1_001)[0].get("code") is None, "a second later it may speak again"
    other = Stream(bench.protocol)
    assert other.receive(ping, 1, 1)[0].get("event") == "pong"
    bench.service.close()


def test_a_flood_of_public_questions_does_not_touch_who_signs(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    statuses = [
        bench.protocol.handle(Request("GET", "/v2/platform/status"), 1, 10**9)[0]
        for _ in range(PUBLIC_FLOOD.burst + 50)
    ]
    assert statuses == [200] * PUBLIC_FLOOD.burst + [500] * 50
    assert b"11010" in bench.protocol.handle(Request("GET", "/v2/platform/status"), 1, 10**9)[1]
    assert bench.client().privatePostAuthRWallets({})
    assert bench.protocol.handle(Request("GET", "/v2/platform/status"), 1, 10**9 + 10)[0] == 200
    bench.service.close()
