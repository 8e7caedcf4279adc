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
from bot.paper.entries import ALL_VENUES, HEAD, Event, Opening, encode, head_text, key_of, time_of
from bot.paper.head import contract_document, rules_document
from bot.paper.journal import Journal


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

    def __init__(self, journal: Journal, contract: Contract, rules: MarketRules, start_ns: int) -> None:
        self.journal = journal
        self._begin = (contract, rules, start_ns)
        self.exchange = Exchange(*self._begin)

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
            service._replay()
        except BaseException:
            journal.close()
            raise
        return service

    def submit(self, command: Command) -> int | Rejection:
        """Carry out a command, or return why not; an accepted one returns its order's or offer's id, else 0.

        On return it is durable; inside a group when that ends. Raises JournalFullError, without effect, when there
        is no space, and JournalBrokenError when the process must end.
        """
        return enter(self.journal, self.exchange, ALL_VENUES, command)

    def see(self, event: Event) -> None:
        """Take in a market event; it becomes durable with the next commit.

        Raises ValueError, without effect, for one that is older than the last, or out of order at its time.
        """
        show(self.exchange, event)
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
            self._restore()
            raise

    def flush(self) -> None:
        """Make what waits (market events, nonces) durable now."""
        self.journal.commit()

    def close(self) -> None:
        """Make durable what waits, and let go of the journal."""
        self.journal.close()

    def _restore(self) -> None:
        """Come back to what the journal says: what was applied inside a group that failed is gone."""
        self.exchange = Exchange(*self._begin)
        self._replay()

    def _replay(self) -> None:
        for entry in self.journal.entries():
            if entry.is_event:
                show(self.exchange, entry.content())  # type: ignore[arg-type]
            elif entry.kind != HEAD:
                replay_command(self.exchange, entry.content())  # type: ignore[arg-type]

    def _refuse_other(self, begin: Mapping[str, Any]) -> None:
        import json

        head = json.loads(next(self.journal.entries(1, 1)).text)
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
