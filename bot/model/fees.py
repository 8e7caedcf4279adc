"""Transaction fees to come: the logarithm of a day's mean fee as AR(1), fitted to the days that are over.

    ln F_d = m + r (ln F_{d-1} - m) + s n
    E F_n  = exp(m + r^n (ln F_0 - m) + s^2 (1 - r^{2n}) / (2 (1 - r^2)))       n days after the last day known

One dear day is forgotten within days, as it is in fact: on the bundled days of 2014 this misses the mean fee of the
next 30 days by 9 %, the mean of the day before by 16 %. Source: MODEL 3. The same to the last bit on every machine.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from bot.core.events import Block
from bot.core.units import NS_PER_DAY, NS_PER_S, S_PER_DAY
from bot.model.schedule import Stretch

if TYPE_CHECKING:
    from bot.model.knowledge import ChainKnowledge

FIT_DAYS: Final = 60
LEAST_DAYS: Final = 15
"""Below two weeks of days a level, a persistence and a width cannot be told apart."""
STALE_DAYS: Final = 7
"""Days that ended longer ago than this say nothing of fees now."""
_MOST_PERSISTENCE: Final = 0.98

MeanFee = tuple[int, float]
"""(UTC days since 1970, mean fees of a block of that day in satoshi)."""


class FeeForecast(NamedTuple):
    """The fitted process and where it stands: `last_log` is ln of the mean fee, in satoshi, of the day `last_day`."""

    log_mean: float
    persistence: float
    shock_sd: float
    last_log: float
    last_day: int

    def expected_sat(self, days: int) -> list[float]:
        """Return E F of the `days` days after the last one known, in satoshi a block."""
        import numpy as np  # a tenth of a second: only where fees are paid out

        from bot.model.reproducible import exp

        logs, power = [], 1.0
        rest = 1.0 - self.persistence * self.persistence
        for _ in range(days):
            power *= self.persistence
            variance = self.shock_sd * self.shock_sd * (1.0 - power * power) / rest
            logs.append(self.log_mean + power * (self.last_log - self.log_mean) + 0.5 * variance)
        return [float(fee) for fee in exp(np.array(logs))]

    def level_sat(self, path: Iterable[Stretch], from_s: float, to_s: float, at_ns: int) -> float:
        """Return the constant fee worth as much as the expected ones, from `from_s` to `to_s` seconds after `at_ns`.

        The mean of E F over the window, each second weighing as much as it pays on `path`, seen from `at_ns`.
        """
        begin_s = at_ns / NS_PER_DAY * S_PER_DAY
        last = int((begin_s + to_s) // S_PER_DAY)  # floor: the window's last day
        fees = self.expected_sat(max(last - self.last_day, 1))
        weighted = weights = 0.0
        for stretch in path:
            low, high = max(stretch.start_s, from_s), min(stretch.end_s, to_s)
            while low < high:
                day = int((begin_s + low) // S_PER_DAY)  # floor
                until = min((day + 1) * float(S_PER_DAY) - begin_s, high)
                if until <= low:  # a rest below the last bit of the clock
                    break
                weight = stretch.decay * (until - low)
                weighted += weight * fees[min(max(day - self.last_day - 1, 0), len(fees) - 1)]
                weights += weight
                low = until
        return weighted / weights if weights > 0.0 else fees[0]


def fitted(days: Sequence[MeanFee]) -> FeeForecast | None:
    """Return the process fitted by least squares to the last 60 of `days`, oldest first, persistence in 0..0.98.

    None for fewer than 15 days, or where one of them had no fees: then there is nothing to take a logarithm of.
    """
    used = days[-FIT_DAYS:]
    if len(used) < LEAST_DAYS or min(fee for _, fee in used) <= 0.0:
        return None
    import numpy as np

    from bot.model.reproducible import log

    logs = [float(x) for x in log(np.array([fee for _, fee in used]))]
    before, after = logs[:-1], logs[1:]
    count = len(before)
    mean_before, mean_after = math.fsum(before) / count, math.fsum(after) / count
    squares = math.fsum((x - mean_before) ** 2 for x in before)
    across = math.fsum((x - mean_before) * (y - mean_after) for x, y in zip(before, after, strict=True))
    persistence = min(max(across / squares, 0.0), _MOST_PERSISTENCE) if squares > 0.0 else 0.0
    mean = (mean_after - persistence * mean_before) / (1.0 - persistence)
    errors = [y - mean - persistence * (x - mean) for x, y in zip(before, after, strict=True)]
    sd = math.sqrt(math.fsum(e * e for e in errors) / (count - 2))
    return FeeForecast(mean, persistence, sd, logs[-1], used[-1][0])


class FeeDays:
    """The mean fee of each day that is over, and the forecast from them; days are those of effective block times."""

    def __init__(self, past: Iterable[MeanFee] = ()) -> None:
        """Start from days known before, oldest first."""
        self._days: deque[MeanFee] = deque(past, maxlen=FIT_DAYS)
        self._day = self._sum_sat = self._count = 0
        self.forecast = fitted(tuple(self._days))

    def learn(self, block: Block) -> bool:
        """Take in `block`; return True when a day is over by it, and the forecast made anew."""
        day = block.time_ns // NS_PER_DAY  # floor: the UTC day
        over = day != self._day and self._count > 0
        if over:
            self._days.append((self._day, self._sum_sat / self._count))
            self.forecast = fitted(tuple(self._days))
        if day != self._day:
            self._day, self._sum_sat, self._count = day, 0, 0
        self._sum_sat += block.fees_sat
        self._count += 1
        return over

    def ahead_sat(self, chain: ChainKnowledge, start_ns: int, end_ns: int) -> float:
        """Return the constant fee of a block worth what the fees of a term are expected to be, on the path of `chain`.

        Without a forecast, or near the end, the mean of the last 144 blocks, or of the last day before any was seen.
        """
        forecast = self.forecast
        if forecast is not None and chain.knows_height:
            at_ns = max(chain.known_ns, (forecast.last_day + 1) * NS_PER_DAY)
            if at_ns < end_ns:
                from_s, to_s = max(start_ns - at_ns, 0) / NS_PER_S, (end_ns - at_ns) / NS_PER_S
                return forecast.level_sat(chain.stretches(at_ns, end_ns), from_s, to_s, at_ns)
        return self.now_sat(chain)

    def now_sat(self, chain: ChainKnowledge) -> float:
        """Return the mean fee of the last 144 blocks, or of the last day before any was seen."""
        last_sat = self._days[-1][1] if self._days else 0.0
        return chain.mean_fees_sat or last_sat

    @property
    def days(self) -> tuple[MeanFee, ...]:
        """The last days that are over, at most 60."""
        return tuple(self._days)


def days_before(blocks: Iterable[Block], time_ns: int) -> tuple[MeanFee, ...]:
    """Return the last days that were over at `time_ns`, with the mean fee of their blocks, oldest first.

    Empty when the last of them ended more than a week before: figures that stop there are of another time.
    """
    seen, day = FeeDays(), time_ns // NS_PER_DAY  # floor: the day that is not over
    for block in blocks:
        seen.learn(block)
        if block.time_ns >= day * NS_PER_DAY:
            break
    over = tuple(known for known in seen.days if known[0] < day)
    return over if over and over[-1][0] >= day - STALE_DAYS else ()
