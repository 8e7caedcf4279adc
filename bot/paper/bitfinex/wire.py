"""JSON on the wire: bounded when read, exact when written; no float is ever made.

Numbers are read as int or Decimal and written as ints or as plain decimal digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from types import NoneType
from typing import Any, Final, NoReturn

from bot.paper.bitfinex.refusals import BAD_REQUEST, RefusedError, bad

MAX_BODY_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 8
MAX_DIGITS: Final = 32
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a request's body is; an empty body is an empty object.

    Raises RefusedError for anything else: too long (HTTP 413), too deep, a number of too many digits, NaN, a key twice.
    """
    if len(body) > MAX_BODY_BYTES:
        raise RefusedError(BAD_REQUEST, f"body: invalid (longer than {MAX_BODY_BYTES} bytes)", status=413)
    read = read_value(body) if body.strip() else {}
    if not isinstance(read, dict):
        raise bad("body", "not a JSON object")
    return read


def read_value(body: bytes) -> Any:
    """Return the JSON value of a body or message that is not too long; refuses what `read_object` does."""
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _refuse_depth(body)
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_int=_whole,
            parse_float=_decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError as error:
        raise bad("body", "not UTF-8") from error
    except json.JSONDecodeError as error:
        raise bad("body", f"not JSON at character {error.pos}") from error


def _refuse_depth(body: bytes) -> None:
    depth = 0
    for found in _BRACKETS.finditer(body):
        first = found.group()[:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MAX_DEPTH:
            raise bad("body", f"nested deeper than {MAX_DEPTH}")


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise bad("number", f"more than {MAX_DIGITS} digits")
    return int(text)


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_DIGITS or "e" in text or "E" in text:
        raise bad("number", f"an exponent, or more than {MAX_DIGITS} digits")
    return Decimal(text)


def _refuse_constant(text: str) -> NoReturn:
    raise bad("number", text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise bad("body", "a key twice")
    return found


def write(value: Any) -> bytes:
    """Return `value` (lists, dicts, text, ints, Decimals, truth values, None) as JSON; a float is a bug of ours.

    >>> write([1, Decimal("-0.00000010"), None, "a"])
    b'[1,-0.0000001,null,"a"]'
    """
    return _WRITERS[type(value)](value).encode()


def plain(number: Decimal) -> str:
    """Return a Decimal in plain digits without trailing zeros: no exponent, no minus before a zero."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


class _Writers(dict[type, Callable[[Any], str]]):
    """How a value of each type is written; every reply goes through here, so there is no search by isinstance."""

    def __missing__(self, kind: type) -> NoReturn:
        raise TypeError(f"{kind.__name__} has no place in a reply")


def _list(items: list[Any] | tuple[Any, ...]) -> str:
    return "[" + ",".join([_WRITERS[type(item)](item) for item in items]) + "]"


def _dict(fields: dict[str, Any]) -> str:
    named = [f"{encode_basestring_ascii(name)}:{_WRITERS[type(item)](item)}" for name, item in fields.items()]
    return "{" + ",".join(named) + "}"


_WRITERS: Final = _Writers(
    {
        str: encode_basestring_ascii,
        int: int.__repr__,
        bool: {True: "true", False: "false"}.__getitem__,
        NoneType: lambda nothing: "null",
        Decimal: plain,
        list: _list,
        tuple: _list,
        dict: _dict,
    }
)
