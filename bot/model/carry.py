"""Carry: what the same contract is worth to who borrows to hold it, who lends it out, and who is short of it.

    long, financed at r_B          V_L  = E int e^{-r_B u} s du
    long, lends the contract out   V_LL = E int e^{-(r_B - r_S (1 - l)) u} s du      l = the venue's cut
    short, interest on the mark    V_S  = E int e^{+rho u} s du,  rho = r_S - r_proceeds
    short, interest on the entry   V_S  = V_0 / (1 - q T),  q simple per day

So one function of a discount rate gives the first three: `*_discount_per_day` say at which rate to call it
(value_c2, value_c3, FairValue.value_at_rate_sat). Rates called `_per_day` are continuous; a venue's simple daily
rate q becomes r = ln(1 + q). Why e^{+rho u}: the short owes interest in contracts, so his debt grows until its
last dividend (A' = -s - rho P, A(T) = 0, P = A). Source: MODEL 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from bot.core.units import PPB, PPM
from bot.model.annuity import exp_or_inf, phi, phi_inverse
from bot.model.domain import checked, refused
from bot.model.quadrature import integral
from bot.model.root import falling_root

_MOST_RATE_PER_DAY = 10.0
_RATES_KEPT = 1024  # swap rates change hourly, values are asked every minute: the logarithm is the dear part


def continuous_per_day(rate_ppb_day: int) -> float:
    """Return r = ln(1 + q) of a venue's simple daily rate q in parts per billion.

    Raises ModelError at -100 % a day or below.

    >>> round(continuous_per_day(10_000_000), 9)   # 1 % a day
    0.009950331
    """
    if rate_ppb_day <= -PPB:
        raise refused("rate_ppb_day", f"{rate_ppb_day} is not above -{PPB}", "10000000 is 1 % a day")
    return math.log1p(rate_ppb_day / PPB)


@lru_cache(maxsize=_RATES_KEPT)
def long_discount_per_day(borrow_btc_ppb_day: int) -> float:
    """Return r_B: the discount rate of a long who borrows bitcoin at this simple daily rate to hold the contract."""
    return continuous_per_day(borrow_btc_ppb_day)


@lru_cache(maxsize=_RATES_KEPT)
def lender_discount_per_day(borrow_btc_ppb_day: int, lend_contract_ppb_day: int, venue_cut_ppm: int) -> float:
    """Return r_B - r_S (1 - l): the discount rate of a long who lends his contract out and pays the venue's cut."""
    kept = 1.0 - venue_cut_ppm / PPM
    return continuous_per_day(borrow_btc_ppb_day) - continuous_per_day(lend_contract_ppb_day) * kept


@lru_cache(maxsize=_RATES_KEPT)
def short_discount_per_day(borrow_contract_ppb_day: int, proceeds_ppb_day: int = 0) -> float:
    """Return -rho = r_proceeds - r_S: the discount rate of a short whose interest follows the mark."""
    return continuous_per_day(proceeds_ppb_day) - continuous_per_day(borrow_contract_ppb_day)


def value_short_entry_notional(value: float, net_borrow_per_day: float, term_days: float) -> float:
    """Return V_0 / (1 - q T): the short's break-even when simple interest q runs on the price of entry.

    `value` is the undiscounted value. Infinity when q T >= 1: then no price pays for the loan.

    >>> round(value_short_entry_notional(1.22254053, 0.0043, 91.0), 2)
    2.01
    """
    checked("term_days", term_days, 0.0, math.inf, "an ended contract is worth 0")
    left = 1.0 - net_borrow_per_day * term_days
    return value / left if left > 0.0 else math.inf


def value_short_rolled(payout_per_day: float, growth_per_day: float, terms: Sequence[tuple[float, float]]) -> float:
    """Return the short's break-even (C2, interest on the mark) when his loan is renewed at known rates.

    `terms` are (days, rho per day) in order up to expiry. With t_i the sum of the terms before i,
    V_i = e^{-gamma t_i} s0 phi(gamma - rho_i, tau_i) + e^{rho_i tau_i} V_{i+1}, V after the last = 0.
    Infinity beyond e^709; raises ModelError for a negative term.
    """
    value, begins = 0.0, math.fsum(days for days, _ in terms)
    for days, rho in reversed(terms):
        checked("terms", days, 0.0, math.inf, "give (days, rate per day) with days of 0 or more")
        begins -= days
        dividends = exp_or_inf(-growth_per_day * begins) * payout_per_day * phi(growth_per_day - rho, days)
        value = dividends + (exp_or_inf(rho * days) * value if value else 0.0)
    return value


