"""The streaming fair value on random chains: it is the plain sum, it never looks ahead, and it forgets nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.chain.difficulty import HALVING_BLOCKS, bits_from_target, subsidy_sat, target_from_bits
from bot.core.contract import FPPS, MARK, PPS, CollateralStep, Contract, Lending, MarginStep, Payout
from bot.core.events import Block
from bot.core.units import NS_PER_DAY, NS_PER_S
from bot.model.deterministic import value_c3
from bot.model.fair_value import FairValue
from bot.model.growth import Flat, GrowthModel, growth_model
from bot.model.payout import payout_rate_sat_s
from bot.model.schedule import EPOCH_S

BEGUN_S = 1_410_638_896
BEGUN = BEGUN_S * NS_PER_S
BITS = 0x1824DBE9
TARGET = target_from_bits(BITS)
EPOCH = 159
QUICK = settings(max_examples=150, deadline=None)
SLOW = settings(max_examples=40, deadline=None)


@dataclass(frozen=True)
class Fixed:
    """A growth model that answers what it was told."""

    growth: float
    name: str = "fixed"
    needs_retargets: int = 0
    uses_retargets: int = 0

    def growth_per_retarget(self, log_ratios: object) -> float:
        return self.growth


def contract(start_ns: int, end_ns: int, basis: str = PPS) -> Contract:
    return Contract(
        id="random",
        symbol="TH1BTC",
        asset="TH1",
        kind="dividend_term",
        hash_rate_hs=10**12,
        lots_per_contract=100,
        tick_sat=10_000,
        tranche_lots=10_000,
        start_ns=start_ns,
        end_ns=end_ns,
        payout=Payout(basis, 30_000, False, 3500 * 10**12, 1),
        margin=(MarginStep(0, 250_000, 125_000),),
        collateral=(CollateralStep(0, True),),
        margin_call_ppm=1_500_000,
        lending=Lending(2, 30, 150_000, 10**8, MARK),
        maker_fee_ppm=1_000,
        taker_fee_ppm=2_000,
    )


def block(height: int, time_ns: int, bits: int = BITS, fees_sat: int = 0) -> Block:
    time_s = time_ns // NS_PER_S
    return Block(time_ns, height, time_s, 600, bits, target_from_bits(bits), subsidy_sat(height), fees_sat)


# The line is the sum


@st.composite
def moments(draw: st.DrawFn) -> tuple[float, int, int, int, int]:
    """(growth, epoch, window start and end, now) with now often within nanoseconds of a turning point."""
    x = draw(st.one_of(st.just(0.0), st.floats(-0.7, 1.3862943611198906), st.floats(1.38, 1.7)))
    epoch = draw(st.one_of(st.just(EPOCH), st.sampled_from([208, 312, 416]), st.integers(0, 700)))
    start = BEGUN + draw(st.integers(0, 40)) * NS_PER_DAY + draw(st.integers(0, 10**9))
    end = start + draw(st.integers(1, 120)) * NS_PER_DAY + draw(st.integers(0, 10**9))
    length_ns = round(EPOCH_S * math.exp(-x) * NS_PER_S)
    blocks = -(-epoch * 2016 // HALVING_BLOCKS) * HALVING_BLOCKS - epoch * 2016
    turns = [BEGUN + length_ns, start, end, BEGUN + round(length_ns * min(blocks, 2016) / 2016)]
    turns += [end - k * length_ns for k in (1, 2, 3)] + [start - k * length_ns for k in (1, 2)]
    near = st.builds(lambda turn, shift: turn + shift, st.sampled_from(turns), st.integers(-2, 2))
    now = draw(st.one_of(near, st.integers(BEGUN, end + 10 * NS_PER_DAY)))
    return x, epoch, start, end, max(now, BEGUN)


def plain_sum(x: float, epoch: int, start: int, end: int, now: int, rate: float, fees: float = 0.0) -> float:
    """C3 in satoshi straight from deterministic.py; fees are not halved."""
    if now >= end:
        return 0.0
    elapsed_s, from_s = (now - BEGUN) / NS_PER_S, max(start - now, 0) / NS_PER_S
    left_s = (end - now) / NS_PER_S
    height = epoch * 2016
    coins = payout_rate_sat_s(10**12, BITS, subsidy_sat(height + 1), 30_000)
    window = partial(value_c3, growth=x, term_s=left_s, elapsed_s=elapsed_s, from_s=from_s, discount_per_day=rate)
    value = window(coins, height=height)
    if fees:
        value += window(payout_rate_sat_s(10**12, BITS, fees, 30_000))
    return value


def as_sum(expected: float, x: float, end: int, rate: float = 0.0) -> object:
    """1e-12 of the value, plus 3 ns of the greatest payout rate, since turning points fall on whole nanoseconds."""
    epochs = 1 + (end - BEGUN) / NS_PER_S / (EPOCH_S * math.exp(-x))
    peak = payout_rate_sat_s(10**12, BITS, 50e8, 0) * math.exp(max(-x, 0.0) * epochs + max(-rate, 0.0) * 200)
    return pytest.approx(expected, rel=1e-12, abs=3e-9 * peak)


@settings(max_examples=1500, deadline=None)
@given(moments(), st.one_of(st.just(0.0), st.floats(-0.05, 0.05), st.floats(-1e-9, 1e-9)))
def test_the_line_is_the_plain_sum(moment: tuple[float, int, int, int, int], rate: float) -> None:
    x, epoch, start, end, now = moment
    model = FairValue(contract(start, end), [(BEGUN_S, BITS)], Fixed(x), epoch * 2016)
    assert model.value_sat(now) == as_sum(plain_sum(x, epoch, start, end, now, 0.0), x, end)
    assert model.value_at_rate_sat(now, rate) == as_sum(plain_sum(x, epoch, start, end, now, rate), x, end, rate)


@QUICK
@given(moments(), st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8), st.floats(-0.05, 0.05))
def test_one_object_asked_again_and_again_answers_as_a_fresh_one(
    moment: tuple[float, int, int, int, int], parts: list[float], rate: float
) -> None:
    """Bit for bit: no answer depends on when, or how often, it was asked before. In any order."""
    x, epoch, start, end, _ = moment
    terms = contract(start, end)
    model = FairValue(terms, [(BEGUN_S, BITS)], Fixed(x), epoch * 2016)
    for part in parts:
        now = BEGUN + int(part * (end - BEGUN))
        fresh = FairValue(terms, [(BEGUN_S, BITS)], Fixed(x), epoch * 2016)
        assert model.value_sat(now) == fresh.value_sat(now)
        assert model.value_at_rate_sat(now, rate) == fresh.value_at_rate_sat(now, rate)


@QUICK
@given(moments(), st.lists(st.integers(0, 10**9), min_size=1, max_size=200), st.floats(-0.02, 0.02))
def test_fees_are_the_plain_sum_too(moment: tuple[float, int, int, int, int], fees: list[int], rate: float) -> None:
    x, _, start, end, now = moment
    model = FairValue(contract(start, end, FPPS), [(BEGUN_S, BITS)], Fixed(x), EPOCH * 2016)
    model.value_sat(max(now - 1, BEGUN))
    for i, fee in enumerate(fees):
        model.on_block(block(EPOCH * 2016 + i + 1, BEGUN, fees_sat=fee))
    mean = sum(fees[-144:]) / len(fees[-144:])
    expected = plain_sum(x, EPOCH, start, end, now, rate, mean)
    assert model.value_at_rate_sat(now, rate) == as_sum(expected, x, end, rate)


# What must hold whatever the chain does

lives = st.tuples(st.floats(0.0, 1.3), st.floats(0.01, 0.99))


def alive(x: float, part: float, bits: int = BITS) -> tuple[FairValue, int]:
    start, end = BEGUN + NS_PER_DAY, BEGUN + 92 * NS_PER_DAY
    model = FairValue(contract(start, end), [(BEGUN_S, bits)], Fixed(x), EPOCH * 2016)
    return model, start + int(part * (end - start))


@QUICK
@given(lives, st.integers(1, 10**6))
def test_value_is_positive_and_falls_with_time(life: tuple[float, float], step_s: int) -> None:
    model, now = alive(*life)
    later = min(now + step_s * NS_PER_S, BEGUN + 92 * NS_PER_DAY)
    assert 0.0 <= model.value_sat(later) < model.value_sat(now)
    assert model.value_sat(later) > 0.0 or later == BEGUN + 92 * NS_PER_DAY


@QUICK
@given(lives, st.floats(0.1, 1.0))
def test_value_falls_in_proportion_to_difficulty(life: tuple[float, float], easier: float) -> None:
    hard = bits_from_target(int(TARGET * easier))
    model, now = alive(*life)
    harder, _ = alive(*life, hard)
    ratio = target_from_bits(hard) / TARGET
    assert harder.value_sat(now) == pytest.approx(model.value_sat(now) * ratio, rel=1e-13)


@QUICK
@given(st.floats(0.0, 1.3), st.floats(0.0, 1.3), st.floats(0.01, 0.99))
def test_value_falls_with_growth(a: float, b: float, part: float) -> None:
    low, high = sorted((a, b))
    slow, now = alive(low, part)
    fast, _ = alive(high, part)
    assert fast.value_sat(now) <= slow.value_sat(now) * (1 + 1e-13)


@QUICK
@given(lives, st.integers(0, 10**8), st.integers(0, 10**8))
def test_financing_lowers_and_borrowing_raises_the_value(life: tuple[float, float], bitcoin: int, hashes: int) -> None:
    """long <= undiscounted <= short, and lending never hurts a long."""
    model, now = alive(*life)
    bare = model.value_sat(now)
    long, short = model.value_to_long(now, bitcoin), model.value_to_short(now, hashes)
    assert long <= bare * (1 + 1e-14)
    assert bare <= short * (1 + 1e-14)
    assert long <= model.value_to_lender(now, bitcoin, hashes) * (1 + 1e-14)


@QUICK
@given(lives, st.floats(-0.05, 0.05), st.floats(-0.05, 0.05))
def test_value_falls_with_the_rate_and_meets_the_undiscounted_one(
    life: tuple[float, float], a: float, b: float
) -> None:
    model, now = alive(*life)
    low, high = sorted((a, b))
    assert model.value_at_rate_sat(now, high) <= model.value_at_rate_sat(now, low) * (1 + 1e-13)
    for rate in (1e-9, -1e-9, 1e-15, -1e-15, 1e-17, 1e-30):
        close = pytest.approx(model.value_sat(now), rel=1e-13 + 100 * abs(rate))
        assert model.value_at_rate_sat(now, rate) == close


# No look-ahead

Story = list[tuple[int, float, int]]
Note = tuple[int, int, float, float, float]  # epoch, time, value, value to a long, value to a short
stories = st.lists(
    st.tuples(st.integers(1, 4_000), st.floats(-0.3, 0.3), st.integers(0, 10**8)), min_size=4, max_size=12
)


def chain(story: Story) -> Iterator[tuple[int, Block]]:
    """(number of the epoch, block) of epochs of (seconds per block, log-change of difficulty, fees), six a piece.

    The first block of the first epoch is left out: past_epochs end with it.
    """
    now, bits = BEGUN, BITS
    for number, (spacing_s, change, fees) in enumerate(story):
        if number:
            bits = bits_from_target(int(target_from_bits(bits) * math.exp(-change)))
        first = (EPOCH + number) * 2016
        for height in (first, *(first + 400 * i + (number * 7) % 300 for i in range(1, 5)), first + 2015):
            now += spacing_s * NS_PER_S * 300
            if height != EPOCH * 2016:
                yield number, block(height, now, bits, fees)


def newborn(basis: str, growth: GrowthModel) -> FairValue:
    past = [(BEGUN_S - (6 - i) * 1_200_000, bits_from_target(int(TARGET * 1.1 ** (6 - i)))) for i in range(6)]
    terms = contract(BEGUN, BEGUN + 120 * NS_PER_DAY, basis)
    return FairValue(terms, [*past, (BEGUN_S, BITS)], growth, (EPOCH - 6) * 2016)


def told(story: Story, basis: str, growth: GrowthModel) -> list[Note]:
    """Tell the story to a newborn model and note its values just before and just after each block."""
    model, notes = newborn(basis, growth), []
    for number, found in chain(story):
        notes.append(_note(model, number, found.time_ns))
        model.on_block(found)
        notes.append(_note(model, number, found.time_ns))
    return notes


def _note(model: FairValue, number: int, now: int) -> Note:
    return (
        number,
        now,
        model.value_sat(now),
        model.value_to_long(now, 574_000),
        model.value_to_short(now, 10_000_000),
    )


@SLOW
@given(
    stories,
    stories,
    st.integers(1, 3),
    st.sampled_from([PPS, FPPS]),
    st.sampled_from(["flat", "trailing(1)", "trailing(4)", "ewma(3)"]),
)
def test_later_blocks_never_change_earlier_values(story: Story, other: Story, fork: int, basis: str, name: str) -> None:
    """Every later block is different; not one earlier value moves by a bit."""
    growth = growth_model(name)
    shared = [note for note in told(story, basis, growth) if note[0] < fork]
    changed = [note for note in told(story[:fork] + other, basis, growth) if note[0] < fork]
    assert shared == changed


def test_later_blocks_do_change_later_values() -> None:
    """The control of the test above: it would notice."""
    calm: Story = [(600, 0.05, 0)] * 6
    wild: Story = [(600, 0.05, 0)] * 2 + [(500, 0.25, 0)] * 4
    for name in ("flat", "trailing(4)", "ewma(3)"):
        a, b = told(calm, PPS, growth_model(name)), told(wild, PPS, growth_model(name))
        assert [note for note in a if note[0] < 2] == [note for note in b if note[0] < 2]
        assert [note[2] for note in a if note[0] > 2] != [note[2] for note in b if note[0] > 2]


@SLOW
@given(stories, st.sampled_from([PPS, FPPS]))
def test_asking_less_often_changes_no_answer(story: Story, basis: str) -> None:
    """The last value of a run is the same whether or not any was asked for on the way."""
    growth = growth_model("trailing(4)")
    silent = newborn(basis, growth)
    for _, found in chain(story):
        silent.on_block(found)
    assert _note(silent, len(story) - 1, found.time_ns) == told(story, basis, growth)[-1]


def test_more_hash_power_earns_in_proportion() -> None:
    start, end = BEGUN, BEGUN + 90 * NS_PER_DAY
    one = contract(start, end)
    models = [
        FairValue(replace(one, hash_rate_hs=hashes), [(BEGUN_S, BITS)], Flat(), EPOCH * 2016)
        for hashes in (10**12, 10**15)
    ]
    assert models[1].value_sat(start) == pytest.approx(1_000 * models[0].value_sat(start), rel=1e-14)
