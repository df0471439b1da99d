"""Reads a journal without disturbing the engine that writes it, or when there is none."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gridtop.errors import GridtopError
from gridtop.events import SEVERITIES, Event, Severity
from gridtop.journal import tables
from gridtop.journal.entries import parsed
from gridtop.text import clean

PAGE = 500
"""Events that are read at a time."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events: published between two times (seconds since 1970, the second one excluded), of at least
    this severity, of rules that match one of the globs, of these kinds; all where nothing is said."""

    since: float | None = None
    until: float | None = None
    severity: Severity = "info"
    rules: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def condition(self) -> tuple[str, list[Any]]:
        """The same as a condition of SQL, and its parameters."""
        conditions, parameters = ["TRUE"], list[Any]()
        if self.since is not None:
            conditions.append("wall >= ?")
            parameters.append(self.since)
        if self.until is not None:
            conditions.append("wall < ?")
            parameters.append(self.until)
        if self.severity != "info":
            chosen = SEVERITIES[SEVERITIES.index(self.severity) :]
            conditions.append(f"severity IN ({_marks(chosen)})")
            parameters += chosen
        if self.kinds:
            conditions.append(f"kind IN ({_marks(self.kinds)})")
            parameters += self.kinds
        if self.rules:
            conditions.append(f"({' OR '.join('matches(rule, ?)' for _ in self.rules)})")
            parameters += self.rules
        return " AND ".join(conditions), parameters


ALL = Choice()


class Reader:
    """A journal's file, open for reading only. GridtopError in words when it is none or cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        name = clean(str(path))
        if not self._path.is_file():
            raise GridtopError(
                f"there is no journal {name}; gridtop run keeps one where journal.path or a sink asks for "
                "it, --journal names another"
            )
        with self._words():
            self._connection = self._opened()
        with self._words():
            ours = self._value("PRAGMA application_id") == tables.APPLICATION_ID
            version = self._value("PRAGMA user_version")
        if not ours or version > tables.VERSION:
            self.close()
            raise GridtopError(tables.newer(path, version) if ours else f"{name} is no journal of gridtop")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def replaced(self) -> bool:
        """Whether another file has taken this one's place."""
        try:
            status = self._path.stat()
        except OSError:
            return False  # not yet
        return (status.st_dev, status.st_ino) != self._identity

    @property
    def newest(self) -> int:
        """The newest sequence number there has been."""
        with self._words():
            return int(self._value("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'event'"))

    def events(self, after: int, limit: int = PAGE, choice: Choice = ALL) -> list[tuple[int, Event | None]]:
        """The oldest chosen ones above a sequence number with their numbers; None for one that is damaged."""
        condition, parameters = choice.condition()
        with self._words():
            rows = self._connection.execute(
                f"SELECT seq, body FROM event WHERE seq > ? AND {condition} ORDER BY seq LIMIT ?",
                (after, *parameters, limit),
            ).fetchall()
        return [(seq, parsed(body)) for seq, body in rows]

    def start_of_last(self, number: int, choice: Choice = ALL) -> int:
        """The sequence number after which there are this many of the chosen ones, or fewer."""
        condition, parameters = choice.condition()
        with self._words():
            row = self._connection.execute(
                f"SELECT MIN(seq) FROM (SELECT seq FROM event WHERE {condition} ORDER BY seq DESC LIMIT ?)",
                (*parameters, number),
            ).fetchone()
        return self.newest if row[0] is None else int(row[0]) - 1

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """What a statement finds."""
        with self._words():
            return self._connection.execute(statement, parameters).fetchall()

    def all_events(self, after: int, choice: Choice = ALL) -> Iterator[tuple[int, Event | None]]:
        """All chosen ones above a sequence number, read page by page."""
        while page := self.events(after, PAGE, choice):
            yield from page
            after = page[-1][0]

    def _opened(self) -> sqlite3.Connection:
        """Where nothing can be written beside the file, it is read as it stands, if nobody writes it."""
        status = self._path.stat()
        self._identity = (status.st_dev, status.st_ino)
        for end in ("mode=ro", "mode=ro&immutable=1"):
            connection = sqlite3.connect(
                f"{self._path.as_uri()}?{end}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=tables.BUSY_SECONDS,
            )
            connection.text_factory = tables.text_from
            connection.create_function("matches", 2, fnmatchcase, deterministic=True)
            try:
                connection.execute("PRAGMA user_version").fetchone()
                connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            except sqlite3.Error as error:
                connection.close()
                log = self._path.with_name(self._path.name + "-wal")
                refused = tables.primary_code(error) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
                if not refused or log.exists() or "immutable" in end:
                    raise
            else:
                return connection
        raise AssertionError  # the second attempt returns or raises

    def _value(self, statement: str) -> Any:
        return self._connection.execute(statement).fetchone()[0]

    @contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            name = clean(str(self._path))
            if isinstance(error, sqlite3.Error) and tables.is_damage(error):
                raise GridtopError(f"{name} is damaged, or no journal of gridtop ({error})") from error
            raise GridtopError(f"the journal {name} cannot be read: {error}") from error


def _marks(values: tuple[str, ...]) -> str:
    return ", ".join("?" * len(values))
