"""Raw headers: real excerpts pass, and whatever is changed, cut, appended or shuffled is found and placed."""

import hashlib
import struct
from itertools import pairwise
from pathlib import Path

import pytest

from bot.chain.difficulty import bits_from_target, next_target, target_from_bits
from bot.chain.headers import HEADER_BYTES, read, verify
from bot.errors import ChainError

GENESIS = bytes.fromhex(  # blocks 0, 1 and 2 of the main chain
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f61"
    "7fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
    "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee1467"
    "7ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299"
    "010000004860eb18bf1b1620e37e9490fc8a427514416fd75159ab86688e9a8300000000d5fdcc541e25de1c7a5addedf24858b8"
    "bb665c9f36ef744ee42c316022c90f9bb0bc6649ffff001d08d2bd61"
)
NOVEMBER = bytes.fromhex(  # blocks 330,623 to 330,625: a retarget lies between the first two
    "0200000080f5987c5bda99de219cc31b1085848bc809da927193581100000000000000009136d1b09ec496d0689f49c35e8f8da4"
    "be21932c831b67e8b3fe35d86feff11c22af6b5430c31b18ed67ba10"
    "020000002bdbb1380b47b5c7cc7b1399933dd8a1b39c6a86d55a92090000000000000000947259dd9cf7994ecd0c71d7c705cb07"
    "761064a7622650125640edfd9d9f5e1824b66b5461481b18511b3cda"
    "0200000000561880fe1f1cd882b549000321fb0720fe2e7eb082b50c000000000000000010371209f337394ecc41d8ad34537118"
    "658c20ce6ddee5ed1218f89e9bc5c36406b96b5461481b18c31af0cf"
)
EASY = target_from_bits(0x207FFFFF, max_target=2**256 - 1)
REAL = Path(__file__).parents[3] / "shared/data/chain/headers_312480_340000.bin"


def craft(times_s: list[int], bits: list[int] | int) -> bytes:
    """Mine headers on the easiest target, where every second nonce will do; height 0 first."""
    raw, previous = b"", bytes(32)
    for index, time_s in enumerate(times_s):
        own = bits if isinstance(bits, int) else bits[index]
        target = target_from_bits(own, max_target=EASY)
        for nonce in range(1000):
            header = struct.pack("<I32s32sIII", 2, previous, bytes(32), time_s, own, nonce)
            digest = hashlib.sha256(hashlib.sha256(header).digest()).digest()
            if int.from_bytes(digest, "little") <= target:
                break
        raw, previous = raw + header, digest
    return raw


def epochs(second_step_s: int) -> tuple[list[int], list[int]]:
    """Return times and bits of two epochs and two blocks: 600 s a block first, `second_step_s` in the second."""
    times_s = [1_000_000_000 + 600 * i for i in range(2016)]
    times_s += [times_s[-1] + second_step_s * (i + 1) for i in range(2018)]
    bits = [0x201FFFFF] * 2016
    for first, blocks in ((0, 2016), (2016, 2)):
        before = target_from_bits(bits[first], max_target=EASY)
        bits += [bits_from_target(next_target(before, times_s[first], times_s[first + 2015], EASY))] * blocks
    return times_s, bits


def test_the_first_three_headers_of_the_chain_are_verified() -> None:
    headers = verify(GENESIS, 0, "genesis")
    assert headers.first_hash == "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    assert headers.last_hash == "000000006a625f06636b8bb6ac7b960a8d03705d1ace08b1a19da3fdcc99ddbd"
    assert headers.times_s == (1231006505, 1231469665, 1231469744)
    assert headers.bits == (0x1D00FFFF,) * 3
    assert (headers.retargets_verified, headers.retargets_open) == (0, 0)


def test_an_epoch_start_whose_epoch_before_is_not_in_the_file_is_counted_as_open() -> None:
    headers = verify(NOVEMBER, 330_623, "november")
    assert headers.bits == (0x181BC330, 0x181B4861, 0x181B4861)
    assert (headers.retargets_verified, headers.retargets_open) == (0, 1)


@pytest.mark.parametrize(("raw", "first_height"), [(GENESIS, 0), (NOVEMBER, 330_623)])
def test_every_flip_of_one_bit_in_any_header_is_found_at_that_header(raw: bytes, first_height: int) -> None:
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ChainError) as caught:
            verify(bytes(flipped), first_height, "f")
        index = bit // 8 // HEADER_BYTES
        assert f"f: byte {index * 80}, height {first_height + index}" in [p.where for p in caught.value.problems]


@pytest.mark.parametrize(("cut", "rest"), [(1, 79), (79, 1), (80 + 40, 40)])
def test_a_truncated_file_is_refused_with_the_byte_where_whole_headers_end(cut: int, rest: int) -> None:
    with pytest.raises(ChainError, match=f"and {rest} bytes more.*truncated") as caught:
        verify(GENESIS[:-cut], 0, "f")
    assert caught.value.problems[0].where == f"f: byte {(240 - cut) // 80 * 80}"


