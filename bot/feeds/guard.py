"""What stands between an exchange's quotes and a strategy: nonsense is refused, a leap breaks the circuit."""

from __future__ import annotations

from dataclasses import dataclass

from bot.core.events import Quote
from bot.core.units import SAT_PER_BTC
from bot.feeds.errors import AnswerError, CircuitBreakError
from bot.feeds.patience import Tell


@dataclass(frozen=True, slots=True)
class GuardRules:
    """A price `max_jump` times the last one or more, or as much less, is not believed; nor one above `max_price_sat`.

    It is asked for again; the `jumps_to_break`-th in a row stops the feed: either the market or the source is broken,
    and a person must look.
    """

    max_jump: int
    max_price_sat: int
    jumps_to_break: int = 5


class QuoteGuard:
    """Looks at every quote of one source before anybody else."""

    __slots__ = ("_good", "_jumps", "_rules", "_source", "_tell")

    def __init__(self, source: str, rules: GuardRules, tell: Tell) -> None:
        self._source = source
        self._rules = rules
        self._tell = tell
        self._good: Quote | None = None
        self._jumps = 0

    def passes(self, quote: Quote) -> bool:
        """Return whether the quote may be believed.

        Raises AnswerError for one that cannot be, CircuitBreakError when leaps do not end.
        """
        self._check(quote)
        good = self._good
        if good is not None and self._leaps(quote, good):
            self._jumps += 1
            text = (
                f"{self._source}: {_shown(quote)} after {_shown(good)}: a leap by {self._rules.max_jump} times or more"
            )
            if self._jumps >= self._rules.jumps_to_break:
                raise CircuitBreakError(self._source, f"{text}, {self._jumps} times in a row", "look, then start again")
            self._tell("leap", f"{text}; not believed, {self._jumps} of {self._rules.jumps_to_break}")
            return False
        self._good, self._jumps = quote, 0
        return True

    def _check(self, quote: Quote) -> None:
        if quote.bid_sat > quote.ask_sat:
            raise AnswerError(self._source, f"{_shown(quote)}: bid above ask: a crossed book cannot stand")
        if quote.bid_sat == quote.ask_sat and not (quote.bid_size_lots and quote.ask_size_lots):
            raise AnswerError(self._source, f"{_shown(quote)}: bid and ask are equal and a size is 0")
        if quote.ask_sat > self._rules.max_price_sat:
            what = f"{_shown(quote)}: above the contract's max_price, {_btc(self._rules.max_price_sat)} BTC"
            raise AnswerError(self._source, what, "check feed.symbol and feed.unit")

    def _leaps(self, quote: Quote, good: Quote) -> bool:
        times = self._rules.max_jump
        pairs = ((quote.bid_sat, good.bid_sat), (quote.ask_sat, good.ask_sat))
        return any(now >= times * then or times * now <= then for now, then in pairs)


def _shown(quote: Quote) -> str:
    return f"{_btc(quote.bid_sat)}/{_btc(quote.ask_sat)} BTC"


def _btc(price_sat: int) -> str:
    whole, rest = divmod(price_sat, SAT_PER_BTC)  # rounded down, the rest is printed
    return f"{whole}.{rest:08d}"
