"""A chain that could come: blocks and difficulty drawn from what is known at an instant, simulated and seeded.

How difficulty moves is drawn from a path model's own forecast (`bot.model.paths`): ln D at the coming retargets is one
Gaussian, or with fat tails a mixture of them, sharpened by the blocks of the present epoch. What a retarget will be is
how long its 2,015 timed intervals take, 1,209,600 e^-x seconds, so the draw fixes the times of an epoch's first and
last block; the others lie between them as those of a Poisson process of constant rate must, given how many they are:
evenly distributed and sorted. Bits then follow from the whole seconds of those two times by Bitcoin's own rule, clamp
and compact form included. The gap to the next epoch, which nobody times, is exponential.

Left out, and said so: hash power that grows inside an epoch, miners' clocks (header times never fall here), and fees
that change (every block carries the mean of the last 144 known, rounded down).
Source: MODEL 0 and 2; Bowden et al., Block arrivals in the Bitcoin blockchain, 2018 (arXiv 1801.07447).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import sqrt

import numpy as np

from bot.chain.chain import Chain, Epoch, Source
from bot.chain.difficulty import (
    BLOCKS_PER_EPOCH,
    EPOCH_TIMESPAN_S,
    TIMED_INTERVALS,
    bits_from_target,
    next_target,
    subsidy_sat,
)
from bot.core.events import Block
from bot.core.units import NS_PER_S
from bot.history.draws import Draws, exp, log
from bot.model.domain import refused
from bot.model.growth import forecast, log_ratio
from bot.model.path_growth import PathGrowth
from bot.model.paths import PathForecast, with_blocks_seen
from bot.model.reproducible import Floats, cholesky

VERSION = 1
"""Raised whenever the same seed would give another chain."""
FEE_BLOCKS = 144


def simulate_chain(chain: Chain, start_ns: int, end_ns: int, model: PathGrowth, seed: int) -> Chain:
    """Return `chain` as it was known at `start_ns`, continued by drawn blocks until after `end_ns`.

    The same seed gives the same chain on every machine. Raises ModelError where `model` lacks past retargets or the
    forecast ends before `end_ns`, ChainError where `chain` does not know the present epoch's blocks.
    """
    known = [block for block in chain.blocks if block.time_ns <= start_ns]
    past = chain.epochs_known_at(start_ns)
    epochs = list(past)
    if not known or known[-1].height // BLOCKS_PER_EPOCH != epochs[-1].number:
        chain.blocks_between(start_ns - 1, start_ns)  # raises with the range that is known
        raise refused("chain", "it does not know the blocks of the present epoch", "choose a later start")
    path = drawn_path(known_path(epochs, known[-1], model), seed)
    fees = [block.fees_sat for block in known[-FEE_BLOCKS:]]
    fees_sat = sum(fees) // len(fees)  # rounded down
    blocks = list(known)
    for block in _blocks(epochs, known[-1], path, fees_sat, Draws(seed, "blocks")):
        blocks.append(block)
        if block.time_ns > end_ns:
            break
    else:
        raise refused("end", f"{len(path)} retargets end before it does", "choose a shorter term")
    to_ns = blocks[-1].time_ns
    blocks.pop()  # what lies at the edge is not known to be all there is
    while blocks[-1].time_ns == to_ns:
        blocks.pop()
    return replace(
        chain,
        epochs=tuple(epochs),
        blocks=blocks,
        sources=(Source(f"simulated chain, seed {seed}", hashlib.sha256(repr(path).encode()).hexdigest()),),
        to_ns=to_ns,
        fees_to_ns=to_ns,
        epoch_known_ns=(
            *chain.epoch_known_ns[: len(past)],
            *(epoch.start_s * NS_PER_S for epoch in epochs[len(past) :]),
        ),
    )


def known_path(epochs: list[Epoch], last: Block, model: PathGrowth) -> PathForecast:
    """Return the forecast of coming retargets from the epochs known and the pace of the present one until `last`."""
    ratios = [log_ratio(one.target, other.target) for one, other in pairwise(epochs[-model.uses_retargets - 1 :])]
    forecast(model, ratios)  # raises with what is missing
    seconds = last.time_ns / NS_PER_S - epochs[-1].start_s
    gaps = last.height % BLOCKS_PER_EPOCH if seconds > 0 else 0
    return with_blocks_seen(model.forecast(ratios), gaps, seconds)


def drawn_path(path: PathForecast, seed: int) -> list[float]:
    """Return drawn log-changes x_1, x_2, .. of difficulty at the coming retargets, before the clamp.

    Y = m + f L z with L the Cholesky root of the covariance, z independent normals (Marsaglia's polar method), f one
    factor of the mixture's scales for the whole path.
    """
    draws = Draws(seed, "difficulty")
    factor = _drawn_factor(path.scales, draws.uniform())
    normals = np.array([_normal(draws) for _ in range(path.retargets)])
    root = cholesky(path.covariance)
    moves: Floats = path.mean + factor * np.cumsum(root * normals, axis=-1)[..., -1]  # added in order
    levels = [0.0, *moves.tolist()]
    return [after - before for before, after in pairwise(levels)]


def _drawn_factor(scales: tuple[tuple[float, float], ...], uniform: float) -> float:
    reached = 0.0
    for weight, factor in scales:
        reached += weight
        if uniform < reached:
            return factor
    return scales[-1][1]


def _normal(draws: Draws) -> float:
    """Return a standard normal draw, tails included, by logarithm and square root, which round alike everywhere."""
    while True:
        u, v = 2.0 * draws.uniform() - 1.0, 2.0 * draws.uniform() - 1.0
        s = u * u + v * v
        if 0.0 < s < 1.0:
            return u * sqrt(-2.0 * log(s) / s)


def _blocks(epochs: list[Epoch], last: Block, path: list[float], fees_sat: int, draws: Draws) -> Iterator[Block]:
    """Yield blocks after `last`, epoch by epoch of the path; appends to `epochs` each that a block begins."""
    before, target, bits = last, last.target, last.bits
    first_s = epochs[-1].start_s
    for growth in path:
        span_s = EPOCH_TIMESPAN_S * exp(-growth)
        times = _epoch_times(first_s, before.time_ns // NS_PER_S, before.height % BLOCKS_PER_EPOCH, span_s, draws)
        for time_s in times:
            before = _block(before, time_s, bits, target, fees_sat)
            yield before
        target = next_target(target, first_s, before.header_time_s)
        bits = bits_from_target(target)
        gap_s = -log(1.0 - draws.uniform()) * span_s / TIMED_INTERVALS
        first_s = before.header_time_s + max(round(gap_s), 1)  # an epoch begins later than the one before it
        before = _block(before, first_s, bits, target, fees_sat)
        epochs.append(Epoch(before.height // BLOCKS_PER_EPOCH, before.height, first_s, True, bits))
        yield before


def _epoch_times(first_s: int, last_s: int, gaps: int, span_s: float, draws: Draws) -> list[int]:
    """Return the whole seconds of an epoch's blocks after the first `gaps` + 1, of which the latest came at `last_s`.

    They end `span_s` after `first_s`; if that is past, with a second for each block that is still missing.
    """
    missing = TIMED_INTERVALS - gaps
    left_s = max(first_s + span_s - last_s, float(missing))
    inner = sorted(draws.uniform() for _ in range(missing - 1))
    times = [last_s + round(share * left_s) for share in inner]
    return [*times, last_s + round(left_s)] if missing else []


def _block(before: Block, time_s: int, bits: int, target: int, fees_sat: int) -> Block:
    time_ns, height = time_s * NS_PER_S, before.height + 1
    interval_s = time_s - before.time_ns // NS_PER_S  # exact: whole seconds
    return Block(time_ns, height, time_s, interval_s, bits, target, subsidy_sat(height), fees_sat)
