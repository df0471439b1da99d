"""The monitor: a source, the replay loop, the pipeline and the sinks, wired together and running.

Its public face is what clients see (gridtop/client.py); screens and servers use nothing else of it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gridtop import __version__
from gridtop.blocks import Block
from gridtop.client import Counts, Hello, Snapshot, Telemetry, TelemetryRequest, Transport
from gridtop.config import Configuration, PluginInstance
from gridtop.contracts import Host, Sink, Source
from gridtop.delivery import Delivery
from gridtop.errors import ConfigurationError, GridtopError, SourceError
from gridtop.events import SEVERITIES, Event, Severity, event_id
from gridtop.history import CAPACITY, History
from gridtop.limit_lines import limit_lines
from gridtop.loading import blaming
from gridtop.orders import Order
from gridtop.pipeline import Pipeline
from gridtop.replay import Portion, Replay
from gridtop.requested import Requested

REMEMBERED = 20_000
"""Events kept in memory for clients that ask for the past."""


class Monitor:
    """One running monitor.

    `extra_sinks` join the configured ones (the command line's output). `stop_at_end` ends the run with
    the recording. Without `keep_history` there is no telemetry, which saves time when nobody will look.
    `block_frames`, `clock` (monotonic seconds) and `wall` (seconds since 1970) are for
    tests.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        extra_sinks: Mapping[str, Sink] | None = None,
        stop_at_end: bool = False,
        keep_history: bool = True,
        block_frames: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._configuration = configuration
        self._extra_sinks = extra_sinks or {}
        self._stop_at_end = stop_at_end
        self._keep_history = keep_history
        self._block_frames = block_frames
        self._clock = clock
        self._wall = wall
        self._opened = asyncio.Event()
        self._stopping = asyncio.Event()
        self._refusal: GridtopError | None = None  # what kept it from opening
        self._source: Source | None = None
        self._pipeline: Pipeline | None = None
        self._requested: Requested | None = None
        self._delivery: Delivery | None = None
        self._events: deque[Event] = deque(maxlen=REMEMBERED)
        self._seq = 0
        self._pass = 1
        self._counts = Counts()
        self._news = asyncio.Condition()
        self.instance = secrets.token_hex(8)
        """Names this run among all runs of all engines."""
        self.worst: Severity | None = None
        """The worst severity that any alarm has reached so far."""

    # Life

    async def run(self) -> None:
        """Open everything, let the stream flow until it ends or `stop` is called, then close.

        Raises GridtopError when the configuration does not fit the recording or the source fails; what
        was published until then is delivered all the same.
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
        self._source = source = _built(
            configuration.source, self._host(configuration.source.name), SourceError
        )
        with blaming(SourceError, "the source cannot be opened"):
            channels = await source.open()
        # Detectors may import heavy libraries when they are built.
        self._pipeline = await asyncio.to_thread(
            Pipeline, configuration, channels, source.identity, source.live
        )
        self._history = History(self._pipeline.channels, CAPACITY if self._keep_history else 0)
        if self._keep_history:
            self._requested = self._pipeline.requested()
        self._replay = Replay(
            source,
            channels,
            speed=configuration.speed,
            loop=configuration.loop,
            stop_at_end=self._stop_at_end,
            block_frames=self._block_frames,
            clock=self._clock,
        )
        sinks: dict[str, Sink] = {
            name: _built(instance, self._host(name), ConfigurationError)
            for name, instance in configuration.sinks.items()
        }
        self._delivery = Delivery({**sinks, **self._extra_sinks}, on_broken_pipe=self.stop)
        await self._delivery.open()
        # A plugin that cannot be loaded is not used, or the configuration would have been refused.
        problems = [_noticed("plugins", "warning", text) for text in configuration.plugin_problems]
        notices = [_noticed("limits", "info", text) for text in self._pipeline.notices]
        remarks = [_noticed(detector, "info", text) for detector, text in self._pipeline.remarks]
        await self._publish((*problems, *notices, *remarks))

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
        async for portion in self._replay.portions():
            await self._process(portion)
        self._take_counts()

    async def _process(self, portion: Portion) -> None:
        pipeline = self._running()
        if portion.pass_number != self._pass:
            self._pass = portion.pass_number
            self._take_counts()
            self._history.clear()
            if self._requested is not None:
                self._requested.clear()
            await self._publish(pipeline.begin_pass(self._pass))
        if portion.context:
            self._remember(pipeline.extend(portion.block))
            return
        result = await pipeline.process(portion.block)
        self._remember(result.block)
        self._counts = replace(self._counts, frames=self._counts.frames + len(portion.block))
        await self._publish(result.events)

    def _remember(self, block: Block) -> None:
        if self._keep_history:
            self._history.add(block)
        if self._requested is not None:
            self._requested.add(block)

    async def _publish(self, events: Iterable[Event]) -> None:
        """Number the events, remember them, and hand them to every sink."""
        published: list[Event] = []
        for event in events:
            self._seq += 1
            published.append(event.published(self._seq, self._wall()))
            if event.transition in ("raised", "escalated"):
                self.worst = max(self.worst or "info", event.severity, key=SEVERITIES.index)
        if not published:
            return
        self._events.extend(published)
        async with self._news:
            self._news.notify_all()
        if self._delivery is not None:
            await self._delivery.send(published)

    async def _close(self) -> None:
        if self._delivery is not None:
            await self._delivery.close()
        if self._pipeline is not None:
            self._pipeline.close()
        if self._source is not None:
            await self._source.close()

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

    # The face that clients see

    async def opened(self) -> None:
        """Wait until the source is open; raises the GridtopError that prevented it."""
        await self._opened.wait()
        if self._refusal is not None:
            raise self._refusal

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
        if self._pipeline is None or self._delivery is None:
            return Snapshot(Transport("starting"))
        self._take_counts()
        counts = replace(self._counts, events=self._seq, dropped=self._delivery.dropped)
        problems = (*self._configuration.plugin_problems, *self._pipeline.problems, *self._delivery.problems)
        return Snapshot(self._replay.transport(), self._pipeline.active, counts, self._seq, problems)

    def events(self, after: int = 0, limit: int = 500) -> tuple[Event, ...]:
        """The oldest `limit` remembered events with a sequence number above `after`."""
        if not self._events:
            return ()
        skipped = max(0, after + 1 - self._events[0].seq)
        stop = min(len(self._events), skipped + limit)
        return tuple(self._events[i] for i in range(skipped, stop))

    async def published(self, after: int) -> None:
        """Wait until there is an event with a sequence number above `after`."""
        async with self._news:
            await self._news.wait_for(lambda: self._seq > after)

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
        await self._publish(await self._running().operate(order))


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
