"""History files as files: header, comments, encoding, compression, size."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from bot.history import lines, reading
from bot.history.load import load_market
from tests.contracts import th1
from tests.unit.test_history_load import BARS, GOOD_BAR, GOOD_QUOTE, NEXT_BAR, QUOTES, RATES, csv, refusal


@pytest.mark.parametrize(
    ("header", "nearest"),
    [
        ("time,open,hi,low,close,volume", "did you mean high?"),
        ("time,open,high,low,close,vol", "did you mean volume?"),
        ("Time,open,high,low,close,volume", "did you mean time?"),
        ("time,bid,bidsize,ask,asksize", "did you mean bid_size?"),
        ("time, open,high,low,close,volume", "did you mean open?"),
        ("time,high,open,low,close,volume", "in that order"),
        (RATES, "is not time,open,high,low,close,volume or time,bid,bid_size,ask,ask_size"),
        (GOOD_BAR, "unknown column"),
    ],
)
def test_a_wrong_header_is_refused_with_the_nearest_name(tmp_path: Path, header: str, nearest: str) -> None:
    path = csv(tmp_path, "# simulated: true", header, GOOD_BAR)
    problems = refusal(path)
    assert all(problem.startswith(f"{path}:2: ") for problem in problems)
    assert any(nearest in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("comment", "what"),
    [
        ("# simulated: yes", "'yes' is neither true nor false"),
        ("# simulatd: true", "did you mean simulated?"),
        ("# simulated = true", "speaks of simulation"),
        ("# SIMULATED PRICES", "speaks of simulation"),
        ("# source: a simulation of mine", "speaks of simulation"),
        ("# intervall: 1h", "did you mean interval?"),
        ("# interval: 0 s", "not a span"),
        ("# interval: hour", "not a span"),
        ("# interval: 1_0 s", "not a span"),
        ("# contract: OTHER", "'OTHER' is not TH1BTC-2014Q4"),
    ],
)
def test_a_comment_that_is_meant_but_wrong_is_refused(tmp_path: Path, comment: str, what: str) -> None:
    path = csv(tmp_path, comment, BARS, GOOD_BAR, NEXT_BAR)
    problems = refusal(path)
    assert problems[0].startswith(f"{path}:1: ") and what in problems[0], problems


def test_a_comment_twice_is_refused_free_ones_are_not(tmp_path: Path) -> None:
    free = ["# seed: 7", "#", "# a sentence, and more", "# settings.spread: 0.1", "# generator: x", "# source: y"]
    assert load_market(csv(tmp_path, *free, QUOTES, GOOD_QUOTE), th1()).quotes
    path = csv(tmp_path, "# simulated: true", "# simulated: false", QUOTES, GOOD_QUOTE)
    assert refusal(path) == [f"{path}:2: comment 'simulated' stands twice (keep one of them)"]


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (b"", 1, "no header"),
        (b"# simulated: true\n", 1, "no header"),
        (f"{QUOTES}\n".encode(), 0, "has no rows"),
        (b"\xef\xbb\xbf" + f"{QUOTES}\n{GOOD_QUOTE}\n".encode(), 1, "byte order mark"),
        (f"{QUOTES}\n{GOOD_QUOTE}\n".encode("utf-16"), 1, "byte order mark"),
        (f"{QUOTES}\r\n{GOOD_QUOTE}\r\n".encode(), 1, "carriage return"),
        (f"{QUOTES}\n{GOOD_QUOTE}\r\n".encode(), 2, "carriage return"),
        (f"{QUOTES}\n{GOOD_QUOTE}".encode(), 2, "no line end"),
        (f"{QUOTES}\n{GOOD_QUOTE.replace('3', chr(0x0663))}\n".encode(), 2, "byte 0xd9 is not ASCII"),
        (f"{QUOTES}\n{GOOD_QUOTE.replace('3', chr(0xFF13))}\n".encode(), 2, "not ASCII"),
        (f"{QUOTES}\n{GOOD_QUOTE}\n\x00\n".encode(), 3, "row has 1 columns"),
        (b"x" * 300_000, 1, "longer than 262144 bytes"),
        (f"{QUOTES}\n".encode() + b"1," * 100_000 + b"\n", 2, "columns, not 5"),
        (b"\x00" * 1000, 1, "no line end"),
    ],
)
def test_a_file_that_is_not_clean_ascii_lines_is_refused(tmp_path: Path, content: bytes, line: int, what: str) -> None:
    path = tmp_path / "market.csv"
    path.write_bytes(content)
    problems = refusal(path)
    assert problems[0].startswith(f"{path}:{line}: " if line else f"{path}: ") and what in problems[0], problems


def test_a_gzipped_file_loads_as_the_plain_one_and_hashes_as_stored(tmp_path: Path) -> None:
    plain = csv(tmp_path, QUOTES, GOOD_QUOTE)
    packed = tmp_path / "market.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    history = load_market(packed, th1())
    assert history.quotes == load_market(plain, th1()).quotes
    assert history.sources[0].sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()


def test_a_damaged_gzip_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    packed = tmp_path / "market.csv.gz"
    content = gzip.compress(f"{QUOTES}\n{GOOD_QUOTE}\n".encode(), mtime=0)
    for damaged in (*(content[:length] for length in range(len(content))), content + b"junk", b"\x00" + content):
        packed.write_bytes(damaged)
        assert refusal(packed)[0].startswith(str(packed))
    flipped = bytearray(content)
    flipped[-6] ^= 1  # the checksum
    packed.write_bytes(flipped)
    assert "cannot be read on" in refusal(packed)[0]


def test_too_much_is_refused_before_it_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = csv(tmp_path, BARS, GOOD_BAR, NEXT_BAR, GOOD_BAR.replace("T00", "T02"))
    monkeypatch.setattr(reading, "MAX_ROWS", 2)
    assert refusal(path) == [f"{path}:4: has more than 2 rows (split it or take longer bars)"]
    monkeypatch.setattr(lines, "MAX_BYTES", 50)
    assert "more than 50" in refusal(path)[0]
    packed = tmp_path / "bomb.csv.gz"
    packed.write_bytes(gzip.compress(b"0" * 10_000))
    monkeypatch.setattr(lines, "MAX_BYTES", 5_000)
    assert "has more than 5000 bytes" in refusal(packed)[0]


def test_what_is_not_a_file_of_a_known_kind_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    for path, what in (
        (pipe, "not a regular file"),
        (folder, "not a regular file"),
        (tmp_path / "absent.csv", "cannot be read: No such file"),
        (tmp_path / "market.xlsx", "unknown kind of file"),
        (Path("a\0b.csv"), "cannot be read"),
    ):
        assert what in refusal(path)[0]
