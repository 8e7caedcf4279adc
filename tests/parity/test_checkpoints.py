"""A daemon that goes on from checkpoints is the daemon that replays everything, and neither changes a posting."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.daemon import Daemon
from bot.errors import JournalError
from bot.paper.checkpoint import store
from bot.paper.checkpoint.plain import written
from bot.paper.checkpoint.store import find, put
from bot.paper.journal import Journal
from bot.replaying import agree
from bot.verifying import verify
from tests.checkpoints import often
from tests.parity.test_paper import begin, crash, feed_of, outcome, paper_plan, paper_run, rest_of


def standing(path: Path, whole: bool) -> tuple[str, Daemon]:
    """Return what a journal comes to, notices left out, and the daemon that found it."""
    journal = Journal(path)
    daemon = Daemon(journal, whole=whole)
    daemon.recover()
    document = daemon.document()
    for desk in document["desks"].values():
        del desk["exchange"]["notices"]  # a replay is told of no refusal
    journal.close()
    return written(document), daemon


@pytest.mark.parametrize("kind", ["bars", "quotes"])
def test_with_kills_and_controls_it_stands_where_a_replay_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    resumed = past = fills = 0
    for seed in range(80, 96):
        draw = random.Random(seed)
        often(monkeypatch, every=draw.randrange(1, 40), kept=draw.randrange(1, 4))
        plan, text = paper_plan(seed, kind)
        path = tmp_path / f"{seed}.journal"
        paper_run(path, plan, text, seed, controls=seed % 2 == 0)
        short, daemon = standing(path, whole=False)
        again, whole = standing(path, whole=True)
        assert short == again
        assert daemon.checkpoints is not None and whole.checkpoints is None
        assert daemon.checkpoints.distrusted == ""
        resumed += daemon.checkpoints.taken_at > 0
        journal = Journal(path)
        past += verify(journal).past
        journal.close()
        run = outcome(path)
        if run is not None:
            agree(run)
            fills += len(run.results[0].fills)
    assert resumed > 12 and past > 60 and fills > 20, (resumed, past, fills)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a journal with a checkpoint, and past rows, in its middle."""
    often(monkeypatch, every=20, kept=2)
    plan, text = paper_plan(97, "quotes")
    journal = begin(tmp_path / "a.journal", plan, text)
    daemon = Daemon(journal)
    for event in rest_of(feed_of(plan), None):
        daemon.take_in([event])
    assert daemon.checkpoints is not None and 0 < daemon.checkpoints.taken_at < journal.sequence
    crash(journal)
    return tmp_path / "a.journal"


def tampered(path: Path, statement: str) -> None:
    journal = Journal(path)
    journal._connection.execute(statement)
    journal.close()


