"""No text whatever makes reading a configuration do anything but succeed or refuse in lines; kinds round-trip."""

from __future__ import annotations

import gc
import re
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot.config import load_settings
from bot.core.units import INT64_MAX
from bot.errors import ConfigError
from bot.fields import Duration, Fraction, HashPower, Integer, Money, Ppm, Rate, Size, Text, Timestamp, setting
from bot.fields.kinds import Kind, RefusedError

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "config.yaml").read_text(encoding="utf-8")
CONTRACT = (ROOT / "contracts" / "TH1BTC-2014Q4.yaml").read_text(encoding="utf-8")
SECONDS = 2.0
"""No single document may take longer, on a slow machine too; the shipped one takes about 0.02."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    entry_band: float = setting(Fraction(), default="0.25", low="0", high="5", doc="Enter beyond this.")
    exit_band: float = setting(Fraction(), default="0.05", low="0", high="5", doc="Leave within this.")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("project")
    (made / "contracts").mkdir()
    (made / "backtests" / "history").mkdir(parents=True)
    for name in ("quotes", "swap-rates"):
        (made / "backtests" / "history" / f"TH1BTC-2014Q4-{name}.csv").touch()
    return made


def read(directory: Path, config: str | bytes, contract: str | bytes = CONTRACT) -> bool:
    """Return whether the documents are accepted; anything but that or a list of one-line problems fails."""
    for name, text in (("config.yaml", config), ("contracts/TH1BTC-2014Q4.yaml", contract)):
        (directory / name).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    gc.disable()  # what other tests have left behind would be gone through inside the time
    started = time.perf_counter()
    try:
        load_settings(directory / "config.yaml", lambda _use: Params)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            text = str(problem)
            assert text.isprintable() and len(text) < 1_500
            assert re.match(r".*\.yaml:[1-9][0-9]*: ", text), text
        return False
    finally:
        took_s = time.perf_counter() - started
        gc.enable()
        assert took_s < SECONDS
    return True


SYNTAX = [
    "&a ",
    "*a ",
    "!!python/object:os.system ",
    "<<: ",
    "{",
    "}",
    "[",
    "]",
    "- ",
    "? ",
    ": ",
    "|\n",
    ">\n",
    "'",
    '"',
    "%",
    "@",
    "\t",
    "\n",
    "---\n",
    "...\n",
]
CHARACTERS = ["\r", "\0", "\ufeff", "\u2028", "\ud800", "\\x00", '"\\0"', '"\\ud800"', "٣"]
WORDS = "~ no 010 12:30:00 1_0 1e999 nan .inf {} [] #".split()  # noqa: SIM905 - shorter so
NASTY = st.sampled_from([*SYNTAX, *CHARACTERS, *WORDS, "9" * 5_000, "{a: " * 50, "[" * 2_000, "a: 1\n" * 200])


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """A document with a few pieces cut out, doubled, moved or replaced by something nasty."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        piece = draw(st.one_of(st.just(""), NASTY, st.text(max_size=8), st.just(text[start:end] * 2)))
        text = text[:start] + piece + text[end:]
    return text


def test_the_documents_that_are_mutated_are_accepted_as_they_are(directory: Path) -> None:
    assert read(directory, SHIPPED)


FEW = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
@example(b"")
@example("&" * 100_000)
@example("{a: " * 60_000)
@example("? " * 120_000)
@example("[" + "a," * 120_000)
@example("a:\n" * 80_000)
@example("\n".join(f"key{i}: 1" for i in range(18_000)))
@example("strategies:\n" + "- use: a\n" * 9_000)
def test_no_text_at_all_does_harm(directory: Path, text: str | bytes) -> None:
    read(directory, text)


@FEW
@given(mutated(SHIPPED))
def test_no_change_to_the_configuration_does_harm(directory: Path, text: str) -> None:
    read(directory, text)


@FEW
@given(mutated(CONTRACT))
def test_no_change_to_the_contract_does_harm(directory: Path, text: str) -> None:
    read(directory, SHIPPED, text)


VALUE = re.compile(r"(?<=[a-z]: )[^\s{#][^#\n{,}]*")
VALUES = sorted(set(VALUE.findall(SHIPPED + CONTRACT)))
UNITS = st.sampled_from(["BTC", "sat", "contracts", "%", "d", "h", "TH/s", "EH/s", "%/day", "ppm"])
AMOUNTS = st.builds("{:f} {}".format, st.decimals(0, 10**12, places=6), UNITS)


@st.composite
def exchanged(draw: st.DrawFn, text: str) -> str:
    """A document with a few values replaced by others that are well formed."""
    places = [match.span() for match in VALUE.finditer(text)]
    for start, end in sorted(draw(st.lists(st.sampled_from(places), max_size=3, unique=True)), reverse=True):
        text = text[:start] + draw(st.one_of(st.sampled_from(VALUES), AMOUNTS)) + text[end:]
    return text


@FEW
@given(exchanged(SHIPPED), exchanged(CONTRACT))
def test_no_value_in_the_place_of_another_does_harm(directory: Path, config: str, contract: str) -> None:
    """Well-formed values reach the checks between settings, which random text seldom does."""
    read(directory, config, contract)


INT64 = st.one_of(st.integers(0, 10_000), st.integers(0, INT64_MAX))


@given(st.sampled_from([Money(), HashPower(), Rate(), Duration(), Ppm(), Integer()]), INT64)
def test_every_integer_amount_survives_being_shown_and_read(kind: Kind, value: int) -> None:
    assert kind.read_text(kind.show(value)) == value


@given(st.integers(0, 9_214_646_399_999_999_999))
def test_every_instant_survives_being_shown_and_read(value: int) -> None:
    assert Timestamp().read_text(Timestamp().show(value)) == value


@given(st.floats(min_value=-1e15, max_value=1e15).filter(lambda value: value == 0 or abs(value) > 1e-15))
def test_every_fraction_survives_being_shown_and_read(value: float) -> None:
    assert Fraction().read_text(Fraction().show(value)) == value


@given(st.decimals(0, 10**9, places=8))
def test_every_size_survives_being_shown_and_read(value: Decimal) -> None:
    assert Size().read_text(Size().show(value)) == value


@given(
    st.sampled_from([Money(), Size(), Rate(), Ppm(), Fraction(), Timestamp(), Integer(), Text()]), st.text(max_size=20)
)
def test_a_kind_reads_a_text_or_refuses_it(kind: Kind, text: str) -> None:
    try:
        value: Any = kind.read_text(text)
    except RefusedError:
        return
    assert kind.read_text(kind.show(value)) == value
