"""The client of a monitor in the same process, for screens without an engine of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gridtop.client import Hello, Snapshot, Telemetry, TelemetryRequest
from gridtop.events import Event
from gridtop.orders import Order
from gridtop.source_statistics import Statistics

if TYPE_CHECKING:
    from gridtop.monitor import Monitor


class InProcessClient:
    """The client of a monitor in the same process and event loop, which it starts and ends."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._run: asyncio.Task[None] | None = None

    async def hello(self) -> Hello:
        """Start the monitor if it is not running, and wait until its source is open."""
        if self._run is None:
            self._run = asyncio.create_task(self._monitor.run(), name="monitor")
        await self._monitor.opened()
        return self._monitor.hello()

    async def snapshot(self) -> Snapshot:
        """The monitor now."""
        return self._monitor.snapshot()

    async def events(self, after: int = 0, limit: int = 500) -> Sequence[Event]:
        """The oldest `limit` events with a sequence number above `after`."""
        return self._monitor.events(after, limit)

    async def telemetry(self, request: TelemetryRequest) -> Telemetry:
        """The envelope of some channels."""
        return self._monitor.telemetry(request)

    async def pause(self) -> None:
        """Stop the clock of a replay."""
        self._monitor.replay.pause()

    async def resume(self) -> None:
        """Let the clock run on."""
        self._monitor.replay.resume()

    async def step(self, frames: int = 1) -> None:
        """While paused, go on by some frames."""
        self._monitor.replay.step(frames)

    async def speed(self, factor: float) -> None:
        """Play at `factor` times real time."""
        self._monitor.replay.set_speed(factor)

    async def seek(self, row: int) -> None:
        """Go to a row."""
        self._monitor.replay.seek(row)

    async def seek_time(self, time: np.datetime64) -> None:
        """Go to the first row at or after a time."""
        await self._monitor.replay.seek_time(time)

    async def operate(self, order: Order) -> None:
        """Tell an alarm something."""
        await self._monitor.operate(order)

    async def record(self, on: bool) -> None:
        """Begin a recording, or end it."""
        await self._monitor.record(on)

    async def statistics(self) -> Statistics | None:
        """How the data come."""
        return self._monitor.statistics()

    async def close(self) -> None:
        """End the monitor; what it published is delivered first."""
        if self._run is not None:
            self._monitor.stop()
            await asyncio.gather(self._run, return_exceptions=True)
