"""A loopback stand-in for Bitfinex's public API (REST and WebSocket), as the unmodified ccxt classes ask it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

Level = tuple[str, str]
"""(price, amount) as the text that stands in the answer; they may be nonsense."""


class FakeExchange:
    """One market, TH1/BTC, with one level a side; `broken` replaces the next answers to book requests.

    `funding` holds the funding books by symbol (fTH1), as text.
    """

    def __init__(self, bid: Level = ("0.7021", "12.5"), ask: Level = ("0.7123", "8")) -> None:
        self.bid, self.ask = bid, ask
        self.broken: list[Any] = []
        self.funding: dict[str, str] = {}
        self.trades: list[tuple[int, int, str, str]] = []
        self.asked: list[str] = []
        self.now_ms: Callable[[], int] = lambda: 1 << 62
        self.pairs = [["TH1BTC", [None, None, None, "0.02", "5000", None, None, None, None, None, None, None]]]
        self._sockets: list[web.WebSocketResponse] = []

    async def start(self) -> str:
        app = web.Application()
        app.router.add_get("/ws/2", self._stream)
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        for socket in self._sockets:
            await socket.close()
        await self._runner.cleanup()

    def options(self) -> dict[str, Any]:
        """What makes an unmodified ccxt client ask here."""
        base, stream = f"http://127.0.0.1:{self.port}", f"ws://127.0.0.1:{self.port}/ws/2"
        urls = {"api": {"public": base, "private": base, "v1": base, "ws": {"public": stream, "private": stream}}}
        return {"urls": urls, "enableRateLimit": False}

    def book(self) -> str:
        """The book as text, so that a number stands in it as it was written."""
        rows = [f"[{i},{price},{sign}{amount}]" for i, (sign, (price, amount)) in enumerate(self._sides(), 1)]
        return f"[{','.join(rows)}]"

    def _sides(self) -> list[tuple[str, Level]]:
        return [("", self.bid), ("-", self.ask)]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"].removeprefix("v2/")
        self.asked.append(path)
        if path.startswith("conf/pub:info:pair"):
            return web.json_response([self.pairs, [], [], [["TH1BTC"]]])
        if path.startswith("conf/"):
            return web.json_response([[] for _ in path.split(",")])
        if path.startswith("book/f"):  # what lenders offer, by currency
            book = self.funding.get(path.split("/")[1])
            if book is None:
                return web.json_response(["error", 10020, "symbol: invalid"], status=500)
            return web.Response(text=book, content_type="application/json")
        if path.startswith("book/"):
            if self.broken:
                answer = self.broken.pop(0)
                answer = await answer() if callable(answer) else answer
                return answer if isinstance(answer, web.StreamResponse) else web.Response(text=answer)
            return web.Response(text=self.book(), content_type="application/json")
        if path.startswith("trades/"):
            start = int(request.query.get("start", 0))
            rows = [
                f"[{i},{mts},{amount},{price}]"
                for i, mts, amount, price in self.trades
                if start <= mts <= self.now_ms()
            ]
            return web.Response(text=f"[{','.join(rows[: int(request.query.get('limit', 120))])}]")
        return web.json_response(["error", 10020, "unknown"], status=500)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.append(socket)
        await socket.send_json({"event": "info", "version": 2, "serverId": "x", "platform": {"status": 1}})
        async for message in socket:
            asked = json.loads(message.data)
            if asked.get("event") == "subscribe":
                answer = {"event": "subscribed", "chanId": 7, "symbol": "tTH1BTC", "pair": "TH1BTC"}
                await socket.send_json({**asked, **answer})
                await socket.send_str(f"[7,{self._levels()}]")
        return socket

    def _levels(self) -> str:
        return f"[{','.join(f'[{price},1,{sign}{amount}]' for sign, (price, amount) in self._sides())}]"

    async def change(self, bid: Level, ask: Level) -> None:
        """Stream another best bid and ask: the old levels go, the new ones come."""
        for socket in self._sockets:
            for (_, (price, _)), side in zip(self._sides(), ("1", "-1"), strict=True):
                await socket.send_str(f"[7,[{price},0,{side}]]")
            for sign, (price, amount) in (("", bid), ("-", ask)):
                await socket.send_str(f"[7,[{price},1,{sign}{amount}]]")
        self.bid, self.ask = bid, ask
        await asyncio.sleep(0)

    async def drop(self) -> None:
        """Cut every stream off."""
        for socket in self._sockets:
            await socket.close()
        self._sockets.clear()
