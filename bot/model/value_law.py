"""How sure a fair value is: the law of what is still to be paid, and what random retarget dates take off its mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.chain.difficulty import HALVING_BLOCKS, subsidy_sat
from bot.core.contract import PRO_RATA, Contract
from bot.core.units import NS_PER_S, PPM
from bot.model.domain import refused
from bot.model.knowledge import ChainKnowledge
from bot.model.payout import share_of_reward_per_s

if TYPE_CHECKING:
    from bot.model.random_clock import LogMixture


def window_s(contract: Contract, time_ns: int) -> tuple[float, float]:
    """Return begin and end of what `contract` still pays, in seconds from `time_ns`."""
    return max(contract.start_ns - time_ns, 0) / NS_PER_S, (contract.end_ns - time_ns) / NS_PER_S


def payout_law(contract: Contract, chain: ChainKnowledge, time_ns: int, fees_sat: float) -> LogMixture:
    """Return the law of the payout left at `time_ns`, in seconds at today's rate of a block's subsidy and `fees_sat`.

    Halvings inside the term count at their random dates, a pool's luck where the contract bears it. Raises ModelError
    for a model without a path.
    """
    if chain.path is None:
        what = "this model expects one path and knows nothing of how sure it is"
        raise refused("value.model", what, "choose anchored, damped or ar1 for quantiles")
    from bot.model.halvings import reward_steps
    from bot.model.random_clock import second_order, with_pool_luck

    elapsed_s = (time_ns - chain.epoch_start_ns) / NS_PER_S
    begin_s, end_s = window_s(contract, time_ns)
    rewards = reward_steps(chain.height, fees_sat, chain.path.retargets)
    law = second_order(chain.path, end_s, elapsed_s, begin_s, rewards)
    payout = contract.payout
    if payout.basis != PRO_RATA:
        return law
    share_per_s = share_of_reward_per_s(contract.hash_rate_hs, chain.target, payout.fee_ppm, payout.exact_hashes)
    share = (1.0 - payout.fee_ppm / PPM) * contract.hash_rate_hs / payout.pool_hs  # of a block, per contract
    return with_pool_luck(law, float(law.mean_s) * share_per_s / share)


def clock_factor(contract: Contract, chain: ChainKnowledge, time_ns: int, fees_sat: float, law: LogMixture) -> float:
    """Return E v of `law` over the payout on the expected path: what random retarget dates take off, some 0.5 %."""
    low, high = window_s(contract, time_ns)
    now = subsidy_sat(chain.height + 1) + fees_sat
    expected_s = 0.0
    for at in chain.stretches(time_ns, contract.end_ns):
        factor = (subsidy_sat(at.era * HALVING_BLOCKS) + fees_sat) / now
        expected_s += factor * at.decay * max(min(at.end_s, high) - max(at.start_s, low), 0.0)
    return float(law.mean_s) / expected_s
