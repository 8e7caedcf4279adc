"""One field of a history file as an exact integer, or a refusal that says why.

Decimal text is plain: digits and at most one point. Signs, exponents, underscores, blanks, leading zeros
and digits of other scripts are refused, so that no two programs can read one field in two ways.
A time is either ISO 8601 in UTC, `2014-09-15T00:00:00Z` with up to nine decimals of a second, or a whole
number since 1970 in UTC, told apart by its length: 10 digits are seconds, 13 milliseconds, 16 microseconds,
19 nanoseconds. That is unambiguous from 2009 to 2261, and nothing outside those years is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import NamedTuple

from bot.core.units import NS_PER_DAY, NS_PER_S, PPB, SAT_PER_BTC

MAX_PRICE_SAT = 21_000_000 * SAT_PER_BTC
MAX_SIZE_CONTRACTS = 10**9
MAX_RATE_PPB_DAY = PPB - 1
FIRST_YEAR, LAST_YEAR = 2009, 2261
PLAIN = "write plain digits with an optional point, as in 1.2345"

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.([0-9]{1,30}))?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_CLOCK = re.compile(r"T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,9}))?(?:Z|\+00:00)")
_SPAN = re.compile(r"([1-9][0-9]{0,8}) ?(s|min|m|h|d)")
_SPAN_S = {"s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400}
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_FIRST_S = (date(FIRST_YEAR, 1, 1).toordinal() - _EPOCH_ORDINAL) * 86_400
_END_S = (date(LAST_YEAR + 1, 1, 1).toordinal() - _EPOCH_ORDINAL) * 86_400
_TAIL_DIGITS = (0, 3, 6, 9)
_POWERS = tuple(10**digits for digits in range(31))
_CACHE_ENTRIES = 16_384


class FieldError(ValueError):
    """A field that was refused: `what` is wrong with it and the `remedy`."""

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what)


class Parsed(dict[str, int]):
    """Texts already parsed: prices and times of day repeat, and a look-up is far cheaper than a parse.

    It is emptied when it is full, so that a file without repetitions costs time, not memory.
    """

    def __init__(self, parse: Callable[[str], int]) -> None:
        self.parse = parse

    def __missing__(self, text: str) -> int:
        value = self.parse(text)
        if len(self) >= _CACHE_ENTRIES:
            self.clear()
        self[text] = value
        return value


class Sizes(dict[str, int]):
    """Parsed sizes, rounded down to whole units; `rounded` counts the fields that lost something by it.

    The world trades finer than our lot: counting less than was shown can only make fills scarcer.
    """

    def __init__(self, units_per_whole: int) -> None:
        self.units_per_whole = units_per_whole
        self.rounded = 0

    def __missing__(self, text: str) -> int:
        value, exact = _scaled(text, self.units_per_whole)
        if value > MAX_SIZE_CONTRACTS * self.units_per_whole:
            raise FieldError(f"{quoted(text)} is above {MAX_SIZE_CONTRACTS}", "check the unit")
        if not exact:
            self.rounded += 1
            return value
        if len(self) >= _CACHE_ENTRIES:
            self.clear()
        self[text] = value
        return value


def quoted(text: str) -> str:
    """Return `text` as it can stand in an error: quoted, ASCII, cut at 40 characters."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")


