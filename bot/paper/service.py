"""One exchange whose every change is durable before it is acknowledged: decide, append, commit, apply, answer.

    service = Service.open(path, contract, rules, start_ns)
    service.see(Quote(...))                     # a market event; it rides in the next commit
    answer = service.submit(PlaceOrder(...))    # an id, durable; or a Rejection, without effect
    with service.group():                       # many commands of many users, one commit
        answers = [service.submit(command) for command in waiting]
    ...                                         # only now may they be told

Read `service.exchange.state` at will, afresh each time: after a full disk it is another object.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.core import RULES_VERSION
from bot.core.contract import Contract
from bot.core.decide import decide, same_order
from bot.core.events import RANK_OPEN, RANK_STRATEGY, Bar, Block, Quote, SwapRate
from bot.core.exchange import Exchange
from bot.core.order import Command, PlaceOrder, Rejection
from bot.core.state import MarketRules
from bot.errors import JournalError, JournalFullError, Problem
from bot.paper.checkpoint import exchange as exchanges
from bot.paper.checkpoint.exchange import History
from bot.paper.checkpoint.past import Past
from bot.paper.checkpoint.plain import made
from bot.paper.checkpoint.store import Checkpoints
from bot.paper.entries import ALL_VENUES, HEAD, Entry, Event, Opening, decode, encode, head_text, key_of, time_of
from bot.paper.head import contract_document, contract_of, rules_document, rules_of
from bot.paper.journal import Journal
from bot.paper.records import Records
from bot.paper.tape import Tape


def show(exchange: Exchange, event: Event) -> None:
    """Let an exchange take in a market event. Raises ValueError, without effect, for one that is out of order."""
    if isinstance(event, Quote):
        exchange.on_quote(event)
    elif isinstance(event, Block):
        exchange.on_block(event)
    elif isinstance(event, SwapRate):
        exchange.on_swap_rate(event)
    elif isinstance(event, Opening):
        exchange.on_bar_open(event.bar)
    elif isinstance(event, Bar):
        exchange.on_bar_close(event)
    else:
        exchange.reach(event.time_ns, RANK_OPEN)


def enter(journal: Journal, exchange: Exchange, venue: str, command: Command) -> int | Rejection:
    """Carry out a command durably, or return why not; an accepted one returns its order's or offer's id, else 0.

    Inside `journal.group()` it is durable when the group ends, and may be told only then.
    """
    state = exchange.state
    if command.time_ns >= state.time_ns:
        exchange.reach(command.time_ns, RANK_STRATEGY)
    rejection = decide(state, command)
    if rejection is not None:
        return rejection
    if isinstance(command, PlaceOrder) and (known := same_order(state, command)) is not None:
        return known  # it was acknowledged, and the answer got lost
    with journal.group():
        journal.append(type(command).__name__, venue, command.time_ns, encode(command), key_of(venue, command))
    return exchange.apply(command)


class Service:
    """An exchange for many users on one journal."""

    def __init__(
        self, journal: Journal, contract: Contract, rules: MarketRules, start_ns: int, whole: bool = False
    ) -> None:
        """Begin as a journal's head says. `whole` takes no checkpoints and keeps everything in memory."""
        self.journal = journal
        self._begin = (contract, rules, start_ns)
        self._past = None if whole else Past(journal, ALL_VENUES)
        self.last: Event | None = None
        """The last market event that was shown."""
        self.tape = Tape(self._past)
        self._histories: list[History] = []
        self.checkpoints = Checkpoints(journal, self.document, lambda: (*self._histories, self._records, self.tape))
        self._begin_anew()

    @classmethod
    def open(
        cls, path: Path, contract: Contract, rules: MarketRules, start_ns: int, facts: Mapping[str, Any] | None = None
    ) -> Service:
        """Return the service on the journal at `path`, brought to where it was, or begun at `start_ns`.

        `facts` are kept in a new journal's head (plain JSON without floats). Raises JournalError if the journal is
        refused or was begun with another contract, other rules or another start.
        """
        begin = {
            "rules_version": RULES_VERSION,
            "contract": contract_document(contract),
            "rules": rules_document(rules),
            "start_ns": start_ns,
        }
        journal = Journal(path)
        try:
            if journal.sequence == 0:
                journal.append(HEAD, ALL_VENUES, start_ns, head_text({"facts": dict(facts or {}), **begin}))
                journal.commit()
            service = cls(journal, contract, rules, start_ns)
            service._refuse_other(begin)
            service._recover()
        except BaseException:
            journal.close()
            raise
        return service

    @classmethod
    def whole(cls, journal: Journal) -> Service:
        """Return the service that a journal's head says, to carry its entries out one by one; see `carry_out`."""
        head = json.loads(next(journal.entries(1, 1)).text)
        contract, rules = contract_of(head["contract"]), rules_of(head["rules"])
        return cls(journal, contract, rules, head["start_ns"], whole=True)

    def submit(self, command: Command) -> int | Rejection:
        """Carry out a command, or return why not; an accepted one returns its order's or offer's id, else 0.

        On return it is durable; inside a group when that ends. Raises JournalFullError, without effect, when there
        is no space, and JournalBrokenError when the process must end.
        """
        answer = enter(self.journal, self.exchange, ALL_VENUES, command)
        self._rest()
        return answer

    def see(self, event: Event) -> None:
        """Take in a market event; it becomes durable with the next commit.

        Raises ValueError, without effect, for one that is older than the last, or out of order at its time.
        """
        show(self.exchange, event)
        self.tape.see(event)
        self.last = event
        self.journal.append(type(event).__name__, ALL_VENUES, time_of(event), encode(event))

    def rise(self, key: str, nonce: int) -> bool:
        """Return whether `nonce` (1 to 2^63 - 1) is above all that `key` has used; durable with the next commit."""
        return self.journal.rise(key, nonce)

    @contextmanager
    def group(self) -> Iterator[None]:
        """Make all commands and nonces inside durable with one commit at its end: only then may they be answered.

        Raises JournalFullError when there is no space: then none of them had any effect.
        """
        try:
            with self.journal.group():
                yield
        except JournalFullError:
            self._begin_anew()
            self._recover()
            raise
        self._rest()

    def flush(self) -> None:
        """Make what waits (market events, nonces) durable now."""
        self.journal.commit()
        self._rest()

    def close(self) -> None:
        """Make durable what waits, and let go of the journal."""
        self.journal.close()

    def records(self) -> Records:
        """Return the index of fills and wallet entries, up to now; another one after a full disk."""
        self._records.follow()
        return self._records

    # Recovery -----------------------------------------------------------------------------------------------

    def _begin_anew(self) -> None:
        """Set everything up as it was at the journal's head."""
        self.exchange = Exchange(*self._begin)
        self._histories = [] if self._past is None else [History(self.exchange, self._past)]
        self._records = Records(self.exchange, self._past)
        self.tape.begin()
        self.last = None

    def _recover(self) -> None:
        """Come to where the journal ends: what was applied inside a group that failed is gone."""
        at = self.checkpoints.resume(self._resume, self._begin_anew)
        self.checkpoints.replay(max(at + 1, 2), self.carry_out)

    def carry_out(self, entry: Entry) -> None:
        """Carry out the next entry of the journal again. Raises JournalError if it does not fit what came before."""
        try:
            content: Any = entry.content()
            if entry.is_event:
                show(self.exchange, content)
                self.tape.see(content)
                self.last = content
            else:
                replay_command(self.exchange, content)
        except (ValueError, LookupError) as error:
            what = f"entry {entry.sequence} does not fit what comes before it: {entry.kind}: {error}"
            raise JournalError([Problem(str(self.journal.path), what, "use the fairhash that wrote it")]) from error

    def _rest(self) -> None:
        """Take a checkpoint if it is time for one and all that was carried out is durable."""
        if self._past is not None:
            self.checkpoints.take(self.journal.sequence, self.journal.hash)

    def document(self) -> dict[str, Any]:
        """Return all that recovery brings back, as plain values: what a checkpoint says."""
        return {
            "records": self._records.document(),
            "exchange": exchanges.document_of(self.exchange),
            "tape": self.tape.document(),
            "last": None if self.last is None else [type(self.last).__name__, encode(self.last)],
        }

    def _resume(self, document: dict[str, Any]) -> None:
        exchanges.resume(self.exchange, document["exchange"])
        for history in self._histories:
            history.resume(document["exchange"])
        self._records.resume(document["records"])
        self.tape.resume(document["tape"])
        self.last = None if document["last"] is None else decode(*made(list[str], document["last"]))

    def _refuse_other(self, begin: Mapping[str, Any]) -> None:
        head = json.loads(next(self.journal.entries(1, 1)).text)
        if "facts" not in head:
            raise JournalError([Problem(str(self.journal.path), "is the journal of a daemon", "name another file")])
        for name, wanted in begin.items():
            if head.get(name) != wanted:
                what = f"was begun with another {name.replace('_', ' ')}"
                remedy = "begin a new journal with --journal, or take that configuration again"
                raise JournalError([Problem(str(self.journal.path), what, remedy)])


def replay_command(exchange: Exchange, command: Command) -> int:
    """Apply a command that was accepted once: it is not asked again whether it may be."""
    if command.time_ns >= exchange.state.time_ns:
        exchange.reach(command.time_ns, RANK_STRATEGY)
    return exchange.apply(command)
