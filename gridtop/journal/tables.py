"""The tables of the journal, how a file is opened and checked, and what older files need."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gridtop.errors import GridtopError
from gridtop.text import clean

APPLICATION_ID = 0x67726474
"""`grdt`: what tells a journal from other SQLite files."""

VERSION = 1

CHECKPOINT_PAGES = 1000
BUSY_SECONDS = 5.0
_LONGEST_LOG = 64 * 1024 * 1024
"""Bytes that the write-ahead log keeps on disk between checkpoints."""

READY, BEHIND, DEAD, DONE = range(4)
"""States of a delivery: may be tried when it is due; waits for an older one of its incident; a dead letter;
finished (only in memory while the disk cannot be written, else the row is removed)."""

_EVENTS = """
CREATE TABLE {schema}.event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  wall REAL NOT NULL,
  kind TEXT NOT NULL,
  severity TEXT NOT NULL,
  rule TEXT NOT NULL,
  incident TEXT NOT NULL,
  body TEXT NOT NULL
);
CREATE INDEX {schema}.event_by_wall ON event (wall);
"""

# `seq` comes first so that the primary key also tells whether an event is owed to anybody.
_DELIVERIES = """
CREATE TABLE {schema}.delivery (
  seq INTEGER NOT NULL {reference},
  sink TEXT NOT NULL,
  incident TEXT NOT NULL,
  state INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  due REAL NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (seq, sink)
) WITHOUT ROWID;
CREATE INDEX {schema}.delivery_ready ON delivery (sink, seq, due) WHERE state = 0;
CREATE INDEX {schema}.delivery_of_incident ON delivery (sink, incident, seq, state)
  WHERE state < 2 AND incident <> '';
CREATE INDEX {schema}.delivery_dead ON delivery (sink, seq) WHERE state = 2;
"""

_SAVED = """
CREATE TABLE {schema}.saved (
  source TEXT PRIMARY KEY,
  pass INTEGER NOT NULL,
  position INTEGER NOT NULL,
  finished INTEGER NOT NULL,
  alarms TEXT NOT NULL,
  extra TEXT NOT NULL,
  wall REAL NOT NULL
) WITHOUT ROWID;
"""

_META = "CREATE TABLE {schema}.meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"

_MIGRATIONS: Sequence[str] = (_META + _EVENTS + _DELIVERIES + _SAVED,)
"""What makes version n + 1 out of version n: the first one makes version 1 out of an empty file."""

_NAMES = {"meta", "event", "delivery", "saved"}


class Damaged(Exception):
    """The file is no sound database any more; the text says what SQLite found."""


def text_from(data: bytes) -> str:
    """Text of the database; bytes that are no UTF-8 are damage, which must not hide the rest."""
    return data.decode("utf-8", "replace")


def connect() -> sqlite3.Connection:
    """A connection whose own, empty tables in memory hold what cannot be written to the disk."""
    connection = sqlite3.connect(
        "file::memory:", uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
    )
    connection.text_factory = text_from
    _run(connection, (_EVENTS + _DELIVERIES + _SAVED).format(schema="main", reference=""))
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")  # a full disk is when they are needed
    return connection


def attach(connection: sqlite3.Connection, path: Path | None, megabytes: int) -> None:
    """Open the file (it exists; None: memory) as `disk`, check it, and bring it up to date.

    Damaged when it is; GridtopError when it belongs to a newer gridtop or another program; other errors are
    SQLite's own.
    """
    place = ":memory:" if path is None else f"{path.as_uri()}?mode=rw"
    try:
        connection.execute("ATTACH ? AS disk", (place,))
        _prepare(connection, path, megabytes)
    except BaseException as error:
        detach(connection)
        if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
            raise Damaged(str(error)) from error
        raise


def detach(connection: sqlite3.Connection) -> None:
    """Let go of the file, if there is one."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    if any(row[1] == "disk" for row in connection.execute("PRAGMA database_list").fetchall()):
        connection.execute("DETACH disk")


def _prepare(connection: sqlite3.Connection, path: Path | None, megabytes: int) -> None:
    version = pragma(connection, "user_version")
    if version > VERSION:
        raise GridtopError(newer(path, version))
    if version == 0 and pragma(connection, "page_count") == 0:
        connection.execute("PRAGMA disk.auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA disk.journal_mode = WAL")
    connection.execute("PRAGMA disk.synchronous = FULL")
    connection.execute(f"PRAGMA disk.wal_autocheckpoint = {CHECKPOINT_PAGES}")
    log = min(_LONGEST_LOG, megabytes * 1_000_000 // 4)
    connection.execute(f"PRAGMA disk.journal_size_limit = {log}")
    if path is not None:  # SQLite never makes it less than what there is already
        pages = megabytes * 1_000_000 // pragma(connection, "page_size")
        connection.execute(f"PRAGMA disk.max_page_count = {pages}")
    if version and (found := pragma(connection, "quick_check(1)")) != "ok":
        raise Damaged(found)
    _migrate(connection, version)
    names = {name for (name,) in connection.execute("SELECT name FROM disk.sqlite_master").fetchall()}
    if not names >= _NAMES:
        raise Damaged(f"there is no table {', '.join(sorted(_NAMES - names))}")


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    for number, script in enumerate(_MIGRATIONS[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _run(connection, script.format(schema="disk", reference="REFERENCES event (seq)"))
            if number == 1:
                connection.execute(f"PRAGMA disk.application_id = {APPLICATION_ID}")
                put(connection, "instance", new_instance())
            connection.execute(f"PRAGMA disk.user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _run(connection: sqlite3.Connection, script: str) -> None:
    # Not executescript: that would commit what is under way.
    for statement in script.split(";"):
        if statement.strip():
            connection.execute(statement)


def newer(path: Path | None, version: int) -> str:
    """The sentence for a file of a newer gridtop."""
    return (
        f"{clean(str(path))} was written by a newer gridtop (journal version {version}, this one knows "
        f"{VERSION}); update gridtop, or give another journal"
    )


def new_instance() -> str:
    """A name for the contents of a file that no other has."""
    return uuid.uuid4().hex


def pragma(connection: sqlite3.Connection, name: str) -> Any:
    """What SQLite says of the file."""
    return connection.execute(f"PRAGMA disk.{name}").fetchone()[0]


def put(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Note something about the file in the file."""
    connection.execute("INSERT OR REPLACE INTO disk.meta VALUES (?, ?)", (name, value))


def get(connection: sqlite3.Connection, name: str) -> str:
    """What is noted about the file; empty for nothing."""
    row = connection.execute("SELECT value FROM disk.meta WHERE name = ?", (name,)).fetchone()
    return row[0] if row else ""


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code of an error, without its extension; 0 where there is none."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file is no sound database."""
    return primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def numbers(seqs: Sequence[int]) -> str:
    """Sequence numbers as one parameter of a statement, for json_each."""
    return json.dumps([int(seq) for seq in seqs])
