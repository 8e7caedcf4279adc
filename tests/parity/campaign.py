"""`python -m tests.parity.campaign`: as many random histories as there is time for, and what they covered, in numbers.

Every history is drawn from its seed, run by every engine, and compared with ==: fills, postings, marks, notices, final
balances, orders. It ends at the first difference, which names the history.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import strategies
from backtests import backtrader_engine, compiled_engine, reference
from backtests.parity import compare
from backtests.plan import Plan
from backtests.result import RunResult
from bot.errors import ParityError
from tests.parity.histories import calm_plan, random_plan, squeezed_plan

COMPILED = ("whimsical", "skittish", *strategies.BUNDLED)
ENGINES = (backtrader_engine, compiled_engine)


def plans(seed: int) -> Iterator[tuple[str, Plan, bool]]:
    """Yield (name, plan, whether it can be compiled) of one seed: a moody one for every engine, one of each other."""
    kind, use = ("bars", "quotes")[seed % 2], COMPILED[seed // 2 % len(COMPILED)]
    yield f"moody {kind} {seed}", random_plan(seed, kind, "moody", debug=False), False
    yield f"{use} {kind} {seed}", random_plan(seed, kind, use, debug=False), True
    if seed % 10 == 0:  # minute bars that drift against a full position, thousands of calm ones: longer than the others
        yield f"squeezed {seed}", squeezed_plan(seed), True
        yield f"calm {use} {seed}", calm_plan(seed, use), True


def campaign(seeds: range) -> Counter[str]:
    """Return what the histories of `seeds` covered; raises ParityError where two engines differ."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        for name, plan, compilable in plans(seed):
            try:
                _compared(plan, compilable, seen)
            except ParityError as error:
                raise ParityError(f"{name}: {error}") from error
    return seen


def _compared(plan: Plan, compilable: bool, seen: Counter[str]) -> None:
    plan = replace(plan, settings=replace(plan.settings, observe=False))
    ours = reference.run(plan)
    for engine in ENGINES if compilable else ENGINES[:1]:
        theirs = engine.run(plan)
        compare([ours, theirs])
        if ours.final_balances != theirs.final_balances or ours.orders != theirs.orders:
            raise ParityError(f"{theirs.engine}: final balances or orders differ")
        seen[f"histories compared with the {theirs.engine} engine"] += 1
    _count(plan, ours, seen)


def _count(plan: Plan, result: RunResult, seen: Counter[str]) -> None:
    history = plan.history
    seen["histories"] += 1
    seen["market events (bars, quotes)"] += len(history.bars) + len(history.quotes)
    seen["blocks and swap rates"] += len(plan.blocks) + len(history.rates)
    for what in ("orders", "fills", "postings", "marks", "notices"):
        seen[what] += len(getattr(result, what))
    seen.update(f"notice: {notice.kind}" for notice in result.notices)
    seen.update(f"posting: {posting.kind}" for posting in result.postings)


def main() -> None:
    """Run the campaign and print what it covered."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity.campaign", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--from-seed", type=int, default=0)
    options = parser.parse_args()
    seen = campaign(range(options.from_seed, options.from_seed + options.seeds))
    print(f"seeds {options.from_seed} to {options.from_seed + options.seeds - 1}: all equal with ==")
    for what, count in seen.items():
        print(f"{count:>12,}  {what}")


if __name__ == "__main__":
    main()
