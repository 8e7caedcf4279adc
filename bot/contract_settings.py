"""The settings of a contract document: every term with its kind, bounds and meaning, and its integers.

Only `kind: dividend_term` exists for now: hash power for a fixed term that pays dividends block by block and
expires worthless. The other kinds are known by name and refused as not yet supported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bot.core.contract import (
    ENTRY_NOTIONAL,
    FPPS,
    MARK,
    PPS,
    PRO_RATA,
    CollateralStep,
    Contract,
    Lending,
    MarginStep,
    Payout,
    int64_bounds,
)
from bot.core.units import INT64_MAX, NS_PER_DAY, notional_sat
from bot.fields import (
    Choice,
    Conflict,
    Duration,
    Flag,
    HashPower,
    Integer,
    Money,
    Ppm,
    Rate,
    Size,
    Text,
    Timestamp,
    items,
    section,
    setting,
)

LATER: Final = "not supported yet"
SCHEMA_VERSION: Final = "1"
DIVIDEND_TERM: Final = "dividend_term"
LATER_KINDS: Final = (
    "perpetual",
    "average_index_future",
    "forward_ndf",
    "epoch_future",
    "avg_difficulty_future",
    "spot_rental",
    "upfront_note",
    "fixed_bond",
)
_NAME: Final = Text(r"[A-Za-z][A-Za-z0-9._-]{0,39}", "a name of letters, digits and . _ -", "TH1BTC")


def _later(*words: str) -> dict[str, str]:
    return dict.fromkeys(words, LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class TermSettings:
    """When the contract begins to pay and when it ends."""

    start_ns: int = setting(Timestamp(), key="start", doc="Dividends are paid by blocks after this instant.")
    end_ns: int = setting(
        Timestamp(),
        key="end",
        doc="Expiry: a block stamped at this instant still pays, then the contract is worth 0 and is gone.",
    )

    def cross_check(self) -> Iterator[Conflict]:
        if self.start_ns >= self.end_ns:
            yield Conflict("end", f"it is not after the start {Timestamp().show(self.start_ns)}", "end it later")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """The pool whose blocks are shared, for payout `pro_rata` only."""

    hash_power_hs: int = setting(
        HashPower(), key="hash_power", low="1 H/s", doc="Hash power of the whole pool; it decides how lumpy luck is."
    )
    luck_seed: int = setting(
        Integer(),
        low="0",
        doc="Seed of the pool's luck: which blocks it found is not known, so they are drawn, and labelled as drawn.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutSettings:
    """How a block's reward becomes a dividend."""

    basis: str = setting(
        Choice(PPS, FPPS, PRO_RATA, later=_later("pps_plus", "pplns", "index", "fixed", "none")),
        doc="pps: by hashes, subsidy only. fpps: by hashes, with transaction fees. pro_rata: a share of the blocks "
        "that a pool finds.",
    )
    pool_fee_ppm: int = setting(Ppm(), key="pool_fee", high="100 %", doc="The pool's part of the reward.")
    hashes_per_difficulty: str = setting(
        Choice("pow2_32", "exact"),
        doc="Hashes per unit of difficulty: pow2_32 is 2^32, as pools count; exact is 2^48/65535.",
    )
    entitlement: str = setting(
        Choice("block_time", later=_later("daily_snapshot", "continuous")),
        doc="Who is paid: the holders at the time stamp of the block.",
    )
    pool: PoolSettings | None = section(PoolSettings, absent="no pool", doc="The pool, for basis pro_rata only.")

    def cross_check(self) -> Iterator[Conflict]:
        if self.basis == PRO_RATA and self.pool is None:
            yield Conflict("basis", f"'{PRO_RATA}' needs the size of the pool", "add pool: hash_power, luck_seed")
        if self.basis != PRO_RATA and self.pool is not None:
            yield Conflict("pool", f"it has no meaning for basis '{self.basis}'", f"remove it, or use {PRO_RATA}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginStepSettings:
    """Margin from an instant on."""

    from_ns: int = setting(Timestamp(), key="from", doc="From this instant on.")
    initial_ppm: int = setting(
        Ppm(), key="initial", low="0.1 %", high="1000 %", doc="Equity needed to open, of the position's value."
    )
    maintenance_ppm: int = setting(
        Ppm(), key="maintenance", low="0.1 %", high="1000 %", doc="Equity below which a position is liquidated."
    )

    def cross_check(self) -> Iterator[Conflict]:
        if self.maintenance_ppm > self.initial_ppm:
            written = Ppm().show(self.initial_ppm)
            yield Conflict("maintenance", f"it is above the initial margin of {written}", "lower it")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginSettings:
    """What margin positions must be backed with."""

    call_ppm: int = setting(
        Ppm(),
        key="call",
        low="100 %",
        high="1000 %",
        doc="A margin call is sent when equity falls below this share of the maintenance margin.",
    )
    steps: tuple[MarginStepSettings, ...] = items(
        MarginStepSettings, shortest=1, doc="The dated schedule, earliest first, the first at or before the start."
    )

    def cross_check(self) -> Iterator[Conflict]:
        yield from _unsorted("steps", [step.from_ns for step in self.steps])


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralStepSettings:
    """The collateral rule from an instant on."""

    from_ns: int = setting(Timestamp(), key="from", doc="From this instant on.")
    contract_counts: bool = setting(Flag(), doc="Whether owned contracts count as collateral of margin positions.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LendingSettings:
    """Rules of the market for loans of BTC and of contracts."""

    shortest_ns: int = setting(
        Duration(), key="shortest", low="1 d", high="365 d", step="1 d", doc="Shortest term of an offer, whole days."
    )
    longest_ns: int = setting(
        Duration(), key="longest", low="1 d", high="365 d", step="1 d", doc="Longest term of an offer, whole days."
    )
    venue_cut_ppm: int = setting(Ppm(), key="venue_cut", high="100 %", doc="The venue's part of the interest.")
    max_rate_ppb_day: int = setting(
        Rate(), key="max_rate", low="1 ppb/day", high="100 %/day", doc="Highest rate that a borrower is charged."
    )
    accrual: str = setting(
        Choice(MARK, ENTRY_NOTIONAL),
        doc="What a loan of contracts costs interest on: mark (owed in contracts, so it moves with the price) "
        "or entry_notional (the value at the trade).",
    )

    def cross_check(self) -> Iterator[Conflict]:
        if self.shortest_ns > self.longest_ns:
            yield Conflict("longest", f"it is below the shortest term of {Duration().show(self.shortest_ns)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingSettings:
    """Fees and granularity of trading."""

    maker_fee_ppm: int = setting(Ppm(), key="maker_fee", high="10 %", doc="Fee on a fill whose order was waiting.")
    taker_fee_ppm: int = setting(Ppm(), key="taker_fee", high="10 %", doc="Fee on a fill that took a waiting order.")
    tick_sat: int = setting(Money(), key="tick", low="1 sat", doc="Step of prices, per contract.")
    lot: Decimal = setting(
        Size(), low="0.000001 contracts", high="1 contract", doc="Step of sizes; it must divide one contract."
    )
    max_price_sat: int = setting(
        Money(),
        key="max_price",
        low="1 sat",
        doc="Highest price that is believed; the arithmetic is proved to fit 64 bits up to here.",
    )

    def cross_check(self) -> Iterator[Conflict]:
        if Decimal(1) % self.lot:
            yield Conflict(
                "lot", f"one contract is not a whole number of {Size().show(self.lot)}", "e.g. 0.01 contracts"
            )
        if self.max_price_sat % self.tick_sat:
            yield Conflict("max_price", f"it is not a multiple of the tick {Money().show(self.tick_sat)}")

    @property
    def lots_per_contract(self) -> int:
        return int(1 / self.lot)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractSettings:
    """A hash-power contract, as its document says it."""

    schema_version: int = setting(
        Integer(),
        low=SCHEMA_VERSION,
        high=SCHEMA_VERSION,
        doc="Version of this form of document; a later one is refused, not guessed at.",
    )
    id: str = setting(_NAME, doc="Name of this series.")
    symbol: str = setting(_NAME, doc="What the pair is called on the venue.")
    asset: str = setting(_NAME, doc="What one contract is called when it is held, lent or borrowed.")
    kind: str = setting(
        Choice(DIVIDEND_TERM, later=_later(*LATER_KINDS)),
        doc="dividend_term: hash power for a term that pays dividends per block and expires worthless.",
    )
    size_hs: int = setting(HashPower(), key="size", low="1 H/s", doc="Hash power of one contract.")
    quote: str = setting(
        Choice("BTC", later=_later("USD", "USDT", "EUR")), doc="Currency of the price of one contract."
    )
    tranche: Decimal = setting(
        Size(), low="0.000001 contracts", doc="How many contracts exist; no more can be owned, lent or sold short."
    )
    term: TermSettings = section(TermSettings, doc="When it pays and when it ends.")
    payout: PayoutSettings = section(PayoutSettings, doc="How a block's reward becomes a dividend.")
    margin: MarginSettings = section(MarginSettings, doc="Margin call and the dated margin schedule.")
    collateral: tuple[CollateralStepSettings, ...] = items(
        CollateralStepSettings, shortest=1, doc="The dated collateral rule, the first entry at or before the start."
    )
    lending: LendingSettings = section(LendingSettings, doc="The market for loans.")
    trading: TradingSettings = section(TradingSettings, doc="Fees, tick, lot and the highest believed price.")

    def cross_check(self) -> Iterator[Conflict]:
        yield from _unsorted("collateral", [step.from_ns for step in self.collateral])
        for key, steps in (("margin.steps", self.margin.steps), ("collateral", self.collateral)):
            if steps[0].from_ns > self.term.start_ns:
                start = Timestamp().show(self.term.start_ns)
                yield Conflict(f"{key}[0].from", f"it is after the start of the term, {start}", f"write {start}")
        if self.tranche % self.trading.lot:
            yield Conflict("tranche", f"it is not a whole number of lots of {Size().show(self.trading.lot)}")
        elif self.tranche * self.trading.lots_per_contract > INT64_MAX:
            yield Conflict("tranche", "it is more lots than 64 bits can count", "make it smaller")
        else:
            yield from self._beyond_64_bits()

    def _beyond_64_bits(self) -> Iterator[Conflict]:
        contract = self.contract()
        bounds = int64_bounds(contract)
        highest_sat = self.trading.max_price_sat
        worth_sat = notional_sat(contract.tranche_lots, highest_sat, contract.lots_per_contract)
        if highest_sat > bounds.max_price_sat or worth_sat > bounds.max_notional_sat:
            by_worth_sat = bounds.max_notional_sat * contract.lots_per_contract // contract.tranche_lots
            limit_sat = min(bounds.max_price_sat, by_worth_sat)
            yield Conflict(
                "trading.max_price",
                f"{Money().show(highest_sat)} is above {Money().show(limit_sat)}, where the tranche at the highest "
                "rate no longer fits 64-bit arithmetic",
                "lower it, the tranche or lending.max_rate",
            )

    def contract(self) -> Contract:
        """Return the terms as integers; every conversion is exact."""
        payout, lending, trading = self.payout, self.lending, self.trading
        return Contract(
            id=self.id,
            symbol=self.symbol,
            asset=self.asset,
            kind=self.kind,
            hash_rate_hs=self.size_hs,
            lots_per_contract=trading.lots_per_contract,
            tick_sat=trading.tick_sat,
            tranche_lots=int(self.tranche * trading.lots_per_contract),
            start_ns=self.term.start_ns,
            end_ns=self.term.end_ns,
            payout=Payout(
                basis=payout.basis,
                fee_ppm=payout.pool_fee_ppm,
                exact_hashes=payout.hashes_per_difficulty == "exact",
                pool_hs=payout.pool.hash_power_hs if payout.pool else 0,
                luck_seed=payout.pool.luck_seed if payout.pool else 0,
            ),
            margin=tuple(MarginStep(s.from_ns, s.initial_ppm, s.maintenance_ppm) for s in self.margin.steps),
            collateral=tuple(CollateralStep(s.from_ns, s.contract_counts) for s in self.collateral),
            margin_call_ppm=self.margin.call_ppm,
            lending=Lending(
                min_term_days=lending.shortest_ns // NS_PER_DAY,  # exact: whole days were checked
                max_term_days=lending.longest_ns // NS_PER_DAY,
                venue_cut_ppm=lending.venue_cut_ppm,
                max_rate_ppb_day=lending.max_rate_ppb_day,
                accrual=lending.accrual,
            ),
            maker_fee_ppm=trading.maker_fee_ppm,
            taker_fee_ppm=trading.taker_fee_ppm,
        )


def _unsorted(key: str, times_ns: Iterable[int]) -> Iterator[Conflict]:
    """Yield a conflict for every step that does not come after the one before it."""
    times = list(times_ns)
    for index in range(1, len(times)):
        if times[index] <= times[index - 1]:
            before = Timestamp().show(times[index - 1])
            yield Conflict(f"{key}[{index}].from", f"it is not after the step before it, {before}", "sort the steps")
