"""What a run's report needs, gathered from the run: market series, settings, hashes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backtests.attribution import Attribution
from backtests.metrics import Metrics
from backtests.report import MarketSeries, ReportInput, render
from backtests.result import RunResult
from bot.chain.difficulty import difficulty_float
from bot.config import explain_settings
from bot.core.accrual import block_income_sat, pool_fee_sat
from bot.core.contract import Contract
from bot.core.events import BTC, Block
from bot.run import Run


def report_files(
    run: Run,
    results: list[RunResult],
    attributions: list[Attribution],
    metrics: list[Metrics],
    reproduce: dict[str, str],
) -> dict[str, bytes]:
    """Return the files that go with a run's tables: the report, and the exact configuration and contract."""
    settings = run.settings
    rows = [(row.path, row.value, row.unit, row.origin) for row in explain_settings(settings)]
    page = render(
        ReportInput(
            title=f"{settings.contract.symbol}: {len(results)} strategies",
            contract=settings.contract,
            simulated=run.simulated,
            results=results,
            attributions=attributions,
            metrics=metrics,
            market=market_series(run, results[0]),
            settings_rows=rows,
            reproduce=reproduce,
        )
    )
    return {
        # A file name that is not UTF-8 cannot be written as it is.
        "report.html": page.encode("utf-8", "backslashreplace"),
        **run.documents,
    }


def market_series(run: Run, result: RunResult) -> MarketSeries:
    """Return what every strategy of the run saw; marks at expiry, which are no market prices, left out."""
    contract = run.settings.contract
    marks = [mark for mark in result.marks if mark.price_sat > 0]
    blocks = run.plans[0].blocks
    return MarketSeries(
        times_ns=[mark.time_ns for mark in marks],
        price_sat=[mark.price_sat for mark in marks],
        difficulty=list(difficulty_steps(blocks)),
        dividends=[(block.time_ns, dividend_per_contract_sat(contract, block)) for block in blocks],
        swap_rates=[
            (rate.time_ns, "BTC" if rate.asset == BTC else contract.asset, rate.rate_ppb_day, rate.available)
            for rate in run.history.rates
        ],
    )


def difficulty_steps(blocks: Sequence[Block]) -> Iterator[tuple[int, float]]:
    """Yield (time, difficulty) of the first block and of each that changes it."""
    target = 0
    for block in blocks:
        if block.target != target:
            target = block.target
            yield block.time_ns, difficulty_float(target)


def dividend_per_contract_sat(contract: Contract, block: Block) -> float:
    """Return one contract's share of `block`'s dividend, in satoshi, unrounded (for display; the ledger is exact)."""
    income = block_income_sat(contract, block)
    net = income - pool_fee_sat(income, contract.payout.fee_ppm)
    return net * contract.lots_per_contract / contract.tranche_lots
