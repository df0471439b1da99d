"""The sources `lines` and `tcp`: frames as their lines come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from gridtop.api import Block, ChannelSet, Host, SourceError, Statistics
from gridtop.text import clean

from .complaints import Complaints
from .connections import Calling, Listening
from .feeds import Feed, Followed, Restart, StandardInput
from .intake import HEAD, Intake
from .settings import LineSettings, LinesSettings, TcpSettings, place

CADENCE = 0.1
"""Seconds that a block spans."""
LARGEST = 256
"""Frames in one block at most."""
_HEAD_PATIENCE = 2.0
"""Seconds to wait for more than `_LEAST` rows that show the rate."""
_LEAST = 3


class LineSource:
    """Frames of lines from a feed. See `gridtop.api.Source` for its face.

    A feed that can wait is made to when the monitor does not keep up; of one that cannot, the oldest frames
    are dropped and counted.
    """

    live = True

    def __init__(self, settings: LineSettings, host: Host, name: str, identity: str) -> None:
        self.identity = identity
        self._name = name
        self._settings = settings
        self._complaints = Complaints(host.log)
        self._intake = Intake(settings, host.channel_map, self._complaints, name, time.time_ns)
        self._feed: Feed = StandardInput()
        self._pump: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._ended = False
        self._failure: SourceError | None = None

    async def open(self) -> ChannelSet:
        """The channels, as the first lines show them.

        Waits for the first lines, unless `columns` and `rate` say what they will be. Raises SourceError when
        they begin no stream of rows.
        """
        if self._pump is None:
            self._pump = asyncio.create_task(self._work(), name="gridtop lines")
        settings = self._settings
        if settings.columns is None or (settings.rate is None and settings.time == "column"):
            await self._first_rows()
        if self._failure is not None:
            raise self._failure
        return self._intake.channels or self._intake.settle()

    async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        """What arrived, ten times a second, until the end; `start` means nothing live."""
        if self._pump is None or self._intake.channels is None:
            raise RuntimeError("open() comes first")
        loop, intake = asyncio.get_running_loop(), self._intake
        while True:
            while not len(intake) and not self._ended:
                await self._more(CADENCE if intake.watched else None)
                if not len(intake) and not self._ended:
                    for block in intake.missing():
                        yield block
            until = loop.time() + CADENCE
            while len(intake) < LARGEST and not self._ended and loop.time() < until:
                await self._more(until - loop.time())
            blocks = intake.take(LARGEST, self._ended)
            self._taken.set()
            if not blocks and not self._ended:  # nothing that could be used
                blocks = intake.missing()
            for block in blocks:
                yield block
            if self._ended and not len(intake):
                break
        # What the order of times still held back.
        for block in intake.take(LARGEST, ended=True):
            yield block
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """End the reading."""
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            with suppress(asyncio.CancelledError):
                await pump
        await self._feed.close()

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the feed now: where it is gone, or that it is silent."""
        if self._ended:
            return ()
        silence = self._intake.silence
        problem = self._feed.problem or (silence and f"{self._name}: {silence}")
        return (problem,) if problem else ()

    def statistics(self) -> Statistics:
        """What was counted since the start, and how rows come now (docs/live.md)."""
        return self._intake.statistics()

    async def _first_rows(self) -> None:
        """Wait for rows that show what the columns are and how fast frames follow."""
        intake, loop = self._intake, asyncio.get_running_loop()
        while not intake.head and intake.channels is None and not self._ended:
            await self._more()
        until = loop.time() + _HEAD_PATIENCE
        enough = 1 if self._settings.rate is not None or self._settings.time == "arrival" else HEAD
        while intake.channels is None and not self._ended and intake.head < enough:
            late = loop.time() >= until
            if late and intake.head >= _LEAST:
                break
            await self._more(None if late else until - loop.time())
        if self._failure is None and self._ended and intake.channels is None and not intake.head:
            raise SourceError(f"{self._name}: it ended before there was a row of measurements")

    async def _more(self, seconds: float | None = None) -> None:
        """Wait until something arrives, or so long."""
        self._arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._arrived.wait()

    async def _work(self) -> None:
        """Take in what the feed brings."""
        try:
            async for piece in self._feed.pieces():
                if isinstance(piece, Restart):
                    self._intake.restart(piece.place, piece.discard)
                else:
                    self._complaints.counts["bytes"] += len(piece)
                    self._intake.feed(piece)
                self._arrived.set()
                await self._make_room()
            self._intake.end()
        except SourceError as error:
            self._failure = error
        except Exception as error:  # or the stream would seem to have ended well
            self._failure = SourceError(f"{self.identity}: reading failed: {error!r}")
        finally:
            self._ended = True
            self._arrived.set()

    async def _make_room(self) -> None:
        while self._intake.full:
            if not self._feed.patient and self._intake.channels is not None:
                self._intake.drop(LARGEST)
            else:
                self._taken.clear()
                await self._taken.wait()


class Lines(LineSource):
    """Frames of standard input or of a file that grows, CSV or JSON lines."""

    Config: ClassVar[type[LinesSettings]] = LinesSettings

    def __init__(self, config: LinesSettings, host: Host) -> None:
        if config.path == "-":
            super().__init__(config, host, "standard input", "lines -")
            self._feed = StandardInput()
            return
        try:
            path = host.inputs / Path(config.path).expanduser()
        except RuntimeError as error:
            raise SourceError(f"{config.path}: {error}") from None
        name = clean(path.name)
        super().__init__(config, host, name, f"lines {name}")
        self._feed = Followed(path, config.start == "end", name, self._complaints)


class Tcp(LineSource):
    """Frames of lines that a sender writes to a TCP connection."""

    Config: ClassVar[type[TcpSettings]] = TcpSettings

    def __init__(self, config: TcpSettings, host: Host) -> None:
        at = config.connect or config.listen or ""
        super().__init__(config, host, clean(at), f"tcp {clean(at)}")
        silence = config.silent_after.total_seconds() or None
        feed = Calling if config.connect is not None else Listening
        self._feed = feed(*place(at), silence, clean(at), self._complaints)
