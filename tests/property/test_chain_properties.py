"""Properties of the chain for all inputs: exact inverses, bounds, time that never falls, only the past."""

import shutil
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.chain import ondisk
from bot.chain.chain import BUNDLED, Chain, build, load
from bot.chain.difficulty import (
    MAX_TARGET,
    bits_from_target,
    is_canonical,
    next_target,
    target_from_bits,
)
from bot.chain.ondisk import BlockTimes, Epoch, FeeDay
from bot.core.units import NS_PER_S, S_PER_DAY
from bot.errors import ChainError

WIDE = 2**256 - 1
targets = st.integers(1, WIDE) | st.integers(0, 255).flatmap(lambda n: st.integers(1 << n, (2 << n) - 1))
real_targets = st.integers(2**160, MAX_TARGET).map(lambda target: target_from_bits(bits_from_target(target)))
timespans = st.integers(-(10**7), 10**7)


@given(targets)
def test_a_target_through_bits_loses_less_than_one_part_in_2_to_the_15(target: int) -> None:
    bits = bits_from_target(target)
    back = target_from_bits(bits, max_target=WIDE)
    assert target - back >= 0
    assert (target - back) << 15 < target
    assert is_canonical(bits)


@given(st.integers(0, 2**32 - 1))
def test_bits_are_refused_or_decode_to_what_bitcoin_core_computes(bits: int) -> None:
    size, word = bits >> 24, bits & 0x7FFFFF
    if size <= 3:  # SetCompact, line by line
        word >>= 8 * (3 - size)
        value = word
    else:
        value = word << 8 * (size - 3)
    negative = word != 0 and bits & 0x800000 != 0
    overflow = word != 0 and (size > 34 or (word > 0xFF and size > 33) or (word > 0xFFFF and size > 32))
    if negative or overflow or value == 0:
        with pytest.raises(ChainError):
            target_from_bits(bits, max_target=WIDE)
    else:
        assert target_from_bits(bits, max_target=WIDE) == value
        assert target_from_bits(bits_from_target(value), max_target=WIDE) == value


