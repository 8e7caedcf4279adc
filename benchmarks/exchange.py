"""`python -m benchmarks.exchange`: orders a second of the paper exchange, every one durable before its reply.

Served: 16 clients on keep-alive connections, each waiting for its reply before it sends the next order; the clients'
process signs and counts, the exchange is `fairhash exchange` as a user starts it. In-process: the unmodified ccxt
client over our protocol and journal, against the same client given a reply made before: what ccxt itself allows. That
is measured twice: with the session of `requests` that ccxt comes with, and with the one of ours that makes no socket.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

CLIENTS = 16
RESTING = 8
"""Orders a client lets rest before it cancels them all with one more request, which does not count."""
SECRET = "benchmark-secret-of-sixteen"
TARGET_PER_S = 1_500
TARGET_RATIO = 1.2


class Client:
    """One connection that places orders as fast as it is answered."""

    def __init__(self, key: str, port: int) -> None:
        self.key, self.port = key, port
        self.nonce = time.time_ns() // 10**6
        self.latencies: list[float] = []

    async def run(self, until: float, price: str) -> int:
        """Place orders until a time; return how many were acknowledged."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        placed = 0
        while time.perf_counter() < until:
            for _ in range(RESTING):
                body = {"symbol": "tTH1BTC", "type": "EXCHANGE LIMIT", "amount": "0.01", "price": price, "cid": placed}
                began = time.perf_counter()
                answer = await self._ask(reader, writer, "w/order/submit", body)
                self.latencies.append(time.perf_counter() - began)
                assert answer[1] == "on-req" and answer[6] == "SUCCESS", answer
                placed += 1
            await self._ask(reader, writer, "w/order/cancel/multi", {"all": 1})
        writer.close()
        return placed

    async def _ask(self, reader: Any, writer: Any, path: str, body: Any) -> Any:
        self.nonce += 1
        content, path = json.dumps(body).encode(), "/v2/auth/" + path
        message = b"/api" + path.encode() + str(self.nonce).encode() + content
        signature = hmac.new(SECRET.encode(), message, hashlib.sha384).hexdigest()
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Length: {len(content)}\r\n"
            f"bfx-apikey: {self.key}\r\nbfx-nonce: {self.nonce}\r\nbfx-signature: {signature}\r\n\r\n".encode()
            + content
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))  # type: ignore[union-attr]
        return json.loads(await reader.readexactly(length))


