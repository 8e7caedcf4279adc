"""Interest in fixed width: the one sum of the core's that is wider than 64 bits on its way to a small result."""

from __future__ import annotations

from typing import Any, Final

MOST_QUOTIENT: Final = 1 << 45
MOST_DENOMINATOR: Final = 1 << 60


def wrapped(number: int) -> int:
    """Return `number` modulo 2^64, as a signed 64-bit integer holds it."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def due_sat(self: Any, mark_sat: int, time_s: int) -> int:
    """Return what bot.core.margin.Interest.due_sat returns, in wrapping 64-bit integers.

    Its numerator N is known modulo 2^64 only, but the quotient is small. It is estimated in floats, from `fixed_paid`
    and `marked_paid` as floats, and put right by its remainder, which lies within a few denominators of 0 and is
    therefore exact. All terms of N have one sign, so that nothing cancels: the estimate is off by one at most while the
    quotient is at most MOST_QUOTIENT, and the remainder fits while the denominator is at most MOST_DENOMINATOR.
    """
    seconds = time_s - self.from_s
    per_contract, denominator = self.lots_per_contract, self.denominator
    fixed = float(self.fixed) * float(seconds) - self.fixed_paid_real
    marked = (float(self.marked) * float(seconds) - self.marked_paid_real) * float(mark_sat)
    quotient = int((fixed * float(per_contract) + marked) / float(denominator))
    whole = (self.fixed * seconds - self.fixed_paid) * per_contract
    whole += (self.marked * seconds - self.marked_paid) * mark_sat
    rest = whole - quotient * denominator
    while rest < 0:
        quotient -= 1
        rest += denominator
    while rest >= denominator:
        quotient += 1
        rest -= denominator
    return quotient
