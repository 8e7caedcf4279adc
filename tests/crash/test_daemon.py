"""The daemon as a process: killed, ended, stopped, reloaded, with strategies that hang or end it, and started again."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.paper import console
from tests.crash.scenario import NAME, STEPS

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60
MODULE = """\
import os, time
from dataclasses import dataclass
from bot.fields import Fraction, setting
from strategies.view import Target
@dataclass(frozen=True)
class Params:
    a: float = setting(Fraction(), default="0.3", doc="x")
def decide(view, params):
    if view.time_ns >= view.start_ns + 20 * 3600 * 10**9:
        {deed}
    return Target(100)
"""


class House:
    """A directory with a configuration, its journal, and the processes that were started in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.journal = directory / "a.journal"
        self.config = directory / "c.yaml"
        self.started: list[subprocess.Popen[str]] = []
        self.write("fair_value_band", "hold_short", "own_and_lend")

    def write(self, *uses: str, band: str = "0.25", end: str = "2014-09-22") -> None:
        """Write the configuration: ten days of the bundled history, and these strategies."""
        params = f", params: {{entry_band: {band}}}"
        entries = [use if "{" in use else f"{{use: {use}{params if 'band' in use else ''}}}" for use in uses]
        self.config.write_text(
            f"contract: {ROOT}/contracts/TH1BTC-2014Q4.yaml\n"
            f"history:\n  market: {ROOT}/backtests/history/TH1BTC-2014Q4-quotes.csv\n"
            f"  swap_rates: {ROOT}/backtests/history/TH1BTC-2014Q4-swap-rates.csv\n"
            f"run: {{end: {end}T00:00:00Z}}\nrisk: {{max_answer_time: 500 ms}}\n"
            f"strategies: [{', '.join(entries)}]\ndashboard: {{enabled: false}}\n"
        )

    def start(self, speed: str, limits: dict[int, int] | None = None) -> subprocess.Popen[str]:
        """Start the daemon, with at most so much of each resource."""
        command = [sys.executable, "-m", "bot", "paper", str(self.config), "--speed", speed, "--json"]
        command += ["--journal", str(self.journal)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}

        def limit() -> None:
            for name, most in (limits or {}).items():
                resource.setrlimit(name, (most, resource.getrlimit(name)[1]))

        process = subprocess.Popen(
            command,
            cwd=self.directory,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=limit,
        )
        self.started.append(process)
        return process

    def finish(self, speed: str = "max") -> dict[str, Any]:
        """Run the daemon to its end and return what it printed."""
        process = self.start(speed)
        out, error = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, error[-2000:]
        return dict(json.loads(out))

    def call(self, *arguments: str) -> dict[str, Any]:
        """Run a command and return its document."""
        command = [sys.executable, "-m", "bot", *arguments, "--journal", str(self.journal), "--json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        ran = subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return dict(json.loads(ran.stdout))

    def until(self, process: subprocess.Popen[str], holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask the running daemon for its status until something holds of it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()[1][-2000:]
            status = console.ask(self.journal, {"do": "status"})
            if status is not None and holds(status):
                return status
            time.sleep(0.01)
        raise AssertionError("it never came to that")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for process in house.started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def standing(status: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(one["name"], one["position_lots"], one["equity_sat"], one["fills"]) for one in status["strategies"]]


def test_killed_again_and_again_it_ends_where_it_would_have(house: House) -> None:
    draw = random.Random(7)
    events = 0
    for _ in range(3):
        process = house.start("400000")
        wanted = events + draw.randrange(60, 200)
        events = house.until(process, lambda status, least=wanted: status["events"] > least)["events"]  # type: ignore[misc]
        process.kill()
        process.wait()
    house.config.write_text(f"# Only a comment has changed.\n{house.config.read_text()}")
    ended = house.finish()
    agreed = house.call("parity")
    assert agreed["equal"] and agreed["controls"] == 0 and agreed["strategies"][0]["fills"] > 10
    other = House(house.directory / "other") if (house.directory / "other").mkdir() is None else house
    assert standing(other.finish()) == standing(ended)


def test_it_ends_in_order_reloads_or_says_why_not_and_keeps_its_halts(house: House) -> None:
    process = house.start("100000")
    house.until(process, lambda status: status["events"] > 50)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    time.sleep(0.4)  # eleven hours of history, which it has to catch up with
    process.send_signal(signal.SIGCONT)
    assert "hold_short" in str(house.call("halt", "hold_short", "--reason", "too dear"))
    house.write("fair_value_band", "hold_short", "own_and_lend", band="abc")
    process.send_signal(signal.SIGHUP)
    house.until(process, lambda status: status["events"] > 150)
    house.write("fair_value_band", "hold_short", "own_and_lend", band="0.31")
    house.config.write_text(house.config.read_text().replace("{enabled: false}", "{enabled: true, port: 0}"))
    process.send_signal(signal.SIGHUP)
    house.until(process, lambda status: status["events"] > 250)
    process.send_signal(signal.SIGTERM)
    out, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    said = [json.loads(line) for line in log.splitlines()]
    (refused,) = [line for line in said if line["event"] == "not_reloaded"]
    assert "'abc' is not a fraction" in refused["text"] and "c.yaml:7" in refused["text"]
    (taken,) = [line for line in said if line["event"] == "reloaded"]
    assert taken["text"].endswith("are those of the configuration now; not before the next start: dashboard")
    assert said[-1]["event"] == "ended" and said[-1]["by"] == "SIGTERM" and json.loads(out)["ended_by"] == "SIGTERM"

    halted = {one["name"]: (one["mode"], one["reason"]) for one in house.call("status")["strategies"]}
    assert halted["hold_short"] == ("halted", "operator: too dear")
    house.call("resume", "hold_short")
    house.call("reduce", "own_and_lend")
    house.finish()
    modes = {one["name"]: one["mode"] for one in house.call("status")["strategies"]}
    assert modes == {"fair_value_band": "active", "hold_short": "active", "own_and_lend": "reducing"}
    entries = house.call("journal", "show", "--first", "1", "--last", "9999")["entries"]
    actions = [json.loads(entry["text"])[1] for entry in entries if entry["kind"] == "Control"]
    assert actions == ["halt", "params", "resume", "reduce"]
    assert house.call("parity")["controls"] == 4


def test_without_space_it_ends_in_one_line_and_goes_on_when_there_is_some(house: House) -> None:
    """Faults 9 and 10 for the daemon: a limit on the size of its files."""
    process = house.start("max", limits={resource.RLIMIT_FSIZE: 120_000})
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 9 and "no space to write to" in out
    assert house.call("status")["events"] % 256 == 0, "whole batches"
    house.finish()
    assert house.call("parity")["equal"]


@pytest.mark.parametrize(
    "deed", ["exec('try:\\n while 1: pass\\nexcept Exception: 1')", "while view.fair_value_sat: view.borrowable()"]
)
def test_a_strategy_that_hangs_is_halted_alone(house: House, deed: str) -> None:
    (house.directory / "hangs.py").write_text(MODULE.format(deed=deed))
    house.write("hold_long", "hangs")
    ended = house.finish()
    modes = {one["name"]: (one["mode"], one["reason"]) for one in ended["strategies"]}
    assert modes["hold_long"][0] == "active"
    assert modes["hangs"][0] == "halted" and "no answer in time" in modes["hangs"][1]
    assert house.call("parity")["controls"] == 1


def test_a_strategy_that_ends_the_process_is_halted_at_the_third_start(house: House) -> None:
    (house.directory / "leaves.py").write_text(MODULE.format(deed="os._exit(3)"))
    house.write("hold_long", "leaves")
    for _ in range(2):
        process = house.start("max")
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 3
    ended = house.finish()
    modes = {one["name"]: (one["mode"], one["reason"]) for one in ended["strategies"]}
    assert modes["hold_long"][0] == "active"
    assert modes["leaves"][0] == "halted" and "the process died 2 times" in modes["leaves"][1]
    assert house.call("parity")["controls"] == 1


def test_another_configuration_is_refused_by_what_differs(house: House) -> None:
    house.finish()
    house.write("hold_long")
    process = house.start("max")
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 9
    assert "was begun with other settings: strategies (" in out
    house.write("fair_value_band", "{use: hold_long, name: hold_short}", "own_and_lend")
    out, _ = (process := house.start("max")).communicate(timeout=PATIENCE_S)
    assert process.returncode == 9 and "other settings: strategies (" in out, "another strategy under a known name"
    house.write("fair_value_band", "hold_short", "own_and_lend", end="2014-09-23")
    out, _ = (process := house.start("max")).communicate(timeout=PATIENCE_S)
    assert process.returncode == 9 and "was begun with other settings: end (" in out


CHILD = """
import os, signal, sys
from pathlib import Path
from tests.crash.disk import watched
from tests.crash.scenario import STEPS, open_in, run
place, left = Path(sys.argv[1]), int(sys.argv[2])
with watched() as disk:
    def count(op):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0
    disk.fault = count
    service = open_in(place)
    run(service, STEPS, lambda sequence: os.write(1, b"%d\\n" % sequence))
"""


@pytest.mark.parametrize("left", [3, 9, 26, 101, 333, 700])
def test_a_real_kill_loses_nothing_that_was_told(tmp_path: Path, left: int) -> None:
    """A process kills itself at one of its writes; what it had told on a pipe is found, and at most one step more."""
    from tests.crash.scenario import open_in, run

    command = [sys.executable, "-c", CHILD, str(tmp_path), str(left)]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    told = [int(line) for line in child.stdout.split()]
    service = open_in(tmp_path)
    found, steps = service.journal.sequence, service.exchange.state.event
    assert found >= max(told, default=0) and steps - len(told) in (0, 1)
    run(service, STEPS, lambda sequence: None)
    service.close()
    assert (tmp_path / NAME).stat().st_size > 0
