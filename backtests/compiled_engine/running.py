"""One run of the compiled engine, event by event where something happens and in leaps where nothing does."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import numpy as np

from backtests.compiled_engine import Brief
from backtests.compiled_engine.journey import Departure, Landing, Terms
from backtests.compiled_engine.leap import Feed, LateValue, LeapingSession, no_more
from backtests.compiled_engine.prepared import Prepared
from backtests.compiled_engine.strategy import filler, scanner
from backtests.plan import Plan
from bot.core.contract import Contract
from bot.core.events import Bar, Mark
from bot.core.state import MarketRules


class Course:
    """A run over a prepared history; `finish` brings it to its end."""

    def __init__(self, plan: Plan, prepared: Prepared) -> None:
        self._plan, self._prepared = plan, prepared
        self._value = LateValue(prepared)
        self.session = LeapingSession(plan.settings, plan.strategy, self._value)
        self._feed = Feed(prepared, self.session)
        self._scanner = scanner(plan.strategy, self.session.view)
        self._columns = prepared.with_worths(self._scanner.worths)
        self._addresses = prepared.addresses(self._columns)
        self._columns_at = int(self._addresses.ctypes.data)
        self._terms = _terms(plan.settings.contract, plan.settings.rules)
        self._equity_sat = np.empty(prepared.count, np.int64)
        self._position_lots = np.empty(prepared.count, np.int64)
        self._marked = 0  # events after the contract's end have no mark
        self._legs: list[tuple[Departure, int]] = []  # leaps whose marks have not been filled in yet
        self.session.highest_passed_sat = self._highest_sat

    def finish(self) -> None:
        """Take in all events and the end of the run."""
        session, prepared, at = self.session, self._prepared, 0
        count, events = prepared.count, prepared.events
        while at < count:
            start = session.departure(at, prepared, self._feed)
            if start is not None:
                at = self._leap(start)
            if at < count:
                self._take(events[at], at)
                at += 1
        self._feed.up_to(self._plan.end_ns)
        session.finish(self._plan.end_ns)
        session.highest_passed_sat = no_more  # or the run would hold itself in memory

    def _leap(self, start: Departure) -> int:
        """Take in events by machine code; return the first one left."""
        scan, whole, real = self._scanner.scan, self._scanner.whole, self._scanner.real
        try:
            landing = Landing(*scan(self._columns_at, self._terms, start, whole, real))
        except Exception:  # noqa: BLE001 - the strategy's: asked event by event, the core says when and why
            return self._walk(start.at)
        if landing.at > start.at:
            self.session.land(landing, landing.at - start.at, self._prepared, self._feed)
            self._legs.append((start, landing.at))
            self._marked = landing.at
        return landing.at

    def _walk(self, from_at: int) -> int:
        for at in range(from_at, self._prepared.count):
            self._take(self._prepared.events[at], at)
        return self._prepared.count

    def _take(self, event: Any, at: int) -> None:
        """Take in one event by the core itself, as the reference engine does."""
        session, feed = self.session, self._feed
        if isinstance(event, Bar):
            feed.up_to(event.time_ns)
            session.on_bar_open(event)
            feed.up_to(event.close_ns)
            session.on_bar_close(event)
        else:
            feed.up_to(event.time_ns)
            session.on_quote(event)
        self._value.stand_at(session.state.time_ns, float(self._prepared.columns.fair_sat[at]))
        session.decide()
        if session.marks:
            mark = session.marks.pop()
            self._equity_sat[at], self._position_lots[at] = mark.equity_sat, mark.position_lots
            self._marked = at + 1

    def _fill(self) -> None:
        """Fill in the marks of all leaps so far."""
        fill = filler()
        for start, stop in self._legs:
            fill(self._columns_at, self._terms, start, stop, self._equity_sat)
            self._position_lots[start.at : stop] = start.spot_lots + start.margin_lots
        self._legs.clear()

    def _highest_sat(self) -> int:
        self._fill()
        return int(self._equity_sat[: self._marked].max(initial=0))

    def marks(self) -> list[Mark]:
        """Return the mark of every market event."""
        self._fill()
        prepared, marked = self._prepared, self._marked
        lots, equity_sat = self._position_lots[:marked].tolist(), self._equity_sat[:marked].tolist()
        rows = zip(prepared.known_ns, prepared.mark_sat, lots, equity_sat, strict=False)
        return list(map(tuple.__new__, repeat(Mark), rows))

    def brief(self) -> Brief:
        """Return what the run came to."""
        columns, state = self._columns, self.session.state
        return Brief(
            name=self._plan.strategy.name,
            user=self.session.user,
            start_equity_sat=self._plan.settings.deposit_sat,
            fills=state.fills,
            notices=state.notices,
            last=self.session.marks[-1],
            time_ns=columns.known_ns[: self._marked],
            price_sat=columns.mark_sat[: self._marked],
            _position_lots=self._position_lots[: self._marked],
            _equity_sat=self._equity_sat[: self._marked],
            _fill=self._fill,
        )


def _terms(contract: Contract, rules: MarketRules) -> Terms:
    lending = contract.lending
    return Terms(
        contract.lots_per_contract,
        contract.tick_sat,
        contract.tranche_lots,
        contract.hash_rate_hs,
        contract.start_ns,
        contract.end_ns,
        contract.margin_call_ppm,
        contract.maker_fee_ppm,
        contract.taker_fee_ppm,
        lending.venue_cut_ppm,
        lending.max_rate_ppb_day,
        rules.half_spread_ppm,
        rules.participation_ppm,
    )
