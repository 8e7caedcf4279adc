"""Dividends, income, interest and notional against exact fractions: sums are exact however time or holdings are cut."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.accrual import (
    DIFFICULTY_1_TARGET,
    INDEX_BITS,
    INTEREST_DENOMINATOR,
    block_income_sat,
    dividend_sat,
    index_rise,
    interest_sat,
    is_found,
    pool_fee_sat,
)
from bot.core.contract import FPPS, PPS, PRO_RATA, Contract, Payout
from bot.core.events import BTC, Block
from bot.core.exchange import Exchange
from bot.core.order import Deposit
from bot.core.units import NS_PER_S, ceil_div, fee_sat, floor_div, half_up_div, notional_sat
from tests.ledgers import RULES, START_NS, TERMS, block_paying, terms

WHOLE = 1 << INDEX_BITS
UNIT = Fraction(1, INTEREST_DENOMINATOR)
quick = settings(max_examples=150, deadline=None)

incomes = st.lists(st.integers(0, 10**9), min_size=1, max_size=20)
targets = st.integers(1, DIFFICULTY_1_TARGET)


def block(target: int, interval_s: int, subsidy: int, fees: int, height: int = 320_000) -> Block:
    return Block(START_NS + 600 * NS_PER_S, height, 0, interval_s, 0, target, subsidy, fees)


def paid_as(basis: str, exact: bool = False) -> Contract:
    return terms(payout=Payout(basis, 30_000, exact, 35 * 10**14, 11))


# Index and dividends ---------------------------------------------------------------------------------------------


@quick
@given(incomes, st.integers(1, 10**6))
def test_the_index_and_its_carry_hold_every_satoshi(nets: list[int], issued: int) -> None:
    index = carry = 0
    for net in nets:
        rise, carry = index_rise(net, carry, issued)
        index += rise
        assert 0 <= carry < issued
    assert index * issued + carry == sum(nets) << INDEX_BITS


@quick
@given(st.lists(st.tuples(st.integers(0, 10**15), st.integers(-(10**6), 10**6)), min_size=1, max_size=20))
def test_a_holders_dividends_do_not_depend_on_when_he_is_settled(periods: list[tuple[int, int]]) -> None:
    """Paid + fraction kept = sum of holding x rise, exactly, for any cut of time and any holdings, short or long."""
    paid = carry = 0
    for rise, lots in periods:
        due, carry = dividend_sat(lots, rise, carry)
        paid += due
        assert 0 <= carry < WHOLE
    assert paid * WHOLE + carry == sum(rise * lots for rise, lots in periods)


@quick
@given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(-(10**6), 10**6))
def test_settling_twice_pays_what_settling_once_pays(first: int, second: int, lots: int) -> None:
    part, carry = dividend_sat(lots, first, 0)
    rest, carry = dividend_sat(lots, second, carry)
    assert (part + rest, carry) == dividend_sat(lots, first + second, 0)


@quick
@given(incomes, st.lists(st.integers(1, 500), min_size=1, max_size=10))
def test_holders_of_the_whole_tranche_share_all_of_it(nets: list[int], holdings: list[int]) -> None:
    """Each holder's total is holding x dividend per lot to within a satoshi; what is not paid is carried."""
    issued = sum(holdings)
    index = carry = 0
    for net in nets:
        rise, carry = index_rise(net, carry, issued)
        index += rise
    due = [dividend_sat(lots, index, 0) for lots in holdings]
    assert sum(paid for paid, _ in due) * WHOLE + sum(kept for _, kept in due) + carry == sum(nets) * WHOLE
    for (paid, _), lots in zip(due, holdings, strict=True):
        assert 0 <= Fraction(sum(nets) * lots, issued) - paid < 1 + Fraction(lots, WHOLE)


@quick
@given(incomes, st.integers(1, 10**4))
def test_a_short_pays_what_his_lender_receives(nets: list[int], lots: int) -> None:
    """In money and fractions: what the one is paid and the other pays differs by less than the satoshi being kept."""
    index = sum(index_rise(net, 0, 10_000)[0] for net in nets)
    (gets, kept), (pays, held) = dividend_sat(lots, index, 0), dividend_sat(-lots, index, 0)
    assert (gets + pays) * WHOLE + kept + held == 0


