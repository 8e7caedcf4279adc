"""The parts of a simulated market that move by themselves: premium, spread, displayed sizes, swap rates, pools.

Each part steps over one short span of fixed length and draws from a stream of its own. Between steps nothing
is known of the future; a part's state depends on its own past alone.
"""

from __future__ import annotations

from math import sqrt

from bot.core.contract import Contract
from bot.core.units import PPB, PPM, SAT_PER_BTC, floor_div, sat_from_float_half_even
from bot.history.draws import Draws, decay, exp, log
from bot.history.settings import Settings

_RATE_STEP_PPB = 1_000
"""Rates are quoted to 0.0001 % per day."""


class Swing:
    """A mean-reverting deviation (Ornstein-Uhlenbeck), stepped by its exact law, so the step's length is free.

    x' = a x + sd sqrt(1 - a^2) z with a = 2^(-step / half-life); it starts at 0.
    """

    def __init__(self, draws: Draws, sd: float, half_life_days: float, step_days: float) -> None:
        self.value = 0.0
        self._draws = draws
        self._keep = decay(step_days, half_life_days)
        self._noise = sd * sqrt(1.0 - self._keep * self._keep)

    def step(self) -> float:
        self.value = self.value * self._keep + self._noise * self._draws.normal()
        return self.value


def chance(events_per_day: float, step_days: float) -> float:
    """Return the chance that a Poisson event of this rate happens within a step: 1 - e^(-rate x step)."""
    return 1.0 - exp(-events_per_day * step_days)


class Premium:
    """ln(price / model value): a level that decays from launch to end, swings, jumps that fade, and old news.

    The model value steps at a retarget; the market does not, it takes time to price the news in. So whatever a
    block adds to ln(value) is taken off the premium and fades from there.
    """

    def __init__(self, settings: Settings, seed: int, step_days: float) -> None:
        self._settings = settings
        self._level = settings.launch_premium - settings.final_premium
        self._level_keep = decay(step_days, settings.premium_half_life_days)
        self._swing = Swing(Draws(seed, "premium swing"), settings.swing_sd, settings.swing_half_life_days, step_days)
        self._jump = 0.0
        self._jump_keep = decay(step_days, settings.jump_half_life_days)
        self._jump_chance = chance(settings.jumps_per_day, step_days)
        self._jumps = Draws(seed, "premium jumps")
        self._unpriced = 0.0
        self._unpriced_keep = decay(step_days, settings.news_half_life_days)

    @property
    def log_premium(self) -> float:
        lasting = self._settings.final_premium + self._level
        return lasting + self._swing.value + self._jump - self._unpriced

    def step(self, squeeze_begins: bool) -> None:
        self._level *= self._level_keep
        self._swing.step()
        self._jump *= self._jump_keep
        self._unpriced *= self._unpriced_keep
        if self._jumps.uniform() < self._jump_chance:
            self._jump += self._settings.jump_sd * self._jumps.normal()
        if squeeze_begins:
            self._jump += self._settings.squeeze_premium

    def news(self, before_sat: float, after_sat: float) -> None:
        """Note that a block moved the model value, both in satoshi at the block's own time."""
        if before_sat != after_sat and before_sat > 0.0 and after_sat > 0.0:
            self._unpriced += log(after_sat / before_sat)


class Book:
    """Spread and displayed sizes around a mid; prices on the tick, sizes in whole lots, at least one."""

    def __init__(self, settings: Settings, contract: Contract, seed: int, step_days: float) -> None:
        self._settings = settings
        self._contract = contract
        self._log_spread = log(settings.spread)
        self._spread = Swing(Draws(seed, "spread"), settings.spread_log_sd, settings.spread_half_life_days, step_days)
        self._sizes = Draws(seed, "displayed sizes")
        self._change_chance = chance(settings.book_changes_per_day, step_days)
        self.bid_size_lots = self._size()
        self.ask_size_lots = self._size()

    def step(self) -> None:
        self._spread.step()
        if self._sizes.uniform() < self._change_chance:
            self.bid_size_lots = self._size()
        if self._sizes.uniform() < self._change_chance:
            self.ask_size_lots = self._size()

    def prices_sat(self, mid_sat: int) -> tuple[int, int]:
        """Return bid (rounded down to the tick) and ask (rounded up); at least one tick each and one apart."""
        wide = exp(self._log_spread + self._spread.value)
        spread = min(max(wide, self._settings.spread_low), self._settings.spread_high)
        spread_ppm, tick = sat_from_float_half_even(spread * PPM), self._contract.tick_sat
        bid_sat = max(floor_div(mid_sat * (2 * PPM - spread_ppm), 2 * PPM * tick), 1) * tick
        # Ceiling, written as a floor of the negative.
        ask_sat = -floor_div(-mid_sat * (2 * PPM + spread_ppm), 2 * PPM * tick) * tick
        return bid_sat, max(ask_sat, bid_sat + tick)

    def _size(self) -> int:
        lots = self._settings.largest_display_contracts * self._contract.lots_per_contract
        return max(sat_from_float_half_even(lots * self._sizes.skewed()), 1)


