"""Read a small YAML file into a plain tree; refuse everything in YAML that can surprise or harm.

Only the parser's events are used: no object is ever constructed, so `!!python/object` has nothing to
call. Aliases are refused altogether (an alias bomb needs them), as are tags, merge keys, directives,
several documents, keys that are not texts, and duplicate keys. Size, depth and number of nodes are capped.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

from bot.errors import ConfigError, Problem
from bot.fields.nodes import Mapping, Node, Refused, Scalar, Sequence, other_reading, shown

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 12
MAX_NODES: Final = 20_000
MAX_PROBLEMS: Final = 100

# Control characters, separators that some readers count as line ends, byte-order marks and the marks
# that reverse the order in which text is displayed. Tab and line feed are the only controls in a text.
_FORBIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_KINDS_OF_FILE: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Document(NamedTuple):
    """A file as read: its tree, or None where nothing could be read, and what was refused in it."""

    root: Node | None
    problems: list[Problem]


def load(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> Node:
    """Return the tree of the YAML file at `path`.

    Raises ConfigError with every problem found, each as `file:line`.
    """
    document = read(path, max_bytes=max_bytes)
    if document.problems or document.root is None:
        raise ConfigError(document.problems)
    return document.root


def read(path: str | os.PathLike[str], asked_at: str = "", max_bytes: int = MAX_BYTES) -> Document:
    """Return the tree at `path` together with its problems, so that a caller can add his own.

    A file that cannot be opened is reported at `asked_at` (the `file:line` that names it) if given.
    """
    name = os.fspath(path)
    try:
        raw = _bytes_of(name, max_bytes)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        what = f"{shown(name)} cannot be read: {reason}"
        return Document(None, [Problem(asked_at or name, what, "name a readable YAML file")])
    return read_bytes(raw, name)


def read_bytes(raw: bytes, name: str) -> Document:
    """Return the tree of the bytes `raw`; `name` is the file that problems are reported in."""
    problem = _not_plain_text(raw, name)
    if problem:
        return Document(None, [problem])
    return _Builder(name).build(raw.decode("utf-8").replace("\r\n", "\n"))


def _bytes_of(name: str, max_bytes: int) -> bytes:
    """Return the bytes of a regular file; the kind is looked at before opening, so that no pipe can block."""
    _refuse_special(os.stat(name))  # noqa: PTH116 - the same call must not be able to open anything
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _refuse_special(os.fstat(descriptor))  # it may have been exchanged in between
        raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise ValueError(f"it is larger than {max_bytes} bytes")
    return raw


def _refuse_special(status: os.stat_result) -> None:
    for is_kind, noun in _KINDS_OF_FILE:
        if is_kind(status.st_mode):
            raise ValueError(f"it is {noun}, not a file")


def _not_plain_text(raw: bytes, name: str) -> Problem | None:
    """Return the problem of bytes that are not UTF-8 text of printable characters."""
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return Problem(f"{name}:1", "the file starts with a byte-order mark", "save it as UTF-8 without BOM")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        return Problem(f"{name}:{line}", what, "save the file as UTF-8")
    found = _FORBIDDEN.search(text.replace("\r\n", " \n"))
    if found is None:
        return None
    line = text.count("\n", 0, found.start()) + 1
    what = f"the character U+{ord(found[0]):04X} is not allowed"
    return Problem(f"{name}:{line}", what, "remove it; it does not show, or is a control character")


class _TooMuchError(Exception):
    """The document goes beyond a cap; the rest is not read."""


class _Open:
    """A collection whose end has not been read yet."""

    __slots__ = ("children", "is_mapping", "key", "line", "lines")

    def __init__(self, is_mapping: bool, line: int) -> None:
        self.is_mapping = is_mapping
        self.line = line
        self.key: Scalar | Refused | None = None
        self.lines: dict[str, int] = {}
        self.children: list[Any] = []


class _Builder:
    """Builds the tree from events with a stack of its own: depth cannot exhaust Python's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.stack: list[_Open] = []
        self.root: Node | None = None
        self.nodes = 0
        self.documents = 0

    def build(self, text: str) -> Document:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        line = 1
        try:
            events: Iterator[Any] = yaml.parse(text, Loader=loader)
            for event in events:
                line = event.start_mark.line + 1
                self._take(event, line)
        except _TooMuchError as error:
            self._refuse(line, str(error), "make the file smaller and flatter")
            self.root = None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            reason = str(getattr(error, "problem", None) or error).splitlines()[0]
            self._refuse(mark.line + 1 if mark else line, f"this is not YAML: {reason}", "see the line above it too")
            self.root = None
        except (ValueError, OverflowError, RecursionError) as error:
            self._refuse(line, f"this is not YAML: {type(error).__name__} after this line", "")
            self.root = None
        if self.root is None and not self.problems:
            self._refuse(1, "the file is empty", "see docs/configuration.md for what belongs here")
        return Document(self.root, self.problems)

    def _take(self, event: Any, line: int) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._start_document(event, line)
        elif isinstance(event, yaml.AliasEvent):
            self._refuse(line, f"the alias {shown(f'*{event.anchor}')} is not allowed", "write the value out")
            self._place(Refused(self.name, line))
        elif isinstance(event, yaml.ScalarEvent):
            self._refuse_extras(event, line)
            self._place(self._scalar(event, line))
        elif isinstance(event, yaml.CollectionStartEvent):
            self._refuse_extras(event, line)
            if len(self.stack) >= MAX_DEPTH:
                raise _TooMuchError(f"nested deeper than {MAX_DEPTH} levels")
            self.stack.append(_Open(isinstance(event, yaml.MappingStartEvent), line))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self.stack.pop()
            shape = Mapping if done.is_mapping else Sequence
            self._place(shape(self.name, done.line, tuple(done.children)))

    def _start_document(self, event: Any, line: int) -> None:
        self.documents += 1
        if self.documents > 1:
            self._refuse(line, "a second document starts here", "keep one document per file")
        if event.version or event.tags:
            self._refuse(line, "YAML directives are not allowed", "remove the lines that start with %")

    def _refuse_extras(self, event: Any, line: int) -> None:
        if event.tag is not None:
            self._refuse(line, f"the tag {shown(event.tag)} is not allowed", "write the plain value")
        if event.anchor is not None:
            self._refuse(line, f"the anchor {shown('&' + event.anchor)} is not allowed", "write values out")

    def _scalar(self, event: Any, line: int) -> Scalar | Refused:
        bad = _FORBIDDEN.search(event.value)
        if bad:
            self._refuse(line, f"the character U+{ord(bad[0]):04X} is not allowed", "remove the escape")
            return Refused(self.name, line)
        return Scalar(self.name, line, event.value, bool(event.style))

    def _place(self, node: Node) -> None:
        """Put a finished node where it belongs: into the open collection, or at the root."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _TooMuchError(f"more than {MAX_NODES} values")
        if not self.stack:
            self.root = node if self.documents == 1 else self.root
            return
        parent = self.stack[-1]
        if not parent.is_mapping:
            parent.children.append(node)
        elif parent.key is None:
            parent.key = self._key(node, parent.lines)
        else:
            if isinstance(parent.key, Scalar):
                parent.children.append((parent.key, node))
            parent.key = None

    def _key(self, node: Node, lines: dict[str, int]) -> Scalar | Refused:
        refused = Refused(self.name, node.line)
        if isinstance(node, Refused):
            return refused
        if not isinstance(node, Scalar):
            self._refuse(node.line, "a key must be a text, not a list or a mapping", "")
            return refused
        reading = None if node.quoted else other_reading(node.text)
        if node.text == "<<" and not node.quoted:
            self._refuse(node.line, "merge keys (<<) are not allowed", "write the values out")
        elif reading:
            self._refuse(node.line, f"the key {shown(node.text)} is not a text: YAML reads {reading}", "")
        elif node.text in lines:
            what = f"the key {shown(node.text)} is there twice; first in line {lines[node.text]}"
            self._refuse(node.line, what, "remove one of them")
        else:
            lines[node.text] = node.line
            return node
        return refused

    def _refuse(self, line: int, what: str, remedy: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(f"{self.name}:{line}", what, remedy))
