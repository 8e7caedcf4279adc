"""The parameters of the simulated market, each with its unit and the reason for its default.

Spans and rates are per unit of time, never per step, so that one market looks the same at every interval.
Defaults describe TH1BTC as the exchange and its traders did in 2014 (docs/history.md names the sources);
what nobody wrote down (how long a swing lasts, how often the pool runs dry) is an assumption, marked (A).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from bot.errors import HistoryError, Problem


@dataclass(frozen=True, slots=True)
class Settings:
    """How the simulated market behaves; all values are finite numbers above 0 unless a line says otherwise.

    Raises HistoryError, naming every value outside its bounds.
    """

    growth_retargets: int = 4
    """The model value takes difficulty to grow on as over this many past retargets (about 8 weeks)."""

    launch_premium: float = 0.65
    """ln(price / model value) at the start; 0.65 is +92 %: 'near 2 BTC' against a value near 1.04. May be 0 or less."""
    final_premium: float = 0.05
    """What that premium decays to; the last owners still pay a little for hope (A). May be 0 or less."""
    premium_half_life_days: float = 35.0
    """How slowly: in late October the exchange still named the premium as its reason to raise margins (A)."""

    swing_sd: float = 0.06
    """Standard deviation of the mean-reverting swings of the log premium (A)."""
    swing_half_life_days: float = 2.0
    """Half-life of a swing (A)."""
    news_half_life_days: float = 2.0
    """How long the market takes to price in half of what a retarget does to the model value (A)."""
    jumps_per_day: float = 0.12
    """Mean number of jumps of the log premium in a day (A)."""
    jump_sd: float = 0.10
    """Standard deviation of a jump (A)."""
    jump_half_life_days: float = 3.0
    """Half-life of what a jump left behind (A)."""

    spread: float = 0.018
    """Median of (ask - bid) / mid: the book was called thin, 1 to 3 %."""
    spread_low: float = 0.01
    """The spread is never narrower, the tick apart."""
    spread_high: float = 0.03
    """The spread is never wider, the tick apart."""
    spread_log_sd: float = 0.35
    """Standard deviation of the log spread (A)."""
    spread_half_life_days: float = 0.5
    """Half-life of its deviations (A)."""
    largest_display_contracts: float = 12.0
    """A displayed size is this times the product of two uniform draws: 3 contracts in the mean."""
    book_changes_per_day: float = 12.0
    """How often a side's displayed size is drawn anew (A)."""
    trades_per_day: float = 12.0
    """Mean number of trades in a day, for the volume of bars (A)."""
    largest_trade_contracts: float = 8.0
    """A trade's size is this times the product of two uniform draws: 2 contracts in the mean (A)."""

    swap_rate_day: float = 0.01
    """Median rate for borrowing contracts, a fraction per day: 'about 1 % per day at launch'."""
    swap_log_sd: float = 0.25
    """Standard deviation of the log of that rate in calm times (A)."""
    swap_half_life_days: float = 3.0
    """Half-life of its deviations (A)."""
    swap_cap_day: float = 0.05
    """The rate never passes this, a fraction per day."""
    largest_pool_contracts: float = 25.0
    """What can be borrowed is this times the product of two uniform draws; the whole tranche was 100."""
    pool_changes_per_day: float = 6.0
    """How often what can be borrowed is drawn anew (A)."""
    dry_chance: float = 0.04
    """The chance that a new draw finds the pool empty in calm times (A). 0 to 1."""

    squeezes_per_day: float = 0.06
    """Mean number of short squeezes that begin in a calm day: one in 17 days (A)."""
    squeeze_days: float = 1.5
    """Mean length of a squeeze (A)."""
    squeeze_factor: float = 3.0
    """What a squeeze multiplies the swap rate by (A). At least 1."""
    squeeze_rise_half_life_days: float = 0.125
    """How fast the rate goes there and back (A)."""
    squeeze_premium: float = 0.05
    """What the first moment of a squeeze adds to the log premium, as shorts cover (A). May be 0."""
    squeeze_dry_chance: float = 0.7
    """The chance that a new draw finds the pool empty in a squeeze (A). 0 to 1."""
    squeeze_pool_contracts: float = 3.0
    """The largest pool in a squeeze (A)."""

    btc_rate_day: float = 0.000574
    """Median rate for borrowing bitcoin, a fraction per day: the mean of 2014-01-01..07-26 on the exchange."""
    btc_log_sd: float = 0.30
    """Standard deviation of its log (A)."""
    btc_half_life_days: float = 4.0
    """Half-life of its deviations (A)."""
    largest_btc_pool_btc: float = 2000.0
    """What bitcoin can be borrowed is this times the product of two uniform draws (A)."""

    def __post_init__(self) -> None:
        problems = []
        for each in fields(self):
            low, high = _BOUNDS.get(each.name, (1e-9, 1e6))
            value = getattr(self, each.name)
            if not low <= value <= high:  # NaN is not
                problems.append(Problem(f"settings.{each.name}", f"{value!r} is not between {low:g} and {high:g}"))
        if not problems and not self.spread_low <= self.spread <= self.spread_high:
            problems.append(Problem("settings.spread", f"{self.spread!r} is not within spread_low..spread_high"))
        if problems:
            raise HistoryError(problems)

    def as_comments(self) -> dict[str, str]:
        """Return every setting as the comment that a simulated file carries."""
        return {f"settings.{each.name}": repr(getattr(self, each.name)) for each in fields(self)}


_BOUNDS = {
    "growth_retargets": (1, 1000),
    "launch_premium": (-3.0, 3.0),
    "final_premium": (-3.0, 3.0),
    "swing_sd": (0.0, 1.0),
    "jumps_per_day": (0.0, 1000.0),
    "jump_sd": (0.0, 1.0),
    "spread": (1e-6, 1.0),
    "spread_low": (1e-6, 1.0),
    "spread_high": (1e-6, 1.0),
    "spread_log_sd": (0.0, 2.0),
    "trades_per_day": (0.0, 100_000.0),
    "book_changes_per_day": (0.0, 1e6),
    "pool_changes_per_day": (0.0, 1e6),
    "swap_rate_day": (1e-9, 0.5),
    "swap_cap_day": (1e-9, 0.5),
    "swap_log_sd": (0.0, 2.0),
    "dry_chance": (0.0, 1.0),
    "squeezes_per_day": (0.0, 1000.0),
    "squeeze_factor": (1.0, 100.0),
    "squeeze_premium": (0.0, 1.0),
    "squeeze_dry_chance": (0.0, 1.0),
    "btc_rate_day": (1e-9, 0.5),
    "btc_log_sd": (0.0, 2.0),
}