def test_trailing_bytes_and_an_empty_file_are_refused() -> None:
    with pytest.raises(ChainError, match="trailing bytes"):
        verify(GENESIS + b"\n", 0, "f")
    with pytest.raises(ChainError, match="is empty"):
        verify(b"", 0, "f")


def test_a_header_that_links_to_nothing_known_is_refused() -> None:
    with pytest.raises(ChainError, match=r"byte 80, height 1: previous hash .* is not the header before it"):
        verify(GENESIS[:80] + GENESIS[160:], 0, "f")


def test_headers_out_of_order_are_refused_and_called_so() -> None:
    with pytest.raises(ChainError, match="but height 2: headers out of order") as caught:
        verify(GENESIS[:80] + GENESIS[160:] + GENESIS[80:160], 0, "f")
    assert len(caught.value.problems) == 2


def test_both_branches_of_a_reorganisation_in_one_file_are_refused_and_called_so() -> None:
    stem = craft([1000, 1600, 2200], 0x207FFFFF)
    other = craft([1000, 1600, 2201], 0x207FFFFF)
    assert stem[:160] == other[:160]
    with pytest.raises(ChainError, match="but height 1: headers out of order, or both branches of a reorganisation"):
        verify(stem + other[160:], 0, "f", EASY)


def test_a_header_given_twice_is_refused() -> None:
    with pytest.raises(ChainError, match="height 2: previous hash"):
        verify(GENESIS[:160] + GENESIS[80:160], 0, "f")


def test_a_first_height_that_is_wrong_shows_where_bits_change_inside_an_epoch() -> None:
    with pytest.raises(ChainError, match=r"height 330623: bits 0x181b4861 differ from 0x181bc330 inside an epoch"):
        verify(NOVEMBER, 330_622, "f")
    with pytest.raises(ChainError, match="first height -1 is below 0"):
        verify(NOVEMBER, -1, "f")


@pytest.mark.parametrize(("step_s", "change"), [(600, 0.9995), (100, 0.25), (5000, 4.0)])
def test_retargets_are_recomputed_between_and_at_the_clamps(step_s: int, change: float) -> None:
    times_s, bits = epochs(step_s)
    before, after = (target_from_bits(bits[height], max_target=EASY) for height in (2016, 4032))
    assert after / before == pytest.approx(change, rel=1e-4)
    assert verify(craft(times_s, bits), 0, "f", EASY).retargets_verified == 2


def test_bits_one_step_beside_the_retarget_rule_are_refused() -> None:
    times_s, bits = epochs(600)
    wrong = [*bits[:-2], bits[-1] + 1, bits[-1] + 1]
    with pytest.raises(ChainError, match=f"height 4032: bits {wrong[-1]:#x} are not the {bits[-1]:#x}") as caught:
        verify(craft(times_s, wrong), 0, "f", EASY)
    assert len(caught.value.problems) == 1


def test_a_time_not_above_the_median_of_eleven_is_refused_and_a_lesser_step_back_is_not() -> None:
    times_s = [1000 + 600 * i for i in range(11)]
    median_s = times_s[5]
    assert verify(craft([*times_s, median_s + 1], 0x207FFFFF), 0, "f", EASY).times_s[-1] == median_s + 1
    with pytest.raises(ChainError, match=f"height 11: time {median_s} s is not above the median {median_s} s"):
        verify(craft([*times_s, median_s], 0x207FFFFF), 0, "f", EASY)


def test_a_target_easier_than_bitcoin_allows_and_bits_of_zero_are_refused() -> None:
    with pytest.raises(ChainError, match="height 0: bits 0x207fffff are easier than the limit"):
        verify(craft([1000], 0x207FFFFF), 0, "f")
    with pytest.raises(ChainError, match="height 0: bits 0x00000000 encode a target of 0"):
        verify(GENESIS[:72] + bytes(4) + GENESIS[76:80], 0, "f")


def test_a_file_full_of_faults_is_answered_with_twenty_problems_not_thousands() -> None:
    with pytest.raises(ChainError) as caught:
        verify(bytes(80) * 1000, 5, "f")
    assert len(caught.value.problems) == 20


def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="cannot be read"):
        read(tmp_path / "none.bin", 0)
    (tmp_path / "some.bin").write_bytes(GENESIS)
    assert read(tmp_path / "some.bin", 0).sha256 == hashlib.sha256(GENESIS).hexdigest()


@pytest.mark.skipif(not REAL.exists(), reason="the source headers are not part of the project")
def test_the_source_headers_verify() -> None:
    headers = verify(REAL.read_bytes(), 312_480, "real")
    assert (len(headers.times_s), headers.retargets_verified, headers.retargets_open) == (27_521, 13, 1)
    assert any(after < before for before, after in pairwise(headers.times_s))
