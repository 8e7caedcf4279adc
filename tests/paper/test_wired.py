"""The whole command, as users start it: the daemon with its page, and with its orders sent through ccxt."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


class House:
    """A directory with a configuration of a week, and the daemons that were started in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started: list[subprocess.Popen[str]] = []

    def write(self, rest: str, uses: str = "{use: hold_short}, {use: own_and_lend}") -> None:
        (self.directory / "c.yaml").write_text(
            f"contract: {ROOT}/contracts/TH1BTC-2014Q4.yaml\n"
            f"history:\n  market: {ROOT}/backtests/history/TH1BTC-2014Q4-quotes.csv\n"
            f"  swap_rates: {ROOT}/backtests/history/TH1BTC-2014Q4-swap-rates.csv\n"
            f"run: {{end: 2014-09-22T00:00:00Z}}\nstrategies: [{uses}]\n{rest}\n"
        )

    def start(self, journal: str, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bot", "paper", str(self.directory / "c.yaml"), "--json", *options]
        command += ["--journal", str(self.directory / journal)]
        pipe = subprocess.PIPE
        self.started.append(subprocess.Popen(command, cwd=ROOT, text=True, stdout=pipe, stderr=pipe))
        return self.started[-1]

    def parity(self, journal: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "bot", "parity", "--json", "--journal", str(self.directory / journal)]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return dict(json.loads(ran.stdout))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for process in house.started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """Return the first log line of that name; the log ends with the process."""
    assert process.stderr is not None
    for line in process.stderr:
        told = dict(json.loads(line))
        if told["event"] == event:
            return told
    raise AssertionError(f"it never said {event}")


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_daemon_serves_its_page_and_a_second_one_trades_without(house: House) -> None:
    house.write("dashboard: {port: 0}")
    first = house.start("a.journal", "--speed", "36000")
    url = until(first, "page")["url"]
    assert url.startswith("http://127.0.0.1:")
    until(first, "fill")  # a quote and a decision are behind it
    assert "<html" in get(url)[1]
    strategies = json.loads(get(f"{url}state")[1])["strategies"]
    assert [one["strategy"] for one in strategies] == ["hold_short", "own_and_lend"]
    assert all(one["simulated"] and one["price_sat"] > 0 for one in strategies)
    assert "fairhash_equity_satoshi{" in get(f"{url}metrics")[1]
    code, health = get(f"{url}health")
    assert code == 200 and json.loads(health)["block_age_s"] >= 0

    port = url.rsplit(":", 1)[1].strip("/")
    house.write(f"dashboard: {{port: {port}}}")
    second = house.start("b.journal", "--speed", "max")
    told = until(second, "no_page")
    assert f"cannot listen on 127.0.0.1:{port}" in told["text"] and "dashboard.port" in told["text"]
    out, _ = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 0 and json.loads(out)["ended_by"] == "feed"

    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 0
    with pytest.raises(urllib.error.URLError):
        get(url)


def test_orders_through_ccxt_come_to_the_same_run_though_it_is_killed(house: House) -> None:
    house.write("dashboard: {enabled: false}", "{use: fair_value_band}, {use: hold_short}, {use: own_and_lend}")
    killed = house.start("a.journal", "--venue", "ccxt", "--speed", "100000")
    until(killed, "venue")
    for _ in range(20):
        until(killed, "fill")
    killed.kill()
    killed.wait()
    ended = house.start("a.journal", "--venue", "ccxt", "--speed", "max")
    out, log = ended.communicate(timeout=PATIENCE_S)
    assert ended.returncode == 0 and '"recovered"' in log
    agreed = house.parity("a.journal")
    assert agreed["equal"] and sum(one["fills"] for one in agreed["strategies"]) > 20
    direct, _ = house.start("b.journal", "--speed", "max").communicate(timeout=PATIENCE_S)
    assert json.loads(out)["strategies"] == json.loads(direct)["strategies"]


def test_a_latency_of_our_own_is_refused_for_a_venue_that_has_one(house: House) -> None:
    house.write("dashboard: {enabled: false}\nfills: {latency: 2 s}")
    refused = house.start("a.journal", "--venue", "ccxt", "--speed", "max")
    out, log = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 2 and "c.yaml:8: fills.latency" in out + log
