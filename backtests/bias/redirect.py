"""Whoever opens a file of the run's inputs from here on gets another one; what else is opened is noted.

For a process of its own, made for one changed world and thrown away after it: `lead` exchanges Python's own `open`,
`io.open` and `os.open` for good. A library that opens files in native code (the readers of pyarrow and polars, and so
`pandas.read_parquet`) is not led, and what it opens cannot be noted: that it was loaded is (`native_readers`).
"""

from __future__ import annotations

import builtins
import io
import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_CODE_SUFFIXES: Final = (".py", ".pyc", ".so", ".pth", "METADATA", "entry_points.txt")
_NATIVE_READERS: Final = ("pyarrow", "polars", "duckdb", "h5py", "tables", "sqlite3")
_OWN_PLACES: Final = ("/proc/", "/dev/", "/sys/", "/etc/")


def lead(led: Mapping[str, str]) -> set[str]:
    """Lead opens of each path in `led` to the path that it maps to; return the set in which others are noted, in words.

    Paths are compared as they are on disk, links resolved. Only reading is noted, no code, none of Python's own files.
    """
    places = {os.path.realpath(path): place for path, place in led.items()}
    noted: set[str] = set()
    plain_open, plain_os_open = io.open, os.open

    def place_of(file: Any) -> Any:
        if isinstance(file, int) or not places:
            return file
        try:
            return places.get(os.path.realpath(os.fsdecode(file)), file)
        except (TypeError, ValueError):  # not a path: the real open says so
            return file

    def led_open(file: Any, *rest: Any, **named: Any) -> Any:
        return plain_open(place_of(file), *rest, **named)

    def led_os_open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        return plain_os_open(place_of(path) if dir_fd is None else path, flags, mode, dir_fd=dir_fd)

    own = _places_of_python()
    expected = {*places, *map(os.path.realpath, places.values())}

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes) and not _writes(arguments[2]):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path not in expected and not path.endswith(_CODE_SUFFIXES) and not path.startswith(own):
                noted.add(f"{path} was opened, which this check does not change")
        elif event == "socket.connect":
            noted.add(f"a connection to {arguments[1]} was made, which this check does not change")
        elif event in ("subprocess.Popen", "os.system"):
            noted.add(f"{arguments[0]} was run, and what that read this check does not change")

    builtins.open = led_open
    io.open = led_open
    os.open = led_os_open
    sys.addaudithook(note)
    return noted


def native_readers(led: Mapping[str, str]) -> set[str]:
    """Return in words which loaded libraries read files past `lead`; the run itself reads Parquet with pyarrow."""
    ours = ("pyarrow",) if any(path.endswith(".parquet") for path in led) else ()
    loaded = (name for name in _NATIVE_READERS if name in sys.modules and name not in ours)
    return {f"{name} was loaded, whose own readers this check neither changes nor sees" for name in loaded}


def _writes(flags: Any) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


def _places_of_python() -> tuple[str, ...]:
    """Return the folders whose files belong to Python, its packages and this program."""
    folders = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    ours = Path(__file__).resolve().parents[2]
    folders |= {str(ours / name) for name in ("bot/chain", "bot/history", "backtests/report")}
    return (*_OWN_PLACES, *(f"{os.path.realpath(folder)}/" for folder in folders if folder not in ("", "/")))
