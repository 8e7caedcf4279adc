"""Commands on a daemon's journal: through its console while it runs, on the file itself while it does not."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.app.outcome import Outcome, progress
from bot.errors import JournalError, OutputError, Problem

if TYPE_CHECKING:
    from bot.daemon import Daemon
    from bot.paper.entries import Entry
    from bot.paper.journal import Journal

_AS_REPLAYED = ", as the replay has them"


def status(options: Namespace) -> Outcome:
    """Say how a paper run stands."""
    from bot.app.tables import status_text

    document = _asked(options, {"do": "status"})
    return Outcome(status_text(document), document)


def orders(options: Namespace) -> Outcome:
    """List the orders of a paper run that may still trade."""
    from bot.app.tables import orders_text

    document = _asked(options, {"do": "orders"})
    return Outcome(orders_text(document), document)


def positions(options: Namespace) -> Outcome:
    """List what the strategies of a paper run own, owe, lend and have borrowed."""
    from bot.app.tables import positions_text

    document = _asked(options, {"do": "positions"})
    return Outcome(positions_text(document), document)


def turn(options: Namespace) -> Outcome:
    """Halt, reduce, flatten or resume strategies; durable when this returns."""
    from bot.app.tables import status_text

    request = {"do": options.command, "strategies": options.strategies, "reason": options.reason}
    document = _asked(options, request)
    return Outcome(status_text(document), document)


def carry_out(daemon: Daemon, request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request asks and return the reply. Raises JournalError for a request that cannot be carried out."""
    from bot import standing
    from bot.daemon import BY_OPERATOR
    from bot.desk import MODE_OF

    wanted = request.get("do")
    if wanted == "orders":
        return standing.orders(daemon)
    if wanted == "positions":
        return standing.positions(daemon)
    if wanted == "copy":
        daemon.journal.copy_to(Path(str(request.get("to"))))
    elif wanted in MODE_OF:
        names = [str(name) for name in request.get("strategies") or daemon.desks]
        unknown = [name for name in names if name not in daemon.desks]
        if unknown:
            what = f"has no strategy {', '.join(unknown)}"
            raise JournalError([Problem(str(daemon.journal.path), what, f"it has {', '.join(daemon.desks)}")])
        daemon.control(names, str(wanted), BY_OPERATOR, str(request.get("reason", ""))[:500])
    elif wanted != "status":
        raise JournalError([Problem(str(daemon.journal.path), f"nothing is known here of {wanted!r}")])
    return standing.status(daemon)


def show(options: Namespace) -> Outcome:
    """List entries."""
    with readable(_path(options)) as journal:
        first = max(options.first or journal.sequence - options.last + 1, 1)
        entries = [_document(entry) for entry in journal.entries(first, first + options.last - 1)]
    rows = [
        f"{e['sequence']:>8}  {e['time_utc']}  {e['venue'] or '-'}  {e['kind']}  {e['text'][:160]}" for e in entries
    ]
    return Outcome("\n".join(rows) or "no entries", {"entries": entries})


def verify(options: Namespace) -> Outcome:
    """Check every entry against the hash chain, carry all out again, and hold the checkpoint against that."""
    from bot.verifying import verify as verified

    with readable(_path(options)) as journal:
        entries, checkpoint, past = verified(journal)
        digest = journal.hash.hex()
    kept = f"the checkpoint at entry {checkpoint} and {past} rows of the past are" if checkpoint else "no checkpoint is"
    text = f"{entries} entries, every hash fits; the last is {digest}\n{kept} there{_AS_REPLAYED if checkpoint else ''}"
    return Outcome(text, {"entries": entries, "hash": digest, "checkpoint": checkpoint, "past": past})


def forget(options: Namespace) -> Outcome:
    """Drop what follows from the entries, checkpoint and past: the next start makes them anew."""
    from bot.paper.checkpoint.store import forget as dropped
    from bot.paper.journal import Journal

    path = _path(options)
    journal = Journal(path)
    try:
        dropped(journal)
    finally:
        journal.close()
    text = f"{path}: checkpoint and past dropped; the next start makes them anew from {journal.sequence} entries"
    return Outcome(text, {"journal": str(path), "entries": journal.sequence})


def replay(options: Namespace) -> Outcome:
    """Carry everything in a journal out again and say what it comes to."""
    import time

    from bot import standing
    from bot.app.tables import status_text
    from bot.daemon import Daemon

    with readable(_path(options)) as journal:
        began = time.monotonic()
        daemon = Daemon(journal, whole=True)
        daemon.recover()
        took_s = time.monotonic() - began
        document = {**standing.status(daemon), "seconds": round(took_s, 3)}
    return Outcome(f"{status_text(document)}\n{document['entries']} entries replayed in {took_s:.2f} s", document)


