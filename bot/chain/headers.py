"""Raw 80-byte block headers, read and fully verified: nothing is believed that can be computed.

Layout, little-endian (Bitcoin Core `src/primitives/block.h`): version 4, hash of the previous header 32,
Merkle root 32, time 4, bits 4, nonce 4 bytes. A header's hash is its double SHA-256.

Checked for each header: proof of work; link to the one before; bits constant within an epoch and, where the
epoch's first header is in the range, equal to the retarget rule's at its end; time above the median of the
eleven before it (`src/validation.cpp` ContextualCheckBlockHeader). Not checkable from headers alone: that the
first header is on the best chain and at the height stated, the bits of the first epoch, and any transaction.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from bot.chain.difficulty import BLOCKS_PER_EPOCH, MAX_TARGET, bits_from_target, next_target, target_from_bits
from bot.chain.ondisk import read_regular
from bot.errors import ChainError, Problem

HEADER_BYTES: Final = 80
MEDIAN_SPAN: Final = 11
"""nMedianTimeSpan of `src/chain.h`."""
MAX_PROBLEMS: Final = 20
_FIELDS: Final = struct.Struct("<4x32s32xII4x")  # previous hash, time, bits: all that is used besides the hash


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers that passed: header `i` has height `first_height + i`; times in seconds UTC.

    `first_hash` and `last_hash` are hexadecimal in the usual (reversed) order, to compare with a block explorer.
    `retargets_verified` counts epoch starts whose bits were recomputed, `retargets_open` those whose preceding
    epoch begins before the file.
    """

    name: str
    sha256: str
    first_height: int
    times_s: tuple[int, ...]
    bits: tuple[int, ...]
    first_hash: str
    last_hash: str
    retargets_verified: int
    retargets_open: int


class _Columns(NamedTuple):
    """The fields of all headers, unverified."""

    name: str
    first_height: int
    max_target: int
    retargets: bool
    hashes: list[bytes]
    previous: list[bytes]
    times_s: list[int]
    bits: list[int]

    def where(self, index: int) -> str:
        return f"{self.name}: byte {index * HEADER_BYTES}, height {self.first_height + index}"


def read(path: Path, first_height: int, max_target: int = MAX_TARGET) -> Headers:
    """Return the verified headers of the file `path`, whose first one is at `first_height`.

    Raises ChainError when the file cannot be read, and for all that `verify` refuses.
    """
    return verify(read_regular(path, "name a file of raw headers"), first_height, str(path), max_target)


def verify(raw: bytes, first_height: int, name: str, max_target: int = MAX_TARGET, retargets: bool = True) -> Headers:
    """Return the headers in `raw` after every check of the module docstring; `name` is the file's, for messages.

    `max_target` is the easiest target allowed, `retargets` whether difficulty ever changes; only a chain made for tests
    has others than Bitcoin's (`bot.chain.network`).
    Raises ChainError with up to 20 problems in file order, each with byte offset and height.
    """
    if first_height < 0:
        raise ChainError([Problem(name, f"first height {first_height} is below 0", "state the first header's height")])
    whole, rest = divmod(len(raw), HEADER_BYTES)
    if rest or not whole:
        what = f"{len(raw)} bytes are {whole} headers of {HEADER_BYTES} and {rest} bytes more" if raw else "is empty"
        remedy = "the file is truncated or has trailing bytes: fetch it again"
        raise ChainError([Problem(f"{name}: byte {whole * HEADER_BYTES}", what, remedy)])
    columns = _columns(raw, first_height, name, max_target, retargets)
    problems = list(islice(_problems(columns), MAX_PROBLEMS))
    if problems:
        raise ChainError(problems)
    starts = range(-first_height % BLOCKS_PER_EPOCH, whole, BLOCKS_PER_EPOCH)  # indices of epochs' first headers
    verified = sum(start >= BLOCKS_PER_EPOCH for start in starts)
    return Headers(
        name=name,
        sha256=hashlib.sha256(raw).hexdigest(),
        first_height=first_height,
        times_s=tuple(columns.times_s),
        bits=tuple(columns.bits),
        first_hash=columns.hashes[0][::-1].hex(),
        last_hash=columns.hashes[-1][::-1].hex(),
        retargets_verified=verified,
        retargets_open=len(starts) - verified - (first_height == 0),
    )


