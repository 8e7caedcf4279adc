"""What a journal holds: head, market events, accepted commands, controls; each as canonical text and back again.

An entry's text is a JSON array of its fields in their order, or the head's JSON object with sorted keys: whole numbers,
texts and truth values only, so that one entry has one text and one hash on every machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bot.core.events import (
    RANK_BLOCK,
    RANK_DATA,
    RANK_FUNDING,
    RANK_OPEN,
    Bar,
    Block,
    Quote,
    SwapRate,
)
from bot.core.order import (
    CancelOffer,
    CancelOrder,
    Command,
    Deposit,
    PlaceOffer,
    PlaceOrder,
    RecallLoan,
    Transfer,
    Withdraw,
)
from bot.core.units import NS_PER_DAY

HEAD: Final = "Head"
ALL_VENUES: Final = ""
"""The venue of what every venue sees: market events."""


class Opening(NamedTuple):
    """A bar has opened. `volume_lots` is what will be traded in it: a replay knows it, and orders may take their share.

    A live feed does not know it and yields quotes; see `bot.paper.feed`.
    """

    time_ns: int
    open_sat: int
    volume_lots: int

    @property
    def bar(self) -> Bar:
        """The bar as far as it is known when it opens."""
        price = self.open_sat
        return Bar(self.time_ns, self.time_ns, price, price, price, price, self.volume_lots)


class Passed(NamedTuple):
    """Nothing happened until `time_ns` but time itself: interest, terms and expiry up to there are due."""

    time_ns: int


class Control(NamedTuple):
    """What was decided outside of the strategy: `action` is one of ACTIONS.

    `by` is `operator`, or what made the daemon act by itself: `strategy` (it failed), `band` (it did not say its band
    in time), `deaths` (the program died while it was asked), `lag` (the market event before it came too late to act
    on: `skip`), `chain` (a `note`: the hash of the block before it, which changes nothing), `mirror` (what the venue
    says of the account: too old to act on, `skip`, or taken for true, `adopt`). `text` is the reason, for `params` the
    new parameters and for `adopt` the venue's report as JSON.
    """

    time_ns: int
    action: str
    by: str
    text: str


HALT: Final = "halt"
REDUCE: Final = "reduce"
RESUME: Final = "resume"
FLATTEN: Final = "flatten"
PARAMS: Final = "params"
SKIP: Final = "skip"
NOTE: Final = "note"
ADOPT: Final = "adopt"
ACTIONS: Final = (HALT, REDUCE, RESUME, FLATTEN, PARAMS, SKIP, NOTE, ADOPT)

Event = Block | SwapRate | Quote | Opening | Bar | Passed
"""What happens in the world. A Bar stands for its close, after its Opening."""

EVENTS: Final = (Block, SwapRate, Quote, Opening, Bar, Passed)
COMMANDS: Final = (Deposit, Withdraw, Transfer, PlaceOrder, CancelOrder, PlaceOffer, CancelOffer, RecallLoan)
_TYPES: Final[Mapping[str, Any]] = {kind.__name__: kind for kind in (*EVENTS, *COMMANDS, Control)}
KINDS: Final = (HEAD, *_TYPES)
_to_json: Final = json.JSONEncoder(
    separators=(",", ":"), allow_nan=False
).encode  # ASCII: no text breaks a line or a store
_from_json: Final = json.JSONDecoder().raw_decode  # what json.loads calls, without looking for white space around it
_PLAIN: Final = frozenset({int, str, bool})
FIRST_HASH: Final = bytes(32)
"""What stands for the hash before the first entry."""


class Entry(NamedTuple):
    """One line of the journal: `hash` is over the hash before it and everything else in it."""

    sequence: int
    kind: str
    venue: str
    time_ns: int
    key: str | None
    text: str
    hash: bytes

    @property
    def is_event(self) -> bool:
        """Whether it is something that happened in the world."""
        return _TYPES.get(self.kind) in EVENTS

    def content(self) -> Event | Command | Control:
        """Return what the entry says. Raises ValueError for a text that is not one of its kind; a head has none."""
        content: Event | Command | Control = decode(self.kind, self.text)
        return content


def encode(content: Event | Command | Control) -> str:
    """Return the canonical text of an event, a command or a control.

    >>> encode(Quote(1, 2, 3, 4, 5))
    '[1,2,3,4,5]'
    """
    return _to_json(content)


def decode(kind: str, text: str) -> Any:
    """Return the event, command or control of a kind from its text.

    Raises ValueError for an unknown kind, a wrong number of fields, or a value that is no whole number, text or flag.
    """
    made = _TYPES.get(kind)
    values, end = _from_json(text)
    if made is None or end != len(text) or type(values) is not list or len(values) != len(made._fields):
        raise ValueError(f"{kind} {text[:80]!r} is not an entry of this version")
    if not _PLAIN.issuperset(map(type, values)):
        raise ValueError(f"{kind} {text[:80]!r} holds something else than whole numbers, texts and flags")
    return made._make(values)


def head_text(head: Mapping[str, Any]) -> str:
    """Return the canonical text of a head."""
    return json.dumps(head, separators=(",", ":"), sort_keys=True, allow_nan=False)


def time_of(event: Event) -> int:
    """Return when an event is known: a bar at its close, all else at its time."""
    return event.close_ns if isinstance(event, Bar) else event.time_ns


_RANKS: Final = {
    SwapRate: RANK_FUNDING,
    Block: RANK_BLOCK,
    Quote: RANK_DATA,
    Bar: RANK_DATA,
    Opening: RANK_OPEN,
    Passed: RANK_OPEN,
}


def rank_of(event: Event) -> int:
    """Return the rank of an event among those of its instant; see bot.core.events."""
    return _RANKS[type(event)]


def key_of(venue: str, command: Command) -> str | None:
    """Return what makes a command one of its kind: an order's user, cid and UTC day; nothing else has such a key."""
    if isinstance(command, PlaceOrder):
        return cid_key(venue, command.user, command.cid, command.time_ns // NS_PER_DAY)  # rounded down
    return None


def cid_key(venue: str, user: str, cid: int, day: int) -> str:
    """Return the key of the order that a user's cid names on a UTC day, counted from 1970."""
    return f"{venue}/{user if user.isascii() else ascii(user)}/{cid}/{day}"


def next_hash(before: bytes, sequence: int, kind: str, venue: str, time_ns: int, key: str | None, text: str) -> bytes:
    """Return the hash of an entry: SHA-256 over the hash before it and its canonical fields."""
    fields = f"{sequence}\n{kind}\n{venue}\n{time_ns}\n{key or ''}\n{text}"
    return hashlib.sha256(before + fields.encode("utf-8", "surrogatepass")).digest()
