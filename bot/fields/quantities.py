"""Kinds of amounts: a plain decimal number, a space, and a unit; read exactly, never through a float.

A bare number where a unit is needed is refused: 5 of what? So is a value finer than the integer that keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final

from bot.core.units import INT64_MAX, NS_PER_DAY, NS_PER_S, PPB, PPM, SAT_PER_BTC
from bot.fields.kinds import Kind, RefusedError
from bot.fields.nodes import Scalar

_AMOUNT: Final = re.compile(r"(?P<number>-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,40})?)(?: ?(?P<unit>[A-Za-z%][^\s]*))?")
_ZERO: Final = re.compile(r"-0(\.0*)?", re.ASCII)


def _digits(number: str) -> tuple[int, int]:
    """Return a written number as (digits, places): digits / 10^places, exactly."""
    whole, _, decimals = number.partition(".")
    return int(whole + decimals), len(decimals)


def _decimal(digits: int, divisor: int) -> str:
    """Return digits / divisor written out; `divisor` must be such that the decimals end, as units are."""
    sign = "-" if digits < 0 else ""
    whole, rest = divmod(abs(digits), divisor)
    decimals = ""
    while rest:
        figure, rest = divmod(rest * 10, divisor)
        decimals += str(figure)
    return f"{sign}{whole}" + (f".{decimals}" if decimals else "")


class Quantity(Kind):
    """An amount in one of several units, kept as an integer count of `kept_in`.

    `units` maps each unit to how many of `kept_in` it is; '' is a bare number. `shown_in` names the unit
    that values are shown in; without it the largest unit of which they are whole multiples is taken.
    """

    units: ClassVar[Mapping[str, int]]
    kept_in: ClassVar[str]
    shown_in: ClassVar[str] = ""
    least: ClassVar[str | None] = "0"

    def read(self, scalar: Scalar) -> Any:
        number, unit = self._split(scalar.text)
        digits, places = _digits(number)
        value, rest = divmod(digits * self.units[unit], 10**places)
        if rest:
            raise RefusedError(f"it is finer than 1 {self.kept_in}", "round it")
        if abs(value) > INT64_MAX:
            raise RefusedError(f"it is more than 64 bits of {self.kept_in} can hold")
        return value

    def read_text(self, text: str) -> Any:
        """Return the value of a text from Python; a plain 0 needs no unit there."""
        return 0 if text == "0" and "" not in self.units else super().read_text(text)

    def show(self, value: Any) -> str:
        unit = self.shown_in or self._largest_unit(value)
        return f"{_decimal(value, self.units[unit])} {unit}"

    def schema(self) -> dict[str, Any]:
        units = "|".join(re.escape(unit) for unit in self.units if unit)
        number = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?"
        optional = "?" if "" in self.units else ""
        text = {"type": "string", "pattern": f"^{number} ?({units}){optional}$", "examples": [self.example]}
        return {"anyOf": [{"type": "number"}, text]} if optional else text

    def _largest_unit(self, value: int) -> str:
        """Return the largest unit of which `value` is a whole multiple, for 0 the smallest."""
        whole = [(scale, unit) for unit, scale in self.units.items() if unit and value and value % scale == 0]
        return max(whole)[1] if whole else min((s, u) for u, s in self.units.items() if u)[1]

    def _split(self, text: str) -> tuple[str, str]:
        """Return number and unit as written; raises RefusedError where one is missing or unknown."""
        match = _AMOUNT.fullmatch(text)
        if match is None or not text.isascii():
            raise RefusedError(_what_is_wrong(text), f"write it like {self.example}")
        number, unit = match["number"], match["unit"] or ""
        if unit not in self.units:
            known = ", ".join(name for name in self.units if name)
            if not unit:
                raise RefusedError("it has no unit", f"write it like {self.example}; units: {known}")
            near = _nearest(unit[:32], [name for name in self.units if name])
            hint = f"did you mean {near}? " if near else ""
            raise RefusedError(f"{unit[:32]!r} is not a unit of it", f"{hint}units: {known}")
        if _ZERO.fullmatch(number):
            raise RefusedError("zero has no sign", "write 0")
        return number, unit


def _nearest(unit: str, known: list[str]) -> str:
    """Return the known unit that was probably meant: the same but for case, one that begins so, or the likest."""
    for name in known:
        if name.lower().startswith(unit.lower()):
            return name
    from difflib import get_close_matches

    return next(iter(get_close_matches(unit, known, n=1, cutoff=0.5)), "")


def _what_is_wrong(text: str) -> str:
    """Return in words why `text` is not a plain decimal number with a unit."""
    if not text.isascii():
        return "it has characters other than plain digits and letters"
    if re.match("-?0[0-9]", text):
        return "a leading 0 makes it octal to YAML"
    if "_" in text or re.match("-?0[xob]", text) or re.match(r"-?[0-9.]+[eE][-+]?[0-9]", text):
        return "only plain decimal digits are allowed"
    return ""


class Fraction(Quantity):
    """A fraction as a float, for models and strategies: `0.25` or `25 %`. Correctly rounded."""

    noun = "a fraction"
    example = "0.25"
    units: ClassVar[Mapping[str, int]] = {"": 1, "%": 100}
    kept_in = "fraction"
    least = None

    def read(self, scalar: Scalar) -> float:
        number, unit = self._split(scalar.text)
        digits, places = _digits(number)
        value: float = digits / (10**places * self.units[unit])
        return value

    def show(self, value: float) -> str:
        text = format(Decimal(repr(float(value) + 0.0)), "f")  # + 0.0: a zero has no sign
        return text.removesuffix(".0")


class Ppm(Quantity):
    """A share as an integer of parts per million: `25 %`, `0.25`, `250000 ppm`."""

    noun = "a share"
    example = "25 %"
    units: ClassVar[Mapping[str, int]] = {"": PPM, "%": PPM // 100, "ppm": 1}
    kept_in = "ppm"
    shown_in = "%"


class Money(Quantity):
    """An amount of bitcoin as an integer of satoshi: `100 BTC`, `5000000 sat`."""

    noun = "an amount of bitcoin"
    example = "100 BTC"
    units: ClassVar[Mapping[str, int]] = {"BTC": SAT_PER_BTC, "mBTC": SAT_PER_BTC // 1000, "sat": 1}
    kept_in = "sat"
    shown_in = "BTC"


class HashPower(Quantity):
    """Hash power as an integer of hashes per second: `1 TH/s`."""

    noun = "a hash power"
    example = "1 TH/s"
    units: ClassVar[Mapping[str, int]] = {
        f"{prefix}H/s": 1000**power for power, prefix in enumerate(("", "k", "M", "G", "T", "P", "E"))
    }
    kept_in = "H/s"


class Rate(Quantity):
    """A loan rate as an integer of parts per billion per day, simple: `0.75 %/day`, `574 ppm/day`."""

    noun = "a rate per day"
    example = "0.75 %/day"
    units: ClassVar[Mapping[str, int]] = {"%/day": PPB // 100, "ppm/day": PPB // PPM, "ppb/day": 1}
    kept_in = "ppb/day"
    shown_in = "%/day"


class Duration(Quantity):
    """A length of time as an integer of nanoseconds: `250 ms`, `6 h`, `30 d`."""

    noun = "a length of time"
    example = "6 h"
    units: ClassVar[Mapping[str, int]] = {
        "ns": 1,
        "us": 1_000,
        "ms": 1_000_000,
        "s": NS_PER_S,
        "min": 60 * NS_PER_S,
        "h": 3600 * NS_PER_S,
        "d": NS_PER_DAY,
    }
    kept_in = "ns"

    def show(self, value: int) -> str:
        return super().show(value) if value else "0 s"


class Size(Quantity):
    """A number of contracts as an exact Decimal: `50 contracts`. The contract's lot makes it an integer."""

    noun = "a number of contracts"
    example = "50 contracts"
    units: ClassVar[Mapping[str, int]] = {"contracts": 1, "contract": 1}
    kept_in = "contract"
    shown_in = "contracts"

    def read(self, scalar: Scalar) -> Decimal:
        number, _ = self._split(scalar.text)
        return Decimal(number)

    def read_text(self, text: str) -> Decimal:
        return Decimal(super().read_text(text))

    def show(self, value: Decimal) -> str:
        text = format(value, "f")
        text = text.rstrip("0").removesuffix(".") if "." in text else text
        return f"{text} {'contract' if text == '1' else 'contracts'}"
