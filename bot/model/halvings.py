"""Halvings of the block subsidy: when they come, counted in epochs, what they pay, and what hash power makes of them.

Places are counted in epochs since the genesis block, a block at height H lying at H / 2016: the third halving at 312.5.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from bot.chain.difficulty import BLOCKS_PER_EPOCH, HALVING_BLOCKS, subsidy_sat
from bot.model.reproducible import Floats

HALVING_EPOCHS: Final = HALVING_BLOCKS / BLOCKS_PER_EPOCH
"""Epochs from one halving to the next, 104.1666."""


def halvings_felt(epoch: Floats | float) -> Floats:
    """Return how many halvings the difficulty at the start of `epoch` has felt, fractions included.

    A retarget feels a halving of the epoch before it in proportion to the part of that epoch which lay after it; the
    next retarget feels the rest.

    >>> [round(float(halvings_felt(k)), 3) for k in (104, 105, 106, 209, 210)]
    [0.0, 0.833, 1.0, 1.667, 2.0]
    """
    passed = np.floor(np.asarray(epoch, np.float64) / HALVING_EPOCHS)
    return np.where(passed > 0.0, passed - 1.0 + np.minimum(epoch - passed * HALVING_EPOCHS, 1.0), 0.0)


def reward_steps(height: int, fees_sat: float, epochs: int) -> tuple[tuple[float, float], ...]:
    """Return (place, factor) of each halving to come: epochs from the start of the present one, reward over today's.

    `height` is that of the latest block, `fees_sat` the fees of a block beside its subsidy; only halvings inside the
    next `epochs` are listed.

    >>> reward_steps(629_998, 0.0, 3)
    ((0.5, 0.5),)
    """
    begun = height // BLOCKS_PER_EPOCH  # floor: the present epoch
    era = (height + 1) // HALVING_BLOCKS  # floor: of the next block
    now = subsidy_sat(height + 1) + fees_sat
    steps = []
    while (place := (era + 1) * HALVING_EPOCHS - begun) < epochs and now > 0.0:
        era += 1
        steps.append((place, (subsidy_sat(era * HALVING_BLOCKS) + fees_sat) / now))
    return tuple(steps)
