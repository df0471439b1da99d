"""A small feed for tests of synchrophasors: two PMUs at a high rate, so that a second has many frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gridtop.blocks import Block, seconds_to_time
from gridtop.channels import Channel, ChannelSet
from gridtop.synchrophasor.feeds import Feed, stations_of

RATE = 250


def channels() -> ChannelSet:
    """Two terminals with a voltage, a current, frequency and its slope; A has a temperature and two logs."""
    made: list[Channel] = []
    for terminal in ("A", "B"):
        for quantity, unit in (("voltage", "V"), ("current", "A")):
            name = f"{terminal}-{unit}"
            made.append(Channel(f"{name}m", quantity, unit, terminal, "+", "magnitude"))
            made.append(Channel(f"{name}a", quantity, "deg", terminal, "+", "angle"))
        made.append(Channel(f"{terminal}:F", "frequency", "Hz", terminal))
        made.append(Channel(f"{terminal}:DF", "rocof", "Hz/s", terminal))
        made.append(Channel(f"{terminal}:S", "status", "", terminal, part="status"))
    made.append(Channel("A-oil", "temperature", "degC", "A"))
    made.append(Channel("A-trip", "log", "", "A", part="status"))
    made.append(Channel("A-alarm", "log", "", "A", part="status"))
    return ChannelSet(tuple(made), float(RATE))


def values(frames: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(frames, 17) figures that differ from frame to frame."""
    k = np.arange(frames, dtype=np.float64)
    table = np.zeros((frames, len(channels())))
    for first, turn in ((0, 10.0), (7, -20.0)):
        table[:, first] = 132_000.0 + k % 100
        table[:, first + 1] = turn + k % 7
        table[:, first + 2] = 400.0 + k % 10
        table[:, first + 3] = turn - 30.0
        table[:, first + 4] = 60.0 + (k % 5) / 1000
        table[:, first + 5] = 0.01
    table[:, 14] = 55.5
    table[:, 16] = k % 2
    return table


def feed(table: Sequence[Sequence[float]] | None = None, frames: int = 500, *, endless: bool = False) -> Feed:
    """The feed, with the figures of `table` if it is given."""
    chosen = np.array(table) if table is not None else values(frames)

    def blocks() -> Iterator[Block]:
        while True:
            yield Block(channels(), seconds_to_time(np.arange(len(chosen)) / RATE), chosen.copy())
            if not endless:
                return

    return Feed("two PMUs", channels(), float(RATE), stations_of(channels()), blocks, endless=endless)
