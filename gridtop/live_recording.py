"""Recording what a running monitor sees: begun and ended by an operator, or from the start of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.client import RecordingStatus
from gridtop.contracts import Source
from gridtop.errors import GridtopError
from gridtop.recording_settings import RecordingSettings
from gridtop.text import clean

if TYPE_CHECKING:
    from gridtop.recorder import Recorder


class LiveRecording:
    """The recording of one open source, if one is being made: at most one at a time.

    `name` are words for the source, from which a file gets its name; `wall` seconds since 1970.
    """

    def __init__(self, source: Source, channels: ChannelSet, name: str, wall: Callable[[], float]) -> None:
        self._source, self._channels, self._name, self._wall = source, channels, name, wall
        self._recorder: Recorder | None = None
        self._turn = asyncio.Lock()

    def add(self, block: Block) -> None:
        """Keep a block, if a recording is being made."""
        if self._recorder is not None:
            self._recorder.add(block)

    def status(self) -> RecordingStatus | None:
        """The recording that is being made, if any."""
        return self._recorder.status() if self._recorder is not None else None

    async def begin(self, settings: RecordingSettings, path: Path | None = None) -> str:
        """Record from now on, into `path` or a new file; what to tell, or nothing when it was so already.

        GridtopError when nothing live is there to be recorded, or the file cannot be made.
        """
        from gridtop.recorder import Recorder, fresh_path

        async with self._turn:
            if self._recorder is not None:
                return ""
            if not self._source.live:
                raise GridtopError(
                    f"{self._name} is a recording already; gridtop export copies it, or a part of it"
                )
            chosen = path
            if chosen is None:
                chosen = await asyncio.to_thread(fresh_path, settings, self._name, self._wall())
            self._recorder = await Recorder.begin(chosen, self._channels, settings, self._name)
            return f"recording to {clean(str(chosen))}"

    async def end(self) -> str:
        """Write what waits and close the file; what to tell, or nothing when nothing was recorded."""
        async with self._turn:
            recorder, self._recorder = self._recorder, None
            if recorder is None:
                return ""
            await recorder.close()
            status = recorder.status()
            told = f"recorded {status.frames} frames, {status.bytes / 1e6:.1f} MB, to {clean(status.path)}"
            if status.dropped:
                told += f"; {status.dropped} frames could not be kept"
            return f"{told}: {status.problem}" if status.problem else told
