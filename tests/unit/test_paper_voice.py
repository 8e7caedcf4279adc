"""What the daemon says: sentences at a terminal, JSON elsewhere, and nothing once nobody listens."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from bot.app.voice import Voice
from bot.core.events import Fill, Notice

FILL = Fill(10**18, 3, "band", "trading", -50, 150_000_000, 150_000, 151_000_000, maker=False)
NOTICE = Notice(10**18, "band", "limited", "too dear")
STATUS: dict[str, Any] = {
    "time_utc": "2001-09-09T01:46:40Z",
    "price_sat": 150_000_000,
    "fair_sat": 100_000_000,
    "strategies": [{"name": "band", "position_lots": -50, "equity_sat": 10**10}],
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A pipe whose reader has gone, or a log on a full disk."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        raise BrokenPipeError(32, "Broken pipe")


def test_people_read_sentences_and_a_status_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    voice = Voice(simulated=True, as_json=False)
    voice.report("band", [FILL], [NOTICE])
    voice.show(STATUS)
    text = screen.getvalue()
    assert "band: sold 50 lots at 1.50000000 BTC, fee 0.00150000 BTC" in text
    assert "band: limited: too dear" in text
    assert "1.5000 BTC (simulated)" in text.rpartition("\r")[2]


def test_programs_read_json(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, as_json in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        voice = Voice(simulated=True, as_json=as_json)
        voice.report("band", [FILL], [NOTICE])
        voice.show(STATUS)
        fill, notice = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert (fill["event"], fill["size_lots"], fill["simulated_prices"]) == ("fill", -50, True)
        assert (notice["event"], notice["text"], notice["time"]) == ("limited", "too dear", "2001-09-09T01:46:40Z")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_log_that_nobody_reads_stops_nothing(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    stream = Gone()
    monkeypatch.setattr(sys, "stderr", stream)
    voice = Voice(simulated=True, as_json=as_json)
    voice.report("band", [FILL], [NOTICE])
    voice.say("ended", 1)
    assert voice.is_mute and stream.writes == 1
