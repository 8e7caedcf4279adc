"""Tables that the bundled figures are made from: difficulty epochs and daily fees, as CSV with a header line.

`epochs`: columns epoch, height, start_time (s UTC), time_is_exact (0 or 1), bits (hexadecimal), difficulty.
`fees`: columns date (UTC day), blocks, fees_btc (up to 8 decimals). Further columns are ignored, save that one
named difficulty_mean must be above 0: a source that answers 0 where it knows nothing has cost real money.
Lines may end in CR LF here, since spreadsheets write them so; what we write ourselves may not.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from bot.chain.difficulty import BLOCKS_PER_EPOCH, difficulty_float, is_canonical, target_from_bits
from bot.chain.ondisk import Epoch, FeeDay, day_number, day_text, refuse
from bot.core.units import SAT_PER_BTC

DIFFICULTY_TOLERANCE: Final = 1e-9
"""Largest relative difference between a table's printed difficulty and the one its bits encode."""
_REMEDY: Final = "correct the table or fetch it again"
_INTEGER = re.compile(r"\d{1,10}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,18}(\.\d{1,18})?", re.ASCII)
_BTC = re.compile(r"(\d{1,8})(?:\.(\d{1,8}))?", re.ASCII)
_BITS = re.compile(r"0x[0-9a-f]{8}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

_Row = tuple[str, dict[str, str]]


def epochs_from_csv(raw: bytes, name: str) -> tuple[Epoch, ...]:
    """Return the difficulty epochs of the table `raw`; `name` is its file's, for messages.

    Raises ChainError, with file:line, unless numbers rise by one, heights are 2,016 x number, times rise, bits
    are in compact form, and the printed difficulty is above 0 and the one that the bits encode.
    """
    epochs: list[Epoch] = []
    for where, row in _rows(raw, name, ("epoch", "height", "start_time", "time_is_exact", "bits", "difficulty")):
        epoch = Epoch(
            number=_integer(row["epoch"], where, "epoch"),
            first_height=_integer(row["height"], where, "height"),
            start_s=_integer(row["start_time"], where, "start_time"),
            time_is_exact=_flag(row["time_is_exact"], where),
            bits=int(_match(_BITS, row["bits"], where, "bits", "0x and 8 small hexadecimal digits"), 16),
        )
        stated = _positive(row["difficulty"], where, "difficulty")
        actual = difficulty_float(target_from_bits(epoch.bits, where))
        if not is_canonical(epoch.bits):
            raise refuse(where, f"bits {epoch.bits:#010x} are not in compact form", _REMEDY)
        if abs(stated - actual) > DIFFICULTY_TOLERANCE * actual:
            raise refuse(where, f"difficulty {row['difficulty']} is not the {actual} that the bits encode", _REMEDY)
        if epoch.first_height != BLOCKS_PER_EPOCH * epoch.number:
            due = BLOCKS_PER_EPOCH * epoch.number
            raise refuse(where, f"height {epoch.first_height} of epoch {epoch.number} is not {due}", _REMEDY)
        if epochs and (epoch.number != epochs[-1].number + 1 or epoch.start_s <= epochs[-1].start_s):
            what = f"epoch {epoch.number} at {epoch.start_s} s does not follow"
            raise refuse(where, f"{what} epoch {epochs[-1].number} at {epochs[-1].start_s} s", _REMEDY)
        epochs.append(epoch)
    return tuple(epochs)


def fees_from_csv(raw: bytes, name: str) -> tuple[FeeDay, ...]:
    """Return the daily fees of the table `raw` in satoshi; `name` is its file's, for messages.

    Raises ChainError, with file:line, for days that repeat, are missing or out of order, amounts that are not
    exact in satoshi, fees on a day without blocks, or a difficulty_mean of 0.
    """
    fees: list[FeeDay] = []
    for where, row in _rows(raw, name, ("date", "blocks", "fees_btc")):
        text = _match(_DATE, row["date"], where, "date", "YYYY-MM-DD")
        try:
            day = day_number(date.fromisoformat(text))
        except ValueError as error:
            raise refuse(where, f"date {text}: {error}", _REMEDY) from error
        if fees and day != fees[-1].day + 1:
            raise refuse(where, f"date {text} does not follow {day_text(fees[-1].day)}", _REMEDY)
        if "difficulty_mean" in row:
            _positive(row["difficulty_mean"], where, "difficulty_mean")
        blocks = _integer(row["blocks"], where, "blocks")
        fees_sat = _satoshi(row["fees_btc"], where)
        if fees_sat and not blocks:
            raise refuse(where, f"fees of {fees_sat} satoshi on a day without blocks", _REMEDY)
        fees.append(FeeDay(day, blocks, fees_sat))
    return tuple(fees)


def _rows(raw: bytes, name: str, wanted: tuple[str, ...]) -> Iterator[_Row]:
    """Yield `name:line` and the fields of each row, which must all have the header's number of columns."""
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise refuse(f"{name}:{line}", f"byte {raw[error.start]:#04x} is not ASCII", _REMEDY) from error
    reader = csv.reader(text.splitlines(), strict=True)
    columns = next(reader, [])
    missing = [column for column in wanted if columns.count(column) != 1]
    if missing:
        raise refuse(f"{name}:1", f"columns missing or doubled: {', '.join(missing)}", _REMEDY)
    empty = True
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise refuse(f"{name}:{reader.line_num}", str(error), _REMEDY) from error
        if fields is None:
            break
        where = f"{name}:{reader.line_num}"
        if len(fields) != len(columns):
            raise refuse(where, f"{len(fields)} fields under {len(columns)} columns: truncated or ragged", _REMEDY)
        empty = False
        yield where, dict(zip(columns, fields, strict=True))
    if empty:
        raise refuse(f"{name}:1", "no rows follow", _REMEDY)


def _match(pattern: re.Pattern[str], text: str, where: str, column: str, form: str) -> str:
    if pattern.fullmatch(text) is None:
        raise refuse(where, f"{column} {text[:40]!r} is not {form}", _REMEDY)
    return text


def _integer(text: str, where: str, column: str) -> int:
    return int(_match(_INTEGER, text, where, column, "a whole number of up to 10 digits"))


def _flag(text: str, where: str) -> bool:
    if text not in ("0", "1"):
        raise refuse(where, f"time_is_exact {text[:40]!r} is not 0 or 1", _REMEDY)
    return text == "1"


def _positive(text: str, where: str, column: str) -> float:
    number = float(_match(_DECIMAL, text, where, column, "a plain decimal number"))
    if number <= 0:
        raise refuse(where, f"{column} is {text}: a difficulty is always above 0", "the source failed: use another")
    return number


def _satoshi(text: str, where: str) -> int:
    """Return an amount of bitcoin in satoshi, exactly."""
    match = _BTC.fullmatch(text)
    if match is None:
        raise refuse(where, f"fees_btc {text[:40]!r} is not an amount with up to 8 decimals", _REMEDY)
    return int(match[1]) * SAT_PER_BTC + int((match[2] or "").ljust(8, "0"))
