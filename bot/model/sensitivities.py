"""How the value moves with each of its inputs (convention C2, in closed form); every name carries its unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bot.model.annuity import exp_or_inf, phi, phi2
from bot.model.domain import checked


@dataclass(frozen=True, slots=True)
class Sensitivities:
    """First derivatives of V = s0 phi(gamma + r, T), in the money unit of s0.

    `per_growth` and `per_discount` (dV/dgamma = dV/dr): per unit of rate per day, so x 1e-4 for a basis point.
    `per_short_rate`: dV_S/d rho of a short at the same |r| read as rho = -r; the negative of `per_discount`.
    `per_log_difficulty`: D dV/dD = -V, so x 0.01 for 1 % of difficulty. `per_fee`: dV/d phi, x 0.01 for a point.
    `per_log_reward`: (R + F) dV/dR = V. `per_day_on_path`: dV/dt = r V - s0 when growth comes as expected.
    `per_day_of_term`: -dV/dT = -s0 e^{-(gamma + r) T}, the decay when difficulty stands still and time passes.
    """

    value: float
    per_growth: float
    per_discount: float
    per_short_rate: float
    per_log_difficulty: float
    per_fee: float
    per_log_reward: float
    per_day_on_path: float
    per_day_of_term: float


def sensitivities_c2(
    payout_per_day: float,
    growth_per_day: float,
    term_days: float,
    discount_per_day: float = 0.0,
    fee: float = 0.0,
) -> Sensitivities:
    """Return value and first derivatives of C2; `payout_per_day` is net of `fee` (a fraction below 1).

    For a short pass discount_per_day = -rho. dV/da = -s0 phi2(a, T). Source: MODEL 5.
    Raises ModelError for a negative term or a fee outside 0..1 - 1e-9.
    """
    checked("term_days", term_days, 0.0, math.inf, "an ended contract is worth 0")
    checked("fee", fee, 0.0, 1.0 - 1e-9, "give a fraction: 0.03 for 3 %")
    rate = growth_per_day + discount_per_day
    value = payout_per_day * phi(rate, term_days)
    slope = payout_per_day * phi2(rate, term_days)
    return Sensitivities(
        value=value,
        per_growth=-slope,
        per_discount=-slope,
        per_short_rate=slope,
        per_log_difficulty=-value,
        per_fee=-value / (1.0 - fee),
        per_log_reward=value,
        per_day_on_path=discount_per_day * value - payout_per_day,
        per_day_of_term=-payout_per_day * exp_or_inf(-rate * term_days),
    )
