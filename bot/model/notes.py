"""Fixed-return notes: so much interest a period, the principal back at the end. No difficulty in them, only credit.

    V = sum_i c e^{-(r + h) t_i} + P e^{-(r + h) T}

r the discount rate and h the credit spread (the rate of default when nothing is recovered), continuous per day; c the
interest of a period. What such a note pays above r is what its issuer's trustworthiness is worth. Source: MODEL 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bot.model.annuity import exp_or_inf
from bot.model.domain import checked, refused
from bot.model.root import falling_root

_MOST_RATE_PER_DAY = 10.0


@dataclass(frozen=True, slots=True)
class Note:
    """`principal` of any money, simple `rate_per_period` on it paid after each of `periods` of `period_days`."""

    principal: float
    rate_per_period: float
    period_days: float
    periods: int

    def __post_init__(self) -> None:
        """Raise ModelError for what is no note: no principal, no period, interest below -100 %."""
        checked("principal", self.principal, 0.0, math.inf, "an amount of money")
        checked("rate_per_period", self.rate_per_period, -1.0, 1e6, "0.012 is 1.2 %")
        checked("period_days", self.period_days, 1e-6, 1e6, "30 for a month")
        checked("periods", self.periods, 1, 100_000, "count whole periods")

    def value(self, discount_per_day: float, credit_per_day: float = 0.0, held_days: float = 0.0) -> float:
        """Return what is still to come, `held_days` after issue: payments due by then are gone. 0 after the end.

        Infinity beyond e^709. Raises ModelError for NaN rates and times before the issue.

        >>> huobi = Note(1.0, 0.012, 30.0, 2)   # Dig-VC, 1.2 % a month for 60 days
        >>> round(huobi.value(0.0), 12), round(huobi.value(0.000574), 6)
        (1.024, 0.989535)
        """
        checked("held_days", held_days, 0.0, math.inf, "0 on the day of issue")
        rate = checked("discount_per_day", discount_per_day + credit_per_day, -1e3, 1e3, "0.0005 is 0.05 % a day")
        coupon, total = self.principal * self.rate_per_period, 0.0
        for period in range(1, self.periods + 1):
            left = period * self.period_days - held_days
            if left > 0.0:
                paid = coupon + (self.principal if period == self.periods else 0.0)
                total += paid * exp_or_inf(-rate * left) if paid else 0.0
        return total

    def yield_per_day(self, price: float, held_days: float = 0.0) -> float:
        """Return the continuous r + h per day at which the note is worth `price`: its credit spread is this less r.

        Raises ModelError when no rate within +-1000 % a day meets the price.

        >>> round(Note(1.0, 0.012, 30.0, 2).yield_per_day(1.0), 9)   # ln 1.012 / 30
        0.000397619
        """

        def value_at(rate: float) -> float:
            return self.value(rate, 0.0, held_days)

        low, high = value_at(_MOST_RATE_PER_DAY), value_at(-_MOST_RATE_PER_DAY)
        if not (low <= price <= high and price > 0.0):
            raise refused(
                "price", f"{price!r} is not met by any rate within +-10 a day", "is anything left to be paid?"
            )
        return falling_root(value_at, price, -_MOST_RATE_PER_DAY, _MOST_RATE_PER_DAY)
