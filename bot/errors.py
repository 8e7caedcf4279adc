"""The error tree: every error a user can cause, with typed fields that say where, what, bound and remedy."""

from __future__ import annotations

from dataclasses import dataclass


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


class ConfigError(InputError):
    """A configuration or contract document that was refused."""


class HistoryError(InputError):
    """Market history that was refused."""

    exit_code = 3


class ChainError(InputError):
    """Chain data that fails verification."""

    exit_code = 4


class UnsupportedError(FairhashError):
    """An engine was asked for something that it does not have; it is refused by name, never approximated."""

    exit_code = 5


class ParityError(FairhashError):
    """Two engines disagree; the text names the first difference."""

    exit_code = 6


class StrategyError(FairhashError):
    """A strategy raised, or answered something that is not a target."""

    exit_code = 7
