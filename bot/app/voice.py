"""What a running daemon says on standard error: log lines, and at a terminal a status line below them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

from backtests.output import btc_text
from bot.core.events import Fill, Notice
from bot.history.fields import iso_utc
from bot.log import log_run, run_logger


class Voice:
    """Speaks until nobody listens: a log that is full, or whose reader has gone, stops no daemon."""

    def __init__(self, simulated: bool, as_json: bool) -> None:
        self._simulated = simulated
        self._is_terminal = not as_json and sys.stderr.isatty()
        self._logger = run_logger(as_json, simulated_prices=simulated)
        self.is_mute = False

    def say(self, event: str, time_ns: int, **fields: Any) -> None:
        """Log one line."""
        self._speak(lambda: self._logger.info(event, time=iso_utc(time_ns), **fields))

    def report(self, name: str, fills: Sequence[Fill], notices: Sequence[Notice]) -> None:
        """Log what happened to a strategy: every field for programs, a sentence for people."""
        if not self._is_terminal:
            self._speak(lambda: log_run(self._logger.bind(strategy=name), fills, notices))
            return
        lines = [(fill.time_ns, _sentence(fill)) for fill in fills if fill.user == name]
        lines += [(notice.time_ns, f"{notice.kind}: {notice.text}") for notice in notices]
        for time_ns, text in sorted(lines, key=lambda line: line[0]):
            self.say(f"{name}: {text}", time_ns)

    def show(self, status: dict[str, Any], last: bool = False) -> None:
        """Show the status line, if anybody looks."""
        if self._is_terminal:
            line = self._line(status)
            self._speak(lambda: print(line, end="\n" if last else "", file=sys.stderr, flush=True))

    def _speak(self, say: Callable[[], object]) -> None:
        if self.is_mute:
            return
        try:
            if self._is_terminal:
                print("\r\x1b[K", end="", file=sys.stderr)
            say()
        except OSError:
            self.is_mute = True

    def _line(self, status: dict[str, Any]) -> str:
        simulated = " (simulated)" if self._simulated else ""
        price, fair = (btc_text(status[key])[:-4] for key in ("price_sat", "fair_sat"))
        parts = [f"{status['time_utc'][:16].replace('T', ' ')} UTC", f"{price} BTC{simulated}", f"fair {fair}"]
        rows = ((one["name"], one["position_lots"], one["equity_sat"]) for one in status["strategies"])
        parts += [f"{name} {lots:+d} {btc_text(equity_sat)[:-6]}" for name, lots, equity_sat in rows]
        return "  ".join(parts)[: shutil.get_terminal_size().columns - 1]


def _sentence(fill: Fill) -> str:
    done = "bought" if fill.size_lots > 0 else "sold"
    price, fee = btc_text(fill.price_sat), btc_text(fill.fee_sat)
    return f"{done} {abs(fill.size_lots)} lots at {price} BTC, fee {fee} BTC"
