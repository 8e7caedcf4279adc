"""The container's steps by hand, where nothing can build one: `python3.12 deploy/rehearse.py`. Prints what it did.

It reads deploy/Containerfile itself, so that it cannot drift from it: COPY puts the files that git knows into an empty
tree, `RUN pip` runs in a fresh virtual environment, and ENTRYPOINT with CMD is started, looked at by the HEALTHCHECK
and ended by the STOPSIGNAL, twice, with /data beside that tree. Not rehearsed: the base image, the user, the isolation.
An argument is the page's port, where 8020 is taken.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SYSTEM = ("useradd",)
"""Commands that would change this machine."""
CONFIG = """\
contract: {tree}/contracts/TH1BTC-2014Q4.yaml
history:
  market: {tree}/backtests/history/TH1BTC-2014Q4-quotes.csv
  swap_rates: {tree}/backtests/history/TH1BTC-2014Q4-swap-rates.csv
dashboard: {{port: {port}}}
strategies: [{{use: hold_long}}, {{use: fair_value_band}}]
"""


def instructions() -> list[tuple[str, str]]:
    """Return (word, rest) of each instruction of the Containerfile, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "deploy/Containerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def known_files() -> list[str]:
    """Return what git knows, as far as it is there: the context without what Containerfile.dockerignore names."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def copy(source: str, target: Path) -> None:
    """Do what COPY does."""
    names = [name for name in known_files() if source == "." or name == source or name.startswith(f"{source}/")]
    for name in names:
        place = target / name if source == "." else target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place)
    print(f"COPY {source}: {len(names)} files")


def run(rest: str, tree: Path, environment: dict[str, str]) -> None:
    """Do what RUN does, unless it would change this machine."""
    if shlex.split(rest)[0] in SYSTEM:
        print(f"left out: RUN {rest}")
        return
    began = time.monotonic()
    subprocess.run(rest, shell=True, cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL)
    print(f"RUN {rest[:60]}...: {time.monotonic() - began:.0f} s")


def serve(words: list[str], look: list[str], environment: dict[str, str], tree: Path, end: signal.Signals) -> None:
    """Start the container's command, wait until it says that it is well, and end it in order."""
    began = time.monotonic()
    process = subprocess.Popen(words, env=environment, cwd=tree, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        while subprocess.run(look, env=environment, stderr=subprocess.DEVNULL).returncode:
            if process.poll() is not None or time.monotonic() - began > 60:
                raise SystemExit("it was never well")
            time.sleep(0.2)
        print(f"healthy after {time.monotonic() - began:.1f} s")
        process.send_signal(end)
        _, log = process.communicate(timeout=30)
    finally:
        process.kill()
    found = next((json.loads(line)["events"] for line in log.splitlines() if b'"recovered"' in line), None)
    print(f"began with {found} events in its journal; {end.name}: left with {process.returncode}")
    if process.returncode:
        raise SystemExit(1)


def main() -> None:
    """Rehearse in a temporary directory, which is removed."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8020
    with tempfile.TemporaryDirectory() as place:
        tree, data = Path(place) / "opt/fairhash", Path(place) / "data"
        tree.mkdir(parents=True)
        data.mkdir()
        subprocess.run([sys.executable, "-m", "venv", str(Path(place) / "image")], check=True)
        image = Path(place) / "image/bin"
        environment = {"PATH": f"{image}:{os.environ['PATH']}", "HOME": str(data), "LANG": "C.UTF-8"}
        environment |= {name: value for name, value in os.environ.items() if name.upper().startswith("PIP_")}
        said = dict(instructions())
        print(f"FROM {said['FROM']}: here Python {sys.version.split()[0]} in a fresh environment")
        subprocess.run([str(image / "pip"), "install", "--quiet", "--upgrade", "pip"], env=environment, check=True)
        for word, rest in instructions():
            if word == "COPY":
                source, target = rest.split()
                copy(source, tree / target)
            elif word == "RUN":
                run(rest, tree, environment)
        (data / "config.yaml").write_text(CONFIG.format(tree=tree, port=port))
        words = json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"])
        words = [str(image / words[0]), *(word.replace("/data", str(data)) for word in words[1:])]
        look = json.loads(said["HEALTHCHECK"].partition("CMD ")[2].replace("8020", str(port)))
        look[0] = str(image / look[0])
        for _ in range(2):
            serve(words, look, environment, tree, signal.Signals[said["STOPSIGNAL"]])


if __name__ == "__main__":
    main()
