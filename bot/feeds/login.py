"""A node's user and password: from the environment or a private file, and never into a message."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bot.errors import ConfigError, Problem

VARIABLE: Final = "FAIRHASH_NODE_LOGIN"
MAX_BYTES: Final = 1024


class Login:
    """Reads user and password afresh whenever they are needed: a node makes a new cookie at every start."""

    __slots__ = ("_environ", "_path")

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = environ

    def __repr__(self) -> str:
        return "Login(...)"

    def read(self) -> tuple[str, str] | None:
        """Return (user, password), the environment's first; None if there is neither.

        Raises ConfigError for a file that cannot be read, that others than its owner may read, or that holds something
        else than `user:password` in one line.
        """
        if VARIABLE in self._environ:
            return _split(self._environ[VARIABLE], f"${VARIABLE}")
        if self._path is None:
            return None
        return _split(_private_text(self._path), str(self._path))


def _private_text(path: Path) -> str:
    """Return the text of a small regular file that only its owner may read."""
    try:
        # Not blocking on a pipe, and looking at what was opened: it cannot be exchanged after the look.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _refused(str(path), f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(str(path), "is not a regular file")
        if status.st_mode & 0o077:
            what = f"mode {stat.S_IMODE(status.st_mode):04o} lets others than its owner read it"
            raise _refused(str(path), what, f"chmod 600 {path.name}, and change the password")
        raw = os.read(handle, MAX_BYTES + 1)
    finally:
        os.close(handle)
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise _refused(str(path), "is not ASCII text") from error


def _split(text: str, where: str) -> tuple[str, str]:
    user, colon, password = text.removesuffix("\n").partition(":")
    if not (colon and user and password and text.isascii() and text.removesuffix("\n").isprintable()):
        raise _refused(where, "does not hold user:password in one line")
    if len(text) > MAX_BYTES:
        raise _refused(where, f"is longer than {MAX_BYTES} bytes")
    return user, password


def _refused(where: str, what: str, remedy: str = "name the node's .cookie, or write user:password") -> ConfigError:
    return ConfigError([Problem(where, what, remedy)])
