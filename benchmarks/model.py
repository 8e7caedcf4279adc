"""`python -m benchmarks.model`: how long the model takes, beside its targets. Exit code 1 when one is missed.

CPU seconds of this process (all threads), the median of several rounds: other processes of the machine count less.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from bot.chain.chain import load
from bot.contract_file import load_contract
from bot.core.units import NS_PER_S
from bot.model.deterministic import value_c2
from bot.model.fair_value import FairValue
from bot.model.growth import growth_model, log_ratio
from bot.model.local_trend import ANCHORED
from bot.model.paths import retargets_within
from bot.model.random_clock import second_order, sobol_values
from bot.model.validation import validate

TERM_S = 91 * 86_400.0
BARS = 130_000


def median_s(run: Callable[[], object], rounds: int, calls: int = 1) -> float:
    """Return the median CPU seconds of one call, after one that is not counted."""
    run()
    spent = []
    for _ in range(rounds):
        begin = time.process_time()
        for _ in range(calls):
            run()
        spent.append((time.process_time() - begin) / calls)
    return statistics.median(spent)


def fair_value_path(model: str) -> Callable[[], object]:
    """Return the fair-value part of a backtest over the term of TH1BTC: every block, a value at each bar."""
    contract = load_contract(Path("contracts/TH1BTC-2014Q4.yaml"))
    chain = load()
    past = [(epoch.start_s, epoch.bits) for epoch in chain.epochs_known_at(contract.start_ns)]
    blocks = chain.blocks_between(contract.start_ns, contract.end_ns)
    step = (contract.end_ns - contract.start_ns) // BARS  # floor

    def run() -> float:
        value, coming, total = FairValue(contract, past, growth_model(model)), 0, 0.0
        for bar in range(BARS):
            now = contract.start_ns + bar * step
            while coming < len(blocks) and blocks[coming].time_ns <= now:
                value.on_block(blocks[coming])
                coming += 1
            total += value.value_sat(now)
        return total

    return run


def main() -> int:
    """Measure, print the table, and return the exit code."""
    epochs = load().epochs
    ratios = np.array([log_ratio(a.target, b.target) for a, b in pairwise(epochs)])
    path = ANCHORED.forecast(ratios[:300], retargets_within(TERM_S))
    elapsed_s = 3 * 86_400 * NS_PER_S / NS_PER_S
    rows = [
        ("closed-form value (C2)", median_s(lambda: value_c2(0.02, 0.004, 91.0), 7, 2_000), 5e-6),
        ("law of the value, second order", median_s(lambda: second_order(path, TERM_S, elapsed_s), 15, 10), 1e-3),
        ("16,384 Sobol paths", median_s(lambda: sobol_values(path, TERM_S, elapsed_s), 9), 20e-3),
        ("refit at a retarget", median_s(lambda: ANCHORED.forecast(ratios[:300], 14), 7), 150e-3),
        (f"fair value of {BARS} bars, trailing(6)", median_s(fair_value_path("trailing(6)"), 3), 1.0),
        (f"fair value of {BARS} bars, anchored", median_s(fair_value_path("anchored"), 3), 1.0),
        ("validate-model, all models", median_s(lambda: validate(epochs), 1), 60.0),
    ]
    print(f"{'what':42} {'median':>12} {'target':>12}")
    for name, spent, target in rows:
        print(f"{name:42} {_text(spent):>12} {_text(target):>12}  {'met' if spent < target else 'MISSED'}")
    return int(any(spent >= target for _, spent, target in rows))


def _text(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{1e6 * seconds:.1f} us"
    return f"{1e3 * seconds:.1f} ms" if seconds < 1.0 else f"{seconds:.2f} s"


if __name__ == "__main__":
    sys.exit(main())
