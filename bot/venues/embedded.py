"""The daemon's own exchange behind the unmodified ccxt client, in one process: a real venue's order path, rehearsed.

    venue = embedded(session.exchange, session.trader.submit, journal.group, user, secret)
    session.trader.submit = venue.submit

The view reads the exchange's state as before; commands go through client, protocol and journal, and come out the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from bot.core.exchange import Exchange
from bot.core.order import Command, Rejection
from bot.paper.bitfinex.protocol import Protocol
from bot.paper.keys import Key
from bot.paper.records import Records
from bot.paper.tape import Tape
from bot.venues.ccxt_client import client
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.in_process import ADDRESS, carrier, mount


class Embedded:
    """One exchange of this process as the protocol wants it; nonces are not kept, for nobody else can send any."""

    def __init__(
        self,
        exchange: Exchange,
        submit: Callable[[Command], int | Rejection],
        group: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.exchange = exchange
        self.submit = submit
        self.group = group
        self._last = 0
        self._records = Records(exchange)

    def rise(self, key: str, nonce: int) -> bool:
        """Return whether a nonce is above the last."""
        before, self._last = self._last, max(nonce, self._last)
        return nonce > before

    def records(self) -> Records:
        """Return the index of fills and wallet entries, up to now."""
        self._records.follow()
        return self._records


def embedded(
    exchange: Exchange,
    submit: Callable[[Command], int | Rejection],
    group: Callable[[], AbstractContextManager[None]],
    user: str,
    secret: str,
) -> CcxtVenue:
    """Return a venue whose commands reach `submit` through ccxt; `secret` is any text of 16 characters or more."""
    protocol = Protocol(Embedded(exchange, submit, group), Tape(), {user: Key(user, user, secret)})
    made = client(ADDRESS, user, secret, limited=False)
    mount(made, carrier(protocol))
    return CcxtVenue(made, exchange.state.contract)
