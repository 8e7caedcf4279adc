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


class LeapGuard:
    """Looks at every price of one source before anybody else."""

    __slots__ = ("_good", "_jumps", "_rules", "_source", "_tell")

    def __init__(self, source: str, rules: GuardRules, tell: Tell) -> None:
        self._source = source
        self._rules = rules
        self._tell = tell
        self._good: tuple[int, int] | None = None
        self._jumps = 0

    def passes_quote(self, quote: Quote) -> bool:
        """Return whether a quote may be believed; raises AnswerError for a crossed or emptily locked one too."""
        shown = _shown((quote.bid_sat, quote.ask_sat))
        if quote.bid_sat > quote.ask_sat:
            raise AnswerError(self._source, f"{shown}: bid above ask: a crossed book cannot stand")
        if quote.bid_sat == quote.ask_sat and not (quote.bid_size_lots and quote.ask_size_lots):
            raise AnswerError(self._source, f"{shown}: bid and ask are equal and a size is 0")
        return self.passes(quote.bid_sat, quote.ask_sat)

    def passes(self, low_sat: int, high_sat: int) -> bool:
        """Return whether prices may be believed: bid and ask, or a trade's price twice.

        Raises AnswerError for one above the contract's bound, CircuitBreakError when leaps do not end.
        """
        now, good = (low_sat, high_sat), self._good
        if high_sat > self._rules.max_price_sat:
            what = f"{_shown(now)}: above the contract's max_price, {_btc(self._rules.max_price_sat)} BTC"
            raise AnswerError(self._source, what, "check ccxt.symbol and ccxt.unit")
        times = self._rules.max_jump
        if good is None or not any(a >= times * b or times * a <= b for a, b in zip(now, good, strict=True)):
            self._good, self._jumps = now, 0
            return True
        self._jumps += 1
        text = f"{self._source}: {_shown(now)} after {_shown(good)}: a leap by {times} times or more"
        if self._jumps >= self._rules.jumps_to_break:
            raise CircuitBreakError(self._source, f"{text}, {self._jumps} times in a row", "look, then start again")
        self._tell("leap", f"{text}; not believed, {self._jumps} of {self._rules.jumps_to_break}")
        return False


def _shown(prices: tuple[int, int]) -> str:
    return "/".join(map(_btc, dict.fromkeys(prices))) + " BTC"


def _btc(price_sat: int) -> str:
    whole, rest = divmod(price_sat, SAT_PER_BTC)  # rounded down, the rest is printed
    return f"{whole}.{rest:08d}"
