"""The daemon on a served exchange: addresses and keys, its market as the feed, and starting over when it goes away."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bot.daemon import Daemon
from bot.errors import ConfigError, Problem, UnknownOutcomeError, VenueAwayError
from bot.paper.entries import Passed, time_of
from bot.paper.keys import Key, parse_keys, read_keys
from bot.paper.told import terms_hash
from bot.venues.ccxt_client import client
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.followed import FollowedMarket

if TYPE_CHECKING:
    from bot.app.running import Running

KEYS_VARIABLE: Final = "FAIRHASH_VENUE_KEYS"
"""Lines of user:key:secret in the environment, in the place of a file; the user is the strategy's name."""
SHOWN: Final = "what an exchange shows of the "
"""Begins the name of the feed in the journal of a daemon that trades on a served exchange: it cannot go on without."""
LOOK_S: Final = 0.05
"""How long a market that has nothing new is left alone."""
AWAY_S: Final = 0.5
"""How long a venue that does not answer is left alone."""
MOST_PAUSE_S: Final = 0.1
TIMEOUT_MS: Final = 5_000


class Served:
    """A served exchange: where it is, and one client for each strategy."""

    def __init__(self, address: str, keys: Mapping[str, Key]) -> None:
        self.address = address
        self._clients = {user: client(address, key.name, key.reveal(), limited=False) for user, key in keys.items()}
        for made in self._clients.values():
            made.timeout = TIMEOUT_MS

    def attach(self, daemon: Daemon, is_told_to_end: Callable[[], bool]) -> FollowedMarket:
        """Let every strategy trade there, and return the market to follow; nothing is asked yet.

        Once `is_told_to_end`, what is not answered is not asked again: VenueAwayError.
        """

        def pause(attempt: int) -> None:
            if is_told_to_end():
                raise VenueAwayError("no answer, and this is to end")
            _pause(attempt)

        contract = next(iter(daemon.desks.values())).session.settings.contract
        venues = {name: CcxtVenue(self._clients[name], contract, pause) for name in daemon.desks}
        first = next(iter(daemon.desks))
        market = FollowedMarket(self._clients[first], venues[first].ask, daemon.last)
        daemon.stand_at(venues, market.has_moved_on)
        return market


def served(address: str, path: Path | None, strategies: list[str]) -> Served:
    """Return the exchange at `address` for these strategies. Raises ConfigError for a wrong address or key."""
    _check_address(address)
    if path is not None:
        keys, where = read_keys(path), str(path)
    elif KEYS_VARIABLE in os.environ:
        keys, where = parse_keys(os.environ[KEYS_VARIABLE].encode("utf-8", "replace"), KEYS_VARIABLE), KEYS_VARIABLE
    else:
        what = "no keys for the exchange were given"
        remedy = f"name the exchange's file with --keys, or put its lines into {KEYS_VARIABLE}"
        raise ConfigError([Problem("--exchange", what, remedy)])
    by_user = {key.user: key for key in keys.values()}
    missing = [name for name in strategies if name not in by_user]
    if missing:
        what = f"has no key of {', '.join(missing)}: each strategy trades on an account of its own name"
        raise ConfigError([Problem(where, what, "add a line user:key:secret for each")])
    return Served(address.rstrip("/"), {name: by_user[name] for name in strategies})


def _check_address(address: str) -> None:
    """Refuse what is no plain address, and http to another machine. It is not shown: there may be a secret in it."""
    what = "is not an address such as http://127.0.0.1:8014"
    try:
        parts = urlsplit(address)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    extras = "@" in address or "?" in address or "#" in address
    if host and not extras and parts.scheme in ("http", "https") and not parts.path.strip("/"):
        if parts.scheme == "https" or _is_here(host):
            return
        what = f"{host[:80]} is another machine, and what goes there over http can be read and changed on the way"
    raise ConfigError([Problem("--exchange", what, "write what `fairhash exchange` prints, or https://")])


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _pause(attempt: int) -> None:
    time.sleep(min(0.01 * 2**attempt, MOST_PAUSE_S))


async def follow(running: Running, exchange: Served) -> None:
    """Take in what the exchange's market shows until the run's end; when it goes away, start over once it is back."""
    market: FollowedMarket | None = None
    away = False
    while running.daemon.time_ns < running.end_ns:
        try:
            market = market or exchange.attach(running.daemon, lambda: running.is_told_to_end)
            is_first = not market.says
            events = market.take()
            if is_first:
                _refuse_other(running, market.says)
            running.show(running.daemon.follow([event for event in events if time_of(event) <= running.end_ns]))
        except (VenueAwayError, UnknownOutcomeError) as error:
            if not away:
                running.log("venue_away", text=f"{error}; nothing is traded until it answers")
            away, market = True, None
            running.begin_again()
            await asyncio.sleep(AWAY_S)
            continue
        if away:
            running.log("venue_back", text=exchange.address)
            away = False
        if _is_over(events, market.says, running.end_ns):
            running.show(running.daemon.follow([Passed(running.end_ns)]))
        await asyncio.sleep(0 if events else LOOK_S)


def _is_over(events: list[Any], says: Mapping[str, Any], end_ns: int) -> bool:
    """Return whether nothing more will be shown before the run's end."""
    return (bool(events) and time_of(events[-1]) > end_ns) or (not events and bool(says["led"]))


def _refuse_other(running: Running, says: Mapping[str, Any]) -> None:
    """Refuse an exchange for another contract, other rules, another start or another market."""
    wanted = {"feed": running.feed.name.removeprefix(SHOWN), "terms": terms_hash(running.daemon.head)}
    names = {"feed": "market", "terms": "contract, rules or start"}
    other = [names[name] for name, value in wanted.items() if says.get(name) != value]
    if other:
        what = f"the exchange has another {' and another '.join(other)}: {str(says.get('feed'))[:200]}"
        raise ConfigError([Problem("--exchange", what, "start both with the same configuration")])
