"""Kinds of value that are not amounts: text, choice, flag, integer, time stamp, file path.

A kind reads one written scalar into one exact value and refuses everything else, and writes the value
back as a person would. Kinds of amounts with a unit are in `bot.fields.quantities`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from bot.core.units import INT64_MAX, NS_PER_DAY, NS_PER_S
from bot.fields.nodes import Scalar, other_reading

_EPOCH_ORDINAL: Final = datetime.date(1970, 1, 1).toordinal()


class RefusedError(ValueError):
    """A written value that a kind does not accept: why, and what to write instead."""

    def __init__(self, reason: str = "", remedy: str = "") -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(reason)


class Kind:
    """One kind of value.

    `noun` reads well after "is not"; `example` is a value that is accepted; `unit` is what a shown value
    is counted in, where there is one; `least` is the bound that holds where a setting states none.
    """

    noun: str = "a value"
    example: str = ""
    unit: ClassVar[str] = ""
    least: ClassVar[str | None] = None

    def read(self, scalar: Scalar) -> Any:
        """Return the exact value of `scalar`; raises RefusedError."""
        raise NotImplementedError

    def show(self, value: Any) -> str:
        """Return `value` as a person writes it, unit included; `read` gives it back exactly."""
        return str(value)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the written value."""
        return {"type": "string"}

    def read_text(self, text: str) -> Any:
        """Return the value of a text from Python, where no YAML reader could have misread it."""
        return self.read(Scalar("", 0, text, quoted=False))


def _plain_text(scalar: Scalar) -> str:
    """Return the text of a scalar that is meant as one; an unquoted `no` or `010` is not."""
    reading = None if scalar.quoted else other_reading(scalar.text)
    if reading:
        raise RefusedError(f"unquoted, YAML reads {reading}", f"write '{scalar.text}' with quotation marks")
    if any(ord(character) < 32 for character in scalar.text):
        raise RefusedError("it has a line break or a control character", "write it on one line")
    return scalar.text


class Text(Kind):
    """One line of text. `pattern` is a regular expression that all of it must match, `noun` says so in words."""

    def __init__(self, pattern: str = "", noun: str = "a text", example: str = "", longest: int = 200) -> None:
        self.noun = noun
        self.example = example
        self.longest = longest
        self.pattern = pattern

    def read(self, scalar: Scalar) -> str:
        text = _plain_text(scalar)
        if not text:
            raise RefusedError("it is empty")
        if len(text) > self.longest:
            raise RefusedError(f"it has {len(text)} characters, at most {self.longest} are allowed")
        if self.pattern and not re.fullmatch(self.pattern, text, re.ASCII):
            raise RefusedError()
        return text

    def schema(self) -> dict[str, Any]:
        written: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": self.longest}
        return written | ({"pattern": f"^({self.pattern})$"} if self.pattern else {})


class Choice(Kind):
    """One of a few words. `later` maps words that are understood, but refused for now, to the reason."""

    def __init__(self, *words: str, later: Mapping[str, str] | None = None) -> None:
        self.words = words
        self.later = dict(later or {})
        self.noun = "one of " + ", ".join(words) if len(words) > 1 else words[0]
        self.example = words[0]

    def read(self, scalar: Scalar) -> str:
        if scalar.text in self.words:
            return scalar.text
        if scalar.text in self.later:
            raise RefusedError(self.later[scalar.text])
        from difflib import get_close_matches

        near = get_close_matches(scalar.text[:64], self.words, n=1)
        raise RefusedError("", f"did you mean {near[0]}?" if near else "")

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


class Flag(Kind):
    """`true` or `false`, unquoted, and nothing else: `yes` and `no` mean different things to different readers."""

    noun = "true or false"
    example = "true"

    def read(self, scalar: Scalar) -> bool:
        if scalar.text not in ("true", "false"):
            raise RefusedError("", "write true or false")
        if scalar.quoted:
            raise RefusedError("in quotation marks it is a text", f"write {scalar.text} without them")
        return scalar.text == "true"

    def show(self, value: bool) -> str:
        return "true" if value else "false"

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Integer(Kind):
    """A whole number within 64 bits, in plain decimal digits."""

    noun = "a whole number"
    example = "6"

    def read(self, scalar: Scalar) -> int:
        if scalar.quoted:
            raise RefusedError("in quotation marks it is a text", "write the number without them")
        if not re.fullmatch("-?(0|[1-9][0-9]{0,18})", scalar.text, re.ASCII) or scalar.text == "-0":
            raise RefusedError("", "write plain digits, like 6")
        value = int(scalar.text)
        if abs(value) > INT64_MAX:
            raise RefusedError("it does not fit into 64 bits")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "integer"}


class Timestamp(Kind):
    """An instant in UTC as nanoseconds since 1970: `2014-09-15` (its midnight) or `2014-09-15T06:30:00Z`."""

    noun = "a time in UTC"
    example = "2014-09-15T00:00:00Z"
    unit = "UTC"
    _WRITTEN: ClassVar[str] = (
        r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(Z)?)?"
    )

    def read(self, scalar: Scalar) -> int:
        match = re.fullmatch(self._WRITTEN, scalar.text, re.ASCII)
        if match is None:
            raise RefusedError("", "write it like 2014-09-15 or 2014-09-15T06:30:00Z")
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        if hour is not None and zone is None:
            raise RefusedError("it has no time zone", f"times are UTC: write {scalar.text}Z")
        try:
            days = datetime.date(int(year), int(month), int(day)).toordinal() - _EPOCH_ORDINAL
            datetime.time(int(hour or 0), int(minute or 0), int(second or 0))
        except ValueError as error:
            raise RefusedError("there is no such date or time") from error
        if not 1970 <= int(year) <= 2261:
            raise RefusedError("the year must be between 1970 and 2261")
        seconds = (int(hour or 0) * 60 + int(minute or 0)) * 60 + int(second or 0)
        return days * NS_PER_DAY + seconds * NS_PER_S + int((fraction or "").ljust(9, "0"))

    def show(self, value: int) -> str:
        days, rest_ns = divmod(value, NS_PER_DAY)
        seconds, fraction_ns = divmod(rest_ns, NS_PER_S)
        date = datetime.date.fromordinal(days + _EPOCH_ORDINAL).isoformat()
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        fraction = f".{fraction_ns:09}".rstrip("0") if fraction_ns else ""
        return f"{date}T{clock}{fraction}Z"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self._WRITTEN}$", "examples": ["2014-09-15", self.example]}


class FilePath(Kind):
    """A path, relative to the directory of the file it is written in.

    `or_word` is a word that stands for "none of my own" and reads as None: `chain: bundled`.
    """

    def __init__(self, noun: str = "a file path", or_word: str = "") -> None:
        self.or_word = or_word
        self.noun = f"{noun} or {or_word}" if or_word else noun
        self.example = or_word or "directory/file.csv"

    def read(self, scalar: Scalar) -> Path | None:
        text = _plain_text(scalar)
        if not text:
            raise RefusedError("it is empty")
        if len(text) > 1000:
            raise RefusedError("it is longer than 1000 characters")
        if self.or_word and text == self.or_word:
            return None
        return Path(scalar.file).parent / text

    def show(self, value: Path | None) -> str:
        return self.or_word if value is None else str(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}