def export(options: Namespace) -> Outcome:
    """Write all entries as JSON, one a line."""
    if options.out.exists():
        raise OutputError([Problem(str(options.out), "is there already", "choose another place with --out")])
    with readable(_path(options)) as journal, options.out.open("x", encoding="utf-8") as file:
        file.writelines(json.dumps(_document(entry), ensure_ascii=False) + "\n" for entry in journal.entries())
        count = journal.sequence
    return Outcome(f"{options.out}: {count} entries written", {"file": str(options.out), "entries": count})


def accept(options: Namespace) -> Outcome:
    """Take the end of a journal as the right one, after its file was restored by hand."""
    from bot.paper.journal import Journal

    path = _path(options)
    journal = Journal(path, end_is_right=True)
    try:
        count = sum(1 for _ in journal.entries())
    finally:
        journal.close()
    return Outcome(f"{path}: ends at entry {count}, every hash fits", {"journal": str(path), "entries": count})


def journal_parity(options: Namespace) -> Outcome:
    """Replay a paper run, and run its strategies anew on its events: the postings must be equal."""
    from bot.exchange_parity import head_of_exchange
    from bot.replaying import agree, replayed

    with readable(_path(options)) as journal:
        progress(f"replaying {journal.sequence} entries")
        head = head_of_exchange(journal)
        if head is not None:
            return _exchange_parity(journal, head)
        run = replayed(journal)
        progress("running the strategies on the same events")
        engine = agree(run)
    rows = [
        {"strategy": one.name, "fills": len(one.fills), "postings": len(one.postings), "marks": len(one.marks)}
        for one in run.results
    ]
    lines = [f"{r['strategy']}: {r['fills']} fills, {r['postings']} postings, {r['marks']} marks equal" for r in rows]
    happened = f"{run.events} events, {run.controls} controls"
    text = "\n".join([f"paper run and {engine}, {happened}:", *lines])
    return Outcome(text, {"engines": ["paper", engine], "equal": True, "controls": run.controls, "strategies": rows})


def _exchange_parity(journal: Journal, head: dict[str, Any]) -> Outcome:
    """Compare what strategies did on a served exchange with what the reference engine makes of its events."""
    from bot.exchange_parity import agree

    rows = [
        {"strategy": one.name, "fills": len(one.fills), "postings": len(one.postings), "marks": len(one.marks)}
        for one in agree(journal, head)
    ]
    lines = [
        f"{r['strategy']}: {r['fills']} fills, {r['postings']} of its postings, {r['marks']} marks equal" for r in rows
    ]
    text = "\n".join(["served exchange and the reference engine:", *lines])
    return Outcome(text, {"engines": ["exchange", "reference"], "equal": True, "strategies": rows})


@contextmanager
def readable(path: Path) -> Iterator[Journal]:
    """Give the journal at `path`, or a copy of it while a daemon owns it. Raises JournalError if there is none."""
    import tempfile

    from bot.paper import console
    from bot.paper.journal import Journal

    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / path.name
        is_owned = console.ask(path, {"do": "copy", "to": str(copy)}) is not None
        journal = Journal(copy if is_owned else path, end_is_right=is_owned)
        try:
            yield journal
        finally:
            journal.close()


def _asked(options: Namespace, request: dict[str, Any]) -> dict[str, Any]:
    """Return the reply to a request: of the daemon that owns the journal, or worked out from the file."""
    from bot.app.remote import SHOWN
    from bot.daemon import Daemon
    from bot.facts import read_head
    from bot.paper import console
    from bot.paper.journal import Journal

    path = _path(options)
    reply = console.ask(path, request)
    if reply is not None:
        return reply
    journal = Journal(path)
    try:
        daemon = Daemon(journal, away=read_head(journal)["feed"].startswith(SHOWN))
        daemon.recover()
        if daemon.checkpoints is not None and daemon.checkpoints.distrusted:
            progress(daemon.checkpoints.distrusted)
        return carry_out(daemon, request)
    finally:
        journal.close()


def _path(options: Namespace) -> Path:
    """Return the journal that was named, or the only one in runs/."""
    named: Path | None = options.journal
    if named is None:
        found = sorted(Path("runs").glob("*.journal"))
        if len(found) != 1:
            what = "holds no journal" if not found else f"holds {len(found)} journals"
            raise JournalError([Problem("runs", what, "name one with --journal")])
        return found[0]
    if not named.exists():
        raise JournalError([Problem(str(named), "is not there", "name the file that `fairhash paper` wrote")])
    return named


def _document(entry: Entry) -> dict[str, Any]:
    from bot.history.fields import iso_utc

    return {**entry._asdict(), "hash": entry.hash.hex(), "time_utc": iso_utc(entry.time_ns)}
