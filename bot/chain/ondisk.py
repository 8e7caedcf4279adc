"""The form of the bundled figures: plain text that a person can read, diff and check with `sha256sum -c`.

| file             | content                                                                                   |
|------------------|-------------------------------------------------------------------------------------------|
| `blocks.txt`     | `fairhash-blocks-1 from_s=.. to_s=.. before_s=..`, then a line for up to 144 blocks:        |
|                  | `height bits time step step ...`                                                          |
| `epochs.csv`     | `number,first_height,start_s,time_is_exact,bits`, a line for each difficulty epoch        |
| `fees.csv`       | `day,blocks,fees_sat`, a line for each UTC day, without gaps                              |
| `PROVENANCE.txt` | where the figures come from and the command that remakes them                             |
| `SHA256SUMS`     | digests of the four, in the format of `sha256sum`                                         |

Why this form: heights are consecutive and bits change once in 2,016 blocks, so a block is only the signed
difference of its header time to the one before, 4 characters instead of 30. A line starts at a multiple of
144 (a day's worth, and 14 lines make an epoch) with height, bits and time in full, so a damaged line is
found where it is. A binary or compressed file would save some 56 kB and show nothing to a reader or to git.
There is one way to write the figures (`render_*`), so equal figures are equal bytes.

Times are whole seconds UTC. Parsers take ASCII digits, small hexadecimal, `-`, `\n` and nothing else: no CR,
no byte-order mark, no `1_0`. They raise ChainError with file:line.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

from bot.chain.difficulty import target_from_bits
from bot.errors import ChainError, Problem

BLOCKS: Final = "blocks.txt"
EPOCHS: Final = "epochs.csv"
FEES: Final = "fees.csv"
PROVENANCE: Final = "PROVENANCE.txt"
SUMS: Final = "SHA256SUMS"
FILES: Final = (BLOCKS, EPOCHS, FEES, PROVENANCE)
BLOCKS_PER_LINE: Final = 144
MAX_BYTES: Final = 256 * 2**20
"""More than three million headers; a larger file is none of ours."""
EPOCHS_HEAD: Final = "number,first_height,start_s,time_is_exact,bits"
FEES_HEAD: Final = "day,blocks,fees_sat"
REMAKE: Final = "restore it, or remake the figures with the command in PROVENANCE.txt"
_HEAD = re.compile(r"fairhash-blocks-1 from_s=(\d{1,10}) to_s=(\d{1,10}) before_s=(\d{1,10})", re.ASCII)
_EPOCH = re.compile(r"(\d{1,5}),(\d{1,9}),(\d{1,10}),([01]),(0x[0-9a-f]{8})", re.ASCII)
_FEE = re.compile(r"(\d{4}-\d\d-\d\d),(\d{1,4}),(\d{1,16})", re.ASCII)
_SUM = re.compile(r"([0-9a-f]{64})  (\S+)", re.ASCII)
_DAY_ZERO: Final = date(1970, 1, 1).toordinal()


class Epoch(NamedTuple):
    """One difficulty epoch: `bits` hold for 2,016 blocks from `first_height`, whose header time is `start_s`.

    `time_is_exact` is false where the source derived the time instead of reading it from the header.
    """

    number: int
    first_height: int
    start_s: int
    time_is_exact: bool
    bits: int

    @property
    def target(self) -> int:
        """The proof-of-work target that `bits` encode."""
        return target_from_bits(self.bits)


class FeeDay(NamedTuple):
    """All fees of the blocks whose header time lies in the UTC day `day` (days since 1970-01-01), in satoshi."""

    day: int
    blocks: int
    fees_sat: int


class BlockTimes(NamedTuple):
    """Header times (s) and bits of consecutive blocks from `first_height` on.

    They are all blocks whose effective time (running maximum) lies in [from_s, to_s); `before_s` is the
    effective time of the block before the first, without which the first interval would be unknown.
    """

    from_s: int
    to_s: int
    before_s: int
    first_height: int
    times_s: list[int]
    bits: list[int]


class Source(NamedTuple):
    """A file that figures came from: its name without folders, and its SHA-256 in hexadecimal."""

    name: str
    sha256: str


def day_text(day: int) -> str:
    """Return days since 1970-01-01 as an ISO date.

    >>> day_text(16283)
    '2014-08-01'
    """
    return date.fromordinal(_DAY_ZERO + day).isoformat()


def day_number(day: date) -> int:
    """Return a date as days since 1970-01-01; times `S_PER_DAY` it is the day's first second in UTC."""
    return day.toordinal() - _DAY_ZERO


