"""`fairhash exchange` as a user starts it: keys of its own, an unmodified client, a kill, a start, the same orders."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ccxt
import pytest

ROOT = Path(__file__).parents[2]
TH1 = "TH1/BTC"


class Running:
    """The command as a process; it reads where it listens from what it prints."""

    def __init__(self, journal: Path, *more: str, **environment: str) -> None:
        command = [sys.executable, "-m", "bot", "exchange", "config.yaml", "--journal", str(journal), *more]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if line.startswith("keys:") or (environment and line.startswith("journal:")):
                break
        found = re.search(r"http://127\.0\.0\.1:\d+", self.said)
        self.address = found.group() if found else ""

    def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        out, error = self.process.communicate(timeout=20)
        return self.process.returncode, out + error


def client(address: str, keys: Path) -> Any:
    _, key, secret = keys.read_text().splitlines()[0].split(":")
    urls = {"api": {"public": address, "private": address}}
    return ccxt.bitfinex({"apiKey": key, "secret": secret, "enableRateLimit": False, "urls": urls})


def test_a_first_run_makes_keys_and_a_killed_one_loses_nothing(tmp_path: Path) -> None:
    journal, keys = tmp_path / "x.exchange", tmp_path / "x.exchange.keys"
    first = Running(journal, "--speed", "36000")
    assert "SIMULATED PRICES" in first.said and str(keys) in first.said
    assert keys.stat().st_mode & 0o777 == 0o600
    secret = keys.read_text().splitlines()[0].split(":")[2]
    trader = client(first.address, keys)
    placed = trader.create_order(TH1, "limit", "buy", 1, 0.5, {"cid": 1})
    before = {key: value for key, value in trader.fetch_balance().items() if key != "info"}
    code, _ = first.end(signal.SIGKILL)
    assert code == -signal.SIGKILL

    again = Running(journal, "--speed", "36000")
    trader = client(again.address, keys)
    (resting,) = trader.fetch_open_orders(TH1)
    assert (resting["id"], resting["clientOrderId"]) == (placed["id"], "1")
    assert trader.create_order(TH1, "limit", "buy", 1, 0.5, {"cid": 1})["id"] == placed["id"]
    assert trader.fetch_balance()["BTC"] == before["BTC"]
    deadline = time.monotonic() + 10
    seen = trader.fetch_ticker(TH1)["last"]
    while trader.fetch_ticker(TH1)["last"] == seen:  # the market goes on
        assert time.monotonic() < deadline
    code, said = again.end(signal.SIGTERM)
    assert code == 0 and "ended by SIGTERM" in said
    assert secret not in first.said + again.said + said


@pytest.mark.parametrize(
    ("arguments", "environment", "what"),
    [
        (["--host", "0.0.0.0"], {}, "--host: 0.0.0.0 can be reached from other machines"),
        (["--host", "example.org"], {}, "is not an address"),
        (["--keys", "config.yaml"], {}, "others may read its secrets"),
        ([], {"FAIRHASH_EXCHANGE_KEYS": "ann:key:short"}, "FAIRHASH_EXCHANGE_KEYS:1: the secret"),
        (["--speed", "0"], {}, "0 is not in 1..1000000"),
    ],
)
def test_what_is_refused_is_refused_in_one_line(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], what: str
) -> None:
    command = [sys.executable, "-m", "bot", "exchange", "config.yaml", "--journal", str(tmp_path / "x"), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2 and what in done.stderr
    assert "short" not in done.stderr and "Traceback" not in done.stderr
