"""How far the work is: rate and time left from new pieces only, on a clock that the test turns."""

from __future__ import annotations

import pytest

from bot.app.progress import Progress


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_rate_and_time_left_count_what_was_done_now(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    shown = Progress(1_000, "runs", clock)
    for _ in range(500):
        shown.step(is_new=False)
    assert capsys.readouterr().err == "", "found done in no time"
    clock.now_s += 60  # what prepared the work
    for _ in range(101):
        shown.step(is_new=True, remark="best +1 BTC")
        clock.now_s += 0.5
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "[501/1000 runs] best +1 BTC", "one piece has no rate yet"
    assert told[-1] == "[601/1000 runs] 2.0/s, 4 min left, best +1 BTC"
    assert len(told) == 6, "a log gets a line every ten seconds"
    for _ in range(399):
        shown.step(is_new=True)
    shown.finish()
    assert "left" not in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("left", "words"),
    [(1, "1 s left"), (88, "88 s left"), (89, "89 s left"), (90, "2 min left"), (36_001, "10 h 1 min left")],
)
def test_time_left_is_rounded_up(left: int, words: str) -> None:
    clock = Clock()
    shown = Progress(2 + left, "runs", clock)
    shown.step(is_new=True)
    clock.now_s += 1
    shown.step(is_new=True)
    assert words in shown.text(clock.now_s)


def test_a_single_piece_has_no_rate() -> None:
    clock = Clock()
    shown = Progress(5, "runs", clock)
    shown.step(is_new=True)
    assert shown.text(clock.now_s + 1, "best 0 BTC") == "[1/5 runs] best 0 BTC"
    assert shown.text(clock.now_s + 1) == "[1/5 runs]"
