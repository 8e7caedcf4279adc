"""Faults 45-49: what YAML can do to surprise or harm is refused, in one line that names file and line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bot.errors import ConfigError
from bot.fields.nodes import Mapping, Scalar, Sequence
from bot.strict_yaml import MAX_BYTES, MAX_PROBLEMS, load, read, read_bytes


@pytest.fixture(params=["C parser", "Python parser"])
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "Python parser":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)


def problems(text: str | bytes) -> list[str]:
    raw = text.encode() if isinstance(text, str) else text
    return [str(problem) for problem in read_bytes(raw, "f.yaml").problems]


def test_a_plain_document_keeps_texts_quotes_and_lines(either_parser: None, tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"# a comment\r\na: 010\r\nb:\r\n  - 'no'\r\n  - {c: 2014-10-20T00:00:00Z}\r\n")
    file = str(path)
    assert load(path) == Mapping(
        file,
        2,
        (
            (Scalar(file, 2, "a", False), Scalar(file, 2, "010", False)),
            (
                Scalar(file, 3, "b", False),
                Sequence(
                    file,
                    4,
                    (
                        Scalar(file, 4, "no", True),
                        Mapping(
                            file,
                            5,
                            ((Scalar(file, 5, "c", False), Scalar(file, 5, "2014-10-20T00:00:00Z", False)),),
                        ),
                    ),
                ),
            ),
        ),
    )


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "a duplicate key": (
        "a: 1\nb: 2\na: 3\n",
        "f.yaml:3: the key 'a' is there twice; first in line 1 (remove one of them)",
    ),
    "an alias": ("a: 1\nb: *x\n", "f.yaml:2: the alias '*x' is not allowed (write the value out)"),
    "an anchor": ("a: &x 1\n", "f.yaml:1: the anchor '&x' is not allowed (write values out)"),
    "a Python object": (
        "a: !!python/object/apply:os.system ['true']\n",
        "f.yaml:1: the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not allowed (write the plain value)",
    ),
    "a local tag": ("a: 1\nb: !x 1\n", "f.yaml:2: the tag '!x' is not allowed (write the plain value)"),
    "a merge key": ("a: 1\n<<: {b: 1}\n", "f.yaml:2: merge keys (<<) are not allowed (write the values out)"),
    "a truth value as key": ("a: 1\nno: 1\n", "f.yaml:2: the key 'no' is not a text: YAML reads a truth value"),
    "a number as key": ("1: a\n", "f.yaml:1: the key '1' is not a text: YAML reads a number"),
    "a list as key": ("? [a]\n: 1\n", "f.yaml:1: a key must be a text, not a list or a mapping"),
    "two documents": (
        "a: 1\n---\nb: 1\n",
        "f.yaml:2: a second document starts here (keep one document per file)",
    ),
    "a directive": (
        "%YAML 1.1\n---\na: 1\n",
        "f.yaml:1: YAML directives are not allowed (remove the lines that start with %)",
    ),
    "a NUL": (
        "a: 1\nb: \0\n",
        "f.yaml:2: the character U+0000 is not allowed (remove it; it does not show, or is a control character)",
    ),
    "an escaped NUL": ('a: "x\\0"\n', "f.yaml:1: the character U+0000 is not allowed (remove the escape)"),
    "a lone carriage return": (
        "a: 1\rb: 2\n",
        "f.yaml:1: the character U+000D is not allowed (remove it; it does not show, or is a control character)",
    ),
    "text shown in reverse": (
        "a: 1\n\nb: \u202e1\n",
        "f.yaml:3: the character U+202E is not allowed (remove it; it does not show, or is a control character)",
    ),
    "a line separator": (
        "a: 1\u2028b: 1\n",
        "f.yaml:1: the character U+2028 is not allowed (remove it; it does not show, or is a control character)",
    ),
    "a byte-order mark": (
        b"\xef\xbb\xbfa: 1\n",
        "f.yaml:1: the file starts with a byte-order mark (save it as UTF-8 without BOM)",
    ),
    "UTF-16": (
        "a: 1\n".encode("utf-16"),
        "f.yaml:1: the file starts with a byte-order mark (save it as UTF-8 without BOM)",
    ),
    "bytes that are not UTF-8": (b"a: 1\nb: \xe9\n", "f.yaml:2: byte 0xe9 is not UTF-8 (save the file as UTF-8)"),
    "nothing": ("", "f.yaml:1: the file is empty (see docs/configuration.md for what belongs here)"),
    "only comments": (
        "# nothing\n",
        "f.yaml:1: the file is empty (see docs/configuration.md for what belongs here)",
    ),
    "deep nesting": (
        "a:\n  " + "[" * 100_000,
        "f.yaml:2: nested deeper than 12 levels (make the file smaller and flatter)",
    ),
    "too many values": (
        "[" + "a," * 30_000 + "]",
        "f.yaml:1: more than 20000 values (make the file smaller and flatter)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line_with_its_place(case: str, either_parser: None) -> None:
    text, message = REFUSED[case]
    assert problems(text) == [message]


@pytest.mark.parametrize(
    "text", ["a: 1\nb: [1,\nc: }\n", "a: 1\n\tb: 1\n", 'a: "\\q"\n', 'a: "x\n', "a: 1\n b: 2\n", "@"]
)
def test_what_the_parser_refuses_is_one_line_with_its_place(text: str, either_parser: None) -> None:
    (message,) = problems(text)
    file, line, rest = message.split(":", 2)
    assert file == "f.yaml" and 1 <= int(line) <= 4 and rest.startswith(" this is not YAML: ") and "\n" not in message


def test_an_alias_bomb_is_refused_at_every_alias(either_parser: None) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 11))]
    found = problems("\n".join(lines))
    assert len(found) == MAX_PROBLEMS
    assert found[0] == "f.yaml:1: the anchor '&a0' is not allowed (write values out)"


def test_several_problems_come_at_once_in_the_order_of_the_file() -> None:
    assert problems("a: !x 1\na: &b 2\nc: *b\n<<: 1\n~: 2\n") == [
        "f.yaml:1: the tag '!x' is not allowed (write the plain value)",
        "f.yaml:2: the key 'a' is there twice; first in line 1 (remove one of them)",
        "f.yaml:2: the anchor '&b' is not allowed (write values out)",
        "f.yaml:3: the alias '*b' is not allowed (write the value out)",
        "f.yaml:4: merge keys (<<) are not allowed (write the values out)",
        "f.yaml:5: the key '~' is not a text: YAML reads nothing (null)",
    ]


def test_a_python_object_is_not_called(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    path = tmp_path / "f.yaml"
    path.write_text(f"a: !!python/object/apply:os.mkdir ['{witness}']\n")
    with pytest.raises(ConfigError):
        load(path)
    assert not witness.exists()


def test_an_error_inside_the_parser_ends_as_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(_text: str, **_options: object) -> object:
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(yaml, "parse", parse)
    assert problems("a: 1") == ["f.yaml:1: this is not YAML: RecursionError after this line"]


def test_a_file_beyond_the_cap_is_refused_and_one_at_the_cap_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"a: 1\n#" + b"x" * (MAX_BYTES - 6))
    assert isinstance(load(path), Mapping)
    path.write_bytes(b"a: 1\n#" + b"x" * (MAX_BYTES - 5))
    with pytest.raises(ConfigError, match=f"cannot be read: it is larger than {MAX_BYTES} bytes"):
        load(path)


def make_directory(path: Path) -> None:
    path.mkdir()


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)  # relative: the full path may be longer than a socket's name can be


def make_loop(path: Path) -> None:
    path.symlink_to(path)


SPECIAL = {
    "a directory": (make_directory, "it is a directory, not a file"),
    "a named pipe": (os.mkfifo, "it is a named pipe, not a file"),
    "a socket": (make_socket, "it is a socket, not a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
    "a symlink loop": (make_loop, "Too many levels of symbolic links"),
    "nothing": (lambda path: None, "No such file or directory"),
}


@pytest.mark.parametrize("case", SPECIAL)
def test_special_files_are_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, reason = SPECIAL[case]
    make(tmp_path / "f.yaml")
    (problem,) = read("f.yaml", asked_at="config.yaml:3").problems
    assert str(problem) == f"config.yaml:3: 'f.yaml' cannot be read: {reason} (name a readable YAML file)"


def test_a_pipe_that_nobody_writes_to_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    code = f"from bot.strict_yaml import read; print(len(read({str(path)!r}).problems))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "1\n"


def test_a_file_exchanged_for_a_pipe_after_the_look_is_still_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    regular = Path(__file__).stat()
    monkeypatch.setattr("bot.strict_yaml.os.stat", lambda _path: regular)
    (problem,) = read(path).problems
    assert "it is a named pipe, not a file" in problem.what


def test_a_name_with_a_nul_is_refused() -> None:
    (problem,) = read("a\0b").problems
    assert "cannot be read: " in problem.what