class Trades:
    """How much traded in one step, in lots, for the volume of bars."""

    def __init__(self, settings: Settings, contract: Contract, seed: int, step_days: float) -> None:
        self._draws = Draws(seed, "trades")
        self._none_chance = exp(-settings.trades_per_day * step_days)
        self._largest_lots = settings.largest_trade_contracts * contract.lots_per_contract

    def step(self) -> int:
        lots = 0
        for _ in range(self._draws.count(self._none_chance)):
            lots += max(sat_from_float_half_even(self._largest_lots * self._draws.skewed()), 1)
        return lots


class Lenders:
    """What borrowing costs and what there is to borrow, for the contract (with squeezes) and for bitcoin."""

    def __init__(self, settings: Settings, contract: Contract, seed: int, step_days: float) -> None:
        self._settings = settings
        self._lots_per_contract = contract.lots_per_contract
        self._tranche_lots = contract.tranche_lots
        self._log_rate = log(settings.swap_rate_day)
        self._log_btc_rate = log(settings.btc_rate_day)
        self._rate = Swing(Draws(seed, "swap rate"), settings.swap_log_sd, settings.swap_half_life_days, step_days)
        self._btc_rate = Swing(Draws(seed, "btc rate"), settings.btc_log_sd, settings.btc_half_life_days, step_days)
        self._squeezes = Draws(seed, "squeezes")
        self._pools = Draws(seed, "pools")
        self._begin_chance = chance(settings.squeezes_per_day, step_days)
        self._end_chance = chance(1.0 / settings.squeeze_days, step_days)
        self._change_chance = chance(settings.pool_changes_per_day, step_days)
        self._log_factor = log(settings.squeeze_factor)
        self._lift = 0.0
        self._lift_keep = decay(step_days, settings.squeeze_rise_half_life_days)
        self.squeezed = False
        self.available_lots = self._contracts()
        self.available_sat = self._bitcoin()

    def step(self) -> bool:
        """Move on by one step; return whether a squeeze begins in it."""
        self._rate.step()
        self._btc_rate.step()
        turns = self._squeezes.uniform() < (self._end_chance if self.squeezed else self._begin_chance)
        if turns:
            self.squeezed = not self.squeezed
        aim = self._log_factor if self.squeezed else 0.0
        self._lift = aim + (self._lift - aim) * self._lift_keep
        if turns or self._pools.uniform() < self._change_chance:
            self.available_lots = self._contracts()
        if self._pools.uniform() < self._change_chance:
            self.available_sat = self._bitcoin()
        return turns and self.squeezed

    def swap_rate_ppb_day(self) -> int:
        """Return the contract's rate, at most the cap, rounded half to even to 0.0001 % per day."""
        rate = exp(self._log_rate + self._rate.value + self._lift)
        return _rate_ppb_day(min(rate, self._settings.swap_cap_day))

    def btc_rate_ppb_day(self) -> int:
        """Return bitcoin's rate, rounded half to even to 0.0001 % per day."""
        return _rate_ppb_day(min(exp(self._log_btc_rate + self._btc_rate.value), 0.5))

    def _contracts(self) -> int:
        settings = self._settings
        dry = settings.squeeze_dry_chance if self.squeezed else settings.dry_chance
        largest = settings.squeeze_pool_contracts if self.squeezed else settings.largest_pool_contracts
        empty, share = self._pools.uniform() < dry, self._pools.skewed()
        lots = sat_from_float_half_even(largest * self._lots_per_contract * share)
        return 0 if empty else min(lots, self._tranche_lots)

    def _bitcoin(self) -> int:
        # Whole hundredths of a bitcoin, as an offer book would show.
        share = self._pools.skewed()
        hundredths = sat_from_float_half_even(self._settings.largest_btc_pool_btc * 100.0 * share)
        return hundredths * (SAT_PER_BTC // 100)


def _rate_ppb_day(rate_day: float) -> int:
    return sat_from_float_half_even(rate_day * (PPB // _RATE_STEP_PPB)) * _RATE_STEP_PPB
