"""What is counted about a stream and its devices, after openPDC's statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(slots=True)
class StreamCounts:
    """What happened to a stream since the start.

    frames                  data frames of the right size and CRC
    missing_frames          frames that the time sequence lacks
    out_of_order, duplicates, ahead  frames not used: older than one before, of the same time, or far in the
                            future by this computer's clock or by the frames behind them
    clock_put_back          times that the frames went on at an earlier time
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
    clock_put_back: int = 0
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
