"""The bundled figures: what they hold, how they load, what the contract of 2014 earns from them."""

import time
from fractions import Fraction
from pathlib import Path

import pytest

from bot.chain.chain import BUNDLED, Chain, load
from bot.chain.difficulty import MAX_TARGET
from bot.chain.verify import verify
from bot.core.events import Block
from bot.core.units import NS_PER_S, S_PER_DAY
from bot.errors import ChainError

START_S, END_S = 1_410_739_200, 1_418_601_600  # 2014-09-15 and 2014-12-15, 00:00 UTC
FROM_S, TO_S = 1_406_851_200, 1_420_070_400  # 2014-08-01 and 2015-01-01


@pytest.fixture(scope="module")
def chain() -> Chain:
    return load()


def test_the_figures_hold_every_block_of_the_five_months(chain: Chain) -> None:
    assert [block.height for block in chain.blocks] == list(range(313_404, 336_861))
    assert (chain.from_ns, chain.to_ns) == (FROM_S * NS_PER_S, TO_S * NS_PER_S)
    assert chain.blocks[0] == Block(
        time_ns=1_406_852_120 * NS_PER_S,
        height=313_404,
        header_time_s=1_406_852_120,
        interval_s=1_406_852_120 - 1_406_851_080,  # the block before, 313,403, is not in the range
        bits=0x183AAEA2,
        target=0x3AAEA2 << 168,
        subsidy_sat=2_500_000_000,
        fees_sat=6_671_588,
    )
    assert isinstance(chain.blocks[0], Block)


def test_effective_time_is_the_running_maximum_though_6_percent_of_headers_step_back(chain: Chain) -> None:
    blocks = chain.blocks
    maximum_s, backwards = 0, 0
    for before, block in zip([None, *blocks], blocks, strict=False):
        maximum_s = max(maximum_s, block.header_time_s)
        assert block.time_ns == maximum_s * NS_PER_S
        if before is not None:
            assert block.interval_s * NS_PER_S == block.time_ns - before.time_ns
            backwards += block.header_time_s < before.header_time_s
    assert 0.05 < backwards / len(blocks) < 0.07


