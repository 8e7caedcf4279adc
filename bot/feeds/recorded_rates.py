"""The swap rates of a recording: one CSV file that grows, as `bot.history.load.load_rates` reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from bot.core.contract import Contract
from bot.core.events import SwapRate
from bot.errors import OutputError
from bot.history.reading import read
from bot.history.series import RATES
from bot.history.write import rates_csv


class RateFile:
    """`<contract>-swap-rates.csv` in a recording's directory; it is made when the first rate comes."""

    def __init__(self, directory: Path, contract: Contract, comments: Mapping[str, str]) -> None:
        """Take up the file of a recording that was begun, or none; a row that a crash cut off is dropped.

        `last_ns` is the time of its last row, 0 without one. Raises OutputError for a file that is none of ours.
        """
        self._path = directory / f"{contract.id}-swap-rates.csv"
        self._contract = contract
        self._comments = {key: text for key, text in comments.items() if key != "interval"}  # rates come when they come
        self._file: IO[bytes] | None = None
        self.dropped_bytes = self.last_ns = 0
        if self._path.exists():
            raw = self._path.read_bytes()
            whole = raw[: raw.rfind(b"\n") + 1]
            if sum(not line.startswith(b"#") for line in whole.splitlines()) < 2:  # nothing but a head
                whole = b""
            self.dropped_bytes = len(raw) - len(whole)
            if self.dropped_bytes:
                os.truncate(self._path, len(whole))
            if whole:
                reading = read(self._path, contract, (RATES,))
                if reading.refused:
                    raise OutputError(reading.problems())
                self.last_ns = reading.rows[-1][0]

    def add(self, rate: SwapRate) -> None:
        """Append one row; `sync` makes it durable."""
        if self._file is None:
            self._file = self._path.open("ab")
        is_new = self._file.tell() == 0
        text = rates_csv([rate], self._contract, self._comments)
        self._file.write((text if is_new else text[text[:-1].rindex("\n") + 1 :]).encode("ascii"))

    def sync(self) -> None:
        """Make durable what was added."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Make durable what was added, and close the file."""
        self.sync()
        if self._file is not None:
            self._file.close()
            self._file = None
