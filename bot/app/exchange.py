"""The paper exchange as a command: keys, journal, market, server; the one place that gives it clocks and randomness."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bot.app.ending import until_told
from bot.app.outcome import Outcome, progress
from bot.app.paper import replay_feed

if TYPE_CHECKING:
    from bot.paper.keys import Key
    from bot.paper.service import Service

KEYS_VARIABLE: Final = "FAIRHASH_EXCHANGE_KEYS"
"""Lines of user:key:secret in the environment, in the place of a file."""
LED: Final = 0
"""The speed of a market that goes on only when a follower asks for more."""


def exchange(options: Namespace) -> Outcome:
    """Serve the paper exchange until it is told to end; its market is the configured history, replayed."""
    import asyncio
    import time

    from bot.app.rereading import beside
    from bot.facts import facts_of
    from bot.paper.bitfinex.protocol import Protocol
    from bot.paper.led import LedMarket
    from bot.paper.market import Market
    from bot.paper.server import Server, check_host
    from bot.paper.service import Service
    from bot.paper.told import Told
    from bot.run import load_run

    check_host(options.host, options.expose)
    run = load_run(options.config)
    plan = run.plans[0]
    journal = options.journal or Path("runs") / f"{run.settings.contract.id}.exchange"
    if options.journal is None:
        journal.parent.mkdir(exist_ok=True)
    keys, notes = _keys(options.keys, journal, ["trader", *(plan.strategy.name for plan in run.plans)])
    terms, rules, start_ns = plan.settings.contract, plan.settings.rules, plan.settings.start_ns
    feed = replay_feed(run)
    head = facts_of(run.plans, run.documents["config.yaml"].decode(), feed.name, run.simulated)
    facts = {"feed": feed.name, "simulated_prices": run.simulated, "run": head}
    service = Service.open(journal, terms, rules, start_ns, facts)
    if service.checkpoints.distrusted:
        progress(service.checkpoints.distrusted)
    try:
        market: Market | LedMarket
        if options.speed == LED:
            market = LedMarket(service, feed, plan.end_ns)
            told = Told(service, market.go_on)
        else:
            market = Market(service, feed, options.speed, time.monotonic_ns, start_ns)
            told = Told(service)
        server = Server(Protocol(service, service.tape, keys, told=told), market, lambda: time.time_ns() // 10**6)

        def ready(host: str, port: int) -> None:
            for line in _greeting(run, f"http://{host}:{port}", journal, options.speed, notes):
                print(line, file=sys.stderr, flush=True)

        def open_accounts() -> None:
            _open_accounts(service, keys, plan.settings.deposit_sat)

        serving = server.run(options.host, options.port, open_accounts, ready)
        work = beside(serving, service.journal, service.checkpoints.resumed_at)
        ended_by = asyncio.run(until_told(work)) or "itself"
    finally:
        service.close()
    text = f"{journal}: ended by {ended_by}; {server.served} requests answered, {service.journal.sequence} entries"
    return Outcome(text, {"journal": str(journal), "ended_by": ended_by, "served": server.served})


def _keys(path: Path | None, journal: Path, users: Sequence[str]) -> tuple[Mapping[str, Key], list[str]]:
    """Return the keys: of the file named, of the environment, or of a private file that is made beside the journal.

    Made, it has a key for each of `users`.
    """
    from bot.paper.keys import parse_keys, read_keys

    if path is not None:
        return read_keys(path), []
    if KEYS_VARIABLE in os.environ:
        return parse_keys(os.environ[KEYS_VARIABLE].encode("utf-8", "replace"), KEYS_VARIABLE), []
    own = journal.with_name(journal.name + ".keys")
    if own.exists():
        return read_keys(own), [f"keys: {own}"]
    _make_keys(own, users)
    return read_keys(own), [f"keys: {own} (made now; a line is user:key:secret, for your eyes only)"]


def _make_keys(path: Path, users: Sequence[str]) -> None:
    import secrets

    from bot.paper.keys import can_be_user

    named = [user for user in users if can_be_user(user)]
    lines = "".join(f"{user}:{secrets.token_hex(8)}:{secrets.token_hex(32)}\n" for user in named)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # private before there is anything in it
    try:
        os.write(descriptor, lines.encode())
    finally:
        os.close(descriptor)


def _open_accounts(service: Service, keys: Mapping[str, Key], deposit_sat: int) -> None:
    """Give every user who has no account yet the configured deposit."""
    from backtests.output import btc_text
    from bot.core.events import BTC
    from bot.core.order import Deposit, Rejection

    for user in sorted({key.user for key in keys.values()}):
        state = service.exchange.state
        if user not in state.accounts and not state.expired:
            answer = service.submit(Deposit(state.time_ns, user, BTC, deposit_sat))
            assert not isinstance(answer, Rejection), f"a deposit of {deposit_sat} sat was refused: {answer}"
            progress(f"account of {user} opened with {btc_text(deposit_sat)} BTC")


def _greeting(run: Any, address: str, journal: Path, speed: int, notes: list[str]) -> list[str]:
    lines = ["SIMULATED PRICES"] if run.simulated else []
    lines.append(f"paper exchange for {run.settings.contract.symbol} at {address} (REST) and")
    lines.append(f"  {address.replace('http', 'ws')}/ws/2 (WebSocket), as Bitfinex v2; only this machine reaches it")
    pace = "the market goes on when a follower asks" if speed == LED else f"{speed} s of the market pass in one"
    lines.append(f"journal: {journal}; {pace}")
    return lines + notes
