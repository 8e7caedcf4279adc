"""Kinds of value: what each reads exactly, what it refuses and how it says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.errors import ConfigError
from bot.fields import (
    Choice,
    Conflict,
    Duration,
    FilePath,
    Flag,
    Fraction,
    HashPower,
    Integer,
    Money,
    Ppm,
    Rate,
    RefusedError,
    Row,
    Scalar,
    Size,
    Text,
    Timestamp,
    explain,
    items,
    parse,
    section,
    setting,
)
from bot.fields.kinds import Kind
from bot.strict_yaml import read_bytes

READ: list[tuple[Kind, str, Any]] = [
    (Text(), "TH1BTC", "TH1BTC"),
    (Text(), "ein Wort, mit Ümlaut", "ein Wort, mit Ümlaut"),
    (Choice("mark", "entry_notional"), "mark", "mark"),
    (Flag(), "true", True),
    (Flag(), "false", False),
    (Integer(), "-17", -17),
    (Integer(), "9223372036854775807", 2**63 - 1),
    (Fraction(), "0.25", 0.25),
    (Fraction(), "25 %", 0.25),
    (Fraction(), "0.1", 0.1),
    (Fraction(), "0", 0.0),
    (Fraction(), "-1", -1.0),
    (Money(), "0", 0),
    (Size(), "0", Decimal(0)),
    (Ppm(), "25 %", 250_000),
    (Ppm(), "0.25", 250_000),
    (Ppm(), "12.5%", 125_000),
    (Ppm(), "3 ppm", 3),
    (Money(), "100 BTC", 10_000_000_000),
    (Money(), "5000000 sat", 5_000_000),
    (Money(), "0.00000001 BTC", 1),
    (Size(), "50 contracts", Decimal(50)),
    (Size(), "1 contract", Decimal(1)),
    (Size(), "0.01 contracts", Decimal("0.01")),
    (HashPower(), "1 TH/s", 10**12),
    (HashPower(), "3.5 PH/s", 3_500 * 10**12),
    (HashPower(), "2 EH/s", 2 * 10**18),
    (Rate(), "0.75 %/day", 7_500_000),
    (Rate(), "574 ppm/day", 574_000),
    (Rate(), "1 ppb/day", 1),
    (Duration(), "250 ms", 250_000_000),
    (Duration(), "6 h", 6 * 3600 * 10**9),
    (Duration(), "30 d", 30 * 86_400 * 10**9),
    (Timestamp(), "2014-09-15", 1_410_739_200 * 10**9),
    (Timestamp(), "2014-09-15T00:00:00Z", 1_410_739_200 * 10**9),
    (Timestamp(), "2016-02-29T12:30Z", 1_456_749_000 * 10**9),
    (Timestamp(), "1970-01-01T00:00:00.000000001Z", 1),
    (FilePath(or_word="bundled"), "bundled", None),
    (FilePath(), "a/b.csv", Path("a/b.csv")),
]


@pytest.mark.parametrize(("kind", "text", "value"), READ)
def test_a_kind_reads_exactly(kind: Kind, text: str, value: Any) -> None:
    read = kind.read_text(text)
    assert read == value and type(read) is type(value)
    assert kind.read_text(kind.show(value)) == value, "what is shown can be written back"


AMOUNTS: tuple[Kind, ...] = (Money(), Size(), HashPower(), Rate(), Duration())
NUMBERS: tuple[Kind, ...] = (Integer(), Fraction(), Ppm())
NOT_NUMBERS = (
    *("010", "1_0", "0x1F", "0o17", "0b1", "1e3", "1E3", ".5", "5.", "+5", "-0", "1,000", "１０", "٣", "12:30:00"),
    *("nan", ".nan", "NaN", "inf", ".inf", "Infinity", "no", "yes", "~", "null", "-"),
)


@pytest.mark.parametrize("text", [*NOT_NUMBERS, "", " 5", "5 ", "--5", "5 5", "9" * 5000])
def test_ambiguous_and_foreign_numbers_are_refused_by_every_kind_of_number(text: str) -> None:
    for kind in NUMBERS:
        with pytest.raises(RefusedError):
            kind.read_text(text)
    for kind in AMOUNTS:
        unit = kind.example.partition(" ")[2]
        with pytest.raises(RefusedError):
            kind.read_text(f"{text} {unit}")


@pytest.mark.parametrize("kind", AMOUNTS)
def test_a_bare_number_is_not_an_amount(kind: Kind) -> None:
    with pytest.raises(RefusedError) as refused:
        kind.read_text("5")
    assert refused.value.reason == "it has no unit"
    assert refused.value.remedy.startswith(f"write it like {kind.example}; units: ")


REFUSED: list[tuple[Kind, str, str, str]] = [
    (Money(), "1 btc", "'btc' is not a unit of it", "did you mean BTC? units: BTC, mBTC, sat"),
    (Money(), "1 mBTV", "'mBTV' is not a unit of it", "did you mean mBTC? units: BTC, mBTC, sat"),
    (Money(), "0.000000001 BTC", "it is finer than 1 sat", "round it"),
    (Money(), "100000000000 BTC", "it is more than 64 bits of sat can hold", ""),
    (Ppm(), "0.0000001", "it is finer than 1 ppm", "round it"),
    (Rate(), "0.00000001 %/day", "it is finer than 1 ppb/day", "round it"),
    (Rate(), "1 %", "'%' is not a unit of it", "did you mean %/day? units: %/day, ppm/day, ppb/day"),
    (HashPower(), "1 th/s", "'th/s' is not a unit of it", "did you mean TH/s? units"),
    (Flag(), "yes", "", "write true or false"),
    (Flag(), "True", "", "write true or false"),
    (Integer(), "9223372036854775808", "it does not fit into 64 bits", ""),
    (Timestamp(), "2014-02-29", "there is no such date or time", ""),
    (Timestamp(), "2014-13-01T00:00:00Z", "there is no such date or time", ""),
    (Timestamp(), "2014-09-15T24:00:00Z", "there is no such date or time", ""),
    (Timestamp(), "2014-09-15T23:59:60Z", "there is no such date or time", ""),
    (Timestamp(), "0000-01-01", "there is no such date or time", ""),
    (Timestamp(), "1969-12-31", "the year must be between 1970 and 2261", ""),
    (Timestamp(), "2014-09-15T06:30:00", "it has no time zone", "times are UTC: write 2014-09-15T06:30:00Z"),
    (Timestamp(), "2014-09-15T06:30:00+02:00", "", "write it like 2014-09-15 or 2014-09-15T06:30:00Z"),
    (Timestamp(), "15.9.2014", "", "write it like 2014-09-15 or 2014-09-15T06:30:00Z"),
    (Choice("mark", "entry_notional"), "marc", "", "did you mean mark?"),
    (Choice("a", later={"b": "not supported yet"}), "b", "not supported yet", ""),
    (FilePath(), "a\0b", "it has a line break or a control character", "write it on one line"),
    (Text(), "x" * 201, "it has 201 characters, at most 200 are allowed", ""),
]


@pytest.mark.parametrize(("kind", "text", "reason", "remedy"), REFUSED)
def test_a_kind_refuses_with_reason_and_remedy(kind: Kind, text: str, reason: str, remedy: str) -> None:
    with pytest.raises(RefusedError) as refused:
        kind.read_text(text)
    assert refused.value.reason.startswith(reason) and refused.value.remedy.startswith(remedy)


READ_OTHERWISE = {
    "no": "a truth value",
    "y": "a truth value",
    "010": "an octal number",
    "0o17": "an octal number",
    "12:30:00": "a number in base 60",
    "~": "nothing (null)",
    "1_0": "a number",
    "0x1F": "a hexadecimal or binary number",
    "1e3": "a number",
    ".inf": "a number",
    "2014-09-15": "a date",
    "=": "a merge key or default",
}


@pytest.mark.parametrize("text", READ_OTHERWISE)
def test_a_text_that_yaml_reads_otherwise_must_be_quoted(text: str) -> None:
    for kind in (Text(), FilePath()):
        with pytest.raises(RefusedError) as refused:
            kind.read(Scalar("f", 1, text, quoted=False))
        assert refused.value.reason == f"unquoted, YAML reads {READ_OTHERWISE[text]}"
        assert refused.value.remedy == f"write '{text}' with quotation marks"
        assert str(kind.read(Scalar("f", 1, text, quoted=True))) == text


@pytest.mark.parametrize(("kind", "text"), [(Flag(), "true"), (Integer(), "5")])
def test_a_quoted_flag_or_number_is_a_text(kind: Kind, text: str) -> None:
    with pytest.raises(RefusedError, match="in quotation marks it is a text"):
        kind.read(Scalar("f", 1, text, quoted=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    at_ns: int = setting(Timestamp(), key="at", doc="When.")
    share_ppm: int = setting(Ppm(), key="share", default="10 %", high="100 %", doc="How much.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    entry_band: float = setting(Fraction(), default="0.25", low="0", high="5", doc="Enter beyond this.")
    exit_band: float = setting(Fraction(), default="0.05", low="0", high="5", doc="Leave within this.")
    wait_ns: int = setting(Duration(), key="wait", default="2 d", low="1 d", step="1 d", doc="Whole days.")
    label: str | None = setting(Text(), absent="no label", doc="A label.")
    steps: tuple[Step, ...] = items(Step, doc="Steps.")
    levels: tuple[float, ...] = items(Fraction(), longest=3, low="0", high="1", doc="Levels.")

    def cross_check(self) -> Iterator[Conflict]:
        if self.exit_band > self.entry_band:
            yield Conflict("exit_band", f"{self.exit_band} is above entry_band {self.entry_band}", "lower it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    params: Params = section(Params, doc="Parameters.")
    size: Decimal = setting(Size(), doc="A size.")


def parsed(text: str, settings: type[Any] = Params) -> Any:
    root = read_bytes(text.encode(), "f.yaml").root
    assert root is not None
    return parse(root, settings)


def refused(text: str, settings: type[Any] = Params) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parsed(text, settings)
    return str(error.value).split("\n")


def test_defaults_in_python_are_values_not_texts() -> None:
    params = Params()
    assert (params.entry_band, params.exit_band, params.wait_ns, params.label) == (0.25, 0.05, 2 * 86_400 * 10**9, None)
    assert params == parsed("{}")


def test_a_document_is_read_into_its_class() -> None:
    read = parsed(
        "params: {entry_band: 30 %, steps: [{at: 2014-09-15}], levels: [0, 1, 0.5]}\nsize: 2 contracts", Nested
    )
    step = Step(at_ns=1_410_739_200 * 10**9)
    assert read == Nested(params=Params(entry_band=0.3, steps=(step,), levels=(0.0, 1.0, 0.5)), size=Decimal(2))


def test_every_problem_of_a_document_is_told_at_once() -> None:
    text = """\
