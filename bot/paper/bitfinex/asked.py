"""What a call asks for, read with its bounds: query fields, time ranges, limits, lists of ids."""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from bot.paper.bitfinex.refusals import bad
from bot.paper.bitfinex.terms import NS_PER_MS, whole

MAX_QUERY: Final = 2_000
MAX_MS: Final = (1 << 53) - 1
MAX_ID: Final = (1 << 62) - 1
MAX_IDS: Final = 2_500


class Range(NamedTuple):
    """Times from start to end (nanoseconds, both included), at most `limit` rows, oldest first if `rising`."""

    start_ns: int
    end_ns: int
    limit: int
    rising: bool


def query_fields(query: str) -> dict[str, Any]:
    """Return the fields of a query; whole numbers as int, all else as text. One field twice is refused."""
    if len(query) > MAX_QUERY:
        raise bad("query", f"longer than {MAX_QUERY} characters")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=16, errors="strict")
    except (ValueError, UnicodeDecodeError) as error:
        raise bad("query", "not a query") from error
    found = {name: _as_whole(text) for name, text in pairs}
    if len(found) != len(pairs):
        raise bad("query", "a field twice")
    return found


def _as_whole(text: str) -> Any:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else text


def time_range(asked: dict[str, Any], limit: int, most: int) -> Range:
    """Return the range of start, end, limit and sort (1: oldest first); `limit` unless told, at most `most`."""
    start = whole(asked.get("start") or 0, "start", 0, MAX_MS)
    end = asked.get("end")
    end_ms = MAX_MS if end is None else whole(end, "end", 0, MAX_MS)
    rows = whole(asked.get("limit", limit), "limit", 1, MAX_MS)
    sort = asked.get("sort", -1)
    if sort not in (1, -1):
        raise bad("sort", "neither 1 nor -1")
    return Range(start * NS_PER_MS, (end_ms + 1) * NS_PER_MS - 1, min(rows, most), sort == 1)


def ids(value: Any, name: str = "id") -> list[int] | None:
    """Return a list of ids, None if none was given; one id alone is a list of it."""
    if value is None:
        return None
    found = value if isinstance(value, list) else [value]
    if len(found) > MAX_IDS:
        raise bad(name, f"more than {MAX_IDS}")
    return [whole(one, name, 1, MAX_ID) for one in found]
