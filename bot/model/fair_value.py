"""Fair value of one contract as a run goes by: convention C3, from what is known at each moment and nothing later.

Every engine and strategy asks this one object. It learns blocks as they come, and answers in satoshi per contract.

How it answers in a fraction of a microsecond. While knowledge stands still, and the present epoch is not overdue,
the expected retargets stay where they are: the value is a straight line in time down to the next instant U at
which its slope changes (the expected retarget, an expected halving, the start or the end of the contract),

    V(t) = V(U) + b (U - t)                                          undiscounted
    V(t) = V(U) + (e^{-r (U - t)} - 1) (V(U) - b / r)                with e^{-r u}

so V(U) and b are kept, and a call is a comparison and a multiplication (and one exponential). An epoch that
overruns is expected to end now, max(expected, now): a retarget that has not happened cannot lie in the past. All
later retargets then move along with the clock, the shape of the path seen from now is fixed, and the value is again
a line, V(t) = V(U) + b (U - t), whose slope is the payout rate expected at the contract's far end (less that at its
start, before it has begun), until one of the retargets crosses that end.

The undiscounted value is the same to the last bit on every machine: its logarithms and exponentials come from
`decimal` (see `growth`), everything after them is IEEE + - * /. Discounted values use the C library's exp and log,
and may differ in the last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import expm1, inf
from typing import TYPE_CHECKING, NamedTuple

from bot.chain.difficulty import HALVING_BLOCKS, subsidy_sat
from bot.chain.network import MAINNET, Network
from bot.core.contract import ENTRY_NOTIONAL, FPPS, MARK, PPS, PRO_RATA, Contract
from bot.core.events import Block
from bot.core.units import INT64_MAX, NS_PER_DAY, NS_PER_S, PPB, S_PER_DAY
from bot.model.annuity import exp_or_inf
from bot.model.carry import (
    lender_discount_per_day,
    long_discount_per_day,
    short_discount_per_day,
    value_short_entry_notional,
)
from bot.model.deterministic import discounted_s
from bot.model.domain import checked, refused
from bot.model.fees import FeeDays, MeanFee
from bot.model.growth import GrowthModel
from bot.model.knowledge import ChainKnowledge
from bot.model.payout import share_of_reward_per_s
from bot.model.schedule import Stretch
from bot.model.value_law import clock_factor, payout_law

if TYPE_CHECKING:
    from bot.model.paths import PathForecast
    from bot.model.random_clock import LogMixture

_NO_RATE_PER_DAY = 1e-17  # e^{-r u} is 1 to the last bit over any term of ten years
_MOST_EXPONENT = 700.0
_MOST_RATES = 512  # kept between two retargets; a new swap rate every hour stays below it


class _Edge(NamedTuple):
    """A place where the window moves over the path as time passes: `sign` times the payout at `delay_s` from U."""

    sign: float
    delay_s: float
    decay: float
    subsidy_sat: int


class Coming(NamedTuple):
    """A stretch of constant difficulty to come and the satoshi it is expected to pay a contract: 0 before the term."""

    from_ns: int
    to_ns: int
    difficulty: float
    paid_sat: float


class FairValue:
    """The value of `contract` in satoshi per contract, at any time from the latest event learned on."""

    def __init__(
        self,
        contract: Contract,
        past_epochs: Sequence[tuple[int, int]],
        growth: GrowthModel,
        first_height: int | None = None,
        past_fees: Sequence[MeanFee] = (),
        network: Network = MAINNET,
    ) -> None:
        """Start from the `past_epochs` known before the run, consecutive (start_s, bits), the last one in force.

        `first_height` is the height of the first one's first block; None: 0 if that is the genesis block, else learned
        from the first block seen. `past_fees` are days before the run, for payouts with fees. `network` bounds targets.
        Raises ModelError when no epoch is given, when fewer retargets are known than `growth` needs, or for a payout
        basis that it does not know; ChainError for bits or times that cannot be.
        """
        basis, accrual = contract.payout.basis, contract.lending.accrual
        known = {"payout.basis": (basis, (PPS, FPPS, PRO_RATA)), "lending.accrual": (accrual, (MARK, ENTRY_NOTIONAL))}
        for key, (chosen, choices) in known.items():
            if chosen not in choices:
                raise refused(key, f"{chosen!r} is not one of {', '.join(choices)}", "choose one of them")
        self._contract = contract
        self._start_ns, self._end_ns = contract.start_ns, contract.end_ns
        self._fee_days = FeeDays(past_fees) if basis in (FPPS, PRO_RATA) else None
        self._on_entry = accrual == ENTRY_NOTIONAL
        self._chain = ChainKnowledge(past_epochs, growth, first_height, contract.end_ns, network)
        self._at_rate: dict[float, tuple[float, float, float]] = {}
        self._law: tuple[int, LogMixture] | None = None
        self._asked_clock: float | None = None
        self._from_ns = self._until_ns = self._chain.known_ns
        self._begin_epoch()

    # What is known

    def on_block(self, block: Block) -> None:
        """Learn `block`: time, height and, where they are paid out, fees; at height % 2016 == 0 a new epoch begins.

        Raises ChainError for a block out of order, of an epoch whose beginning was not seen, or with another
        difficulty than its epoch.
        """
        fees, changed = self._fee_days, self._chain.learn(block)
        fees_move = fees is not None and (fees.learn(block) or fees.forecast is None)
        if changed:
            self._begin_epoch()
        elif fees_move:
            self._fees_sat = self._expected_fees_sat()
            self._reprice()
        self._from_ns = max(self._from_ns, block.time_ns)

    @property
    def difficulty(self) -> float:
        """Difficulty of the present epoch."""
        return self._chain.difficulty

    @property
    def growth_per_retarget(self) -> float:
        """x, the expected ln(D_next / D) of each coming retarget."""
        return self._chain.growth

    @property
    def payout_rate_sat_s(self) -> float:
        """Satoshi per second that one contract earns now, net of the pool's fee, as of the latest block learned.

        Raises ModelError while the height, hence the subsidy, cannot be told.
        """
        fees_sat = 0.0 if self._fee_days is None else self._fee_days.now_sat(self._chain)
        return self._share_per_s * (self._chain.subsidy_sat + fees_sat)

    @property
    def expected_fees_sat(self) -> float:
        """Fees of a block, in satoshi, that the value counts with until expiry; 0 where none are paid out."""
        return self._fees_sat

    @property
    def expected_rate_sat_s(self) -> float:
        """Satoshi per second at today's difficulty and subsidy with `expected_fees_sat`."""
        return self._share_per_s * (self._chain.subsidy_sat + self._fees_sat)

    def expected_retarget_ns(self, time_ns: int) -> int:
        """Return when the present epoch is expected to end, seen at `time_ns`: max(start + c e^{-x}, now)."""
        return max(self._chain.retarget_ns, time_ns)

    # What it is worth

    def value_sat(self, time_ns: int) -> float:
        """Return the expected payout from `time_ns` (before the start: of the whole term) to expiry, undiscounted.

        C3 with r = 0, satoshi per contract; 0 from expiry on. The same to the last bit on every machine.
        Raises ValueError for a time before the latest event learned: that would be look-ahead.
        """
        if not self._from_ns <= time_ns < self._until_ns:
            self._find_piece(time_ns)
        return self._value_sat + self._slope_sat_ns * (self._until_ns - time_ns)

    def line(self, time_ns: int) -> tuple[int, float, float]:
        """Return (U, V, b): until U, or until a block comes, value_sat(t) is V + b (U - t), b per nanosecond."""
        self.value_sat(time_ns)
        return self._until_ns, self._value_sat, self._slope_sat_ns

    def value_at_rate_sat(self, time_ns: int, rate_per_day: float) -> float:
        """Return C3 discounted at the continuous `rate_per_day` r in e^{-r u}, satoshi per contract.

        r = r_B values a financed long, r_B - r_S (1 - cut) a lender, -rho a short. Infinity beyond e^700.
        Raises ValueError as value_sat does, and ModelError for NaN and beyond +-1000 per day.
        """
        if not self._from_ns <= time_ns < self._until_ns:
            self._find_piece(time_ns)
        left_ns = self._until_ns - time_ns
        if -_NO_RATE_PER_DAY < rate_per_day < _NO_RATE_PER_DAY:
            return self._value_sat + self._slope_sat_ns * left_ns
        line = self._at_rate.get(rate_per_day)
        if line is None:
            line = self._price_at(rate_per_day)
        value_sat, lever_sat, minus_rate_ns = line
        return value_sat + expm1(minus_rate_ns * left_ns) * lever_sat

    def value_to_long(self, time_ns: int, borrow_btc_ppb_day: int) -> float:
        """Return satoshi per contract to a long who borrows bitcoin at a simple daily rate (ppb): r = ln(1 + q)."""
        return self.value_at_rate_sat(time_ns, long_discount_per_day(borrow_btc_ppb_day))

    def value_to_lender(self, time_ns: int, borrow_btc_ppb_day: int, lend_contract_ppb_day: int) -> float:
        """Return satoshi per contract to a long who lends it out, after the venue's cut; simple daily rates (ppb)."""
        cut_ppm = self._contract.lending.venue_cut_ppm
        rate = lender_discount_per_day(borrow_btc_ppb_day, lend_contract_ppb_day, cut_ppm)
        return self.value_at_rate_sat(time_ns, rate)

    def value_to_short(self, time_ns: int, borrow_contract_ppb_day: int, proceeds_ppb_day: int = 0) -> float:
        """Return the price in satoshi per contract above which a short held to expiry gains; simple daily rates (ppb).

        By the contract's accrual rule: interest on the mark, e^{rho u} with rho = r_S - r_proceeds, or on the
        entry notional, V_0 / (1 - q T), infinity when q T >= 1.
        """
        if not self._on_entry:
            rate = short_discount_per_day(borrow_contract_ppb_day, proceeds_ppb_day)
            return self.value_at_rate_sat(time_ns, rate)
        days = max(self._end_ns - time_ns, 0) / NS_PER_DAY
        net_per_day = (borrow_contract_ppb_day - proceeds_ppb_day) / PPB
        return value_short_entry_notional(self.value_sat(time_ns), net_per_day, days)

    def coming(self, time_ns: int) -> list[Coming]:
        """Return the stretches of constant difficulty from `time_ns` to expiry, with what each is expected to pay.

        One that straddles the start of the term is cut there. Their sum is value_sat. Empty from expiry on.
        """
        self.value_sat(time_ns)  # refuses a time before the latest event
        share, start_s = self._share_per_s * self._clock, (self._start_ns - time_ns) / NS_PER_S
        early = (
            (at.start_s, min(at.end_s, start_s), at.decay, 0) for at in self._chain.stretches(time_ns, self._end_ns)
        )
        term = ((low, high, decay, subsidy + self._fees_sat) for low, high, decay, subsidy in self._path(time_ns))
        return [
            Coming(
                time_ns + round(from_s * NS_PER_S),
                time_ns + round(to_s * NS_PER_S),
                self._chain.difficulty / decay,
                share * decay * reward_sat * (to_s - from_s),
            )
            for from_s, to_s, decay, reward_sat in (*early, *term)
            if from_s < to_s
        ]

    # How sure that is

    @property
    def knowledge(self) -> ChainKnowledge:
        """What is known of the chain; to look at, not to teach."""
        return self._chain

    @property
    def path(self) -> PathForecast | None:
        """The forecast of difficulty behind the value, as of the latest look at the epoch's pace; None: no law."""
        return self._chain.path

    def value_quantile_sat(self, time_ns: int, probability: float) -> float:
        """Return the satoshi that one contract will have paid by expiry at most, with `probability`; undiscounted.

        value_sat times the quantile over the mean of the payout left. That ratio is that of the start of the UTC day,
        or of the latest look at the epoch's pace if that was later: it moves slowly, and it must not depend on
        when it was asked for before. 0 from expiry on. Raises ModelError for a model without a path.
        """
        if time_ns >= self._end_ns:
            return 0.0
        value_sat = self.value_sat(time_ns)
        at_ns = max(time_ns // NS_PER_DAY * NS_PER_DAY, self._chain.sharpened_ns)  # floor: start of the day
        if self._law is None or self._law[0] != at_ns:
            self._law = at_ns, payout_law(self._contract, self._chain, at_ns, self._fees_sat)
        law = self._law[1]
        return value_sat * float(law.quantile_s(probability) / law.mean_s)

    @property
    def _clock(self) -> float:
        """E v over the payout on the expected path, at the latest look at the epoch's pace: found when first asked."""
        if self._asked_clock is None:
            self._asked_clock = self._random_clock(self._chain.sharpened_ns, self._fees_then_sat)
        return self._asked_clock

    def _random_clock(self, at_ns: int, fees_sat: float) -> float:
        """Return 1 where one path is expected, or nothing is left to pay."""
        if self._chain.path is None or not self._chain.knows_height or at_ns >= self._end_ns:
            return 1.0
        self._law = at_ns, payout_law(self._contract, self._chain, at_ns, fees_sat)
        return clock_factor(self._contract, self._chain, at_ns, fees_sat, self._law[1])

    def _expected_fees_sat(self) -> float:
        fees = self._fee_days
        return 0.0 if fees is None else fees.ahead_sat(self._chain, self._start_ns, self._end_ns)

    # How the line is found

    def _begin_epoch(self, fees_sat: float | None = None) -> None:
        """Forget the line: the path has changed. `fees_sat`: the fees that were expected then, if that was before."""
        chain, payout = self._chain, self._contract.payout
        self._share_per_s = share_of_reward_per_s(
            self._contract.hash_rate_hs, chain.target, payout.fee_ppm, payout.exact_hashes
        )
        self._parts: list[tuple[float, float, float, int]] = []
        self._edges: list[_Edge] = []
        self._fees_sat = self._fees_then_sat = self._expected_fees_sat() if fees_sat is None else fees_sat
        self._law = self._asked_clock = None
        self._from_ns, self._until_ns = chain.known_ns, -INT64_MAX  # no time lies between: the next call finds it
        self._reprice()

    def _find_piece(self, time_ns: int) -> None:
        """Find the line that holds at `time_ns`: its end U, the path seen from U, and its edges."""
        chain = self._chain
        if time_ns < chain.known_ns:
            raise ValueError(f"value asked at {time_ns} ns, but blocks up to {chain.known_ns} ns are known: look-ahead")
        self._moves = False
        if time_ns >= self._end_ns:
            self._until_ns, self._edges = INT64_MAX, []
        elif time_ns < chain.retarget_ns:
            self._until_ns, self._edges = self._line_on_time(time_ns)
        else:
            self._until_ns, self._edges = self._line_overdue(time_ns)
            self._moves = True
        self._from_ns = time_ns
        self._parts = list(self._path(self._until_ns)) if time_ns < self._end_ns else []
        self._reprice()

    def _line_on_time(self, time_ns: int) -> tuple[int, list[_Edge]]:
        """Return U and the payout now, while the present epoch is expected to end in the future."""
        halving_ns = self._chain.halving_ns
        until_ns = min(self._chain.retarget_ns, self._end_ns)
        subsidy = self._chain.subsidy_sat
        if halving_ns is not None:
            if time_ns < halving_ns:
                until_ns = min(until_ns, halving_ns)
            else:  # an overdue halving is expected now
                subsidy = subsidy_sat(self._chain.height + 1 + HALVING_BLOCKS)
        if time_ns < self._start_ns:
            return min(until_ns, self._start_ns), []
        return until_ns, [_Edge(1.0, 0.0, 1.0, subsidy)]

    def _line_overdue(self, time_ns: int) -> tuple[int, list[_Edge]]:
        """Return U and the edges while the retarget is overdue and the whole path moves along with the clock."""
        until_ns, edges = self._end_ns, []
        for sign, at_ns in ((1.0, self._end_ns), (-1.0, self._start_ns)):
            if at_ns <= time_ns:
                continue
            at = self._stretch_at((at_ns - time_ns) / NS_PER_S, time_ns)
            until_ns = min(until_ns, at_ns - int(at.start_s * NS_PER_S))
            edges.append((sign, at_ns, at))
        return until_ns, [
            _Edge(sign, (at_ns - until_ns) / NS_PER_S, at.decay, subsidy_sat(at.era * HALVING_BLOCKS))
            for sign, at_ns, at in edges
        ]

    def _stretch_at(self, delay_s: float, time_ns: int) -> Stretch:
        """Return the stretch of the path, seen from `time_ns`, in which or at whose end `delay_s` > 0 lies."""
        last = Stretch(0.0, inf, 0.0, 0)
        for stretch in self._chain.stretches(time_ns, self._end_ns):
            if delay_s <= stretch.end_s:
                return stretch
            last = stretch
        return Stretch(last.end_s, inf, 0.0, last.era)  # decayed to 0 before

    def _path(self, time_ns: int) -> Sequence[tuple[float, float, float, int]]:
        """Return (from_s, to_s, decay, subsidy_sat) of the contract's term, seen from `time_ns`, in seconds from it."""
        low = max(self._start_ns - time_ns, 0) / NS_PER_S
        high = (self._end_ns - time_ns) / NS_PER_S
        return [
            (max(at.start_s, low), min(at.end_s, high), at.decay, subsidy_sat(at.era * HALVING_BLOCKS))
            for at in self._chain.stretches(time_ns, self._end_ns)
            if at.end_s > low and at.start_s < high
        ]

    def _reprice(self) -> None:
        """Compute V(U) and the slope b of the line with the fees expected."""
        fees = self._fees_sat
        value = slope = 0.0
        for from_s, to_s, decay, subsidy in self._parts:
            value += decay * (subsidy + fees) * (to_s - from_s)
        for edge in self._edges:
            slope += edge.sign * edge.decay * (edge.subsidy_sat + fees)
        share = self._share_per_s * self._clock if self._parts or self._edges else 0.0
        self._value_sat = share * value
        self._slope_sat_ns = share * slope / NS_PER_S
        self._at_rate.clear()

    def _price_at(self, rate_per_day: float) -> tuple[float, float, float]:
        """Return (V_r(U), its lever V_r(U) - b_r/r, -r per ns) and keep them for the next call at this rate."""
        checked("rate_per_day", rate_per_day, -1e3, 1e3, "a simple daily rate of 1 % is ln 1.01")
        rate_s = rate_per_day / S_PER_DAY
        if len(self._at_rate) >= _MOST_RATES:
            self._at_rate.clear()
        if not self._parts and not self._edges:
            line = (0.0, 0.0, 0.0)
        elif -rate_s * ((self._end_ns - self._chain.known_ns) / NS_PER_S) > _MOST_EXPONENT:
            line = (inf, 0.0, 0.0)
        else:
            value = edges = 0.0
            for from_s, to_s, decay, subsidy in self._parts:
                value += decay * (subsidy + self._fees_sat) * discounted_s(from_s, to_s, rate_s)
            for edge in self._edges:
                payout = edge.decay * (edge.subsidy_sat + self._fees_sat)
                edges += edge.sign * payout * exp_or_inf(-rate_s * edge.delay_s)
            kept = 0.0 if self._moves else value
            share = self._share_per_s * self._clock
            line = (share * value, share * (kept - edges / rate_s), -rate_s / NS_PER_S)
        self._at_rate[rate_per_day] = line
        return line
