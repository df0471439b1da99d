"""What is counted about a stream and its devices, after openPDC's statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gridtop.synchrophasor.data import Readings
from gridtop.synchrophasor.pmus import Configuration
from gridtop.synchrophasor.status import BY_ARRIVAL, CHANGE, TRIGGER, UNSYNCHRONISED


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counters by name: of the stream as a whole, and of each device (PMU) in it."""

    stream: Mapping[str, float]
    devices: Mapping[str, Mapping[str, float]]


@dataclass(slots=True)
class StreamCounts:
    """What happened to a stream since the start.

    frames                  data frames of the right size and CRC
    missing_frames          frames that the time sequence lacks
    out_of_order, duplicates, ahead  frames not used: older than one before, of the same time, or far in the
                            future by this computer's clock
    bad_crc, skipped_bytes  damage, and bytes that belonged to no whole frame
    wrong_size, unexpected, foreign  whole frames: that do not fit the configuration, of another kind or
                            before any configuration, of another IDCODE
    bad_configurations, configuration_changes
    connections, failures   that were made, and that were lost or not to be had
    silences                times without any frame that were long enough to be filled with missing data
    dropped                 frames thrown away because nobody took them in time
    intruders               datagrams from addresses that are not configured
    """

    frames: int = 0
    bytes: int = 0
    missing_frames: int = 0
    out_of_order: int = 0
    duplicates: int = 0
    ahead: int = 0
    bad_crc: int = 0
    skipped_bytes: int = 0
    wrong_size: int = 0
    unexpected: int = 0
    foreign: int = 0
    bad_configurations: int = 0
    configuration_changes: int = 0
    connections: int = 0
    failures: int = 0
    silences: int = 0
    dropped: int = 0
    intruders: int = 0


@dataclass(slots=True)
class Latency:
    """How long after its time each frame came, in seconds, by this computer's clock; NaN before the first."""

    least: float = math.nan
    most: float = math.nan
    last: float = math.nan
    _sum: float = 0.0
    _count: int = 0

    def add(self, seconds: Sequence[float] | np.ndarray) -> None:
        """Take note of some frames."""
        if not len(seconds):
            return
        values = np.asarray(seconds)
        self.least = float(np.fmin(self.least, values.min()))
        self.most = float(np.fmax(self.most, values.max()))
        self.last = float(values[-1])
        self._sum += float(values.sum())
        self._count += len(values)

    @property
    def mean(self) -> float:
        """The mean of all frames."""
        return self._sum / self._count if self._count else math.nan


@dataclass(slots=True)
class DeviceCounts:
    """What one PMU said of itself, in frames; `triggers` are the rising edges of the trigger bit."""

    frames: int = 0
    device_errors: int = 0
    no_information: int = 0
    time_errors: int = 0
    by_arrival: int = 0
    triggers: int = 0
    changes_announced: int = 0
    measurements_expected: int = 0
    measurements_missing: int = 0
    last_status: int = 0


@dataclass(slots=True)
class Devices:
    """Counts by device; the names come from whoever maps the configuration's stations to them."""

    counts: dict[str, DeviceCounts] = field(default_factory=dict)

    def add(self, names: Sequence[str], configuration: Configuration, readings: Readings) -> None:
        """Count some readings of a configuration, whose PMUs are called `names`."""
        n = len(readings)
        if not n:
            return
        status = readings.status
        of_phasor = np.repeat(np.arange(len(names)), [len(pmu.phasors) for pmu in configuration.pmus])
        missing = np.count_nonzero(np.isnan(readings.frequency), axis=0)
        missing += np.count_nonzero(np.isnan(readings.rocof), axis=0)
        gone = np.count_nonzero(np.isnan(readings.magnitude), axis=0)
        missing += np.bincount(of_phasor, weights=gone, minlength=len(names)).astype(missing.dtype)
        health = status >> 14
        columns = {
            "device_errors": np.count_nonzero(health >= 2, axis=0),
            "no_information": np.count_nonzero(health == 1, axis=0),
            "time_errors": np.count_nonzero(status & UNSYNCHRONISED, axis=0),
            "by_arrival": np.count_nonzero(status & BY_ARRIVAL, axis=0),
        }
        for i, (name, pmu) in enumerate(zip(names, configuration.pmus, strict=True)):
            counts = self.counts.setdefault(name, DeviceCounts())
            before, words = counts.last_status, status[:, i]
            counts.frames += n
            for what, number in columns.items():
                if number[i]:
                    setattr(counts, what, getattr(counts, what) + int(number[i]))
            counts.triggers += _rises(words, before, TRIGGER)
            counts.changes_announced += _rises(words, before, CHANGE)
            counts.measurements_expected += n * (len(pmu.phasors) + 2)
            counts.measurements_missing += int(missing[i])
            counts.last_status = int(words[-1])


def _rises(words: np.ndarray, before: int, bit: int) -> int:
    """How often a bit of (n,) words goes from 0 to 1, the word before them included."""
    on = (words & bit) != 0
    if not on.any():
        return 0
    return int(on[0] and not before & bit) + int(np.count_nonzero(on[1:] & ~on[:-1]))
