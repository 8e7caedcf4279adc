"""Declaring settings: plain frozen dataclasses whose fields say kind, bounds, default and meaning.

```python
@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    entry_band: float = setting(Fraction(), default="0.25", low="0", high="5", doc="Edge at which to enter.")
```

`Params()` made in Python has the default's value (0.25), not its text. A class may have a method
`cross_check(self) -> Iterable[Conflict]` for what one setting alone cannot tell.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from bot.fields.kinds import Kind, RefusedError

_METADATA_KEY: Final = "setting"


class Conflict(NamedTuple):
    """Settings that do not go together: the key (path below the section) to change, why, and how."""

    key: str
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping with settings of its own."""

    settings: type[Any]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list whose every entry is as `entry` says: a value of one kind, or a section."""

    entry: Setting
    shortest: int
    longest: int


@dataclass(frozen=True, slots=True)
class Raw:
    """A mapping that is kept unread, because what it may say depends on something else."""


Shape: TypeAlias = Kind | Section | ListOf | Raw


@dataclass(frozen=True, slots=True)
class Setting:
    """What a field's metadata says about it. `low`, `high`, `step` are values of the kind, bounds included.

    `absent` says in words what holds when an optional setting is not given (its value is then None).
    """

    key: str
    shape: Shape
    doc: str
    required: bool
    default_text: str
    absent: str
    low: Any
    high: Any
    step: Any


def setting(
    kind: Kind,
    *,
    doc: str,
    default: str | None = None,
    absent: str = "",
    low: str | None = None,
    high: str | None = None,
    step: str | None = None,
    key: str = "",
) -> Any:
    """Return a dataclass field for one value.

    `default`, `low`, `high` and `step` are texts as a person writes them ('0.25', '2 d'). With `absent`
    the setting is optional, its value None when not given; with neither `default` nor `absent` it must be given.
    `key` is the name in the file where it differs from the field's. Raises RefusedError for a text that
    the kind refuses.
    """
    bounds = [_parsed(kind, text) for text in (kind.least if low is None else low, high, step)]
    required = default is None and not absent
    declared = Setting(key, kind, doc, required, default or "", absent, *bounds)
    metadata = {_METADATA_KEY: declared}
    if required:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=_parsed(kind, default), metadata=metadata)


def section(settings: type[Any], *, doc: str, key: str = "", absent: str = "") -> Any:
    """Return a field for a nested section; it may be left out if it is `absent`-able or all of it has defaults."""
    required = not absent and any(declared.required for _, declared in declared_settings(settings))
    metadata = {_METADATA_KEY: Setting(key, Section(settings), doc, required, "", absent, None, None, None)}
    if required:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default_factory=(lambda: None) if absent else settings, metadata=metadata)


def items(
    of: Kind | type[Any],
    *,
    doc: str,
    key: str = "",
    shortest: int = 0,
    longest: int = 256,
    low: str | None = None,
    high: str | None = None,
) -> Any:
    """Return a field for a list (a tuple in Python) of values of a kind within bounds, or of sections."""
    if isinstance(of, Kind):
        low_value, high_value = _parsed(of, of.least if low is None else low), _parsed(of, high)
        entry = Setting("", of, "", True, "", "", low_value, high_value, None)
    else:
        entry = Setting("", Section(of), "", True, "", "", None, None, None)
    shape = ListOf(entry, shortest, longest)
    metadata = {_METADATA_KEY: Setting(key, shape, doc, shortest > 0, "", "", None, None, None)}
    return dataclasses.field(metadata=metadata) if shortest else dataclasses.field(default=(), metadata=metadata)


def raw(*, doc: str, key: str = "") -> Any:
    """Return a field that keeps its mapping as a node, or None when it is not given."""
    declared = Setting(key, Raw(), doc, False, "", "none given", None, None, None)
    return dataclasses.field(default=None, metadata={_METADATA_KEY: declared})


def declared_settings(settings: type[Any]) -> list[tuple[dataclasses.Field[Any], Setting]]:
    """Return the fields of `settings` that are settings, in order, each with its declaration and its key."""
    found = []
    for field in dataclasses.fields(settings):
        declared: Setting | None = field.metadata.get(_METADATA_KEY)
        if declared is not None:
            found.append((field, declared if declared.key else dataclasses.replace(declared, key=field.name)))
    return found


def range_words(declared: Setting) -> str:
    """Return the bounds of a setting in words: ` between 0 and 5`, ` of at least 1`, or nothing."""
    if not isinstance(declared.shape, Kind):
        return ""
    show = declared.shape.show
    multiple = f", a multiple of {show(declared.step)}" if declared.step is not None else ""
    if declared.low is not None and declared.low == declared.high:
        return f" equal to {show(declared.low)}"
    if declared.low is not None and declared.high is not None:
        return f" between {show(declared.low)} and {show(declared.high)}{multiple}"
    if declared.low is not None:
        return f" of at least {show(declared.low)}{multiple}"
    if declared.high is not None:
        return f" of at most {show(declared.high)}{multiple}"
    return multiple


def within(value: Any, declared: Setting) -> bool:
    """Tell whether `value` keeps the setting's bounds (both included) and is a multiple of its step."""
    if declared.low is not None and value < declared.low:
        return False
    if declared.high is not None and value > declared.high:
        return False
    return declared.step is None or value % declared.step == 0


def accepted_example(declared: Setting) -> str:
    """Return a text that the setting accepts, or nothing for a section or list."""
    kind = declared.shape
    if not isinstance(kind, Kind):
        return ""
    if declared.default_text or not kind.example:
        return declared.default_text
    bounded = declared.low is not None or declared.high is not None or declared.step is not None
    if bounded and not within(kind.read_text(kind.example), declared):
        return kind.show(declared.high if declared.low is None else declared.low)
    return kind.example


def how_to_write(declared: Setting) -> str:
    """Return a remedy with a value that is accepted, or nothing for a section or list."""
    example = accepted_example(declared)
    return f"for example {example}" if example else ""


def _parsed(kind: Kind, text: str | None) -> Any:
    """Return the value of a declaration's own text; a wrong one is the fault of whoever declares it."""
    if text is None:
        return None
    try:
        return kind.read_text(text)
    except RefusedError as refused:
        raise RefusedError(f"{text!r} is not {kind.noun}: {refused.reason}".rstrip(": "), refused.remedy) from refused
