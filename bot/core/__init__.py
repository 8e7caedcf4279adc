"""The exact accounting core: integers only, standard library only, no clock, no randomness, no I/O."""

from typing import Final

RULES_VERSION: Final = 1
"""Rises whenever the same events and commands would lead to another state: a journal is replayed by its own rules."""
