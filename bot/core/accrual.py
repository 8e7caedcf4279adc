"""What accrues with time and blocks: block income, dividends by index, interest per second. Plain integer functions.

Dividends accrue by index: a block raises one number, the cumulative dividend per lot in units of
2^-20 satoshi, so that it costs the same for ten holders and for a million. A holder is owed
holding x rise of the index since he was last settled; the fraction below a satoshi is kept for him.
"""

from __future__ import annotations

import hashlib
from typing import Final

from bot.core.contract import FPPS, PRO_RATA, Contract
from bot.core.events import Block
from bot.core.units import PPB, S_PER_DAY, floor_div, share_ppm, wide

INDEX_BITS: Final = 20
INTEREST_DENOMINATOR: Final = PPB * S_PER_DAY
DIFFICULTY_1_TARGET: Final = 0xFFFF << 208


def accrual_seconds(contract: Contract, block: Block) -> int:
    """Return the whole seconds that `block` pays for: its interval, if its time lies in (start, end] of the contract.

    The block's time fixes entitlement, so the first block pays the whole interval that the contract's start cuts, and
    the interval that expiry cuts is not paid: one block's worth at each end.
    """
    return block.interval_s if contract.start_ns < block.time_ns <= contract.end_ns else 0


def is_found(seed: int, height: int, numerator: int, denominator: int) -> bool:
    """Return whether a pool with share numerator/denominator found block `height`: a seeded, labelled draw.

    The draw is the first 64 bits of SHA-256(seed:height), the same on every machine and in every order of asking.
    """
    draw = int.from_bytes(hashlib.sha256(f"{seed}:{height}".encode()).digest()[:8], "big")
    return draw * denominator < numerator << 64


def block_income_sat(contract: Contract, block: Block) -> int:
    """Return what the whole tranche earns with `block`, in satoshi, before the pool fee, rounded down.

    PPS: hashes x reward / (difficulty x hashes per difficulty), hashes = tranche hash rate x seconds since the block
    before. With difficulty = DIFFICULTY_1_TARGET / target this is exact rational arithmetic. FPPS adds fees to the
    subsidy. Pro rata: reward x tranche / pool for each block that the pool found. It expects hashes / hashes per
    block of them in the interval: the whole part is found for certain, one more with the rest as its probability, so
    that luck does not move the mean. Source: FACTS (97 % PPS, 2^32 hashes a difficulty).
    """
    seconds = accrual_seconds(contract, block)
    if seconds == 0:
        return 0
    payout = contract.payout
    reward_sat = block.subsidy_sat + (0 if payout.basis not in (FPPS, PRO_RATA) else block.fees_sat)
    # 2^48/65535 hashes a difficulty cancel the 65535 of DIFFICULTY_1_TARGET.
    hashes_per_block_x_target = 1 << 256 if payout.exact_hashes else DIFFICULTY_1_TARGET << 32
    tranche_hs = contract.hash_rate_hs * contract.tranche_lots
    if payout.basis == PRO_RATA:
        pool_hs = payout.pool_hs
        whole, rest = divmod(pool_hs * seconds * block.target, hashes_per_block_x_target)
        found = whole + is_found(payout.luck_seed, block.height, rest, hashes_per_block_x_target)
        return floor_div(found * reward_sat * tranche_hs, pool_hs * contract.lots_per_contract)
    return floor_div(
        tranche_hs * seconds * reward_sat * block.target,
        contract.lots_per_contract * hashes_per_block_x_target,
    )


def pool_fee_sat(income_sat: int, fee_ppm: int) -> int:
    """Return the pool's fee on `income_sat`, rounded down (FAULTS invariant 5)."""
    return share_ppm(income_sat, fee_ppm)


def index_rise(net_sat: int, carry: int, issued_lots: int) -> tuple[int, int]:
    """Return (rise of the index, carry) for `net_sat` shared by `issued_lots`.

    Index in 2^-20 satoshi per lot; the carry, in 2^-20 satoshi, is below `issued_lots` and goes to the next block.

    >>> index_rise(1, 0, 3)
    (349525, 1)
    """
    return divmod((net_sat << INDEX_BITS) + carry, issued_lots)


def dividend_sat(lots: int, rise: int, carry: int) -> tuple[int, int]:
    """Return (satoshi due, carry) to a holder of signed `lots` over `rise` of the index.

    Rounded down, so that a short pays the fraction first; the carry, in 2^-20 satoshi, is in [0, 2^20).

    >>> dividend_sat(3, 349525, 0), dividend_sat(-3, 349525, 0)
    ((0, 1048575), (-1, 1))
    """
    owed = lots * rise + carry
    return owed >> INDEX_BITS, owed & ((1 << INDEX_BITS) - 1)


def interest_sat(value_sat: int, rate_ppb_day: int, seconds: int, carry: int) -> tuple[int, int]:
    """Return (interest in satoshi, carry) on `value_sat` over whole `seconds` at a simple daily rate.

    Interest = value x rate x seconds / 86,400 (the venue's rule), rounded down; the carry, in units of
    1/(10^9 x 86,400) satoshi, goes to the loan's next payment.

    >>> interest_sat(100_000_000, 10_000_000, 86_400, 0)
    (1000000, 0)
    """
    return divmod(wide(value_sat * rate_ppb_day) * seconds + carry, INTEREST_DENOMINATOR)


def venue_cut_sat(interest: int, cut_ppm: int) -> int:
    """Return the venue's share of `interest` satoshi, rounded down, in the lender's favour."""
    return share_ppm(interest, cut_ppm)
