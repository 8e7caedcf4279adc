"""Refusals in the shapes that ccxt maps to its exceptions: HTTP 500 with ["error", code, text]."""

from __future__ import annotations

from typing import Final

from bot.core.order import REJECTIONS, Rejection

GENERIC: Final = 10001
BAD_REQUEST: Final = 10020
BAD_KEY: Final = 10100
SMALL_NONCE: Final = 10114
TOO_MANY: Final = 11010
MAINTENANCE: Final = 20060

# What ccxt looks for in the text, by rejection: it tells InsufficientFunds, OrderNotFound and the rest apart by it.
_WORDS: Final = {
    "NOT_ENOUGH_BALANCE": (GENERIC, "Invalid order: not enough exchange balance"),
    "NOT_ENOUGH_MARGIN": (GENERIC, "Invalid order: not enough tradable balance"),
    "NO_FUNDING": (GENERIC, "Invalid order: not enough tradable balance"),
    "UNKNOWN_ID": (GENERIC, "Order not found"),
    "ALREADY_FINAL": (GENERIC, "Order not found"),
}


class RefusedError(Exception):
    """A request that was refused and had no effect: `status` of HTTP, `code` and `text` of the protocol."""

    def __init__(self, code: int, text: str, status: int = 500) -> None:
        self.status = status
        self.code = code
        self.text = text
        super().__init__(f"{code}: {text}")


def bad(name: str, why: str) -> RefusedError:
    """Return the refusal of a field: `name: invalid` and why; ccxt maps it to BadRequest."""
    return RefusedError(BAD_REQUEST, f"{name}: invalid ({why})")


def rejected(rejection: Rejection) -> RefusedError:
    """Return the refusal that a rejection of the exchange comes to; its code and amounts stand in brackets."""
    code, words = _WORDS.get(rejection.code, (BAD_REQUEST, REJECTIONS[rejection.code]))
    return RefusedError(code, f"{words} ({rejection.code}: {rejection.detail})")
