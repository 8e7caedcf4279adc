"""What a source of blocks must answer, whatever it is: a node, an explorer, a test's stand-in."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Protocol

from bot.chain.headers import HEADER_BYTES
from bot.feeds.errors import AnswerError

_HASH = re.compile("[0-9a-f]{64}")
_HEADER = re.compile(f"[0-9a-fA-F]{{{2 * HEADER_BYTES}}}")
MAX_HEIGHT = 10**8
MAX_FEES_SAT = 2_000 * 10**8
"""More than any block ever carried by far: a source that says more is mistaken."""


class Tip(NamedTuple):
    """The last block of what a source takes for the best chain; the hash in hexadecimal, in the usual order."""

    height: int
    hash_hex: str


class BlockSource(Protocol):
    """Where headers come from. Every method raises a SourceError for whatever goes wrong."""

    name: str
    batch: int

    async def tip(self) -> Tip:
        """Return the last block; raises WrongChainError when the source is on another network."""
        ...

    async def headers(self, first_height: int, count: int) -> list[bytes]:
        """Return `count` raw headers of the best chain from `first_height` on, unverified; at most `batch`."""
        ...

    async def fees_sat(self, height: int, hash_hex: str, subsidy_sat: int) -> int:
        """Return all fees of a block, in satoshi. No header proves them: they are the source's word."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def hash_hex(value: Any, source: str, of: str) -> str:
    """Return a block hash of a source's answer, or raise AnswerError."""
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise AnswerError(source, f"{of}: {str(value)[:80]!r} is not a block hash")
    return value


def height(value: Any, source: str, of: str) -> int:
    """Return a height of a source's answer, or raise AnswerError."""
    return whole(value, source, of, MAX_HEIGHT)


def whole(value: Any, source: str, of: str, most: int) -> int:
    """Return a whole number from 0 to `most` of a source's answer, or raise AnswerError; true is no number."""
    if type(value) is not int or not 0 <= value <= most:
        raise AnswerError(source, f"{of}: {str(value)[:80]!r} is not a whole number from 0 to {most}")
    return value


def raw_header(value: Any, source: str, of: str) -> bytes:
    """Return the bytes of a header in hexadecimal, or raise AnswerError."""
    if not isinstance(value, str) or not _HEADER.fullmatch(value):
        raise AnswerError(source, f"{of}: {str(value)[:80]!r} is not a header of {HEADER_BYTES} bytes in hexadecimal")
    return bytes.fromhex(value)
