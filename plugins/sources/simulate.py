"""The simulated two-line testbed as a live source: frames as time passes, and now and then a disturbance."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from gridtop.api import Block, ChannelSet, Host, Quality, Settings, SourceError

if TYPE_CHECKING:
    from gridtop.naming import Columns
    from gridtop.simulation import Frames, Simulation

TICK = 0.1
"""Seconds between two blocks."""
LARGEST = 256
"""Frames in one block at most."""


class SimulateConfig(Settings):
    """The settings of `type: simulate`."""

    seed: int = Field(1, ge=0, description="the same seed gives the same grid, disturbances and noise")
    rate: int = Field(30, ge=10, le=120, description="frames per second")
    start: datetime | None = Field(
        None, description="time of the first frame, in UTC unless it says otherwise; by default now"
    )


class Simulate:
    """A grid to practise on: each call of `blocks` begins it anew, and it goes on for ever."""

    Config: ClassVar[type[SimulateConfig]] = SimulateConfig
    live = True

    def __init__(self, config: SimulateConfig, host: Host) -> None:
        self._config = config
        self._channel_map = host.channel_map
        self.identity = f"simulate seed={config.seed} rate={config.rate}"
        self._columns: Columns | None = None
        self._channels = ChannelSet(())

    async def open(self) -> ChannelSet:
        """The channels of the testbed's four relays; SourceError when the `channels:` section leaves none."""
        # The simulator is a room of the engine, for the command line needs it too: besides gridtop.api
        # it is the only part of the engine that a plugin imports, and only when it is used.
        from gridtop.simulation import COLUMNS

        try:
            self._columns = self._channel_map.resolve(COLUMNS)
        except ValueError as error:
            raise SourceError(f"the channels of the simulated grid: {error}") from None
        if COLUMNS.index("marker") in self._columns.positions:
            raise SourceError(
                "the column marker of the simulated grid is text: map it to label, or ignore it"
            )
        self._channels = ChannelSet(self._columns.channels, rate=float(self._config.rate), clock="utc")
        return self._channels

    async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        """What is due, ten times a second; a slow reader gets larger blocks. `start` means nothing live."""
        simulation = self._simulation()
        first = self._config.start or datetime.now(UTC)
        if first.tzinfo:
            first = first.astimezone(UTC).replace(tzinfo=None)
        first_time = np.datetime64(first, "ns")
        begun = monotonic()
        row = tick = 0
        while True:
            # Frames and ticks are counted from the beginning, so that no delay adds up.
            elapsed = monotonic() - begun
            while (due := int(elapsed * simulation.rate) + 1 - row) > 0:
                frames = simulation.read(min(due, LARGEST))
                row += len(frames)
                yield self._block(frames, first_time)
            tick = max(tick, int(elapsed / TICK)) + 1
            await sleep(max(0.0, begun + tick * TICK - monotonic()))

    async def close(self) -> None:
        """Nothing to let go of."""

    def _simulation(self) -> Simulation:
        from gridtop.simulation import Simulation, timetable

        seed = self._config.seed
        return Simulation(events=timetable(seed), seed=seed, rate=self._config.rate)

    def _block(self, frames: Frames, first_time: np.datetime64) -> Block:
        columns = self._columns
        if columns is None:
            raise RuntimeError("blocks() comes after open()")
        readings = frames.values[:, columns.positions]
        infinite, missing = np.isinf(readings), np.isnan(readings)
        values = np.where(infinite, np.nan, readings) * columns.scales + columns.offsets
        quality = np.where(infinite, Quality.INFINITE, np.where(missing, Quality.MISSING, 0))
        return Block(
            self._channels,
            first_time + frames.time,
            values,
            quality.astype(np.uint16) if quality.any() else None,
            {name: _text(frames, position) for name, position in columns.labels.items()},
            frames.row,
        )


def _text(frames: Frames, position: int) -> npt.NDArray[np.str_]:
    """A column as text: the last one is text, the others are numbers."""
    return frames.labels if position == frames.values.shape[1] else frames.values[:, position].astype(np.str_)
