"""The bundled strategies trade through the unmodified ccxt client in one process and settle as they do without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

import strategies
from backtests import reference
from backtests.parity import compare
from backtests.plan import Plan
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.embedded import embedded
from tests.parity.histories import random_plan


def plans(use: str, wanted: int) -> Iterator[Plan]:
    """Yield random plans whose lots the protocol can name; without latency, which a venue has of its own."""
    for seed in count():
        plan = random_plan(seed, ("bars", "quotes")[seed % 2], use, debug=False)
        if 10**8 % plan.settings.contract.lots_per_contract == 0:
            limits = replace(plan.settings.limits, latency_ns=0)
            yield replace(plan, settings=replace(plan.settings, limits=limits))
            wanted -= 1
            if not wanted:
                return


def through_ccxt(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, int]:
    """Return the plan's result with its commands sent through ccxt, and how many there were."""
    venues: list[CcxtVenue] = []
    sent = 0

    def session(self: Plan) -> Any:
        made = plain(self)
        submit = made.trader.submit

        def counted(command: Any) -> Any:
            nonlocal sent
            sent += 1
            return submit(command)

        venue = embedded(made.exchange, counted, nullcontext, made.user, "any-secret-of-sixteen")
        made.trader.submit = venue.submit
        venues.append(venue)
        return made

    plain = Plan.session
    with monkeypatch.context() as patched:
        patched.setattr(Plan, "session", session)
        result = reference.run(plan)
    assert venues and venues[0].reconciled == 0
    return result, sent


@pytest.mark.parametrize("use", strategies.BUNDLED)
def test_postings_are_those_of_a_run_without_a_client(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = 0
    for plan in plans(use, wanted=20):
        result, commands = through_ccxt(plan, monkeypatch)
        compare([reference.run(plan), result])
        sent += commands
    assert sent > 20