def test_fees_of_each_day_sum_to_the_days_total(chain: Chain) -> None:
    totals: dict[int, int] = {}
    for block in chain.blocks:
        day = block.header_time_s // S_PER_DAY
        totals[day] = totals.get(day, 0) + block.fees_sat
    assert len(totals) == 153
    assert totals[FROM_S // S_PER_DAY] == 1_047_439_382  # 10.47439382 BTC on 2014-08-01
    of_first_day = [block.fees_sat for block in chain.blocks if block.header_time_s < FROM_S + S_PER_DAY]
    assert len(of_first_day) == 157
    assert of_first_day == [1_047_439_382 // 157] * 156 + [1_047_439_382 // 157 + 1_047_439_382 % 157]


def test_blocks_between_takes_the_end_and_not_the_start(chain: Chain) -> None:
    first, second = chain.blocks[100], chain.blocks[101]
    assert first.time_ns < second.time_ns
    assert chain.blocks_between(first.time_ns, second.time_ns) == [second]
    assert chain.blocks_between(first.time_ns - 1, second.time_ns - 1) == [first]
    assert chain.blocks_between(first.time_ns, first.time_ns) == []
    assert chain.blocks_between(chain.from_ns - 1, chain.to_ns - 1) == chain.blocks


def test_blocks_of_one_effective_time_come_together_and_by_height(chain: Chain) -> None:
    twin = next(i for i, block in enumerate(chain.blocks) if i and block.interval_s == 0)
    at_ns = chain.blocks[twin].time_ns
    found = chain.blocks_between(at_ns - 1, at_ns)
    assert [block.height for block in found] == list(range(found[0].height, found[0].height + len(found)))
    assert len(found) >= 2


@pytest.mark.parametrize(("start_s", "end_s"), [(FROM_S - 1, END_S), (START_S, TO_S), (END_S, START_S)])
def test_a_range_that_the_figures_do_not_cover_is_an_error_not_fewer_blocks(
    chain: Chain, start_s: int, end_s: int
) -> None:
    with pytest.raises(ChainError, match=r"known from 2014-08-01T00:00:00Z until before 2015-01-01T00:00:00Z"):
        chain.blocks_between(start_s * NS_PER_S, end_s * NS_PER_S)


def test_an_epoch_is_known_from_its_first_block_on_and_not_before(chain: Chain) -> None:
    first = next(block for block in chain.blocks if block.height == 330_624)
    assert [epoch.number for epoch in chain.epochs_known_at(first.time_ns)][-1] == 164
    assert [epoch.number for epoch in chain.epochs_known_at(first.time_ns - 1)][-1] == 163
    assert chain.epochs_known_at(0) == ()
    assert len(chain.epochs_known_at(2_000_000_000 * NS_PER_S)) == 474
    assert chain.epochs[164].bits == first.bits
    assert chain.epochs[164].target == first.target


def test_fees_are_known_in_the_range_of_the_blocks(chain: Chain) -> None:
    chain.require_fees(START_S * NS_PER_S, END_S * NS_PER_S)
    assert (chain.fees_from_ns, chain.fees_to_ns) == (chain.from_ns, chain.to_ns)


def test_sources_carry_the_digests_that_sha256sum_prints(chain: Chain) -> None:
    lines = (BUNDLED / "SHA256SUMS").read_text("ascii").splitlines()
    assert [f"{source.sha256}  {source.name}" for source in chain.sources] == lines
    assert len(lines) == 4


def test_the_figures_stay_small_and_load_fast() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) < 200_000
    spent_s = []
    for _ in range(5):
        start_s = time.process_time()
        load()
        spent_s.append(time.process_time() - start_s)
    assert min(spent_s) < 0.06


def test_verify_recomputes_each_retarget_of_the_range_and_counts_what_it_could_not() -> None:
    report = verify()
    assert (report.blocks, report.first_height, report.last_height) == (23_457, 313_404, 336_860)
    assert (report.epochs, report.epochs_matching_blocks, report.fee_days) == (474, 12, 153)
    assert report.retargets_exact == 12  # epochs 156 to 167
    assert report.retargets_consistent == 408
    assert report.retargets_at_limit == 16  # 15 at difficulty 1, and one at the x4 clamp of February 2010
    assert report.retargets_form_only == 37  # from 2025-01-27 on start times are derived
    assert report.retargets == 473 == 12 + 408 + 16 + 37
    assert "12 recomputed exactly" in report.to_text()
    assert "not verified here: proof of work" in report.to_text()
    assert report.as_dict()["retargets_exact"] == 12
    assert report.as_dict()["directory"] == str(Path(BUNDLED))


def rate_btc_s(target: int) -> Fraction:
    """Return what 1 TH/s earns: 25 BTC less 3 %, at 2^32 hashes per unit of difficulty."""
    return Fraction(10**12 * 25 * 97 * target, 100 * MAX_TARGET * 2**32)


def test_one_contract_of_1_ths_over_the_term_earns_the_known_sum(chain: Chain) -> None:
    """13,618 blocks pay 1.2225 BTC at 97 % PPS; what parts that from the integral 1.22254053 is known exactly.

    The integral runs from start to end and changes difficulty at the header time of an epoch's first block.
    Blocks pay whole intervals instead, each at its own difficulty: (a) the first interval began before the start,
    (b) the last one is open at expiry and pays nothing, (c) the untimed gap before an epoch's first block is
    paid at that block's difficulty, not at the one before; it is negative where that header runs backwards.
    """
    blocks = chain.blocks_between(START_S * NS_PER_S, END_S * NS_PER_S)
    assert len(blocks) == 13_618
    earned = sum((rate_btc_s(b.target) * b.interval_s for b in blocks), Fraction())
    assert abs(earned - Fraction("1.22254053")) < Fraction("0.00014")

    integral, gaps = Fraction(), Fraction()
    at_s, rate = START_S, rate_btc_s(blocks[0].target)
    for block in blocks:
        if rate_btc_s(block.target) != rate:
            before_s = block.time_ns // NS_PER_S - block.interval_s
            integral += rate * (block.header_time_s - at_s)
            gaps += (rate_btc_s(block.target) - rate) * (block.header_time_s - before_s)
            at_s, rate = block.header_time_s, rate_btc_s(block.target)
    integral += rate * (END_S - at_s)
    head = rate_btc_s(blocks[0].target) * (START_S - (blocks[0].time_ns // NS_PER_S - blocks[0].interval_s))
    tail = rate * (END_S - blocks[-1].time_ns // NS_PER_S)
    assert round(integral, 8) == Fraction("1.22254053")
    assert earned == integral + head - tail + gaps

    floored_sat = sum(int(rate_btc_s(b.target) * b.interval_s * 10**8) for b in blocks)
    assert 0 < earned * 10**8 - floored_sat < len(blocks)
    assert abs(Fraction(floored_sat, 10**8) - Fraction("1.22254053")) < Fraction("0.00014")
