"""One WebSocket connection's talk, without the socket: messages go in, messages come out, and what changed is told.

Public: ticker, trades, candles and book channels. After `auth`: orders (os on ou oc), trades (te tu), positions
(ps pn pu pc), wallets (ws wu), offers (fos fon fou foc), loans (fcs fcn fcu fcc), notifications (n); and the same
commands as over HTTP ([0, "on", null, {...}]).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

from bot.paper.bitfinex import funding, orders, public
from bot.paper.bitfinex.asked import Range
from bot.paper.bitfinex.protocol import Bucket, Call, Flood, Protocol
from bot.paper.bitfinex.refusals import BAD_KEY, TOO_MANY, RefusedError, bad
from bot.paper.bitfinex.watched import Watched
from bot.paper.bitfinex.wire import read_value
from bot.paper.keys import Key

MAX_CHANNELS: Final = 30
Message = Any
Asked = tuple[Any, ...]
_COMMANDS: Final[Mapping[str, Callable[[Call], Any]]] = {
    "on": orders.submit,
    "ou": orders.replace,
    "oc": orders.cancel,
    "oc_multi": orders.cancel_several,
    "ox_multi": orders.several,
    "fon": funding.submit,
    "foc": funding.cancel,
}


Board = dict[Any, list[Any]]
_TALK: Final = Flood(per_second=50, burst=300)
"""How many messages a connection may send that nobody has signed for."""


class Boards:
    """What public channels show, worked out once for all who watch; while nothing changes it stays the same object."""

    def __init__(self) -> None:
        self._known: dict[Asked, Board] = {}
        self._now: dict[Asked, Board] = {}

    def turn(self) -> None:
        """Something may have happened: look anew."""
        self._now.clear()

    def show(self, asked: Asked, rows: Callable[[], Board]) -> Board:
        """Return what the channel that was asked for so shows now."""
        board = self._now.get(asked)
        if board is None:
            board, known = rows(), self._known.get(asked)
            board = known if known is not None and known == board else board
            self._now[asked] = self._known[asked] = board
        return board


class Channel:
    """One public subscription: what was told last, by key, and how to see what is to be told now."""

    __slots__ = ("asked", "number", "rows", "told", "trades_told")

    def __init__(self, number: int, asked: Asked, rows: Callable[[], Board] | None, trades_told: int) -> None:
        self.number = number
        self.asked = asked
        self.rows = rows
        self.told: Board = rows() if rows else {}
        self.trades_told = trades_told


class Stream:
    """The talk of one connection. What `receive` returns may be sent once the group that it ran in has ended."""

    def __init__(self, protocol: Protocol, boards: Boards | None = None) -> None:
        """Begin; `boards` are shared by all streams of a server."""
        self._protocol = protocol
        self._boards = boards or Boards()
        self._key: Key | None = None
        self._bucket: Bucket | None = None
        self._channels: dict[int, Channel] = {}
        self._asked: dict[Asked, int] = {}
        self._numbers = count(1)
        self._watched: Watched | None = None

    @staticmethod
    def opened() -> list[Message]:
        """Return what is said first."""
        return [{"event": "info", "version": 2, "platform": {"status": 1}}]

    def receive(self, text: bytes, now_ms: int, arrived_ms: int) -> list[Message]:
        """Return the answers to one message; a wrong one is answered with an error, in the protocol's shape."""
        try:
            self._count(arrived_ms)
            message = read_value(text)
            if isinstance(message, list):
                return self._command(message, now_ms)
            if not isinstance(message, dict):
                raise bad("message", "neither an event nor a command")
            event = message.get("event")
            if event == "ping":
                return [{"event": "pong", "ts": now_ms, "cid": _small(message.get("cid"))}]
            if event == "conf":
                return [{"event": "conf", "status": "OK", "flags": 0}]  # no option is offered; clients ask anyway
            if event == "subscribe":
                return self._subscribe(message)
            if event == "unsubscribe":
                return self._unsubscribe(message)
            if event == "auth":
                return self._authenticate(message, now_ms, arrived_ms)
            raise bad("event", "not one of ping, conf, subscribe, unsubscribe, auth")
        except RefusedError as refusal:
            return [{"event": "error", "code": refusal.code, "msg": refusal.text}]

    def _count(self, arrived_ms: int) -> None:
        """Count a message against its key's flood limit, before that against the connection's; raises RefusedError."""
        if self._key is not None:
            self._protocol.count(self._key, arrived_ms)
            return
        if self._bucket is None:
            self._bucket = Bucket(_TALK, arrived_ms)
        if not self._bucket.take(arrived_ms):
            raise RefusedError(TOO_MANY, "ratelimit: error")

    def changes(self) -> list[Message]:
        """Return what is to be told now that something may have happened, and the boards were turned."""
        told = [message for channel in self._channels.values() for message in self._news(channel)]
        return told + (self._watched.changes() if self._watched else [])

    # Public channels ----------------------------------------------------------------------------------------

    def _subscribe(self, message: Mapping[str, Any]) -> list[Message]:
        name = message.get("channel")
        terms, tape, state = self._protocol.terms, self._protocol.tape, self._protocol.state
        if len(self._channels) >= MAX_CHANNELS:
            raise RefusedError(10305, f"reached the limit of {MAX_CHANNELS} channels")
        answer: dict[str, Any] = {"event": "subscribed", "channel": name, "chanId": next(self._numbers)}
        rows: Callable[[], Board] | None = None
        if name == "candles":
            key = message.get("key")
            step_ns = public.frame_ns(terms, key if isinstance(key, str) else "")
            newest = Range(0, 1 << 62, 100, rising=False)
            rows = lambda: {row[0]: row for row in public.candle_rows(terms, tape, step_ns, newest)}  # noqa: E731
            answer["key"] = key
        else:
            terms.check_symbol(message.get("symbol"))
            answer |= {"symbol": terms.symbol, "pair": terms.pair}
            if name == "ticker":
                rows = lambda: {0: public.ticker_row(terms, self._protocol.state, tape)}  # noqa: E731
            elif name == "book":
                rows = self._book(message, answer)
            elif name != "trades":
                raise RefusedError(10300, "channel: invalid (ticker, trades, candles and book are)")
        asked = (name, answer.get("key"), answer.get("prec"), answer.get("len"))
        if asked in self._asked:
            raise RefusedError(10301, "already subscribed")
        channel = Channel(answer["chanId"], asked, rows, len(state.fills))
        self._channels[channel.number] = channel
        self._asked[asked] = channel.number
        first: Any = list(channel.told.values())
        if name == "ticker":
            first = first[0]
        elif name == "trades":
            first = public.trade_rows(terms, state, max(len(state.fills) - 30, 0), len(state.fills))[::-1]
        return [answer, [channel.number, first]]

    def _book(self, message: Mapping[str, Any], answer: dict[str, Any]) -> Callable[[], Board]:
        precision, depth = message.get("prec", "P0"), message.get("len", 25)
        depth = int(depth) if depth in ("1", "25", "100", "250") else depth
        if precision not in public.BOOKS or depth not in (1, 25, 100, 250):
            raise bad("book", "prec is R0 or P0, len 1, 25, 100 or 250")
        answer |= {"prec": precision, "freq": "F0", "len": str(depth)}
        made = public.BOOKS[precision]
        protocol = self._protocol
        raw = precision == "R0"

        def rows() -> Board:
            # Of one price there may be a bid and an ask of users who cannot trade: the sign tells them apart.
            found = made(protocol.terms, protocol.state, protocol.tape, depth)
            return {(row[0] if raw else (row[0], row[2] > 0)): row for row in found}

        return rows

    def _unsubscribe(self, message: Mapping[str, Any]) -> list[Message]:
        number = message.get("chanId")
        if isinstance(number, str) and number.isascii() and number.isdecimal() and len(number) < 10:
            number = int(number)  # ccxt sends it as text
        if type(number) is not int or self._channels.pop(number, None) is None:
            raise RefusedError(10400, "chanId: invalid (no such channel)")
        self._asked = {asked: known for asked, known in self._asked.items() if known != number}
        return [{"event": "unsubscribed", "status": "OK", "chanId": number}]

    def _news(self, channel: Channel) -> list[Message]:
        if channel.rows is None:
            state = self._protocol.state
            fresh = public.trade_rows(self._protocol.terms, state, channel.trades_told, len(state.fills))
            channel.trades_told = len(state.fills)
            return [[channel.number, kind, row] for row in fresh for kind in ("te", "tu")]
        now = self._boards.show(channel.asked, channel.rows)
        if now is channel.told:
            return []
        gone = [_gone(key, row) for key, row in channel.told.items() if key not in now]
        fresh = [row for key, row in now.items() if channel.told.get(key) != row]
        channel.told = now
        return [[channel.number, row] for row in (*gone, *fresh) if row is not None]

    # The user's own -----------------------------------------------------------------------------------------

    def _authenticate(self, message: Mapping[str, Any], now_ms: int, arrived_ms: int) -> list[Message]:
        nonce, payload = str(message.get("authNonce", ""))[:32], message.get("authPayload")
        try:
            if self._watched is not None:
                raise RefusedError(10100, "auth: already authenticated")
            if payload != f"AUTH{nonce}":
                raise RefusedError(BAD_KEY, "authPayload: invalid (it is AUTH and the nonce)")
            signature = str(message.get("authSig", ""))[:200]
            key = self._protocol.signed_by(str(message.get("apiKey", ""))[:200], payload.encode(), signature)
            self._protocol.admit(key, nonce, arrived_ms)
            self._key = key
            self._watched = Watched(self._protocol, Call(self._protocol, key.user, {}, "", now_ms))
        except RefusedError as refusal:
            failed = {"event": "auth", "status": "FAILED", "chanId": 0, "code": refusal.code, "msg": refusal.text}
            return [failed]
        return [{"event": "auth", "status": "OK", "chanId": 0, "caps": {}}, *self._watched.snapshot()]

    def _command(self, message: list[Any], now_ms: int) -> list[Message]:
        if self._watched is None:
            raise RefusedError(BAD_KEY, "auth: not authenticated")
        if len(message) != 4 or message[0] != 0 or message[1] not in _COMMANDS or not isinstance(message[3], dict):
            raise bad("message", f"[0, kind, null, body] with a kind of {', '.join(_COMMANDS)}")
        call = Call(self._protocol, self._watched.user, message[3], "", now_ms)
        try:
            notification = _COMMANDS[message[1]](call)
        except RefusedError as refusal:
            notification = [
                call.time_ms,
                f"{message[1]}-req",
                None,
                None,
                None,
                refusal.code,
                "ERROR",
                refusal.text,
            ]
        return [[0, "n", notification]]


def _gone(key: Any, row: list[Any]) -> Any:
    """Return the row that takes a level out of a book; None for what simply is no longer shown."""
    if isinstance(key, tuple):
        return [row[0], 0, 1 if key[1] else -1]
    return [row[0], 0, row[2]] if len(row) == 3 else None


def _small(value: Any) -> int | None:
    return value if type(value) is int and abs(value) < 1 << 53 else None
