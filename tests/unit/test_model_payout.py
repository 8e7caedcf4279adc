"""Payout rate of hash power: reference rows A0-A3 and B13, and the refusals."""

from __future__ import annotations

import pytest

from bot.chain.difficulty import target_from_bits
from bot.errors import ChainError
from bot.model.domain import ModelError
from bot.model.payout import (
    difficulty,
    hashes_per_difficulty,
    payout_rate_btc_s,
    payout_rate_sat_s,
    realised_sat,
    share_of_reward_per_s,
)

TH = 10**12
AUGUST_2014 = 0x182E1C58
# (start_s, bits) of epochs 159..165, and the term 2014-09-15..2014-12-15 UTC
TERM_EPOCHS = [
    (1410638896, 0x1824DBE9),
    (1411680080, 0x181FB893),
    (1412877866, 0x181F6973),
    (1414055393, 0x181E8DC0),
    (1415154631, 0x181BC330),
    (1416345124, 0x181B4861),
    (1417563705, 0x181B7B74),
]
TERM_S = (1410739200, 1418601600)


def test_a0_difficulty_of_the_launch_bits() -> None:
    assert difficulty(AUGUST_2014) == 23844670038.8033
    assert difficulty(0x1D00FFFF) == 1.0


def test_a1_hashes_per_block_at_difficulty_one() -> None:
    assert hashes_per_difficulty(True) == 4295032833.000015
    assert hashes_per_difficulty(False) == 2**32


@pytest.mark.parametrize(("exact", "btc_per_day"), [(False, 0.020458524432912236), (True, 0.020458212260603383)])
def test_a2_a3_net_payout_of_one_terahash(exact: bool, btc_per_day: float) -> None:
    in_btc = payout_rate_btc_s(1e12, difficulty(AUGUST_2014), 25.0, 0.03, exact) * 86_400
    in_sat = payout_rate_sat_s(TH, AUGUST_2014, 25 * 10**8, 30_000, exact) * 86_400
    assert in_btc == pytest.approx(btc_per_day, rel=1e-14)
    assert in_sat == pytest.approx(btc_per_day * 1e8, rel=1e-14)


def test_b13_what_the_2014_contract_really_paid() -> None:
    paid = realised_sat(TERM_EPOCHS, *TERM_S, TH, 25 * 10**8, 30_000)
    assert paid / 1e8 == pytest.approx(1.2225405307615265, rel=1e-12)


def test_realised_payout_adds_up_over_any_split_of_the_time() -> None:
    start, end = TERM_S
    whole = realised_sat(TERM_EPOCHS, start, end, TH, 25e8, 0)
    for cut in (start, 1411680080, 1411680081, 1417563705, end):
        parts = realised_sat(TERM_EPOCHS, start, cut, TH, 25e8, 0) + realised_sat(TERM_EPOCHS, cut, end, TH, 25e8, 0)
        assert parts == pytest.approx(whole, rel=1e-14)


def test_payout_is_the_share_of_the_network_that_the_hash_power_is() -> None:
    """At difficulty D a network of H = D K / 600 hashes per second finds a block every 600 s, h/H of it ours."""
    network_hs = difficulty(AUGUST_2014) * 2**32 / 600
    share = share_of_reward_per_s(TH, target_from_bits(AUGUST_2014), 0, False)
    assert share * 600 == pytest.approx(TH / network_hs, rel=1e-14)


def test_fee_of_everything_leaves_nothing() -> None:
    assert payout_rate_sat_s(TH, AUGUST_2014, 25e8, 1_000_000) == 0.0


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_impossible_difficulty_is_refused(value: float) -> None:
    with pytest.raises(ModelError, match="difficulty"):
        payout_rate_btc_s(1e12, value, 25.0, 0.03)


@pytest.mark.parametrize("fee", [-0.01, 1.01, float("nan")])
def test_impossible_fee_is_refused_with_its_bounds(fee: float) -> None:
    with pytest.raises(ModelError, match=r"fee: .* is outside 0\.0\.\.1\.0 \(give a fraction"):
        payout_rate_btc_s(1e12, 1.0, 25.0, fee)


def test_bits_without_a_target_and_epochs_without_a_start_are_refused() -> None:
    with pytest.raises(ChainError, match="0x18000000"):
        difficulty(0x18000000)
    with pytest.raises(ModelError, match="no epoch is known"):
        realised_sat(TERM_EPOCHS, TERM_EPOCHS[0][0] - 1, TERM_S[1], TH, 25e8, 0)
    with pytest.raises(ModelError, match="target: 0"):
        share_of_reward_per_s(TH, 0, 0, False)