def served(config: Path, seconds: float) -> dict[str, float]:
    """Return orders a second and latencies (ms) of 16 clients at a served exchange."""
    keys = "\n".join(f"user{n}:key{n}:{SECRET}" for n in range(CLIENTS))
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as directory:
        command = [sys.executable, "-m", "bot", "exchange", str(config), "--journal", f"{directory}/bench.exchange"]
        environment = {**os.environ, "FAIRHASH_EXCHANGE_KEYS": keys}
        exchange = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert exchange.stderr is not None
            port = 0
            for line in exchange.stderr:
                found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
                if found:
                    port = int(found.group(1))
                if line.startswith("journal:"):
                    break
            clients = [Client(f"key{n}", port) for n in range(CLIENTS)]

            async def all_of_them(until: float) -> int:
                return sum(await asyncio.gather(*(client.run(until, "0.5") for client in clients)))

            began = time.perf_counter()
            placed = asyncio.run(all_of_them(began + seconds))
            took = time.perf_counter() - began
        finally:
            exchange.terminate()
            exchange.communicate(timeout=20)
    latencies = sorted(latency for client in clients for latency in client.latencies)
    at = len(latencies)
    return {
        "orders_per_s": placed / took,
        "orders": float(placed),
        "p50_ms": latencies[at // 2] * 1e3,
        "p99_ms": latencies[at * 99 // 100] * 1e3,
    }


def in_process(rounds: int, orders: int) -> dict[str, list[tuple[float, float]]]:
    """Return milliseconds an order, by the clock and of the processor, one pair a round.

    A step is what the daemon commits at once: all that is decided on one market event, here eight orders.
    """
    from bot.core.state import MarketRules
    from bot.paper.bitfinex.protocol import Flood, Protocol, Request
    from bot.paper.keys import parse_keys
    from bot.paper.service import Service
    from bot.paper.tape import Tape
    from bot.venues.ccxt_client import client as make_client
    from bot.venues.in_process import ADDRESS, carrier, mount

    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as directory:
        service = _service(Path(directory) / "bench.exchange", Service, MarketRules())
        keys = parse_keys(f"ann:key:{SECRET}".encode(), "benchmark")
        protocol = Protocol(service, Tape(), keys, Flood(10**6, 10**9))  # the market's time stands still
        ours = carrier(protocol)
        replies: dict[str, tuple[int, bytes]] = {}

        def ready(request: Request) -> tuple[int, bytes]:
            if request.path not in replies:
                replies[request.path] = ours(request)
            return replies[request.path]

        cases = {
            "ccxt as it comes, a ready reply": (_mount_requests, ready, nullcontext),
            "ccxt in our transport, a ready reply": (mount, ready, nullcontext),
            "our exchange, one commit a step": (mount, ours, service.group),
            "our exchange, one commit an order": (mount, ours, nullcontext),
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        client = make_client(ADDRESS, "key", SECRET, limited=False)
        cids = count()
        for _ in range(rounds):
            for name, (put, carry, step) in cases.items():
                put(client, carry)
                client.load_markets()
                took = worked = 0.0
                for _ in range(orders // RESTING):
                    began, cpu_began = time.perf_counter(), time.process_time()
                    with step():
                        for _ in range(RESTING):
                            terms = ("TH1/BTC", "limit", "buy", Decimal("0.01"), Decimal("0.5"), {"cid": next(cids)})
                            assert client.create_order(*terms)["id"]
                    took += time.perf_counter() - began
                    worked += time.process_time() - cpu_began
                    client.cancel_all_orders()
                count_ms = orders // RESTING * RESTING / 1e3
                times[name].append((took / count_ms, worked / count_ms))
        service.close()
    return times


def _mount_requests(client: Any, carry: Any) -> None:
    """Give the client the session that it comes with, and let an adapter of `requests` carry what it sends."""
    from io import BytesIO
    from urllib.parse import urlsplit

    import requests
    from requests.adapters import BaseAdapter

    from bot.paper.bitfinex.protocol import Request

    class Adapter(BaseAdapter):
        def send(self, request: Any, *_: Any, **__: Any) -> Any:
            parts = urlsplit(request.url)
            headers = {name.lower(): value for name, value in request.headers.items()}
            status, answer = carry(Request(request.method, parts.path, parts.query, headers, request.body or b""))
            response = requests.models.Response()
            response.status_code, response.raw, response.url = status, BytesIO(answer), request.url
            response.headers["Content-Type"] = "application/json"
            return response

        def close(self) -> None:
            pass

    client.session.close()
    client.session = requests.Session()
    client.session.trust_env = False
    client.session.mount("http://", Adapter())


def _service(path: Path, made: Any, rules: Any) -> Any:
    """Return a service with a market and one user's deposit."""
    from bot.contract_file import load_contract
    from bot.core.events import BTC, Quote
    from bot.core.order import Deposit

    contract = load_contract("contracts/TH1BTC-2014Q4.yaml")
    service = made.open(path, contract, rules, contract.start_ns)
    service.see(Quote(contract.start_ns, 199_000_000, 500, 201_000_000, 500))
    service.submit(Deposit(contract.start_ns, "ann", BTC, 10**10))
    return service


def main() -> int:
    """Measure, print, and return 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exchange", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each served round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--orders", type=int, default=300, help="of each in-process round")
    options = parser.parse_args()
    rounds = [served(Path("config.yaml"), options.seconds) for _ in range(options.rounds)]
    for name in ("orders_per_s", "p50_ms", "p99_ms"):
        values = [one[name] for one in rounds]
        spread = f"{min(values):.1f} to {max(values):.1f}"
        print(f"served, {CLIENTS} clients: {name:13} {statistics.median(values):9.1f}  of {spread}")
    times = in_process(options.rounds, options.orders)
    medians = {}
    for name, pairs in times.items():
        wall, cpu = ([pair[at] for pair in pairs] for at in (0, 1))
        medians[name] = (statistics.median(wall), statistics.median(cpu))
        spread = f"{min(wall):.3f} to {max(wall):.3f}; processor {medians[name][1]:.3f}"
        print(f"in-process: {name:36} {medians[name][0]:6.3f} ms an order, {spread}")
    bare, floor, ours, _ = medians.values()
    per_s = statistics.median(one["orders_per_s"] for one in rounds)
    print(f"served: {per_s:.0f} orders/s (target >= {TARGET_PER_S})")
    ratio = ours[0] / bare[0]
    floor_ratio = ours[0] / floor[0]
    print(
        f"in-process, of ccxt as it comes: {ratio:.2f} (target <= {TARGET_RATIO}); of ccxt in ours: {floor_ratio:.2f}"
    )
    print(f"of processor time: {ours[1] / bare[1]:.2f} and {ours[1] / floor[1]:.2f}")
    return int(per_s < TARGET_PER_S or ratio > TARGET_RATIO)


if __name__ == "__main__":
    sys.exit(main())
