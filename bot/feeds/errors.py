"""What can go wrong with a live source, by name: each says which source, what it did, and what to do."""

from __future__ import annotations

from bot.errors import FairhashError


class SourceError(FairhashError):
    """A live source failed. `source` is its name; `passing` tells whether asking again may help."""

    exit_code = 10
    passing = True

    def __init__(self, source: str, what: str, remedy: str = "") -> None:
        self.source = source
        self.what = what
        self.remedy = remedy
        super().__init__(f"{source}: {what}" + (f" ({remedy})" if remedy else ""))


class UnreachableError(SourceError):
    """It cannot be reached, does not answer in time, or says that it is busy."""


class AnswerError(SourceError):
    """It answered something that cannot be: no JSON, a body without end, a header that fails verification."""


class StaleError(SourceError):
    """It answers, but nothing new has come for longer than allowed."""


class RefusedAccessError(SourceError):
    """It does not let us in; asking again will not help."""

    passing = False


class WrongChainError(SourceError):
    """It is on another network, or on another history than the one that was counted on."""

    passing = False


class WrongMarketError(SourceError):
    """The exchange, the market or the way to ask for it is not there, or is not what the contract needs."""

    passing = False


class DeepReorganisationError(SourceError):
    """Blocks that were already fed are no longer on the best chain; their dividends were booked. See docs/feeds.md."""

    passing = False


class ClockLeapError(SourceError):
    """Our own clock leapt ahead: what was booked at such a time could end the contract, and cannot be taken back."""

    passing = False


class CircuitBreakError(SourceError):
    """The market showed a price that may not be acted on, and kept showing it."""

    passing = False