def _columns(raw: bytes, first_height: int, name: str, max_target: int, retargets: bool) -> _Columns:
    sha256 = hashlib.sha256
    hashes = [sha256(sha256(raw[at : at + HEADER_BYTES]).digest()).digest() for at in range(0, len(raw), HEADER_BYTES)]
    previous, times_s, bits = map(list, zip(*_FIELDS.iter_unpack(raw), strict=True))
    return _Columns(name, first_height, max_target, retargets, hashes, previous, times_s, bits)


def _problems(columns: _Columns) -> Iterator[Problem]:
    """Yield what is wrong, in file order."""
    targets: dict[int, int] = {}  # a value of bits stands for two weeks of headers: decode it once
    hashes, previous, times_s, bits = columns.hashes, columns.previous, columns.times_s, columns.bits
    for index, own_bits in enumerate(bits):
        target = targets.get(own_bits)
        if target is None:
            try:
                target = target_from_bits(own_bits, columns.where(index), columns.max_target)
            except ChainError as error:
                yield from error.problems
                continue
            targets[own_bits] = target
        if int.from_bytes(hashes[index], "little") > target:
            what = f"hash {hashes[index][::-1].hex()} is above its target {target:064x}: no proof of work"
            yield Problem(columns.where(index), what, "a bit of this header was changed: fetch it again")
        if index and previous[index] != hashes[index - 1]:
            yield _broken_link(columns, index)
        yield from _bits_problem(columns, index)
        if index >= MEDIAN_SPAN:
            median_s = sorted(times_s[index - MEDIAN_SPAN : index])[MEDIAN_SPAN // 2]
            if times_s[index] <= median_s:
                what = f"time {times_s[index]} s is not above the median {median_s} s of the {MEDIAN_SPAN} before it"
                yield Problem(columns.where(index), what, "no node accepts such a header: fetch it again")


def _bits_problem(columns: _Columns, index: int) -> Iterator[Problem]:
    """Yield a problem when the bits are not those that the headers before demand; nothing when these cannot tell."""
    bits, times_s = columns.bits, columns.times_s
    if (columns.first_height + index) % BLOCKS_PER_EPOCH or not columns.retargets:
        if index and bits[index] != bits[index - 1]:
            what = f"bits {bits[index]:#010x} differ from {bits[index - 1]:#010x} inside an epoch"
            remedy = "this network's difficulty never changes"
            if columns.retargets:
                remedy = f"difficulty changes only at multiples of {BLOCKS_PER_EPOCH}: check the first height"
            yield Problem(columns.where(index), what, remedy)
    elif index >= BLOCKS_PER_EPOCH:
        try:
            before = target_from_bits(bits[index - 1], columns.where(index - 1), columns.max_target)
        except ChainError:
            return  # reported at the header that carries them
        first_s, last_s = times_s[index - BLOCKS_PER_EPOCH], times_s[index - 1]
        due = bits_from_target(next_target(before, first_s, last_s, columns.max_target))
        if bits[index] != due:
            what = f"bits {bits[index]:#010x} are not the {due:#010x} that the retarget rule gives"
            yield Problem(columns.where(index), what, f"the epoch was timed from {first_s} to {last_s} s")


def _broken_link(columns: _Columns, index: int) -> Problem:
    """Say what a header is linked to instead: tell a foreign header from a shuffled file or a reorganisation."""
    wanted = columns.previous[index]
    what = f"previous hash {wanted[::-1].hex()} is not the header before it"
    if wanted in columns.hashes:
        height = columns.first_height + columns.hashes.index(wanted)
        what += f" but height {height}: headers out of order, or both branches of a reorganisation"
    return Problem(columns.where(index), what, "give one branch only, in order of height")
