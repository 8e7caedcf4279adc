"""What is known of the chain at one moment: the present epoch, the height, the growth read from past retargets.

It is told of blocks in their order and never looks ahead, because nobody can hand it a block before its time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain as joined
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, Final

from bot.chain.difficulty import BLOCKS_PER_EPOCH, HALVING_BLOCKS, difficulty_float, subsidy_sat, target_from_bits
from bot.chain.network import MAINNET, Network
from bot.core.events import Block
from bot.core.units import NS_PER_S
from bot.errors import ChainError, Problem
from bot.model.domain import refused
from bot.model.growth import PATH_NAMES, GrowthModel, forecast, log_ratio, reproducible_step
from bot.model.schedule import Step, Stretch, stretches

if TYPE_CHECKING:
    from bot.model.path_growth import PathGrowth
    from bot.model.paths import PathForecast

FEE_BLOCKS: Final = 144
"""Blocks over which fees are averaged, as FPPS pools and the Luxor index do."""
SHARPEN_BLOCKS: Final = 144
"""How often, in blocks, a path model looks at the pace of the present epoch: about once a day."""


class ChainKnowledge:
    """The present epoch and what it lets one expect.

    `epoch_start_ns` is the header time of its first block, `target` its proof-of-work target, `growth` the
    expected ln(D_next/D) of the coming retarget, `steps` the lengths and decays of the coming epochs (the last one goes
    on), `path` the forecast behind them if the model makes one, `known_ns` the time of the latest event in it,
    `sharpened_ns` the time of the one from which the path was last forecast, `sharpened_gaps` its number in the epoch.
    """

    path: PathForecast | None = None

    def __init__(
        self,
        past_epochs: Sequence[tuple[int, int]],
        growth: GrowthModel,
        first_height: int | None = None,
        until_ns: int = 0,
        network: Network = MAINNET,
    ) -> None:
        """Start from `past_epochs`, consecutive (start_s, bits), the last one in force now.

        `first_height` is the height of the first one's first block; None: 0 if that is the genesis block, else it
        is learned from the first block seen. `network` bounds the targets. A path is forecast for 30 retargets, or as
        far as `until_ns`. Raises ModelError when no epoch, or fewer retargets than the growth model needs, are given,
        or the path would be too long, and ChainError for bits or times that cannot be.
        """
        if not past_epochs:
            what = "no difficulty epoch is known before the run"
            raise refused("past_epochs", what, "give (start_s, bits) of the epochs up to the one in force at the start")
        _check_order(past_epochs)
        if first_height is None and past_epochs[0][0] == network.genesis_time_s:
            first_height = 0
        if first_height is not None and first_height % BLOCKS_PER_EPOCH:
            what = f"{first_height} is not a multiple of {BLOCKS_PER_EPOCH}"
            raise refused("first_height", what, "an epoch begins at a multiple of 2016")
        self._max_target = easiest = network.max_target
        start_s, self.bits = past_epochs[-1]
        self._height = None if first_height is None else first_height + BLOCKS_PER_EPOCH * (len(past_epochs) - 1)
        self.known_ns = start_s * NS_PER_S
        self._growth_model, self._until_ns = growth, until_ns
        used = growth.uses_retargets
        targets = [target_from_bits(bits, f"past_epochs at {at} s", easiest) for at, bits in past_epochs[-used - 1 :]]
        ratios = [log_ratio(before, after) for before, after in pairwise(targets)]
        self._log_ratios: deque[float] = deque(ratios, maxlen=used)
        self._fees: deque[int] = deque(maxlen=FEE_BLOCKS)
        self._fees_sum_sat = 0
        self._begin(start_s, targets[-1])

    def _begin(self, start_s: int, target: int) -> None:
        """Begin an epoch; its number is read from the height of the latest block, where that is known."""
        self.epoch_start_ns = start_s * NS_PER_S
        self.target = target
        self.difficulty = difficulty_float(target, self._max_target)
        self.sharpened_ns, self.sharpened_gaps = self.epoch_start_ns, 0
        known = tuple(self._log_ratios)
        model = path_model(self._growth_model)
        if model is None:
            self.growth = forecast(self._growth_model, known)
            self.steps: tuple[Step, ...] = (reproducible_step(self.growth),)
        else:
            self._at_retarget = model.forecast(known, self._epoch, (self._until_ns - self.epoch_start_ns) / NS_PER_S)
            self._take(self._at_retarget)

    def _take(self, path: PathForecast) -> None:
        """Expect the payouts that `path` expects."""
        from bot.model.path_growth import expected_steps, first_growth

        self.path, self.steps = path, expected_steps(path)
        self.growth = first_growth(self.steps)

    def _sharpen(self, gaps: int, time_ns: int) -> bool:
        """Learn from the pace of the present epoch; return whether that changed the path."""
        if gaps == 0 or self.path is None:
            return False
        return time_ns > self.epoch_start_ns and self._look(gaps, time_ns)

    def _look(self, gaps: int, time_ns: int) -> bool:
        """Forecast the path anew from the epoch's first `gaps` gaps, which are over at `time_ns`."""
        model = path_model(self._growth_model)
        assert model is not None, "growth without a path has nothing to look at"
        seconds = (time_ns - self.epoch_start_ns) / NS_PER_S
        self._take(model.with_blocks_seen(self._at_retarget, self._epoch, gaps, seconds))
        self.sharpened_ns, self.sharpened_gaps = time_ns, gaps
        return True

    @property
    def _epoch(self) -> int | None:
        return None if self._height is None else self._height // BLOCKS_PER_EPOCH  # floor

    @property
    def step(self) -> Step:
        """The present epoch: its expected length and the decay when it ends."""
        return self.steps[0]

    def learn(self, block: Block) -> bool:
        """Take in `block`; return True when it changes the expected path: a new epoch, a halving, a pace.

        Raises ChainError for a block at or below the last height, of an epoch whose beginning was not seen, or
        with another difficulty than its epoch has.
        """
        height, before = block.height, self._height
        is_next = before is not None and height == before + 1 and height % BLOCKS_PER_EPOCH > 0  # as nearly all are
        begins = not is_next and self._begins_epoch(block)
        if not begins and block.bits != self.bits:
            what = f"block {height} has bits {block.bits:#010x}, its epoch {self.bits:#010x}"
            raise ChainError([Problem("past_epochs", what, "give every epoch up to the first block of the run")])
        self._height = height
        if begins:
            self._log_ratios.append(log_ratio(self.target, block.target))
            self.bits = block.bits
            self._begin(block.header_time_s, block.target)
        elif before is None:  # now the number of the epoch is known, and with it the next halving
            self._begin(self.epoch_start_ns // NS_PER_S, self.target)  # exact: it began at a whole second
        halved = before is None or (height + 1) // HALVING_BLOCKS != (before + 1) // HALVING_BLOCKS  # floor
        self.known_ns = max(self.known_ns, block.time_ns)
        if len(self._fees) == FEE_BLOCKS:
            self._fees_sum_sat -= self._fees[0]
        self._fees.append(block.fees_sat)
        self._fees_sum_sat += block.fees_sat
        gaps = height % BLOCKS_PER_EPOCH
        sharper = gaps % SHARPEN_BLOCKS == 0 and not begins and self._sharpen(gaps, self.known_ns)
        return begins or halved or sharper

    def _begins_epoch(self, block: Block) -> bool:
        first = block.height % BLOCKS_PER_EPOCH == 0
        is_known = first and not self._fees and block.header_time_s * NS_PER_S == self.epoch_start_ns
        if self._height is None:
            return first and not is_known
        if is_known and block.height == self._height:  # past_epochs end with the epoch that it begins
            return False
        if block.height <= self._height:
            what = f"block {block.height} comes after block {self._height}"
            raise ChainError(
                [Problem("blocks", what, "feed blocks in order, past_epochs only up to the first of them")]
            )
        epochs_on = block.height // BLOCKS_PER_EPOCH - self._height // BLOCKS_PER_EPOCH
        if epochs_on == 0 or (epochs_on == 1 and first):
            return first
        what = f"block {block.height} is of an epoch whose first block was not seen"
        raise ChainError(
            [Problem("blocks", what, f"feed every block whose height is a multiple of {BLOCKS_PER_EPOCH}")]
        )

    def stretches(self, time_ns: int, end_ns: int) -> list[Stretch]:
        """Return the expected path from `time_ns` on, as far as the stretch in which `end_ns` lies."""
        elapsed_s, horizon_s = (time_ns - self.epoch_start_ns) / NS_PER_S, (end_ns - time_ns) / NS_PER_S
        path = []
        for stretch in stretches(elapsed_s, joined(self.steps, repeat(self.steps[-1])), self.height):
            path.append(stretch)
            if stretch.end_s >= horizon_s:
                break
        return path

    @property
    def knows_height(self) -> bool:
        """Whether the height, hence the subsidy, can be told."""
        return self._height is not None

    @property
    def mean_fees_sat(self) -> float:
        """Mean transaction fees of the last 144 blocks seen (of fewer, if fewer were; 0 before any)."""
        return self._fees_sum_sat / len(self._fees) if self._fees else 0.0

    @property
    def height(self) -> int:
        """The height of the latest block known. Raises ModelError while it cannot be told."""
        if self._height is None:
            what = "the height is not known: past_epochs do not begin with the genesis block and no block was seen"
            raise refused("first_height", what, "give the height of the first of past_epochs, or feed a block first")
        return self._height

    @property
    def subsidy_sat(self) -> int:
        """Subsidy of the next block."""
        return subsidy_sat(self.height + 1)

    @property
    def retarget_ns(self) -> int:
        """When the present epoch is expected to end, seen from its beginning: start + c e^{-x}, to the nearest ns."""
        return self.epoch_start_ns + round(self.step.length_s * NS_PER_S)

    @property
    def halving_ns(self) -> int | None:
        """When the halving of the present epoch is expected, if one lies ahead in it, to the nearest ns."""
        first = self.height // BLOCKS_PER_EPOCH * BLOCKS_PER_EPOCH
        blocks = (_era_after(self.height) + 1) * HALVING_BLOCKS - first
        if blocks >= BLOCKS_PER_EPOCH:
            return None
        return self.epoch_start_ns + round(self.step.length_s * (blocks / BLOCKS_PER_EPOCH) * NS_PER_S)


def path_model(model: GrowthModel) -> PathGrowth | None:
    """Return `model` if it forecasts paths, else None."""
    if model.name not in PATH_NAMES:
        return None
    from bot.model.path_growth import PATH_MODELS

    return PATH_MODELS[model.name]


def forecast_ahead(
    growth: GrowthModel,
    past_epochs: Sequence[tuple[int, int]],
    blocks: Iterable[Block],
    until_ns: int,
    network: Network = MAINNET,
) -> None:
    """Make at once the forecasts that a `ChainKnowledge` will ask for, one at a time, as it learns `blocks`.

    Where the epochs from the genesis block on are known; elsewhere they are made as they are asked for. What one
    knows does not change by it, only when the work is done.
    """
    model = path_model(growth)
    if model is None or not past_epochs or past_epochs[0][0] != network.genesis_time_s:
        return
    known = len(past_epochs) - 1
    coming = [(b.header_time_s, b.bits) for b in blocks if b.height % BLOCKS_PER_EPOCH == 0]
    epochs = [*past_epochs, *(epoch for epoch in coming if epoch[0] > past_epochs[-1][0])]
    oldest = max(known - growth.uses_retargets, 0)
    targets = [target_from_bits(bits, f"epoch of {at} s", network.max_target) for at, bits in epochs[oldest:]]
    ratios = [log_ratio(before, after) for before, after in pairwise(targets)]
    left_s = [(until_ns - start_s * NS_PER_S) / NS_PER_S for start_s, _ in epochs]
    model.forecast_ahead([(ratios[: at - oldest], at, left_s[at]) for at in range(known, len(epochs))])


def _era_after(height: int) -> int:
    """Number of halvings up to the block after `height`."""
    return (height + 1) // HALVING_BLOCKS


def _check_order(past_epochs: Sequence[tuple[int, int]]) -> None:
    for (before, _), (after, _) in pairwise(past_epochs):
        if after <= before:
            what = f"the epoch of {after} s comes after that of {before} s"
            raise ChainError([Problem("past_epochs", what, "give epochs in order, each once")])
