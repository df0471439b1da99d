"""The monitor: source, replay loop, pipeline, journal and sinks, wired together and running.

Its public face is what clients see (gridtop/client.py); screens and servers use nothing else of it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gridtop import __version__, reloading
from gridtop.blocks import Block
from gridtop.client import Counts, Hello, JournalStatus, Snapshot, Telemetry, TelemetryRequest, Transport
from gridtop.config import Configuration, PluginInstance
from gridtop.contracts import Host, Sink, Source
from gridtop.delivery import Delivery
from gridtop.errors import ConfigurationError, GridtopError, SourceError
from gridtop.events import Detail, Event, Kind, Severity, event_id
from gridtop.history import CAPACITY, History
from gridtop.journal import Journal, Saved
from gridtop.limit_lines import limit_lines
from gridtop.loading import blaming
from gridtop.orders import Order
from gridtop.pipeline import Pipeline
from gridtop.publishing import Publishing
from gridtop.replay import Portion, Replay
from gridtop.requested import Requested
from gridtop.subscriptions import Subscription
from gridtop.tallies import Tallies, tallies
from gridtop.text import clean

LONGEST_TYPE, LONGEST_MESSAGE = 64, 2048
"""Characters kept of an alert that another program reports."""

_SAVE_SECONDS = 1.0
"""At most so much of a stream is judged again after a crash, when nothing happened in it."""

_CHANGE_SECONDS = 2.0
"""How long sinks that are exchanged have for what is under way."""

_DRAIN_SECONDS = 10.0
"""How long the end waits for sinks to get what they are owed."""


class Monitor:
    """One running monitor.

    `streams` get every event beside the configured sinks, for as long as this runs (the command line's
    output). `stop_at_end` ends the run with the recording. Without `keep_history` there is no telemetry,
    which saves time when nobody will look. `block_frames`, `clock` (monotonic seconds) and `wall` (seconds
    since 1970) are for tests.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        streams: Mapping[str, Sink] | None = None,
        stop_at_end: bool = False,
        keep_history: bool = True,
        block_frames: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._configuration = configuration
        self._streams = streams or {}
        self._stop_at_end = stop_at_end
        self._keep_history = keep_history
        self._block_frames = block_frames
        self._clock = clock
        self._wall = wall
        self._opened = asyncio.Event()
        self._stopping = asyncio.Event()
        self._refusal: GridtopError | None = None  # what kept it from opening
        self._journal: Journal | None = None
        self._delivery: Delivery | None = None
        self._publishing: Publishing | None = None
        self._source: Source | None = None
        self._pipeline: Pipeline | None = None
        self._requested: Requested | None = None
        self._turn = asyncio.Lock()  # alarms change and what changed is committed, one after the other
        self._chores: set[asyncio.Task[None]] = set()
        self._position: tuple[int, int] | None = None  # pass and row that come next; None: not to be saved
        self._kept: object = None  # what was saved last
        self._pass = 1
        self._warming_up = False
        self._counts = Counts()
        self.instance = secrets.token_hex(8)
        """Names this run among all runs of all engines."""

    # Life

    async def run(self) -> None:
        """Open everything, let the stream flow until it ends or `stop` is called, then close.

        Raises GridtopError when the configuration does not fit the recording, the journal cannot be used or
        the source fails; what was published until then is delivered all the same.
        """
        try:
            await self._until_stopped(self._work())
        except GridtopError as error:
            if not self._opened.is_set():
                self._refusal = error
                self._opened.set()
            raise
        finally:
            await self._close()

    def stop(self) -> None:
        """End the run soon."""
        self._stopping.set()

    async def _open(self) -> None:
        configuration = self._configuration
        sinks = self._sinks(configuration)
        self._journal = journal = self._journal_of(configuration)
        restored = await journal.open(_durable(sinks))
        await self._begin_delivery(journal, sinks)
        source = _built(configuration.source, self._host(configuration.source.name), SourceError)
        self._source = source
        with blaming(SourceError, "the source cannot be opened"):
            channels = await source.open()
        # Detectors may import heavy libraries when they are built.
        self._pipeline = pipeline = await asyncio.to_thread(
            Pipeline, configuration, channels, source.identity, source.live
        )
        self._history = History(pipeline.channels, CAPACITY if self._keep_history else 0)
        if self._keep_history:
            self._requested = pipeline.requested()
        saved = await journal.saved(source.identity) if configuration.journal.resume else None
        ended = self._resume(saved)
        self._replay = Replay(
            source,
            channels,
            speed=configuration.speed,
            loop=configuration.loop,
            stop_at_end=self._stop_at_end,
            block_frames=self._block_frames,
            start=self._start,
            clock=self._clock,
        )
        # A plugin that cannot be loaded is not used, or the configuration would have been refused.
        problems = [_noticed("plugins", "warning", text) for text in configuration.plugin_problems]
        notices = [_noticed("limits", "info", text) for text in pipeline.notices]
        remarks = [_noticed(detector, "info", text) for detector, text in pipeline.remarks]
        await self._publish((*restored.notices, *problems, *notices, *remarks, *ended))

    def _resume(self, saved: Saved | None) -> Sequence[Event]:
        """Go on where an earlier run of the same source stopped. Returns the ends of alarms that are too old.

        A recording goes on at its row. A live stream begins a new pass, because its rows count anew; its
        alarms go on if they are not too old.
        """
        self._start = (0, 1)
        if saved is None or not (source := self._source):
            return ()
        if not source.live:
            if saved.finished:
                return ()
            self._start, self._warming_up = (saved.row, saved.pass_number), saved.row > 0
        else:
            self._start = (0, saved.pass_number + 1)
        self._pass = self._start[1]
        pipeline = self._running()
        events = pipeline.restore(saved.alarms, self._pass)
        age, most = self._wall() - saved.wall, self._configuration.journal.oldest_state
        if source.live and age > most.total_seconds():
            events += pipeline.begin_pass(self._pass)
        return events

    async def _until_stopped(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="flow")
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)
        if not task.cancelled():
            task.result()

    async def _work(self) -> None:
        await self._open()
        self._opened.set()
        self._begin(self._keep_saving())
        async for portion in self._replay.portions():
            await self._process(portion)
        self._take_counts()

    async def _process(self, portion: Portion) -> None:
        pipeline = self._running()
        if portion.pass_number != self._pass:
            async with self._turn:
                self._pass, self._warming_up = portion.pass_number, False
                self._take_counts()
                self._history.clear()
                if self._requested is not None:
                    self._requested.clear()
                self._position = self._pass, portion.block.row
                told = await self._commit(pipeline.begin_pass(self._pass), and_save=True)
            await self._hand(told)
        if portion.context:
            judge = pipeline.warm_up if self._warming_up else None
            self._remember(await judge(portion.block) if judge else pipeline.extend(portion.block))
            return
        self._warming_up = False
        async with self._turn:
            self._position = None  # until what the alarms learn now is committed
            result = await pipeline.process(portion.block)
            self._remember(result.block)
            self._counts = replace(self._counts, frames=self._counts.frames + len(portion.block))
            self._position = self._pass, portion.block.row + len(portion.block)
            told = await self._commit(result.events, and_save=bool(result.events))
        await self._hand(told)

    def _remember(self, block: Block) -> None:
        if self._keep_history:
            self._history.add(block)
        if self._requested is not None:
            self._requested.add(block)

    # What is kept

    async def _commit(self, events: Sequence[Event], and_save: bool = False) -> tuple[Event, ...]:
        """Commit events, with the states that led to them; returns what is to be handed to the sinks."""
        saved = self._saved() if and_save and self._position is not None else None
        if (not events and saved is None) or self._publishing is None:
            return ()
        told = await self._publishing.commit(events, saved)
        if saved is not None:
            self._kept = self._position, saved.finished
        return told

    async def _hand(self, events: Sequence[Event]) -> None:
        if self._publishing is not None:
            await self._publishing.hand(events)

    async def _publish(self, events: Sequence[Event]) -> None:
        """Commit events that no alarm's state depends on, and hand them to the sinks."""
        await self._hand(await self._commit(events))

    def _saved(self) -> Saved:
        assert self._position is not None
        number, row = self._position
        finished = self._replay.transport().state == "ended"
        return Saved(self._identity, number, row, finished, self._running().alarm_state())

    @property
    def _identity(self) -> str:
        return self._source.identity if self._source is not None else ""

    async def _keep_saving(self) -> None:
        """Once a second keep where the stream stands, and tell what the journal has to say of itself."""
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            await self._keep()

    async def _keep(self) -> None:
        if self._journal is None:
            return
        async with self._turn:
            stands = self._position, self._pipeline is not None and self._replay.transport().state == "ended"
            told = await self._commit(self._journal.notices(), and_save=stands != self._kept)
        await self._hand(told)

    def _begin(self, chore: Coroutine[None, None, None]) -> None:
        """Do something beside the flow; it ends with the run at the latest."""
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    def _say(self, event: Event) -> None:
        """Publish what a room of the monitor has to say about itself."""
        self._begin(self._publish((event,)))

    async def _close(self) -> None:
        for chore in tuple(self._chores):
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        try:
            if self._pipeline is not None and self._publishing is not None:
                await self._keep()
        finally:
            if self._delivery is not None:
                await self._delivery.close(_DRAIN_SECONDS)
            if self._journal is not None:
                await self._journal.close()
            if self._pipeline is not None:
                self._pipeline.close()
            if self._source is not None:
                await self._source.close()

    # Sinks

    def _sinks(self, configuration: Configuration) -> dict[str, tuple[Sink, Subscription]]:
        return {
            name: (_built(instance, self._host(name), ConfigurationError), instance.subscription)
            for name, instance in configuration.sinks.items()
        }

    def _journal_of(self, configuration: Configuration) -> Journal:
        settings = configuration.journal
        path = None if settings.path is None else Path.cwd() / settings.path
        return Journal(path, settings, wall=self._wall, clock=self._clock)

    async def _begin_delivery(self, journal: Journal, sinks: Mapping[str, tuple[Sink, Subscription]]) -> None:
        delivery = Delivery(journal, sinks, self._streams, self.stop, self._say, wall=self._wall)
        self._delivery = delivery
        if self._publishing is None:
            self._publishing = Publishing(journal, delivery, self._wall)
        else:
            self._publishing.delivery = delivery
        await delivery.open()

    def _host(self, instance: str) -> Host:
        log = logging.getLogger(f"gridtop.{instance}")
        return Host(instance, self._configuration.directory, Path.cwd(), log, self._configuration.channels)

    def _running(self) -> Pipeline:
        if self._pipeline is None:
            raise GridtopError("the monitor has not started yet")
        return self._pipeline

    def _take_counts(self) -> None:
        """Add the pass's counts of bad cells to the totals."""
        found = self._running().data_quality.take()
        counts = self._counts
        self._counts = replace(
            counts,
            missing=counts.missing + found.missing,
            unreadable=counts.unreadable + found.unreadable,
            infinite=counts.infinite + found.infinite,
        )

    # Another configuration

    async def reload(self, read: Callable[[], Configuration]) -> None:
        """Go on with another configuration, or with the old one when `read` raises GridtopError.

        Rules that did not change keep their alarms and timers. Either way an event of kind `system` says what
        became of it.
        """
        try:
            changed = await asyncio.to_thread(read)
            words = await self._change_to(changed)
        except GridtopError as error:
            text = f"the configuration was not reloaded, everything goes on as before: {error}"
            await self._publish((self._system("configuration", "warning", text),))
            return
        await self._publish((self._system("configuration", "info", words),))

    async def _change_to(self, changed: Configuration) -> str:
        before, journal = self._configuration, self._journal
        await self.opened()
        assert journal is not None
        sinks = self._sinks(changed) if changed.sinks != before.sinks else None
        async with self._turn:
            merged = reloading.merged(before, changed)
            pipeline, told = await asyncio.to_thread(self._running().changed_to, merged)
            old, self._pipeline, self._configuration = self._pipeline, pipeline, merged
            if pipeline.channels != self._history.channels:
                self._history = History(pipeline.channels, CAPACITY if self._keep_history else 0)
                self._requested = pipeline.requested() if self._keep_history else None
            committed = await self._commit(told, and_save=True)
        if old is not None and old is not pipeline:
            old.let_go_of(pipeline)
        await self._hand(committed)
        if sinks is not None and self._delivery is not None:
            journal.subscribe(_durable(sinks))
            await self._delivery.close(_CHANGE_SECONDS)
            await self._begin_delivery(journal, sinks)
        return reloading.difference(before, changed)

    # The face that clients see

    async def opened(self) -> None:
        """Wait until the source is open; raises the GridtopError that prevented it."""
        await self._opened.wait()
        if self._refusal is not None:
            raise self._refusal

    @property
    def worst(self) -> Severity | None:
        """The worst severity that any alarm has reached in this run."""
        return self._publishing.worst if self._publishing is not None else None

    def hello(self) -> Hello:
        """What does not change while the monitor runs."""
        source = self._configuration.source
        name = Path(str(getattr(source.config, "path", source.type))).name
        live = self._source is not None and self._source.live
        pipeline = self._running()
        screen = self._configuration.screen.wishes()
        limits = limit_lines(pipeline.rules, pipeline.channels, self._configuration.site)
        offered = self._requested.offered if self._requested is not None else ()
        return Hello(__version__, name, live, pipeline.channels, self.instance, limits, screen, offered)

    def snapshot(self) -> Snapshot:
        """The monitor now."""
        if self._refusal is not None:
            return Snapshot(Transport("failed", problem=str(self._refusal)))
        if not self._opened.is_set() or self._pipeline is None or self._delivery is None:
            return Snapshot(Transport("starting"), seq=self._publishing.seq if self._publishing else 0)
        self._take_counts()
        seq = self._publishing.seq if self._publishing is not None else 0
        told = sum(self._publishing.by_severity.values()) if self._publishing is not None else 0
        counts = replace(self._counts, events=told, dropped=self._delivery.dropped)
        journal = self._journal.status if self._journal is not None else JournalStatus()
        problems = (*self._configuration.plugin_problems, *self._pipeline.problems, *self._delivery.problems)
        if journal.problem:
            problems = (*problems, f"journal: {journal.problem}")
        return Snapshot(
            self._replay.transport(),
            self._pipeline.active,
            counts,
            seq,
            problems,
            flood=self._pipeline.flood,
            sinks=self._delivery.status(),
            journal=journal,
        )

    def events(self, after: int = 0, limit: int = 500) -> tuple[Event, ...]:
        """The oldest `limit` events in memory with a sequence number above `after`."""
        return self._publishing.events(after, limit) if self._publishing is not None else ()

    async def past_events(self, after: int = 0, limit: int = 500) -> Sequence[Event]:
        """The oldest `limit` events that are still kept with a sequence number above `after`."""
        return await self._publishing.past_events(after, limit) if self._publishing is not None else ()

    @property
    def journal(self) -> str:
        """Names the journal: with another one, sequence numbers mean other events."""
        return self._journal.instance if self._journal is not None else ""

    @property
    def oldest(self) -> int:
        """The sequence number of the oldest event that is still kept."""
        return self._journal.oldest if self._journal is not None else 1

    async def published(self, after: int) -> None:
        """Wait until there is an event with a sequence number above `after`."""
        if self._publishing is None:
            await self.opened()
        assert self._publishing is not None
        await self._publishing.published(after)

    def telemetry(self, request: TelemetryRequest) -> Telemetry:
        """The envelope of some channels."""
        self._running()
        if self._requested is None:
            return self._history.telemetry(request)
        return self._requested.telemetry(request, self._history)

    @property
    def replay(self) -> Replay:
        """The replay loop, which obeys pause, step, speed and seek."""
        self._running()
        return self._replay

    async def operate(self, order: Order) -> None:
        """Tell an alarm something; GridtopError when it is in no state for it."""
        async with self._turn:
            told = await self._commit(await self._running().operate(order), and_save=True)
        await self._hand(told)

    async def report(self, type: str, count: int, message: str, by: str = "") -> Event:
        """Publish an alert that another program noticed, as a warning of kind `alert` named by its type.

        The texts are cleaned and cut. Returns the event as it was published.
        """
        kind = clean(type, LONGEST_TYPE)
        details: dict[str, Detail] = {"type": kind, "count": count, "by": clean(by)}
        event = self._now("alert", kind, "warning", clean(message, LONGEST_MESSAGE))
        told = await self._commit((replace(event, details=details),))
        await self._hand(told)
        return told[0]

    def _system(self, rule: str, severity: Severity, text: str) -> Event:
        return self._now("system", rule, severity, text)

    def _now(self, kind: Kind, rule: str, severity: Severity, text: str) -> Event:
        """Something that no recording will ever give again."""
        opened = self._opened.is_set() and self._pipeline is not None
        where = self._replay.transport() if opened else Transport("starting")
        return Event(
            id=secrets.token_hex(8),
            kind=kind,
            transition="noticed",
            severity=severity,
            rule=rule,
            message=text,
            row=where.row,
            time=where.time,
            pass_number=self._pass,
        )

    def counters(self) -> Tallies:
        """What was counted since the start, by name and labels (docs/http-api.md, Metrics)."""
        if self._publishing is None or self._delivery is None or self._journal is None:
            return {}
        return tallies(self.snapshot().counts, self._publishing, self._delivery, self._journal)


def _durable(sinks: Mapping[str, tuple[Sink, Subscription]]) -> dict[str, Subscription]:
    """What the sinks want to which something can be owed."""
    return {name: wants for name, (sink, wants) in sinks.items() if getattr(sink, "durable", True)}


def _noticed(rule: str, severity: Severity, text: str) -> Event:
    """What is known before the first frame."""
    return Event(
        id=event_id("", 0, rule, text, "noticed", 0),
        kind="plugin",
        transition="noticed",
        severity=severity,
        rule=rule,
        message=text,
        row=0,
    )


def _built(instance: PluginInstance, host: Host, failure: type[GridtopError]) -> Any:
    """The source or sink of a configuration; `failure` with one line when its own code refuses."""
    with blaming(failure, f"{instance.name} (type {instance.type}) cannot be built"):
        return instance.target(instance.config, host)
