"""A served exchange's journal against the backtest engine: what users did there, and what their strategies would do.

One side carries out every command of every user, as the exchange did. The other gives the market's events to the
reference engine, with the strategy of the user's name, alone. Fills, the user's own postings and marks must be equal;
they are where no other user stood in the way and every decision reached the exchange before its market moved on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from backtests import reference
from backtests.parity import compare
from backtests.result import RunResult
from bot.core.events import RANK_OPEN, Bar, Fill, Mark, Posting, Quote
from bot.core.exchange import Exchange
from bot.errors import JournalError, Problem
from bot.facts import plans_of
from bot.paper.entries import Event, time_of
from bot.paper.head import contract_of, rules_of
from bot.paper.journal import Journal
from bot.paper.service import replay_command, show

COMPARED: Final = ("fills", "postings", "marks")


def head_of_exchange(journal: Journal) -> dict[str, Any] | None:
    """Return the head of a served exchange's journal; None for a journal of something else."""
    first = next(journal.entries(1, 1), None)
    head = json.loads(first.text) if first is not None else {}
    return head if "facts" in head else None


def agree(journal: Journal, head: dict[str, Any]) -> list[RunResult]:
    """Return what each strategy came to on the exchange, equal to what the reference engine makes of it.

    Raises ParityError at the first difference, JournalError where no user has the name of a strategy.
    """
    if "run" not in head["facts"]:
        raise _refused(journal, "says nothing of the strategies that were to trade", "use the fairhash that wrote it")
    record = _Record(journal, head)
    plans = [plan for plan in plans_of(head["facts"]["run"], record.events) if plan.strategy.name in record.users]
    if not plans:
        raise _refused(journal, "has no user of a strategy's name", "give the strategies keys of their own names")
    results = []
    for plan in plans:
        end_ns = record.exchange.state.time_ns
        theirs = reference.run(replace(plan, end_ns=end_ns))
        own = record.result(theirs)
        missed = record.before[plan.strategy.name]
        postings, fills = _own(theirs.postings, theirs.user), _numbered(theirs.fills)
        compare([own, replace(theirs, fills=fills, postings=postings, marks=theirs.marks[missed:])], COMPARED)
        results.append(own)
    return results


class _Record:
    """The exchange as its journal makes it, with a mark of every user at each market event."""

    def __init__(self, journal: Journal, head: dict[str, Any]) -> None:
        self.exchange = Exchange(contract_of(head["contract"]), rules_of(head["rules"]), head["start_ns"])
        self.events: list[Event] = []
        self.marks: dict[str, list[Mark]] = {}
        self.before: dict[str, int] = {}
        """How many market events passed before a user's account was opened."""
        asked = 0
        for entry in journal.entries(2):
            content: Any = entry.content()
            if not entry.is_event:
                replay_command(self.exchange, content)
                if content.user not in self.marks:
                    self.marks[content.user], self.before[content.user] = [], asked
                continue
            show(self.exchange, content)
            self.events.append(content)
            if isinstance(content, Quote | Bar) and not self.exchange.state.expired:
                asked += 1
                self._mark()
        if not asked:
            raise _refused(journal, "holds no market event yet", "let somebody trade first")
        self.exchange.reach(max(self.exchange.state.time_ns, time_of(self.events[-1])), RANK_OPEN)
        self.exchange.settle()
        self._mark()

    @property
    def users(self) -> Sequence[str]:
        return list(self.marks)

    def _mark(self) -> None:
        exchange, state = self.exchange, self.exchange.state
        for user, marks in self.marks.items():
            lots, equity_sat = exchange.position_lots(user), exchange.equity_sat(user)
            marks.append(Mark(state.time_ns, state.mark_sat, lots, equity_sat))

    def result(self, like: RunResult) -> RunResult:
        """Return one user's part of it, as a result of the plan that `like` is of."""
        user, state = like.user, self.exchange.state
        fills = _numbered([fill for fill in state.fills if fill.user == user])
        postings = _own(state.ledger.postings(), user)
        return replace(like, engine="the exchange", fills=fills, postings=postings, marks=self.marks[user])


def _own(postings: Sequence[Posting], user: str) -> list[Posting]:
    """Return a user's own postings; transactions are numbered across all users, so their numbers say nothing."""
    return [one._replace(transaction=0) for one in postings if one.account.startswith(f"{user}/")]


def _numbered(fills: Sequence[Fill]) -> list[Fill]:
    """Return fills with their orders numbered as they first appear: ids are shared by all users."""
    numbers: dict[int, int] = {}
    return [fill._replace(order_id=numbers.setdefault(fill.order_id, len(numbers))) for fill in fills]


def _refused(journal: Journal, what: str, remedy: str) -> JournalError:
    return JournalError([Problem(str(journal.path), what, remedy)])
