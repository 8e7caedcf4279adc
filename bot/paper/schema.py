"""The tables of a journal's file, step by step.

`entries` and `nonces` are what happened, and are only ever added to. `past` and `checkpoint` follow from them: they may
be thrown away at any time, and a replay makes them again (docs/adr/0016).
"""

from __future__ import annotations

import sqlite3
from typing import Final

from bot.paper.entries import KINDS

APPLICATION_ID: Final = 0x46_41_49_52
"""Says in the file's header that it is ours: `FAIR`."""
_KINDS = ",".join(f"'{kind}'" for kind in KINDS)
MIGRATIONS: Final = (
    f"""
    CREATE TABLE entries (
        sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
        kind TEXT NOT NULL CHECK (kind IN ({_KINDS})),
        venue TEXT NOT NULL,
        time_ns INTEGER NOT NULL CHECK (time_ns >= 0),
        key TEXT,
        text TEXT NOT NULL CHECK (json_valid(text)),
        hash BLOB NOT NULL CHECK (length(hash) = 32)
    ) STRICT;
    CREATE UNIQUE INDEX keys ON entries (key) WHERE key IS NOT NULL;
    CREATE TABLE nonces (
        key TEXT PRIMARY KEY CHECK (length(key) > 0),
        nonce INTEGER NOT NULL CHECK (nonce > 0)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE past (
        venue TEXT NOT NULL,
        kind TEXT NOT NULL,
        user TEXT NOT NULL,
        number INTEGER NOT NULL CHECK (number >= 0),
        about INTEGER,
        key TEXT,
        text TEXT NOT NULL CHECK (json_valid(text)),
        hash BLOB NOT NULL CHECK (length(hash) = 8),
        PRIMARY KEY (venue, kind, user, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX past_about ON past (venue, kind, about, number) WHERE about IS NOT NULL;
    CREATE UNIQUE INDEX past_keys ON past (venue, key) WHERE key IS NOT NULL;
    CREATE TABLE checkpoint (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        sequence INTEGER NOT NULL CHECK (sequence > 0),
        text TEXT NOT NULL,
        hash BLOB NOT NULL CHECK (length(hash) = 32)
    ) STRICT;
    """,
    """
    DROP INDEX past_keys;
    CREATE INDEX past_keys ON past (venue, key, number) WHERE key IS NOT NULL;
    """,
)
"""Step n brings a file from version n to n + 1; each runs whole or not at all."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to the newest version, step by step, each step in one transaction."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number in range(version, len(MIGRATIONS)):
        connection.execute("BEGIN IMMEDIATE")
        for statement in MIGRATIONS[number].split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")
