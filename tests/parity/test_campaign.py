"""The campaign compares what it says it compares, and stops at the first difference."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backtests import compiled_engine
from bot.errors import ParityError
from tests.parity.campaign import campaign


def test_a_short_campaign_counts_what_it_covered() -> None:
    seen = campaign(range(20))
    assert seen["histories"] == 44 == seen["histories compared with the backtrader engine"]
    assert seen["histories compared with the compiled engine"] == 24
    assert seen["postings"] == sum(count for what, count in seen.items() if what.startswith("posting: ")) > 1_000
    assert min(seen["market events (bars, quotes)"], seen["fills"], seen["posting: interest"]) > 100


def test_it_ends_at_a_difference_and_names_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compiled_engine.run
    monkeypatch.setattr(compiled_engine, "run", lambda plan: replace(whole(plan), marks=whole(plan).marks[:-1]))
    with pytest.raises(ParityError, match=r"whimsical bars 0: .* disagree at marks"):
        campaign(range(1))
