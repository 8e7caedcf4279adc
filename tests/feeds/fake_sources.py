"""Loopback servers that stand in for a node and an explorer, and can be told to fail in every way."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from bot.chain.live import header_hash

Spoil = Callable[[str, Any], Any]
"""Changes an answer by (method or path, answer): returns another answer, or a web.Response."""


class FakeServer:
    """Serves `raws`, the best chain from `first_height` on; `spoil` may change answers, `asked` lists requests."""

    def __init__(self, raws: Sequence[bytes]) -> None:
        self.raws = list(raws)
        self.spoil: Spoil | None = None
        self.asked: list[str] = []
        self.fees_sat = 0
        self.url = ""
        self.first_height = 0
        self.chain = "regtest"

    async def start(self, port: int = 0) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self.url

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raise NotImplementedError

    def _spoiled(self, of: str, answer: Any) -> Any:
        self.asked.append(of)
        return self.spoil(of, answer) if self.spoil else answer


class FakeCore(FakeServer):
    """Bitcoin Core's JSON-RPC; `login` is the user and password it wants."""

    login: tuple[str, str] | None = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        import base64

        if self.login:
            wanted = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
            if request.headers.get("Authorization") != wanted:
                return web.Response(status=401)
        asked = await request.json()
        if isinstance(asked, list):
            answers = [self._one(call) for call in reversed(asked)]  # in any order, as the standard allows
            spoiled = self._spoiled(f"batch {asked[0]['method']}", answers)
        else:
            spoiled = self._spoiled(asked["method"], self._one(asked))
        if asyncio.iscoroutine(spoiled):
            spoiled = await spoiled
        return spoiled if isinstance(spoiled, web.StreamResponse) else web.json_response(spoiled)

    def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"id": call["id"], "error": None, "result": self._result(call["method"], call["params"])}
        except LookupError as error:
            return {"id": call["id"], "error": {"code": -8, "message": str(error)}, "result": None}

    def _result(self, method: str, params: list[Any]) -> Any:
        hashes = [header_hash(raw) for raw in self.raws]
        if method == "getblockchaininfo":
            height = self.first_height + len(self.raws) - 1
            tip = {"blocks": height, "bestblockhash": hashes[-1], "chain": self.chain}
            return {**tip, "difficulty": 4.6e-10, "initialblockdownload": False}
        if method == "getblockhash":
            return hashes[params[0] - self.first_height]
        if method == "getblockheader":
            return self.raws[hashes.index(params[0])].hex()
        if method == "getblockstats":
            return {"totalfee": self.fees_sat}
        raise LookupError(f"no method {method}")


class FakeEsplora(FakeServer):
    """Esplora's REST."""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = "/" + request.match_info["path"]
        spoiled = self._spoiled(path, self._result(path))
        if asyncio.iscoroutine(spoiled):
            spoiled = await spoiled
        if isinstance(spoiled, web.StreamResponse):
            return spoiled
        return web.Response(text=spoiled) if isinstance(spoiled, str) else web.json_response(spoiled)

    def _result(self, path: str) -> Any:
        hashes = [header_hash(raw) for raw in self.raws]
        parts = path.strip("/").split("/")
        if parts[0] == "block-height" and int(parts[1]) < len(hashes):
            return hashes[int(parts[1])]
        if parts[0] == "blocks":
            last = int(parts[1]) if len(parts) > 1 else len(hashes) - 1
            if last < len(hashes):
                return [self._summary(height) for height in range(last, max(last - 10, -1), -1)]
        if parts[0] == "block" and parts[1] in hashes:
            if parts[2:] == ["header"]:
                return self.raws[hashes.index(parts[1])].hex()
            if parts[2:] == ["txs", "0"]:
                return [{"vout": [{"value": 50 * 10**8 + self.fees_sat - 7}, {"value": 7}]}]
        return web.Response(status=404, text="Block not found")

    def _summary(self, height: int) -> dict[str, Any]:
        raw = self.raws[height]
        version, before, root, time_s, bits, nonce = struct.unpack("<i32s32sIII", raw)
        return {
            "id": header_hash(raw),
            "height": height,
            "version": version,
            "timestamp": time_s,
            "bits": bits,
            "nonce": nonce,
            "difficulty": 4.6e-10,
            "merkle_root": root[::-1].hex(),
            "previousblockhash": None if height == 0 else before[::-1].hex(),
        }
