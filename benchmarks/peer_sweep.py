"""A sweep by vectorbt, for its rate and its memory: `PYTHON benchmarks/peer_sweep.py rows.csv`, PYTHON as in peers.py.

So many settings of the fair-value band in one call, one column each, as its users do; then total return and drawdown of
each. Rows are those of benchmarks.rows.write_rows. It knows fees, no dividends, loans or margins.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import pandas as pd
import vectorbt


def main() -> None:
    """Print settings a second of wall time and the greatest memory of the process, for some settings at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows")
    parser.add_argument("--settings", type=int, nargs="+", default=[1, 10, 100])
    options = parser.parse_args()
    rows = pd.read_csv(options.rows)
    for count in (1, *options.settings):  # the first compiles
        before = time.perf_counter()
        _sweep(rows, np.linspace(0.1, 0.6, count))
        seconds = time.perf_counter() - before
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{count} settings at once: {count / seconds:.1f} backtests/s, {mib:,.0f} MiB so far", flush=True)


def _sweep(rows: pd.DataFrame, entries: np.ndarray) -> tuple[pd.Series, pd.Series]:
    edge = (rows["close"] / rows["fair"] - 1.0).to_numpy()[:, None]
    found = vectorbt.Portfolio.from_signals(
        rows["close"],
        entries=edge < -entries,
        exits=np.broadcast_to(edge > -0.05, (len(edge), len(entries))),
        short_entries=edge > entries,
        short_exits=np.broadcast_to(edge < 0.05, (len(edge), len(entries))),
        size=1.0,
        fees=0.002,
        init_cash=1e3,
    )
    return found.total_return(), found.max_drawdown()


if __name__ == "__main__":
    main()
