"""ccxt's own exchange tests, which ship inside the package, run against our server with a seeded history.

The suite must not be imported from site-packages: its tests are copied, the package is linked. What is skipped is so by
name, each with its reason; everything else of it must pass.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import ccxt
import pytest

from tests.exchange.live import Live

TH1 = "TH1/BTC"
SKIPS: dict[str, Any] = {
    "fetchCurrencies": "it wants several currencies; a venue for one contract has two, the contract and bitcoin",
    "ledger": {
        "account": "the client gives none for any ledger entry, whatever the venue sends",
        "status": "the same",
        "referenceAccount": "the same",
        "fee": "the same: a fee is an entry of its own",
        "amount": "the client hands on the sign of what went out; the suite wants none, and a direction",
    },
    "watchOrderBook": {"timestamp": "a book over WebSocket has none in this protocol, and the client adds none"},
}
HAS = {"swap": False}
"""What the client's class claims of the venue and this venue is not: it has no perpetual swaps."""
PASSED = {
    "loadMarkets", "features", "fetchStatus", "fetchTicker", "fetchTickers", "fetchOrderBook", "fetchTrades",
    "fetchOHLCV", "fetchTradingFees", "fetchBalance", "fetchOpenOrders", "fetchClosedOrders", "fetchMyTrades",
    "fetchLedger",
}  # fmt: skip
"""What must have been tested: a skip too many, or an empty history, is not to look like success."""
WATCHED = {"watchTicker", "watchTrades", "watchOHLCV", "watchOrderBook", "watchBalance", "watchOrders", "watchMyTrades"}


def seed(live: Live) -> None:
    """Make a history: orders that filled, rest, were cancelled; a position; transfers, loans, interest, dividends."""
    ann, ben = ccxt.bitfinex(live.settings()), ccxt.bitfinex(live.settings("ben-key"))
    for client in (ann, ben):
        client.load_markets()
        for wallet, amount in (("margin", "30"), ("funding", "5")):
            move = {"from": "exchange", "to": wallet, "currency": "BTC", "currency_to": "BTC", "amount": amount}
            client.privatePostAuthWTransfer(move)
    ann.create_order(TH1, "market", "buy", 3)
    ann.create_order(TH1, "market", "sell", 2, None, {"marginMode": "cross"})
    live.show(199_000_000, 201_000_000)
    ann.create_order(TH1, "limit", "sell", 1, 2.02)
    ben.create_order(TH1, "limit", "buy", 1, 2.02)
    for hour in range(1, 30):
        live.show(199_000_000 + hour * 10_000, 201_000_000 + hour * 10_000, after_s=3_600)
    ann.cancel_order(ann.create_order(TH1, "limit", "buy", 1, 1.5)["id"])
    ann.create_order(TH1, "limit", "buy", 1, 1.6)


def run_suite(work: Path, live: Live, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the suite as its authors do, in a directory of its own."""
    package = work / "python" / "ccxt"
    package.mkdir(parents=True)
    for entry in Path(ccxt.__file__).parent.iterdir():
        if entry.name == "test":
            shutil.copytree(entry, package / "test")
        else:
            (package / entry.name).symlink_to(entry)
    settings = live.settings()
    del settings["enableRateLimit"]  # the suite takes no false
    settings["rateLimit"] = 1
    settings["has"] = HAS
    (work / "keys.local.json").write_text(json.dumps({"bitfinex": settings}))
    (work / "skip-tests.json").write_text(json.dumps({"bitfinex": {"skipMethods": SKIPS}}))
    command = [sys.executable, "-W", "ignore", str(work / "python/ccxt/test/tests_init.py"), *arguments]
    environment = {"PYTHONPATH": str(work / "python"), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, cwd=work, capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def trading(live: Live) -> Iterator[None]:
    """Let the market move and Ann trade for as long as somebody watches."""
    over = threading.Event()

    def trade() -> None:
        ann = ccxt.bitfinex(live.settings("ann-robot"))  # nonces are counted by key
        for step in count():
            ann.create_order(TH1, "market", ("buy", "sell")[step % 2], 0.01)
            live.show(200_000_000 + step % 7 * 10_000, 202_000_000 + step % 7 * 10_000, after_s=1)
            if over.wait(0.05):
                return

    trader = threading.Thread(target=trade)
    trader.start()
    yield
    over.set()
    trader.join()


@pytest.mark.parametrize("arguments", [("--sync",), (), ("--ws",)], ids=["sync", "async", "ws"])
def test_ccxts_own_suite_passes(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    started_ns = int(time.time() - 86_400 - 36_000) // 60 * 60 * 10**9  # the suite looks at the last day
    with Live(tmp_path, start_ns=started_ns) as live:
        seed(live)
        with trading(live) if "--ws" in arguments else nullcontext():
            done = run_suite(tmp_path, live, "bitfinex", TH1, "--private", "--info", *arguments)
    told = done.stdout + done.stderr
    tested = set(re.findall(r"TESTING DONE\s+bitfinex (\w+)", told))
    assert done.returncode == 0 and "TEST_FAILURE" not in told, told[-4000:]
    assert tested >= (WATCHED if "--ws" in arguments else PASSED)
