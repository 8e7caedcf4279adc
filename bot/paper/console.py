"""How commands reach a running daemon: a Unix socket beside its journal, one JSON request and one JSON reply a line.

Only the journal's owner may connect: the socket lies in his directory, readable and writable by him alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from bot.errors import FairhashError, JournalError, Problem

MAX_REQUEST: Final = 64 * 1024
PATIENCE_S: Final = 10.0
"""How long a command waits for the daemon's answer."""

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def socket_path(journal: Path) -> Path:
    """Return where the daemon that owns `journal` can be spoken to."""
    return journal.with_name(journal.name + ".sock")


@contextlib.contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """Give a name for `path` that fits the 107 bytes of a socket's address, however deep the directory lies."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


async def serve(journal: Path, answer: Answer) -> asyncio.Server:
    """Return a server that gives `answer`'s reply to each request; a FairhashError is told, not raised."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), PATIENCE_S)
        except (TimeoutError, OSError, ValueError):  # gone, silent, or endless: nobody to answer
            writer.close()
            return
        try:
            writer.write(json.dumps(_reply(line, answer)).encode() + b"\n")
        finally:
            writer.close()  # sends what was written first

    path = socket_path(journal)
    path.unlink(missing_ok=True)  # left by a process that was killed: the journal's lock says that it is gone
    before = os.umask(0o177)
    try:
        with _reachable(path) as name:
            return await asyncio.start_unix_server(talk, name, limit=MAX_REQUEST)
    finally:
        os.umask(before)


def _reply(line: bytes, answer: Answer) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        return {"error": "a request is a JSON object in one line"}
    try:
        return answer(request)
    except FairhashError as error:
        return {"error": str(error)}


def ask(journal: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the daemon's reply, or None if none owns the journal. Raises JournalError for a refusal or a silence."""
    path = socket_path(journal)
    try:
        with _reachable(path) as name, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(name)
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as reader:
                line = reader.readline()
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return None
    except OSError as error:
        what = f"the daemon does not answer: {error.strerror or error}"
        raise JournalError([Problem(str(path), what, "see its log; end it with SIGTERM")]) from error
    reply = json.loads(line) if line.endswith(b"\n") else {"error": "the daemon ended before it answered"}
    if "error" in reply:
        raise JournalError([Problem(str(journal), reply["error"])])
    return dict(reply)
