"""Proof-of-work targets, difficulty, the retarget rule and the block subsidy, exactly as Bitcoin Core computes them.

Sources (Bitcoin Core): `src/arith_uint256.cpp` SetCompact and GetCompact (compact form), `src/pow.cpp`
DeriveTarget and CalculateNextWorkRequired (limits, retarget), `src/kernel/chainparams.cpp` CMainParams
(powLimit, nPowTargetTimespan, nPowTargetSpacing), `src/validation.cpp` GetBlockSubsidy.
"""

from __future__ import annotations

from typing import Final

from bot.core.units import SAT_PER_BTC
from bot.errors import ChainError, Problem

MAX_TARGET: Final = 0xFFFF << 208
"""The easiest target, difficulty 1: powLimit in the compact form 0x1d00ffff that every comparison ends in."""
MAX_TARGET_BITS: Final = 0x1D00FFFF
BLOCKS_PER_EPOCH: Final = 2016
"""DifficultyAdjustmentInterval(): nPowTargetTimespan / nPowTargetSpacing."""
TIMED_INTERVALS: Final = BLOCKS_PER_EPOCH - 1
"""First to last block of an epoch is 2,015 intervals; the gap to the next epoch is never timed (pow.cpp)."""
EPOCH_TIMESPAN_S: Final = 14 * 24 * 60 * 60
"""nPowTargetTimespan."""
CLAMP: Final = 4
"""CalculateNextWorkRequired lets the timespan count at least a quarter and at most four times."""
MIN_TIMESPAN_S: Final = EPOCH_TIMESPAN_S // CLAMP  # exact: 302,400
MAX_TIMESPAN_S: Final = EPOCH_TIMESPAN_S * CLAMP
INITIAL_SUBSIDY_SAT: Final = 50 * SAT_PER_BTC
HALVING_BLOCKS: Final = 210_000
"""nSubsidyHalvingInterval."""
_MANTISSA: Final = 0x007FFFFF
_SIGN: Final = 0x00800000


def target_from_bits(bits: int, where: str = "bits", max_target: int = MAX_TARGET) -> int:
    """Return the proof-of-work target (a 256-bit integer) that compact `bits` encode: mantissa x 256^(size - 3).

    A size below 3 drops low bytes (floor), as SetCompact does. Raises ChainError, naming `where`, for bits
    that DeriveTarget refuses: outside 32 bits, negative, zero, overflowing 256 bits, or above `max_target`.

    >>> hex(target_from_bits(0x1B0404CB))
    '0x404cb000000000000000000000000000000000000000000000000'
    """
    if not 0 <= bits <= 0xFFFFFFFF:
        raise _refused(where, f"bits {bits:#x} are not a 32-bit number")
    size, mantissa = bits >> 24, bits & _MANTISSA
    target = mantissa << 8 * (size - 3) if size > 3 else mantissa >> 8 * (3 - size)
    if target == 0:
        raise _refused(where, f"bits {bits:#010x} encode a target of 0: no difficulty and no hash can meet it")
    if bits & _SIGN:
        raise _refused(where, f"bits {bits:#010x} encode a negative target")
    if target.bit_length() > 256:
        raise _refused(where, f"bits {bits:#010x} encode a target beyond 256 bits")
    if target > max_target:
        raise _refused(where, f"bits {bits:#010x} are easier than the limit {bits_from_target(max_target):#010x}")
    return target


def _refused(where: str, what: str) -> ChainError:
    return ChainError([Problem(where, what, "fetch the header or table again from a full node")])


def bits_from_target(target: int) -> int:
    """Return the compact form of `target` >= 0, its low bytes dropped (floor), as GetCompact writes it.

    >>> hex(bits_from_target(MAX_TARGET))
    '0x1d00ffff'
    """
    size = (target.bit_length() + 7) // 8  # ceiling: bytes needed
    mantissa = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if mantissa & _SIGN:  # that bit means minus, so the number takes one byte more
        mantissa >>= 8
        size += 1
    return size << 24 | mantissa


def is_canonical(bits: int) -> bool:
    """Return whether `bits` are the one compact form that GetCompact writes for their target.

    Raises ChainError for bits that encode no target at all.
    """
    return bits_from_target(target_from_bits(bits, max_target=2**256 - 1)) == bits


def next_target(previous_target: int, first_time_s: int, last_time_s: int, max_target: int = MAX_TARGET) -> int:
    """Return the target of the epoch that follows, from the header times of this epoch's first and last block.

    next = compact(min(max_target, floor(previous x clamp(last - first, 302,400, 4,838,400) / 1,209,600)));
    times in seconds, `compact` drops what bits cannot hold (CalculateNextWorkRequired). Raises ChainError when
    the result is 0, which only a target below 4 can give.

    >>> next_target(MAX_TARGET, 0, EPOCH_TIMESPAN_S // 2) == MAX_TARGET // 2 >> 200 << 200
    True
    """
    timespan_s = min(max(last_time_s - first_time_s, MIN_TIMESPAN_S), MAX_TIMESPAN_S)
    wanted = min(previous_target * timespan_s // EPOCH_TIMESPAN_S, max_target)  # floor
    return target_from_bits(bits_from_target(wanted), "retarget", max_target)


def difficulty_ratio(target: int, max_target: int = MAX_TARGET) -> tuple[int, int]:
    """Return the difficulty of `target` exactly, as the pair (numerator, denominator) = (MAX_TARGET, target).

    Raises ChainError for a target outside 1..`max_target`: a difficulty of 0 does not exist, nor one below 1 where
    Bitcoin's own limit holds.
    """
    if not 0 < target <= max_target:
        raise _refused("target", f"target {target} is outside 1..{max_target:#x}")
    return MAX_TARGET, target


def difficulty_float(target: int, max_target: int = MAX_TARGET) -> float:
    """Return the difficulty of `target` as the nearest float, for models and plots; raises as `difficulty_ratio`.

    >>> round(difficulty_float(target_from_bits(0x1B0404CB)), 4)
    16307.4209
    """
    numerator, denominator = difficulty_ratio(target, max_target)
    return numerator / denominator


def subsidy_sat(height: int, halving_blocks: int = HALVING_BLOCKS) -> int:
    """Return the new coins of the block at `height`, in satoshi: 50 BTC halved every 210,000 blocks, rounded down.

    Only a chain made for tests halves at other intervals.

    Zero from the 64th halving on (in fact from the 33rd). Raises ChainError for a negative height.

    >>> subsidy_sat(209_999), subsidy_sat(210_000), subsidy_sat(420_000)
    (5000000000, 2500000000, 1250000000)
    """
    if height < 0:
        raise ChainError([Problem("height", f"height {height} is below 0", "heights count from the genesis block")])
    return INITIAL_SUBSIDY_SAT >> height // halving_blocks  # floor twice, as GetBlockSubsidy