def refuse(where: str, what: str, remedy: str = REMAKE) -> ChainError:
    """Return the ChainError of one problem, to be raised."""
    return ChainError([Problem(where, what, remedy)])


def render_blocks(blocks: BlockTimes) -> bytes:
    """Return the content of `blocks.txt`."""
    lines = [f"fairhash-blocks-1 from_s={blocks.from_s} to_s={blocks.to_s} before_s={blocks.before_s}"]
    times_s, count = blocks.times_s, len(blocks.times_s)
    start = 0
    while start < count:
        height = blocks.first_height + start
        end = min(count, start + BLOCKS_PER_LINE - height % BLOCKS_PER_LINE)
        steps = (times_s[i] - times_s[i - 1] for i in range(start + 1, end))
        lines.append(" ".join([str(height), f"{blocks.bits[start]:08x}", str(times_s[start]), *map(str, steps)]))
        start = end
    return _bytes(lines)


def render_epochs(epochs: Iterable[Epoch]) -> bytes:
    """Return the content of `epochs.csv`."""
    rows = (f"{e.number},{e.first_height},{e.start_s},{int(e.time_is_exact)},{e.bits:#010x}" for e in epochs)
    return _bytes([EPOCHS_HEAD, *rows])


def render_fees(fees: Iterable[FeeDay]) -> bytes:
    """Return the content of `fees.csv`."""
    return _bytes([FEES_HEAD, *(f"{day_text(f.day)},{f.blocks},{f.fees_sat}" for f in fees)])


def render_sums(contents: dict[str, bytes]) -> bytes:
    """Return the content of `SHA256SUMS` for files by name."""
    return _bytes([f"{hashlib.sha256(raw).hexdigest()}  {name}" for name, raw in contents.items()])


