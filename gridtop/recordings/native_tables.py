"""The SQLite file of a gridtop recording: its tables, how it is recognised, and opened with distrust."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridtop.recordings.native_chunks import DamagedError
from gridtop.recordings.native_head import COLUMNS, LONGEST_CHANNELS, Head, from_row

APPLICATION_ID = 0x67727472
"""`grtr`: what tells a recording from other SQLite files."""

FORMAT = 1
"""The number of this format; it is the file's user_version."""

_ALONE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
"""What SQLite says where it cannot make the files beside a recording by which it shares it with a writer."""

HEADER_BYTES = 100
BUSY_SECONDS = 5.0

_MAGIC = b"SQLite format 3\x00"
_ID_AT = 68
"""Where the header of a SQLite file has its application id, four bytes, the highest first."""

SCHEMA = (
    "CREATE TABLE head (id TEXT, rate REAL, clock TEXT, source TEXT, version TEXT, channels TEXT)",
    'CREATE TABLE chunk ("row" INTEGER PRIMARY KEY, frames INTEGER, first INTEGER, last INTEGER, '
    'time BLOB, "values" BLOB, quality BLOB, labels BLOB)',
    "CREATE UNIQUE INDEX chunk_by_time ON chunk (first, last, frames)",
)
"""`row` counts all frames ever written. The index also holds the row, so that it says all without a blob."""


class UnknownFormatError(Exception):
    """The recording is of a newer gridtop; the text is its format's number."""


def is_sqlite(header: bytes) -> bool:
    """Whether the first 100 bytes of a file are those of a SQLite database."""
    return header.startswith(_MAGIC)


def is_recording(header: bytes) -> bool:
    """Whether they are those of a gridtop recording."""
    return is_sqlite(header) and header[_ID_AT : _ID_AT + 4] == APPLICATION_ID.to_bytes(4, "big")


def connect(path: Path, mode: str, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection to the file, `rw` or `ro`, that trusts nothing in it; raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=busy_seconds,
    )
    try:
        connection.text_factory = _text_from
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_CHANNELS)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        for setting in (
            "trusted_schema = OFF",
            "cell_size_check = ON",
            "mmap_size = 0",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def reading(path: Path) -> Iterator[tuple[sqlite3.Connection, Head]]:
    """A connection to read from, and the head.

    DamagedError, UnknownFormatError, sqlite3.Error. Whether there is somebody who writes does not matter.
    """
    connection = _connected(path)
    try:
        yield connection, read_head(connection)
    finally:
        connection.close()


def _connected(path: Path) -> sqlite3.Connection:
    try:
        return connect(path, "ro")
    except sqlite3.OperationalError as error:
        # Where nothing can be written, SQLite cannot share a file that was not closed in order with anybody.
        log = path.with_name(f"{path.name}-wal")
        if error.sqlite_errorcode & 0xFF not in _ALONE or (log.exists() and log.stat().st_size):
            raise
        return connect(path, "ro&immutable=1")


def read_head(connection: sqlite3.Connection) -> Head:
    """What the recording says about itself; raises as `reading` does."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > FORMAT:
        raise UnknownFormatError(str(version))
    found = connection.execute("SELECT sql FROM sqlite_master ORDER BY rowid LIMIT 9").fetchall()
    if version != FORMAT or tuple(sql for (sql,) in found) != SCHEMA:
        raise DamagedError("its tables are not those of a recording")
    rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM head LIMIT 2").fetchall()
    if len(rows) != 1:
        raise DamagedError("it has no head")
    return from_row(rows[0])


def _text_from(data: bytes) -> str:
    """Bytes that are no UTF-8 are looked at like any other text."""
    return data.decode("utf-8", "replace")
