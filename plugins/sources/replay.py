"""Plays a recorded file: CSV, Parquet (docs/recordings.md), COMTRADE (docs/comtrade.md), gridtop's own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from gridtop.api import Block, ChannelSet, Extent, Host, Settings, SourceError

if TYPE_CHECKING:
    from gridtop.recordings import Recording

_AHEAD = 3
"""Chunks read ahead of the consumer."""


class Replay:
    """The frames of a recording, from any row on; a thread reads ahead of whoever asks for them."""

    class Config(Settings):
        """Which recording, and how fast its frames follow when it does not say."""

        path: str = Field(
            description="the recording; a relative path starts at the folder of the configuration"
        )
        rate: float | None = Field(
            None,
            gt=0,
            allow_inf_nan=False,
            description="frames per second of a recording without timestamps; 30 when not given",
        )
        columns: tuple[str, ...] | None = Field(
            None,
            min_length=1,
            description="the names of the columns of a CSV file whose first line holds values already",
        )
        phasor_rate: float | None = Field(
            None,
            gt=0,
            allow_inf_nan=False,
            description="phasors per second of a point-on-wave COMTRADE record; 4 a cycle when not given",
        )
        waveform: bool | None = Field(
            None,
            description="whether the samples of a COMTRADE record are points on the wave; "
            "told by their rate when not given",
        )

    live = False

    def __init__(self, config: Config, host: Host) -> None:
        self._config = config
        self._host = host
        self._recording: Recording | None = None
        self._readers: set[_Reader] = set()
        self.identity = ""

    async def open(self) -> ChannelSet:
        """The channels of the recording; SourceError when it cannot be read."""
        self._recording = await asyncio.to_thread(self._open)
        self.identity = self._recording.identity
        return self._recording.channels

    def _open(self) -> Recording:
        from gridtop.recordings import open_recording

        try:
            path = self._host.inputs / Path(self._config.path).expanduser()
        except RuntimeError as error:
            raise SourceError(f"{self._config.path}: {error}") from None
        return open_recording(
            path,
            self._host.channel_map,
            self._config.rate,
            phasor_rate=self._config.phasor_rate,
            waveform=self._config.waveform,
            columns=self._config.columns,
        )

    async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        """The blocks from row `start` on, to the end; SourceError where the file goes wrong."""
        reader = _Reader(self._config.path, self._opened.blocks(start))
        self._readers.add(reader)
        try:
            while (block := await reader.next()) is not None:
                yield block
        finally:
            self._readers.discard(reader)
            await reader.stop()

    async def close(self) -> None:
        """End the threads that still read."""
        for reader in tuple(self._readers):
            await reader.stop()

    @property
    def extent(self) -> Extent | None:
        """How far the recording reaches, as far as that is known."""
        return self._recording.extent if self._recording else None

    async def row_at(self, time: np.datetime64) -> int:
        """The first row at or after `time`; the last row when `time` is beyond the end."""
        return await asyncio.to_thread(self._opened.row_at, time)

    @property
    def _opened(self) -> Recording:
        if self._recording is None:
            raise RuntimeError("open() comes first")
        return self._recording


class _Reader:
    """A thread that hands blocks to an event loop, at most `_AHEAD` before they are asked for."""

    def __init__(self, what: str, blocks: Generator[Block, None, None]) -> None:
        self._what = what
        self._blocks = blocks
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Queue[Block | SourceError | None] = asyncio.Queue()
        self._room = threading.Semaphore(_AHEAD)
        self._stopped = False
        self._thread = threading.Thread(target=self._read, name="gridtop replay", daemon=True)
        self._thread.start()

    async def next(self) -> Block | None:
        """The next block, None at the end; raises what ended the reading."""
        item = await self._ready.get()
        self._room.release()
        if isinstance(item, SourceError):
            raise item
        return item

    async def stop(self) -> None:
        """End the thread, which takes at most the reading of one chunk, and whoever waits. Legal twice."""
        self._stopped = True
        self._room.release()
        self._ready.put_nowait(None)
        await asyncio.to_thread(self._thread.join)

    def _read(self) -> None:
        last: SourceError | None = None
        try:
            with closing(self._blocks):
                for block in self._blocks:
                    if not self._hand_over(block):
                        return
        except SourceError as error:
            last = error
        except Exception as error:
            last = SourceError(f"{self._what}: reading failed: {error!r}")
            last.__cause__ = error
        self._hand_over(last)

    def _hand_over(self, item: Block | SourceError | None) -> bool:
        self._room.acquire()
        if self._stopped:
            return False
        try:
            self._loop.call_soon_threadsafe(self._ready.put_nowait, item)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return False
        return True