@quick
@given(st.integers(0, 10**12), st.integers(0, 10**6))
def test_the_pools_fee_is_the_floor(income: int, ppm: int) -> None:
    assert pool_fee_sat(income, ppm) == (Fraction(income) * ppm / 10**6).__floor__()


# Income of a block -----------------------------------------------------------------------------------------------


@quick
@given(targets, st.integers(0, 86_400), st.integers(0, 50 * 10**8), st.integers(0, 10**9), st.booleans())
def test_income_is_hashes_over_expected_hashes(
    target: int, interval_s: int, subsidy: int, fees: int, exact: bool
) -> None:
    difficulty = Fraction(DIFFICULTY_1_TARGET, target)
    hashes = difficulty * (Fraction(2**48, 65535) if exact else 2**32)
    tranche = Fraction(TERMS.hash_rate_hs * TERMS.tranche_lots, TERMS.lots_per_contract)
    for basis, reward in ((PPS, subsidy), (FPPS, subsidy + fees)):
        income = block_income_sat(paid_as(basis, exact), block(target, interval_s, subsidy, fees))
        assert income == (tranche * interval_s * reward / hashes).__floor__()


def test_fees_are_added_under_fpps_alone() -> None:
    at = block(DIFFICULTY_1_TARGET // 10**10, 600, 25 * 10**8, 5 * 10**8)
    pps, fpps = block_income_sat(paid_as(PPS), at), block_income_sat(paid_as(FPPS), at)
    assert Fraction(fpps, pps).limit_denominator(100) == Fraction(6, 5)
    assert block_income_sat(paid_as(PPS), at._replace(fees_sat=0)) == pps


def test_luck_is_seeded_and_on_average_pays_what_pps_pays_with_fees() -> None:
    """The pool finds a block with the chance that its hashes make: the mean is right to the error of 40,000 draws."""
    at = block(DIFFICULTY_1_TARGET // (2 * 10**9), 600, 25 * 10**8, 10**7)
    lucky = paid_as(PRO_RATA)
    blocks = [at._replace(height=height) for height in range(40_000)]
    found = [block_income_sat(lucky, each) for each in blocks]
    assert found == [block_income_sat(lucky, each) for each in reversed(blocks)][::-1]
    whole = (25 * 10**8 + 10**7) * TERMS.hash_rate_hs * TERMS.tranche_lots // (35 * 10**14 * TERMS.lots_per_contract)
    assert set(found) == {0, whole}
    chance = Fraction(35 * 10**14 * 600 * at.target, DIFFICULTY_1_TARGET << 32)
    share = Fraction(found.count(whole), len(blocks))
    deviation = float(chance * (1 - chance) / len(blocks)) ** 0.5
    assert abs(float(share - chance)) < 4 * deviation
    expected = block_income_sat(paid_as(FPPS), at)
    assert abs(float(share) * whole - expected) < 4 * deviation * whole
    other = dataclasses.replace(lucky, payout=dataclasses.replace(lucky.payout, luck_seed=12))
    assert found != [block_income_sat(other, each) for each in blocks]


@quick
@given(st.integers(0, 2**63), st.integers(0, 10**7), st.integers(0, 100), st.integers(1, 100))
def test_a_draw_is_monotone_in_its_chance_and_certain_at_its_ends(
    seed: int, height: int, part: int, whole: int
) -> None:
    assert not is_found(seed, height, 0, whole)
    assert is_found(seed, height, whole, whole)
    if is_found(seed, height, part, whole + 100):
        assert is_found(seed, height, part + 1, whole + 100)


@quick
@given(st.integers(-(10**6), 10**6), st.integers(0, 86_400))
def test_a_block_pays_its_interval_from_after_the_start_to_the_end_inclusive(offset_ns: int, interval_s: int) -> None:
    paying = block_paying(TERMS, 1_000_000, 0)
    for edge, inside in ((TERMS.start_ns, offset_ns > 0), (TERMS.end_ns, offset_ns <= 0)):
        income = block_income_sat(TERMS, paying._replace(time_ns=edge + offset_ns, interval_s=600))
        assert (income == 1_000_000) == inside
        assert inside or income == 0
    assert block_income_sat(TERMS, paying._replace(time_ns=TERMS.end_ns, interval_s=0)) == 0


@quick
@given(st.integers(0, 10**12))
def test_a_block_that_should_pay_an_amount_pays_it(income: int) -> None:
    """Test support: blocks of a given income are used all over the unit tests."""
    assert block_income_sat(TERMS, block_paying(TERMS, income, START_NS + 1)) == income


def test_a_block_costs_the_same_for_two_holders_and_for_two_thousand() -> None:
    """Counted in ledger moves and accounts touched, not in time."""

    def cost(holders: int) -> tuple[int, int]:
        exchange = Exchange(TERMS, RULES, START_NS)
        for number in range(holders):
            exchange.submit(Deposit(START_NS, f"user{number}", BTC, 1))
        before = len(exchange.state.ledger.moves)
        settled = [(account.spot_index, account.margin_index) for account in exchange.state.accounts.values()]
        for second in (600, 1200):
            exchange.on_block(block_paying(TERMS, 1_000_000, START_NS + second * NS_PER_S))
        after = [(account.spot_index, account.margin_index) for account in exchange.state.accounts.values()]
        return len(exchange.state.ledger.moves) - before, sum(a != b for a, b in zip(settled, after, strict=True))

    assert cost(2) == cost(2_000) == (4, 0)


# Interest --------------------------------------------------------------------------------------------------------


@quick
@given(
    st.lists(st.tuples(st.integers(0, 10**14), st.integers(0, 10**6)), min_size=1, max_size=20),
    st.integers(0, 2 * 10**9),
)
def test_interest_is_exact_over_any_split_of_time(periods: list[tuple[int, int]], rate: int) -> None:
    """Paid + fraction kept = sum of value x rate x seconds / 86,400, exactly, whatever the value in each period."""
    paid = carry = 0
    exact = Fraction(0)
    for value, seconds in periods:
        interest, carry = interest_sat(value, rate, seconds, carry)
        paid += interest
        exact += Fraction(value) * Fraction(rate, 10**9) * Fraction(seconds, 86_400)
        assert 0 <= carry < INTEREST_DENOMINATOR
    assert paid + carry * UNIT == exact


@quick
@given(st.integers(0, 10**14), st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6))
def test_interest_paid_in_two_parts_is_interest_paid_at_once(value: int, rate: int, first: int, second: int) -> None:
    part, carry = interest_sat(value, rate, first, 0)
    rest, carry = interest_sat(value, rate, second, carry)
    assert (part + rest, carry) == interest_sat(value, rate, first + second, 0)


# Notional, fees, roundings ---------------------------------------------------------------------------------------


@quick
@given(st.integers(-(10**7), 10**7), st.integers(0, 10**11), st.integers(1, 10**4))
def test_notional_is_antisymmetric_and_rounds_half_up_in_size(lots: int, price: int, per_contract: int) -> None:
    amount = notional_sat(lots, price, per_contract)
    assert amount == -notional_sat(-lots, price, per_contract)
    exact = Fraction(abs(lots) * price, per_contract)
    assert abs(amount) == (exact + Fraction(1, 2)).__floor__()


@quick
@given(st.integers(0, 10**15), st.integers(0, 10**6))
def test_a_fee_is_rounded_up_against_the_payer(amount: int, ppm: int) -> None:
    assert fee_sat(amount, ppm) == (Fraction(amount) * ppm / 10**6).__ceil__()


@quick
@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6))
def test_the_roundings_do_what_they_are_named(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    assert floor_div(numerator, denominator) == exact.__floor__()
    assert ceil_div(numerator, denominator) == exact.__ceil__()
    assert half_up_div(numerator, denominator) == (exact + Fraction(1, 2)).__floor__()
