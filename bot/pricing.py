"""`fairhash price`: all that one moment's knowledge says of a contract's worth, and where each input came from."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from bot.chain.chain import Chain, utc
from bot.chain.chain import load as load_chain
from bot.contract_file import load_contract
from bot.core.contract import FPPS, PRO_RATA, Contract
from bot.core.units import NS_PER_DAY, NS_PER_S, PPB, PPM, SAT_PER_BTC
from bot.errors import ConfigError, Problem
from bot.model.carry import break_even_borrow, continuous_per_day, short_discount_per_day
from bot.model.deterministic import (
    growth_per_day,
    growth_per_retarget,
    implied_growth_c1,
    implied_growth_c3,
    value_c1,
    value_c3,
)
from bot.model.domain import ModelError
from bot.model.fair_value import Coming, FairValue
from bot.model.growth import GrowthModel, growth_model
from bot.model.schedule import EPOCH_S
from bot.run import fees_before

LEVELS: Final = (0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99)
TRADE_AT: Final = 0.25
"""Buy only below this quantile of the value to a long, sell short only above the opposite one of that to a short."""
MONTH_DAYS: Final = 30
_MORE_RETARGETS = 1_000


@dataclass(frozen=True, slots=True)
class GivenGrowth:
    """The growth that a person typed in: x at every retarget, whatever the past was."""

    growth: float
    name: str = "given"
    needs_retargets: int = 0
    uses_retargets: int = 0

    def growth_per_retarget(self, log_ratios: Sequence[float]) -> float:
        """Return it."""
        return self.growth


class Input(NamedTuple):
    """One input with its origin."""

    name: str
    value: str
    origin: str


class Sensitivity(NamedTuple):
    """How the value (BTC) moves when an input moves by the stated step."""

    name: str
    step: str
    change_btc: float


@dataclass(frozen=True, slots=True)
class Implied:
    """What a price says; growth as a fraction in 30 days, None where no growth or rate explains the price.

    `article`: periods, value, gain of a long at the price, implied growth, the same net of the swap (C1, in 30 days).
    """

    price_btc: float
    gross_month: float | None
    net_month: float | None
    break_even_day: float | None
    article: tuple[int, float, float, float | None, float | None] | None


@dataclass(frozen=True, slots=True)
class Valuation:
    """A contract at one moment. Money in BTC per contract, rates simple per day, growth per 30 days as fractions."""

    contract: Contract
    at_ns: int
    fair: FairValue
    model: str
    value_btc: float
    long_btc: float
    short_btc: float
    lender_btc: float
    quantiles_btc: tuple[tuple[float, float], ...]
    buy_below_btc: float
    sell_above_btc: float
    swap_day: float
    btc_day: float
    payout_day_btc: float
    growth_month: float
    implied: Implied | None
    sensitivities: tuple[Sensitivity, ...]
    coming: tuple[Coming, ...]
    inputs: tuple[Input, ...]

    @property
    def term_days(self) -> float:
        """Days from the moment to expiry."""
        return (self.contract.end_ns - self.at_ns) / NS_PER_DAY

    @property
    def digits(self) -> int:
        """How many decimals of a bitcoin tell values of this size apart: six of a coin, ten of a small fraction."""
        return 6 if self.value_btc >= 0.01 else 10


def valuation(options: Namespace) -> Valuation:
    """Return the valuation that the command line asks for; raises ConfigError for what cannot be read."""
    contract, chain = load_contract(options.contract), load_chain(options.chain)
    at_ns = contract.start_ns if options.at is None else moment_ns("--at", options.at)
    if at_ns >= contract.end_ns:
        what = f"{utc(at_ns)} is not before the contract's end, {utc(contract.end_ns)}"
        raise ConfigError([Problem("--at", what, "after expiry it is worth 0")])
    swap_ppb, btc_ppb = rate_ppb("--swap-rate", options.swap_rate), rate_ppb("--btc-rate", options.btc_rate)
    month = None if options.growth is None else number("--growth", options.growth, -99, 1000) / 100
    price = None if options.price is None else number("--price", options.price, 0, 21_000_000)
    fair = fair_value(contract, chain, at_ns, _model(options.model, month))
    value = fair.value_sat(at_ns) / SAT_PER_BTC
    long_btc = fair.value_to_long(at_ns, btc_ppb) / SAT_PER_BTC
    short_btc = fair.value_to_short(at_ns, swap_ppb) / SAT_PER_BTC
    levels = LEVELS if fair.path is not None else ()
    quantiles = tuple((p, fair.value_quantile_sat(at_ns, p) / SAT_PER_BTC) for p in levels)
    ratio = {p: quantile / value for p, quantile in quantiles} if value else {}
    fee = contract.taker_fee_ppm / PPM
    return Valuation(
        contract=contract,
        at_ns=at_ns,
        fair=fair,
        model="given growth" if month is not None else options.model,
        value_btc=value,
        long_btc=long_btc,
        short_btc=short_btc,
        lender_btc=fair.value_to_lender(at_ns, btc_ppb, swap_ppb) / SAT_PER_BTC,
        quantiles_btc=quantiles,
        buy_below_btc=long_btc * ratio.get(TRADE_AT, 1.0) / (1.0 + fee),
        sell_above_btc=short_btc * ratio.get(1.0 - TRADE_AT, 1.0) / (1.0 - fee),
        swap_day=swap_ppb / PPB,
        btc_day=btc_ppb / PPB,
        payout_day_btc=fair.payout_rate_sat_s * 86_400 / SAT_PER_BTC,
        growth_month=month if month is not None else _month(growth_per_day(fair.growth_per_retarget)),
        implied=None if price is None else _implied(contract, fair, at_ns, price, (swap_ppb, month)),
        sensitivities=_sensitivities(contract, fair, at_ns, value),
        coming=tuple(fair.coming(at_ns)),
        inputs=_inputs(options, contract, fair, at_ns),
    )


def _model(name: str, month: float | None) -> GrowthModel:
    if month is None:
        return growth_model(name)
    return GivenGrowth(growth_per_retarget(math.log1p(month) / MONTH_DAYS))


def _month(growth_day: float) -> float:
    """Return the growth in 30 days that a continuous growth per day makes."""
    return math.expm1(MONTH_DAYS * growth_day)


def fair_value(contract: Contract, chain: Chain, at_ns: int, model: GrowthModel) -> FairValue:
    """Return the fair value as it was known at `at_ns`: epochs begun by then, and blocks where they are carried."""
    known = chain.epochs_known_at(at_ns)
    begun_ns = known[-1].start_s * NS_PER_S
    past_fees = fees_before(chain, contract, min(begun_ns, at_ns))
    fair = FairValue(contract, [(epoch.start_s, epoch.bits) for epoch in known], model, past_fees=past_fees)
    if chain.from_ns <= begun_ns and at_ns < chain.to_ns:
        for block in chain.blocks_between(begun_ns, at_ns):
            if block.height > known[-1].first_height:  # one of the epoch before may share its effective time
                fair.on_block(block)
    return fair


def _implied(contract: Contract, fair: FairValue, at_ns: int, price: float, rates: tuple[int, float | None]) -> Implied:
    swap_ppb, month = rates
    rho = -short_discount_per_day(swap_ppb)

    def steady(discount_per_day: float) -> float | None:
        try:
            x = implied_growth_c3(
                price,
                fair.expected_rate_sat_s / SAT_PER_BTC,
                (contract.end_ns - at_ns) / NS_PER_S,
                elapsed_s=(at_ns - fair.knowledge.epoch_start_ns) / NS_PER_S,
                discount_per_day=discount_per_day,
                from_s=max(contract.start_ns - at_ns, 0) / NS_PER_S,
                height=fair.knowledge.height,
            )
        except ModelError:
            return None
        return _month(growth_per_day(x))

    try:
        rate = break_even_borrow(price * SAT_PER_BTC, lambda discount: fair.value_at_rate_sat(at_ns, discount))
        even: float | None = math.expm1(rate)
    except ModelError:
        even = None
    return Implied(price, steady(0.0), steady(-rho), even, _article(contract, fair, price, swap_ppb, month))


def _article(
    contract: Contract, fair: FairValue, price: float, swap_ppb: int, month: float | None
) -> tuple[int, float, float, float | None, float | None] | None:
    """Return the row of the 2014 article's table: C1, whole months from today's difficulty."""
    periods = (contract.end_ns - contract.start_ns) // (MONTH_DAYS * NS_PER_DAY)  # floor: whole months
    if month is None or periods < 2:
        return None
    first = fair.payout_rate_sat_s * 86_400 * MONTH_DAYS / SAT_PER_BTC
    value = value_c1(first, month, periods)
    try:
        gross: float | None = implied_growth_c1(price, first, periods)
    except ModelError:
        return periods, value, value - price, None, None
    assert gross is not None
    net = (1.0 + gross) * math.exp(MONTH_DAYS * swap_ppb / PPB) - 1.0  # the article's rate, taken as continuous
    return periods, value, value - price, gross, net


def _sensitivities(contract: Contract, fair: FairValue, at_ns: int, value: float) -> tuple[Sensitivity, ...]:
    """Return what the value does when one input is moved by the step and all others stay."""
    fee = contract.payout.fee_ppm / PPM
    tomorrow = fair.value_sat(min(at_ns + NS_PER_DAY, contract.end_ns)) / SAT_PER_BTC
    discounted = fair.value_at_rate_sat(at_ns, 1e-4) / SAT_PER_BTC
    short = fair.value_at_rate_sat(at_ns, -continuous_per_day(PPB // 1000)) / SAT_PER_BTC
    return (
        Sensitivity("difficulty", "+1 %", value / 1.01 - value),
        Sensitivity("growth", "+1 % in 30 days, from now on", _faster(contract, fair, at_ns) * value),
        Sensitivity("time", "+1 day, blocks as expected", tomorrow - value),
        Sensitivity("discount rate", "+0.01 % a day", discounted - value),
        Sensitivity("borrow rate, to a short", "0 to 0.1 % a day", short - value),
        Sensitivity("pool fee", "+1 point", -value * 0.01 / (1.0 - fee)),
        Sensitivity("block reward", "+1 %", 0.01 * value),
    )


def _faster(contract: Contract, fair: FairValue, at_ns: int) -> float:
    """Return the relative change of value when difficulty grows by 1 % more in 30 days at every coming retarget."""
    growths = [math.log(EPOCH_S / step.length_s) for step in fair.knowledge.steps]
    coming = [*growths, *[growths[-1]] * _MORE_RETARGETS]
    more = math.log(1.01) / MONTH_DAYS

    def value(growths: Sequence[float]) -> float:
        return value_c3(
            1.0,
            growths,
            (contract.end_ns - at_ns) / NS_PER_S,
            elapsed_s=(at_ns - fair.knowledge.epoch_start_ns) / NS_PER_S,
            from_s=max(contract.start_ns - at_ns, 0) / NS_PER_S,
            height=fair.knowledge.height,
        )

    return value([growth_per_retarget(growth_per_day(x) + more) for x in coming]) / value(coming) - 1.0


def _inputs(options: Namespace, contract: Contract, fair: FairValue, at_ns: int) -> tuple[Input, ...]:
    def typed(value: str | None, default: str) -> str:
        return "command line" if value is not None and value != default else f"default, {default}"

    figures = "bundled" if options.chain is None else str(options.chain)
    growth = (
        Input("growth", f"{options.growth} % in 30 days", "command line")
        if options.growth is not None
        else Input("growth", f"model {options.model}", "past retargets and the pace of this epoch's blocks")
    )
    return (
        Input("moment", utc(at_ns), "command line" if options.at else "start of the contract's term"),
        Input("contract", contract.id, str(options.contract)),
        Input("hash power", f"{contract.hash_rate_hs / 1e12:g} TH/s", str(options.contract)),
        Input("pool fee", f"{contract.payout.fee_ppm / 10_000:g} %", str(options.contract)),
        Input("difficulty", f"{fair.difficulty:,.0f}", f"chain figures, {figures}; in force at the moment"),
        Input("epoch began", utc(fair.knowledge.epoch_start_ns), f"chain figures, {figures}"),
        growth,
        *_fees(contract, fair),
        Input("swap rate, contracts", f"{options.swap_rate} % a day", typed(options.swap_rate, "1")),
        Input("swap rate, BTC", f"{options.btc_rate} % a day", typed(options.btc_rate, "0.0574")),
        Input("trading fee", f"{contract.taker_fee_ppm / 10_000:g} %", f"{options.contract}, taker"),
    )


def _fees(contract: Contract, fair: FairValue) -> tuple[Input, ...]:
    if contract.payout.basis not in (FPPS, PRO_RATA):
        return ()
    if fair.expected_fees_sat == 0.0:
        return (Input("transaction fees", "left out", "none are known at the moment"),)
    value = f"{fair.expected_fees_sat / SAT_PER_BTC:.4f} BTC a block"
    return (Input("transaction fees", value, "AR(1) of the days known, mean over the term; see docs/fair-value.md"),)


def moment_ns(option: str, text: str) -> int:
    """Return an ISO date or time in nanoseconds; without a zone it is UTC. Raises ConfigError at `option`."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError([Problem(option, f"{text!r} is not a time", "write 2014-10-01T12:00:00Z")]) from error
    when = read if read.tzinfo else read.replace(tzinfo=UTC)
    return int(when.timestamp()) * NS_PER_S


def number(option: str, text: str, low: float, high: float) -> float:
    """Return a number typed at `option`, strictly between bounds. Raises ConfigError."""
    try:
        value = float(Decimal(text))
    except InvalidOperation as error:
        raise ConfigError([Problem(option, f"{text!r} is not a number", "write for example 2.5")]) from error
    if not low < value < high:
        raise ConfigError([Problem(option, f"{text} is not between {low:g} and {high:g}", "check its unit")])
    return value


def rate_ppb(option: str, text: str) -> int:
    """Return a rate typed in per cent a day as parts per billion, to the nearest (half to even)."""
    return round(number(option, text, -100, 1000) * (PPB // 100))
