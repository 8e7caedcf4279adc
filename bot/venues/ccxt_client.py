"""The ccxt client: how it is made, and what its exceptions mean for a command. The only module that imports ccxt."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final, NoReturn

from bot.core.order import REJECTIONS, Rejection
from bot.errors import VenueError

_CODE: Final = re.compile(r"\(([A-Z_]+): (.*)\)", re.DOTALL)
_FIELD_CODES: Final = {
    "amount": "BAD_AMOUNT",
    "price": "BAD_PRICE",
    "symbol": "BAD_ASSET",
    "rate": "BAD_RATE",
    "period": "BAD_TERM",
}
Row = list[Any]


def client(address: str, key: str, secret: str, limited: bool = True) -> Any:
    """Return a ccxt.bitfinex client of the venue at `address`; only addresses and numbers are not its defaults.

    Numbers are exact: the client makes Decimals of text, and JSON numbers are handed to it as the text they were.
    `limited` False leaves out the client's own pauses: for an exchange of ours. It never repeats a request by itself.
    """
    import ccxt

    made = ccxt.bitfinex(
        {
            "apiKey": key,
            "secret": secret,
            "number": Decimal,
            "enableRateLimit": limited,
            "urls": {"api": {"public": address, "private": address}},
        }
    )
    made.options["maxRetriesOnFailure"] = 0
    made.on_json_response = exact_json
    return made


def exact_json(text: str) -> Any:
    """Return parsed JSON with every number that is not whole as the text it was: no float is made."""
    return json.loads(text, parse_float=str)


class FailedError(Exception):
    """The venue answered, and said that it did not do what was asked."""


def told(answer: Any) -> Any:
    """Return what a notification is about.

    Raises FailedError if it says that nothing was done, TypeError if it is no notification: the client hands on a page
    of a proxy, or half a reply, as if it were one.
    """
    if not isinstance(answer, list) or len(answer) < 8 or answer[6] not in ("SUCCESS", "ERROR", "FAILURE"):
        raise TypeError(f"not a notification: {str(answer)[:80]}")
    if answer[6] != "SUCCESS":  # at HTTP 200 the client raises nothing for a transfer
        raise FailedError(str(answer[7]))
    return answer[4]


def rows_of(answer: Any) -> list[Row]:
    """Return an answer that must be rows; anything else (an empty or a cut reply) raises TypeError."""
    if not isinstance(answer, list) or not all(isinstance(row, list) for row in answer):
        raise TypeError(f"not rows: {str(answer)[:80]}")
    return answer


def refusal_of(error: Exception) -> Rejection | None:
    """Return the rejection that an exception of the client stands for; None if the outcome is unknown.

    Raises VenueError for what neither waiting nor asking mends. The margin wallet's lack of funds arrives as
    PermissionDenied: its text tells it from a key without permissions.
    """
    import ccxt

    text = str(error)
    if isinstance(error, FailedError | VenueError):
        return _by_text(text) or _raise(error)
    if isinstance(error, ccxt.InsufficientFunds | ccxt.OrderNotFound | ccxt.BadRequest | ccxt.PermissionDenied):
        return _by_text(text) or _raise(error)
    if isinstance(error, ccxt.AuthenticationError | ccxt.ArgumentsRequired | ccxt.NotSupported | ccxt.BadSymbol):
        return _raise(error)
    return None


def _by_text(text: str) -> Rejection | None:
    found = _CODE.search(text)
    if found and found.group(1) in REJECTIONS:
        return Rejection(found.group(1), found.group(2))
    if "not enough tradable balance" in text:
        return Rejection("NOT_ENOUGH_MARGIN", text)
    if "not enough exchange balance" in text or "available balance is only" in text:
        return Rejection("NOT_ENOUGH_BALANCE", text)
    if "Order not found" in text:
        return Rejection("UNKNOWN_ID", text)
    field = re.search(r"(\w+): invalid", text)
    return Rejection(_FIELD_CODES[field.group(1)], text) if field and field.group(1) in _FIELD_CODES else None


def _raise(error: Exception) -> NoReturn:
    raise VenueError(f"the venue refuses: {in_words(error)}") from error


def in_words(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
