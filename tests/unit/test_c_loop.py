"""The loop in C that the compiled engine is measured against keeps the same accounts, to the satoshi."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from backtests import reference
from backtests.plan import Plan
from benchmarks import c_loop
from benchmarks.series import HOUR_NS, HOURLY_BARS, plan
from bot.core.units import NS_PER_S
from bot.session import Strategy
from strategies.fair_value_band import Params, decide

pytestmark = pytest.mark.skipif(c_loop.compiler() is None, reason="there is no C compiler here")


def drawn(base: Plan, seed: int) -> Plan:
    """Return the plan with other parameters and another deposit."""
    draw = random.Random(seed)
    params = Params(
        entry_band=draw.uniform(0.02, 0.4),
        exit_band=draw.uniform(0.0, 0.1),
        size=draw.choice((0.3, 1.0, 4.0)),
        tolerance=draw.uniform(0.0, 0.9),
    )
    deposit_sat = draw.choice((10**7, 10**9, 10**10))
    settings = replace(base.settings, deposit_sat=deposit_sat)
    return replace(base, settings=settings, strategy=Strategy("band", decide, params))


def test_fills_and_every_mark_are_those_of_the_reference_engine(tmp_path: Path) -> None:
    """Longs, shorts with their interest and dividends, margin steps, partial fills, liquidations, expiry."""
    run, base = c_loop.built(tmp_path), c_loop.without_renewals(plan(HOURLY_BARS, HOUR_NS))
    kinds, shorts = set(), 0
    for seed in range(24):
        of = drawn(base, seed)
        ended, expected = c_loop.Loop(run, of).run(marks=True), reference.run(of)
        fills = [[f.time_ns // NS_PER_S, f.size_lots, f.price_sat, f.fee_sat] for f in expected.fills]
        assert ended.fills.tolist() == fills
        assert [*ended.equities.tolist(), ended.equity_sat] == [mark.equity_sat for mark in expected.marks]
        kinds |= {notice.kind for notice in expected.notices}
        shorts += any(mark.position_lots < 0 for mark in expected.marks)
    assert "liquidation" in kinds and shorts > 12, "otherwise little was compared"


def test_it_refuses_a_loan_that_would_have_to_be_renewed(tmp_path: Path) -> None:
    short = plan(HOURLY_BARS, HOUR_NS)
    assert short.settings.rules.loan_term_days < c_loop.LOAN_DAYS
    with pytest.raises(ValueError, match="lacks what this run needs"):
        c_loop.Loop(c_loop.built(tmp_path), short).run()
