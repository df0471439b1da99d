"""Sensors with rates of their own made into frames at one rate: the newest value of each, and its age."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from gridtop.api import Quality

Floats = npt.NDArray[np.float64]
_SECOND = 1_000_000_000
_NEVER = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a sensor said: nanoseconds since 1970, a value (NaN for none), and the flags it comes with."""

    time: int
    value: float
    flags: int = 0


@dataclass(frozen=True, slots=True)
class HeldFrames:
    """n frames of c sensors: `time` (n,), `values`, `quality` flags and `ages` in seconds, each (n, c).

    The age of a sensor that has said nothing yet is NaN.
    """

    time: npt.NDArray[np.datetime64]
    values: Floats
    quality: npt.NDArray[np.uint16]
    ages: Floats


class SampleAndHold:
    """Frames at `rate` a second on the whole seconds of UTC: frame number k is that of k / rate s since 1970.

    A frame holds the newest reading of each sensor that is not younger than the frame. One older than
    `late_after` seconds has the flag late; one older than `lost_after` is no value any more.
    """

    def __init__(self, sensors: int, rate: float, late_after: float, lost_after: float) -> None:
        self._rate = Fraction(rate).limit_denominator(1_000_000)
        self._late, self._lost = round(late_after * _SECOND), round(lost_after * _SECOND)
        self._times = np.full(sensors, _NEVER, dtype=np.int64)
        self._values = np.full(sensors, np.nan)
        self._flags = np.zeros(sensors, dtype=np.uint16)
        self._coming: dict[int, dict[int, Reading]] = {}
        self._next = 0

    def begin(self, number: int) -> None:
        """The next frame made is this one. Going back, what is younger than it is forgotten."""
        if number < self._next:
            ahead = self._times > self.time_of(number)
            self._times[ahead], self._values[ahead] = _NEVER, np.nan
            self._coming.clear()
        self._next = number

    def number_at(self, time: int) -> int:
        """The number of the last frame at or before a time in nanoseconds."""
        return time * self._rate.numerator // (_SECOND * self._rate.denominator)

    def time_of(self, number: int) -> int:
        """The time of a frame in nanoseconds since 1970, rounded up."""
        return -(-number * _SECOND * self._rate.denominator // self._rate.numerator)

    def put(self, sensor: int, reading: Reading) -> bool:
        """Take in a reading for the frames to come; False when a newer one is already in a frame."""
        if reading.time < self._times[sensor]:
            return False
        frame = max(self._next, self.number_at(reading.time - 1) + 1)
        there = self._coming.setdefault(frame, {})
        if sensor not in there or there[sensor].time <= reading.time:
            there[sensor] = reading
        return True

    def make(self, count: int) -> HeldFrames:
        """The next frames."""
        shape = count, len(self._times)
        values, ages = np.empty(shape), np.empty(shape)
        quality = np.empty(shape, dtype=np.uint16)
        for passed in sorted(number for number in self._coming if number < self._next):
            self._take(passed)
        times = [self.time_of(self._next + i) for i in range(count)]
        for i, time in enumerate(times):
            self._take(self._next + i)
            age = time - self._times
            gone = np.isnan(self._values) | (age > self._lost)
            late = np.where(age > self._late, np.uint16(Quality.LATE), np.uint16(0))
            why = self._flags & np.uint16(Quality.UNREADABLE | Quality.INFINITE)
            why = np.where((why == 0) | (age > self._lost), np.uint16(Quality.MISSING), why)
            values[i] = np.where(gone, np.nan, self._values)
            quality[i] = np.where(gone, why, self._flags | late)
            ages[i] = np.where(self._times == _NEVER, np.nan, age / _SECOND)
        self._next += count
        return HeldFrames(np.array(times, dtype="datetime64[ns]"), values, quality, ages)

    def _take(self, number: int) -> None:
        for sensor, reading in self._coming.pop(number, {}).items():
            if reading.time >= self._times[sensor]:
                self._times[sensor] = reading.time
                self._values[sensor], self._flags[sensor] = reading.value, reading.flags