def _bytes(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode("ascii")


def _lines(raw: bytes, where: str) -> list[str]:
    """Return the lines of a file that must be ASCII and end in a newline."""
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise refuse(f"{where}:{line}", f"byte {raw[error.start]:#04x} is not ASCII") from error
    if "\r" in text:
        raise refuse(f"{where}:{text[: text.index(chr(13))].count(chr(10)) + 1}", "carriage return in the line")
    if not text.endswith("\n"):
        raise refuse(f"{where}:{text.count(chr(10)) + 1}", "the file does not end in a newline: it is truncated")
    return text[:-1].split("\n")


def parse_blocks(raw: bytes, where: str) -> BlockTimes:
    """Return the blocks that `raw`, the content of `blocks.txt`, holds; `where` is its name for messages."""
    lines = _lines(raw, where)
    head = _HEAD.fullmatch(lines[0])
    if head is None:
        raise refuse(f"{where}:1", f"first line {lines[0][:60]!r} is not that of a fairhash-blocks-1 file")
    times_s: list[int] = []
    bits: list[int] = []
    first_height = height = -1
    for number, line in enumerate(lines[1:], 2):
        if line.translate(_BLOCK_CHARACTERS):
            raise refuse(f"{where}:{number}", "a character other than 0-9, a-f, '-' and the space between")
        try:
            height_text, bits_text, *steps = line.split(" ")
            own_height, own_bits, own_times = int(height_text), int(bits_text, 16), list(map(int, steps))
        except ValueError as error:
            raise refuse(f"{where}:{number}", f"is not `height bits time step step ...`: {error}") from error
        if first_height < 0:
            first_height = height = own_height
        if own_height != height or not 0 < len(own_times) <= BLOCKS_PER_LINE - height % BLOCKS_PER_LINE:
            what = f"{len(own_times)} blocks from height {own_height}, expected height {height}, up to a multiple"
            raise refuse(f"{where}:{number}", f"{what} of {BLOCKS_PER_LINE}")
        times_s += accumulate(own_times)
        bits += [own_bits] * len(own_times)
        height += len(own_times)
    if not times_s:
        raise refuse(f"{where}:1", "no blocks follow")
    from_s, to_s, before_s = map(int, head.groups())
    if not before_s < from_s <= times_s[0] or min(times_s) < 0 or max(times_s) >= to_s:
        what = f"times {times_s[0]} (first), {min(times_s)}..{max(times_s)} s, {before_s} s before them, do not lie in"
        raise refuse(f"{where}:1", f"{what} [{from_s}, {to_s}) s")
    return BlockTimes(from_s, to_s, before_s, first_height, times_s, bits)


_BLOCK_CHARACTERS: Final = dict.fromkeys(map(ord, "0123456789abcdef -"))


def parse_epochs(raw: bytes, where: str) -> tuple[Epoch, ...]:
    """Return the epochs that `raw`, the content of `epochs.csv`, holds: consecutive, in order of time."""
    epochs: list[Epoch] = []
    for line, (number, height, start_s, exact, bits) in _rows(raw, where, EPOCHS_HEAD, _EPOCH):
        epoch = Epoch(int(number), int(height), int(start_s), exact == "1", int(bits, 16))
        if epochs and epoch.number != epochs[-1].number + 1:
            raise refuse(f"{where}:{line}", f"epoch {number} follows epoch {epochs[-1].number}")
        if epochs and epoch.start_s <= epochs[-1].start_s:
            raise refuse(f"{where}:{line}", f"epoch {number} starts at {start_s} s, not after the one before")
        epochs.append(epoch)
    return tuple(epochs)


def parse_fees(raw: bytes, where: str) -> tuple[FeeDay, ...]:
    """Return the daily fees that `raw`, the content of `fees.csv`, holds: consecutive days; there may be none."""
    fees: list[FeeDay] = []
    for line, (day, blocks, fees_sat) in _rows(raw, where, FEES_HEAD, _FEE):
        try:
            number = day_number(date.fromisoformat(day))
        except ValueError as error:
            raise refuse(f"{where}:{line}", f"day {day!r}: {error}") from error
        if fees and number != fees[-1].day + 1:
            raise refuse(f"{where}:{line}", f"day {day} follows {day_text(fees[-1].day)}: out of order or a gap")
        fees.append(FeeDay(number, int(blocks), int(fees_sat)))
    return tuple(fees)


def _rows(raw: bytes, where: str, head: str, row: re.Pattern[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Return line number and fields of every row of a table under `head`."""
    lines = _lines(raw, where)
    if lines[0] != head:
        raise refuse(f"{where}:1", f"first line {lines[0][:60]!r} is not {head!r}")
    rows: list[tuple[int, tuple[str, ...]]] = []
    for number, line in enumerate(lines[1:], 2):
        match = row.fullmatch(line)
        if match is None:
            raise refuse(f"{where}:{number}", f"row {line[:60]!r} is not a row of {head!r}")
        rows.append((number, match.groups()))
    return rows


def read_checked(directory: Path) -> tuple[dict[str, bytes], tuple[Source, ...]]:
    """Return the contents of the figures' files by name, each equal to its digest in `SHA256SUMS`, and the digests.

    Raises ChainError for a file that is missing, changed, or not listed exactly once.
    """
    sums = read_regular(directory / SUMS)
    listed: dict[str, str] = {}
    for number, line in enumerate(_lines(sums, str(directory / SUMS)), 1):
        match = _SUM.fullmatch(line)
        if match is None or match[2] in listed or match[2] not in FILES:
            raise refuse(f"{directory / SUMS}:{number}", f"{line[:80]!r} is not a digest of one of {', '.join(FILES)}")
        listed[match[2]] = match[1]
    contents: dict[str, bytes] = {}
    for name in FILES:
        raw = read_regular(directory / name)
        digest = hashlib.sha256(raw).hexdigest()
        if digest != listed.get(name):
            raise refuse(str(directory / name), f"its sha256 is {digest}, {SUMS} says {listed.get(name, 'nothing')}")
        contents[name] = raw
    return contents, tuple(Source(name, listed[name]) for name in FILES)


def read_regular(path: Path, remedy: str = REMAKE) -> bytes:
    """Return the bytes of a regular file of at most MAX_BYTES; a pipe or a device would block or never end.

    Raises ChainError with the `remedy`.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise refuse(str(path), "is not a regular file", remedy)
        if status.st_size > MAX_BYTES:
            raise refuse(str(path), f"has {status.st_size} bytes, more than {MAX_BYTES}", remedy)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise refuse(str(path), f"cannot be read: {reason}", remedy) from error
