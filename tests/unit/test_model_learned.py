"""What a value has learned comes back to the last bit, whichever model it asks, wherever in an epoch it is kept."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from bot.chain.chain import Chain, load
from bot.chain.difficulty import target_from_bits
from bot.chain.network import REGTEST
from bot.contract_file import load_contract
from bot.core.contract import FPPS, PPS, PRO_RATA, Contract
from bot.core.events import Block
from bot.core.units import NS_PER_DAY, NS_PER_S
from bot.errors import FairhashError
from bot.model.fair_value import FairValue
from bot.model.fees import days_before
from bot.model.growth import growth_model
from bot.model.learned import learned, relearn

CONTRACT = Path(__file__).parents[2] / "contracts" / "TH1BTC-2014Q4.yaml"


@cache
def chain() -> Chain:
    return load()


def contract(basis: str) -> Contract:
    terms = load_contract(str(CONTRACT))
    return replace(terms, payout=replace(terms.payout, basis=basis, pool_hs=3_500 * 10**12))


def fresh(basis: str, model: str, from_genesis: bool) -> FairValue:
    start_ns = contract(basis).start_ns
    epochs = [(epoch.start_s, epoch.bits) for epoch in chain().epochs_known_at(start_ns)]
    fees = days_before((b for b in chain().blocks if b.time_ns >= chain().fees_from_ns), start_ns)
    return FairValue(contract(basis), epochs if from_genesis else epochs[-120:], growth_model(model), past_fees=fees)


@pytest.mark.parametrize("from_genesis", [True, False])
@pytest.mark.parametrize(
    ("basis", "model"),
    [(PPS, "anchored"), (FPPS, "anchored"), (PRO_RATA, "damped"), (FPPS, "ar1"), (PPS, "trailing(6)"), (FPPS, "flat")],
)
def test_a_value_that_is_kept_goes_on_to_the_last_bit(basis: str, model: str, from_genesis: bool) -> None:
    draw = random.Random(f"{basis} {model} {from_genesis}")
    blocks = chain().blocks_between(contract(basis).start_ns, contract(basis).start_ns + 25 * NS_PER_DAY)
    value = fresh(basis, model, from_genesis)
    cuts = sorted({0, 1, *draw.sample(range(len(blocks)), 3)})
    others: list[FairValue] = []
    for at, block in enumerate(blocks):
        if at in cuts:
            other = fresh(basis, model, from_genesis)
            relearn(other, json.loads(json.dumps(learned(value))))
            assert learned(other) == learned(value)
            others.append(other)
        for one in (value, *others):
            one.on_block(block)
        if at in cuts or at % 300 == 0:
            time_ns = block.time_ns + draw.randrange(3_600) * NS_PER_S
            same = {
                (one.value_sat(time_ns), one.value_at_rate_sat(time_ns, 0.01), one.growth_per_retarget, one.difficulty)
                for one in (value, *others)
            }
            assert len(same) == 1
            if model in ("anchored", "damped"):
                assert len({one.value_quantile_sat(time_ns, 0.9) for one in (value, *others)}) == 1
    assert len(others) >= 3 and all(learned(other) == learned(value) for other in others)


def test_a_value_on_an_easier_network_is_kept_too() -> None:
    epoch = REGTEST.first_epoch
    epochs = [(epoch.start_s, epoch.bits)]
    value, other = (FairValue(contract(PPS), epochs, growth_model("flat"), network=REGTEST) for _ in range(2))
    target = target_from_bits(epoch.bits, max_target=REGTEST.max_target)
    start_ns = contract(PPS).start_ns
    value.on_block(Block(start_ns, 1, start_ns // NS_PER_S, 600, epoch.bits, target, 50 * 10**8, 0))
    relearn(other, json.loads(json.dumps(learned(value))))
    assert learned(other) == learned(value)
    assert other.value_sat(start_ns + NS_PER_DAY) == value.value_sat(start_ns + NS_PER_DAY)


def test_what_no_value_has_learned_is_refused() -> None:
    right = learned(fresh(PPS, "anchored", True))
    for name in right:
        for wrong in ("x", [1, 2, "3"], {}, 10**400):
            with pytest.raises((ValueError, KeyError, TypeError, OverflowError, FairhashError)):
                relearn(fresh(FPPS, "anchored", True), {**right, name: wrong})
