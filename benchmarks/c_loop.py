"""The loop of c_loop.c, compiled with -O3 by whatever C compiler there is, on a plan of the benchmarks.

A yardstick for the compiled engine: the same rules by hand, without the engine's generality. It is no engine: it runs
one strategy and refuses what it lacks.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from backtests.plan import Plan
from bot.core.accrual import block_income_sat, index_rise, pool_fee_sat
from bot.core.events import CONTRACT, Block
from bot.core.units import NS_PER_S, S_PER_DAY, share_ppm
from strategies.fair_value_band import Params

FLAGS: Final = ("-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC")
"""No contraction: one rounding where Python has two would give other sizes."""
LOAN_DAYS: Final = 30
_MOST_FILLS: Final = 100_000
_STEPS: Final = 8


class _Bar(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("open_s", "close_s", "open_sat", "close_sat", "room_lots")),
        *((name, ctypes.c_int64) for name in ("index_open", "index_close", "rate_open")),
        ("fair", ctypes.c_double),
    )


class _Terms(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("per_contract", "tick_sat", "taker_ppm", "dearest_ppm")),
        *((name, ctypes.c_int64) for name in ("half_spread_ppm", "most_position", "most_order", "start_s", "end_s")),
        *((name, ctypes.c_int64) for name in ("deposit_sat", "loan_s", "index_end", "steps")),
        *((name, ctypes.c_int64 * _STEPS) for name in ("step_s", "initial_ppm", "maintenance_ppm")),
        *((name, ctypes.c_double) for name in ("entry", "leave", "size", "tolerance")),
    )


class Ended(NamedTuple):
    """What a run came to: equity in satoshi, rows of fills (second, lots, price, fee), equity at each close or none."""

    equity_sat: int
    fills: Any
    equities: Any


def without_renewals(plan: Plan) -> Plan:
    """Return `plan` with loans that outlive its shorts: the loop renews none."""
    return replace(plan, settings=replace(plan.settings, rules=replace(plan.settings.rules, loan_term_days=LOAN_DAYS)))


def compiler() -> list[str] | None:
    """Return the command of a C compiler, None where there is none."""
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    return [sys.executable, "-m", "ziglang", "cc"] if find_spec("ziglang") else None


def built(directory: Path) -> Any:
    """Return the loop's function, compiled into `directory`; raises CalledProcessError with the compiler's words."""
    command = compiler()
    assert command is not None, "no C compiler"
    target = directory / "c_loop.so"
    source = Path(__file__).with_name("c_loop.c")
    subprocess.run([*command, *FLAGS, "-Wall", "-Wextra", "-o", str(target), str(source)], check=True)
    run = ctypes.CDLL(str(target)).run
    place, number = ctypes.c_void_p, ctypes.c_int64
    run.argtypes = [place, place, number, place, number, place, place]
    run.restype = ctypes.c_int
    return run


class Loop:
    """A plan made ready for the loop, as `prepare` makes one ready for the compiled engine."""

    def __init__(self, run: Any, plan: Plan) -> None:
        self._run = run
        self._bars, index_end = _bars(plan)
        self._terms = _terms(plan, index_end)
        self._fills = np.zeros((_MOST_FILLS, 4), np.int64)
        self._equities = np.zeros(len(self._bars), np.int64)
        self._result = np.zeros(2, np.int64)

    def run(self, marks: bool = False) -> Ended:
        """Return what the run came to; with `marks` the equity at each close too. Raises ValueError if it refuses."""
        equities = self._equities if marks else None
        refused = self._run(
            ctypes.byref(self._terms),
            self._bars.ctypes.data,
            len(self._bars),
            self._fills.ctypes.data,
            _MOST_FILLS,
            None if equities is None else equities.ctypes.data,
            self._result.ctypes.data,
        )
        if refused:
            raise ValueError(f"c_loop.c:{refused}: the loop in C lacks what this run needs")
        return Ended(int(self._result[0]), self._fills[: int(self._result[1])], equities)


def _terms(plan: Plan, index_end: int) -> _Terms:
    settings, params = plan.settings, plan.strategy.params
    contract, rules = settings.contract, settings.rules
    assert isinstance(params, Params) and params.go_long and params.go_short
    assert not any(step.contract_counts for step in contract.collateral) and settings.limits.latency_ns == 0
    steps, rows = contract.margin, ctypes.c_int64 * _STEPS
    return _Terms(
        contract.lots_per_contract,
        contract.tick_sat,
        contract.taker_fee_ppm,
        max(contract.taker_fee_ppm, contract.maker_fee_ppm),
        rules.half_spread_ppm,
        settings.limits.max_position_lots,
        settings.limits.max_order_lots,
        settings.start_ns // NS_PER_S,
        contract.end_ns // NS_PER_S,
        settings.deposit_sat,
        rules.loan_term_days * S_PER_DAY,
        index_end,
        len(steps),
        rows(*(step.from_ns // NS_PER_S for step in steps)),
        rows(*(step.initial_ppm for step in steps)),
        rows(*(step.maintenance_ppm for step in steps)),
        params.entry_band,
        params.exit_band,
        params.size,
        params.tolerance,
    )


def _bars(plan: Plan) -> tuple[Any, int]:
    """Return a row for each bar with what is known at its open and its close, and the dividend index at the end."""
    contract, value, world = plan.settings.contract, plan.value(), plan.world()
    rows = np.zeros(len(plan.history.bars), np.dtype(_Bar))
    at = index = carry = rate = 0

    def up_to(time_ns: int) -> None:
        nonlocal at, index, carry, rate
        while at < len(world) and world[at][0] <= time_ns:
            event = world[at][2]
            if isinstance(event, Block):
                value.on_block(event)
                income = block_income_sat(contract, event)
                net = income - pool_fee_sat(income, contract.payout.fee_ppm)
                rise, carry = index_rise(net, carry, contract.tranche_lots)
                index += rise
            elif event.asset == CONTRACT:
                rate = event.rate_ppb_day
            at += 1

    for row, bar in zip(rows, plan.history.bars, strict=True):
        up_to(bar.time_ns)
        row["open_s"], row["open_sat"], row["index_open"], row["rate_open"] = (
            bar.time_ns // NS_PER_S,
            bar.open_sat,
            index,
            rate,
        )
        up_to(bar.close_ns)
        row["close_s"], row["close_sat"], row["index_close"] = bar.close_ns // NS_PER_S, bar.close_sat, index
        row["room_lots"] = share_ppm(bar.volume_lots, plan.settings.rules.participation_ppm)
        row["fair"] = value.value_sat(bar.close_ns)
    up_to(plan.end_ns)
    return rows, index
