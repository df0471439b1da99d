"""A feed as a device of IEEE C37.118: its configuration, its header, and its data frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block, Floats
from gridtop.errors import GridtopError
from gridtop.synchrophasor.configuration import encode_configuration
from gridtop.synchrophasor.data import DataLayout, Readings
from gridtop.synchrophasor.feeds import BITS, Feed, Station
from gridtop.synchrophasor.frame_clock import FrameClock, data_rate
from gridtop.synchrophasor.frames import LARGEST, TIME_BASE, FrameKind, Stamp, encode_header
from gridtop.synchrophasor.pmus import Analog, Configuration, Digital, Phasor, Pmu

LARGEST_ID = 65534
"""Of a stream or a PMU; the least is 1."""

_ABSENT_DATA = 0x8000
"""STAT bits 15-14 are 10: absent data tags have been inserted."""
_STEP = 1e-5
"""The resolution of a conversion factor (PHUNIT), V or A a count."""
_LARGEST_COUNT = 0x7FFF
_ROOM = {False: 2.0, True: 20.0}
"""How many times the largest first voltage (False) or current (True) 16 bits can show: swells, faults."""


@dataclass(frozen=True, slots=True)
class Form:
    """How numbers are written: phasors polar or rectangular; phasors and frequency float or 16-bit integer.

    Analog values are always float: a whole number would lose what they say.
    """

    polar: bool = True
    floating: bool = True


class Device:
    """A feed seen as a PMU, or with several stations as a concentrator, whose stream has the id `idcode`.

    One station has that id itself; several have the ones after it. With `loop` a recording begins anew at
    its end. Its data frames are made in order, as many at a time as are asked for.

    Raises GridtopError when that cannot be: ids run out, or frames would be larger than a frame can be.
    """

    def __init__(
        self,
        feed: Feed,
        idcode: int = 1,
        form: Form = Form(),
        *,
        loop: bool = True,
        time_base: int = TIME_BASE,
        header: str = "",
    ) -> None:
        self.idcode = idcode
        self._feed = feed
        self._form = form
        self._blocks = self._repeated(loop)
        self._rest = next(self._blocks).values
        self.clock = FrameClock(data_rate(feed.rate))
        self._time_base = time_base
        usual, changed = feed.stations, _with_another_analog(feed.stations)
        self._stations = {False: usual, True: changed}
        self._configurations = {
            False: self._configuration(usual, 0),
            True: self._configuration(changed, 1),
        }
        if (size := self._configurations[True].data_size) > LARGEST:
            raise GridtopError(
                f"{len(usual)} PMUs need {size} bytes a frame, and a frame has {LARGEST} at most: serve fewer"
            )
        self._layouts = {key: DataLayout(each) for key, each in self._configurations.items()}
        self.changed = False
        """Whether the configuration is the one with another analog value."""
        self._header = header or (
            f"gridtop serve-pmu: {feed.title}; {len(usual)} PMU{'s' if len(usual) > 1 else ''}, "
            f"{feed.rate:g} frames/s"
        )

    @property
    def title(self) -> str:
        """What is served, in words."""
        return self._header

    @property
    def configuration(self) -> Configuration:
        """What the frames carry now."""
        return self._configurations[self.changed]

    def configuration_frames(self, kind: FrameKind, now: int) -> list[bytes]:
        """The configuration as CFG-1, CFG-2 or CFG-3; `now` in nanoseconds since 1970."""
        return encode_configuration(self.configuration, kind, self._stamp(now))

    def header_frame(self, now: int) -> bytes:
        """What a person may want to know."""
        return encode_header(self.idcode, self._header, self._stamp(now))

    def data_frames(
        self, numbers: range, *, shift: int = 0, quality: int = 0, status: int = 0, changed: bool = False
    ) -> list[bytes]:
        """The data frames with these numbers of the clock; fewer, or none, at the end of a recording.

        `shift` is by how many nanoseconds the device's clock is wrong, `quality` its time quality byte,
        `status` bits that are set in every STAT word besides; `changed`: with another analog value.
        """
        values = self._next(len(numbers))
        if not len(values):
            return []
        instants = np.array([max(0, self.clock.at(k) + shift) for k in numbers[: len(values)]], np.int64)
        readings = _readings(values, self._stations[changed], instants, quality, status)
        return self._layouts[changed].encode(readings)

    def _stamp(self, now: int) -> Stamp:
        return Stamp.of(np.datetime64(now, "ns"), self._time_base)

    def _repeated(self, loop: bool) -> Iterator[Block]:
        while True:
            yield from self._feed.blocks()
            if not loop or self._feed.endless:
                return

    def _next(self, count: int) -> Floats:
        """(n, c) the next frames of the feed: `count` of them, fewer only at its end."""
        parts, left = [], count
        while left:
            if not len(self._rest):
                following = next(self._blocks, None)
                if following is None:
                    break
                self._rest = following.values
                continue
            parts.append(self._rest[:left])
            self._rest = self._rest[left:]
            left -= len(parts[-1])
        return np.concatenate(parts) if parts else self._rest[:0]

    def _configuration(self, stations: Sequence[Station], changes: int) -> Configuration:
        if len(stations) > 1 and self.idcode + len(stations) > LARGEST_ID:
            raise GridtopError(f"there is no room for {len(stations)} ids after {self.idcode}: begin lower")
        ids = (
            (self.idcode,) if len(stations) == 1 else range(self.idcode + 1, self.idcode + 1 + len(stations))
        )
        pmus = (self._pmu(station, number, changes) for station, number in zip(stations, ids, strict=True))
        return Configuration(self.idcode, tuple(pmus), self.clock.data_rate, self._time_base)

    def _pmu(self, station: Station, idcode: int, changes: int) -> Pmu:
        floating = self._form.floating
        phasors = (
            Phasor(
                phasor.name,
                phasor.is_current,
                1.0 if floating else _scale(self._rest[:, phasor.magnitude], phasor.is_current),
                component=phasor.component,
            )
            for phasor in station.phasors
        )
        names = [name for name, _ in station.digitals]
        words = (names[at : at + BITS] for at in range(0, len(names), BITS))
        return Pmu(
            station.name,
            idcode,
            tuple(phasors),
            tuple(Analog(name, "other") for name, _ in station.analogs),
            tuple(Digital(tuple(word), valid=(1 << len(word)) - 1) for word in words),
            polar=self._form.polar,
            float_phasors=floating,
            float_analogs=True,
            float_frequency=floating,
            nominal_frequency=self._feed.nominal,
            change_count=changes,
        )


def _with_another_analog(stations: Sequence[Station]) -> tuple[Station, ...]:
    first = stations[0]
    columns = (*first.measured, *(column for _, column in first.digitals), first.status)
    column = next(column for column in columns if column is not None)
    return (replace(first, analogs=(*first.analogs, ("SPARE", column))), *stations[1:])


def _scale(magnitudes: Floats, is_current: bool) -> float:
    """V or A a count, so that 16 bits have room for what is to come."""
    known = np.abs(magnitudes[np.isfinite(magnitudes)])
    largest = float(known.max(initial=0.0)) or 1.0
    return max(1.0, float(np.ceil(largest * _ROOM[is_current] / _LARGEST_COUNT / _STEP))) * _STEP


def _readings(
    values: Floats, stations: Sequence[Station], instants: npt.NDArray[np.int64], quality: int, bits: int
) -> Readings:
    """(n, c) figures of a feed in the order of the data frames of some stations."""
    frames = len(values)
    phasors = [phasor for station in stations for phasor in station.phasors]
    analogs = [column for station in stations for _, column in station.analogs]
    status = np.empty((frames, len(stations)), dtype=np.uint16)
    for i, station in enumerate(stations):
        status[:, i] = _status(station, values) | np.uint16(bits)
    return Readings(
        time=instants.astype("datetime64[ns]"),
        time_quality=np.full(frames, quality, dtype=np.uint8),
        status=status,
        magnitude=values[:, [phasor.magnitude for phasor in phasors]],
        angle=values[:, [phasor.angle for phasor in phasors]],
        frequency=_columns(values, [station.frequency for station in stations]),
        rocof=_columns(values, [station.rocof for station in stations]),
        analog=values[:, analogs],
        digital=_words(values, stations),
    )


def _status(station: Station, values: Floats) -> npt.NDArray[np.uint16]:
    """(n,) what the feed says itself, and that data are absent where every measurement is missing."""
    said = np.nan_to_num(_columns(values, [station.status])[:, 0])
    status = np.where((said >= 0) & (said <= 0xFFFF), said, 0).astype(np.uint16)
    if station.measured:
        absent = np.isnan(values[:, list(station.measured)]).all(axis=1)
        status[absent] |= np.uint16(_ABSENT_DATA)
    return status


def _words(values: Floats, stations: Sequence[Station]) -> npt.NDArray[np.uint16]:
    """(n, d) the bits of every station, 16 in a word, the first in bit 0."""
    on = np.nan_to_num(values) != 0
    words = []
    for station in stations:
        columns = [column for _, column in station.digitals]
        for at in range(0, len(columns), BITS):
            bits = on[:, columns[at : at + BITS]].astype(np.uint16)
            places = np.left_shift(np.uint16(1), np.arange(bits.shape[1], dtype=np.uint16))
            words.append((bits * places).sum(axis=1).astype(np.uint16))
    return np.stack(words, axis=1) if words else np.empty((len(values), 0), dtype=np.uint16)


def _columns(values: Floats, columns: Sequence[int | None]) -> Floats:
    """(n, k) columns; NaN for one that is not there."""
    chosen = np.full((len(values), len(columns)), np.nan)
    for i, column in enumerate(columns):
        if column is not None:
            chosen[:, i] = values[:, column]
    return chosen
