"""Stores what a live feed delivers as history: quotes or bars by the day and swap rates as CSV, headers and figures.

Crash-safe by its form: files are only appended to, a row that a crash cut off is dropped at the next start, and what
may be lost is what came since the last sync: at most `sync_ns` of quotes, and no block. A recording is resumed by
recording into its directory again; the gap between is a gap, never filled.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from bot.chain.network import MAINNET, Network
from bot.core.contract import Contract
from bot.core.events import Bar, Block, Quote, SwapRate
from bot.core.units import NS_PER_S
from bot.errors import OutputError, Problem
from bot.feeds.join import Live, LiveFeed
from bot.feeds.recorded_chain import HeaderFile
from bot.feeds.recorded_rates import RateFile
from bot.history.days import day_files, day_name
from bot.history.fields import iso_utc
from bot.history.reading import read
from bot.history.series import BARS, QUOTES
from bot.history.write import bars_csv, quotes_csv

SYNC_NS: Final = 5 * NS_PER_S
FIGURES_NS: Final = 60 * NS_PER_S
"""Figures are made anew from all headers: at most once in this time, and at the end."""


class Recorder:
    """Writes one recording: `begin` once, then `add`. `told` says what was found when it was taken up again."""

    def __init__(
        self,
        directory: Path,
        contract: Contract,
        comments: Mapping[str, str],
        network: Network = MAINNET,
        kind: str = QUOTES,
        sync_ns: int = SYNC_NS,
    ) -> None:
        """Begin a recording of a `kind` of rows, QUOTES or BARS, or take one up.

        Raises OutputError if another process records there or it cannot be written, ChainError for damaged headers.
        """
        self._directory = directory
        self._contract = contract
        self._comments = dict(comments)
        self._kind = kind
        self._sync_ns = sync_ns
        self._file: IO[bytes] | None = None
        self._day = ""
        self._synced_ns = self._figured_ns = 0
        self._has_news = False
        self._feed: LiveFeed | None = None
        self.rows = self.blocks = self.rates = 0
        self.told: list[str] = []
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = (directory / ".lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise _refused(directory, "another process records there", "stop it, or choose another --out") from error
        except OSError as error:
            raise _refused(directory, f"cannot be written: {error.strerror or error}") from error
        try:
            self.headers = HeaderFile(directory, network)
            if self.headers.dropped_bytes:
                self.told.append(f"dropped {self.headers.dropped_bytes} bytes of a header that was cut off")
            self._rate_file = RateFile(directory, contract, comments)
            if self._rate_file.dropped_bytes:
                self.told.append(f"dropped {self._rate_file.dropped_bytes} bytes of a swap rate that was cut off")
            self.last_ns = max(self._recover(), self._rate_file.last_ns)
        except BaseException:
            self._lock.close()
            raise

    def begin(self, feed: LiveFeed) -> None:
        """Record what `feed`, which has started, will deliver; note the chain up to where it begins."""
        self._feed = feed
        if feed.blocks is not None:
            self.headers.begin(feed.blocks.line, feed.blocks.fed_height)

    def add(self, event: Live) -> None:
        """Store one event. Raises OutputError when it cannot be written; what was written stays."""
        try:
            if isinstance(event, Block):
                self._add_block(event)
            elif isinstance(event, SwapRate):
                self._rate_file.add(event)
                self.rates += 1
            else:
                self._add_row(event)
            self.last_ns = event.close_ns if isinstance(event, Bar) else event.time_ns
            if self.last_ns - self._synced_ns >= self._sync_ns:
                self.sync()
                self._synced_ns = self.last_ns
        except OSError as error:
            raise _refused(self._directory, f"cannot be written: {error.strerror or error}", "free space") from error

    def sync(self) -> None:
        """Make durable what was added."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
        self._rate_file.sync()

    def close(self) -> None:
        """Make durable what was added, and let another process record here."""
        try:
            self.sync()
            if self._has_news:
                self._write_figures()
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None
            self._rate_file.close()
            self._lock.close()

    def _add_row(self, event: Quote | Bar) -> None:
        day = iso_utc(event.time_ns)[:10]
        if day != self._day or self._file is None:
            self._rotate(day)
        assert self._file is not None
        text = self._csv([event], {})
        self._file.write(text[text[:-1].rindex("\n") + 1 :].encode("ascii"))
        self.rows += 1

    def _csv(self, events: Sequence[Any], comments: Mapping[str, str]) -> str:
        write: Any = bars_csv if self._kind == BARS else quotes_csv
        return str(write(events, self._contract, comments))

    def _add_block(self, block: Block) -> None:
        assert self._feed is not None and self._feed.blocks is not None, "begin() first"
        self.headers.add(self._feed.blocks.line.raw_at(block.height))
        self.blocks += 1
        self._has_news = True
        if block.time_ns - self._figured_ns >= FIGURES_NS:  # not for every block that is caught up
            self._write_figures()
            self._figured_ns = block.time_ns

    def _write_figures(self) -> None:
        assert self._feed is not None and self._feed.blocks is not None, "begin() first"
        self._has_news = False
        line = self._feed.blocks.line
        if line.network is MAINNET:  # no other chain's difficulty means anything to a contract
            self.headers.write_figures(self._feed.epochs, self._feed.name)

    def _rotate(self, day: str) -> None:
        """Go on in the file of `day`; a new one begins with its comments and the names of its columns."""
        self.sync()
        if self._file is not None:
            self._file.close()
        path = self._directory / day_name(self._contract.id, self._kind, day)
        self._file = path.open("ab")
        self._day = day
        if self._file.tell() == 0:
            self._file.write(self._csv([], self._comments).encode("ascii"))
            place = os.open(self._directory, os.O_RDONLY)  # a new name must be durable too
            os.fsync(place)
            os.close(place)

    def _recover(self) -> int:
        """Drop what a crash cut off in the last day's file; return the time of the last row, 0 if there is none."""
        files = day_files(self._directory, self._contract.id, self._kind)
        while files:
            path = files[-1]
            whole = _whole_lines(path)
            rows = [line for line in whole.splitlines() if not line.startswith(b"#")][1:]
            cut_off = path.stat().st_size - len(whole)
            if not rows:  # nothing but a head
                path.unlink()
                self.told.append(f"dropped {path.name}, which had no row yet")
                files.pop()
                continue
            if cut_off:
                os.truncate(path, len(whole))
                self.told.append(f"dropped {cut_off} bytes of a row that was cut off at the end of {path.name}")
            reading = read(path, self._contract, (self._kind,))
            if reading.refused:
                raise OutputError(reading.problems())
            last = reading.rows[-1]
            return last.close_ns if isinstance(last, Bar) else last.time_ns
        return 0


def _whole_lines(path: Path) -> bytes:
    """Return what a file holds up to its last line end."""
    raw = path.read_bytes()
    return raw[: raw.rfind(b"\n") + 1]


def _refused(directory: Path, what: str, remedy: str = "choose another --out") -> OutputError:
    return OutputError([Problem(str(directory), what, remedy)])
