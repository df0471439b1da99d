"""Data frames: many frames of one configuration decoded, or encoded, with few operations on arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats, Times
from gridtop.synchrophasor.configuration import Configuration, Phasor
from gridtop.synchrophasor.frames import HEAD_SIZE, FrameError, FrameKind, Stamp, seal

Index = npt.NDArray[np.intp]

_ABSENT = -0x8000
"""What stands for a missing value in 16 bits."""
_RADIANS_PER_COUNT = 1e-4
_HERTZ_PER_COUNT = 1e-3
_ROCOF_PER_COUNT = 1e-2
_LARGEST_ANGLE = 1e6
"""Degrees; a float beyond is no angle."""
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Readings:
    """n data frames of a stream of m PMUs with p phasors, a analogs and d digital words together.

    Columns run through the PMUs in the order of the configuration, and within a PMU in its own. NaN is
    absent; a float may be infinite if the device sends it so.

    time          (n,)    datetime64[ns], UTC; in the order of the frames given, not sorted
    time_quality  (n,)    the frame's time quality byte (`status.describe_time_quality`)
    status        (n, m)  STAT words (`status.describe_status`)
    magnitude     (n, p)  V or A
    angle         (n, p)  degrees, -180 to 180
    frequency     (n, m)  Hz
    rocof         (n, m)  Hz/s
    analog        (n, a)  in whatever unit the device sends
    digital       (n, d)  words of 16 inputs
    """

    time: Times
    time_quality: npt.NDArray[np.uint8]
    status: npt.NDArray[np.uint16]
    magnitude: Floats
    angle: Floats
    frequency: Floats
    rocof: Floats
    analog: Floats
    digital: npt.NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.time)


class DataLayout:
    """Where everything is in the data frames of one configuration. Make one per configuration and keep it."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        pmus = configuration.pmus
        where = _Places(configuration)
        self._status, self._digital = where.index("status"), where.index("digital")
        self._first, self._second = where.numbers("first"), where.numbers("second")
        self._frequency, self._rocof = where.numbers("frequency"), where.numbers("rocof")
        self._analog = where.numbers("analog")
        phasors = [(pmu, phasor) for pmu in pmus for phasor in pmu.phasors]
        rectangular = [not pmu.polar for pmu, _ in phasors]
        self._rectangular = np.flatnonzero(rectangular)
        self._polar = np.flatnonzero(np.logical_not(rectangular))
        # A polar magnitude is the one 16-bit number without a sign.
        self._unsigned = np.flatnonzero([pmu.polar and not pmu.float_phasors for pmu, _ in phasors])
        self._angle_counts = np.array([1.0 if p.float_phasors else _RADIANS_PER_COUNT for p, _ in phasors])
        long = configuration.kind == FrameKind.CFG3
        turns = [_conversion(phasor, pmu.float_phasors, long) for pmu, phasor in phasors]
        self._scale = np.array([scale for scale, _ in turns])
        self._offset = np.degrees([offset for _, offset in turns])
        analogs = [analog for pmu in pmus for analog in pmu.analogs]
        self._analog_scale = np.array([_usable(each.scale) if long else 1.0 for each in analogs])
        self._analog_offset = np.array([_finite(each.offset) if long else 0.0 for each in analogs])
        floating = np.array([pmu.float_frequency for pmu in pmus], dtype=bool)
        nominal = np.array([pmu.nominal_frequency for pmu in pmus])
        self._hertz_per_count = np.where(floating, 1.0, _HERTZ_PER_COUNT)
        self._nominal = np.where(floating, 0.0, nominal)
        self._rocof_per_count = np.where(floating, 1.0, _ROCOF_PER_COUNT)

    @property
    def size(self) -> int:
        """Bytes of a data frame."""
        return self.configuration.data_size

    def decode(self, frames: Sequence[bytes]) -> Readings:
        """The readings of n whole data frames; FrameError when one has another length."""
        size = self.size
        if any(len(frame) != size for frame in frames):
            raise FrameError(f"a data frame of this configuration has {size} bytes, and one has not")
        words = np.frombuffer(b"".join(frames), dtype=">u2").reshape(len(frames), size // 2)
        heads = words[:, :7].astype(np.int64)
        seconds, fraction = heads[:, 3] << 16 | heads[:, 4], (heads[:, 5] & 0xFF) << 16 | heads[:, 6]
        base = self.configuration.time_base
        nanoseconds = seconds * _NANOSECONDS + (fraction * _NANOSECONDS + base // 2) // base
        with np.errstate(invalid="ignore"):  # a device may send any bits for "not a number"
            magnitude, angle = self._decode_phasors(words)
            frequency = self._frequency.read(words) * self._hertz_per_count + self._nominal
            rocof = self._rocof.read(words) * self._rocof_per_count
            analog = self._analog.read(words) * self._analog_scale + self._analog_offset
        return Readings(
            nanoseconds.view("datetime64[ns]"),
            (heads[:, 5] >> 8).astype(np.uint8),
            np.take(words, self._status, axis=1).astype(np.uint16),
            magnitude,
            angle,
            frequency,
            rocof,
            analog,
            np.take(words, self._digital, axis=1).astype(np.uint16),
        )

    def _decode_phasors(self, words: npt.NDArray[np.uint16]) -> tuple[Floats, Floats]:
        first, second = self._first.read(words, self._unsigned), self._second.read(words)
        gone = np.isnan(first) | np.isnan(second)
        polar, rectangular = self._polar, self._rectangular
        magnitude, angle = first, second
        if len(polar):
            angle = second * self._angle_counts
        if len(rectangular):
            real, imaginary = first[:, rectangular], second[:, rectangular]
            magnitude[:, rectangular] = np.hypot(real, imaginary)
            angle[:, rectangular] = np.arctan2(imaginary, real)
        magnitude = magnitude * self._scale
        angle = wrapped(np.degrees(angle) - self._offset)
        magnitude[gone] = np.nan
        angle[gone] = np.nan
        return magnitude, angle

    def encode(self, readings: Readings) -> list[bytes]:
        """n data frames; what a format cannot hold is cut to its limits, NaN becomes absent."""
        words = np.zeros((len(readings), self.size // 2), dtype=">u2")
        words[:, self._status] = readings.status
        words[:, self._digital] = readings.digital
        with np.errstate(invalid="ignore", over="ignore"):
            magnitude = readings.magnitude / self._scale
            radians = np.radians(wrapped(readings.angle + self._offset))
            first, second = magnitude.copy(), radians / self._angle_counts
            rectangular = self._rectangular
            first[:, rectangular] = (magnitude * np.cos(radians))[:, rectangular]
            second[:, rectangular] = (magnitude * np.sin(radians))[:, rectangular]
            gone = np.isnan(first) | np.isnan(second)
            first[gone] = second[gone] = np.nan
            self._first.write(words, first, self._unsigned)
            self._second.write(words, second)
            self._frequency.write(words, (readings.frequency - self._nominal) / self._hertz_per_count)
            self._rocof.write(words, readings.rocof / self._rocof_per_count)
            self._analog.write(words, (readings.analog - self._analog_offset) / self._analog_scale)
        frames, base = [], self.configuration.time_base
        for time, quality, row in zip(readings.time, readings.time_quality, words, strict=True):
            stamp = Stamp.of(time, base, int(quality))
            text = row.tobytes()[HEAD_SIZE:-2]
            frames.append(seal(FrameKind.DATA, self.configuration.idcode, text, stamp))
        return frames


def wrapped(degrees: Floats) -> Floats:
    """Angles brought between -180 and 180 degrees; those within stay as they are, to the bit."""
    size = np.abs(degrees)
    beyond = size > 180.0
    if beyond.any():
        degrees = np.where(beyond, degrees - 360.0 * np.round(degrees / 360.0), degrees)
        degrees[size > _LARGEST_ANGLE] = np.nan
    return degrees


class _Numbers:
    """Where k numbers are in a frame of 16-bit words: floats of two words, or integers."""

    def __init__(self, places: Sequence[tuple[int, bool]]) -> None:
        self._count = len(places)
        self._floats = np.array([i for i, (_, floating) in enumerate(places) if floating], dtype=np.intp)
        self._integers = np.array(
            [i for i, (_, floating) in enumerate(places) if not floating], dtype=np.intp
        )
        at = np.array([word for word, _ in places], dtype=np.intp)
        self._float_words = (at[self._floats][:, np.newaxis] + np.arange(2)).reshape(-1)
        self._integer_words = at[self._integers]

    def read(self, words: npt.NDArray[np.uint16], unsigned: Index | None = None) -> Floats:
        """(n, k) the numbers as sent; NaN where absent. `unsigned` integers have no sign, no absence."""
        n = len(words)
        if not self._count:
            return np.empty((n, 0))
        floats = integers = np.empty((n, 0))
        if len(self._floats):
            floats = np.take(words, self._float_words, axis=1).view(">f4").astype(np.float64)
        if len(self._integers):
            raw = np.take(words, self._integer_words, axis=1).astype(np.uint16)
            signed = raw.view(np.int16)
            integers = signed.astype(np.float64)
            integers[signed == _ABSENT] = np.nan
            if unsigned is not None and len(unsigned):
                bare = np.isin(self._integers, unsigned)
                integers[:, bare] = raw[:, bare]
        if not len(self._integers):
            return floats
        if not len(self._floats):
            return integers
        numbers = np.empty((n, self._count))
        numbers[:, self._floats], numbers[:, self._integers] = floats, integers
        return numbers

    def write(self, words: npt.NDArray[np.uint16], numbers: Floats, unsigned: Index | None = None) -> None:
        """Put (n, k) numbers where they belong."""
        if len(self._floats):
            pairs = np.ascontiguousarray(numbers[:, self._floats]).astype(">f4").view(">u2")
            words[:, self._float_words] = pairs
        if len(self._integers):
            mine = numbers[:, self._integers]
            lowest, highest = np.full(len(self._integers), -0x7FFF), np.full(len(self._integers), 0x7FFF)
            if unsigned is not None:
                bare = np.isin(self._integers, unsigned)
                lowest[bare], highest[bare] = 0, 0xFFFF
            whole = np.clip(np.round(np.where(np.isnan(mine), 0.0, mine)), lowest, highest).astype(np.int64)
            whole[np.isnan(mine)] = _ABSENT
            words[:, self._integer_words] = (whole & 0xFFFF).astype(np.uint16)


class _Places:
    """The word at which each field of a data frame begins, and whether it is a float."""

    def __init__(self, configuration: Configuration) -> None:
        self._fields: dict[str, list[tuple[int, bool]]] = {}
        self._word = HEAD_SIZE // 2
        for pmu in configuration.pmus:
            self._add("status", False)
            for _ in pmu.phasors:
                self._add("first", pmu.float_phasors)
                self._add("second", pmu.float_phasors)
            self._add("frequency", pmu.float_frequency)
            self._add("rocof", pmu.float_frequency)
            for _ in pmu.analogs:
                self._add("analog", pmu.float_analogs)
            for _ in pmu.digitals:
                self._add("digital", False)

    def _add(self, field: str, floating: bool) -> None:
        self._fields.setdefault(field, []).append((self._word, floating))
        self._word += 1 + floating

    def index(self, field: str) -> Index:
        return np.array([word for word, _ in self._fields.get(field, [])], dtype=np.intp)

    def numbers(self, field: str) -> _Numbers:
        return _Numbers(self._fields.get(field, []))


def _conversion(phasor: Phasor, floating: bool, long: bool) -> tuple[float, float]:
    """What a phasor's numbers are multiplied by, and the radians that are taken from its angle."""
    if not long:
        return (1.0 if floating else _usable(phasor.scale)), 0.0
    scale, offset = _usable(phasor.scale), _finite(phasor.offset)
    # A negative factor turns a phasor by half a circle.
    return abs(scale), math.remainder(offset + (math.pi if scale < 0 else 0.0), math.tau)


def _usable(scale: float) -> float:
    """Some devices leave a scale empty where it does not matter to them."""
    return scale if math.isfinite(scale) and scale != 0.0 else 1.0


def _finite(offset: float) -> float:
    return offset if math.isfinite(offset) else 0.0
