"""Payouts that difficulty does not settle alone: maintenance that may exceed income, and the luck of a pool."""

from __future__ import annotations

import math

from bot.model.domain import checked


def margrabe(payout: float, maintenance: float, log_ratio_sd: float) -> float:
    """Return E max(s - m, 0), money per day kept when mining is suspended on days that do not pay.

    `payout` E s and `maintenance` E m in the same unit, both lognormal, sd of ln(s/m) = `log_ratio_sd`:
    E s N(d1) - E m N(d2), d1,2 = (ln(E s / E m) +- sd^2/2)/sd. Source: Margrabe, Journal of Finance 33, 1978.
    Raises ModelError for negative arguments.

    >>> round(margrabe(0.0163, 0.012, 0.35), 12)
    0.004809761208
    """
    checked("payout", payout, 0.0, math.inf, "money per day")
    checked("maintenance", maintenance, 0.0, math.inf, "money per day")
    checked("log_ratio_sd", log_ratio_sd, 0.0, 1e3, "0.35 is 35 %")
    if payout == 0.0 or maintenance == 0.0 or log_ratio_sd == 0.0:
        return max(payout - maintenance, 0.0)
    middle = math.log(payout / maintenance) / log_ratio_sd
    return payout * _normal(middle + 0.5 * log_ratio_sd) - maintenance * _normal(middle - 0.5 * log_ratio_sd)


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def pool_luck_variance(
    value: float, path_variance: float, reward: float, fee: float, hash_rate_hs: float, pool_hs: float
) -> float:
    """Return the variance of a pro-rata payout: that of the path plus q E[V], q = R (1 - phi) h / H_pool.

    `value` E[V] and `reward` R of a block in the same money unit, `path_variance` in its square; `fee` phi a
    fraction; rates in hashes per second. The pool finds a Poisson number of blocks, each worth q to the contract.
    Payouts by PPS, FPPS or index have no luck. Raises ModelError for a fee outside 0..1 or a pool without power.

    >>> round(pool_luck_variance(1.2225, 0.0, 25.0, 0.03, 1e12, 3.5e15) ** 0.5, 3)   # 3,500 TH/s in 2014
    0.092
    """
    checked("fee", fee, 0.0, 1.0, "give a fraction: 0.03 for 3 %")
    checked("pool_hs", pool_hs, 1.0, math.inf, "a pool without power finds no block")
    checked("path_variance", path_variance, 0.0, math.inf, "a variance is not negative")
    return path_variance + reward * (1.0 - fee) * (hash_rate_hs / pool_hs) * value
