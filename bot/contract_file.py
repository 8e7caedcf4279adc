"""The YAML document of a contract: read, checked, and turned into the integers of `bot.core.contract`."""

from __future__ import annotations

import os
from typing import NamedTuple

from bot.contract_settings import DIVIDEND_TERM, LATER, LATER_KINDS, SCHEMA_VERSION, ContractSettings
from bot.core.contract import Contract
from bot.errors import ConfigError, Problem
from bot.fields import Mapping, Node, Reading, Row, Scalar, explain, in_file_order, where
from bot.strict_yaml import read


class ContractReading(NamedTuple):
    """A contract document as read: settings and terms (None if it has a problem), and all its problems."""

    settings: ContractSettings | None
    contract: Contract | None
    problems: list[Problem]
    origins: dict[str, str]

    def rows(self) -> list[Row]:
        """Return every term with its value, unit and origin."""
        return list(explain(self.settings, self.origins)) if self.settings else []


def load_contract(path: str | os.PathLike[str]) -> Contract:
    """Return the contract that the YAML document at `path` describes; raises ConfigError with every problem."""
    reading = read_contract(path)
    if reading.contract is None or reading.problems:
        raise ConfigError(reading.problems)
    return reading.contract


def read_contract(path: str | os.PathLike[str], asked_at: str = "") -> ContractReading:
    """Return the contract at `path` together with its problems; `asked_at` is the `file:line` that names the path."""
    document = read(path, asked_at=asked_at)
    reading = Reading(problems=list(document.problems))
    settings = None
    if document.root is not None and not _of_another_form(document.root, reading):
        settings = reading.section(document.root, ContractSettings)
    contract = settings.contract() if settings and not reading.problems else None
    return ContractReading(settings, contract, in_file_order(reading.problems), reading.origins)


def _of_another_form(root: Node, reading: Reading) -> bool:
    """Note a kind or version that is not supported: its other keys would only read as mistakes."""
    if not isinstance(root, Mapping):
        return False
    for key, value in root.entries:
        if not isinstance(value, Scalar):
            continue
        if key.text == "kind" and value.text in LATER_KINDS:
            remedy = f"for now only {DIVIDEND_TERM} is"
            reading.refuse(where(value), "kind", f"'{value.text}' contracts are {LATER}", remedy)
            return True
        if key.text == "schema_version" and value.text.isdecimal() and value.text != SCHEMA_VERSION:
            remedy = f"this program reads version {SCHEMA_VERSION}"
            reading.refuse(where(value), "schema_version", f"{value.text!r} is {LATER}", remedy)
            return True
    return False
