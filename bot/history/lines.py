"""A history file as comments, column names and blocks of row texts, read piece by piece within bounds.

Text is ASCII with bare line feeds, the last line ended as well: a missing line end is how a file that was
cut off looks. Nothing here knows what a row means; `bot.history.reading` does.
"""

from __future__ import annotations

import hashlib
import io
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from bot.errors import HistoryError, Problem
from bot.history.fields import quoted

if TYPE_CHECKING:
    from gzip import GzipFile

MAX_BYTES = 512 * 2**20
MAX_ROWS = 2_000_000
BLOCK_BYTES = 256 * 2**10
BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
SUFFIXES = (".csv", ".csv.gz", ".parquet")


@dataclass(slots=True)
class Comment:
    """One leading `# key: value` and the line that it stands in."""

    line: int
    text: str


@dataclass(slots=True)
class Table:
    """An opened history file. `blocks` yields (number of its first line, texts); `hash` is whole once they end."""

    path: str
    comments: dict[str, Comment]
    header_line: int
    columns: tuple[str, ...]
    blocks: Iterator[tuple[int, list[str]]]
    hash: hashlib._Hash


def refuse(path: str, line: int, what: str, remedy: str = "") -> NoReturn:
    """Raise the HistoryError of one problem at `line` of `path`; line 0 stands for the file as a whole."""
    raise HistoryError([Problem(f"{path}:{line}" if line else path, what, remedy)])


def open_table(path: str | Path) -> Table:
    """Open a CSV, gzipped CSV or Parquet file by its suffix; raises HistoryError, also while its blocks are read."""
    name = str(path)
    file = Path(path)
    if not name.endswith(SUFFIXES):
        refuse(name, 0, f"unknown kind of file: {file.suffix or 'no suffix'!r}", f"known: {', '.join(SUFFIXES)}")
    try:
        status = file.stat()
    except (OSError, ValueError) as fault:
        refuse(name, 0, f"cannot be read: {getattr(fault, 'strerror', None) or fault}", "check the path")
    if not stat.S_ISREG(status.st_mode):
        refuse(name, 0, "is not a regular file", "give the path of a file")
    if status.st_size > MAX_BYTES:
        refuse(name, 0, f"has {status.st_size} bytes, more than {MAX_BYTES}", "split it or take longer bars")
    if name.endswith(".parquet"):
        from bot.history.parquet import open_parquet  # pyarrow is slow to import

        return open_parquet(file, name)
    return _open_csv(file, name)


def nearest(word: str, known: tuple[str, ...]) -> str:
    """Return `did you mean ...?` for the nearest known word, or an empty text."""
    from difflib import get_close_matches  # only a refusal needs it

    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word.strip().lower(), by_lower, n=1, cutoff=0.6)
    return f"did you mean {by_lower[close[0]]}?" if close else ""


class _HashingReader(io.RawIOBase):
    """Reads through to a file and hashes what passes: the file is read once and cannot change in between."""

    def __init__(self, file: IO[bytes], digest: hashlib._Hash) -> None:
        self.file = file
        self.digest = digest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self.file.read(size)
        self.digest.update(piece)
        return piece


def _open_csv(file: Path, name: str) -> Table:
    digest = hashlib.sha256()
    blocks = _text_blocks(_pieces(file, name, digest), name)
    comments: dict[str, Comment] = {}
    for first, lines in blocks:
        for index, text in enumerate(lines):
            line = first + index
            if not text.startswith("#"):
                rest = chain([(line + 1, lines[index + 1 :])], blocks)
                return Table(name, comments, line, tuple(text.split(",")), rest, digest)
            key, _, value = text[1:].partition(":")
            if key.strip() in comments and value:
                refuse(name, line, f"comment {quoted(key.strip())} stands twice", "keep one of them")
            comments[key.strip()] = Comment(line, value.strip())
        break
    refuse(name, 1, "has no header line", "begin with time,open,... or time,bid,... or time,asset,...")


def _pieces(file: Path, name: str, digest: hashlib._Hash) -> Iterator[bytes]:
    """Yield the uncompressed bytes of a file in blocks, hashing its stored bytes."""
    with file.open("rb") as raw:
        source: _HashingReader | GzipFile = _HashingReader(raw, digest)
        if name.endswith(".gz"):
            import gzip  # only for compressed files

            source = gzip.GzipFile(fileobj=source, mode="rb")
        while piece := source.read(BLOCK_BYTES):
            yield piece


def _text_blocks(pieces: Iterator[bytes], name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line number, lines) with every line whole; raises HistoryError at the line that is at fault."""
    rest = b""
    line, total = 1, 0
    while True:
        try:
            piece = next(pieces, b"")
        except (EOFError, OSError, zlib.error) as fault:
            refuse(name, line, f"cannot be read on: {fault}", "the file is cut off or damaged: fetch it again")
        if not piece:
            break
        total += len(piece)
        if total == len(piece) and piece.startswith(BYTE_ORDER_MARKS):
            refuse(name, 1, "begins with a byte order mark", "save it as plain ASCII without a BOM")
        if total > MAX_BYTES:
            refuse(name, line, f"has more than {MAX_BYTES} bytes", "split it or take longer bars")
        piece = rest + piece
        end = piece.rfind(b"\n")
        if end < 0:
            if len(piece) > BLOCK_BYTES:
                refuse(name, line, f"line is longer than {BLOCK_BYTES} bytes", "is this a CSV file?")
            rest = piece
            continue
        rest = piece[end + 1 :]
        lines = _decoded(piece[:end], name, line)
        yield line, lines
        line += len(lines)
    if rest:
        _decoded(rest, name, line)
        refuse(name, line, "the last line has no line end", "the file may be cut off; end it with a line feed")


def _decoded(block: bytes, name: str, line: int) -> list[str]:
    if b"\r" in block:
        at = line + block.count(b"\n", 0, block.index(b"\r"))
        refuse(name, at, "has a carriage return", "use bare line feeds as line ends")
    try:
        return block.decode("ascii").split("\n")
    except UnicodeDecodeError as fault:
        at = line + block.count(b"\n", 0, fault.start)
        refuse(name, at, f"byte 0x{block[fault.start]:02x} is not ASCII", "use ASCII digits and letters only")