def _scaled(text: str, units_per_whole: int) -> tuple[int, bool]:
    """Return floor(text x units_per_whole) and whether nothing was lost."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise FieldError(f"{quoted(text)} is not a plain decimal number", PLAIN)
    whole, fraction = match[1], match[2] or ""
    value, rest = divmod(int(whole + fraction) * units_per_whole, _POWERS[len(fraction)])
    return value, rest == 0


def iso_utc(time_ns: int) -> str:
    """Return a time as ISO 8601 in UTC, with as many decimals of a second as it needs.

    >>> iso_utc(1_410_739_200_000_000_000), iso_utc(1_410_739_200_500_000_000)
    ('2014-09-15T00:00:00Z', '2014-09-15T00:00:00.5Z')
    """
    seconds, rest = divmod(time_ns, NS_PER_S)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else text + "Z"


def price_sat(text: str) -> int:
    """Return a price in BTC per contract as satoshi per contract, exactly; above 0, at most 21 million BTC."""
    value, exact = _scaled(text, SAT_PER_BTC)
    if not exact:
        raise FieldError(f"{quoted(text)} is finer than 1 satoshi (8 decimals)", "round it to 8 decimals")
    if value == 0:
        raise FieldError(f"{quoted(text)} is not above 0", "leave out rows without a price")
    if value > MAX_PRICE_SAT:
        raise FieldError(f"{quoted(text)} is above 21000000 BTC", "prices are in BTC per contract")
    return value


def rate_ppb_day(text: str) -> int:
    """Return a rate per day, as a fraction (0.01 is 1 %/day), as parts per billion per day, exactly; 0 <= rate < 1."""
    value, exact = _scaled(text, PPB)
    if not exact:
        raise FieldError(f"{quoted(text)} is finer than 1e-9 per day", "round it to 9 decimals")
    if value > MAX_RATE_PPB_DAY:
        raise FieldError(f"{quoted(text)} is not below 1 (100 % per day)", "write a fraction: 0.01 is 1 % per day")
    return value


def span_ns(text: str) -> int:
    """Return a span such as `3600 s`, `1h`, `15 min` or `1d` in nanoseconds; raises FieldError.

    >>> span_ns("1h") // 10**9, span_ns("15 min") // 10**9
    (3600, 900)
    """
    match = _SPAN.fullmatch(text)
    if match is None or int(match[1]) * _SPAN_S[match[2]] > 366 * 86_400:
        raise FieldError(f"{quoted(text)} is not a span from 1 s to 366 d", "write it as 3600 s, 15 min or 1h")
    return int(match[1]) * _SPAN_S[match[2]] * NS_PER_S


class TimeFields(NamedTuple):
    """How to read the times of one file: the first ten characters and the rest, each looked up on its own.

    `time_ns = heads[text[:10]] + tails[text[10:]]`; a date and a time of day, or seconds and their decimals.
    """

    heads: Parsed
    tails: Parsed

    def parse(self, text: str) -> int:
        """Return the time in nanoseconds since 1970; raises FieldError that names the whole text."""
        try:
            return self.heads[text[:10]] + self.tails[text[10:]]
        except FieldError as fault:
            raise FieldError(f"{quoted(text)}: {fault.what}", fault.remedy) from fault


def time_fields(first: str) -> TimeFields:
    """Return the reader for a file whose first time is `first`: a file keeps to one form of time."""
    if first.isdigit() and first.isascii():
        digits = len(first) - 10
        if digits not in _TAIL_DIGITS:
            digits = 0
        return TimeFields(Parsed(_epoch_head), Parsed(lambda tail: _epoch_tail(tail, digits)))
    return TimeFields(Parsed(_iso_head), Parsed(_iso_tail))


def _iso_head(text: str) -> int:
    match = _DATE.fullmatch(text)
    if match is None:
        raise FieldError("no date stands first", "write times as 2014-09-15T00:00:00Z")
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise FieldError(f"the year is not in {FIRST_YEAR}..{LAST_YEAR}", "Bitcoin began in 2009")
    try:
        ordinal = date(year, month, day).toordinal()
    except ValueError as fault:
        raise FieldError(f"no such day ({fault})") from fault
    return (ordinal - _EPOCH_ORDINAL) * NS_PER_DAY


def _iso_tail(text: str) -> int:
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise FieldError("no time of day in UTC follows the date", "write times as 2014-09-15T00:00:00Z")
    seconds = int(match[1]) * 3_600 + int(match[2]) * 60 + int(match[3])
    return seconds * NS_PER_S + int((match[4] or "").ljust(9, "0"))


def _epoch_head(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) == 10 and _FIRST_S <= int(text) < _END_S):
        raise FieldError(
            f"not a time since 1970 within {FIRST_YEAR}..{LAST_YEAR}",
            "10 digits are s, 13 ms, 16 us, 19 ns",
        )
    return int(text) * NS_PER_S


def _epoch_tail(text: str, digits: int) -> int:
    if len(text) != digits or (text and not (text.isascii() and text.isdigit())):
        raise FieldError(f"expected {10 + digits} digits as in the first row", "10 digits are s, 13 ms, 16 us, 19 ns")
    return int(text.ljust(9, "0"))
