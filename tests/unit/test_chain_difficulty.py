"""Compact bits, retarget rule and subsidy against the vectors of Bitcoin Core and against real blocks of 2014."""

import pytest

from bot.chain.difficulty import (
    MAX_TARGET,
    MAX_TARGET_BITS,
    bits_from_target,
    difficulty_float,
    difficulty_ratio,
    is_canonical,
    next_target,
    subsidy_sat,
    target_from_bits,
)
from bot.errors import ChainError

WIDE = 2**256 - 1


@pytest.mark.parametrize(
    ("bits", "target", "written"),
    [  # Bitcoin Core src/test/arith_uint256_tests.cpp, bignum_SetCompact
        (0x01123456, 0x12, 0x01120000),
        (0x02123456, 0x1234, 0x02123400),
        (0x03123456, 0x123456, 0x03123456),
        (0x04123456, 0x12345600, 0x04123456),
        (0x05009234, 0x92340000, 0x05009234),
        (0x20123456, 0x123456 << 232, 0x20123456),
        (MAX_TARGET_BITS, MAX_TARGET, MAX_TARGET_BITS),
        (0x1B0404CB, 0x0404CB << 192, 0x1B0404CB),
    ],
)
def test_compact_bits_decode_and_encode_as_bitcoin_core_does(bits: int, target: int, written: int) -> None:
    assert target_from_bits(bits, max_target=WIDE) == target
    assert bits_from_target(target) == written
    assert is_canonical(bits) == (bits == written)


def test_a_target_whose_top_bit_would_read_as_a_sign_takes_one_byte_more() -> None:
    assert bits_from_target(0x80) == 0x02008000
    assert target_from_bits(0x02008000, max_target=WIDE) == 0x80


@pytest.mark.parametrize(
    ("bits", "reason"),
    [
        (0, "target of 0"),
        (0x00123456, "target of 0"),
        (0x01003456, "target of 0"),
        (0x04000000, "target of 0"),
        (0x01803456, "target of 0"),
        (0x01FEDCBA, "negative"),
        (0x04923456, "negative"),
        (0xFF123456, "beyond 256 bits"),
        (0x23000001, "beyond 256 bits"),
        (0x22000100, "beyond 256 bits"),
        (0x21010000, "beyond 256 bits"),
        (-1, "32-bit"),
        (1 << 32, "32-bit"),
    ],
)
def test_bits_that_encode_no_target_are_refused_with_their_place_and_value(bits: int, reason: str) -> None:
    with pytest.raises(ChainError, match=reason) as caught:
        target_from_bits(bits, "x.csv:7", WIDE)
    assert caught.value.problems[0].where == "x.csv:7"
    assert f"{bits:#x}"[-4:] in caught.value.problems[0].what


@pytest.mark.parametrize("bits", [0x22000001, 0x210000FF, 0x2100FFFF, 0x207FFFFF])
def test_the_widest_targets_fit_but_are_easier_than_bitcoin_allows(bits: int) -> None:
    assert target_from_bits(bits, max_target=WIDE).bit_length() <= 256
    with pytest.raises(ChainError, match="easier than the limit 0x1d00ffff"):
        target_from_bits(bits)


@pytest.mark.parametrize(
    ("bits", "first_s", "last_s", "due"),
    [
        # Bitcoin Core src/test/pow_tests.cpp: get_next_work, pow limit, lower and upper clamp
        (0x1D00FFFF, 1261130161, 1262152739, 0x1D00D86A),
        (0x1D00FFFF, 1231006505, 1233061996, 0x1D00FFFF),
        (0x1C05A3F4, 1279008237, 1279297671, 0x1C0168FD),
        (0x1C387F6F, 1263163443, 1269211443, 0x1D00E1FD),
        # real epochs of 2014, first and last header time of epochs 155, 156, 159 and 164
        (0x183AAEA2, 1406325092, 1407473800, 0x1837BA62),
        (0x1837BA62, 1407474112, 1408474964, 0x182E1C58),
        (0x1824DBE9, 1410638896, 1411679882, 0x181FB893),
        (0x181B4861, 1416345124, 1417563570, 0x181B7B74),
    ],
)
def test_retargets_equal_those_of_bitcoin_core_and_of_2014(bits: int, first_s: int, last_s: int, due: int) -> None:
    assert bits_from_target(next_target(target_from_bits(bits), first_s, last_s)) == due


def test_an_epoch_of_exactly_two_weeks_over_2015_intervals_keeps_the_target() -> None:
    target = target_from_bits(0x181B4861)
    assert next_target(target, 0, 1_209_600) == target
    assert next_target(target, 0, 1_209_599) < target


def test_a_retarget_to_zero_is_refused() -> None:
    assert next_target(4, 0, 0) == 1
    with pytest.raises(ChainError, match="target of 0"):
        next_target(3, 0, 0)


def test_difficulty_is_max_target_over_target() -> None:
    assert difficulty_ratio(MAX_TARGET) == (MAX_TARGET, MAX_TARGET)
    assert difficulty_float(MAX_TARGET) == 1.0
    assert difficulty_float(target_from_bits(0x182E1C58)) == pytest.approx(23844670038.8, abs=0.05)


@pytest.mark.parametrize("target", [0, -1, MAX_TARGET + 1])
def test_a_target_without_a_difficulty_of_at_least_one_is_refused(target: int) -> None:
    with pytest.raises(ChainError, match="outside"):
        difficulty_ratio(target)


def test_the_subsidy_halves_every_210000_blocks_and_sums_to_just_below_21_million() -> None:
    assert subsidy_sat(0) == 50 * 10**8
    assert [subsidy_sat(h) for h in (209_999, 210_000, 313_404, 419_999, 420_000)] == [
        5_000_000_000,
        2_500_000_000,
        2_500_000_000,
        2_500_000_000,
        1_250_000_000,
    ]
    # Bitcoin Core src/test/validation_tests.cpp, subsidy_limit_test: the sum of all subsidies
    assert sum(subsidy_sat(210_000 * n) * 210_000 for n in range(70)) == 2_099_999_997_690_000
    assert subsidy_sat(210_000 * 64) == 0
    with pytest.raises(ChainError, match="below 0"):
        subsidy_sat(-1)
