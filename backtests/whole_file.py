"""One file, written whole or not at all."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bot.errors import OutputError, Problem


def refuse_file(path: Path) -> None:
    """Raise OutputError if `path` cannot become a file: its directory is not there, or it is one. Ask before a run."""
    if path.is_dir():
        raise _refused(path, "is a directory", "name a file in it")
    if not path.parent.is_dir():
        raise _refused(path, f"there is no directory {path.parent}", "make it, or name another place")


def write_file(path: Path, body: bytes) -> None:
    """Write `body` to `path`. Raises OutputError; what was there before is then still there, and nothing beside it."""
    in_place = path.exists() and not path.is_file()  # a terminal, a pipe: nothing may take its place
    scratch = path if in_place else path.with_name(f".{path.name}.new")
    try:
        scratch.write_bytes(body)
        scratch.replace(path)
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise _refused(path, what, "free space, or choose another place, and start again") from error
    finally:
        if not in_place:
            with suppress(OSError):  # after a success it is gone
                scratch.unlink()


def _refused(path: Path, what: str, remedy: str) -> OutputError:
    return OutputError([Problem(str(path), what, remedy)])
