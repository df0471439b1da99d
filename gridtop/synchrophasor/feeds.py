"""What a served PMU measures: the simulated grid or a recording, sorted into stations with their phasors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gridtop.blocks import Block, Quality
from gridtop.channels import Channel, ChannelSet
from gridtop.errors import GridtopError
from gridtop.naming import ChannelMap, built_in
from gridtop.synchrophasor.pmus import Component
from gridtop.text import clean

DEFAULT_RATE = 30
"""Frames per second of the simulated grid."""
BITS = 16
"""Digital channels in one digital word."""

_SUFFIXES = {"+": "1", "-": "2"}
_COMPONENTS: dict[str, Component] = {"A": "A", "B": "B", "C": "C", "+": "+", "-": "-", "0": "0"}
_PORTION = 64
"""Frames of the simulated grid that are worked out at once."""


@dataclass(frozen=True, slots=True)
class PhasorColumns:
    """A voltage or a current with magnitude and angle, by the columns they are in."""

    name: str
    magnitude: int
    angle: int
    is_current: bool
    component: Component = ""


@dataclass(frozen=True, slots=True)
class Station:
    """One PMU of a feed: its phasors, and by name and column its analog values and its bits.

    `frequency`, `rocof` and `status` (the STAT word) are columns, None where nothing measures them.
    """

    name: str
    phasors: tuple[PhasorColumns, ...] = ()
    frequency: int | None = None
    rocof: int | None = None
    status: int | None = None
    analogs: tuple[tuple[str, int], ...] = ()
    digitals: tuple[tuple[str, int], ...] = ()

    @property
    def measured(self) -> tuple[int, ...]:
        """The columns of measurements: where all of them are missing, the station is absent."""
        columns = [column for phasor in self.phasors for column in (phasor.magnitude, phasor.angle)]
        columns += [column for column in (self.frequency, self.rocof) if column is not None]
        return (*columns, *(column for _, column in self.analogs))


@dataclass(frozen=True, slots=True)
class Feed:
    """Frames to serve: `rate` a second, and `blocks` to go through them from the beginning.

    `title` says in words where they come from; `nominal` is the grid's frequency in Hz; a feed that is
    `endless` needs no loop.
    """

    title: str
    channels: ChannelSet
    rate: float
    stations: tuple[Station, ...]
    blocks: Callable[[], Iterator[Block]]
    nominal: float = 60.0
    endless: bool = False


def simulated(rate: int = DEFAULT_RATE, seed: int = 1, *, events: bool = True) -> Feed:
    """The simulated two-line grid, for ever; `events` are its usual disturbances. `rate` is 10 to 120."""
    from gridtop.simulation import NUMERIC_COLUMNS, Simulation, timetable

    columns = ChannelMap().resolve(NUMERIC_COLUMNS)
    channels = ChannelSet(columns.channels, float(rate))

    def blocks() -> Iterator[Block]:
        simulation = Simulation(events=timetable(seed) if events else (), seed=seed, rate=rate)
        begin = np.datetime64(0, "ns")
        while True:
            frames = simulation.read(_PORTION)
            readings = frames.values[:, columns.positions]
            # An open line has no impedance, and no figure stands for infinity in a frame.
            values = np.where(np.isinf(readings), np.nan, readings) * columns.scales + columns.offsets
            yield Block(channels, begin + frames.time, values, row=frames.row)

    title = f"simulated grid, seed {seed}" if events else f"simulated grid without disturbances, seed {seed}"
    return Feed(title, channels, float(rate), stations_of(channels), blocks, endless=True)


def recorded(path: Path, channel_map: ChannelMap | None = None, rate: float | None = None) -> Feed:
    """The frames of a recording, from its beginning to its end; `rate` plays it faster or slower.

    Raises SourceError when it cannot be read, and GridtopError when nothing in it can be served.
    """
    from gridtop.recordings import open_recording

    recording = open_recording(path, channel_map or ChannelMap(), rate)
    channels = recording.channels
    pace = rate or channels.rate
    if not pace:
        raise GridtopError(
            f"{clean(path.name)}: one frame has no rate; say how many a second there are: --rate 30"
        )
    stations = stations_of(channels, clean(path.name).partition(".")[0])

    def blocks() -> Iterator[Block]:
        for block in recording.blocks():
            if block.quality is None:
                yield block
                continue
            bad = (block.quality & np.uint16(Quality.BAD)) != 0
            yield replace(block, values=np.where(bad, np.nan, block.values)) if bad.any() else block

    return Feed(clean(path.name), channels, float(pace), stations, blocks, _nominal(recording.blocks()))


def _nominal(blocks: Iterator[Block]) -> float:
    """50 or 60 Hz, by the first frequencies that are there."""
    for block in itertools.islice(blocks, 1):
        columns = [i for i, channel in enumerate(block.channels) if channel.quantity == "frequency"]
        frequencies = block.values[:, columns]
        frequencies = frequencies[np.isfinite(frequencies)]
        if frequencies.size and float(np.median(frequencies)) < 55.0:
            return 50.0
    return 60.0


def concentrated(feed: Feed, pmus: int) -> Feed:
    """The same feed with that many PMUs: its first ones, or all of them again and again under new names."""
    stations = list(feed.stations[:pmus])
    for number in range(len(stations), pmus):
        copied, turn = feed.stations[number % len(feed.stations)], number // len(feed.stations)
        stations.append(replace(copied, name=f"{copied.name}-{turn + 1}"))
    return replace(feed, stations=tuple(stations))


def stations_of(channels: ChannelSet, without_terminal: str = "PMU") -> tuple[Station, ...]:
    """The stations of a stream: one a terminal; channels without a terminal are one more.

    Magnitude and angle of one voltage or current are a phasor. What has no partner, and every other
    measured number, is an analog value; logs and on-off signals are digital. Derived quantities and times
    are left out. Raises GridtopError when nothing is left.
    """
    terminals: dict[str, list[int]] = {}
    for column, channel in enumerate(channels):
        if not channel.derived and channel.quantity not in ("time", "label"):
            terminals.setdefault(channel.terminal, []).append(column)
    stations = [
        _station(clean(terminal) or without_terminal, channels, columns)
        for terminal, columns in terminals.items()
    ]
    if not stations:
        raise GridtopError("there is no measured channel to serve")
    return tuple(stations)


def _station(name: str, channels: ChannelSet, columns: Sequence[int]) -> Station:
    left = dict.fromkeys(columns)
    phasors = tuple(_phasors(channels, columns))
    for phasor in phasors:
        del left[phasor.magnitude], left[phasor.angle]

    def take(wanted: Callable[[Channel], bool]) -> int | None:
        column = next((i for i in left if wanted(channels[i])), None)
        if column is not None:
            del left[column]
        return column

    frequency = take(lambda channel: channel.quantity == "frequency")
    rocof = take(lambda channel: channel.quantity == "rocof")
    # On-off signals of a fault recorder are of quantity status, too; a STAT word is known by its name.
    status = take(lambda channel: channel.quantity == built_in(channel.name).quantity == "status")
    digital = [i for i in left if channels[i].part == "status" or channels[i].quantity == "log"]
    return Station(
        name,
        phasors,
        frequency,
        rocof,
        status,
        tuple((_short(channels[i], name), i) for i in left if i not in set(digital)),
        tuple((_short(channels[i], name), i) for i in digital),
    )


def _phasors(channels: ChannelSet, columns: Sequence[int]) -> Iterator[PhasorColumns]:
    """Magnitudes with the angle of the same quantity and phase, in the order of the magnitudes."""
    angles: dict[tuple[str, str], list[int]] = {}
    for i in columns:
        if channels[i].part == "angle":
            angles.setdefault((channels[i].quantity, channels[i].phase), []).append(i)
    names: dict[str, int] = {}
    for i in columns:
        channel = channels[i]
        if channel.part != "magnitude" or channel.quantity not in ("voltage", "current"):
            continue
        if channel.unit not in ("V", "A") or not (partners := angles.get((channel.quantity, channel.phase))):
            continue
        name = ("V" if channel.quantity == "voltage" else "I") + _SUFFIXES.get(channel.phase, channel.phase)
        names[name] = times = names.get(name, 0) + 1
        yield PhasorColumns(
            name if times == 1 else f"{name} {times}",
            i,
            partners.pop(0),
            channel.quantity == "current",
            _COMPONENTS.get(channel.phase, ""),
        )


def _short(channel: Channel, station: str) -> str:
    """A channel's name without the station in front, which a frame says once."""
    name = clean(channel.name)
    return name.removeprefix(station).lstrip("-:. ") or name
