"""Whoever gives a session, a trader, a view or a model another field must say here whether a checkpoint keeps it.

Fields of the exchange's State need no word: they are kept by their declared types.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.chain.chain import load
from bot.contract_file import load_contract
from bot.core.exchange import Exchange
from bot.core.ledger import Account, Ledger
from bot.model.fair_value import FairValue
from bot.model.fees import FeeDays
from bot.model.growth import growth_model
from bot.model.knowledge import ChainKnowledge
from bot.paper.checkpoint.exchange import _ACCOUNT, _CACHED, _NAMES
from bot.session import Session
from bot.trader import Trader
from strategies.view import View

ROOT = Path(__file__).parents[2]
KEPT = "kept"
FIXED = "made anew from the journal's head, or from another field"
PARTS = "an object whose fields are kept"
FORGOTTEN = "not brought back by a replay either: a cache, or the last answer"
ONLY_RESULTS = "not kept by a daemon"

FIELDS = {
    Session: {
        PARTS: "exchange state trader value view _account",
        KEPT: "_peak_sat last_market_ns",
        FIXED: "settings strategy user _floor_ppm",
        FORGOTTEN: "_last _sound _checked_moves",
        ONLY_RESULTS: "marks observations",
    },
    Trader: {
        PARTS: "account state",
        KEPT: "mode reason last_cid placed_ns",
        FIXED: "halted is_stopped limits submit",
        FORGOTTEN: "_idle_at _idle_target _last_code",
    },
    View: {
        PARTS: "_exchange _state _value",
        KEPT: "_ask_sat _ask_size_lots _bid_sat _bid_size_lots _blocks time_ns equity_sat",
        FIXED: "contract user start_ns most_lots",
        FORGOTTEN: "_blocks_seen",
    },
    Exchange: {PARTS: "state", KEPT: "_steps"},
    Ledger: {KEPT: "balances count transaction", FIXED: "keep_moves", ONLY_RESULTS: "moves"},
    ChainKnowledge: {
        KEPT: "bits _height known_ns _log_ratios _fees epoch_start_ns sharpened_ns sharpened_gaps",
        FIXED: "_growth_model _until_ns _fees_sum_sat target difficulty growth steps path _at_retarget _max_target",
    },
    FeeDays: {KEPT: "_days _day _sum_sat _count", FIXED: "forecast"},
    FairValue: {
        PARTS: "_chain _fee_days",
        KEPT: "_fees_sat _fees_then_sat",
        FIXED: "_contract _start_ns _end_ns _on_entry _share_per_s",
        FORGOTTEN: "_at_rate _law _asked_clock _from_ns _until_ns _parts _edges _value_sat _slope_sat_ns _moves",
    },
}


def fields(kind: type) -> set[str]:
    if "__slots__" in vars(kind):
        return set(vars(kind)["__slots__"])
    contract = load_contract(str(ROOT / "contracts" / "TH1BTC-2014Q4.yaml"))
    epochs = [(epoch.start_s, epoch.bits) for epoch in load().epochs_known_at(contract.start_ns)]
    value = FairValue(contract, epochs, growth_model("anchored"))
    value.value_at_rate_sat(contract.start_ns, 0.01)
    made = {FairValue: value, ChainKnowledge: value.knowledge, FeeDays: FeeDays()}[kind]
    return set(vars(made))


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: str(kind.__name__))
def test_every_field_is_kept_or_there_is_a_reason(kind: type) -> None:
    named = [name for names in FIELDS[kind].values() for name in names.split()]
    assert len(named) == len(set(named))
    assert set(named) == fields(kind)


def test_every_field_of_an_account_is_kept_named_or_cached() -> None:
    assert {*_ACCOUNT, *_NAMES, *_CACHED} == set(Account.__slots__)
    assert {"reserved", "offered", "loan_ids", "spot_carry", "margin_carry", "liquidating"} < set(_ACCOUNT)
