"""Value of a contract when the growth of difficulty is known (C1, C2, C3), and the growth that a price implies.

| name | difficulty                           | use                                   |
|------|--------------------------------------|---------------------------------------|
| C1   | steps once a period (30 days)        | the table of the 2014 article         |
| C2   | grows smoothly                       | formulas, sensitivities, carry        |
| C3   | steps at the retargets, as it does   | the default, and what strategies see  |

Money comes out in the unit in which the payout rate goes in. Growth and discount rates are continuous.
Price fixes only growth plus discount: whoever reads growth out of a price must say which discount rate he took.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bot.chain.difficulty import HALVING_BLOCKS, subsidy_sat
from bot.core.units import S_PER_DAY
from bot.model.annuity import exp_or_inf, lambert_w, phi, phi_inverse
from bot.model.domain import checked, refused
from bot.model.root import falling_root
from bot.model.schedule import EPOCH_S, LN4, step_of_growth, steps_of_growth, stretches

_SCAN_STEP = 1 / 128
_MOST_EXPONENT = 50.0  # beyond it the rounding of an exponent would show; e^50 is no contract


def value_c1(payout_period_0: float, growth: float, periods: int, discount: float = 0.0) -> float:
    """Return C1: A sum_{j<n} q^j with q = 1/((1+g)(1+d)), A the payout of period 0, g and d simple per period.

    Raises ModelError unless growth and discount are above -1 and periods >= 0.

    >>> round(value_c1(0.020458524432912236 * 30, 0.15, 3), 6)   # BTC, the 2014 article's "1.5-1.6 BTC"
    1.611544
    """
    if not (growth > -1.0 and discount > -1.0):
        raise refused("growth", f"{growth!r} or discount {discount!r} is not above -1", "0.15 is +15 % a period")
    checked("periods", periods, 0, 1_000_000, "count whole periods")
    return payout_period_0 * _geometric_sum(1.0 / ((1.0 + growth) * (1.0 + discount)), periods)


def _geometric_sum(factor: float, terms: int) -> float:
    total, power = 0.0, 1.0
    for _ in range(terms):
        total += power
        power *= factor
    return total


def implied_growth_c1(price: float, payout_period_0: float, periods: int, discount: float = 0.0) -> float:
    """Return the simple growth per period for which value_c1 equals `price`.

    Raises ModelError unless price > payout_period_0 > 0 (period 0 is paid before any growth) and periods >= 2.

    >>> round(implied_growth_c1(2.0, 0.020458524432912236 * 30, 3), 6)
    -0.077375
    """
    if not (math.inf > price > payout_period_0 > 0.0 and periods >= 2):
        raise refused(
            "price",
            f"{price!r} over {periods} periods is not above the first period's payout {payout_period_0!r}",
            "growth cannot be read from it",
        )
    mean = price / payout_period_0
    low, high = -1.0, 1.0  # of rate = ln((1 + g)(1 + d)) per period
    while _geometric_sum(exp_or_inf(-low), periods) < mean:
        low *= 2.0
    while _geometric_sum(exp_or_inf(-high), periods) > mean:
        high *= 2.0
    rate = falling_root(lambda rate: _geometric_sum(exp_or_inf(-rate), periods), mean, low, high)
    return (math.expm1(rate) - discount) / (1.0 + discount)


def value_c2(payout_per_day: float, growth_per_day: float, term_days: float, discount_per_day: float = 0.0) -> float:
    """Return C2: s0 phi(gamma + r, T), difficulty growing by e^{gamma} a day, discounted at r.

    Raises ModelError for a term below 0.

    >>> round(value_c2(0.020458524432912236, math.log(1.15) / 30, 90.0), 9)
    1.503995811
    """
    checked("term_days", term_days, 0.0, math.inf, "an ended contract is worth 0")
    return payout_per_day * phi(growth_per_day + discount_per_day, term_days)


def implied_growth_c2(price: float, payout_per_day: float, term_days: float, discount_per_day: float = 0.0) -> float:
    """Return the continuous growth per day for which value_c2 equals `price`: phi^{-1}(P/s0, T) - r.

    Raises ModelError unless price, payout and term are above 0.
    """
    if not payout_per_day > 0.0:
        raise refused("payout_per_day", f"{payout_per_day!r} is not above 0", "nothing is paid")
    return phi_inverse(price / payout_per_day, term_days) - discount_per_day


def growth_per_retarget(growth_per_day: float) -> float:
    """Return x = W(gamma c / 86400): the steady log-change of difficulty at each retarget, W Lambert's function.

    Hash power that grows by e^{gamma} a day finishes an epoch in c e^{-x} s and raises difficulty by e^x.
    Raises ModelError below gamma = -86400/(c e) = -2.626 % a day: no steady epoch is that slow.

    >>> round(growth_per_retarget(math.log(1.15) / 30), 12)
    0.061370320912
    """
    return lambert_w(growth_per_day * (EPOCH_S / S_PER_DAY))


def growth_per_day(growth_per_retarget: float) -> float:
    """Return gamma = x e^x 86400 / c, the inverse of `growth_per_retarget` for x >= -1; infinity beyond e^709."""
    return growth_per_retarget * exp_or_inf(growth_per_retarget) * (S_PER_DAY / EPOCH_S)


def value_full_epochs(payout_per_s: float, growth: float, epochs: int) -> float:
    """Return the value of `epochs` full epochs from a retarget on: s0 c e^{-x} (1 - e^{-Nx}) / (1 - e^{-x}).

    Raises ModelError for a growth beyond +-ln 4 per retarget, where the clamp breaks the closed form.
    """
    checked("growth_per_retarget", growth, -LN4, LN4, "a retarget changes difficulty by a factor of 4 at most")
    checked("epochs", epochs, 0, 1_000_000, "count whole epochs")
    sum_of_decays = math.expm1(-epochs * growth) / math.expm1(-growth) if growth != 0.0 else float(epochs)
    return payout_per_s * EPOCH_S * math.exp(-growth) * sum_of_decays


def value_c3(
    payout_per_s: float,
    growth: float | Sequence[float],
    term_s: float,
    *,
    elapsed_s: float = 0.0,
    discount_per_day: float = 0.0,
    from_s: float = 0.0,
    height: int | None = None,
) -> float:
    """Return C3: the payout of the window [from_s, term_s], seconds from now, with difficulty stepping at retargets.

        V = s0 sum_j e^{-Y_j} w_j,  Y_j = sum_{i<=j} clip(x_i, +-ln 4),  w_j = int over epoch j of e^{-r u} du

    payout_per_s: today's rate s0; growth: x at every retarget, or x_1, x_2, .. until expiry; elapsed_s: seconds
    since the present epoch began; discount_per_day: continuous r; height: that of the latest block, which lets
    halvings cut the payout (None: no halving). See `schedule.stretches` for an overdue retarget. Steady growth without
    halvings is a geometric sum, in closed form; everything else is added up stretch by stretch.
    Relative error about 1e-15, 1e-13 where its powers reach e^40. Raises ModelError for negative or NaN times and
    for growths that run out.

    >>> s0 = 0.020458524432912236 / 86400
    >>> round(value_c3(s0, growth_per_retarget(math.log(1.15) / 30), 90 * 86400), 9)
    1.549824027
    """
    checked("term_s", term_s, 0.0, 1e15, "an ended contract is worth 0")
    checked("elapsed_s", elapsed_s, 0.0, 1e15, "the present epoch began in the past")
    checked("from_s", from_s, 0.0, math.inf, "the past is not for sale")
    discount_per_s = discount_per_day / S_PER_DAY
    if term_s <= from_s:
        return 0.0
    if isinstance(growth, int | float) and height is None and from_s == 0.0:
        steady_s = _steady_s(growth, term_s, elapsed_s, discount_per_s)
        if steady_s is not None:
            return payout_per_s * steady_s
    total = 0.0
    reward_now = subsidy_sat(height + 1) if height is not None else 0
    for start_s, end_s, decay, era in stretches(elapsed_s, steps_of_growth(growth), height):
        low, high = max(start_s, from_s), min(end_s, term_s)
        if high > low:
            seconds = discounted_s(low, high, discount_per_s)
            total += decay * seconds * (_subsidy_ratio(era, reward_now) if reward_now else 1.0)
        if end_s >= term_s:
            break
    return payout_per_s * total


def _steady_s(growth: float, term_s: float, elapsed_s: float, discount_per_s: float) -> float | None:
    """Return C3 per unit of today's payout, in seconds, from now on at one growth and subsidy; None out of range.

    With L = c e^{-x}, b = what is left of this epoch, a = x + r L, n full epochs after it and t the rest of the term:
    phi(r, b) + e^{-r b - x} (phi(r, L) phi(a, n) / phi(a, 1) + e^{-a n} phi(r, t)); phi(a, n) / phi(a, 1) is
    the sum of e^{-a j} for j < n, for any sign of a. Out of range: beyond the clamp, or powers beyond e^50.
    """
    if not (-LN4 <= growth <= LN4 and abs(discount_per_s) * term_s < _MOST_EXPONENT):
        return None
    length_s, decay = step_of_growth(growth)
    left_s = max(length_s - elapsed_s, 0.0)
    if term_s <= left_s:
        return phi(discount_per_s, term_s)
    epochs = (term_s - left_s) // length_s  # floor
    rest_s = term_s - left_s - epochs * length_s
    fall = growth + discount_per_s * length_s
    if not epochs * fall > -_MOST_EXPONENT:
        return None
    full_s = phi(discount_per_s, length_s) * (phi(fall, epochs) / phi(fall, 1.0))
    later_s = full_s + math.exp(-fall * epochs) * phi(discount_per_s, rest_s)
    return phi(discount_per_s, left_s) + math.exp(-discount_per_s * left_s) * decay * later_s


def _subsidy_ratio(era: int, reward_now_sat: int) -> float:
    return subsidy_sat(era * HALVING_BLOCKS) / reward_now_sat


def discounted_s(low_s: float, high_s: float, discount_per_s: float) -> float:
    """Return int_{low}^{high} e^{-r u} du in seconds, r per second; infinity where a float cannot hold it."""
    if discount_per_s == 0.0:
        return high_s - low_s
    return exp_or_inf(-discount_per_s * low_s) * phi(discount_per_s, high_s - low_s)


def implied_growth_c3(
    price: float,
    payout_per_s: float,
    term_s: float,
    *,
    elapsed_s: float = 0.0,
    discount_per_day: float = 0.0,
    from_s: float = 0.0,
    height: int | None = None,
) -> float:
    """Return the steady growth per retarget x in +-ln 4 nearest to 0 for which value_c3 equals `price`.

    Value falls with x above 0. Far below 0 it can turn and fall again, since slower blocks also put the cheaper
    difficulty off: of several answers the one nearest to 0 is meant. Raises ModelError when none exists, naming
    the prices that can be met.
    """

    def value_at(growth: float) -> float:
        return value_c3(
            payout_per_s,
            growth,
            term_s,
            elapsed_s=elapsed_s,
            discount_per_day=discount_per_day,
            from_s=from_s,
            height=height,
        )

    flat, lowest = value_at(0.0), value_at(LN4)
    if lowest <= price <= flat:
        return falling_root(value_at, price, 0.0, LN4)
    high, best = 0.0, flat
    while price > best and high > -LN4:
        low = max(high - _SCAN_STEP, -LN4)
        value = value_at(low)
        if value >= price:
            return falling_root(value_at, price, low, high)
        high, best = low, max(best, value)
    raise refused(
        "price",
        f"{price!r} is outside {lowest!r}..{best!r}, what growth between ln 4 and -ln 4 a retarget can give",
        "no growth explains this price: check its unit and the time left",
    )
