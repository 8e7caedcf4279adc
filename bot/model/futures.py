"""Futures on averages: hashprice over a window of time (Luxor, Bitnomial), difficulty over a window of blocks (FTX).

    hashprice, bitcoin leg   hp_0 E[v] / T                     v: seconds of payout at today's rate in the window
    hashprice, dollar leg    F_S E[hp] exp(Cov(ln S, ln hp))   F_S: forward price of bitcoin
    difficulty               (1 / N) sum_k n_k E D_k           n_k blocks of epoch k among the N

The two averages bend opposite ways: hashprice is convex in difficulty's fall, mean difficulty in its rise, so
1 / (mean difficulty) is not mean hashprice. A window may lie ahead, or have begun: then what was seen of it is fixed.
Source: MODEL 6; Luxor derivatives documentation, Bitnomial HUP rulebook, FTX hashrate futures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bot.chain.difficulty import BLOCKS_PER_EPOCH
from bot.model.domain import checked, refused
from bot.model.paths import PathForecast
from bot.model.random_clock import LogMixture, Rewards, second_order
from bot.model.reproducible import Floats, exp


@dataclass(frozen=True, slots=True)
class Average:
    """The law of an average that settles a future: `fixed` by what was seen, plus `per_s` for each second of `law`.

    In the unit of the index. `law` is None when nothing is left open.
    """

    fixed: float
    per_s: float
    law: LogMixture | None

    @property
    def mean(self) -> float:
        """The fair price of the future, as far as its price does not move with bitcoin's."""
        return self.fixed + (0.0 if self.law is None else self.per_s * float(self.law.mean_s))

    def quantile(self, probability: float) -> float:
        """Return the index value that the average stays below with `probability`, strictly between 0 and 1."""
        return self.fixed + (0.0 if self.law is None else self.per_s * float(self.law.quantile_s(probability)))


def average_hashprice(
    forecast: PathForecast,
    hashprice: float,
    from_s: float,
    to_s: float,
    *,
    elapsed_s: float = 0.0,
    seen_s: float = 0.0,
    seen_average: float = 0.0,
    rewards: Rewards = (),
) -> Average:
    """Return the law of the mean hashprice, by time, over a window that ends `to_s` seconds from now.

    `hashprice`: the index now, of any unit (BTC per PH/s and day is 86400 `payout.payout_rate_btc_s` of 1e15 H/s);
    `from_s`: when the window begins, or 0 if it has: then `seen_s` of it are over and averaged `seen_average`;
    `elapsed_s`: since the present epoch began; `rewards`: halvings to come (`halvings.reward_steps`). Fees stay as they
    are. Raises ModelError for negative times, a window without length, and one both ahead and seen.
    """
    checked("from_s", from_s, 0.0, 1e12, "the window begins now or later; what is over goes into seen_s")
    checked("seen_s", seen_s, 0.0, 1e12, "a time is not negative")
    checked("hashprice", hashprice, 0.0, math.inf, "money per hash power and time")
    checked("seen_average", seen_average, 0.0, math.inf, "the mean of the index over what was seen")
    checked("to_s", to_s, from_s, 1e12, "the window ends after it begins")
    if seen_s > 0.0 and from_s > 0.0:
        raise refused("seen_s", f"{seen_s!r} s are seen of a window that begins in {from_s!r} s", "take one to be 0")
    window_s = seen_s + (to_s - from_s)
    if window_s <= 0.0:
        raise refused("to_s", f"a window of {window_s!r} s has no average", "end it after it begins")
    fixed = seen_average * (seen_s / window_s)
    if to_s - from_s < 1e-3:  # below a millisecond nothing is open
        return Average(fixed + hashprice * ((to_s - from_s) / window_s), 0.0, None)
    return Average(fixed, hashprice / window_s, second_order(forecast, to_s, elapsed_s, from_s, rewards))


def dollar_leg(mean_btc: float, forward_usd: float, log_covariance: float = 0.0) -> float:
    """Return the fair dollar price of an average in bitcoin that is paid in dollars: F_S E[hp] e^{Cov(ln S, ln hp)}.

    `forward_usd`: forward price of a bitcoin for the settlement day; `log_covariance` of ln S and ln hp up to then,
    mostly negative: a dearer bitcoin calls up hash power. Raises ModelError for negative prices, and covariance beyond
    +-10.

    >>> round(dollar_leg(0.0005, 60_000.0, -0.5 * 0.4 * 0.1), 3)   # correlation -1/2, sd 40 % and 10 %
    29.406
    """
    checked("mean_btc", mean_btc, 0.0, math.inf, "an average in bitcoin")
    checked("forward_usd", forward_usd, 0.0, math.inf, "dollars for a bitcoin")
    checked("log_covariance", log_covariance, -10.0, 10.0, "correlation times the two standard deviations")
    return forward_usd * mean_btc * math.exp(log_covariance)


def average_difficulty(
    forecast: PathForecast,
    difficulty: float,
    from_block: int,
    to_block: int,
    seen_blocks: int = 0,
    seen_average: float = 0.0,
) -> tuple[float, float]:
    """Return mean and standard deviation of the mean difficulty over blocks [from_block, to_block).

    Blocks count from the first one of the present epoch, whose `difficulty` is known; blocks of the window that came
    before it are `seen_blocks`, of mean difficulty `seen_average`. With D_j = D e^{Y_j}, Y Gaussian (the scales of a
    fat-tailed forecast are left out, and so is the clamp, which no forecast comes near):
    E = D sum n_j e^{m_j + C_jj/2} / N, Var = D^2 sum n_i n_j E_i E_j (e^{C_ij} - 1) / N^2.
    Raises ModelError for an empty window and for one that reaches beyond the forecast.
    """
    checked("from_block", from_block, 0, 10**9, "what was before the present epoch goes into seen_blocks")
    checked("to_block", to_block, from_block, BLOCKS_PER_EPOCH * (forecast.retargets + 1), "forecast more retargets")
    checked("seen_blocks", seen_blocks, 0, 10**9, "a number of blocks")
    checked("difficulty", difficulty, 1.0, math.inf, "difficulty is 1 or more")
    total = seen_blocks + to_block - from_block
    if total == 0:
        raise refused("to_block", "a window of 0 blocks has no average", "end it after it begins")
    begins = BLOCKS_PER_EPOCH * np.arange(forecast.retargets + 1.0)
    counts = np.clip(np.minimum(begins + BLOCKS_PER_EPOCH, to_block) - np.maximum(begins, from_block), 0.0, None)
    rise: Floats = exp(forecast.mean + 0.5 * np.diagonal(forecast.covariance))
    weights = counts[1:] * rise
    mean = seen_average * (seen_blocks / total) + difficulty * float(counts[0] + weights.sum()) / total
    variance = float(np.einsum("i,j,ij->", weights, weights, np.expm1(forecast.covariance)))
    return mean, difficulty * math.sqrt(max(variance, 0.0)) / total
