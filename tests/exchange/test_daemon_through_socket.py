"""`fairhash paper --venue ccxt --exchange URL`: two processes, a socket between them, and either of them killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bot.app.remote import TIMEOUT_MS
from bot.core.exchange import Exchange
from bot.core.state import State
from bot.exchange_parity import head_of_exchange
from bot.paper import console
from bot.paper.head import contract_of, rules_of
from bot.paper.journal import Journal
from bot.paper.service import replay_command, show

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60
KEYS = "hold_short:short-key:short-secret-of-sixteen\nhold_long:long-key:long-secret-of-sixteen\n"
SECRETS = ("short-secret-of-sixteen", "long-secret-of-sixteen")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Pair:
    """A served exchange whose market is led, and a daemon that trades there, each with a journal of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.exchange_journal, self.journal = directory / "x.exchange", directory / "a.journal"
        self.port = free_port()
        self.started: list[subprocess.Popen[str]] = []
        self.config = directory / "c.yaml"
        self.write("{use: hold_short}")
        self.keys = directory / "keys"
        self.keys.write_text(KEYS)
        self.keys.chmod(0o600)
        self.said = ""

    def write(self, *uses: str, end: str = "2014-09-17") -> None:
        self.config.write_text(
            f"contract: {ROOT}/contracts/TH1BTC-2014Q4.yaml\n"
            f"history:\n  market: {ROOT}/backtests/history/TH1BTC-2014Q4-quotes.csv\n"
            f"  swap_rates: {ROOT}/backtests/history/TH1BTC-2014Q4-swap-rates.csv\n"
            f"run: {{end: {end}T00:00:00Z}}\nstrategies: [{', '.join(uses)}]\ndashboard: {{enabled: false}}\n"
        )

    def spawn(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "bot", *arguments],
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def exchange(self, speed: str = "led") -> subprocess.Popen[str]:
        """Start the exchange, and return once it can be reached."""
        place = ["--journal", str(self.exchange_journal), "--port", str(self.port), "--keys", str(self.keys)]
        process = self.spawn("exchange", str(self.config), "--speed", speed, *place)
        assert process.stderr is not None
        for line in process.stderr:
            self.said += line
            if line.startswith("journal:"):
                return process
        raise AssertionError(self.said)

    def daemon(self, *more: str) -> subprocess.Popen[str]:
        address = f"http://127.0.0.1:{self.port}"
        place = ["--journal", str(self.journal), "--keys", str(self.keys), "--exchange", address, "--json"]
        return self.spawn("paper", str(self.config), "--venue", "ccxt", *place, *more)

    def end(self, process: subprocess.Popen[str], number: int | None = None) -> str:
        """Wait for a process, or end it with a signal, and return what it printed."""
        if number is not None:
            process.send_signal(number)
        out, error = process.communicate(timeout=PATIENCE_S)
        self.said += out + error
        return out

    def call(self, *arguments: str) -> dict[str, Any]:
        process = self.spawn(*arguments, "--json")
        out = self.end(process)
        assert process.returncode == 0, self.said[-2000:]
        return dict(json.loads(out))

    def until(self, daemon: subprocess.Popen[str], holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert daemon.poll() is None, daemon.communicate()[1][-2000:]
            status = console.ask(self.journal, {"do": "status"})
            if status is not None and holds(status):
                return status
            time.sleep(0.005)
        raise AssertionError("it never came to that")

    def run_alone(self) -> dict[str, Any]:
        """Return what the same configuration comes to in one process, without an exchange."""
        alone = self.directory / "alone.journal"
        return self.call("paper", str(self.config), "--speed", "max", "--journal", str(alone))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        with suppress(ValueError):
            process.communicate()


def standing(status: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(one["name"], one["position_lots"], one["equity_sat"], one["fills"]) for one in status["strategies"]]


def replay(journal: Journal) -> State:
    """Return what an exchange's journal comes to."""
    head = head_of_exchange(journal)
    assert head is not None
    exchange = Exchange(contract_of(head["contract"]), rules_of(head["rules"]), head["start_ns"])
    for entry in journal.entries(2):
        content: Any = entry.content()
        if entry.is_event:
            show(exchange, content)
        else:
            replay_command(exchange, content)
    return exchange.state


def controls(pair: Pair) -> list[str]:
    """Return the actions of the controls in the daemon's journal."""
    shown = pair.call("journal", "show", "--journal", str(pair.journal), "--first", "1", "--last", "99999")
    return [json.loads(entry["text"])[1] for entry in shown["entries"] if entry["kind"] == "Control"]


def test_either_side_is_killed_and_both_end_where_one_process_would_have(pair: Pair) -> None:
    exchange, daemon = pair.exchange(), pair.daemon()
    events = pair.until(daemon, lambda status: status["events"] > 40)["events"]
    pair.end(daemon, signal.SIGKILL)

    daemon = pair.daemon()
    events = pair.until(daemon, lambda status: status["events"] > events + 40)["events"]
    pair.end(exchange, signal.SIGKILL)
    exchange = pair.exchange()
    events = pair.until(daemon, lambda status: status["events"] > events + 40)["events"]
    pair.end(daemon, signal.SIGKILL)
    pair.end(exchange, signal.SIGKILL)

    daemon, exchange = pair.daemon(), pair.exchange()  # in the wrong order, too
    ended = json.loads(pair.end(daemon))
    assert daemon.returncode == 0, pair.said[-2000:]
    pair.end(exchange, signal.SIGTERM)
    assert exchange.returncode == 0

    assert controls(pair) == [], "nothing was other than foreseen"
    ours = pair.call("parity", "--journal", str(pair.journal))
    theirs = pair.call("parity", "--journal", str(pair.exchange_journal))
    assert ours["strategies"][0]["fills"] == theirs["strategies"][0]["fills"] == 10
    alone = pair.run_alone()
    assert standing(alone) == standing(ended) and ended["ended_by"] == "feed"
    assert "nothing is traded until it answers" in pair.said and "venue_back" in pair.said
    assert not any(secret in pair.said for secret in SECRETS)


def test_a_market_with_a_clock_of_its_own_is_followed_and_several_strategies_share_its_lenders(pair: Pair) -> None:
    pair.write("{use: hold_short}", "{use: hold_long}", end="2014-09-16")
    exchange = pair.exchange(speed="20000")
    daemon = pair.daemon()
    ended = json.loads(pair.end(daemon))
    assert daemon.returncode == 0, pair.said[-2000:]
    pair.end(exchange, signal.SIGINT)
    journal = Journal(pair.exchange_journal)
    try:
        state = replay(journal)
    finally:
        journal.close()
    for one in ended["strategies"]:
        fills = [fill for fill in state.fills if fill.user == one["name"]]
        assert len(fills) >= one["fills"] > 0, "the exchange has gone on since"
        assert abs(sum(fill.size_lots for fill in fills[: one["fills"]])) == abs(one["position_lots"])


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--exchange", "http://127.0.0.1:1", "--keys", "keys"), "--exchange: orders go there through ccxt only"),
        (("--venue", "ccxt", "--exchange", "ftp://127.0.0.1", "--keys", "keys"), "is not an address such as"),
        (("--venue", "ccxt", "--exchange", "http://192.0.2.1:80", "--keys", "keys"), "192.0.2.1 is another machine"),
        (("--venue", "ccxt", "--exchange", "http://a:b@127.0.0.1", "--keys", "keys"), "is not an address such as"),
        (("--venue", "ccxt", "--exchange", "http://127.0.0.1:1"), "no keys for the exchange were given"),
        (("--venue", "ccxt", "--exchange", "http://127.0.0.1:1", "--keys", "open"), "others may read its secrets"),
        (("--venue", "ccxt", "--exchange", "http://127.0.0.1:1", "--keys", "one"), "has no key of hold_short"),
        (
            ("--venue", "ccxt", "--exchange", "http://127.0.0.1:1", "--keys", "keys", "--speed", "max"),
            "--speed: the exchange's market is the pace",
        ),
        (("--keys", "keys"), "--keys: there is nobody to show keys to"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(pair: Pair, arguments: tuple[str, ...], what: str) -> None:
    (pair.directory / "one").write_text(KEYS.splitlines()[1])
    (pair.directory / "one").chmod(0o600)
    (pair.directory / "open").write_text(KEYS)
    (pair.directory / "open").chmod(0o644)
    process = pair.spawn("paper", str(pair.config), "--journal", str(pair.journal), *arguments)
    pair.end(process)
    assert process.returncode == 2 and what in pair.said
    assert "Traceback" not in pair.said and not any(secret in pair.said for secret in SECRETS)


def test_another_market_another_exchange_and_a_wrong_secret_are_refused_by_name(pair: Pair) -> None:
    exchange = pair.exchange()
    text = pair.config.read_text()
    pair.config.write_text(text + "fills: {depth_levels: 1}\n")
    daemon = pair.daemon()
    pair.end(daemon)
    assert daemon.returncode == 2 and "the exchange has another contract, rules or start" in pair.said
    pair.config.write_text(text)
    pair.journal.unlink()
    Path(f"{pair.journal}.head").unlink()

    pair.keys.write_text(KEYS.replace("short-secret", "wrong-secret"))
    daemon = pair.daemon()
    pair.end(daemon)
    assert daemon.returncode == 11 and "AuthenticationError" in pair.said and "wrong-secret" not in pair.said

    pair.keys.write_text(KEYS)
    daemon = pair.daemon()
    pair.until(daemon, lambda status: status["events"] > 20)
    pair.end(daemon, signal.SIGTERM)
    pair.end(exchange, signal.SIGKILL)
    alone = pair.spawn("paper", str(pair.config), "--journal", str(pair.journal), "--speed", "max")
    pair.end(alone)
    assert alone.returncode == 9 and "was begun with other settings: feed" in pair.said, "its account is elsewhere"
    pair.exchange_journal = pair.directory / "new.exchange"
    exchange, daemon = pair.exchange(), pair.daemon()
    pair.end(daemon)
    assert daemon.returncode == 11 and "has shown no such" in pair.said
    pair.end(exchange, signal.SIGTERM)
    assert "Traceback" not in pair.said


def test_an_exchange_that_is_silent_does_not_keep_the_daemon_from_ending(pair: Pair) -> None:
    with socket.create_server(("127.0.0.1", pair.port)) as server:
        server.settimeout(PATIENCE_S)
        daemon = pair.daemon()
        connection, _ = server.accept()  # it asks, and nobody will ever answer
        with connection:
            began = time.monotonic()
            pair.end(daemon, signal.SIGTERM)
    assert daemon.returncode == 0, pair.said[-2000:]
    assert time.monotonic() - began < 3 * TIMEOUT_MS / 1000, "one question, and what may follow it"
