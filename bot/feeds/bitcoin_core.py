"""Blocks from a node that speaks Bitcoin Core's JSON-RPC: Bitcoin Core, btcd, bcoin.

Methods used: getblockchaininfo, getblockhash and getblockheader (in one batch each), getblockstats where fees are paid.
"""

from __future__ import annotations

from typing import Any, Final

from bot.chain.network import Network
from bot.feeds.errors import AnswerError, UnreachableError, WrongChainError
from bot.feeds.http import JsonHttp
from bot.feeds.source import MAX_FEES_SAT, Tip, hash_hex, height, raw_header, whole

IN_WARMUP: Final = -28
"""RPC_IN_WARMUP of Bitcoin Core's `src/rpc/protocol.h`."""


class BitcoinCore:
    """One node. `network` is the one it must be on."""

    batch = 100

    def __init__(self, http: JsonHttp, network: Network) -> None:
        self.name = http.name
        self._http = http
        self._network = network

    async def tip(self) -> Tip:
        """Return the node's last block. Raises UnreachableError while it is still downloading the chain."""
        state = await self._call("getblockchaininfo")
        if not isinstance(state, dict):
            raise AnswerError(self.name, "getblockchaininfo: the result is not an object")
        chain = state.get("chain")
        if chain != self._network.core_name:
            what = f"the node is on chain {str(chain)[:40]!r}, not {self._network.core_name!r}"
            raise WrongChainError(self.name, what, "mend chain.network or chain.url")
        if state.get("difficulty") in (0, 0.0):
            raise AnswerError(self.name, "it answers a difficulty of 0", "it does not know the chain: ask another")
        if state.get("initialblockdownload") is True and self._network.retargets:
            raise UnreachableError(self.name, "the node is still downloading the chain", "wait until it has it")
        found = height(state.get("blocks"), self.name, "getblockchaininfo: blocks")
        return Tip(found, hash_hex(state.get("bestblockhash"), self.name, "getblockchaininfo: bestblockhash"))

    async def headers(self, first_height: int, count: int) -> list[bytes]:
        """Return `count` raw headers from `first_height` on."""
        heights = range(first_height, first_height + count)
        hashes = await self._batch("getblockhash", [[number] for number in heights])
        named = [hash_hex(value, self.name, "getblockhash") for value in hashes]
        raws = await self._batch("getblockheader", [[name, False] for name in named])
        return [raw_header(value, self.name, "getblockheader") for value in raws]

    async def fees_sat(self, height: int, hash_hex: str, subsidy_sat: int) -> int:
        """Return all fees of a block, in satoshi."""
        stats = await self._call("getblockstats", hash_hex, ["totalfee"])
        fees = stats.get("totalfee") if isinstance(stats, dict) else None
        return whole(fees, self.name, f"getblockstats of block {height}: totalfee", MAX_FEES_SAT)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _call(self, method: str, *params: Any) -> Any:
        answer = await self._http.post("/", {"jsonrpc": "1.0", "id": 0, "method": method, "params": list(params)})
        return self._result(answer, method)

    async def _batch(self, method: str, calls: list[list[Any]]) -> list[Any]:
        """Return the results of many calls in their order; a server may answer them in any."""
        asked = [{"jsonrpc": "1.0", "id": i, "method": method, "params": params} for i, params in enumerate(calls)]
        answers = await self._http.post("/", asked)
        if not isinstance(answers, list):
            raise AnswerError(self.name, f"{method}: the answer to a batch is not a list")
        by_id = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
        if len(answers) != len(calls) or set(by_id) != set(range(len(calls))):
            raise AnswerError(self.name, f"{method}: {len(answers)} answers that do not match {len(calls)} calls")
        return [self._result(by_id[i], method) for i in range(len(calls))]

    def _result(self, answer: Any, method: str) -> Any:
        if not isinstance(answer, dict) or "result" not in answer:
            raise AnswerError(self.name, f"{method}: the answer has no result")
        error = answer.get("error")
        if error is None:
            return answer["result"]
        code = error.get("code") if isinstance(error, dict) else None
        words = str(error.get("message") if isinstance(error, dict) else error)[:120]
        if code == IN_WARMUP:
            raise UnreachableError(self.name, f"{method}: the node is starting: {words}")
        raise AnswerError(self.name, f"{method}: error {code}: {words}")
