"""Where machine code is kept between runs: in the user's cache directory, a directory for each version of the sources.

The name of a directory is a digest of everything its machine code was made from, the processor among it. So nothing is
ever out of date, a package may be read-only, and processes that start at once write the same content to one place.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from bot import core, trader
from strategies import view

MOST_KEPT: Final = 100
"""So many versions of machine code are kept, of some 0.4 MB each."""
_OURS: Final = re.compile("[0-9a-f]{32}")
OURS = (
    *Path(core.__file__ or "").parent.glob("*.py"),
    *Path(__file__).parent.glob("*.py"),
    Path(view.__file__),
    Path(trader.__file__),
)


def home() -> Path:
    """Return the directory that holds all machine code: NUMBA_CACHE_DIR if it is set, else the user's cache."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fairhash" / "machine-code"


def digest(functions: Iterable[Callable[..., Any]], layout: str) -> str:
    """Return the name for machine code made from our sources, `functions` and their `layout` of parameters."""
    import llvmlite
    import numba
    from llvmlite.binding import get_host_cpu_features, get_host_cpu_name

    parts = hashlib.sha256()
    made_by = (sys.version, numba.__version__, llvmlite.__version__, get_host_cpu_name())
    for text in (*made_by, get_host_cpu_features().flatten(), layout):
        parts.update(text.encode() + b"\0")
    for path in sorted(OURS):
        parts.update(path.read_bytes())
    for function in functions:
        _add(parts, function.__code__)
        parts.update(repr((function.__defaults__, function.__kwdefaults__)).encode())
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        named = [function.__globals__[name] for name in sorted(_names(function.__code__) & set(function.__globals__))]
        for value in (*cells, *named):
            parts.update(_content(value))
    return parts.hexdigest()[:32]


def _names(code: CodeType) -> set[str]:
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)


def _add(parts: Any, code: CodeType) -> None:
    parts.update(code.co_code + repr(code.co_names).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _add(parts, constant)
        else:
            parts.update(repr(constant).encode())


def _content(value: Any) -> bytes:
    """Return what a name stands for: of a module or what one defines its whole file, of a value the value."""
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    path = Path(getattr(sys.modules.get(name or ""), "__file__", None) or "")
    content = path.read_bytes() if path.is_file() else b""
    if isinstance(value, ModuleType | type | FunctionType):
        return content
    try:
        return content + pickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever cannot be pickled is told apart by how it looks
        return content + repr(value).encode()


def _forget_oldest(place: Path) -> None:
    """Keep the MOST_KEPT directories that were used last; others of ours go, and are made anew if they are wanted."""
    ours = [path for path in place.iterdir() if _OURS.fullmatch(path.name)]
    for path in sorted(ours, key=_used_ns, reverse=True)[MOST_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)  # another process may be at it too


def _used_ns(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@contextmanager
def kept_in(directory: Path) -> Iterator[bool]:
    """Let functions that are declared inside keep their machine code in `directory`; False if it cannot be written."""
    from numba import config

    before = config.CACHE_DIR
    try:
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            _forget_oldest(directory.parent)
        directory.touch()
        writable = os.access(directory, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    config.CACHE_DIR = str(directory)
    try:
        yield writable
    finally:
        config.CACHE_DIR = before
