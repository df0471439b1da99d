"""The flow: what a source gives is judged block by block, committed with what was learnt, and handed on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from gridtop.blocks import Block
from gridtop.channels import Channel, ChannelSet
from gridtop.client import Counts, Telemetry, TelemetryRequest
from gridtop.config import Configuration
from gridtop.contracts import Source
from gridtop.errors import GridtopError
from gridtop.events import Event
from gridtop.history import CAPACITY, History
from gridtop.journal import Saved
from gridtop.orders import Order
from gridtop.pipeline import Pipeline
from gridtop.publishing import Publishing
from gridtop.replay import Portion, Replay
from gridtop.requested import Requested
from gridtop.standing import Beginning, Standing


class Flow:
    """One open source and its pipeline, from `start` on.

    Without `keep_history` there is no telemetry. `stop_at_end`, `block_frames` and `clock` are those of the
    replay. `seen` is given each block before it is judged. Alarms change in one place at a time, and what
    changed is committed before the next may.
    """

    def __init__(
        self,
        configuration: Configuration,
        source: Source,
        channels: ChannelSet,
        pipeline: Pipeline,
        start: Beginning,
        publishing: Publishing,
        *,
        keep_history: bool = True,
        stop_at_end: bool = False,
        block_frames: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        seen: Callable[[Block], None] = lambda block: None,
    ) -> None:
        self.pipeline = pipeline
        self._seen = seen
        self.replay = Replay(
            source,
            channels,
            speed=configuration.speed,
            loop=configuration.loop,
            stop_at_end=stop_at_end,
            block_frames=block_frames,
            start=(start.row, start.pass_number),
            context_from=start.begun,
            clock=clock,
        )
        self._identity = source.identity
        self._publishing = publishing
        self._keep_history = keep_history
        self._standing = Standing(start)
        self._turn = asyncio.Lock()
        self._counts = Counts()
        self._look_through(pipeline)

    async def run(self) -> None:
        """Let it flow until the recording ends; GridtopError when the source fails."""
        # Closed here: a generator that is merely dropped would outlive its source.
        async with contextlib.aclosing(self.replay.portions()) as portions:
            async for portion in portions:
                await self._process(portion)

    # What it is told

    async def publish(self, events: Sequence[Event], and_save: bool = False) -> Sequence[Event]:
        """Commit events that do not come from a block, and hand them to the sinks; as they are told."""
        told = await self._commit(events, and_save)
        await self._publishing.hand()
        return told

    async def keep(self, notices: Callable[[], Sequence[Event]]) -> None:
        """Commit where the stream stands, if that has changed, and what there is to notice."""
        async with self._turn:
            await self._commit(notices(), and_save=not self._standing.is_kept(self._at_end))

    async def operate(self, order: Order) -> None:
        """Tell an alarm something; GridtopError when it is in no state for it."""
        async with self._turn:
            self._refuse_at_the_end()
            await self._commit(await self.pipeline.operate(order), and_save=True)
        await self._publishing.hand()

    async def change(
        self, configuration: Configuration, remarks: Callable[[Pipeline], Sequence[Event]]
    ) -> None:
        """Go on with other limits, detectors or alarm rules; `remarks` are what to say of a pipeline.

        GridtopError when they do not fit the stream; then nothing has happened.
        """
        async with self._turn:
            self._refuse_at_the_end()
            old = self.pipeline
            self.pipeline, ended = await asyncio.to_thread(old.changed_to, configuration)
            if self.pipeline.channels != self._history.channels:
                self._look_through(self.pipeline)
            known = {remark.id for remark in remarks(old)}
            new = [remark for remark in remarks(self.pipeline) if remark.id not in known]
            await self._commit((*ended, *new), and_save=True)
        old.let_go_of(self.pipeline)

    # What it shows

    def telemetry(self, request: TelemetryRequest) -> Telemetry:
        """The envelope of some channels."""
        if self._requested is None:
            return self._history.telemetry(request)
        return self._requested.telemetry(request, self._history)

    @property
    def offered(self) -> tuple[Channel, ...]:
        """What screens may ask for beyond the channels."""
        return self._requested.offered if self._requested is not None else ()

    def counts(self) -> Counts:
        """What went through since the start."""
        # A pass forgets what it counted when it is over.
        found = self.pipeline.data_quality.take()
        self._counts = replace(
            self._counts,
            missing=self._counts.missing + found.missing,
            unreadable=self._counts.unreadable + found.unreadable,
            infinite=self._counts.infinite + found.infinite,
        )
        return self._counts

    # Block by block

    async def _process(self, portion: Portion) -> None:
        if portion.pass_number != self._standing.pass_number:
            await self._begin_pass(portion.pass_number)
        if not portion.context:
            self._seen(portion.block)
            await self._judge(portion.block)
        elif self._standing.warming_up:
            async with self._turn:
                warm = await self.pipeline.warm_up(portion.block, self._standing.begun)
                self._remember(warm.block)
            await self.publish(warm.events)
        else:
            self._remember(self.pipeline.extend(portion.block))

    async def _begin_pass(self, number: int) -> None:
        async with self._turn:
            self.counts()
            self._history.clear()
            if self._requested is not None:
                self._requested.clear()
            self._standing.begin_pass(number, self.replay.judged_from)
            await self._commit(self.pipeline.begin_pass(number), and_save=True)
        await self._publishing.hand()

    async def _judge(self, block: Block) -> None:
        async with self._turn:
            self._standing.judging()
            result = await self.pipeline.process(block)
            self._remember(result.block)
            self._counts = replace(self._counts, frames=self._counts.frames + len(block))
            self._standing.judged(block.row + len(block))
            await self._commit(result.events, and_save=bool(result.events))
        await self._publishing.hand()

    def _look_through(self, pipeline: Pipeline) -> None:
        """Keep for screens what goes through this pipeline."""
        self._history = History(pipeline.channels, CAPACITY if self._keep_history else 0)
        self._requested: Requested | None = pipeline.requested() if self._keep_history else None

    def _remember(self, block: Block) -> None:
        if self._keep_history:
            self._history.add(block)
        if self._requested is not None:
            self._requested.add(block)

    # What is kept

    @property
    def _at_end(self) -> bool:
        return self.replay.transport().state == "ended"

    async def _commit(self, events: Sequence[Event], and_save: bool) -> Sequence[Event]:
        """Commit events, with the states that led to them; returns them as they are told."""
        saved = self._to_save() if and_save else None
        if not events and saved is None:
            return ()
        told = await self._publishing.commit(events, saved)
        if saved is not None:
            self._standing.keep(saved)
        return told

    def _refuse_at_the_end(self) -> None:
        """Between two blocks only a flow that was ended amid one knows alarms that it cannot save."""
        if not self._standing.settled:
            raise GridtopError("the engine is ending")

    def _to_save(self) -> Saved | None:
        if not self._standing.settled:
            return None
        alarms, remembered = self.pipeline.alarm_state(), self.pipeline.remembered()
        return self._standing.to_save(self._identity, self._at_end, alarms, remembered)
