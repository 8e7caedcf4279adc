"""Engines against each other, in one process: CPU seconds of a run over 130,000 minute bars."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from backtests import backtrader_engine, reference
from backtests.plan import Plan
from benchmarks import plain_backtrader
from benchmarks.measure import Ratio, cpu_seconds, ratio, rounds_of
from benchmarks.rows import rows_of
from benchmarks.series import plan
from strategies.view import Target, View


def engine_ratios(rounds: int, count: int) -> tuple[list[Ratio], dict[str, list[float]]]:
    """Return the ratios of (a) and (b), and bars per second of every engine, round by round."""
    full_plan = plan(count)
    rows = rows_of(full_plan)
    awake = _awake(full_plan)

    def plain(*, full: bool, observers: bool) -> Callable[[], float]:
        return lambda: cpu_seconds(plain_backtrader.cerebro(rows, full=full, observers=observers).run)

    def ours(*, observers: bool) -> Callable[[], float]:
        return lambda: cpu_seconds(backtrader_engine.cerebro(full_plan, stdstats=observers).run)

    cases = {
        "reference engine": lambda: cpu_seconds(lambda: reference.run(full_plan)),
        "reference engine, strategy asked at every bar": lambda: cpu_seconds(lambda: reference.run(awake)),
        "our backtrader engine, observers off": ours(observers=False),
        "our backtrader engine": ours(observers=True),
        "plain backtrader": plain(full=True, observers=True),
        "plain backtrader, observers off": plain(full=True, observers=False),
        "plain backtrader, nothing but fees, observers off": plain(full=False, observers=False),
    }
    times = rounds_of(cases, rounds)
    of = times.__getitem__
    found = [
        ratio("reference / plain backtrader", of("plain backtrader"), of("reference engine"), 15.0),
        ratio("reference / plain, observers off", of("plain backtrader, observers off"), of("reference engine")),
        ratio(
            "reference / plain, nothing but fees, observers off",
            of("plain backtrader, nothing but fees, observers off"),
            of("reference engine"),
        ),
        ratio(
            "reference, asked at every bar / plain backtrader",
            of("plain backtrader"),
            of("reference engine, strategy asked at every bar"),
        ),
        ratio("our backtrader engine / plain", of("plain backtrader"), of("our backtrader engine"), 1.0),
        ratio(
            "our backtrader engine / plain, observers off",
            of("plain backtrader, observers off"),
            of("our backtrader engine, observers off"),
            1.0,
        ),
    ]
    return found, {name: [count / seconds for seconds in values] for name, values in times.items()}


def _awake(asleep: Plan) -> Plan:
    """Return the plan with the same strategy, which never says what would wake it and so is asked at every bar."""
    inner = asleep.strategy

    def decide(view: View, params: Any) -> Target:
        return inner.decide(view, params)._replace(wake=None)

    return replace(asleep, strategy=replace(inner, decide=decide))


def trades_of(count: int) -> str:
    """Return a line that says what the measured run did, so that nobody measures an idle strategy."""
    result = reference.run(plan(count))
    spread = len(result.postings)
    return f"{len(result.marks)} marks, {len(result.fills)} fills, {spread} postings; Python {sys.version.split()[0]}"
