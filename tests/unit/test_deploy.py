"""What is under deploy/ starts commands that exist and copies files that are there."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

from bot.app.running import STATUS_EVERY_S
from bot.arguments import EXIT_CODES, build_parser

sys.path.insert(0, "deploy")
import rehearse

UNIT = Path("deploy/fairhash.service").read_text()
CONTAINER = Path("deploy/Containerfile").read_text()


def words_of_unit() -> list[str]:
    (line,) = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    return shlex.split(line)


def test_the_service_and_the_container_start_a_command_that_exists() -> None:
    program, *words = words_of_unit()
    assert Path(program).name == "fairhash"
    assert build_parser().parse_args(words).command == "paper"
    (line,) = re.findall(r"^CMD (\[\"paper.*)$", CONTAINER, re.MULTILINE)
    assert build_parser().parse_args(json.loads(line)).command == "paper"


def test_every_exit_code_that_prevents_a_restart_is_documented() -> None:
    (line,) = re.findall(r"^RestartPreventExitStatus=(.*)$", UNIT, re.MULTILINE)
    documented = set(re.findall(r"^ +([0-9]+) ", EXIT_CODES, re.MULTILINE))
    assert set(line.split()) <= documented
    assert "10" not in line.split()  # a source that failed is worth another start


def test_the_container_copies_what_is_there_and_runs_as_nobody_special() -> None:
    for source in re.findall(r"^COPY (\S+) \S+$", CONTAINER, re.MULTILINE):
        assert Path(source).exists(), source
    assert re.search(r"^USER (?!root)", CONTAINER, re.MULTILINE)


def test_systemd_waits_to_be_told_that_the_daemon_lives() -> None:
    """tests/crash/test_hangs.py shows that it is told, many times in so long."""
    (kind,) = re.findall(r"^Type=(.*)$", UNIT, re.MULTILINE)
    (watchdog,) = re.findall(r"^WatchdogSec=(\d+)min$", UNIT, re.MULTILINE)
    assert kind == "notify" and 60 * int(watchdog) > 100 * STATUS_EVERY_S


def test_the_rehearsal_knows_every_line_of_the_container() -> None:
    """What it does not do is what it says that it does not."""
    found = [word for word, _ in rehearse.instructions()]
    left_out = {"FROM", "USER", "WORKDIR", "VOLUME", "EXPOSE"}
    done = {"RUN", "COPY", "ENTRYPOINT", "CMD", "HEALTHCHECK", "STOPSIGNAL"}
    assert set(found) <= left_out | done and done <= set(found)
    runs = [rest for word, rest in rehearse.instructions() if word == "RUN"]
    assert [rest for rest in runs if shlex.split(rest)[0] not in (*rehearse.SYSTEM, "pip")] == []


def test_the_unit_has_every_section_and_no_key_twice() -> None:
    assert re.findall(r"^\[(\w+)\]$", UNIT, re.MULTILINE) == ["Unit", "Service", "Install"]
    keys = re.findall(r"^([A-Za-z]+)=", UNIT, re.MULTILINE)
    assert len(set(keys)) == len(keys)
