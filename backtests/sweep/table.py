"""The rows of a sweep as one Parquet file. Imports pyarrow.

One line for each trial and market, in order of trial and market: what `Row` says, the strategy's name, and a column
`<strategy>.<parameter>` for each swept parameter, in the unit that its name ends in (empty for other strategies).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import BytesIO
from typing import Any

from backtests.sweep.job import Row
from backtests.sweep.space import Space, Trial


def parquet_bytes(
    trials: Mapping[int, Trial],
    rows: Mapping[tuple[int, int], Row],
    spaces: Sequence[Space],
    described: Mapping[str, str],
) -> bytes:
    """Return the file; the same bytes for the same rows. `described` goes into its metadata under `fairhash`."""
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow import parquet

    ordered = [rows[key] for key in sorted(rows) if key[0] in trials]
    names = {space.strategy: space.name for space in spaces}
    columns: dict[str, Any] = {
        "trial": pyarrow.array([row.trial for row in ordered], pyarrow.int64()),
        "strategy": pyarrow.array([names[trials[row.trial].strategy] for row in ordered], pyarrow.string()),
        "market": pyarrow.array([row.market for row in ordered], pyarrow.int64()),
        "error": pyarrow.array([row.error or None for row in ordered], pyarrow.string()),
    }
    kinds = {
        "net_sat": pyarrow.int64(),
        "return_frac": pyarrow.float64(),
        "sharpe_year": pyarrow.float64(),
        "drawdown_sat": pyarrow.int64(),
        "drawdown_frac": pyarrow.float64(),
        "trades": pyarrow.int64(),
        "liquidated": pyarrow.bool_(),
        "daily_sat": pyarrow.list_(pyarrow.int64()),
    }
    for name, kind in kinds.items():
        columns[name] = pyarrow.array([None if row.error else getattr(row, name) for row in ordered], kind)
    for space in spaces:
        for index, axis in enumerate(space.axes):
            values = [
                _plain(trial.values[index]) if (trial := trials[row.trial]).strategy == space.strategy else None
                for row in ordered
            ]
            columns[f"{space.name}.{axis.field}"] = pyarrow.array(values)
    table = pyarrow.table(columns).replace_schema_metadata({"fairhash": json.dumps(dict(described), sort_keys=True)})
    file = BytesIO()
    parquet.write_table(table, file, compression="zstd")
    return file.getvalue()


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value