def forged(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the checkpoint says, with a hash that fits."""
    journal = Journal(path)
    found = find(journal)
    assert found is not None
    sequence, document = found
    change(document)
    (entry,) = journal.entries(sequence, sequence)
    put(journal, sequence, entry.hash, document, [])
    journal.close()


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE checkpoint SET text = replace(text, '1', '2')", "its hash does not fit"),
        ("UPDATE checkpoint SET hash = zeroblob(32)", "its hash does not fit"),
        ("UPDATE checkpoint SET sequence = sequence - 1", "its hash does not fit"),
        ("UPDATE checkpoint SET sequence = 999999", "stands at entry 999999, which is not there"),
        ("UPDATE checkpoint SET text = substr(text, 1, 50)", "its hash does not fit"),
        ("UPDATE checkpoint SET text = CAST(x'ff00fe' AS TEXT)", "cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_everything_is_replayed(path: Path, statement: str, why: str) -> None:
    expected, _ = standing(path, whole=True)
    tampered(path, statement)
    journal = Journal(path)
    with pytest.raises(JournalError, match="checkpoint"):
        verify(journal)
    journal.close()
    found, daemon = standing(path, whole=False)
    assert found == expected
    assert daemon.checkpoints is not None
    assert why in daemon.checkpoints.distrusted and "replaying every entry" in daemon.checkpoints.distrusted
    again, daemon = standing(path, whole=False)  # it was made anew
    assert again == expected and daemon.checkpoints is not None
    assert daemon.checkpoints.distrusted == "" and daemon.checkpoints.taken_at > 0


def test_a_checkpoint_of_another_journal_version_or_form_is_not_taken(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, text = paper_plan(84, "quotes")
    paper_run(tmp_path / "other.journal", plan, text, 84, controls=False)
    journal = Journal(path)
    journal._connection.execute("ATTACH ? AS other", (str(tmp_path / "other.journal"),))
    journal._connection.execute("DELETE FROM checkpoint")
    journal._connection.execute("INSERT INTO checkpoint SELECT * FROM other.checkpoint")
    journal.close()
    expected, _ = standing(path, whole=True)
    found, daemon = standing(path, whole=False)
    assert found == expected and daemon.checkpoints is not None
    assert "another journal's or version's" in daemon.checkpoints.distrusted
    for name in ("FORM", "RULES_VERSION"):
        with monkeypatch.context() as patch:
            patch.setattr(store, name, 77)
            _, daemon = standing(path, whole=False)
            assert daemon.checkpoints is not None and "or version's" in daemon.checkpoints.distrusted


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.clear(),
        lambda document: document.update(desks={}),
        lambda document: document.update(steps="many"),
        lambda document: document.update(last=["Rumour", "[1]"]),
        lambda document: document.update(last=["Quote", "[1]"]),
        lambda document: document["desks"]["moods"].update(mode=["dancing", ""]),
        lambda document: document["desks"]["moods"]["exchange"]["fields"].update(extra=1),
        lambda document: document["desks"]["moods"]["exchange"]["fields"].update(mark_sat=1.5),
        lambda document: document["desks"]["moods"]["exchange"].update(steps=99),
        lambda document: document["desks"]["moods"]["value"].update(bits=0),
        lambda document: document["desks"]["moods"].update(blocks=[[1]]),
        lambda document: document.update(params="{}"),
    ],
)
def test_a_checkpoint_that_says_nonsense_is_not_gone_on_from(path: Path, change: Callable[[Any], object]) -> None:
    """Its hash fits: whoever wrote it was a fairhash with a fault."""
    expected, _ = standing(path, whole=True)
    forged(path, change)
    found, daemon = standing(path, whole=False)
    assert found == expected and daemon.checkpoints is not None
    assert "cannot be gone on from" in daemon.checkpoints.distrusted


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda desk: desk.update(peak_sat=desk["peak_sat"] + 1), "desks.moods.peak_sat is"),
        (lambda desk: desk["exchange"]["fields"].update(index=5), "desks.moods.exchange.fields.index is 5, on replay"),
        (lambda desk: desk["exchange"]["ledger"][0].update({"moods/exchange/BTC": 1}), "exchange.ledger is"),
        (lambda desk: desk["exchange"].update(fills=desk["exchange"]["fills"] + 1), "exchange.fills is"),
        (lambda desk: desk.pop("value"), "desks.moods.value is None"),
    ],
)
def test_verify_finds_a_checkpoint_that_is_not_what_a_replay_gives(
    path: Path, change: Callable[[Any], object], named: str
) -> None:
    journal = Journal(path)
    assert verify(journal).checkpoint > 0
    journal.close()
    forged(path, lambda document: change(document["desks"]["moods"]))
    journal = Journal(path)
    with pytest.raises(JournalError, match="journal forget") as caught:
        verify(journal)
    assert named in str(caught.value)
    store.forget(journal)
    assert verify(journal).checkpoint == 0
    journal.close()


def test_one_that_is_damaged_after_it_was_gone_on_from_is_not_counted_from(path: Path) -> None:
    journal = Journal(path)
    daemon = Daemon(journal)
    daemon.recover()
    assert daemon.checkpoints is not None and daemon.checkpoints.resumed_at > 0
    journal._connection.execute("UPDATE checkpoint SET text = '{}'")
    assert daemon.checkpoints.resume(daemon._resume, daemon._sit_down) == 0, "everything is replayed"
    journal.close()


def test_verify_finds_a_row_of_the_past_that_was_changed_or_is_gone(path: Path) -> None:
    tampered(path, "UPDATE past SET text = replace(text, '1', '2') WHERE kind = 'Fill'")
    journal = Journal(path)
    with pytest.raises(JournalError, match="Fill 0 of moods was changed: its hash does not fit"):
        verify(journal)
    journal.close()
    tampered(path, "DELETE FROM past WHERE kind = 'Fill'")
    journal = Journal(path)
    with pytest.raises(JournalError, match="has no row of"):
        verify(journal)
    journal.close()
