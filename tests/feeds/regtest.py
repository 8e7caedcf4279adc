"""A real node program on a regtest chain of its own, mining as it is told: bcoin, from npm.

FAIRHASH_BCOIN names the directory where `npm install --ignore-scripts bcoin` was run; .ci/run does that.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.core.units import NS_PER_S
from bot.feeds.http import JsonHttp

NOBODY = "R9NVxTj2ewfiTUzAfn7FSsq9kxNt6fjaaZ"
"""A regtest address in bcoin's spelling, of a public key's hash that is 20 bytes of 1."""
PASSWORD = "secret"
BCOIN = os.environ.get("FAIRHASH_BCOIN", "")
needs_node = pytest.mark.skipif(
    not (BCOIN and shutil.which("node") and (Path(BCOIN) / "node_modules/bcoin/bin/node").is_file()),
    reason="FAIRHASH_BCOIN does not name a directory with bcoin in it, or there is no node: see tests/feeds",
)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def bcoin(directory: Path) -> Iterator[str]:
    """Run a node whose chain is in memory; give its URL. It may not have started yet."""
    port = free_port()
    words = ["node", str(Path(__file__).parent / "bcoin-node.js"), "--network", "regtest", "--memory", "true"]
    words += ["--prefix", str(directory), "--http-port", str(port), "--http-host", "127.0.0.1"]
    words += ["--port", str(free_port()), "--listen", "false", "--no-dns", "--api-key", PASSWORD]
    words += ["--no-wallet", "true"]  # it would listen at one port for all nodes of this machine
    with (directory / "log").open("wb") as log:
        node = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, "NODE_BACKEND": "js"})
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        node.terminate()
        node.wait(20)


async def rpc(url: str, method: str, *params: Any) -> Any:
    """Ask the node for something that only a miner would."""
    http = JsonHttp("miner", url, 60 * NS_PER_S, lambda: ("x", PASSWORD))
    try:
        answer = await http.post("/", {"id": 1, "method": method, "params": list(params)})
        assert answer["error"] is None, answer
        return answer["result"]
    finally:
        await http.close()


async def mine(url: str, count: int) -> list[str]:
    """Mine `count` blocks on the node's tip; return their hashes."""
    return list(await rpc(url, "generatetoaddress", count, NOBODY))
