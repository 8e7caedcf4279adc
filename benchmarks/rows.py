"""A plan's bars as a backtrader user would prepare them: floats, with fair value, dividends and rates beside them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from backtests.plan import Plan
from benchmarks.plain_backtrader import Row
from bot.core.accrual import block_income_sat
from bot.core.events import CONTRACT, Block
from bot.core.units import NS_PER_DAY, PPB, PPM, SAT_PER_BTC
from bot.model.fair_value import FairValue

UNIX_EPOCH_DAY: Final = 719_163
"""1970-01-01 as backtrader counts days: from the year 1."""


def rows_of(plan: Plan) -> list[Row]:
    """Return one row a bar; the model knows only the blocks before each close."""
    value = FairValue(plan.settings.contract, plan.past_epochs, plan.growth, past_fees=plan.past_fees)
    per_contract = plan.settings.contract.lots_per_contract
    rows: list[Row] = []
    world = plan.world()
    at, rate_ppb_day = 0, 0
    for bar in plan.history.bars:
        dividend_sat = 0.0
        while at < len(world) and world[at][0] <= bar.close_ns:
            event = world[at][2]
            if isinstance(event, Block):
                value.on_block(event)
                dividend_sat += _dividend_sat(plan, event)
            elif event.asset == CONTRACT:
                rate_ppb_day = event.rate_ppb_day
            at += 1
        rows.append(
            Row(
                UNIX_EPOCH_DAY + bar.close_ns / NS_PER_DAY,
                bar.open_sat / SAT_PER_BTC,
                bar.high_sat / SAT_PER_BTC,
                bar.low_sat / SAT_PER_BTC,
                bar.close_sat / SAT_PER_BTC,
                bar.volume_lots / per_contract,
                value.value_sat(bar.close_ns) / SAT_PER_BTC,
                dividend_sat / SAT_PER_BTC,
                rate_ppb_day / PPB,
            )
        )
    return rows


def _dividend_sat(plan: Plan, block: Block) -> float:
    """Return what one contract earns with a block, after the pool's fee."""
    terms = plan.settings.contract
    income = block_income_sat(terms, block)
    return income * (1 - terms.payout.fee_ppm / PPM) * terms.lots_per_contract / terms.tranche_lots


def write_rows(rows: list[Row], path: Path) -> None:
    """Write rows as CSV that `plain_backtrader.read_rows` reads back."""
    with path.open("w", encoding="ascii", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(Row._fields)
        writer.writerows(rows)
