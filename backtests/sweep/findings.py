"""What a sweep found: every trial with its rows and score, the best of them, and how much of that is luck."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from backtests import luck
from backtests.luck import Luck
from backtests.sweep.markets import CONFIGURED
from backtests.sweep.measures import Row
from backtests.sweep.run import Sweep, score
from backtests.sweep.space import Space, Trial

FEWEST_OBSERVATIONS: Final = 10
"""Fewer days or simulated markets say nothing about luck."""
LUCK_SEED: Final = 1
SIGNIFICANT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Standing:
    """A trial with what came of it; `score` is None where it failed on a market.

    `row` is that of the configured market, `drawn_sat` the net profits on the simulated ones.
    """

    trial: Trial
    space: Space
    row: Row
    drawn_sat: tuple[int, ...]
    score: float | None
    error: str

    @property
    def shown(self) -> dict[str, str]:
        """Its values as a configuration would write them."""
        return self.space.shown(self.trial.values)

    @property
    def standard_error(self) -> float | None:
        """The standard error of the mean over simulated markets, in satoshi; None for fewer than two."""
        if len(self.drawn_sat) < 2:
            return None
        return statistics.stdev(self.drawn_sat) / float(len(self.drawn_sat) ** 0.5)

    @property
    def loss_share(self) -> float | None:
        """The share of simulated markets on which it lost; None without any."""
        return sum(net < 0 for net in self.drawn_sat) / len(self.drawn_sat) if self.drawn_sat else None


@dataclass(frozen=True, slots=True)
class Findings:
    """A whole sweep: `standings` from the best score to the worst, those that failed last. `luck` is of the first."""

    spaces: tuple[Space, ...]
    markets: tuple[int, ...]
    deposit_sat: int
    standings: tuple[Standing, ...]
    luck: Luck | None

    @property
    def best(self) -> Standing | None:
        """The trial with the highest score, None if all failed."""
        return self.standings[0] if self.standings and self.standings[0].score is not None else None

    @property
    def failed(self) -> tuple[Standing, ...]:
        """The trials that failed on some market."""
        return tuple(one for one in self.standings if one.score is None)

    @property
    def seeds(self) -> int:
        """How many simulated markets there were."""
        return sum(market != CONFIGURED for market in self.markets)


def findings_of(sweep: Sweep, spaces: Sequence[Space], deposit_sat: int) -> Findings:
    """Return what a finished sweep found. Equal scores stand in the order of their trials."""
    by_strategy = {space.strategy: space for space in spaces}
    standings = [_standing(trial, by_strategy[trial.strategy], sweep.rows_of(trial)) for trial in sweep.trials.values()]
    standings.sort(key=lambda one: (one.score is None, -(one.score or 0.0), one.trial.number))
    good = [one for one in standings if one.score is not None]
    return Findings(
        tuple(spaces), tuple(sweep.markets), deposit_sat, tuple(standings), _luck(good, sweep.markets, deposit_sat)
    )


def _standing(trial: Trial, space: Space, rows: Sequence[Row]) -> Standing:
    configured = next(row for row in rows if row.market == CONFIGURED)
    error = next((row.error for row in rows if row.error), "")
    drawn = tuple(row.net_sat for row in rows if row.market != CONFIGURED and not row.error)
    return Standing(trial, space, configured, drawn, score(rows), error)


def _luck(good: Sequence[Standing], markets: Sequence[int], deposit_sat: int) -> Luck | None:
    """Return how much of the first of `good` is luck, by simulated markets if there are any, else by days."""
    if not good:
        return None
    if len(markets) > 1:
        profits, block = np.array([one.drawn_sat for one in good], dtype=np.float64), 1.0
    else:
        profits = np.diff(np.array([one.row.daily_sat for one in good], dtype=np.float64))
        block = luck.block_length(profits.shape[1])
    if profits.shape[1] < FEWEST_OBSERVATIONS:
        return None
    return luck.luck_of_best(profits / deposit_sat, 0, block=block, seed=LUCK_SEED)


def luck_words(findings: Findings) -> str:
    """Return in sentences how much of the best result is luck, with the measures and where they come from."""
    best, found = findings.best, findings.luck
    per = "simulated market" if findings.seeds else "day"
    if best is None:
        return "Every trial failed."
    if found is None:
        return f"Too few {per}s to say how much of the best result is luck: fewer than {FEWEST_OBSERVATIONS}."
    tried = f"{found.trials} trials were made, which weigh as {found.independent:.0f} independent ones."
    if best.score is None or best.score <= 0:
        return f"{tried} None made a profit, so there is no luck to explain."
    drawn = "of the markets" if findings.seeds else f"of days in blocks of {found.block:g} on average"
    check = (
        f"The best of {found.trials} worthless trials would look at least this good with probability "
        f"{found.p_value:.2g} (White's reality check 2000, {found.draws} bootstraps {drawn})."
    )
    ratio = ""
    if found.deflated is not None:
        ratio = (
            f" If none were any good, the best would still show a Sharpe ratio of about {found.expected_sharpe:.3f} a "
            f"{per}; this one shows {found.sharpe:.3f}, so the probability that its true ratio is above 0, deflated "
            f"for the choice, is {100 * found.deflated:.0f} % (Bailey and López de Prado 2014)."
        )
    unlikely = found.p_value <= SIGNIFICANT and (found.deflated is None or found.deflated >= 1 - SIGNIFICANT)
    verdict = "Luck alone is an unlikely explanation." if unlikely else "Luck alone may well explain it."
    return f"{verdict} {tried}{ratio} {check}"
