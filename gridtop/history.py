"""History: a ring of the newest frames, from which panels get envelopes that lose no spike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.client import Telemetry, TelemetryRequest

CAPACITY = 24 << 20
"""Bytes of values kept: about ten minutes of 160 channels at 60 frames/s, little beside the rest."""


class History:
    """The newest frames of all channels, as float32 in a ring of fixed size.

    Panels draw with a few hundred dots, so single precision is kept for the envelope; the newest
    values are kept in full.
    """

    def __init__(self, channels: ChannelSet, capacity: int = CAPACITY) -> None:
        self.channels = channels
        frames = max(16, capacity // (4 * max(1, len(channels))))
        self._values = np.full((frames, len(channels)), np.nan, dtype=np.float32)
        self._time = np.zeros(frames, dtype="datetime64[ns]")
        self._latest = np.full(len(channels), np.nan)
        self._newest = np.full(len(channels), np.nan)
        self._written = 0

    def add(self, block: Block) -> None:
        """Remember a block; the oldest frames give way."""
        size = len(self._time)
        kept = block.slice(max(0, len(block) - size), len(block))
        if not len(kept):
            return
        at = np.arange(self._written, self._written + len(kept)) % size
        with np.errstate(over="ignore"):
            self._values[at] = kept.values
        self._time[at] = kept.time
        self._written += len(kept)
        self._newest = kept.values[-1]
        good = np.isfinite(kept.values)
        last = len(kept) - 1 - np.argmax(good[::-1], axis=0)
        self._latest = np.where(
            good.any(axis=0), kept.values[last, np.arange(len(self.channels))], self._latest
        )

    def clear(self) -> None:
        """Forget everything: a new pass begins."""
        self._written = 0
        self._latest = np.full(len(self.channels), np.nan)
        self._newest = self._latest

    def telemetry(self, request: TelemetryRequest) -> Telemetry:
        """The envelope of the requested channels over the newest `window` seconds of measurement time.

        Bucket edges lie on multiples of the bucket's length, so that a bucket's content does not change
        while the window moves. Names that are not channels give NaN rows.
        """
        buckets = max(1, request.buckets)
        k = len(request.channels)
        minimum, maximum = np.full((k, buckets), np.nan), np.full((k, buckets), np.nan)
        lowest, highest = np.full(k, np.nan), np.full(k, np.nan)
        latest, stale = np.full(k, np.nan), np.ones(k, dtype=np.bool_)
        names = self.channels.names
        known = [(i, names.index(name)) for i, name in enumerate(request.channels) if name in names]
        end: np.datetime64 | None = None
        if self._written and known:
            rows, columns = np.array(known, dtype=np.intp).T
            time, values = self._window(request.window, columns)
            end = time[-1]
            starts, index = _buckets(time, request.window, buckets)
            low, high = _extremes(values, starts)
            minimum[np.ix_(rows, index)], maximum[np.ix_(rows, index)] = low.T, high.T
            lowest[rows], highest[rows] = _fold(np.fmin, low), _fold(np.fmax, high)
            latest[rows] = self._latest[columns]
            stale[rows] = ~np.isfinite(self._newest[columns])
        return Telemetry(
            request.channels, request.window, end, minimum, maximum, latest, lowest, highest, stale
        )

    def _window(
        self, window: float, columns: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.float64]]:
        """Time (n,) and values (n, k) of the frames in the window, oldest first; at least one frame."""
        size = len(self._time)
        count = min(self._written, size)
        order = np.arange(self._written - count, self._written) % size
        time = self._time[order]
        start = int(np.searchsorted(time, time[-1] - np.timedelta64(round(window * 1e9), "ns"), side="right"))
        chosen = order[start:]
        return time[start:], self._values[np.ix_(chosen, columns)].astype(np.float64)


def _buckets(
    time: npt.NDArray[np.datetime64], window: float, buckets: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Where each non-empty bucket starts in `time`, and its number from 0 (oldest) to buckets - 1."""
    length = max(1, round(window * 1e9 / buckets))
    number = time.astype("datetime64[ns]").astype(np.int64) // length
    number = number - (number[-1] - buckets + 1)
    number = np.maximum(number, 0)
    starts = np.flatnonzero(np.r_[True, number[1:] != number[:-1]])
    return starts, number[starts]


def _extremes(
    values: npt.NDArray[np.float64], starts: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float64], ...]:
    """Smallest and largest good value (b, k) of each bucket of `values` (n, k); NaN where there is none."""
    finite = np.where(np.isfinite(values), values, np.nan)
    return np.fmin.reduceat(finite, starts, axis=0), np.fmax.reduceat(finite, starts, axis=0)


def _fold(operation: np.ufunc, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    result: npt.NDArray[np.float64] = operation.reduce(values, axis=0)
    return result
