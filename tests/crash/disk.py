"""A disk that can be watched and made to fail: SQLite's own file layer with every write and sync told to the test.

The standard library's sqlite3 and ctypes share one libsqlite3, so that its default file layer can be wrapped from here,
in process and without a compiler. What was recorded can be cut anywhere and laid out again as files.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

WRITE, SYNC, TRUNCATE, DELETE, CREATE, ACK = "write", "sync", "truncate", "delete", "create", "ack"
IOERR_FSYNC, IOERR_WRITE, FULL = sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_FULL


class Op(NamedTuple):
    """One thing that was done to a file: `at` is an offset, a new size, or what was acknowledged."""

    kind: str
    name: str
    at: int = 0
    content: bytes = b""


_POINTER, _INT = ctypes.c_void_p, ctypes.c_int
_METHODS = "xClose xRead xWrite xTruncate xSync xFileSize xLock xUnlock xCheckReservedLock xFileControl xSectorSize"
_METHODS += " xDeviceCharacteristics xShmMap xShmLock xShmBarrier xShmUnmap xFetch xUnfetch"


class _Methods(ctypes.Structure):
    _fields_ = [("iVersion", _INT), *((name, _POINTER) for name in _METHODS.split())]


class _Vfs(ctypes.Structure):
    _fields_ = [
        *((name, _INT) for name in ("iVersion", "szOsFile", "mxPathname")),
        *((name, _POINTER) for name in ("pNext", "zName", "pAppData", "xOpen", "xDelete")),
        ("rest", _POINTER * 14),
    ]


_OPEN = ctypes.CFUNCTYPE(_INT, _POINTER, ctypes.c_char_p, _POINTER, _INT, _POINTER)
_ERASE = ctypes.CFUNCTYPE(_INT, _POINTER, ctypes.c_char_p, _INT)
_PUT = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _INT, ctypes.c_int64)
_CUT = ctypes.CFUNCTYPE(_INT, _POINTER, ctypes.c_int64)
_FLUSH = ctypes.CFUNCTYPE(_INT, _POINTER, _INT)


class Disk:
    """Records what SQLite does to files; `fault` may answer an error code instead of letting it happen.

    While `is_idle`, nothing is recorded and nothing is really synced: a test that looks at thousands of files need not.
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.is_idle = False
        self.fault: Callable[[Op], int] = lambda op: 0
        self._names: dict[int, str] = {}
        self._keep: list[Any] = []

    def ack(self, number: int) -> None:
        """Note that `number` entries were acknowledged by now."""
        self.ops.append(Op(ACK, "", number))

    def tell(self, op: Op) -> int:
        """Record an operation and return the error to answer, 0 for none."""
        code = self.fault(op)
        if not code and not self.is_idle:
            self.ops.append(op)
        return code

    def wrap(self, original: _Vfs) -> _Vfs:
        """Return a copy of the file layer that tells this disk."""
        wrapped = _Vfs.from_buffer_copy(original)
        open_, erase = _OPEN(original.xOpen), _ERASE(original.xDelete)
        methods: dict[int, _Methods] = {}

        def x_open(vfs: int, name: bytes, file: int, flags: int, out: int) -> int:
            path = name.decode() if name else ""
            fresh = bool(path) and not Path(path).exists()
            code = open_(vfs, name, file, flags, out)
            if code or not path:
                return int(code)
            self._names[file] = Path(path).name
            if fresh:
                self.tell(Op(CREATE, Path(path).name))
            slot = ctypes.cast(file, ctypes.POINTER(_POINTER))
            if slot[0] not in methods:
                methods[slot[0]] = self._methods(ctypes.cast(slot[0], ctypes.POINTER(_Methods)).contents)
            slot[0] = ctypes.addressof(methods[slot[0]])
            return 0

        def x_delete(vfs: int, name: bytes, sync: int) -> int:
            return self.tell(Op(DELETE, Path(name.decode()).name)) or int(erase(vfs, name, sync))

        callbacks = (_OPEN(x_open), _ERASE(x_delete))
        self._keep += [*callbacks, methods, open_, erase]
        wrapped.xOpen, wrapped.xDelete = (ctypes.cast(one, _POINTER).value for one in callbacks)
        return wrapped

    def _methods(self, original: _Methods) -> _Methods:
        copied = _Methods.from_buffer_copy(original)
        put, cut, flush = _PUT(original.xWrite), _CUT(original.xTruncate), _FLUSH(original.xSync)
        names = self._names

        def x_write(file: int, source: int, size: int, offset: int) -> int:
            op = Op(WRITE, names[file], offset, ctypes.string_at(source, size))
            return self.tell(op) or int(put(file, source, size, offset))

        def x_truncate(file: int, size: int) -> int:
            return self.tell(Op(TRUNCATE, names[file], size)) or int(cut(file, size))

        def x_sync(file: int, flags: int) -> int:
            return self.tell(Op(SYNC, names[file])) or (0 if self.is_idle else int(flush(file, flags)))

        callbacks = (_PUT(x_write), _CUT(x_truncate), _FLUSH(x_sync))
        self._keep += [*callbacks, put, cut, flush, copied]
        copied.xWrite, copied.xTruncate, copied.xSync = (ctypes.cast(one, _POINTER).value for one in callbacks)
        return copied


