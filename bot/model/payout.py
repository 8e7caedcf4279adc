"""What hash power earns: difficulty, hashes per block, and the payout rate of one contract.

    s(t) = h (R + F)(1 - phi) / (D(t) K)

h hashes per second, R subsidy and F fees of a block, phi the pool's fee, D difficulty, K hashes per block and
unit of difficulty. It does not depend on the network's hash rate inside an epoch. Source: Bitcoin Core
`pow.cpp`, `arith_uint256.cpp` GetBlockProof; pools and the Luxor index use K = 2^32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bot.chain.difficulty import difficulty_float, target_from_bits
from bot.core.units import PPM
from bot.model.domain import checked, refused

POW2_32_HASHES: Final = float(2**32)
"""The pools' K: hashes per block and unit of difficulty, 1.526e-5 below the exact one."""
EXACT_HASHES: Final = 2**48 / 65_535
"""The exact K, nearest float to 4295032833.000015."""


def difficulty(bits: int) -> float:
    """Return the difficulty that compact `bits` encode: (0xffff << 208) / target, the nearest float.

    Raises ChainError for bits that encode no target.

    >>> difficulty(0x182E1C58)
    23844670038.8033
    """
    return difficulty_float(target_from_bits(bits))


def hashes_per_difficulty(exact: bool) -> float:
    """Return K, the expected hashes of a block at difficulty 1: 2^48/65535 if `exact`, else 2^32.

    >>> hashes_per_difficulty(True), hashes_per_difficulty(False)
    (4295032833.000015, 4294967296.0)
    """
    return EXACT_HASHES if exact else POW2_32_HASHES


def payout_rate_btc_s(
    hash_rate_hs: float, difficulty: float, reward_btc: float, fee: float, exact_hashes: bool = False
) -> float:
    """Return BTC per second of `hash_rate_hs` hashes per second, net of the pool's `fee` (a fraction, 0..1).

    reward_btc is subsidy plus, where they are paid out, transaction fees. Relative error below 1e-15.
    Raises ModelError for a difficulty that is not above 0 and for a fee outside 0..1.

    >>> payout_rate_btc_s(1e12, difficulty(0x182E1C58), 25.0, 0.03) * 86400   # 1 TH/s in August 2014
    0.020458524432912236
    """
    if not difficulty > 0.0:
        raise refused("difficulty", f"{difficulty!r} is not above 0", "a block at difficulty 0 does not exist")
    checked("fee", fee, 0.0, 1.0, "give a fraction: 0.03 for 3 %")
    return hash_rate_hs * reward_btc * (1.0 - fee) / (difficulty * hashes_per_difficulty(exact_hashes))


def share_of_reward_per_s(hash_rate_hs: int, target: int, fee_ppm: int, exact_hashes: bool) -> float:
    """Return the net share of a block's reward that one contract earns per second; times satoshi it is sat/s.

    h (1 - phi) / (D K) as one quotient of integers, rounded once to the nearest float, hence the same on
    every machine: D K = 2^256 / target exactly, or 65535 x 2^240 / target with 2^32 hashes.
    Raises ModelError for a target below 1 or a fee outside 0..1,000,000 ppm.

    >>> round(share_of_reward_per_s(10**12, target_from_bits(0x182E1C58), 30_000, False) * 25 * 86400, 15)
    0.020458524432912
    """
    if target < 1:
        raise refused("target", f"{target} is below 1", "no hash can meet it")
    checked("fee_ppm", fee_ppm, 0, PPM, "give parts per million: 30000 for 3 %")
    hashes = 1 << 256 if exact_hashes else 65_535 << 240
    return (hash_rate_hs * (PPM - fee_ppm) * target) / (PPM * hashes)


def payout_rate_sat_s(
    hash_rate_hs: int, bits: int, reward_sat: float, fee_ppm: int, exact_hashes: bool = False
) -> float:
    """Return satoshi per second of one contract of `hash_rate_hs` at the difficulty of `bits`, net of the fee.

    >>> round(payout_rate_sat_s(10**12, 0x182E1C58, 25 * 10**8, 30_000) * 86400, 6)   # of 1 TH/s, August 2014
    2045852.443291
    """
    return share_of_reward_per_s(hash_rate_hs, target_from_bits(bits), fee_ppm, exact_hashes) * reward_sat


def realised_sat(
    epochs: Sequence[tuple[int, int]],
    from_s: int,
    to_s: int,
    hash_rate_hs: int,
    reward_sat: float,
    fee_ppm: int,
    exact_hashes: bool = False,
) -> float:
    """Return the satoshi that one contract earned in [from_s, to_s] over known `epochs` of (start_s, bits).

    The integral of the payout rate, each epoch ending where the next begins and the last one unbounded.
    Hindsight: for reports and tests only. Raises ModelError when the first epoch starts after from_s.
    """
    if not epochs or epochs[0][0] > from_s:
        raise refused("epochs", f"no epoch is known at {from_s} s", "give the epoch in force at the start too")
    total = 0.0
    ends = [start for start, _ in epochs[1:]] + [max(to_s, epochs[-1][0])]
    for (start, bits), end in zip(epochs, ends, strict=True):
        seconds = min(end, to_s) - max(start, from_s)
        if seconds > 0:
            total += payout_rate_sat_s(hash_rate_hs, bits, reward_sat, fee_ppm, exact_hashes) * seconds
    return total