@given(real_targets, timespans, st.integers(0, 2**32))
def test_a_retarget_stays_within_the_clamp_the_limit_and_compact_form(target: int, span_s: int, first_s: int) -> None:
    result = next_target(target, first_s, first_s + span_s)
    assert is_canonical(bits_from_target(result))
    assert result == target_from_bits(bits_from_target(result))
    assert result <= min(4 * target, MAX_TARGET)
    assert result >= target_from_bits(bits_from_target(target // 4))
    assert result == next_target(target, 0, span_s)


@given(real_targets, timespans, timespans)
def test_a_longer_epoch_never_makes_the_next_one_harder(target: int, one_s: int, other_s: int) -> None:
    assert next_target(target, 0, min(one_s, other_s)) <= next_target(target, 0, max(one_s, other_s))


@st.composite
def block_times(draw: st.DrawFn) -> BlockTimes:
    """Up to 400 blocks over some days whose header times run backwards now and then, around a retarget."""
    steps = draw(st.lists(st.integers(-3000, 9000), min_size=1, max_size=400))
    from_s = 1_406_851_200
    times_s = [from_s + draw(st.integers(0, 5000))]
    for step in steps:
        times_s.append(max(from_s, times_s[-1] + step))
    first_height = draw(st.integers(1_999, 2_100))
    bits = [0x183AAEA2 if first_height + i < 2016 else 0x1837BA62 for i in range(len(times_s))]
    before_s = from_s - draw(st.integers(1, 5000))
    return BlockTimes(from_s, max(times_s) + draw(st.integers(1, 5000)), before_s, first_height, times_s, bits)


def chain_of(times: BlockTimes, fees: tuple[FeeDay, ...] = ()) -> Chain:
    first = Epoch(0, 0, 1_406_000_000, True, 0x183AAEA2)
    later = 2016 - times.first_height
    start_s = times.times_s[later] if 0 <= later < len(times.times_s) else 1_406_000_001
    return build(times, (first, Epoch(1, 2016, start_s, True, 0x1837BA62)), fees, (), "test")


@given(block_times())
def test_figures_written_and_read_again_are_the_same(times: BlockTimes) -> None:
    raw = ondisk.render_blocks(times)
    assert ondisk.parse_blocks(raw, "b") == times
    assert max(map(len, raw.split(b"\n"))) < 144 * 7 + 40


@given(block_times())
def test_effective_time_never_falls_is_the_maximum_so_far_and_its_intervals_add_up(times: BlockTimes) -> None:
    blocks = chain_of(times).blocks
    assert all(a.time_ns <= b.time_ns for a, b in pairwise(blocks))
    assert [b.height for b in blocks] == list(range(times.first_height, times.first_height + len(times.times_s)))
    for index, block in enumerate(blocks):
        assert block.time_ns == max(times.times_s[: index + 1]) * NS_PER_S
        assert block.interval_s >= 0
    assert sum(b.interval_s for b in blocks) * NS_PER_S == blocks[-1].time_ns - times.before_s * NS_PER_S


@given(block_times(), st.data())
def test_blocks_between_equals_a_plain_search(times: BlockTimes, data: st.DataObject) -> None:
    chain = chain_of(times)
    instants = st.sampled_from([b.time_ns for b in chain.blocks]).flatmap(lambda ns: st.integers(ns - 1, ns + 1))
    instants = instants.filter(lambda ns: chain.from_ns <= ns < chain.to_ns)
    start_ns, end_ns = sorted((data.draw(instants), data.draw(instants)))
    assert chain.blocks_between(start_ns, end_ns) == [b for b in chain.blocks if start_ns < b.time_ns <= end_ns]


@given(block_times(), st.data())
def test_changing_every_later_header_moves_no_block_and_no_epoch_known_before(
    times: BlockTimes, data: st.DataObject
) -> None:
    keep = data.draw(st.integers(1, len(times.times_s)))
    end_s = max(times.times_s[:keep])
    moved = [max(time_s, end_s) + data.draw(st.integers(1, 9000)) for time_s in times.times_s[keep:]]
    bits = [*times.bits[:keep], *[0x1824DBE9] * len(moved)]
    changed = times._replace(times_s=[*times.times_s[:keep], *moved], bits=bits, to_s=times.to_s + 20_000)
    before, after = chain_of(times), chain_of(changed)
    assert before.blocks[:keep] == after.blocks[:keep]
    last_known_ns = before.blocks[keep - 1].time_ns
    if all(b.time_ns > last_known_ns for b in before.blocks[keep:]):
        assert before.epochs_known_at(last_known_ns) == after.epochs_known_at(last_known_ns)


@given(block_times(), st.data())
def test_fees_of_a_day_are_shared_out_to_the_last_satoshi(times: BlockTimes, data: st.DataObject) -> None:
    counts = Counter(time_s // S_PER_DAY for time_s in times.times_s)
    days = range(min(counts), data.draw(st.integers(min(counts), max(counts))) + 1)
    amounts = {day: data.draw(st.integers(0, 10**11)) if counts[day] else 0 for day in days}
    chain = chain_of(times, tuple(FeeDay(day, counts[day], amounts[day]) for day in days))
    for day in counts:
        shares = [b.fees_sat for b in chain.blocks if b.header_time_s // S_PER_DAY == day]
        assert sum(shares) == amounts.get(day, 0)
        assert len(set(shares[:-1])) <= 1
        assert 0 <= shares[-1] - min(shares) < len(shares)
    start_ns, end_ns = chain.blocks[0].time_ns - 1, chain.blocks[-1].time_ns
    if len(days) > max(counts) - min(counts):
        chain.require_fees(start_ns, end_ns)
    else:
        with pytest.raises(ChainError, match="are unknown"):
            chain.require_fees(start_ns, end_ns)


@settings(max_examples=60)
@given(st.data())
def test_any_one_bit_flipped_in_any_bundled_file_is_found_on_loading(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*ondisk.FILES, ondisk.SUMS]))
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(shutil.copytree(BUNDLED, Path(folder) / "figures"))
        raw = bytearray((figures / name).read_bytes())
        bit = data.draw(st.integers(0, len(raw) * 8 - 1))
        raw[bit // 8] ^= 1 << bit % 8
        (figures / name).write_bytes(raw)
        with pytest.raises(ChainError):
            load(figures)


rows = st.text("0123456789abcdef- \n\r_+.,x=٣\ufeff", max_size=80)


@given(rows)
def test_garbage_is_a_chain_error_and_never_another_exception(text: str) -> None:
    head = b"fairhash-blocks-1 from_s=0 to_s=9 before_s=0\n"
    for parse, first in (
        (ondisk.parse_blocks, head),
        (ondisk.parse_epochs, ondisk.EPOCHS_HEAD.encode() + b"\n"),
        (ondisk.parse_fees, ondisk.FEES_HEAD.encode() + b"\n"),
    ):
        for raw in (text.encode(), first + text.encode(), first + text.encode() + b"\n"):
            try:
                parse(raw, "g")
            except ChainError as error:
                assert error.problems[0].where.startswith("g:")
