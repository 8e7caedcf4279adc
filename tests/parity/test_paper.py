"""The daemon posts what the backtest posts, wherever it is killed and whatever it is told in between."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backtests import reference
from backtests.parity import compare
from backtests.plan import Plan
from bot.core.events import Quote
from bot.daemon import BY_OPERATOR, Daemon
from bot.desk import Desk
from bot.errors import JournalError, ParityError
from bot.facts import facts_of, loaded_strategies
from bot.paper.entries import ALL_VENUES, FLATTEN, HALT, HEAD, REDUCE, RESUME, Event, Passed, head_text, time_of
from bot.paper.feed import ReplayFeed
from bot.paper.journal import Journal
from bot.replaying import COMPARED, Replayed, agree, replayed
from tests.parity.histories import random_plan

ACTIONS = (HALT, REDUCE, FLATTEN, RESUME, RESUME)


def paper_plan(seed: int, kind: str, **params: int) -> tuple[Plan, str]:
    """Return a random plan of the moody strategy and the text of a configuration that names it."""
    plan = random_plan(seed, kind, "moody", debug=False)
    mind = plan.strategy.params
    named = {"seed": mind.seed, "patience_ns": mind.patience_ns, "lots": mind.lots, **params}
    text = "contract: c.yaml\nhistory: {market: m.csv}\nstrategies:\n  - use: tests.moods\n    params: "
    text += "{" + ", ".join(f"{key}: {value}" for key, value in named.items()) + "}\n"
    settings = replace(plan.settings, observe=False)
    history = replace(plan.history, rates=list(dict.fromkeys(plan.history.rates)))  # as a feed tells them
    return replace(plan, strategy=loaded_strategies(text)[0], settings=settings, history=history), text


def feed_of(plan: Plan) -> ReplayFeed:
    history = plan.history
    market = history.quotes or history.bars
    return ReplayFeed("random", True, market, history.rates, plan.blocks, plan.settings.start_ns, plan.end_ns)


def begin(path: Path, plan: Plan, text: str) -> Journal:
    journal = Journal(path, synchronous="OFF")  # nobody pulls the plug here; tests/crash does
    if not journal.sequence:
        journal.append(HEAD, ALL_VENUES, plan.settings.start_ns, head_text(facts_of([plan], text, "random")))
        journal.commit()
    return journal


def crash(journal: Journal) -> None:
    """Leave a journal as a kill does: what is not committed is gone, nothing is folded."""
    journal._pending.clear()
    journal._risen.clear()
    journal._connection.close()
    journal._sidecar.close()


def rest_of(feed: ReplayFeed, after: Event | None) -> list[Event]:
    async def gather() -> list[Event]:
        return [event async for event in feed.events(after)]

    return asyncio.run(gather())


def paper_run(path: Path, plan: Plan, text: str, seed: int, controls: bool) -> int:
    """Run the daemon over the plan's history with kills, and controls between events; return the number of kills."""
    draw, feed, kills = random.Random(f"{seed}:paper"), feed_of(plan), 0
    while True:
        journal = begin(path, plan, text)
        daemon = Daemon(journal)
        daemon.recover()
        for event in rest_of(feed, daemon.last):
            daemon.take_in([event])
            if controls and draw.random() < 0.05:
                daemon.control(list(daemon.desks), draw.choice(ACTIONS), BY_OPERATOR, "a test")
            if draw.random() < 0.04:
                crash(journal)
                kills += 1
                break
        else:
            if daemon.time_ns < plan.end_ns:
                daemon.take_in([Passed(plan.end_ns)])
            journal.close()
            return kills


def outcome(path: Path) -> Replayed | None:
    journal = Journal(path)
    try:
        return replayed(journal)
    except JournalError as error:
        assert "no market event" in str(error)
        return None
    finally:
        journal.close()


@pytest.mark.parametrize("kind", ["bars", "quotes"])
def test_a_paper_run_with_kills_posts_what_the_backtest_posts(tmp_path: Path, kind: str) -> None:
    kills = compared = fills = 0
    for seed in range(26):
        plan, text = paper_plan(seed, kind)
        path = tmp_path / f"{seed}.journal"
        kills += paper_run(path, plan, text, seed, controls=False)
        run = outcome(path)
        if run is None:
            continue
        assert agree(run) == "the reference engine"
        compare([replace(run.results[0], end_ns=plan.end_ns), reference.run(plan)], COMPARED)
        compared, fills = compared + 1, fills + len(run.results[0].fills)
    assert compared > 20 and kills > 60 and fills > 30