params:
  entry_band: abc
  exitband: 0.1
  wait: 36 h
  label: no
  steps:
    - at: 2014-02-30
      share: 50
    - {share: 10 %}
    - later
  levels: 0.5
zzz: hunter2
"""
    assert refused(text, Nested) == [
        "f.yaml:1: size: it is missing (for example 50 contracts)",
        "f.yaml:2: params.entry_band: 'abc' is not a fraction between 0 and 5 (write it like 0.25)",
        "f.yaml:3: params: unknown key 'exitband' (did you mean exit_band?)",
        "f.yaml:4: params.wait: '36 h' is not a length of time of at least 1 d, a multiple of 1 d (for example 2 d)",
        "f.yaml:5: params.label: 'no' is not a text: unquoted, YAML reads a truth value "
        "(write 'no' with quotation marks)",
        "f.yaml:7: params.steps[0].at: '2014-02-30' is not a time in UTC: there is no such date or time "
        "(for example 2014-09-15T00:00:00Z)",
        "f.yaml:8: params.steps[0].share: '50' is not a share between 0 % and 100 % (did you mean 50 %?)",
        "f.yaml:9: params.steps[1].at: it is missing (for example 2014-09-15T00:00:00Z)",
        "f.yaml:10: params.steps[2]: expected settings, found 'later' (write one `key: value` per line)",
        "f.yaml:11: params.levels: expected a list, found '0.5' (start each entry with `- `)",
        "f.yaml:12: unknown key 'zzz' (known: params, size)",
    ]


def test_settings_that_do_not_go_together_are_told_at_the_line_to_change() -> None:
    assert refused("entry_band: 0.1\nexit_band: 0.2\n") == [
        "f.yaml:2: exit_band: 0.2 is above entry_band 0.1 (lower it)"
    ]


def test_wrong_shapes_and_missing_values_are_told() -> None:
    assert refused("[a]") == ["f.yaml:1: expected settings, found a list (write one `key: value` per line)"]
    assert refused("entry_band: {a: 1}") == [
        "f.yaml:1: entry_band: expected a fraction between 0 and 5, found a mapping (for example 0.25)"
    ]
    assert refused("wait:\nlevels: [0, 2, 0, 0]") == [
        "f.yaml:1: wait: it has no value, expected a length of time of at least 1 d, a multiple of 1 d "
        "(for example 2 d)",
        "f.yaml:2: levels: 4 entries, expected between 0 and 3",
        "f.yaml:2: levels[1]: '2' is not a fraction between 0 and 1 (did you mean 2 %?)",
    ]


def test_the_value_of_an_unknown_key_is_never_repeated_it_may_be_a_secret() -> None:
    assert "hunter2" not in "\n".join(refused("api_secret: hunter2\n"))


def test_long_and_unprintable_values_are_cut_and_escaped_in_messages() -> None:
    (message,) = refused("entry_band: " + "é" * 100_000)
    assert len(message) < 300 and "and 99940 more characters" in message
    (message,) = refused('entry_band: "a\\nb"')
    assert "\n" not in message


def test_endless_problems_are_cut_to_a_readable_number_in_little_time() -> None:
    found = refused("\n".join(f"key{i}: 1" for i in range(5_000)))
    assert len(found) == 101
    assert found[-1] == "f.yaml:101: and 4900 more problems from here on (mend these first)"


def test_explain_lists_value_unit_origin_and_meaning() -> None:
    instance = Params(entry_band=0.3, wait_ns=86_400 * 10**9, steps=(Step(at_ns=0),))
    assert list(explain(instance, {"entry_band": "f.yaml:2"}, "params")) == [
        Row("params.entry_band", "0.3", "", "set in code", "Enter beyond this."),
        Row("params.exit_band", "0.05", "", "default", "Leave within this."),
        Row("params.wait", "1", "d", "set in code", "Whole days."),
        Row("params.label", "no label", "", "default", "A label."),
        Row("params.steps[0].at", "1970-01-01T00:00:00Z", "", "set in code", "When."),
        Row("params.steps[0].share", "10", "%", "default", "How much."),
    ]
    assert next(explain(instance, {"entry_band": "f.yaml:2"})).origin == "f.yaml:2"


def test_a_mistake_in_a_declaration_is_told_to_its_author() -> None:
    with pytest.raises(RefusedError):
        setting(Money(), default="5", doc="no unit")
