"""COMTRADE records as recordings: phasor and rms records as they are, point-on-wave records as phasors."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Generator
from pathlib import Path
from typing import Protocol

import numpy as np

from gridtop.blocks import Block, Flags, Floats, Times
from gridtop.channels import ChannelSet
from gridtop.contracts import Extent
from gridtop.errors import SourceError
from gridtop.naming import ChannelMap
from gridtop.recordings.comtrade_channels import Series, series_of
from gridtop.recordings.comtrade_columns import columns_of
from gridtop.recordings.comtrade_header import Header, decoded, read_header
from gridtop.recordings.comtrade_phasors import Phasors
from gridtop.recordings.comtrade_samples import Data, Place, open_data
from gridtop.recordings.sample_clock import SampleClock
from gridtop.text import clean

PHASORS_PER_CYCLE = 4
"""Frames per cycle of a point-on-wave record, unless told otherwise: as fast as a relay's protection runs,
and four times what a phasor measurement unit sends at most."""
MOST_SAMPLES_PER_CYCLE = 4
"""A record with more samples per cycle of its nominal frequency holds the wave, one with fewer holds phasors
or rms values: 240 frames/s at 60 Hz is the fastest class of phasor measurement units."""
_FASTEST_VALUES = 480.0
"""The same limit in samples per second where the nominal frequency is not given."""

_CFG_BYTES = 16 << 20
_HASHED_BYTES = 64 << 10
_BLOCK_VALUES = 1 << 17
"""Values in one block."""
_CFF_PART = re.compile(
    rb"^\s*-+\s*file\s+type\s*:\s*([a-z]+)(?:\s+([a-z0-9]+))?\s*(?::\s*(\d{1,18}))?\s*-*\s*$".replace(
        rb"\s", rb"[ \t\r]"
    ),
    re.IGNORECASE | re.MULTILINE,
)


class Frames(Protocol):
    """What turns samples into frames: as they are, or as phasors."""

    channels: ChannelSet
    count: int

    def times(self, start: int, stop: int) -> Times:
        """The times of frames."""

    def read(self, start: int, stop: int) -> tuple[Floats, Flags | None, SourceError | None]:
        """(n, c) values and flags of frames `start` up to `stop`, fewer when a problem comes first."""


class ComtradeRecording:
    """An opened COMTRADE record. See `Recording` for its face; the length is known from the start."""

    def __init__(
        self,
        path: Path,
        channel_map: ChannelMap,
        *,
        phasor_rate: float | None = None,
        waveform: bool | None = None,
        block_values: int = _BLOCK_VALUES,
    ) -> None:
        header, place, text = _files(path)
        data = open_data(place, header)
        clock = SampleClock(header, data)
        if waveform is None:
            waveform = is_waveform(header, clock)
        series = series_of(header, channel_map, waveform)
        self._frames: Frames
        if waveform:
            nominal = _nominal(header)
            self._frames = Phasors(
                header, data, clock, series, nominal, phasor_rate or nominal * PHASORS_PER_CYCLE, channel_map
            )
        else:
            self._frames = _Values(data, clock, series)
        self._problem = clock.problem
        self._chunk = max(1, block_values // len(self._frames.channels))
        self.channels = self._frames.channels
        self.identity = _identity(path, text, place)
        count = self._frames.count
        self.extent: Extent | None = Extent(count, self._time(0), self._time(count - 1))

    def blocks(self, start: int = 0) -> Generator[Block, None, None]:
        """The frames from row `start` on; SourceError behind the last good frame when the file goes wrong."""
        count = self._frames.count
        for first in range(max(0, start), count, self._chunk):
            values, flags, problem = self._frames.read(first, min(count, first + self._chunk))
            if len(values):
                times = self._frames.times(first, first + len(values))
                yield Block(self.channels, times, values, flags, {}, first)
            if problem is not None:
                raise problem
        if self._problem is not None:
            raise self._problem

    def row_at(self, time: np.datetime64) -> int:
        """The first row at or after `time`; the last row when `time` is beyond the end."""
        rows = range(self._frames.count)
        return min(bisect_left(rows, time, key=self._time), len(rows) - 1)

    def _time(self, row: int) -> np.datetime64:
        time: np.datetime64 = self._frames.times(row, row + 1)[0]
        return time


class _Values:
    """A record whose samples are the frames."""

    def __init__(self, data: Data, clock: SampleClock, series: list[Series]) -> None:
        self._data, self._clock, self._series = data, clock, series
        self.count = clock.count
        rate = float(f"{clock.rate:.10g}")
        self.channels = ChannelSet(
            tuple(one.channel for one in series), rate, "utc" if clock.has_clock else "row"
        )

    def times(self, start: int, stop: int) -> Times:
        """The times of samples."""
        return self._clock.times(np.arange(start, stop))

    def read(self, start: int, stop: int) -> tuple[Floats, Flags | None, SourceError | None]:
        """The samples as frames."""
        samples = self._data.read(start, stop)
        values, flags = columns_of(samples, self._series)
        return values, flags, samples.problem


def is_waveform(header: Header, clock: SampleClock) -> bool:
    """Whether the samples are points on the wave and not phasors or rms values.

    They are when there are more than 4 of them in a cycle, and no channel is an angle.
    """
    if any(channel.unit.strip().lower() in ("deg", "degrees", "rad", "°") for channel in header.analogs):
        return False
    if not header.analogs:
        return False
    limit = MOST_SAMPLES_PER_CYCLE * header.frequency if header.frequency else _FASTEST_VALUES
    # Stamps cut to whole units make a rate look a little higher.
    return clock.rate > limit * (1.05 if not header.sections else 1 + 1e-9)


def _nominal(header: Header) -> float:
    if header.frequency is None:
        raise SourceError(
            f"{header.shown}: the nominal frequency is 0, and the samples are points on a wave; write "
            "50 or 60 in the line behind the channels, or replay the samples as they are with waveform: false"
        )
    return header.frequency


def _files(path: Path) -> tuple[Header, Place, bytes]:
    """The header of the record that `path` belongs to, where its data are, and the text of its CFG."""
    suffix = path.suffix.lower()
    if suffix == ".cff":
        return _combined(path)
    configuration = path if suffix == ".cfg" else _beside(path, ".cfg")
    shown = clean(configuration.name)
    text = _read(configuration, shown)
    header = read_header(text, shown)
    data = path if suffix == ".dat" else _beside(path, ".dat")
    return header, Place(data, clean(data.name)), text


def _beside(path: Path, suffix: str) -> Path:
    """The other file of a record, its suffix in any case."""
    wanted = (path.stem + suffix).lower()
    try:
        found = sorted(
            entry
            for entry in path.parent.iterdir()
            if entry.name.lower() == wanted and entry.stem.lower() == path.stem.lower()
        )
    except OSError as error:
        raise SourceError(f"{clean(path.name)}: {error.strerror or error}") from None
    exact = [entry for entry in found if entry.stem == path.stem]
    for entry in exact or found:
        if entry.is_file():
            return entry
    what = "describes the data in it" if suffix == ".cfg" else "holds its data"
    raise SourceError(
        f"{clean(path.name)}: there is no {clean(path.stem)}{suffix} beside it, which {what}; "
        "put both files of the COMTRADE record into one folder"
    )


def _read(path: Path, shown: str) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(min(path.stat().st_size, _CFG_BYTES + 1))
    except OSError as error:
        raise SourceError(f"{shown}: {error.strerror or error}") from None
    if len(text) > _CFG_BYTES:
        raise SourceError(f"{shown}: over {_CFG_BYTES >> 20} MiB; this is not the CFG of a COMTRADE record")
    return text


def _combined(path: Path) -> tuple[Header, Place, bytes]:
    """The parts of a .cff: the CFG as text, the data as a place in the same file."""
    shown = clean(path.name)
    try:
        with path.open("rb") as file:
            text = file.read(min(path.stat().st_size, _CFG_BYTES))
    except OSError as error:
        raise SourceError(f"{shown}: {error.strerror or error}") from None
    configuration: tuple[bytes, int] | None = None
    begin, line, kind = 0, 1, b""
    for part in _CFF_PART.finditer(text):
        if kind == b"CFG":
            configuration = text[begin : part.start()], line
        begin = min(len(text), part.end() + 1)
        line = text.count(b"\n", 0, begin) + 1
        kind = part[1].upper()
        if kind == b"DAT":
            if configuration is None:
                raise SourceError(f"{shown}: line {line - 1}: the data come before the CFG")
            header = read_header(configuration[0], shown, configuration[1], decoded(part[2] or b""))
            size = int(part[3]) if part[3] else None
            if header.encoding == "ASCII" and size is None and (after := _CFF_PART.search(text, begin)):
                size = after.start() - begin
            if header.encoding == "ASCII" and size == 0:
                size = None
            return header, Place(path, shown, begin, size, line), configuration[0]
    described = configuration is not None or kind == b"CFG"
    missing = "no part with data" if described else "no part '--- file type: CFG ---'"
    raise SourceError(f"{shown}: {missing}; this is not a COMTRADE record in one file")


def _identity(path: Path, text: bytes, place: Place) -> str:
    """File name, size of the data and a hash of what comes first: the same wherever the files lie."""
    digest = hashlib.sha256(text)
    with place.path.open("rb") as file:
        file.seek(place.offset)
        digest.update(file.read(_HASHED_BYTES))
    return f"{clean(path.stem)}.comtrade:{place.path.stat().st_size}:{digest.hexdigest()[:16]}"
