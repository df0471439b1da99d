"""What is known of the sensors behind a broker: counts, the age of what each said last, and who is silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gridtop.api import Channel, Statistics

MOST_DEVICES = 300
"""Sensors that are told one by one; of more, those of a terminal together."""
_SECOND = 1_000_000_000
_NEVER = -(1 << 62)
_ELSEWHERE = "without a terminal"


class SensorCounts:
    """Counts of c sensors by column, whose channels are given; ages are in seconds.

    `late_after` and `lost_after` are those of the settings, in seconds.
    """

    def __init__(self, channels: Sequence[Channel], late_after: float, lost_after: float) -> None:
        sensors = len(channels)
        self._late_after, self._lost_after = late_after, lost_after
        self._readings = np.zeros(sensors, dtype=np.int64)
        self._unusable = np.zeros(sensors, dtype=np.int64)
        self._outdated = np.zeros(sensors, dtype=np.int64)
        self._newest = np.full(sensors, _NEVER, dtype=np.int64)
        self._refused = np.zeros(sensors, dtype=np.bool_)  # the last value was unusable
        names = [channel.name for channel in channels]
        self._together = sensors > MOST_DEVICES
        if self._together:
            names = [channel.terminal or _ELSEWHERE for channel in channels]
        places = {name: i for i, name in enumerate(dict.fromkeys(names))}
        self._names = tuple(places)[:MOST_DEVICES]
        self._device = np.array([places[name] for name in names], dtype=np.intp)
        self._shown = self._device < MOST_DEVICES

    def add(self, column: int, time: int, usable: bool, taken: bool) -> None:
        """A reading of that time in nanoseconds; `taken` is false when a newer one was there already."""
        self._readings[column] += 1
        self._unusable[column] += not usable
        self._outdated[column] += not taken
        if taken and time >= self._newest[column]:
            self._newest[column], self._refused[column] = time, not usable

    def statistics(self, stream: Mapping[str, float], now: int) -> Statistics:
        """The figures of the stream with those of the sensors at `now`, nanoseconds since 1970.

        Of several sensors together the age is that of the oldest, which is NaN when one has said nothing yet.
        """
        ages = np.where(self._newest == _NEVER, np.inf, (now - self._newest) / _SECOND)
        device, count = self._device[self._shown], len(self._names)

        def total(of: np.ndarray) -> list[int]:
            sums = np.bincount(device, weights=of[self._shown], minlength=count)
            return [int(number) for number in sums]

        oldest = np.full(count, -np.inf)
        np.maximum.at(oldest, device, ages[self._shown])
        oldest[np.isinf(oldest)] = np.nan
        readings, unusable, outdated = map(total, (self._readings, self._unusable, self._outdated))
        devices: dict[str, dict[str, float]] = {
            name: {"readings": readings[i], "unusable": unusable[i], "outdated": outdated[i], "age": age}
            for i, (name, age) in enumerate(zip(self._names, oldest.tolist(), strict=True))
        }
        sensors: dict[str, float] = {"sensors": float(len(self._newest))}
        if not self._shown.all():
            sensors["sensors_not_shown"] = float(np.count_nonzero(~self._shown))
        return Statistics({**stream, **sensors}, devices, self._words(ages))

    def _words(self, ages: np.ndarray) -> dict[str, str]:
        """What is wrong with the devices that are in trouble, in the same words as long as that lasts."""
        never = np.isinf(ages)
        troubles = (
            (never, "has said nothing yet", "have said nothing yet"),
            (~never & (ages > self._lost_after), *self._silent(self._lost_after)),
            ((ages > self._late_after) & (ages <= self._lost_after), *self._silent(self._late_after)),
            (self._refused, "the last reading held no usable value", "gave no usable value last"),
        )
        words: dict[str, str] = {}
        for there, one, several in troubles:
            counts = np.bincount(self._device[there & self._shown], minlength=len(self._names))
            for i in np.flatnonzero(counts).tolist():
                told = f"{counts[i]} of its sensors {several}" if self._together else one
                before = words.get(self._names[i])
                words[self._names[i]] = f"{before}; {told}" if before else told
        return words

    @staticmethod
    def _silent(seconds: float) -> tuple[str, str]:
        return f"silent for more than {seconds:g} s", f"are silent for more than {seconds:g} s"
