"""What `gridtop outbox` sees and does: look at what is owed, try dead letters again, drop what nobody wants.

All of it works on a file while an engine keeps it, and without.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridtop.errors import GridtopError
from gridtop.events import Event
from gridtop.journal import tables
from gridtop.journal.debts import put_in_order
from gridtop.journal.entries import parsed
from gridtop.journal.reading import Reader
from gridtop.journal.tables import DEAD, READY, numbers
from gridtop.text import clean


@dataclass(frozen=True, slots=True)
class Letter:
    """An event that is owed to a sink: waiting (due when, seconds since 1970) or dead, and why."""

    sink: str
    event: Event
    dead: bool
    tries: int
    due: float
    reason: str


@dataclass(frozen=True, slots=True)
class Account:
    """How much is owed to one sink, and since when (seconds since 1970)."""

    sink: str
    waiting: int
    dead: int
    oldest: float


def accounts(path: Path) -> list[Account]:
    """What is owed, by sink, also to sinks no longer configured. GridtopError if it is unreadable."""
    rows = _read(
        path,
        f"SELECT sink, SUM(state < {DEAD}), SUM(state = {DEAD}), MIN(wall) FROM delivery "
        "JOIN event USING (seq) GROUP BY sink ORDER BY sink",
    )
    return [Account(*row) for row in rows]


def letters(
    path: Path, sink: str | None = None, *, dead: bool | None = None, limit: int = 1000
) -> list[Letter]:
    """The oldest letters, of one sink or of all; only dead ones, only waiting ones, or both (None).

    What is damaged beyond reading is left out.
    """
    rows = _read(
        path,
        f"SELECT sink, body, state = {DEAD}, tries, due, reason FROM delivery JOIN event USING (seq) "
        f"WHERE (?1 IS NULL OR sink = ?1) AND (?2 IS NULL OR (state = {DEAD}) = ?2) "
        "ORDER BY seq, sink LIMIT ?3",
        (sink, dead, limit),
    )
    return [
        Letter(name, event, bool(is_dead), tries, due, reason)
        for name, body, is_dead, tries, due, reason in rows
        if (event := parsed(body)) is not None
    ]


def retry(
    path: Path, sink: str | None = None, seqs: Sequence[int] | None = None, *, waiting: bool = False
) -> int:
    """Make dead letters due now, with no tries to their account; how many there were.

    With `waiting` it is those that were tried in vain and wait for the next attempt; their tries stay on
    their account. All of them, those of one sink, or some by sequence number. An engine that keeps the
    journal tries them within a few seconds, else the next one does.
    """
    hastened = f"due = 0 WHERE state < {DEAD} AND tries > 0"
    revived = f"state = {READY}, tries = 0, due = 0 WHERE state = {DEAD}"
    return _change(path, f"UPDATE delivery SET {hastened if waiting else revived} AND", sink, seqs)


def drop(
    path: Path, sink: str | None = None, seqs: Sequence[int] | None = None, *, waiting: bool = False
) -> int:
    """Forget that dead letters are owed, and with `waiting` those that wait as well; how many there were.

    The events stay in the journal.
    """
    dead = "TRUE" if waiting else f"state = {DEAD}"
    return _change(path, f"DELETE FROM delivery WHERE {dead} AND", sink, seqs)


def _read(path: Path, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
    with Reader(path) as reader:
        return reader.rows(statement, parameters)


def _change(path: Path, statement: str, sink: str | None, seqs: Sequence[int] | None) -> int:
    Reader(path).close()  # says in words when it is no journal
    name = clean(str(path))
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=tables.BUSY_SECONDS
        )
    except sqlite3.Error as error:
        raise GridtopError(f"the journal {name} cannot be opened: {error}") from error
    chosen = "(?1 IS NULL OR sink = ?1) AND (?2 IS NULL OR seq IN (SELECT value FROM json_each(?2)))"
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        changed = connection.execute(
            f"{statement} {chosen}", (sink, None if seqs is None else numbers(seqs))
        ).rowcount
        put_in_order(connection, "main")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise GridtopError(f"the journal {name} cannot be changed: {error}") from error
    finally:
        connection.close()
    return changed
