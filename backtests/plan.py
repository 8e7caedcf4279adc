"""What an engine is given: one strategy, one history, one chain, all read and checked before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from backtests.result import NotKept, Observation, RunResult
from bot.chain.network import MAINNET, Network
from bot.core.events import RANK_BLOCK, RANK_FUNDING, Block, SwapRate
from bot.history.series import History
from bot.model.fair_value import FairValue
from bot.model.fees import MeanFee
from bot.model.growth import GrowthModel
from bot.model.knowledge import forecast_ahead
from bot.session import Session, SessionSettings, Strategy

World = tuple[int, int, Block | SwapRate]
"""(time, rank, event): what happens besides the market, in the order of bot.core.events."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: `past_epochs` are (start in seconds, bits) of the difficulty epochs known at the start.

    `past_fees` are the days over by then, (UTC day, mean fees of a block in satoshi), for payouts with fees.
    `network` is the chain's: another than Bitcoin's own only in tests.
    """

    settings: SessionSettings
    strategy: Strategy
    growth: GrowthModel
    past_epochs: Sequence[tuple[int, int]]
    blocks: Sequence[Block]
    history: History
    end_ns: int
    past_fees: Sequence[MeanFee] = ()
    network: Network = MAINNET

    def value(self) -> FairValue:
        """Return a fresh model of the contract's value that knows what was known at the start of the run."""
        known, fees, contract = self.past_epochs, self.past_fees, self.settings.contract
        forecast_ahead(self.growth, known, self.blocks, contract.end_ns, self.network)
        return FairValue(contract, known, self.growth, past_fees=fees, network=self.network)

    def session(self) -> Session:
        """Return a fresh session at the start of the run."""
        return Session(self.settings, self.strategy, self.value())

    def world(self) -> list[World]:
        """Return blocks and swap rates of the run in one order."""
        start, end = self.settings.start_ns, self.end_ns
        entries: list[World] = [(b.time_ns, RANK_BLOCK, b) for b in self.blocks if start < b.time_ns <= end]
        entries += [(r.time_ns, RANK_FUNDING, r) for r in self.history.rates if start <= r.time_ns <= end]
        entries.sort(key=itemgetter(0, 1))  # stable: rows of one instant keep their order
        return entries


def result_of(session: Session, plan: Plan, engine: str) -> RunResult:
    """Return what a finished session has to show."""
    state = session.state
    return RunResult(
        name=plan.strategy.name,
        engine=engine,
        user=session.user,
        contract=plan.settings.contract,
        start_ns=plan.settings.start_ns,
        end_ns=plan.end_ns,
        start_equity_sat=plan.settings.deposit_sat,
        fills=state.fills,
        postings=state.ledger.postings() if state.ledger.keep_moves else NotKept(),
        marks=session.marks,
        notices=state.notices,
        observations=[Observation(*values) for values in session.observations],
        final_balances=dict(state.ledger.balances),
        orders=[order.command for order in state.orders.values()],
    )
