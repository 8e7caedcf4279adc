"""Read a tree of nodes into declared settings, gathering every problem and the line each value came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bot.errors import ConfigError, Problem
from bot.fields.declare import (
    Conflict,
    ListOf,
    Raw,
    Section,
    Setting,
    declared_settings,
    how_to_write,
    range_words,
    within,
)
from bot.fields.kinds import Kind, RefusedError
from bot.fields.nodes import Mapping, Node, Refused, Scalar, Sequence, shown, where
from bot.fields.quantities import Quantity

T = TypeVar("T")

MAX_PROBLEMS: Final = 100
_MAX_SUGGESTIONS: Final = 20


@dataclass(slots=True)
class Reading:
    """The reading of one document: `problems` found, `origins` and `values` of what was read, by path.

    A section with a problem reads as None, and so does everything around it; what was read nevertheless
    is in `values`, so that a caller can go on checking.
    """

    problems: list[Problem] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    _failures: int = 0
    _suggestions: int = 0

    def section(self, node: Node, settings: type[T], path: str = "") -> T | None:
        """Return an instance of `settings` read from `node`, or None if there was a problem."""
        count = self._failures
        arguments = self._arguments(node, settings, path)
        if arguments is None or self._failures > count:
            return None
        made = settings(**arguments)
        conflicts: Iterable[Conflict] = getattr(made, "cross_check", tuple)()
        for conflict in conflicts:
            below = f"{path}.{conflict.key}" if path else conflict.key
            self.refuse(self.origins.get(below, where(node)), below, conflict.what, conflict.remedy)
        return made if self._failures == count else None

    def refuse(self, at: str, path: str, what: str, remedy: str = "") -> None:
        """Note a problem of the setting `path` at `file:line`."""
        self._failures += 1
        self.problems.append(Problem(at, f"{path}: {what}" if path else what, remedy))

    def _arguments(self, node: Node, settings: type[Any], path: str) -> dict[str, Any] | None:
        """Return the field values that `node` gives; what is missing or unknown becomes a problem."""
        if isinstance(node, Refused):
            self._failures += 1
            return None
        if not isinstance(node, Mapping):
            self.refuse(
                where(node), path, f"expected settings, found {_found(node)}", "write one `key: value` per line"
            )
            return None
        declared = {of.key: (spec.name, of) for spec, of in declared_settings(settings)}
        arguments: dict[str, Any] = {}
        for key, value in node.entries:
            below = f"{path}.{key.text}" if path else key.text
            if key.text not in declared:
                self._unknown(key, path, list(declared))
                continue
            name, of = declared[key.text]
            self.origins[below] = where(value)
            arguments[name] = self.values[below] = self._value(value, of, below)
        given = {key.text for key, _ in node.entries}
        for key_text, (_, of) in declared.items():
            if of.required and key_text not in given:
                below = f"{path}.{key_text}" if path else key_text
                self.refuse(where(node), below, "it is missing", how_to_write(of))
        return arguments

    def _unknown(self, key: Scalar, path: str, known: list[str]) -> None:
        """Note an unknown key with the nearest known one; its value is not repeated, it might be a secret."""
        near: list[str] = []
        self._suggestions += 1
        if self._suggestions <= _MAX_SUGGESTIONS and len(key.text) <= 64:
            from difflib import get_close_matches

            near = get_close_matches(key.text, known, n=1, cutoff=0.5)
        remedy = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}" if known else "none is known here"
        self.refuse(where(key), path, f"unknown key {shown(key.text)}", remedy)

    def _value(self, node: Node, of: Setting, path: str) -> Any:
        shape = of.shape
        if isinstance(node, Refused):
            self._failures += 1  # said already by whoever refused it
            return None
        if isinstance(shape, Section):
            return self.section(node, shape.settings, path)
        if isinstance(shape, ListOf):
            return self._items(node, shape, path)
        if isinstance(shape, Raw):
            if not isinstance(node, Mapping):
                self.refuse(where(node), path, f"expected settings, found {_found(node)}", "write {} for none")
            return node
        return self._scalar(node, shape, of, path)

    def _items(self, node: Node, shape: ListOf, path: str) -> tuple[Any, ...] | None:
        if not isinstance(node, Sequence):
            self.refuse(where(node), path, f"expected a list, found {_found(node)}", "start each entry with `- `")
            return None
        if not shape.shortest <= len(node.items) <= shape.longest:
            bounds = f"between {shape.shortest} and {shape.longest}"
            self.refuse(where(node), path, f"{len(node.items)} entries, expected {bounds}")
        read = []
        for index, item in enumerate(node.items[: shape.longest]):
            below = f"{path}[{index}]"
            self.origins[below] = where(item)
            self.values[below] = self._value(item, shape.entry, below)
            read.append(self.values[below])
        return tuple(read)

    def _scalar(self, node: Node, kind: Kind, of: Setting, path: str) -> Any:
        expected = kind.noun + range_words(of)
        if not isinstance(node, Scalar):
            self.refuse(where(node), path, f"expected {expected}, found {_found(node)}", how_to_write(of))
            return None
        if not node.text and not node.quoted:
            self.refuse(where(node), path, f"it has no value, expected {expected}", how_to_write(of))
            return None
        try:
            value = kind.read(node)
        except RefusedError as refused:
            reason = f": {refused.reason}" if refused.reason else ""
            what = f"{shown(node.text)} is not {expected}{reason}"
            self.refuse(where(node), path, what, refused.remedy or how_to_write(of))
            return None
        if value is not None and not within(value, of):
            bare = isinstance(kind, Quantity) and "%" in kind.units and node.text[-1].isdigit()
            remedy = f"did you mean {node.text} %?" if bare else how_to_write(of)
            self.refuse(where(node), path, f"{shown(node.text)} is not {expected}", remedy)
        return value


def parse(node: Node, settings: type[T], path: str = "") -> T:
    """Return an instance of the declared class `settings`; raises ConfigError with every problem found."""
    reading = Reading()
    made = reading.section(node, settings, path)
    if made is None:
        raise ConfigError(in_file_order(reading.problems))
    return made


def in_file_order(problems: list[Problem]) -> list[Problem]:
    """Return `problems` file by file, each by line, cut to a readable number with a last one that says so."""
    files: dict[str, int] = {}

    def place(problem: Problem) -> tuple[int, int]:
        file, _, line = problem.where.rpartition(":")
        return files.setdefault(file, len(files)), int(line) if line.isdecimal() else 0

    ordered = sorted(problems, key=place)
    if len(ordered) > MAX_PROBLEMS:
        rest = len(ordered) - MAX_PROBLEMS
        more = Problem(ordered[MAX_PROBLEMS].where, f"and {rest} more problems from here on", "mend these first")
        return [*ordered[:MAX_PROBLEMS], more]
    return ordered


def _found(node: Node) -> str:
    if isinstance(node, Scalar):
        return shown(node.text) if node.text else "nothing"
    return "a list" if isinstance(node, Sequence) else "a mapping"
