"""The error tree: every error a user can cause, with typed fields that say where, what, bound and remedy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

BIASED: Final = 20
"""Exit code of `fairhash bias` when a decision depends on what came after it: a finding, and no error."""


class FairhashError(Exception):
    """Anything a user can mend; the CLI prints it in one line and leaves with `exit_code`."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file: `where` is `path:line`, `what` names value and bound, `remedy` says what to do."""

    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.remedy})" if self.remedy else "")


class InputError(FairhashError):
    """Input that was refused: all its problems at once, in the order of the file."""

    exit_code = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))

    def __reduce__(self) -> tuple[type[InputError], tuple[list[Problem]]]:
        """Make it again from its problems, as it must be to come out of another process."""
        return type(self), (self.problems,)


class ConfigError(InputError):
    """A configuration or contract document that was refused."""


class HistoryError(InputError):
    """Market history that was refused."""

    exit_code = 3


class ChainError(InputError):
    """Chain data that fails verification."""

    exit_code = 4


class OutputError(InputError):
    """Results could not be written: what was there before is still there, and nothing is half written."""

    exit_code = 8


class UnsupportedError(FairhashError):
    """An engine was asked for something that it does not have; it is refused by name, never approximated."""

    exit_code = 5

    def __init__(self, what: str, remedy: str = "") -> None:
        """Say `what` is lacking, and the `remedy`, which whoever takes another way in its stead leaves out."""
        self.what, self.remedy = what, remedy
        super().__init__(f"{what}: {remedy}" if remedy else what)

    def __reduce__(self) -> tuple[type[UnsupportedError], tuple[str, str]]:
        """Make it again from its parts, as it must be to come out of another process."""
        return type(self), (self.what, self.remedy)


class ParityError(FairhashError):
    """Two engines disagree; the text names the first difference."""

    exit_code = 6


class StrategyError(FairhashError):
    """A strategy raised, or answered something that is not a target."""

    exit_code = 7


class JournalError(InputError):
    """A journal was refused: damaged, cut off, not the one of this run, or owned by another process."""

    exit_code = 9


class JournalFullError(JournalError):
    """Nothing could be added, for want of space: what was asked for did not happen, the journal is as it was."""


class JournalBrokenError(JournalError):
    """The disk failed in a way after which nobody can know what is on it: the process must end and start anew."""


class VenueError(FairhashError):
    """A venue refuses what no retry mends (a key, a setting), or cannot be reached; nothing is left in doubt."""

    exit_code = 11


class VenueAwayError(VenueError):
    """A venue does not answer, or not in words that make sense; nothing is left in doubt, and it may come back."""


class UnknownOutcomeError(VenueError):
    """A command may or may not have been carried out, and the venue cannot be asked: nothing more is sent to it."""


def cause(error: BaseException) -> str:
    """Return what a strategy raised, in one line, with file and line of its own code where they are known."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({error.filename}:{error.lineno})"
    try:
        words = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - its own __str__ fails too, and what it raises would say nothing about the cause
        words = "(its text cannot be read)"
    text = "".join(letter if letter.isprintable() else "?" for letter in words)
    import traceback  # only a failure needs it

    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    ours = str(Path(__file__).parent)
    theirs = [frame for frame in frames if not frame.filename.startswith(ours)] or frames
    where = f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{where}"
