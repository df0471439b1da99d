"""Small blocks, sources and clocks that tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np

from gridtop.api import Block, Channel, ChannelSet, Extent, Settings

START = np.datetime64("2026-01-01T00:00:00", "ns")


def times(n: int, rate: float = 10.0, first: int = 0) -> np.ndarray:
    """n instants at `rate` frames/s, the first being frame number `first`."""
    return START + np.round(np.arange(first, first + n) / rate * 1e9).astype("timedelta64[ns]")


def channel_set(*names: str, rate: float | None = 10.0, quantity: str = "other") -> ChannelSet:
    """Channels of one quantity with the given names."""
    return ChannelSet(tuple(Channel(name, quantity, terminal=name.split(":")[0]) for name in names), rate)


def block_of(values: Sequence[Sequence[float]] | np.ndarray, channels: ChannelSet, row: int = 0) -> Block:
    """A block of rows of values at the channels' rate."""
    array = np.array(values, dtype=np.float64).reshape(-1, len(channels))
    return Block(channels, times(len(array), channels.rate or 10.0, row), array, row=row)


class ListSource:
    """A seekable recording held in memory, in chunks of a given size."""

    Config = Settings
    live = False
    identity = "list"

    def __init__(self, block: Block, chunk: int = 7) -> None:
        self.block, self.chunk = block, chunk
        self.extent = Extent(len(block), block.time[0], block.time[-1])
        self.closed = 0

    async def open(self) -> ChannelSet:
        return self.block.channels

    async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        for first in range(start, len(self.block), self.chunk):
            await asyncio.sleep(0)
            yield self.block.slice(first, first + self.chunk)

    async def row_at(self, time: np.datetime64) -> int:
        return int(min(np.searchsorted(self.block.time, time), len(self.block) - 1))

    async def close(self) -> None:
        self.closed += 1


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting: paced code runs at once."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]
