"""The guided search: Optuna's tree-structured Parzen estimator, asked in batches of a fixed size. Imports optuna.

A batch is asked for before any of it is known, and told in its own order when all of it is: so the trials are the same
however many workers there are, and a sweep that goes on after a kill asks the same questions again and finds most
answers on disk. What is lost is that a batch does not learn from itself (`constant_liar` spreads it out instead).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from backtests.sweep.space import Axis, Space, Trial

BATCH: Final = 16
"""How many trials are asked for at once: also the most workers that a guided search keeps busy on one market."""


class Guided:
    """One study for each strategy, `count` trials each, one strategy after the other; the same for the same seed."""

    def __init__(self, spaces: Sequence[Space], count: int, seed: int) -> None:
        self.total = count * len(spaces)
        self._coming = list(spaces)
        self._count = count
        self._seed = seed
        self._number = 0
        self._left = 0
        self._space: Space | None = None
        self._study: Any = None
        self._asked: list[tuple[int, Any]] = []

    def ask(self) -> Sequence[Trial]:
        """Return the next batch of trials."""
        if not self._left:
            if not self._coming:
                return ()
            self._begin(self._coming.pop(0))
        assert self._space is not None
        batch = []
        for _ in range(min(BATCH, self._left)):
            asked = self._study.ask()
            places = tuple(_place(asked, axis) for axis in self._space.axes)
            values = tuple(axis.at(place) for axis, place in zip(self._space.axes, places, strict=True))
            self._asked.append((self._number, asked))
            batch.append(Trial(self._number, self._space.strategy, values))
            self._number += 1
        self._left -= len(batch)
        return batch

    def tell(self, scores: Mapping[int, float | None]) -> None:
        """Tell the study what came of the batch, in the order in which it was asked for."""
        from optuna.trial import TrialState

        for number, asked in self._asked:
            found = scores[number]
            if found is None:
                self._study.tell(asked, state=TrialState.FAIL)
            else:
                self._study.tell(asked, found)
        self._asked.clear()

    def _begin(self, space: Space) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self._seed, constant_liar=True, multivariate=False)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._space, self._left = space, self._count


def _place(asked: Any, axis: Axis) -> float:
    """Return where on an axis the study wants to look, from 0 to 1: the middle of a named value's share."""
    if axis.range.is_span:
        return float(asked.suggest_float(axis.key, 0.0, 1.0))
    count = len(axis.range.values)
    return (int(asked.suggest_categorical(axis.key, list(range(count)))) + 0.5) / count
