"""Units and the named roundings: every quantity of the core is a plain integer.

| quantity       | unit                                             | suffix       |
|----------------|--------------------------------------------------|--------------|
| money          | satoshi, 1e-8 BTC                                | `_sat`       |
| contract size  | lots; a contract has `lots_per_contract` of them | `_lots`      |
| price          | satoshi per whole contract                       | `price_sat`  |
| fraction       | parts per million                                | `_ppm`       |
| loan rate      | parts per billion per day, simple                | `_ppb_day`   |
| time           | nanoseconds since 1970-01-01T00:00:00Z           | `_ns`        |
| hash power     | hashes per second                                | `_hs`        |

Quantities are signed; long is positive.
"""

from __future__ import annotations

SAT_PER_BTC = 100_000_000
PPM = 1_000_000
PPB = 1_000_000_000
NS_PER_S = 1_000_000_000
S_PER_DAY = 86_400
NS_PER_HOUR = 3_600 * NS_PER_S
NS_PER_DAY = S_PER_DAY * NS_PER_S
INT64_MAX = 2**63 - 1


def wide(number: int) -> int:
    """Return `number`: says that a product of it may leave 64 bits, to engines whose integers are of fixed width."""
    return number


def floor_div(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded towards minus infinity; denominator > 0.

    >>> floor_div(-7, 2)
    -4
    """
    return numerator // denominator


def ceil_div(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded towards plus infinity; denominator > 0.

    >>> ceil_div(7, 2), ceil_div(-7, 2)
    (4, -3)
    """
    return -(-numerator // denominator)


def half_up_div(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded to the nearest integer, ties towards plus infinity; denominator > 0.

    >>> half_up_div(5, 2), half_up_div(-5, 2)
    (3, -2)
    """
    return (2 * numerator + denominator) // (2 * denominator)


def notional_sat(size_lots: int, price_sat: int, lots_per_contract: int) -> int:
    """Return the worth in satoshi of `size_lots` (signed) at `price_sat` per contract, rounded half up in size.

    The magnitude is rounded and the sign put back, so that a buyer and a seller of one trade
    always post opposite amounts: notional(-n, p) == -notional(n, p).

    >>> notional_sat(1, 150, 100), notional_sat(-1, 150, 100)
    (2, -2)
    """
    if size_lots < 0:
        return -((2 * -size_lots * price_sat + lots_per_contract) // (2 * lots_per_contract))
    return (2 * size_lots * price_sat + lots_per_contract) // (2 * lots_per_contract)


def fee_sat(amount_sat: int, rate_ppm: int) -> int:
    """Return the fee on `amount_sat` >= 0 at `rate_ppm`, rounded up, against the payer.

    >>> fee_sat(1, 2000)
    1
    """
    return -(-amount_sat * rate_ppm // PPM)


def share_ppm(amount: int, ppm: int) -> int:
    """Return `ppm` parts per million of `amount` >= 0, rounded down."""
    return amount * ppm // PPM


def sat_from_float_half_even(value_sat: float) -> int:
    """Return a modelled value as satoshi: the one crossing from floats to integers, ties to even.

    Raises ValueError for NaN and infinities, which have no satoshi.
    """
    if value_sat != value_sat or value_sat in (float("inf"), float("-inf")):
        raise ValueError(f"value {value_sat!r} is not a finite number of satoshi")
    return round(value_sat)