def value_short_random_rate(
    payout_per_day: float,
    growth_per_day: float,
    term_days: float,
    rho_now_per_day: float,
    rho_mean_per_day: float,
    reversion_per_day: float,
    volatility: float,
) -> float:
    """Return the short's break-even (C2, mark) when his net rate is random: V_S = s0 int e^{-gamma u} E e^{int rho} du.

    d rho = k (mean - rho) dt + sigma dW (Vasicek), `reversion_per_day` k >= 0, `volatility` sigma per day^{3/2}:
    E e^{int_0^u rho} = exp(B rho0 + (u - B) mean + sigma^2 u^3 g(k u) / 2), B = phi(k, u). Convex in the rate, so
    risk of the rate always raises V_S. A squeeze or a recall is not in it: stress, not expectation.
    Relative error below 1e-12 of the quadrature. Raises ModelError for negative term, k or sigma.
    """
    checked("term_days", term_days, 0.0, 1e6, "an ended contract is worth 0")
    checked("reversion_per_day", reversion_per_day, 0.0, 1e3, "0.1 pulls back a tenth of the distance a day")
    checked("volatility", volatility, 0.0, 1e3, "a standard deviation is not negative")

    def expected_growth(u: float) -> float:
        b = phi(reversion_per_day, u)
        variance = volatility * volatility * u * u * u * variance_shape(reversion_per_day * u)
        exponent = b * rho_now_per_day + (u - b) * rho_mean_per_day + 0.5 * variance
        return exp_or_inf(exponent - growth_per_day * u)

    return payout_per_day * integral(expected_growth, 0.0, term_days)


def variance_shape(y: float) -> float:
    """Return g(y) = (2 y - 3 + 4 e^{-y} - e^{-2 y}) / (2 y^3), y = k u >= 0; g(0) = 1/3.

    The variance of int_0^u rho is sigma^2 u^3 g(k u). Series sum_{n>=3} (-1)^n (4 - 2^n) y^{n-3} / (2 n!) below 1.
    """
    if y >= 1.0:
        return (2.0 * y - 3.0 + 4.0 * math.exp(-y) - math.exp(-2.0 * y)) / (2.0 * y * y * y)
    total, power, two, sign = 0.0, 1.0 / 12.0, 8.0, -1.0  # power = y^{n-3} / (2 n!), two = 2^n
    for n in range(3, 30):  # (2 y)^30 / 30! < 1e-23
        total += sign * (4.0 - two) * power
        power *= y / (n + 1)
        two, sign = 2.0 * two, -sign
    return total


def break_even_borrow_c2(price: float, payout_per_day: float, growth_per_day: float, term_days: float) -> float:
    """Return rho per day at which a short at `price`, held to expiry, just breaks even: gamma - phi^{-1}(P/s0, T).

    C2, interest on the mark. Negative where the price is below the value. Raises ModelError unless price, payout
    and term are above 0.
    """
    if not payout_per_day > 0.0:
        raise refused("payout_per_day", f"{payout_per_day!r} is not above 0", "nothing is paid")
    return growth_per_day - phi_inverse(price / payout_per_day, term_days)


def break_even_borrow(price: float, value_at_discount: Callable[[float], float]) -> float:
    """Return rho per day with value_at_discount(-rho) == price, for any value that falls with its discount rate.

    Raises ModelError when no rate within +-1000 % a day meets the price.
    """
    low, high = -_MOST_RATE_PER_DAY, _MOST_RATE_PER_DAY
    if not value_at_discount(high) <= price <= value_at_discount(low):
        what = f"{price!r} is not met by any rate within {low}..{high} per day"
        raise refused("price", what, "check its unit and the time left")
    return -falling_root(value_at_discount, price, low, high)
