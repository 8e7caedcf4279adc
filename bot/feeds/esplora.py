"""Blocks from an explorer that speaks Esplora's REST: blockstream.info, mempool.space, or an own electrs.

Paths used: /blocks/tip/hash and /blocks/tip/height, /block-height/:height, /blocks/:start_height (ten at a time, newest
first), /block/:hash/header, and /block/:hash/txs/0 where fees are paid. A header is put together from the fields of
/blocks and hashed by us, so a field that was changed on the way is found.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from bot.chain.live import header_hash
from bot.chain.network import Network
from bot.feeds.errors import AnswerError, WrongChainError
from bot.feeds.http import JsonHttp
from bot.feeds.source import MAX_FEES_SAT, Tip, hash_hex, height, raw_header, whole

PAGE: Final = 10
_UINT32: Final = 2**32 - 1


class Esplora:
    """One explorer. `network` is the one it must be on: its block 0 is asked for once."""

    batch = 100

    def __init__(self, http: JsonHttp, network: Network) -> None:
        self.name = http.name
        self._http = http
        self._network = network
        self._known = False

    async def tip(self) -> Tip:
        """Return the explorer's last block."""
        if not self._known:
            genesis = await self._http.get_text("/block-height/0")
            if hash_hex(genesis, self.name, "/block-height/0") != self._network.genesis_hash:
                what = f"its block 0 is {genesis}, not that of {self._network.name}"
                raise WrongChainError(self.name, what, "mend chain.network or chain.url")
            self._known = True
        page = self._page(await self._http.get("/blocks"), "/blocks")
        newest = page[0]
        found = height(newest.get("height"), self.name, "/blocks: height")
        return Tip(found, hash_hex(newest.get("id"), self.name, "/blocks: id"))

    async def headers(self, first_height: int, count: int) -> list[bytes]:
        """Return `count` raw headers from `first_height` on."""
        if count == 1:
            name = await self._http.get_text(f"/block-height/{first_height}")
            wanted = hash_hex(name, self.name, f"/block-height/{first_height}")
            raw = raw_header(await self._http.get_text(f"/block/{wanted}/header"), self.name, f"/block/{wanted}/header")
            self._check_hash(raw, wanted, first_height)
            return [raw]
        found: dict[int, bytes] = {}
        for last in range(first_height + count - 1, first_height - 1, -PAGE):
            path = f"/blocks/{last}"
            for offset, fields in enumerate(self._page(await self._http.get(path), path)):
                own = height(fields.get("height"), self.name, f"{path}: height")
                if own != last - offset:
                    raise AnswerError(self.name, f"{path}: height {own} where {last - offset} was due")
                found[own] = self._header(fields, own, path)
        missing = [wanted for wanted in range(first_height, first_height + count) if wanted not in found]
        if missing:
            raise AnswerError(self.name, f"/blocks: {len(missing)} headers are missing, first height {missing[0]}")
        return [found[wanted] for wanted in range(first_height, first_height + count)]

    async def fees_sat(self, height: int, hash_hex: str, subsidy_sat: int) -> int:
        """Return all fees of a block in satoshi: what its first transaction pays out beyond the subsidy.

        A miner who claims less than he may makes the fees look smaller, never below 0.
        """
        path = f"/block/{hash_hex}/txs/0"
        page = self._page(await self._http.get(path), path)
        outputs = page[0].get("vout")
        if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
            raise AnswerError(self.name, f"{path}: the first transaction has no outputs")
        most = subsidy_sat + MAX_FEES_SAT
        paid = sum(whole(output.get("value"), self.name, f"{path}: value", most) for output in outputs)
        return whole(max(paid - subsidy_sat, 0), self.name, f"{path}: fees of block {height}", MAX_FEES_SAT)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _page(self, answer: Any, path: str) -> list[dict[str, Any]]:
        if not isinstance(answer, list) or not answer or not all(isinstance(entry, dict) for entry in answer):
            raise AnswerError(self.name, f"{path}: the answer is not a list of objects, or is empty")
        return answer

    def _header(self, fields: dict[str, Any], own_height: int, path: str) -> bytes:
        """Return the raw header that the fields of a block's summary make."""
        name = hash_hex(fields.get("id"), self.name, f"{path}: id")
        if fields.get("difficulty") in (0, 0.0):
            raise AnswerError(self.name, f"{path}: block {own_height} has difficulty 0", "ask another source")
        version = fields.get("version")
        if type(version) is not int or not -(2**31) <= version <= _UINT32:
            raise AnswerError(self.name, f"{path}: version {str(version)[:40]!r} is no 32-bit number")
        before = hash_hex(fields.get("previousblockhash") or "0" * 64, self.name, f"{path}: previousblockhash")
        root = hash_hex(fields.get("merkle_root"), self.name, f"{path}: merkle_root")
        keys = ("timestamp", "bits", "nonce")
        numbers = (whole(fields.get(key), self.name, f"{path}: {key}", _UINT32) for key in keys)
        tail = struct.pack("<III", *numbers)
        raw = struct.pack("<I", version & _UINT32) + bytes.fromhex(before)[::-1] + bytes.fromhex(root)[::-1] + tail
        self._check_hash(raw, name, own_height)
        return raw

    def _check_hash(self, raw: bytes, wanted: str, own_height: int) -> None:
        if header_hash(raw) != wanted:
            what = f"the header of block {own_height} hashes to {header_hash(raw)}, not to {wanted} as it says"
            raise AnswerError(self.name, what, "a field was changed on the way: ask another source")
