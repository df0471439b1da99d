"""A capture as a recording: the bytes that `gridtop probe --capture` kept, decoded as when they came."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gridtop.api import Block, ChannelSet, Duration, Host, Settings, SourceError, Statistics
from gridtop.plugins.sources.c37118.assembly import Assembly
from gridtop.plugins.sources.c37118.source import TICK

if TYPE_CHECKING:
    from gridtop.synchrophasor.stream import Stream

_EVER = 36500.0 * 86400.0
"""Seconds: a capture ends, so that a leap into the future does no lasting harm."""
_LONGEST_PAUSE = 3600.0
"""Seconds without any bytes that are played as silence; what is longer is two captures in one."""
_TOLD_APART_BY = 1 << 20
"""Bytes from the beginning that, with the size, tell one capture from another."""


class CaptureConfig(Settings):
    """The settings of `type: c37118_capture`."""

    path: str = Field(min_length=1, description="the capture")
    id: int | None = Field(
        None,
        ge=1,
        le=65534,
        description="the IDCODE of the stream; that of the first configuration if left out",
    )
    configuration: Literal["auto", "cfg1", "cfg2", "cfg3"] = Field(
        "auto", description="which configuration frame to read data by; auto: CFG-3 where there is one"
    )
    terminals: dict[str | int, str] = Field(
        {}, description="what a PMU is called here, by its station name or its own IDCODE: {7734: R1}"
    )
    silence: Duration = Field(
        "1s", validate_default=True, description="after so long without a frame, data are shown as missing"
    )


class Capture:
    """Everything that a connection brought, with the same gaps, and missing data where it was silent."""

    Config: ClassVar[type[CaptureConfig]] = CaptureConfig
    live = False

    def __init__(self, config: CaptureConfig, host: Host) -> None:
        self._config, self._host = config, host
        self.identity = ""
        self._path = host.inputs / Path(config.path).expanduser()
        self._id = 0
        self._assembly: Assembly | None = None
        self._arrival = 0

    async def open(self) -> ChannelSet:
        """The channels of the stream; SourceError when it is no capture, or none is configured in it."""
        return await asyncio.to_thread(self._open)

    async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        """The blocks from row `start` on; SourceError where the file is damaged."""
        if not self._id:
            raise RuntimeError("blocks() comes after open()")
        blocks = self._decoded()
        while True:
            block = await asyncio.to_thread(next, blocks, None)
            if block is None:
                return
            if block.row + len(block) > start:
                yield block.slice(max(0, start - block.row), len(block))

    async def close(self) -> None:
        """Nothing to let go of: the file is closed with the last block."""

    def statistics(self) -> Statistics:
        """What has been counted in the present reading."""
        if self._assembly is None:
            raise RuntimeError("statistics() comes after open()")
        return self._assembly.statistics(self._arrival / 1e9)

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong at this place of the capture: channels that were gone, a clock that leapt."""
        return self._assembly.problems if self._assembly is not None else ()

    def _open(self) -> ChannelSet:
        from gridtop.synchrophasor.captures import read_capture

        self._id = self._config.id or self._first_id()
        stream = self._stream()
        for record in read_capture(self._path):
            stream.receive(record.data, record.arrival / 1e9)
            if stream.counts.frames:
                break
        if stream.configuration is None:
            raise SourceError(f"{self._config.path}: no configuration of stream {self._id} is in it")
        with self._path.open("rb") as file:
            digest = hashlib.sha256(file.read(_TOLD_APART_BY)).hexdigest()[:16]
        self.identity = f"c37118 capture {digest} {self._path.stat().st_size} id={self._id}"
        return self._new_assembly(stream).open(stream.configuration)

    def _first_id(self) -> int:
        from gridtop.synchrophasor.captures import read_capture
        from gridtop.synchrophasor.frames import CONFIGURATIONS, Splitter, head

        splitter = Splitter()
        for record in read_capture(self._path):
            for frame in splitter.feed(record.data):
                if head(frame).kind in CONFIGURATIONS:
                    return head(frame).idcode
        raise SourceError(
            f"{self._config.path}: there is no configuration frame in it, so nothing can be read"
        )

    def _stream(self) -> Stream:
        from gridtop.synchrophasor.stream import Stream

        stream = Stream(self._id, self._config.configuration)
        stream.begin()
        return stream

    def _new_assembly(self, stream: Stream) -> Assembly:
        self._assembly = Assembly(
            stream,
            self._host.channel_map,
            self._config.terminals,
            silence=self._config.silence.total_seconds(),
            ahead=_EVER,
            wall=lambda: self._arrival,
            log=self._host.log,
        )
        return self._assembly

    def _decoded(self) -> Iterator[Block]:
        from gridtop.synchrophasor.captures import read_capture

        stream = self._stream()
        assembly = self._new_assembly(stream)
        opened, due, now = False, 0.0, 0.0
        for record in read_capture(self._path):
            now = record.arrival / 1e9
            if now - due > _LONGEST_PAUSE:
                due = now
            while opened and now >= due:
                yield from self._tick(assembly, due)
                due += TICK
            stream.receive(record.data, now)
            if not opened and stream.counts.frames and stream.configuration is not None:
                assembly.open(stream.configuration)
                opened, due = True, now + TICK
        if opened:
            yield from self._tick(assembly, now)

    def _tick(self, assembly: Assembly, now: float) -> Iterator[Block]:
        self._arrival = round(now * 1e9)
        return assembly.blocks(now)