@contextmanager
def watched() -> Iterator[Disk | None]:
    """Give a disk that is told of everything while this lasts; None where sqlite3 has a library of its own."""
    disk, name = Disk(), ctypes.util.find_library("sqlite3")
    if name is None:
        yield None
        return
    library = ctypes.CDLL(name)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    original = library.sqlite3_vfs_find(None)
    wrapped = disk.wrap(original.contents)
    label = ctypes.create_string_buffer(b"watched")
    wrapped.zName = ctypes.cast(label, _POINTER).value
    library.sqlite3_vfs_register(ctypes.byref(wrapped), 1)
    write, sync = os.pwrite, os.fsync

    def pwrite(fd: int, content: bytes, offset: int) -> int:
        disk.tell(Op(WRITE, Path(f"/proc/self/fd/{fd}").readlink().name, offset, content))
        return write(fd, content, offset)

    def fsync(fd: int) -> None:
        disk.tell(Op(SYNC, Path(f"/proc/self/fd/{fd}").readlink().name))
        if not disk.is_idle:
            sync(fd)

    os.pwrite, os.fsync = pwrite, fsync  # the sidecar's
    try:
        yield disk
    finally:
        os.pwrite, os.fsync = write, sync
        library.sqlite3_vfs_register(original, 1)
        library.sqlite3_vfs_unregister(ctypes.byref(wrapped))


Files = dict[str, bytearray]


def after_kill(ops: Sequence[Op], torn: int | None = None, before: Files | None = None) -> Files:
    """Return the files after a kill behind `ops`; of the last write only `torn` bytes have happened, if given.

    What a process has written is with the kernel: a kill takes nothing of it back. `before` is what was there first.
    """
    files: Files = {name: bytearray(content) for name, content in (before or {}).items()}
    for at, op in enumerate(ops):
        content = op.content[:torn] if torn is not None and at == len(ops) - 1 else op.content
        _apply(files, op, content)
    return files


def after_power_loss(ops: Sequence[Op], draw: random.Random) -> Files:
    """Return the files after the power failed behind `ops`: what was not synced is there, gone or torn, by chance."""
    synced = {}
    for at, op in enumerate(ops):
        if op.kind == SYNC:
            synced[op.name] = at
    chance = draw.choice((0.0, 0.3, 0.7))
    files: Files = {}
    for at, op in enumerate(ops):
        if op.kind not in (WRITE, TRUNCATE) or at < synced.get(op.name, -1) or draw.random() < chance:
            _apply(files, op, op.content)
        elif op.kind == WRITE and draw.random() < 0.3:
            _apply(files, op, op.content[: draw.randrange(len(op.content)) // 512 * 512])
    return files


def _apply(files: Files, op: Op, content: bytes) -> None:
    if op.kind == CREATE:
        files[op.name] = bytearray()
    elif op.kind == DELETE:
        files.pop(op.name, None)
    elif op.kind == TRUNCATE:
        file = files.setdefault(op.name, bytearray())
        del file[op.at :]
        file.extend(bytes(op.at - len(file)))
    elif op.kind == WRITE:
        file = files.setdefault(op.name, bytearray())
        file.extend(bytes(max(op.at - len(file), 0)))
        file[op.at : op.at + len(content)] = content


def lay_out(files: Files, directory: Path) -> None:
    """Write files to a directory in place of what was there."""
    for left in directory.iterdir():
        if left.name not in files:
            left.unlink()
    for name, content in files.items():
        (directory / name).write_bytes(content)
