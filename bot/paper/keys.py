"""API keys: who may act for which user. Secrets come from the environment or a private file, and are never shown."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from pathlib import Path
from typing import Final

from bot.core.decide import OWN_NAMES
from bot.errors import ConfigError, Problem

_FIELD: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_SECRET: Final = re.compile(r"[\x21-\x39\x3b-\x7e]{16,128}")
_MAX_BYTES: Final = 64 * 1024


def can_be_user(name: str) -> bool:
    """Return whether a line of keys can be that user's."""
    return bool(_FIELD.fullmatch(name)) and name not in OWN_NAMES


class Key:
    """One key of one user. Its secret is in no repr, text or pickle."""

    __slots__ = ("__secret", "name", "user")

    def __init__(self, user: str, name: str, secret: str) -> None:
        self.user = user
        self.name = name
        self.__secret = secret.encode("ascii")

    def reveal(self) -> str:
        """Return the secret, for whoever signs with it: a client. It must be shown nowhere."""
        return self.__secret.decode("ascii")

    def signs(self, message: bytes, signature: str) -> bool:
        """Return whether `signature` is the hexadecimal HMAC-SHA384 of `message`, compared in constant time."""
        right = hmac.new(self.__secret, message, hashlib.sha384).hexdigest()
        return hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace"))

    def __repr__(self) -> str:
        return f"Key(user={self.user!r}, name={self.name!r})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not written anywhere")


def read_keys(path: Path) -> dict[str, Key]:
    """Return the keys of a private file, by name; raises ConfigError if others may read it or a line is wrong.

    A line is `user:key:secret`; empty lines and lines that begin with # do not count.
    """
    try:
        with open(path, "rb", opener=_no_link) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _refused(str(path), "is not a plain file", "give a file with lines of user:key:secret")
            if status.st_mode & 0o077:
                what = f"has mode {stat.S_IMODE(status.st_mode):04o}: others may read its secrets"
                raise _refused(str(path), what, f"chmod 600 {path}")
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _refused(str(path), f"cannot be read: {error.strerror}", "give a private file of keys") from error
    return parse_keys(content, str(path))


def parse_keys(content: bytes, where: str) -> dict[str, Key]:
    """Return the keys of a document, by name; a problem names line and field, never what stands there."""
    if len(content) > _MAX_BYTES:
        raise _refused(where, f"is longer than {_MAX_BYTES} bytes", "give lines of user:key:secret")
    problems: list[Problem] = []
    keys: dict[str, Key] = {}
    for number, raw in enumerate(content.decode("ascii", "replace").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        parts = line.split(":")
        fault = _fault(parts, keys)
        if fault:
            problems.append(Problem(f"{where}:{number}", fault, "write user:key:secret"))
        else:
            keys[parts[1]] = Key(*parts)
    if not keys and not problems:
        problems.append(Problem(where, "has no key", "write a line user:key:secret"))
    if problems:
        raise ConfigError(problems)
    return keys


def _fault(parts: list[str], keys: dict[str, Key]) -> str:
    if len(parts) != 3:
        return f"has {len(parts)} fields, not 3"
    if not can_be_user(parts[0]):
        return "the user is not 1 to 64 letters, digits or any of _.@-, or is a name of the venue's own"
    if not _FIELD.fullmatch(parts[1]):
        return "the key is not 1 to 64 letters, digits or any of _.@-"
    if not _SECRET.fullmatch(parts[2]):
        return "the secret is not 16 to 128 visible ASCII characters without a colon"
    return "the key is there already" if parts[1] in keys else ""


def _no_link(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _refused(where: str, what: str, remedy: str) -> ConfigError:
    return ConfigError([Problem(where, what, remedy)])
