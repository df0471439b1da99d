"""The replay loop: asks a source for blocks and paces them on the monotonic clock.

It knows where the replay stands and obeys pause, step, speed, seek and loop. A live source paces
itself; its blocks pass through.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

import numpy as np

from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.client import FASTEST, SLOWEST, State, Transport
from gridtop.contracts import Seekable, Source
from gridtop.errors import GridtopError, SourceError
from gridtop.loading import blaming

CADENCE = 0.1
"""Seconds between blocks: a block of a live or paced stream holds what became due meanwhile."""

LARGEST = 4096
"""Frames in a block at most: beyond it the arrays leave the processor's cache and nothing is won."""

CONTEXT = 60.0
"""Seconds of measurements before a seek's goal that are read again, so that panels are not empty."""

RESUMED_CONTEXT = 600.0
"""The same before the row where an earlier run stopped, from which detectors learn what came before."""

_PATIENCE = 1.0
"""Seconds the replay may fall behind its clock before it gives up catching up."""

_MEMORY = 2.0
"""Seconds over which the reached speed is measured."""


@dataclass(frozen=True, slots=True)
class Portion:
    """A block with the pass it belongs to. `context` frames are history: they are shown, not judged."""

    block: Block
    pass_number: int
    context: bool = False


def check_speed(speed: float) -> float:
    """The speed if it can be played: 0.1 to 1000 or inf; GridtopError otherwise."""
    if speed == math.inf or SLOWEST <= speed <= FASTEST:
        return speed
    raise GridtopError(f"speed {speed:g} cannot be played; give {SLOWEST:g} to {FASTEST:g}, or max")