@pytest.mark.parametrize("kind", ["bars", "quotes"])
def test_controls_between_events_are_part_of_the_run(tmp_path: Path, kind: str) -> None:
    seen: Counter[str] = Counter()
    for seed in range(40, 66):
        plan, text = paper_plan(seed, kind)
        path = tmp_path / f"{seed}.journal"
        paper_run(path, plan, text, seed, controls=True)
        run = outcome(path)
        if run is None:
            continue
        agree(run)
        seen.update(content.action for venue, content in run.happenings if venue)
    assert set(seen) == {HALT, REDUCE, FLATTEN, RESUME} and min(seen.values()) > 15


@pytest.mark.parametrize(
    ("fault", "said"),
    [("raises_at", "RuntimeError: as it was told"), ("nonsense_at", "limit_price_sat -5 is negative")],
)
def test_a_strategy_that_fails_is_halted_by_name_and_stays_so(tmp_path: Path, fault: str, said: str) -> None:
    plan, text = paper_plan(3, "quotes")
    failing = text.replace("{seed", f"{{{fault}: {plan.history.quotes[5].time_ns}, seed")
    plan = replace(plan, strategy=loaded_strategies(failing)[0])
    paper_run(tmp_path / "j", plan, failing, 3, controls=False)
    run = outcome(tmp_path / "j")
    assert run is not None
    (halt,) = [content for venue, content in run.happenings if venue]
    assert (halt.action, halt.by) == (HALT, "strategy") and said in halt.text
    assert run.daemon.desks["moods"].session.trader.mode == "halted"
    agree(run)


def test_a_tampered_posting_is_found(tmp_path: Path) -> None:
    plan, text = paper_plan(5, "quotes")
    paper_run(tmp_path / "j", plan, text, 5, controls=False)
    run: Any = outcome(tmp_path / "j")
    tampered = list(run.results[0].postings)
    tampered[10] = tampered[10]._replace(amount=tampered[10].amount + 1)
    results = [replace(run.results[0], postings=tampered), *run.results[1:]]
    with pytest.raises(ParityError, match=r"postings\[10\].amount"):
        agree(replace(run, results=results))


def test_events_out_of_order_are_refused_and_late_quotes_are_not_acted_on(tmp_path: Path) -> None:
    late = fills = refused = 0
    for seed in (10, 14, 24):
        plan, text = paper_plan(seed, "quotes")
        limits = replace(plan.settings.limits, max_quote_age_ns=10**9)
        plan = replace(plan, settings=replace(plan.settings, limits=limits))
        journal = begin(tmp_path / f"{seed}", plan, text)
        daemon = Daemon(journal)
        events = feed_of(plan).all
        for number, event in enumerate(events):
            is_late = number % 3 == 0
            before = journal.sequence
            assert not daemon.take_in([event], time_of(event) + 10**9 + is_late)
            if is_late and isinstance(event, Quote):
                late += 1
                kinds = [entry.kind for entry in journal.entries(before + 1)]
                assert kinds == ["Quote", "Control"], "marked, and nothing was sent"
            if number and time_of(events[number - 1]) < time_of(event):
                entries = journal.sequence
                (why,) = daemon.take_in([events[number - 1]])
                refused += 1
                assert "out of order" in why and journal.sequence == entries
        journal.close()
        run = outcome(tmp_path / f"{seed}")
        if run is not None:
            fills += len(run.results[0].fills)
            agree(run)
    assert late > 40 and fills > 10 and refused > 100, (late, fills, refused)


def test_a_step_that_a_bug_of_ours_cuts_short_is_not_kept_in_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, text = paper_plan(5, "quotes")
    journal = begin(tmp_path / "a.journal", plan, text)
    daemon = Daemon(journal)
    events = rest_of(feed_of(plan), None)
    at = next(number for number, event in enumerate(events) if isinstance(event, Quote))
    daemon.take_in(events[:at])
    before = journal.sequence

    def decide(desk: Desk) -> str:
        raise AssertionError("a bug")

    monkeypatch.setattr(Desk, "decide", decide)
    with pytest.raises(AssertionError, match="a bug"):
        daemon.take_in([events[at]])
    journal.close()
    monkeypatch.undo()
    journal = Journal(tmp_path / "a.journal")
    assert journal.sequence == before, "the event is taken in again, and decided on"
    journal.close()
