"""The journal as the monitor and the delivery see it: events and all that belongs to them, kept on disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from gridtop.client import JournalStatus
from gridtop.errors import GridtopError
from gridtop.events import Event
from gridtop.journal import debts
from gridtop.journal.entries import read_events, read_saved, write_events, write_saved
from gridtop.journal.ledger import Ledger
from gridtop.journal.place import Place
from gridtop.journal.reading import Reader
from gridtop.journal.records import Restored, Saved, Tally
from gridtop.journal.sheet import Sheet
from gridtop.journal.writer import Writer
from gridtop.journal_settings import JournalSettings
from gridtop.outbox import Backlog, Owed
from gridtop.subscriptions import Subscription


class Journal:
    """Keeps events, alarm states, the position of the source and what is owed to sinks in one SQLite file.

    It is the `Outbox` of delivery as well. Without a path all of it is in memory and ends with the process;
    nothing else differs. `wall` is the clock for publication, `clock` (monotonic) says when to look after
    the file; both are seconds. All methods may be called from any task of one event loop; what waits
    together is committed together.
    """

    def __init__(
        self,
        path: Path | None,
        settings: JournalSettings,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._wall = wall
        place = None if path is None else Place(path, settings.size)
        self._ledger = Ledger(place, settings, wall, clock)
        self._writer = Writer(self._ledger)
        self._open = False
        self._reading = ThreadPoolExecutor(1, "journal-reading")
        self._reader: Reader | None = None
        self._reader_of = 0

    @property
    def instance(self) -> str:
        """The name of the file's contents: with another instance, sequence numbers mean other events."""
        return self._ledger.file.instance

    @property
    def newest(self) -> int:
        """The sequence number of the newest event there has been; 0 for none."""
        return self._ledger.newest

    @property
    def oldest(self) -> int:
        """The sequence number of the oldest event that is still there; `newest` + 1 for none."""
        return self._ledger.file.oldest

    @property
    def status(self) -> JournalStatus:
        """Where events are kept and whether that works."""
        return self._ledger.status

    @property
    def tally(self) -> Tally:
        """What was done since the journal was opened."""
        counts = self._ledger.sheet.counts.copy()

        def by_sink(what: str) -> dict[str, int]:
            return {sink: number for (name, sink), number in counts.items() if name == what}

        return Tally(
            committed=counts["committed", ""],
            duplicates=counts["duplicates", ""],
            pruned=counts["pruned", ""],
            expired=by_sink("expired"),
            suppressed=by_sink("suppressed"),
            unsaved=self._ledger.unsaved,
            lost=counts["lost", ""],
        )

    async def open(self, subscriptions: Mapping[str, Subscription]) -> Restored:
        """Lock the file, check it, and find what it holds.

        `subscriptions` are what the sinks want, by sink: those to which something can be owed. GridtopError
        in words when the file cannot be used; a damaged one is put aside for a new one.
        """
        self._ledger.sheet.subscriptions = dict(subscriptions)
        self._writer.start()
        self._open = True
        try:
            await self._writer.alone(self._ledger.open)
        except BaseException:
            self._open = False
            await self._writer.stop(lambda: None)
            raise
        saved = await self._writer.ask(read_saved)
        return Restored(self.instance, self.newest, saved, self.notices())

    def subscribe(self, subscriptions: Mapping[str, Subscription]) -> None:
        """From the next commit on, these are the sinks and what they want (after a reload)."""
        self._ledger.sheet.subscriptions = dict(subscriptions)

    async def saved(self, source: str) -> Saved | None:
        """What was saved last of a source, by its identity."""
        return await self._writer.ask(lambda sheet: read_saved(sheet, source))

    async def commit(self, events: Sequence[Event], saved: Saved | None = None) -> tuple[Event, ...]:
        """Number and write new events, what is owed because of them, and where the source stands: all or
        nothing, and on disk when this returns.

        Returns the events as they are published, in order, without those whose id the journal holds already
        (which are counted as duplicates). When the disk cannot be written they are kept in memory.
        """
        state = None if saved is None else replace(saved, wall=self._wall())

        def work(sheet: Sheet) -> tuple[Event, ...]:
            published = write_events(sheet, events, self._wall) if events else ()
            if state is not None:
                write_saved(sheet, state)
            return published

        return await self._writer.ask(work)

    async def events(self, after: int = 0, limit: int = 500) -> Sequence[Event]:
        """The oldest `limit` events with a sequence number above `after`, oldest first."""
        if self._path is not None and not self._ledger.sheet.degraded:
            try:
                return await asyncio.get_running_loop().run_in_executor(
                    self._reading, self._read, after, limit
                )
            except GridtopError:
                pass  # broken just now: the writer knows what to do
        return await self._writer.ask(lambda sheet: read_events(sheet, after, limit))

    def notices(self) -> tuple[Event, ...]:
        """Events about the journal itself since this was last asked, to be published with the next commit:
        the disk is full, works again, a damaged file was put aside, something owed was dropped."""
        told = []
        while self._ledger.file.notices:
            told.append(self._ledger.file.notices.popleft())
        return tuple(told)

    async def tend(self) -> None:
        """Look after the file now instead of within ten seconds: age, size, free space."""
        await self._writer.alone(self._ledger.tend)

    async def close(self) -> None:
        """Write what waits, end the thread, let go of the lock; legal without `open` and legal twice."""
        self._reading.shutdown()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._open:
            self._open = False
            await self._writer.stop(self._ledger.close)
        else:
            self._ledger.discard()

    # The outbox (gridtop.outbox.Outbox)

    async def due(self, sink: str, now: float, limit: int = 64) -> Sequence[Owed]:
        """The oldest events owed to a sink that are due and wait for no older one of their incident."""
        return await self._writer.ask(lambda sheet: debts.due(sheet, sink, now, limit))

    async def next_due(self, sink: str) -> float | None:
        """When the next event owed to a sink is due (seconds since 1970); None when nothing is owed.

        It is in the past for what is due now. `gridtop outbox retry` changes it from outside: ask again
        every few seconds.
        """
        return await self._writer.ask(lambda sheet: debts.next_due(sheet, sink, self._wall()))

    async def delivered(self, sink: str, seqs: Sequence[int]) -> None:
        """These are no longer owed."""
        await self._writer.ask(lambda sheet: debts.delivered(sheet, sink, seqs))

    async def postponed(self, sink: str, seqs: Sequence[int], due: float, reason: str) -> None:
        """An attempt failed: they are due again then, with one more try to their account."""
        await self._writer.ask(lambda sheet: debts.postponed(sheet, sink, seqs, due, reason))

    async def buried(self, sink: str, seqs: Sequence[int], reason: str) -> None:
        """They are dead letters: no longer tried, kept until somebody retries or drops them."""
        await self._writer.ask(lambda sheet: debts.buried(sheet, sink, seqs, reason))

    async def digested(self, sink: str, seqs: Sequence[int], reason: str) -> None:
        """They were told in a digest: no longer owed, and counted as suppressed."""
        await self._writer.ask(lambda sheet: debts.digested(sheet, sink, seqs))

    async def backlog(self, sink: str) -> Backlog:
        """How much is owed to a sink."""
        return await self._writer.ask(lambda sheet: debts.backlog(sheet, sink))

    def _read(self, after: int, limit: int) -> Sequence[Event]:
        """The same as `read_events`, beside the writer; in a thread of its own."""
        if self._reader is not None and self._reader_of != self._ledger.file.number:
            self._reader.close()
            self._reader = None
        if self._reader is None:
            assert self._path is not None
            self._reader_of = self._ledger.file.number
            self._reader = Reader(self._path)
        return [event for _, event in self._reader.events(after, limit) if event is not None]
