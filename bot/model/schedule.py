"""The expected path of retargets and halvings from now on: stretches of time in which the payout is constant.

The full timespan of an epoch is c e^{-x} seconds, where x is the log-change of difficulty that it brings about:
difficulty and retarget dates are one process. c = 1209600 x 2016/2015, for a retarget times 2,015 of the 2,016
intervals. The change is clamped to a factor of 4, the duration is not. Source: Bitcoin Core `pow.cpp`, MODEL 0.

Only + - * / happen in here: what the caller passes decides whether the result is the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final, NamedTuple

from bot.chain.difficulty import BLOCKS_PER_EPOCH, EPOCH_TIMESPAN_S, HALVING_BLOCKS, TIMED_INTERVALS
from bot.model.domain import checked, refused

EPOCH_S: Final = EPOCH_TIMESPAN_S * BLOCKS_PER_EPOCH / TIMED_INTERVALS
"""c: expected seconds of a full epoch at constant hash rate, 1210200.298."""
LN4: Final = 1.3862943611198906
"""ln 4, the nearest float: the largest log-change of difficulty at one retarget."""
_MOST_GROWTH = 700.0  # e^700 is still a float


class Step(NamedTuple):
    """One epoch: its full duration in seconds, and the factor on the payout rate when the next one begins."""

    length_s: float
    decay: float


class Stretch(NamedTuple):
    """Seconds from now, [start_s, end_s), of constant payout: `decay` times today's rate per coin of reward.

    `era` is the number of halvings since the genesis block, or 0 throughout where the height is not given.
    """

    start_s: float
    end_s: float
    decay: float
    era: int


def step_of_growth(growth: float) -> Step:
    """Return the epoch that ends in a log-change of difficulty `growth` = ln(D_next / D): c e^{-x}, e^{-clip(x)}.

    Raises ModelError beyond +-700 and for NaN.
    """
    checked("growth_per_retarget", growth, -_MOST_GROWTH, _MOST_GROWTH, "0.05 is 5 % a retarget")
    return Step(EPOCH_S * math.exp(-growth), math.exp(-min(max(growth, -LN4), LN4)))


def steps_of_growth(growth: float | Sequence[float]) -> Iterable[Step]:
    """Return the epochs to come: the same `growth` at every retarget, or one given for each (x_1, x_2, ..)."""
    if isinstance(growth, Sequence):
        return map(step_of_growth, growth)
    return repeat(step_of_growth(growth))


def stretches(elapsed_s: float, steps: Iterable[Step], height: int | None = None) -> Iterator[Stretch]:
    """Yield the stretches of constant payout from now on, in order, without gaps, for as long as `steps` last.

    The present epoch began `elapsed_s` >= 0 ago and is expected to end at max(c e^{-x} - elapsed, 0): an epoch
    that overruns is expected to end now, because the retarget has not happened and cannot lie in the past.
    `height`, that of the latest block, switches halvings on: an epoch that contains the halving block H is split
    at the block fraction (H - first height)/2016 of its duration, by the same rule never before now.
    Ends early once decay has fallen to 0. Raises ModelError when finite steps run out before the caller stops.
    """
    begun_s, decay = -elapsed_s, 1.0
    era = (height + 1) // HALVING_BLOCKS if height is not None else 0  # of the next block
    epoch = height // BLOCKS_PER_EPOCH if height is not None else 0
    for length_s, step_decay in steps:
        start_s, end_s = max(begun_s, 0.0), max(begun_s + length_s, 0.0)
        blocks = (era + 1) * HALVING_BLOCKS - epoch * BLOCKS_PER_EPOCH  # of this epoch before the halving
        if height is not None and blocks < BLOCKS_PER_EPOCH:
            halving_s = max(begun_s + length_s * (blocks / BLOCKS_PER_EPOCH), start_s)
            if halving_s > start_s:
                yield Stretch(start_s, halving_s, decay, era)
            start_s, era = halving_s, era + 1
        if end_s > start_s:
            yield Stretch(start_s, end_s, decay, era)
        begun_s, decay, epoch = end_s, decay * step_decay, epoch + 1
        if decay == 0.0:
            return
    raise refused("growth", "its retargets end before the contract does", "give one growth for each retarget")