class Replay:
    """Gives the portions of a source at the right moment.

    `stop_at_end` ends the stream with the recording; otherwise it waits there for a command.
    `block_frames` fixes the size of blocks (tests show that it changes nothing). `start` is the row and the
    pass to begin with: where an earlier run stopped. Frames before it come first, as context, but none from
    before `context_from`, where that pass began.
    """

    def __init__(
        self,
        source: Source,
        channels: ChannelSet,
        *,
        speed: float = 1.0,
        loop: bool = False,
        stop_at_end: bool = False,
        block_frames: int | None = None,
        start: tuple[int, int] = (0, 1),
        context_from: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._seekable = source if isinstance(source, Seekable) and not source.live else None
        self._channels = channels
        self._speed = check_speed(speed)
        self._loop = loop
        # What is live cannot be played again: who asked for that wants no rest at the end either.
        self._stop_at_end = stop_at_end or (source.live and loop)
        self._block_frames = block_frames
        self._clock = clock
        self._state: State = "live" if source.live else "playing"
        self._wake = asyncio.Event()
        self._stream: AsyncIterator[Block] | None = None
        self._chunk: Block | None = None
        self._judged_from, self._pass = start  # rows before the first are context
        self._context_seconds = RESUMED_CONTEXT
        self._context_from = context_from
        self._goal: int | None = None
        self._steps = 0
        self._row = self._judged_from
        self._time: np.datetime64 | None = None
        self._anchor: tuple[float, np.datetime64] | None = None  # (clock, measurement time)
        self._delivered_at = -math.inf
        self._heard_at = clock()  # when a live source gave a value last
        self._progress: deque[tuple[float, np.datetime64]] = deque()
        self._problem = ""

    # What clients see and say

    def transport(self) -> Transport:
        """Where the replay stands now."""
        extent = self._seekable.extent if self._seekable is not None else None
        timed = self._channels.clock == "utc"
        return Transport(
            self._state,
            self._row,
            self._time if timed else None,
            extent.first if extent and timed else None,
            extent.last if extent and timed else None,
            extent.frames if extent else None,
            self._speed if not self._source.live else 1.0,
            self._reached(),
            self._pass,
            self._loop,
            self._problem,
            self._silence(),
        )

    def pause(self) -> None:
        """Stop the clock."""
        if self._state == "playing":
            self._state = "paused"
            self._restart_clock()

    def resume(self) -> None:
        """Let the clock run on; at the end, begin again."""
        if self._state == "ended":
            self.seek(0)
        if self._state == "paused":
            self._state, self._steps = "playing", 0
            self._restart_clock()

    def step(self, frames: int = 1) -> None:
        """While paused, go on by some frames; a negative number goes back, in a new pass."""
        if self._state not in ("paused", "ended"):
            return
        if frames < 0:
            self.seek(self._row - 1 + frames)
        elif self._state == "paused":
            self._steps += frames
            self._wake.set()

    def set_speed(self, speed: float) -> None:
        """Play at `speed` times real time from here on."""
        self._speed = check_speed(speed)
        self._restart_clock()

    def seek(self, row: int) -> None:
        """Go to a row; while paused, its frame is shown. Begins a new pass. Live sources do not seek."""
        if self._seekable is None:
            return
        extent = self._seekable.extent
        self._goal = max(0, row if extent is None else min(row, extent.frames - 1))
        if self._state in ("paused", "ended"):
            self._state, self._steps = "paused", 1
        self._restart_clock()

    async def seek_time(self, moment: np.datetime64) -> None:
        """Go to the first row at or after a time."""
        if self._seekable is not None:
            self.seek(await self._seekable.row_at(moment))

    # What the monitor asks

    @property
    def judged_from(self) -> int:
        """The first row of the present pass that is judged; what comes before it is context."""
        return self._judged_from

    async def portions(self) -> AsyncGenerator[Portion]:
        """Every portion in order, each when it is due; ends with the recording if it was asked to."""
        try:
            while True:
                portion = await self._next()
                if portion is None:
                    return
                yield portion
        except GridtopError as error:
            self._state, self._problem = "failed", str(error)
            raise
        finally:
            await self._close_stream()

    async def _next(self) -> Portion | None:
        while True:
            if self._goal is not None:
                await self._begin_pass(self._goal)
            if self._state == "ended" or (self._state == "paused" and not self._steps):
                await self._sleep(None)
                continue
            chunk = await self._filled_chunk()
            if chunk is None:
                if self._goal is not None:
                    continue
                if self._loop and not self._stop_at_end and self._row:
                    self._goal = 0
                    continue
                self._state, self._steps = "ended", 0
                if self._stop_at_end:
                    return None
                continue
            if chunk.row < self._judged_from:
                return self._take(chunk, min(len(chunk), self._judged_from - chunk.row))
            frames, delay = self._due(chunk)
            if frames:
                return self._take(chunk, frames)
            await self._sleep(delay)

    def _due(self, chunk: Block) -> tuple[int, float]:
        """How many frames of the chunk to give now, and if none, the seconds until the next are due."""
        limit = self._block_frames or LARGEST
        if self._steps:
            frames = min(self._steps, len(chunk), limit)
            self._steps -= frames
            return frames, 0.0
        if self._source.live or self._speed == math.inf:
            return min(len(chunk), limit), 0.0
        now = self._clock()
        if self._anchor is None:
            self._anchor = (now, chunk.time[0])
        position = self._position(now)
        late = _seconds(position - chunk.time[0]) / self._speed - _PATIENCE
        if late > 0:
            self._anchor = (self._anchor[0] + late, self._anchor[1])
            position = self._position(now)
        due = int(np.searchsorted(chunk.time, position, side="right"))
        wanted = min(len(chunk), self._block_frames or 1)
        if due < wanted:
            return 0, _seconds(chunk.time[wanted - 1] - position) / self._speed
        rest = self._delivered_at + CADENCE - now
        if rest > 0 and due < min(len(chunk), limit):
            return 0, rest
        return min(due, limit), 0.0

    def _position(self, now: float) -> np.datetime64:
        """The measurement time that is due now: counted from the anchor, so that no error adds up."""
        assert self._anchor is not None
        start, begin = self._anchor
        position: np.datetime64 = begin + np.timedelta64(round((now - start) * self._speed * 1e9), "ns")
        return position

    def _take(self, chunk: Block, frames: int) -> Portion:
        block = chunk.slice(0, frames)
        self._chunk = chunk.slice(frames, len(chunk)) if frames < len(chunk) else None
        self._delivered_at = self._clock()
        # A source may make up frames in a silence, which hold no value.
        if self._source.live and np.isfinite(block.values).any():
            self._heard_at = self._delivered_at
        self._row = block.row + len(block)
        self._time = block.time[-1]
        context = block.row < self._judged_from
        if not context:
            # Its first frame: what came before has been dealt with by now, this block has not.
            self._progress.append((self._delivered_at, block.time[0]))
            while self._progress[-1][0] - self._progress[0][0] > _MEMORY and len(self._progress) > 2:
                self._progress.popleft()
        return Portion(block, self._pass, context)

    async def _filled_chunk(self) -> Block | None:
        while self._chunk is None or not len(self._chunk):
            if self._stream is None:
                first = max(self._context_from, self._judged_from - self._context_frames())
                self._stream = self._source.blocks(first)
            block = await self._read(self._stream)
            if self._goal is not None:
                return None
            if block is None:
                return None
            self._chunk = block
        return self._chunk

    async def _read(self, stream: AsyncIterator[Block]) -> Block | None:
        """The stream's next block, None at its end; whatever a source raises becomes a SourceError."""
        with blaming(SourceError, "the source failed"):
            return await anext(stream, None)

    def _context_frames(self) -> int:
        return round(self._context_seconds * (self._channels.rate or 1.0))

    async def _begin_pass(self, row: int) -> None:
        await self._close_stream()
        self._goal, self._chunk = None, None
        self._judged_from, self._row = row, row
        self._context_seconds, self._context_from = CONTEXT, 0
        self._pass += 1
        self._restart_clock()

    async def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()

    def _restart_clock(self) -> None:
        self._anchor = None
        self._progress.clear()
        self._wake.set()

    def _reached(self) -> float:
        if self._state not in ("playing", "live") or len(self._progress) < 2:
            return math.nan
        (start, begin), (stop, end) = self._progress[0], self._progress[-1]
        passed = stop - start
        return _seconds(end - begin) / passed if passed > CADENCE else math.nan

    def _silence(self) -> float:
        if self._state != "live":
            return 0.0
        return max(0.0, self._clock() - self._heard_at)

    async def _sleep(self, seconds: float | None) -> None:
        """Sleep until the time has come or a command arrives."""
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass


def _seconds(span: np.timedelta64) -> float:
    return float(span / np.timedelta64(1, "s"))
