"""The one who writes: transactions on the file, and what is done when the disk is full, broken or back again.

Everything here runs in the writer's thread.
"""

from __future__ import annotations

import logging
import math
import sqlite3
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol

from gridtop.client import JournalStatus
from gridtop.errors import GridtopError
from gridtop.journal import keeping, tables
from gridtop.journal.custody import Custody
from gridtop.journal.debts import put_in_order
from gridtop.journal.place import Place
from gridtop.journal.sheet import Sheet
from gridtop.journal_settings import JournalSettings
from gridtop.text import clean

_log = logging.getLogger("gridtop")

MOST_UNSAVED = 10_000
"""Events that stay in memory while the disk cannot be written."""

GLANCE = 10.0
"""Seconds between looks at age, size and free space, and between attempts to write to a broken disk again."""

_MEMORY_MEGABYTES = 64
_LONGEST_TEND = 10
"""Portions that are removed at a time, so that commits do not wait long."""

_OF_ONE_JOB = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)


class Job(Protocol):
    """Something to be done within a transaction, which may be tried more than once."""

    outcome: Any
    failure: Exception | None

    def work(self, sheet: Sheet) -> Any:
        """Do it."""
        ...


class Ledger:
    """The journal's connection, in the hands of one thread. `place` None: all in memory."""

    def __init__(
        self,
        place: Place | None,
        settings: JournalSettings,
        wall: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        megabytes = settings.size if place is not None else min(settings.size, _MEMORY_MEGABYTES)
        self.sheet = Sheet(tables.connect())
        self.file = Custody(place, self.sheet, megabytes, wall)
        self.newest = 0
        self.unsaved = 0
        self._place = place
        self._settings = settings
        self._clock = clock
        self._next_glance = math.inf  # not before the file is ours
        self._expired = 0
        self._bytes = 0
        self._tight = ""
        self._problem = ""

    @property
    def status(self) -> JournalStatus:
        """Where events are kept and whether that works."""
        if self._place is None:
            return JournalStatus("memory", bytes=self._bytes)
        path = str(self._place.path)
        if self.sheet.degraded:
            return JournalStatus("degraded", path, self._bytes, self._problem)
        return JournalStatus("ok", path, self._bytes, self._tight)

    # The beginning and the end

    def open(self) -> None:
        """Lock, check and open the file; GridtopError in words when it cannot be used."""
        try:
            self.file.open()
            self.newest = self.sheet.last
            introduction = _Introduction(self.file)
            self.run([introduction])
            if introduction.failure is not None:
                raise introduction.failure
            if self.sheet.degraded and not self._lacks_space:
                raise GridtopError(f"the journal {self.file.name} {self._problem.partition(';')[0]}")
        except BaseException as error:
            self.file.close(in_order=False)
            if isinstance(error, (sqlite3.Error, OSError)):
                raise GridtopError(f"the journal {self.file.name} cannot be opened: {error}") from error
            raise
        self._next_glance = self._clock() + GLANCE
        self._look_around()

    def close(self) -> None:
        """Write what can be written, and let go of everything."""
        if self.sheet.degraded:
            self._recover()
        if self.unsaved:
            _log.error("journal: %d events could not be written before the end", self.unsaved)
        try:
            self.file.close(in_order=not self.sheet.degraded)
        except sqlite3.Error as error:
            _log.warning("journal: %s", error)

    def discard(self) -> None:
        """End what was never opened, or is closed already."""
        self.sheet.connection.close()

    # Transactions

    def run(self, jobs: Sequence[Job]) -> None:
        """Do all jobs in one transaction, or each failing one not at all. Errors of the disk are dealt with.

        A job that failed has its `failure` set.
        """
        if not self.sheet.degraded:
            try:
                self._together(jobs)
            except sqlite3.Error as error:
                self._in_spite_of(error, jobs)
        else:
            self._in_memory(jobs)
        written, self.newest = self.sheet.last - self.newest, self.sheet.last
        if written and not self.sheet.degraded:
            # As fast as events come in, so fast the oldest have to go.
            self._guarded(lambda: self._make_room(1 + 2 * written // keeping.PORTION))
            if self._place is not None and not self.file.ballast:
                self._guarded(lambda: self._make_spare_pages(written))

    def _together(self, jobs: Sequence[Job]) -> None:
        sheet, connection = self.sheet, self.sheet.connection
        sheet.begin()
        try:
            for job in jobs:
                noted = sheet.noted()
                connection.execute("SAVEPOINT job")
                try:
                    job.outcome, job.failure = job.work(sheet), None
                except Exception as error:
                    if isinstance(error, sqlite3.Error) and not isinstance(error, _OF_ONE_JOB):
                        raise
                    job.failure = error
                    connection.execute("ROLLBACK TO job")
                    sheet.forget(noted)
                connection.execute("RELEASE job")
            sheet.keep()
        except BaseException:
            sheet.abandon()
            raise

    def _in_spite_of(self, error: sqlite3.Error, jobs: Sequence[Job]) -> None:
        """The disk refused: mend what can be mended and try again, else go on in memory."""
        try:
            if self._place is None:
                self._make_room(keeping.LARGEST_ROUND)
                self._together(jobs)
                return
            if tables.is_damage(error):
                self.file.replace(str(error))
                self._together(jobs)
                return
            if tables.primary_code(error) == sqlite3.SQLITE_FULL:
                self._free_some()
                self._together(jobs)
                self.file.take_ballast()
                return
        except (sqlite3.Error, tables.Damaged, GridtopError, OSError) as again:
            error = again if isinstance(again, sqlite3.Error) else error
            if self._place is None:
                for job in jobs:
                    job.failure = error
                return
        self._degrade(error)
        self._in_memory(jobs)

    def _in_memory(self, jobs: Sequence[Job]) -> None:
        try:
            self._together(jobs)
        except sqlite3.Error:
            self.sheet.readable = False
            try:
                self._together(jobs)
            except sqlite3.Error as error:
                for job in jobs:
                    job.failure = error
                return
        if lost := keeping.trim_memory(self.sheet, MOST_UNSAVED):
            self.sheet.counts["lost", ""] += lost
        self._count_unsaved()

    # A disk that is full, broken, or back again

    def _free_some(self) -> None:
        """What helps on a full disk or at the end of the quota: the ballast, then the oldest events."""
        assert self._place is not None
        if keeping.crowded(self.sheet):
            self._make_room(keeping.LARGEST_ROUND)
            return
        self.file.drop_ballast()
        keeping.checkpoint(self.sheet.connection)
        self._make_spare_pages(0)

    def _degrade(self, error: sqlite3.Error) -> None:
        assert self._place is not None
        self.sheet.degraded, self.sheet.readable = True, True
        self._problem = f"cannot be written ({_reason(error)}); events are kept in memory"
        self._next_glance = self._clock() + GLANCE
        # Without it the next start knows that numbers were given which the file does not have.
        self.file.drop_ballast()
        _log.error("journal: %s %s", self.file.name, self._problem)
        self.file.tell("degraded", "critical", f"the journal {self.file.name} {self._problem}")

    def _recover(self) -> None:
        """Try to write what only memory holds. If that fails, things stay as they are."""
        assert self._place is not None
        before = self.unsaved
        try:
            if self._place.vanished or not self.sheet.readable:
                self.file.reopen()
            if keeping.crowded(self.sheet) or self._lacks_space:
                self.sheet.degraded = False  # what is removed is removed on disk
                try:
                    self._free_some()
                finally:
                    self.sheet.degraded = True
            while keeping.merge_portion(self.sheet):
                pass
            put_in_order(self.sheet.connection, "disk")
        except (sqlite3.Error, tables.Damaged, GridtopError, OSError) as error:
            self._problem = f"cannot be written ({_reason(error)}); events are kept in memory"
            self._count_unsaved()
            return
        self.sheet.degraded = False
        self._problem = ""
        self._count_unsaved()
        self.file.take_ballast()
        _log.warning("journal: %s can be written again", self.file.name)
        self.file.tell(
            "recovered",
            "warning",
            f"the journal {self.file.name} can be written again; {before} events are saved",
        )

    # Housekeeping

    def idle(self) -> None:
        """What is done now and then, when it is time."""
        if self._clock() >= self._next_glance:
            self.tend()

    def tend(self) -> None:
        """Look after the file: a broken disk, age, size, free space."""
        self._next_glance = self._clock() + GLANCE
        if self.sheet.degraded:
            self._recover()
        elif self._place is not None and self._place.vanished:
            self._guarded(self.file.reopen)
        self._guarded(self._remove_old)
        self._look_around()

    def _remove_old(self) -> None:
        before = self.file.wall() - self._settings.keep / timedelta(seconds=1)
        for _ in range(_LONGEST_TEND):
            removed = keeping.in_one_transaction(self.sheet, before)
            if removed:
                self.file.find_oldest()
            if removed < keeping.PORTION:
                break
        else:
            self._next_glance = self._clock()  # there is more: soon again
        self._make_room(_LONGEST_TEND)
        keeping.give_back(self.sheet)

    def _make_room(self, portions: int) -> None:
        if keeping.make_room(self.sheet, portions):
            self.file.find_oldest()

    def _make_spare_pages(self, written: int) -> None:
        if keeping.make_spare_pages(self.sheet, written):
            self.file.find_oldest()

    def _guarded(self, work: Callable[[], object]) -> None:
        """Housekeeping that the disk may refuse, like everything else."""
        if self.sheet.degraded:
            return
        try:
            work()
        except (sqlite3.Error, tables.Damaged, GridtopError, OSError) as error:
            self._in_spite_of(error if isinstance(error, sqlite3.Error) else sqlite3.Error(str(error)), ())

    def _look_around(self) -> None:
        """Space, and what had to go that was owed to somebody."""
        if self._place is not None:
            self._bytes = self._place.bytes
            try:
                free, comfortable = self._place.free()
            except OSError:
                free, comfortable = 0, 0
            self._tight = f"only {free / 1e6:.0f} MB are free on the disk" if free < comfortable else ""
            if not self.sheet.degraded and not self._tight and not self.file.ballast:
                self._guarded(self.file.take_ballast)
        expired = sum(number for (what, _), number in self.sheet.counts.items() if what == "expired")
        if expired > self._expired:
            self.file.tell(
                "expired",
                "warning",
                f"{expired - self._expired} deliveries were given up, because their events had to go",
            )
            self._expired = expired

    def _count_unsaved(self) -> None:
        row = self.sheet.connection.execute("SELECT COUNT(*) FROM main.event").fetchone()
        self.unsaved = row[0]

    @property
    def _lacks_space(self) -> bool:
        return "full" in self._problem


class _Introduction:
    """The job that begins every run."""

    outcome: Any = None
    failure: Exception | None = None

    def __init__(self, file: Custody) -> None:
        self._file = file

    def work(self, sheet: Sheet) -> None:
        """Only with the disk in order: nobody reads it from memory."""
        if not sheet.degraded:
            self._file.introduce()


def _reason(error: Exception) -> str:
    return clean(str(error)) or type(error).__name__
