"""Why a strategy cannot be compiled, said in the terms of its own source: file, line, reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FunctionType

from bot.errors import UnsupportedError

_PLACE = re.compile(r'"?([^\s"]+\.py)"?(?:, line |:| \()(\d+)')
_FRAME = re.compile(r"Failed in|No implementation|Internal error|- |>>>|\s|There |File |During|Of which|def |\^|$")
_OURS = re.compile(r"\w+ is \S+, not a whole number.*|\w+ is asked with .*|too many positional .*|got an unexpected .*")


def refused(error: Exception, functions: Sequence[FunctionType]) -> UnsupportedError:
    """Return the error for a strategy made of `functions` (its own first) that numba refused with `error`."""
    text = str(error)
    place = next(filter(None, (_within(path, line, functions) for path, line in _PLACE.findall(text))), None)
    code = functions[0].__code__
    line = place or f"{code.co_filename}:{code.co_firstlineno}"
    own = _OURS.search(text)
    reason = own[0] if own else next((row for row in text.splitlines() if not _FRAME.match(row)), "its answer")
    what = f"{line}: the compiled engine cannot compile this: {reason[:200]}"
    return UnsupportedError(what, "keep to the subset in docs/engines.md, or take --engine reference")


def _within(path: str, line: str, functions: Sequence[FunctionType]) -> str | None:
    """Return `file:line` in full if it lies in one of `functions`."""
    for function in functions:
        code = function.__code__
        if Path(path).name == Path(code.co_filename).name and code.co_firstlineno <= int(line) <= _last_line(code):
            return f"{code.co_filename}:{line}"
    return None


def _last_line(code: CodeType) -> int:
    inner = [_last_line(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return max([line for _, _, line in code.co_lines() if line is not None] + inner)
