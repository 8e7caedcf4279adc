"""A strategy that hangs is halted alone, by name: in its band, and in C code that nothing of Python's can interrupt."""

from __future__ import annotations

import json
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.paper.asking import Asking
from tests.crash.test_daemon import MODULE, PATIENCE_S, House

BAND = """
def band(view, params):
    if view.time_ns >= view.start_ns + 20 * 3600 * 10**9:
        {deed}
    return 1e8, 2e8
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for process in house.started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def set_answer_time(house: House, answer: str, page: bool = False) -> None:
    text = house.config.read_text().replace("max_answer_time: 500 ms", f"max_answer_time: {answer}")
    house.config.write_text(text.replace("{enabled: false}", "{port: 0}") if page else text)


def modes(document: dict[str, object]) -> dict[str, tuple[str, str]]:
    return {one["name"]: (one["mode"], one["reason"]) for one in document["strategies"]}  # type: ignore[attr-defined]


def test_a_strategy_whose_band_hangs_is_halted_alone_and_the_page_goes_on(house: House) -> None:
    text = MODULE.format(deed="pass") + BAND.format(deed="while True: pass")
    (house.directory / "hangs.py").write_text(text)
    house.write("hold_long", "hangs")
    set_answer_time(house, "200 ms", page=True)
    process = house.start("100000")
    assert process.stderr is not None
    url = next(json.loads(line)["url"] for line in process.stderr if '"page"' in line)
    house.until(process, lambda status: status["events"] > 250)
    for _ in range(2):  # the second look does not ask it again
        with urllib.request.urlopen(f"{url}state", timeout=PATIENCE_S) as answer:
            shown = {one["strategy"]: one for one in json.loads(answer.read())["strategies"]}
        assert shown["hangs"]["halted"] and not shown["hold_long"]["halted"]
        assert (shown["hangs"]["low_sat"], shown["hangs"]["high_sat"]) == (0, 0)
        time.sleep(0.3)  # the page takes another snapshot after so long
    found = modes(house.call("status"))
    mode, reason = found["hangs"]
    assert mode == "halted" and reason.startswith("band: its band: ") and "no answer in time" in reason
    assert found["hold_long"][0] == "active"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    house.finish()
    assert house.call("parity")["controls"] == 1


def test_a_strategy_that_hangs_in_c_ends_the_process_and_is_halted_at_the_third_start(house: House) -> None:
    """No signal handler of Python's runs inside sum(): the kernel's count of processor time ends it."""
    sooner = "import bot.app.alive\nbot.app.alive.LEAST_S = 1  # than thirty seconds\n"
    (house.directory / "stuck.py").write_text(sooner + MODULE.format(deed="sum(__import__('itertools').count())"))
    house.write("hold_long", "stuck")
    set_answer_time(house, "100 ms")
    for _ in range(2):
        process = house.start("max")
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == -signal.SIGXCPU
    found = modes(house.finish())
    assert found["hold_long"][0] == "active"
    assert found["stuck"][0] == "halted" and "the process died 2 times while it was asked" in found["stuck"][1]
    assert house.call("parity")["controls"] == 1


def test_deaths_over_a_band_are_counted_whichever_event_came_last(tmp_path: Path) -> None:
    from bot.daemon import FOR_ITS_BAND

    for times in (1, 2, 3):
        asking = Asking(tmp_path / "a.journal")
        death = asking.last_death() if times > 1 else None
        assert death is None or death == (FOR_ITS_BAND, 1, times - 1)
        asking.begin(40 * times, 0)  # other questions in between were answered
        asking.end()
        asking.begin(FOR_ITS_BAND, 1)
        asking.close()


def test_systemd_is_told_that_it_is_ready_lives_and_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(house.directory / "notify"))
        systemd.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(house.directory / "notify"))
        process = house.start("3600")
        told = [systemd.recv(100).decode() for _ in range(4)]
        process.send_signal(signal.SIGTERM)
        while told[-1] != "STOPPING=1":
            told.append(systemd.recv(100).decode())
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert told[0] == "READY=1" and told.count("READY=1") == 1 and told.count("WATCHDOG=1") >= 3
