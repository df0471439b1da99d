"""The file in the writer's hands: opened, known by its instance, replaced when it is damaged or gone.

Everything here runs in the writer's thread.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Callable

from gridtop.errors import GridtopError
from gridtop.events import Event, Severity, event_id
from gridtop.journal import tables
from gridtop.journal.entries import oldest_event
from gridtop.journal.place import Place
from gridtop.journal.sheet import Sheet
from gridtop.text import clean

_log = logging.getLogger("gridtop")

_CLOSED, _BALLAST, _NONE = "closed", "ballast", ""
"""What the file says of its last run: it ended in order; if not, whether the ballast is there tells whether
numbers were given that are not in the file; nothing would tell."""


class Custody:
    """One journal's file (`place` None: memory), attached to the sheet as `disk`."""

    def __init__(self, place: Place | None, sheet: Sheet, megabytes: int, wall: Callable[[], float]) -> None:
        self.place = place
        self.sheet = sheet
        self.wall = wall
        self.instance = ""
        self.oldest = 1
        self.ballast = False
        """Whether there is space put by; without it everything is done to keep the file from growing."""
        self.number = 0
        """Grows when another file has taken the place of the one before."""
        self.notices: deque[Event] = deque()
        self._megabytes = megabytes
        self._told = 0

    @property
    def name(self) -> str:
        """The file's name for people."""
        return clean(str(self.place.path)) if self.place is not None else "in memory"

    def open(self) -> None:
        """Lock, check and open the file. GridtopError, sqlite3.Error or OSError when it cannot be used."""
        if self.place is not None:
            self.place.claim()
        try:
            self._attach_somehow()
        except tables.Damaged as damage:
            self.replace(str(damage))
        connection = self.sheet.connection
        self.instance = tables.get(connection, "instance")
        row = connection.execute("SELECT seq FROM disk.sqlite_sequence WHERE name = 'event'").fetchone()
        self.sheet.last = row[0] if row else 0
        self.find_oldest()

    def introduce(self) -> None:
        """Note whose file this is and that it is in use, in a transaction; afterwards it can be written."""
        if self.place is None:
            return
        ended = tables.get(self.sheet.connection, "ended")
        told_by_ballast = ended == _BALLAST and self.place.has_ballast
        if self.number == 0 and self.sheet.last and ended != _CLOSED and not told_by_ballast:
            self.instance = tables.new_instance()
        self.ballast = self.place.take_ballast()
        tables.put(self.sheet.connection, "instance", self.instance)
        self._note_use()

    def close(self, *, in_order: bool) -> None:
        """Let go of the file; `in_order` when all that was published is in it."""
        try:
            if in_order and self.place is not None:
                tables.put(self.sheet.connection, "ended", _CLOSED)
                # Readers may have the file open, which keeps SQLite from doing it by itself.
                self.sheet.connection.execute("PRAGMA disk.wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            self.sheet.connection.close()
            if self.place is not None:
                self.place.release()

    def reopen(self) -> None:
        """Open the file again after it could not be read, or begin a new one where it was removed."""
        tables.detach(self.sheet.connection)
        try:
            if self.place is not None and self.place.vanished:
                if self.place.path.exists():
                    raise GridtopError("another file has taken its place; end the engine and start it again")
                self._begin_anew("was removed")
            else:
                self._attach()
        except tables.Damaged as damage:
            self.replace(str(damage))
        self.sheet.readable = True

    def replace(self, damage: str) -> None:
        """Put the damaged file aside and begin a new one."""
        assert self.place is not None
        tables.detach(self.sheet.connection)
        aside = self.place.put_aside(self.wall())
        self._begin_anew(f"was damaged ({clean(damage)}) and is now {clean(aside.name)}")

    def find_oldest(self) -> None:
        """Find out which event is the oldest now."""
        self.oldest = oldest_event(self.sheet) or self.sheet.last + 1

    def take_ballast(self) -> None:
        """Put space by, if it is not there and the disk has enough."""
        if self.place is not None and not self.ballast and self.place.take_ballast():
            self.ballast = True
            self._note_use()

    def drop_ballast(self) -> None:
        """Use the space that was put by. The next start knows that this run was in trouble."""
        self.ballast = False
        if self.place is not None:
            self.place.drop_ballast()

    def tell(self, what: str, severity: Severity, message: str) -> None:
        """An event about the journal itself, for the monitor to publish."""
        self._told += 1
        self.notices.append(
            Event(
                id=event_id(f"{self.wall():.6f}", self._told, "journal", what, "noticed", 0),
                kind="system",
                transition="noticed",
                severity=severity,
                rule="journal",
                message=clean(message, 400),
                row=0,
                details={"what": what},
            )
        )

    def _note_use(self) -> None:
        tables.put(self.sheet.connection, "ended", _BALLAST if self.ballast else _NONE)

    def _attach(self) -> None:
        path = None if self.place is None else self.place.path
        tables.attach(self.sheet.connection, path, self._megabytes)
        self.sheet.quota = self._megabytes * 1_000_000 // tables.pragma(self.sheet.connection, "page_size")

    def _attach_somehow(self) -> None:
        """The same at the start, where a full disk may have no room even for what SQLite needs to read."""
        try:
            self._attach()
        except sqlite3.Error:
            if self.place is None or not self.place.has_ballast:
                raise
            self.place.drop_ballast()
            self._attach()

    def _begin_anew(self, why: str) -> None:
        """A new file in place of one that is gone; sequence numbers go on, so that clients need not know."""
        assert self.place is not None
        self.place.forget_log()
        self.place.create()
        self._attach()
        self.number += 1
        connection = self.sheet.connection
        if self.instance:
            tables.put(connection, "instance", self.instance)
            self._note_use()
            connection.execute(
                "INSERT INTO disk.sqlite_sequence (name, seq) VALUES ('event', ?)", (self.sheet.last,)
            )
        self.oldest = self.sheet.last + 1
        text = f"the journal {self.name} {why}; a new one was begun: what was in it is not known here"
        _log.error("%s", text)
        self.tell("replaced", "critical", text)
