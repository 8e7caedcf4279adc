"""What a daemon's journal says of its run in the first entry, and the plans that are made from it again.

It is enough to replay the journal with nothing else at hand but the strategies' code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import strategies
from backtests.plan import Plan
from bot import __version__
from bot.chain.network import MAINNET, NETWORKS, Network
from bot.config import strategies_of
from bot.core import RULES_VERSION
from bot.core.events import Bar, Block, Quote, SwapRate
from bot.errors import JournalError, Problem
from bot.history.series import History
from bot.model.fair_value import FairValue
from bot.model.growth import growth_model
from bot.paper.entries import EVENTS, HEAD, Event, time_of
from bot.paper.head import contract_document, contract_of, rules_document, rules_of
from bot.paper.journal import Journal
from bot.run import params_type
from bot.session import Session, SessionSettings, Strategy
from bot.trader import RiskLimits

_FIXED = ("rules_version", "contract", "rules", "start_ns", "end_ns", "deposit_sat", "growth", "strategies", "feed")
"""What may not change while a journal is gone on with; parameters and limits may, and are journalled."""


def facts_of(plans: Sequence[Plan], config: str, feed: str, simulated: bool | None = None) -> dict[str, Any]:
    """Return the head of the journal of these plans, made of a configuration's text, on the feed of that name.

    `simulated`: whether any of its prices are; None: as the plans' history says.
    """
    first = plans[0]
    return {
        "fairhash": __version__,
        "rules_version": RULES_VERSION,
        "config": config,
        "feed": feed,
        "simulated": first.history.simulated if simulated is None else simulated,
        "start_ns": first.settings.start_ns,
        "end_ns": first.end_ns,
        "deposit_sat": first.settings.deposit_sat,
        "contract": contract_document(first.settings.contract),
        "rules": rules_document(first.settings.rules),
        "limits": asdict(first.settings.limits),
        "growth": first.growth.name,
        "network": first.network.name,
        "past_epochs": [list(epoch) for epoch in first.past_epochs],
        "past_fees": [list(day) for day in first.past_fees],
        "strategies": [[entry.name, entry.use] for entry in strategies_of(config, params_type)],
    }


def read_head(journal: Journal) -> dict[str, Any]:
    """Return the head of a journal of the daemon. Raises JournalError for one of something else."""
    first = next(journal.entries(1, 1), None)
    head = json.loads(first.text) if first is not None and first.kind == HEAD else {}
    if "strategies" not in head:
        what = "is not a journal of `fairhash paper`" if first else "is empty"
        raise JournalError([Problem(str(journal.path), what, "name the file that `fairhash paper` wrote")])
    if head["rules_version"] != RULES_VERSION:
        what = f"was written under version {head['rules_version']} of the exchange's rules, these are {RULES_VERSION}"
        raise JournalError([Problem(str(journal.path), what, "use the fairhash that wrote it, or begin a new journal")])
    return dict(head)


def refuse_other(head: Mapping[str, Any], facts: Mapping[str, Any], journal: Journal) -> None:
    """Raise JournalError, naming all that differs, if a journal was begun with something else than `facts`."""
    other = [name.removesuffix("_ns").removesuffix("_sat") for name in _FIXED if head.get(name) != facts[name]]
    if other:
        what = f"was begun with other settings: {', '.join(other)}"
        remedy = "take that configuration again, or begin a new journal with --journal"
        raise JournalError([Problem(str(journal.path), what, remedy)])


def settings_of(head: Mapping[str, Any], keep: bool = True) -> SessionSettings:
    """Return what the sessions of a journal are made with; `keep` records all that results need."""
    return SessionSettings(
        contract=contract_of(head["contract"]),
        rules=rules_of(head["rules"]),
        limits=RiskLimits(**head["limits"]),
        start_ns=head["start_ns"],
        deposit_sat=head["deposit_sat"],
        keep_moves=keep,
        keep_marks=keep,
    )


def loaded_strategies(config: str) -> list[Strategy]:
    """Return the strategies of a configuration's text, ready to be asked."""
    made = []
    for entry in strategies_of(config, params_type):
        loaded = strategies.load(entry.use)
        made.append(Strategy(entry.name, loaded.decide, entry.params, loaded.band))
    return made


def parameters_of(config: str) -> dict[str, Any]:
    """Return the parameters by strategy of a configuration's text."""
    return {entry.name: entry.params for entry in strategies_of(config, params_type)}


def reloaded(text: str) -> tuple[dict[str, Any], RiskLimits]:
    """Return the parameters by strategy and the limits that the text of a `params` control says."""
    document = json.loads(text)
    return parameters_of(document["config"]), RiskLimits(**document["limits"])


def sessions_of(head: Mapping[str, Any], keep: bool = True) -> list[Session]:
    """Return a fresh session for each strategy of a journal, as it was begun."""
    settings, growth = settings_of(head, keep), growth_model(head["growth"])
    epochs, fees, network = _epochs(head), _fees(head), _network(head)
    return [
        Session(settings, strategy, FairValue(settings.contract, epochs, growth, past_fees=fees, network=network))
        for strategy in loaded_strategies(head["config"])
    ]


def plans_of(head: Mapping[str, Any], events: Sequence[Event]) -> list[Plan]:
    """Return a plan for each strategy of a journal whose history is what the journal holds, up to its last event."""
    kinds: dict[type, list[Any]] = {kind: [] for kind in EVENTS}
    for event in events:
        kinds[type(event)].append(event)
    history = History(kinds[Bar], kinds[Quote], kinds[SwapRate], head["simulated"], ())
    settings, growth, end_ns = settings_of(head), growth_model(head["growth"]), time_of(events[-1])
    return [
        Plan(settings, strategy, growth, _epochs(head), kinds[Block], history, end_ns, _fees(head), _network(head))
        for strategy in loaded_strategies(head["config"])
    ]


def _fees(head: Mapping[str, Any]) -> list[tuple[int, float]]:
    return [(day, mean_sat) for day, mean_sat in head["past_fees"]]


def _network(head: Mapping[str, Any]) -> Network:
    return NETWORKS[head.get("network", MAINNET.name)]  # heads written before there was a choice do not say


def _epochs(head: Mapping[str, Any]) -> list[tuple[int, int]]:
    return [(start_s, bits) for start_s, bits in head["past_epochs"]]
