"""Parquet as rows of text, so that one set of rules reads every format. The only module that imports pyarrow.

A floating-point price stands for the shortest decimal that reads back as it (1.2345, not
1.23450000000000004174): what its writer meant. Lines of a Parquet file are its rows, counted from 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from bot.history.lines import BLOCK_BYTES, MAX_BYTES, Comment, Table, refuse

_BATCH_ROWS = 16_384
_NOT_OURS = ("pandas", "ARROW:schema")


def open_parquet(file: Path, name: str) -> Table:
    """Open a Parquet file as a table of texts; raises HistoryError where it cannot be read."""
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow import parquet

    # The stored bytes are hashed and parsed from one copy, so that both speak of the same file.
    stored = file.read_bytes()
    try:
        opened = parquet.ParquetFile(pyarrow.BufferReader(stored))
        schema = opened.schema_arrow
        size = sum(opened.metadata.row_group(index).total_byte_size for index in range(opened.num_row_groups))
        if size > MAX_BYTES:
            refuse(name, 0, f"unpacks to {size} bytes, more than {MAX_BYTES}", "split it or take longer bars")
        metadata = {
            key.decode("ascii", "backslashreplace"): value.decode("ascii", "backslashreplace")
            for key, value in (schema.metadata or {}).items()
        }
    except (pyarrow.ArrowException, OSError, ValueError) as fault:
        refuse(name, 0, f"is not a readable Parquet file: {_one_line(fault)}", "write it anew")
    comments = {key: Comment(0, value) for key, value in metadata.items() if key not in _NOT_OURS}
    columns = tuple(schema.names)
    return Table(name, comments, 0, columns, _blocks(opened, schema, name), hashlib.sha256(stored))


def _blocks(opened: Any, schema: Any, name: str) -> Iterator[tuple[int, list[str]]]:
    import pyarrow

    first = 1
    try:
        for batch in opened.iter_batches(batch_size=_BATCH_ROWS):
            columns = [_texts(batch.column(index), name) for index in range(len(schema.names))]
            yield first, list(map(",".join, zip(*columns, strict=True)))
            first += batch.num_rows
    except (pyarrow.ArrowException, OSError, ValueError) as fault:
        refuse(name, first, f"cannot be read on: {_one_line(fault)}", "the file is damaged: write it anew")


def _texts(column: Any, name: str) -> list[str]:
    """Return a column's values as the texts that a CSV would hold; a missing value is an empty text."""
    import pyarrow
    from pyarrow import types

    kind = column.type
    if types.is_timestamp(kind):
        if kind.tz is None:
            refuse(name, 0, "its times have no time zone", "write them as UTC, as in timestamp[ns, UTC]")
        # An instant in any zone is stored as UTC; casting to ns is exact or refused by pyarrow.
        column = column.cast(pyarrow.timestamp("ns", kind.tz)).cast(pyarrow.int64())
    return ["" if value is None else _text(value) for value in column.to_pylist()]


def _text(value: object) -> str:
    if isinstance(value, float):
        shortest = repr(value)
        return format(Decimal(shortest), "f") if "e" in shortest else shortest
    if isinstance(value, Decimal):
        return format(value, "f")
    text = str(value)
    # A comma or a line feed inside a value would shift columns; no field may hold one.
    return text.replace(",", ";").replace("\n", ";")[:BLOCK_BYTES]


def _one_line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:200]


def parquet_of_csv(text: str) -> bytes:
    """Return a history's CSV text as a Parquet file that `open_parquet` reads: texts, its comments as metadata."""
    lines = text.splitlines()
    head = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    comments = dict(line[1:].strip().split(": ", 1) for line in lines[:head])
    names = lines[head].split(",")
    columns = zip(*(line.split(",") for line in lines[head + 1 :]), strict=True)
    return parquet_of_columns(dict(zip(names, map(list, columns), strict=True)), comments)


def parquet_of_columns(columns: Mapping[str, Sequence[object]], comments: Mapping[str, str]) -> bytes:
    """Return columns of one length, of texts or of whole numbers, as a Parquet file with `comments` as metadata."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({name: list(values) for name, values in columns.items()})
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table.replace_schema_metadata(dict(comments)), sink)
    return bytes(sink.getvalue().to_pybytes())
