"""Drawn chains: repeatable, obeying Bitcoin's retarget rule, spread as the forecast says, and silent about the past."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from statistics import fmean, stdev

import numpy as np
import pytest

from bot.chain.chain import Chain, load
from bot.chain.difficulty import BLOCKS_PER_EPOCH, EPOCH_TIMESPAN_S, bits_from_target, next_target
from bot.core.units import NS_PER_DAY, NS_PER_S
from bot.errors import ChainError
from bot.history.chain_path import drawn_path, known_path, simulate_chain
from bot.model.domain import ModelError
from bot.model.path_growth import PATH_MODELS
from bot.model.payout import realised_sat
from bot.model.random_clock import sobol_values

START_NS = 1_410_739_200 * NS_PER_S
END_NS = START_NS + 91 * NS_PER_DAY
ANCHORED = PATH_MODELS["anchored"]


@pytest.fixture(scope="module")
def chain() -> Chain:
    return load()


def drawn(chain: Chain, seed: int, start_ns: int = START_NS, end_ns: int = END_NS) -> Chain:
    return simulate_chain(chain, start_ns, end_ns, ANCHORED, seed)


@pytest.mark.parametrize("days", [0, 6, 20])
def test_a_drawn_chain_goes_on_from_what_was_known_and_obeys_the_retarget_rule(chain: Chain, days: int) -> None:
    start_ns = START_NS + days * NS_PER_DAY
    made = drawn(chain, 11, start_ns)
    known = [block for block in chain.blocks if block.time_ns <= start_ns]
    assert made.blocks[: len(known)] == known and made.to_ns > END_NS
    assert [block.height for block in made.blocks] == list(range(known[0].height, known[0].height + len(made.blocks)))
    for before, after in pairwise(made.blocks[len(known) - 1 :]):
        assert after.time_ns >= before.time_ns == before.time_ns // NS_PER_S * NS_PER_S
        assert after.interval_s * NS_PER_S == after.time_ns - before.time_ns
    by_height = {block.height: block for block in made.blocks}
    coming = [epoch for epoch in made.epochs if epoch.start_s * NS_PER_S > start_ns]
    assert len(coming) >= 5
    for epoch in coming:
        first = by_height[epoch.first_height]
        assert (first.header_time_s, first.bits, first.target) == (epoch.start_s, epoch.bits, epoch.target)
        opened, last = epoch.first_height - BLOCKS_PER_EPOCH, by_height[epoch.first_height - 1]
        opened_s = next(e.start_s for e in made.epochs if e.first_height == opened)
        assert epoch.bits == bits_from_target(next_target(last.target, opened_s, last.header_time_s))
        assert last.bits != epoch.bits
    assert made.epochs_known_at(made.to_ns)[-1] == coming[-1]
    made.require_fees(start_ns, END_NS)


def test_one_seed_gives_one_chain_and_another_seed_another(chain: Chain) -> None:
    first, again, other = drawn(chain, 3), drawn(chain, 3), drawn(chain, 4)
    assert (first.blocks, first.epochs) == (again.blocks, again.epochs)
    assert first.epochs != other.epochs


def test_what_comes_after_the_start_changes_nothing(chain: Chain) -> None:
    cut = [block for block in chain.blocks if block.time_ns <= START_NS]
    epochs = chain.epochs_known_at(START_NS)
    blind = replace(chain, blocks=cut, epochs=epochs, epoch_known_ns=chain.epoch_known_ns[: len(epochs)])
    assert drawn(blind, 5).blocks == drawn(chain, 5).blocks


def test_drawn_growth_has_the_mean_the_spread_and_the_tails_of_the_forecast(chain: Chain) -> None:
    last = [block for block in chain.blocks if block.time_ns <= START_NS][-1]
    path = known_path(list(chain.epochs_known_at(START_NS)), last, ANCHORED).first(8)
    levels = np.cumsum([drawn_path(path, seed) for seed in range(3000)], axis=1)
    spread = math.sqrt(sum(weight * factor * factor for weight, factor in path.scales))
    sd = spread * np.sqrt(np.diagonal(path.covariance))
    assert np.all(np.abs(levels.mean(0) - path.mean) < 4 * sd / math.sqrt(3000))
    assert np.all(np.abs(levels.std(0) / sd - 1.0) < 0.08)
    correlation = np.corrcoef(levels.T)[0, 7]
    expected = path.covariance[0, 7] / math.sqrt(path.covariance[0, 0] * path.covariance[7, 7])
    assert abs(correlation - expected) < 0.06
    beyond = np.mean(np.abs(levels - path.mean) > 2.5 * sd, axis=0)
    assert np.all(beyond > 0.0124), "the mixture's tails are fatter than a normal's"


def test_payouts_of_drawn_chains_have_the_models_mean(chain: Chain) -> None:
    """The distribution of chains and the closed-form law of the value are two routes to one number."""
    made = [drawn(chain, seed) for seed in range(50)]
    paid = [
        realised_sat(
            [(e.start_s, e.bits) for e in one.epochs], START_NS // NS_PER_S, END_NS // NS_PER_S, 10**12, 1.0, 0
        )
        for one in made
    ]
    epochs = list(chain.epochs_known_at(START_NS))
    last = [block for block in chain.blocks if block.time_ns <= START_NS][-1]
    law = sobol_values(known_path(epochs, last, ANCHORED), 91 * 86400.0, START_NS / 1e9 - epochs[-1].start_s)
    rate = realised_sat([(0, epochs[-1].bits)], 0, 1, 10**12, 1.0, 0)
    assert abs(fmean(paid) / (rate * law.mean_s) - 1.0) < 4 * stdev(paid) / fmean(paid) / math.sqrt(len(paid))


def test_gaps_between_blocks_are_exponential(chain: Chain) -> None:
    made = drawn(chain, 21)
    epoch = made.epochs[-3]
    times = [b.header_time_s for b in made.blocks if b.height // BLOCKS_PER_EPOCH == epoch.number]
    gaps = [after - before for before, after in pairwise(times)]
    mean = fmean(gaps)
    assert abs(stdev(gaps) / mean - 1.0) < 0.1
    longer = sum(gap > 2 * mean for gap in gaps) / len(gaps)
    assert abs(longer - math.exp(-2)) < 0.03
    assert EPOCH_TIMESPAN_S / 4 < sum(gaps) < EPOCH_TIMESPAN_S * 4


def test_a_start_that_the_chain_does_not_know_is_refused(chain: Chain) -> None:
    with pytest.raises(ChainError, match="are wanted from"):
        drawn(chain, 1, START_NS - 400 * NS_PER_DAY)
    with pytest.raises(ModelError, match="retargets end before it does"):
        drawn(chain, 1, START_NS, START_NS + 3000 * NS_PER_DAY)
