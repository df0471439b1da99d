"""The monitor: source, replay loop, pipeline, journal and sinks, wired together and running.

Its public face is what clients see (gridtop/client.py); screens and servers use nothing else of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gridtop import __version__, reloading
from gridtop.announcements import alert, noticed, said
from gridtop.building import journal_of, owed_to, sinks_of, source_of, source_words
from gridtop.chores import Chores
from gridtop.client import Hello, JournalStatus, Snapshot, Telemetry, TelemetryRequest, Transport
from gridtop.config import Configuration
from gridtop.contracts import Sink, Source
from gridtop.delivery import Delivery
from gridtop.errors import GridtopError, SourceError
from gridtop.events import Event, Severity
from gridtop.flow import Flow
from gridtop.journal import Journal
from gridtop.limit_lines import limit_lines
from gridtop.live_recording import LiveRecording
from gridtop.loading import blaming
from gridtop.orders import Order
from gridtop.pipeline import Pipeline
from gridtop.publishing import Publishing
from gridtop.replay import Replay
from gridtop.source_statistics import Statistics
from gridtop.source_watch import SourceWatch
from gridtop.standing import resume
from gridtop.stopping import until_stopped
from gridtop.tallies import Tallies, tallies

_log = logging.getLogger("gridtop")

_SAVE_SECONDS = 1.0
"""At most so much of a stream is judged again after a crash, when nothing happened in it."""

_HAND_SECONDS = 2.0
"""How long the end waits for a stream that is slow, before what it has queued is drained as well."""

_DRAIN_SECONDS = 10.0
"""How long the end waits for sinks to get what they are owed."""


class Monitor:
    """One running monitor.

    `streams` get every event beside the configured sinks, for as long as this runs (the command line's
    output). `stop_at_end` ends the run with the recording. `record` is the file into which live data are
    recorded from the start. Without `keep_history` there is no telemetry, which saves time when nobody will
    look. `block_frames`, `clock` (monotonic seconds) and `wall` (seconds since 1970) are for tests.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        streams: Mapping[str, Sink] | None = None,
        stop_at_end: bool = False,
        record: Path | None = None,
        keep_history: bool = True,
        block_frames: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._configuration = configuration
        self._streams = streams or {}
        self._stop_at_end = stop_at_end
        self._record = record
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
        self._watch: SourceWatch | None = None
        self._recording: LiveRecording | None = None
        self._pipeline: Pipeline | None = None  # the one to begin with
        self._flow: Flow | None = None
        self._chores = Chores(self.stop)
        self._changing = asyncio.Lock()  # one reload after the other
        self._ending = False
        self._revision = 0
        self.instance = secrets.token_hex(8)
        """Names this run among all runs of all engines."""

    # Life

    async def run(self) -> None:
        """Open everything, let the stream flow until it ends or `stop` is called, then close.

        Raises GridtopError when the configuration does not fit the recording, the journal cannot be used or
        the source fails; what was published until then is delivered all the same.
        """
        try:
            await until_stopped(self._stopping, self._work())
            if self._chores.fault is not None:
                raise self._chores.fault
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
        sinks = sinks_of(configuration, configuration.sinks)
        self._journal = journal = journal_of(configuration, self._wall, self._clock)
        restored = await journal.open(owed_to(configuration))
        delivery = Delivery(journal, sinks, self._streams, self.stop, self._say, wall=self._wall)
        self._delivery, self._publishing = delivery, (publishing := Publishing(journal, delivery, self._wall))
        await delivery.open()
        self._source = source = source_of(configuration)
        self._watch = SourceWatch(source)
        with blaming(SourceError, "the source cannot be opened"):
            channels = await source.open()
        name = source_words(configuration.source)
        self._recording = recording = LiveRecording(source, channels, name, self._wall)
        # Detectors may import heavy libraries when they are built.
        pipeline = await asyncio.to_thread(Pipeline, configuration, channels, source.identity, source.live)
        self._pipeline = pipeline
        saved, settings = await journal.saved(source.identity), configuration.journal
        start, ended = resume(pipeline, saved, source.live, settings, self._wall())
        self._flow = flow = Flow(
            configuration,
            source,
            channels,
            pipeline,
            start,
            publishing,
            keep_history=self._keep_history,
            stop_at_end=self._stop_at_end,
            block_frames=self._block_frames,
            clock=self._clock,
            seen=recording.add,
        )
        if self._record is not None:
            _log.info("%s", await recording.begin(configuration.recording, self._record))
        # A plugin that cannot be loaded is not used, or the configuration would have been refused.
        problems = [noticed("plugins", "warning", text) for text in configuration.plugin_problems]
        events = (*restored.notices, *problems, *_remarks(pipeline), *ended)
        await flow.publish(events, and_save=bool(ended))

    async def _work(self) -> None:
        await self._open()
        self._opened.set()
        self._chores.begin(self._keep_saving())
        await self._flowing.run()

    async def _keep_saving(self) -> None:
        """Once a second keep where the stream stands, and tell what the journal has to say of itself."""
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            if self._watch is not None:
                for severity, text in self._watch.news(self._clock()):
                    await self._tell(said("source", severity, text, self.replay.transport()))
            await self._keep()

    async def _keep(self) -> None:
        if self._flow is not None and self._journal is not None and self._publishing is not None:
            await self._flow.keep(self._journal.notices)
            await self._publishing.hand()

    def _say(self, event: Event) -> None:
        """Publish what a room of the monitor has to say about itself."""
        self._chores.begin(self._tell(event))

    async def _tell(self, event: Event) -> Event:
        assert self._publishing is not None
        [told] = await self._publishing.commit((event,))
        await self._publishing.hand()
        return told

    async def _close(self) -> None:
        """End in order: what is known is saved, what is published goes out, then all is let go of."""
        self._ending = True
        async with contextlib.AsyncExitStack() as last:
            # The last one first; each is done whatever becomes of the others.
            if self._source is not None:
                last.push_async_callback(self._source.close)
            if self._recording is not None:
                last.push_async_callback(self._recording.end)
            last.callback(self._let_go_of_detectors)
            if self._journal is not None:
                last.push_async_callback(self._journal.close)
            last.push_async_callback(self._end_chores)
            if self._delivery is not None:
                last.push_async_callback(self._delivery.close, _DRAIN_SECONDS)
            last.push_async_callback(self._end_flow)

    async def _end_flow(self) -> None:
        await self._chores.cancel()
        async with self._changing:
            # A stream that takes nothing must not keep the others from being drained.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HAND_SECONDS):
                    await self._keep()

    async def _end_chores(self) -> None:
        """What sinks said of themselves while they were drained is kept."""
        await self._chores.wait(_HAND_SECONDS)
        await self._chores.cancel()
        if self._publishing is not None:
            await self._publishing.settle()
        if self._chores.fault is not None:
            _log.error("not everything was kept at the end", exc_info=self._chores.fault)

    def _let_go_of_detectors(self) -> None:
        pipeline = self._flow.pipeline if self._flow is not None else self._pipeline
        if pipeline is not None:
            pipeline.close()

    @property
    def _flowing(self) -> Flow:
        if self._flow is None:
            raise GridtopError("the monitor has not started yet")
        return self._flow

    # Another configuration

    async def reload(self, read: Callable[[], Configuration]) -> None:
        """Go on with another configuration, or with the old one when `read` raises GridtopError.

        Rules that did not change keep their alarms and timers. Either way an event of kind `system` says what
        became of it; what went wrong is logged as well.
        """
        await self.opened()
        async with self._changing:
            if self._ending:
                return
            severity: Severity = "info"
            try:
                words = await self._change_to(await asyncio.to_thread(read))
            except GridtopError as error:
                severity, words = "warning", reloading.refusal(error)
                _log.warning("%s", words)
            await self._tell(said("configuration", severity, words, self.replay.transport()))

    async def _change_to(self, changed: Configuration) -> str:
        before, delivery, journal = self._configuration, self._delivery, self._journal
        assert delivery is not None
        assert journal is not None
        changed = reloading.aligned(before, changed)
        merged = reloading.merged(before, changed)
        sinks, removed = reloading.exchanged(before, merged)

        async def change() -> None:
            await self._flowing.change(merged, _remarks)
            self._configuration = merged
            self._revision += 1
            journal.subscribe(owed_to(merged))

        await delivery.exchange(sinks_of(merged, sinks), removed, agreed=change)
        return reloading.difference(before, changed)

    # The face that clients see

    async def opened(self) -> None:
        """Wait until the source is open; raises the GridtopError that prevented it."""
        await self._opened.wait()
        if self._refusal is not None:
            raise self._refusal

    @property
    def starting(self) -> bool:
        """Whether the source is still being opened."""
        return not self._opened.is_set()

    @property
    def worst(self) -> Severity | None:
        """The worst severity that any alarm has reached in this run."""
        return self._publishing.worst if self._publishing is not None else None

    def hello(self) -> Hello:
        """What does not change while the monitor runs, but for a reload."""
        name = source_words(self._configuration.source)
        live = self._source is not None and self._source.live
        flow, pipeline = self._flowing, self._flowing.pipeline
        screen = self._configuration.screen.wishes()
        limits = limit_lines(pipeline.rules, pipeline.channels, self._configuration.site)
        return Hello(__version__, name, live, pipeline.channels, self.instance, limits, screen, flow.offered)

    def snapshot(self) -> Snapshot:
        """The monitor now."""
        if self._refusal is not None:
            return Snapshot(Transport("failed", problem=str(self._refusal)))
        seq = self._publishing.seq if self._publishing is not None else 0
        flow, delivery, publishing = self._flow, self._delivery, self._publishing
        watched = self._watch.problems() if self._watch is not None else ()
        if not self._opened.is_set() or flow is None or delivery is None or publishing is None:
            return Snapshot(Transport("starting"), seq=seq, problems=watched)
        told = sum(publishing.by_severity.values())
        journal = self._journal.status if self._journal is not None else JournalStatus()
        problems = (
            *self._configuration.plugin_problems,
            *watched,
            *flow.pipeline.problems,
            *delivery.problems,
        )
        if journal.problem:
            problems = (*problems, f"journal: {journal.problem}")
        return Snapshot(
            flow.replay.transport(),
            flow.pipeline.active,
            replace(flow.counts(), events=told, dropped=delivery.dropped),
            seq,
            problems,
            flood=flow.pipeline.flood,
            sinks=delivery.status(),
            journal=journal,
            recording=self._recording.status() if self._recording is not None else None,
            revision=self._revision,
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
        return self._flowing.telemetry(request)

    @property
    def replay(self) -> Replay:
        """The replay loop, which obeys pause, step, speed and seek."""
        return self._flowing.replay

    async def operate(self, order: Order) -> None:
        """Tell an alarm something; GridtopError when it is in no state for it."""
        await self._open_for_business()
        await self._flowing.operate(order)

    async def record(self, on: bool) -> None:
        """Begin a recording of live data in the configured folder, or end the one that is being made.

        GridtopError when there is nothing live, or the file cannot be made.
        """
        await self._open_for_business()
        assert self._recording is not None
        words = await (self._recording.begin(self._configuration.recording) if on else self._recording.end())
        if words:
            await self._tell(said("recording", "info", words, self.replay.transport()))

    def statistics(self) -> Statistics | None:
        """How the data come, by device; None when the source does not count that."""
        return self._watch.statistics() if self._watch is not None else None

    async def report(self, type: str, count: int, message: str, by: str = "") -> Event:
        """Publish an alert that another program noticed, as a warning of kind `alert` named by its type.

        The texts are cleaned and cut. Returns the event as it was published.
        """
        await self._open_for_business()
        return await self._tell(alert(type, count, message, by, self.replay.transport()))

    async def _open_for_business(self) -> None:
        """Wait until the source is open; GridtopError when it will not be, or not any more."""
        await self.opened()
        if self._ending:
            raise GridtopError("the engine is ending")

    def counters(self) -> Tallies:
        """What was counted since the start, by name and labels (docs/http-api.md, Metrics)."""
        if self._publishing is None or self._delivery is None or self._journal is None:
            return {}
        snapshot = self.snapshot()
        return tallies(
            snapshot.counts,
            self._publishing,
            self._delivery,
            self._journal,
            self.statistics(),
            snapshot.recording,
        )


def _remarks(pipeline: Pipeline) -> list[Event]:
    """What is to be known of the limits and the detectors before one relies on them."""
    notices = [noticed("limits", "info", text) for text in pipeline.notices]
    return notices + [noticed(detector, "info", text) for detector, text in pipeline.remarks]
